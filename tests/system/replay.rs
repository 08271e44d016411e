//! A generated bag with known outcome through the whole cell, in lockstep, again, recorded, and from the record.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bag::{BagWriter, QosProfile, TopicSpec, WriterOptions};
use intact_msgs::msg::CellEvent;
use ros_interfaces::Message;
use ros_interfaces::sensor_msgs::msg::{CompressedImage, Image};
use serde_json::Value;

use crate::support::{intact, intact_ok, json_lines, peer, python};

/// A scene of the booth in `dir`: bag, references, truth.
pub fn scene(dir: &Path, seed: u32, items: u32, more: &[&str]) {
    let (seed, items) = (seed.to_string(), items.to_string());
    let path = |name: &str| dir.join(name).display().to_string();
    let (bag, references, truth) = (path("scene"), path("references"), path("truth.json"));
    let mut args = vec!["booth", "bag", "--seed", &seed, "--items", &items, "--out", &bag, "--references", &references, "--truth", &truth];
    args.extend(more);
    intact_ok(&args);
}

/// `intact run ARGS… --json` with a ledger of its own; the decision lines.
pub fn decisions(dir: &Path, args: &[&str]) -> Vec<Value> {
    let ledger = tempfile::Builder::new().suffix(".sqlite").tempfile_in(dir).unwrap().path().display().to_string();
    let mut all = vec!["run", "--json", "--ledger", &ledger];
    all.extend(args);
    json_lines(&intact_ok(&all))
}

/// The recorded events of one kind.
pub fn events(record: &str, kind: u8) -> Vec<CellEvent> {
    let bag = bag::Bag::open(Path::new(record)).unwrap();
    let of = |m: bag::BagMessage| (&*m.topic == "/cell_event").then(|| CellEvent::from_cdr(&m.data).unwrap());
    bag.messages().filter_map(Result::ok).filter_map(of).filter(|e| e.kind == kind).collect()
}

/// Decision lines as they were printed, in their order, without what a clock measured.
fn printed(lines: &[Value]) -> Vec<String> {
    let without_clock = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("latency_ms");
        line.to_string()
    };
    lines.iter().map(without_clock).collect()
}

/// Decisions without what a clock measured, by item.
fn timeless(lines: &[Value]) -> BTreeMap<String, Value> {
    lines
        .iter()
        .map(|line| {
            let mut line = line.clone();
            line.as_object_mut().unwrap().remove("latency_ms");
            (line["item_id"].as_str().unwrap().to_owned(), line)
        })
        .collect()
}

/// What the first version promised of a bag of 200 items that nothing was fitted or tuned on (docs/measured.md has twelve more scenes, with intervals).
#[test]
fn most_intact_items_of_an_unseen_scene_are_sorted_and_most_grossly_damaged_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 9301, 200, &[]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let decided = timeless(&decisions(dir.path(), &["--bag", &path("scene"), "--lockstep"]));
    let truth: Value = serde_json::from_str(&std::fs::read_to_string(path("truth.json")).unwrap()).unwrap();
    let sorted = |item: &&Value| decided[item["item_id"].as_str().unwrap()]["disposition"] == "SORT";
    let share = |which: &dyn Fn(&Value) -> bool, right: &dyn Fn(&&Value) -> bool| {
        let asked: Vec<&Value> = truth["items"].as_array().unwrap().iter().filter(|i| which(i)).collect();
        assert!(asked.len() > 30, "{}", asked.len());
        asked.iter().filter(|i| right(i)).count() as f64 / asked.len() as f64
    };
    let intact = share(&|i| i["damaged"] == false, &|i| sorted(i));
    let gross = share(&|i| i["gross"] == true, &|i| !sorted(i));
    assert!(intact >= 0.9 && gross >= 0.8, "intact sorted {intact:.3}, grossly damaged not sorted {gross:.3}");
}

#[test]
fn a_known_scene_is_decided_right_and_the_same_way_again() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_001, 16, &[]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, references) = (path("scene"), path("references"));
    let first = decisions(dir.path(), &["--bag", &bag, "--references", &references, "--lockstep"]);
    assert_eq!(first.len(), 16, "exactly one disposition an item");
    let mut keys: Vec<&String> = first[0].as_object().unwrap().keys().collect();
    keys.sort();
    let mut fixed = ["item_id", "stamp_ns", "disposition", "lane", "damage_score", "anomaly_score", "product", "reasons", "latency_ms"]
        .map(String::from);
    fixed.sort();
    assert_eq!(keys, fixed.iter().collect::<Vec<_>>(), "scripts rely on these keys");
    let truth: Value = serde_json::from_str(&std::fs::read_to_string(path("truth.json")).unwrap()).unwrap();
    let decided = timeless(&first);
    let mut right = 0;
    for item in truth["items"].as_array().unwrap() {
        let line = &decided[item["item_id"].as_str().unwrap()];
        let sorted = line["disposition"] == "SORT";
        right += i32::from(if item["gross"] == true { !sorted } else { sorted || item["damaged"] == true });
        if sorted {
            assert!(line["damage_score"].is_number(), "nothing is sorted without a score: {line}");
            assert!(line["lane"].as_str().unwrap().starts_with("sort"), "{line}");
        }
    }
    assert!(right >= 13, "{right} of 16 decided right");

    let again = decisions(dir.path(), &["--bag", &bag, "--references", &references, "--lockstep"]);
    assert_eq!(printed(&first), printed(&again), "two lockstep runs print alike, in the same order");

    let one_core = std::process::Command::new("taskset")
        .args(["-c", "0"])
        .arg(crate::support::program("intact"))
        .env("RAYON_NUM_THREADS", "1")
        .args(["run", "--json", "--ledger", &path("one.sqlite"), "--bag", &bag, "--references", &references, "--lockstep"])
        .output()
        .expect("taskset of util-linux");
    assert!(one_core.status.success());
    let one_core = json_lines(&String::from_utf8(one_core.stdout).unwrap());
    assert_eq!(printed(&first), printed(&one_core), "on one core and thread as on all");
}

#[test]
fn a_recorded_live_run_replays_to_its_own_decisions_and_peers_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_002, 8, &[]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, record, rrd) = (path("scene"), path("record"), path("run.rrd"));
    // Faster than this machine can decide: what is late or dropped must come back from the record.
    std::fs::write(path("fast_robot.yaml"), "robot:\n  ros__parameters:\n    simulation_speed: 50.0\n").unwrap();
    let robot = path("fast_robot.yaml");
    let live = decisions(
        dir.path(),
        &["--bag", &bag, "--rate", "20", "--record", &record, "--rrd", &rrd, "--transport", "in-process", "--params", &robot],
    );
    assert_eq!(live.len(), 8);
    let replayed = decisions(dir.path(), &["--bag", &record, "--lockstep"]);
    assert_eq!(timeless(&live), timeless(&replayed), "the record gives the recorded decisions");

    let info: Value = serde_json::from_str(&intact_ok(&["bag", "info", &record, "--json"])).unwrap();
    let topics: BTreeMap<&str, u64> =
        info["topics"].as_array().unwrap().iter().map(|t| (t["name"].as_str().unwrap(), t["messages"].as_u64().unwrap())).collect();
    assert_eq!(topics["/decision"], 8);
    assert_eq!(topics["/item_arrival"], 8);
    assert!(topics["/camera/color/image_raw"] >= 8 && topics["/tf_static"] >= 1, "{topics:?}");

    let Some(python) = python("recorded bag and .rrd read by peers") else { return };
    let seen: Value = serde_json::from_str(&peer(&python, "recorded_run.py", &[&bag, &record, &rrd])).unwrap();
    assert_eq!(seen["decisions"], 8, "{seen}");
    assert_eq!(seen["pictures_differ"], 0, "{seen}");
    assert!(seen["pictures_compared"].as_u64().unwrap() >= 8, "{seen}");
    assert!(seen["rrd_entities"].as_array().unwrap().len() >= 5, "{seen}");
}

/// A live run that is asked too much: items are given up, deadlines run out. Its record gives the same decisions.
#[test]
fn a_recorded_run_that_could_not_keep_up_replays_to_its_own_decisions() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_004, 12, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, references, params) = (path("scene"), path("references"), path("hasty.yaml"));
    let hasty = "perception:\n  ros__parameters:\n    queue_limit: 1\n\
                 gallery:\n  ros__parameters:\n    queue_limit: 1\n\
                 decision:\n  ros__parameters:\n    deadline_ms: 2\n\
                 robot:\n  ros__parameters:\n    simulation_speed: 50.0\n";
    std::fs::write(&params, hasty).unwrap();
    let record = path("record");
    let args = ["--bag", &bag, "--references", &references, "--rate", "400", "--transport", "in-process", "--params", &params];
    let live = decisions(dir.path(), &[&args[..], &["--record", &record]].concat());
    assert_eq!(live.len(), 12, "exactly one disposition an item: {live:#?}");
    let (dropped, expired) = (events(&record, CellEvent::FRAME_DROPPED), events(&record, CellEvent::DEADLINE_EXPIRED));
    assert!(!dropped.is_empty() && !expired.is_empty(), "{} given up, {} too late: {live:#?}", dropped.len(), expired.len());
    let decided = timeless(&live);
    for event in dropped.iter().chain(&expired) {
        assert_ne!(decided[&event.item_id]["disposition"], "SORT", "{event:?}");
    }
    let replayed = decisions(dir.path(), &["--bag", &record, "--references", &references, "--lockstep"]);
    assert_eq!(timeless(&live), timeless(&replayed), "the record gives the recorded decisions");
}

/// A raw picture as image_transport_plugins send it: the transport's name, and the message.
fn compress(raw: &Image) -> (&'static str, CompressedImage) {
    let (width, height) = (raw.width, raw.height);
    let mut png = std::io::Cursor::new(Vec::new());
    let (transport, format, head) = match raw.encoding.as_str() {
        "rgb8" => {
            image::RgbImage::from_raw(width, height, raw.data.clone()).unwrap().write_to(&mut png, image::ImageFormat::Png).unwrap();
            ("compressed", "rgb8; png compressed ", 0)
        }
        "16UC1" => {
            let samples = raw.data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            let picture: image::ImageBuffer<image::Luma<u16>, Vec<u16>> = image::ImageBuffer::from_raw(width, height, samples).unwrap();
            picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
            ("compressedDepth", "16UC1; compressedDepth png", 12)
        }
        other => panic!("the booth writes no {other}"),
    };
    let data = [vec![0; head], png.into_inner()].concat();
    (transport, CompressedImage { header: raw.header.clone(), format: format.to_owned(), data })
}

/// The gallery cannot keep up with perception: what it gives up is sidelined, in the replay too.
#[test]
fn what_the_gallery_gave_up_is_given_up_in_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_007, 12, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, references, params, record) = (path("scene"), path("references"), path("slow.yaml"), path("record"));
    // A queue of one, and every picture lost: the gallery keeps fewer than come before it looks.
    let slow = "gallery:\n  ros__parameters:\n    queue_limit: 1\n    input_wait_s: 0.3\n    cameras: [\"elsewhere\"]\n\
                perception:\n  ros__parameters:\n    queue_limit: 64\n\
                decision:\n  ros__parameters:\n    deadline_ms: 60000\n\
                robot:\n  ros__parameters:\n    simulation_speed: 50.0\n";
    std::fs::write(&params, slow).unwrap();
    let args = ["--bag", &bag, "--references", &references, "--rate", "20", "--transport", "in-process", "--params", &params];
    let live = decisions(dir.path(), &[&args[..], &["--record", &record]].concat());
    assert_eq!(live.len(), 12, "{live:#?}");
    let dropped = events(&record, CellEvent::FRAME_DROPPED);
    for words in ["gallery gave up", "gallery had no picture"] {
        assert!(dropped.iter().any(|e| e.detail == words), "no `{words}` in {dropped:#?}");
    }
    // The replay's own gallery sees the pictures and would have the time.
    let replayed = decisions(dir.path(), &["--bag", &record, "--references", &references, "--lockstep"]);
    assert_eq!(timeless(&live), timeless(&replayed), "the record gives the recorded decisions");
}

#[test]
fn a_source_that_cannot_go_on_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_008, 2, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, params) = (path("scene"), path("impatient.yaml"));
    // The gallery waits five seconds for a picture that never comes, the replay at most one.
    let impatient = "camera:\n  ros__parameters:\n    lockstep_timeout_s: 1.0\n\
                     gallery:\n  ros__parameters:\n    input_wait_s: 5.0\n    cameras: [\"elsewhere\"]\n";
    std::fs::write(&params, impatient).unwrap();
    let references = path("references");
    let args = ["run", "--bag", &bag, "--references", &references, "--lockstep", "--params", &params, "--ledger", &path("l.sqlite")];
    let output = intact(&args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("lockstep_timeout_s"), "it is said what to do: {error}");
}

#[test]
fn the_cell_can_be_renamed_and_moved_to_a_namespace() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_009, 2, &["--damaged", "0"]);
    let bag = dir.path().join("scene").display().to_string();
    let plain = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    for moved in [["-r", "decision:=verdict"], ["-r", "__ns:=/cell_7"]] {
        let args = [&["--bag", &bag, "--lockstep", "--ros-args"], &moved[..]].concat();
        assert_eq!(printed(&decisions(dir.path(), &args)), printed(&plain), "{moved:?}");
    }
}

#[test]
fn compressed_pictures_are_decided_like_raw_ones() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_005, 4, &[]);
    let raw = dir.path().join("scene").display().to_string();
    let compressed = dir.path().join("compressed");
    let mut writer = BagWriter::create(&compressed, WriterOptions::default()).unwrap();
    let source = bag::Bag::open(Path::new(&raw)).unwrap();
    let mut pictures = 0;
    for message in source.messages() {
        let message = message.unwrap();
        let topic = source.topics().iter().find(|t| *t.name == *message.topic).unwrap();
        match &*message.topic {
            "/camera/color/image_raw" | "/camera/aligned_depth_to_color/image_raw" => {
                let (transport, picture) = compress(&message.decode().unwrap());
                let name = format!("{}/{transport}", message.topic);
                writer.write(&name, QosProfile::SENSOR, message.log_time_ns, &picture).unwrap();
                pictures += 1;
            }
            name => {
                let qos = topic.offered_qos.first().copied().unwrap_or(QosProfile::EVENT);
                let (type_name, definition, type_hash) = (&*topic.type_name, &*topic.definition, &*topic.type_hash);
                let spec = TopicSpec { name, type_name, definition, type_hash, qos };
                writer.write_cdr(&spec, message.log_time_ns, &message.data).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    assert!(pictures >= 8, "{pictures} pictures");
    let of_raw = decisions(dir.path(), &["--bag", &raw, "--lockstep"]);
    let of_compressed = decisions(dir.path(), &["--bag", &compressed.display().to_string(), "--lockstep"]);
    assert_eq!(printed(&of_raw), printed(&of_compressed), "PNG loses nothing, so nothing may differ");
    assert!(of_raw.iter().all(|d| d["damage_score"].is_number()), "{of_raw:#?}");
}

#[test]
fn a_tenth_of_the_speed_takes_ten_times_as_long() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_006, 1, &["--damaged", "0"]);
    let bag = dir.path().join("scene").display().to_string();
    let info: Value = serde_json::from_str(&intact_ok(&["bag", "info", &bag, "--json"])).unwrap();
    let duration_s = info["duration_s"].as_f64().unwrap();
    let began = Instant::now();
    let lines = decisions(dir.path(), &["--bag", &bag, "--rate", "0.1", "--transport", "in-process"]);
    let took_s = began.elapsed().as_secs_f64();
    assert_eq!(lines.len(), 1);
    assert!(took_s >= 10.0 * duration_s, "{duration_s} s of bag took {took_s} s at 0.1");
}

#[test]
fn an_unsupported_variable_of_discovery_is_said_aloud() {
    let output = std::process::Command::new(crate::support::program("intact"))
        .args(["run", "--source", "booth", "--items", "1", "--transport", "dds"])
        .env("ROS_DOMAIN_ID", crate::domain::claim_domain().to_string())
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        .env("ROS_STATIC_PEERS", "192.0.2.1")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.contains("ROS_STATIC_PEERS is not supported"), "{error}");
}

#[test]
fn clutter_decides_each_item_in_view() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_003, 3, &["--clutter", "--damaged", "0"]);
    let bag = dir.path().join("scene").display().to_string();
    let each = decisions(dir.path(), &["--bag", &bag, "--lockstep", "--clutter"]);
    assert!(each.len() > 3, "several items in a view: {each:?}");
    let ids: Vec<&str> = each.iter().map(|d| d["item_id"].as_str().unwrap()).collect();
    let is_instance =
        |id: &&str| id.rsplit_once('#').is_some_and(|(capture, k)| !capture.is_empty() && k.parse::<u16>().is_ok_and(|k| k > 0));
    assert!(ids.iter().all(is_instance), "<capture>#<k>: {ids:?}");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "each once: {ids:?}");
}

#[test]
fn several_items_in_a_singulated_tray_are_sidelined() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_003, 3, &["--clutter", "--damaged", "0", "--announce-singulated"]);
    let bag = dir.path().join("scene").display().to_string();
    let one = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    assert_eq!(one.len(), 3);
    for line in one {
        assert_eq!(line["disposition"], "SIDELINE", "{line}");
        assert!(line["reasons"].as_array().unwrap().iter().any(|r| r == "MULTIPLE_ITEMS"), "{line}");
    }
}

#[test]
fn the_command_line_refuses_with_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.yaml");
    std::fs::write(&wrong, "perception:\n  ros__parameters:\n    damage_treshold: 0.4\n").unwrap();
    let nodes = dir.path().join("nodes.yaml");
    std::fs::write(&nodes, "perceptoin:\n  ros__parameters:\n    damage_threshold: 0.4\n").unwrap();
    let type_ = dir.path().join("type.yaml");
    std::fs::write(&type_, "perception:\n  ros__parameters:\n    damage_threshold: high\n").unwrap();
    let (wrong, nodes, type_) = (wrong.display().to_string(), nodes.display().to_string(), type_.display().to_string());
    for (args, expected) in [
        (vec!["run", "--bag", "/nonexistent.mcap", "--lockstep"], "/nonexistent.mcap"),
        (vec!["run", "--source", "booth", "--params", &wrong], "damage_threshold"),
        (vec!["run", "--source", "booth", "--params", &nodes], "perceptoin"),
        (vec!["run", "--source", "booth", "--params", &type_], "damage_threshold"),
        (vec!["run", "--source", "booth", "--references", "/nonexistent"], "/nonexistent"),
        (vec!["run", "--source", "booth", "--params", &nodes], "did you mean `perception`"),
        (vec!["run", "--source", "booth", "--ros-args", "-p", "preception:damage_threshold:=0.4"], "did you mean `perception`"),
        (vec!["run", "--source", "booth", "--transport", "dds"], "ROS_AUTOMATIC_DISCOVERY_RANGE=OFF"),
        (vec!["run", "--source", "topics", "--lockstep"], "--lockstep has no effect"),
        (vec!["run", "--source", "topics", "--clutter"], "--clutter has no effect"),
        (vec!["run", "--source", "topics", "--items", "3"], "--items has no effect"),
        (vec!["bag", "info", "/nonexistent.mcap"], "/nonexistent.mcap"),
        (vec!["bag", "import", "/nonexistent", "-o", "/tmp/never"], "/nonexistent"),
        (vec!["inspect", "/nonexistent.png"], "/nonexistent.png"),
    ] {
        let output = intact(&args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?} should name `{expected}`: {error}");
        assert!(!error.contains("panicked"), "{args:?}: {error}");
        assert!(error.lines().count() <= 3, "{args:?} should be one sentence: {error}");
    }
}

/// The booth may have several cameras without a bag in between; every node knows of them, and the item is judged once.
#[test]
fn the_booth_is_looked_at_by_as_many_cameras_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("run").display().to_string();
    let three = "camera:booth_cameras:=3";
    let lines = json_lines(&intact_ok(&[
        "run",
        "--source",
        "booth",
        "--items",
        "2",
        "--lockstep",
        "--json",
        "--record",
        &record,
        "--ros-args",
        "-p",
        three,
    ]));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let info = &json_lines(&intact_ok(&["bag", "info", &record, "--json"]))[0];
    for camera in ["camera", "camera_1", "camera_2"] {
        let topic = format!("/{camera}/color/image_raw");
        let found = info["topics"].as_array().unwrap().iter().find(|t| t["name"] == topic.as_str());
        assert!(found.is_some_and(|t| t["messages"] == 2), "{topic}: {info}");
    }
    let again = json_lines(&intact_ok(&["run", "--bag", &record, "--lockstep", "--json"]));
    let told = |lines: &[Value]| {
        lines.iter().map(|l| (l["item_id"].clone(), l["disposition"].clone(), l["damage_score"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(&lines), told(&again), "the recorded run replays to its own decisions");
}

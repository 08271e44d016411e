//! Bad input through the whole cell: a clear error or a counted drop, never a panic, never SORT.

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};

use bag::{BagWriter, QosProfile, WriterOptions};
use intact_msgs::msg::{CellEvent, ItemArrival};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;

use crate::replay::{decisions, events};
use crate::support::{intact, intact_ok};

const START_NS: i64 = 1_700_000_000_000_000_000;
const COLOR: &str = "/camera/color/image_raw";
const DEPTH: &str = "/camera/aligned_depth_to_color/image_raw";
const INFO: &str = "/camera/color/camera_info";

/// What one item's messages look like; each case spoils one of them.
struct Item {
    id: String,
    color: Option<Image>,
    depth: Option<Image>,
    info: Option<CameraInfo>,
    stamp_ns: i64,
}

fn header(stamp_ns: i64) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: "camera_color_optical_frame".into() }
}

/// Pristine items of the booth, as a camera would send them.
fn good_items(n: usize) -> Vec<Item> {
    let booth = booth::Booth::new(booth::BoothSpec { seed: 90_020, damage_fraction: 0.0, ..Default::default() }).unwrap();
    (0..n)
        .map(|i| {
            let frame = booth.capture(i).frame;
            let stamp_ns = START_NS + i as i64 * 1_000_000_000;
            Item {
                id: format!("item-{i}"),
                color: Some(vision::ros::color_to_ros(&frame.color, header(stamp_ns))),
                depth: frame.depth.as_ref().map(|d| vision::ros::depth_to_ros_mm(d, header(stamp_ns))),
                info: frame.intrinsics.as_ref().map(|k| vision::ros::intrinsics_to_ros(k, header(stamp_ns))),
                stamp_ns,
            }
        })
        .collect()
}

fn write_bag(dir: &Path, name: &str, items: &[Item]) -> String {
    let path = dir.join(name);
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    let booth = booth::Booth::new(booth::BoothSpec { seed: 90_020, ..Default::default() }).unwrap();
    let tray = Header { stamp: Time::from_nanos(START_NS), frame_id: "tray".into() };
    let pose = vision::pose::transform_to_ros(tray, "camera_color_optical_frame", &booth.cell_from_camera());
    writer.write("/tf_static", QosProfile::LATCHED, START_NS - 1, &TFMessage { transforms: vec![pose] }).unwrap();
    for (n, item) in items.iter().enumerate() {
        // Log time goes on whatever the stamps do, as a recorder's clock would.
        let log_ns = START_NS + n as i64 * 1_000_000_000;
        let arrival =
            ItemArrival { header: header(item.stamp_ns), item_id: item.id.clone(), source: "trigger".into(), ..Default::default() };
        writer.write("/item_arrival", QosProfile::EVENT, log_ns, &arrival).unwrap();
        if let Some(color) = &item.color {
            writer.write(COLOR, QosProfile::SENSOR, log_ns, color).unwrap();
        }
        if let Some(depth) = &item.depth {
            writer.write(DEPTH, QosProfile::SENSOR, log_ns, depth).unwrap();
        }
        if let Some(info) = &item.info {
            writer.write(INFO, QosProfile::SENSOR, log_ns, info).unwrap();
        }
    }
    writer.finish().unwrap();
    path.display().to_string()
}

/// Each case spoils the middle item of three: it is decided, not sorted, and its neighbours do not suffer.
#[test]
fn a_spoiled_item_is_never_sorted_and_harms_no_other() {
    type Spoil = (&'static str, fn(&mut Item));
    let cases: &[Spoil] = &[
        ("truncated colour", |i| i.color.as_mut().unwrap().data.truncate(1000)),
        ("oversize colour", |i| i.color.as_mut().unwrap().width = 4_000_000),
        ("colour of another size than depth", |i| {
            let color = i.color.as_mut().unwrap();
            color.height /= 2;
            color.data.truncate((color.step * color.height) as usize);
        }),
        ("wrong encoding", |i| i.color.as_mut().unwrap().encoding = "yuv9000".into()),
        ("wrong step", |i| i.color.as_mut().unwrap().step = 7),
        ("truncated depth", |i| i.depth.as_mut().unwrap().data.truncate(1000)),
        ("zero depth", |i| i.depth.as_mut().unwrap().data.fill(0)),
        ("NaN depth", |i| {
            let depth = i.depth.as_mut().unwrap();
            depth.encoding = "32FC1".into();
            depth.step = depth.width * 4;
            depth.data = f32::NAN.to_le_bytes().repeat((depth.width * depth.height) as usize);
        }),
        ("taller than its data", |i| i.color.as_mut().unwrap().height *= 3),
        ("depth in tenths of a millimetre", |i| {
            let depth = i.depth.as_mut().unwrap();
            let tenths = depth.data.chunks_exact(2).flat_map(|b| u16::from_le_bytes([b[0], b[1]]).saturating_mul(10).to_le_bytes());
            depth.data = tenths.collect();
        }),
        ("depth in the wrong unit", |i| {
            let depth = i.depth.as_mut().unwrap();
            let metres = depth.data.chunks_exact(2).flat_map(|b| f32::from(u16::from_le_bytes([b[0], b[1]])).to_le_bytes());
            depth.data = metres.collect();
            depth.encoding = "32FC1".into();
            depth.step = depth.width * 4;
        }),
        ("colour without depth", |i| i.depth = None),
        ("depth without colour", |i| i.color = None),
        ("no camera_info", |i| i.info = None),
        ("camera_info that changes", |i| {
            let k = &mut i.info.as_mut().unwrap().k;
            (k[0], k[4]) = (k[0] / 2.0, k[4] / 2.0);
        }),
        ("projection that changes", |i| {
            let p = &mut i.info.as_mut().unwrap().p;
            (p[0], p[5]) = (p[0] / 2.0 + 100.0, p[5] / 2.0 + 100.0);
        }),
        ("camera_info of zeros", |i| i.info.as_mut().unwrap().k = [0.0; 9]),
        ("no picture at all", |i| (i.color, i.depth, i.info) = (None, None, None)),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (n, (name, spoil)) in cases.iter().enumerate() {
        let mut items = good_items(3);
        spoil(&mut items[1]);
        let bag = write_bag(dir.path(), &format!("case-{n}"), &items);
        let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
        assert_eq!(lines.len(), 3, "{name}: exactly one disposition an item: {lines:#?}");
        let of = |id: &str| lines.iter().find(|l| l["item_id"] == id).unwrap_or_else(|| panic!("{name}: {id} is not decided"));
        assert_ne!(of("item-1")["disposition"], "SORT", "{name}: {:#?}", of("item-1"));
        for id in ["item-0", "item-2"] {
            let damage = of(id)["damage_score"].as_f64();
            assert!(damage.is_some(), "{name}: {id} was judged: {:#?}", of(id));
            assert_ne!(of("item-1")["stamp_ns"], of(id)["stamp_ns"], "{name}: an item is judged by no picture of another one");
        }
    }
}

#[test]
fn clocks_that_jump_back_and_ids_seen_twice_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mut items = good_items(3);
    items[2].id = "item-0".into();
    let bag = write_bag(dir.path(), "twice", &items);
    let record = dir.path().join("twice-record").display().to_string();
    let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep", "--record", &record]);
    let sorted = lines.iter().filter(|l| l["item_id"] == "item-0" && l["disposition"] == "SORT").count();
    assert!(sorted <= 1, "an id seen twice is never sorted twice: {lines:#?}");
    let with_id = |id: &str| lines.iter().filter(|l| l["item_id"] == id).count();
    assert_eq!(with_id("item-1"), 1, "{lines:#?}");
    // The second item of that id is never announced to the cell: nothing touches it, and the record says so.
    assert_eq!(with_id("item-0"), 1, "{lines:#?}");
    let refused = events(&record, CellEvent::INPUT_REFUSED);
    assert!(refused.iter().any(|e| e.item_id == "item-0"), "{refused:#?}");

    let mut items = good_items(3);
    let early = START_NS - 5_000_000_000;
    if let Some(color) = items[1].color.as_mut() {
        color.header = header(early);
    }
    if let Some(depth) = items[1].depth.as_mut() {
        depth.header = header(early);
    }
    if let Some(info) = items[1].info.as_mut() {
        info.header = header(early);
    }
    items[1].stamp_ns = early;
    let bag = write_bag(dir.path(), "back", &items);
    let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    assert_eq!(lines.len(), 3, "a clock that jumps back loses no item: {lines:#?}");
    let of = |id: &str| lines.iter().find(|l| l["item_id"] == id).unwrap();
    assert_ne!(of("item-1")["disposition"], "SORT", "no picture is surely this item's: {}", of("item-1"));
    for id in ["item-0", "item-2"] {
        assert!(of(id)["damage_score"].is_number(), "{id} was judged: {}", of(id));
    }
}

/// Single captures of different cameras in one bag: each brings its own calibration, and each is judged.
#[test]
fn captures_with_calibrations_of_their_own_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("captures");
    std::fs::create_dir(&folder).unwrap();
    for (k, (width, height)) in [(640, 480), (1280, 720), (640, 480)].into_iter().enumerate() {
        let spec = booth::BoothSpec { seed: 90_030 + k as u64, damage_fraction: 0.0, width, height, ..Default::default() };
        let frame = booth::Booth::new(spec).unwrap().capture(0).frame;
        let (depth, camera) = (frame.depth.unwrap(), frame.intrinsics.unwrap());
        let color = image::RgbImage::from_raw(width, height, frame.color.data().to_vec()).unwrap();
        color.save(folder.join(format!("item{k}_color.png"))).unwrap();
        let mm = depth.data().iter().map(|d| (d * 1000.0).round() as u16).collect();
        let mm: image::ImageBuffer<image::Luma<u16>, Vec<u16>> = image::ImageBuffer::from_raw(width, height, mm).unwrap();
        mm.save(folder.join(format!("item{k}_depth_mm.png"))).unwrap();
        let json = serde_json::json!({"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy});
        std::fs::write(folder.join(format!("item{k}_camera.json")), json.to_string()).unwrap();
    }
    let bag = dir.path().join("bag").display().to_string();
    intact_ok(&["bag", "import", &folder.display().to_string(), "-o", &bag]);
    let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().all(|l| l["damage_score"].is_number()), "every capture is judged: {lines:#?}");
}

/// Two pictures with one stamp: the first is judged, the second is refused and the record says so.
#[test]
fn a_stamp_seen_twice_is_a_counted_drop() {
    let dir = tempfile::tempdir().unwrap();
    let items = good_items(2);
    let path = dir.path().join("doubled");
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    for item in &items {
        let (color, depth, info) = (item.color.as_ref().unwrap(), item.depth.as_ref().unwrap(), item.info.as_ref().unwrap());
        let arrival =
            ItemArrival { header: header(item.stamp_ns), item_id: item.id.clone(), source: "trigger".into(), ..Default::default() };
        let mut other = color.clone();
        other.data.fill(0);
        writer.write("/item_arrival", QosProfile::EVENT, item.stamp_ns, &arrival).unwrap();
        writer.write(COLOR, QosProfile::SENSOR, item.stamp_ns, color).unwrap();
        writer.write(DEPTH, QosProfile::SENSOR, item.stamp_ns, depth).unwrap();
        writer.write(INFO, QosProfile::SENSOR, item.stamp_ns, info).unwrap();
        writer.write(COLOR, QosProfile::SENSOR, item.stamp_ns + 1, &other).unwrap();
    }
    writer.finish().unwrap();
    let (bag, record) = (path.display().to_string(), dir.path().join("record").display().to_string());
    let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep", "--record", &record]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let once = decisions(dir.path(), &["--bag", &write_bag(dir.path(), "once", &items), "--lockstep"]);
    for (twice, once) in lines.iter().zip(&once) {
        assert_eq!(twice["damage_score"], once["damage_score"], "the first picture was judged");
    }
    let refused = events(&record, CellEvent::INPUT_REFUSED);
    let same = refused.iter().filter(|e| e.detail.contains("same stamp")).count();
    assert_eq!(same, 2, "{refused:#?}");
}

#[test]
fn a_bag_cut_off_in_the_middle_gives_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let bag = PathBuf::from(write_bag(dir.path(), "cut", &good_items(4)));
    let file = std::fs::read_dir(&bag).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "mcap")).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let output = intact(&["run", "--json", "--lockstep", "--bag", &bag.display().to_string()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked"), "{error}");
    let lines = crate::support::json_lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "every item that is there got its disposition: {error}");
    assert!(error.contains("cut") || error.contains("end") || error.contains("truncated"), "it is said that the bag is cut off: {error}");
    assert!(lines.len() < 4, "not all four are there: {lines:#?}");
    let first = lines.iter().find(|l| l["item_id"] == "item-0").expect("what lies before the cut is decided");
    assert!(first["damage_score"].is_number(), "{first}");
    let report = intact(&["bag", "check", &bag.display().to_string()]);
    assert_eq!(report.status.code(), Some(1), "the check says so: {}", String::from_utf8_lossy(&report.stdout));
    let report = intact(&["bag", "check", "--json", &bag.display().to_string()]);
    let said: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert!(said.is_object() && report.status.code() == Some(1), "{said}");
}

#[test]
fn a_missing_or_wrong_model_stops_the_cell_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.onnx");
    std::fs::write(&garbage, b"this is no model").unwrap();
    for model in ["/nonexistent.onnx".to_owned(), garbage.display().to_string()] {
        let params = dir.path().join("model.yaml");
        std::fs::write(&params, format!("perception:\n  ros__parameters:\n    model: {model}\n")).unwrap();
        let output = intact(&["run", "--source", "booth", "--items", "1", "--params", &params.display().to_string()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(&model) && !error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_full_disk_stops_sorting_not_the_cell() {
    let inside = r#"
        mount -t tmpfs -o size=64k tmpfs "$1" || exit 77
        exec "$2" run --json --lockstep --bag "$3" --ledger "$1/ledger.sqlite" --record "$1/record"
    "#;
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let bag = write_bag(dir.path(), "bag", &good_items(3));
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "bash", "-c", inside, "-"])
        .arg(&small)
        .arg(crate::support::program("intact"))
        .arg(&bag)
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
        .output();
    let usable = output.ok().filter(|o| o.status.code() != Some(77) && !String::from_utf8_lossy(&o.stderr).contains("unshare:"));
    let Some(output) = usable else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: full disk: no private mount namespace here (unshare --user --mount)");
        return;
    };
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked"), "{error}");
    let lines = crate::support::json_lines(&String::from_utf8_lossy(&output.stdout));
    let said = error.contains("ledger") || error.contains("full");
    assert!(output.status.code() != Some(0) && said, "what was asked for and not kept is no success: {error}");
    assert!(lines.len() == 3 || output.status.code() == Some(2), "all are decided, or it is said why not: {error}");
    for line in lines {
        assert_ne!(line["disposition"], "SORT", "nothing is sorted that the ledger could not hold: {line}");
    }
}

/// Enrolling from a bag: an item that no picture shows must not get the picture of the next one.
#[test]
fn an_item_that_was_never_seen_becomes_no_reference() {
    let dir = tempfile::tempdir().unwrap();
    let mut items = good_items(3);
    (items[1].color, items[1].depth) = (None, None);
    let bag = write_bag(dir.path(), "bag", &items);
    let gallery = format!("sqlite:{}", dir.path().join("g.sqlite").display());
    let output = intact(&["gallery", "enrol", "--product", "tea", &bag, "--gallery", &gallery, "--json"]);
    let lines = crate::support::json_lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!((output.status.code(), lines.len()), (Some(1), 3), "{lines:?}");
    for line in lines {
        let picture = line["picture"].as_str().unwrap();
        if picture.ends_with("#item-1") || !picture.contains('#') {
            assert!(line["error"].as_str().unwrap().contains("`item-1`: the bag has no colour picture"), "{line}");
        } else {
            assert!(!line["error"].as_str().unwrap_or_default().contains("no colour"), "{line}");
        }
    }
}

/// Frames of one camera at 10 Hz, without a word about arrivals: an empty tray, then an item that lies still.
fn write_silent_bag(dir: &Path, name: &str, camera: &str) -> String {
    let path = dir.join(name);
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    let booth = booth::Booth::new(booth::BoothSpec { seed: 90_020, damage_fraction: 0.0, ..Default::default() }).unwrap();
    let (empty, item) = (booth.background(), booth.capture(0).frame);
    for n in 0..40 {
        let frame = if n < 12 { &empty } else { &item };
        let stamp_ns = START_NS + n * 100_000_000;
        let color = vision::ros::color_to_ros(&frame.color, header(stamp_ns));
        writer.write(&format!("/{camera}/rgb/image_rect_color"), QosProfile::SENSOR, stamp_ns, &color).unwrap();
        let depth = vision::ros::depth_to_ros_mm(frame.depth.as_ref().unwrap(), header(stamp_ns));
        writer.write(&format!("/{camera}/depth_registered/image_raw"), QosProfile::SENSOR, stamp_ns, &depth).unwrap();
        let info = vision::ros::intrinsics_to_ros(frame.intrinsics.as_ref().unwrap(), header(stamp_ns));
        writer.write(&format!("/{camera}/rgb/camera_info"), QosProfile::SENSOR, stamp_ns, &info).unwrap();
    }
    writer.finish().unwrap();
    path.display().to_string()
}

/// A user's own bag: other topic names, another camera's name, no arrivals.
#[test]
fn an_item_that_settles_before_another_camera_is_decided() {
    let dir = tempfile::tempdir().unwrap();
    let bag = write_silent_bag(dir.path(), "silent", "right");
    let lines = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    assert_eq!(lines.len(), 1, "one item settles: {lines:#?}");
    assert!(lines[0]["damage_score"].is_number(), "the pictures of this camera were judged: {}", lines[0]);
}

#[test]
fn a_bag_in_which_nothing_arrives_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let bag = write_silent_bag(dir.path(), "silent", "camera");
    let params = dir.path().join("params.yaml");
    std::fs::write(&params, "camera:\n  ros__parameters:\n    arrivals: trigger\n").unwrap();
    let output = intact(&["run", "--json", "--lockstep", "--bag", &bag, "--params", &params.display().to_string()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no item arrived"), "{error}");
}

#[test]
fn a_bag_of_captures_without_depth_is_refused_at_import() {
    let dir = tempfile::tempdir().unwrap();
    image::RgbImage::new(64, 48).save(dir.path().join("box_color.png")).unwrap();
    let output = intact(&["bag", "import", &dir.path().display().to_string(), "-o", &dir.path().join("bag").display().to_string()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("box"), "the file is named: {error}");
    let _ = intact_ok(&["--help"]);
}

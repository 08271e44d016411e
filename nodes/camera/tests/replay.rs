//! Replay of bags, in process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bag::QosProfile;
use common::{Cell, EPOCH, Recording, SECOND, arrival, color, depth, header, info, replay, simple_bag};
use intact_msgs::msg::{CellEvent, Decision, Inspection, ItemArrival};
use node_kit::{Mode, RunningNode};
use ros_interfaces::geometry_msgs::msg::TransformStamped;
use ros_interfaces::rosbag2_interfaces::srv::{GetRate, IsPaused, Pause, Resume, SetRate, SetRateRequest, TogglePaused};
use ros_interfaces::rosgraph_msgs::msg::Clock;
use ros_interfaces::sensor_msgs::msg::CompressedImage;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::Qos;

/// A deadline that only a hang exceeds.
const PATIENCE: Duration = Duration::from_secs(20);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_step_goes_out_in_the_order_that_an_item_needs() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 2);
    let cell = Cell::bag(&dir.path().join("bag"), 0.0, Mode::Lockstep);
    let expected = [
        "tf_static tray camera_color_optical_frame",
        "arrival 0 item-0",
        "info 0",
        "depth 0",
        "color 0 0",
        "info 100",
        "depth 100",
        "color 100 1",
        "info 200",
        "depth 200",
        "color 200 2",
        "arrival 1000 item-1",
        "info 1000",
        "depth 1000",
        "color 1000 3",
        "info 1100",
        "depth 1100",
        "color 1100 4",
        "info 1200",
        "depth 1200",
        "color 1200 5",
        "event 4  end_of_source",
    ];
    let mut lines = cell.play();
    let mut frames: Vec<_> = lines.remove(0).split(' ').map(str::to_owned).collect();
    frames.sort();
    assert_eq!(frames, ["camera_color_optical_frame", "tf_static", "tray"]);
    assert_eq!(lines, expected[1..]);
}

#[test]
fn lockstep_waits_for_all_work_at_every_rate() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 3);
    let mut outcomes = Vec::new();
    for rate in [0.0, 50.0] {
        let cell = Cell::bag(&dir.path().join("bag"), rate, Mode::Lockstep);
        // A slow node: what it has not handled holds the next step up.
        let inbox = cell.camera.ports().inbox::<Arc<ItemArrival>>("slow", 1);
        let into = inbox.clone();
        let _arrivals = cell.node.subscribe("item_arrival", Qos::event(), move |m: Arc<ItemArrival>| drop(into.push(m))).unwrap();
        let log = Arc::clone(&cell.log);
        let _worker = cell.camera.ports().consume("slow", &inbox, move |arrival| {
            std::thread::sleep(Duration::from_millis(60));
            log.lock().unwrap().push(format!("done {}", arrival.item_id));
        });
        outcomes.push(cell.play());
        let ticks = cell.ticks_ns();
        assert!(ticks.windows(2).all(|w| w[0] < w[1]), "/clock only goes forward");
        assert!(ticks.windows(2).all(|w| w[1] - w[0] <= SECOND / 40), "and in small steps");
        assert_eq!((ticks[0], *ticks.last().unwrap()), (EPOCH, EPOCH + 2 * SECOND + SECOND / 5 + 10 * SECOND));
    }
    assert_eq!(outcomes[0], outcomes[1], "the rate changes nothing");
    let place = |line: &str| outcomes[0].iter().position(|l| l == line).unwrap();
    assert!(place("done item-0") > place("color 0 0") && place("done item-0") < place("info 100"));
}

#[test]
fn live_replay_keeps_the_rate() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 21); // 20.2 s
    let cell = Cell::bag(&dir.path().join("bag"), 20.0, Mode::Live);
    let began = Instant::now();
    cell.play();
    let seconds = began.elapsed().as_secs_f64();
    // Never faster than asked; slower only as far as a busy machine makes it.
    assert!((0.98..20.2).contains(&seconds), "{seconds}");
}

#[test]
fn pause_resume_and_rate_are_services() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 3);
    let overrides = replay(&dir.path().join("bag"), 1.0).set("start_paused", true);
    let cell = Cell::try_new(overrides, Mode::Live).unwrap();
    let wait = PATIENCE;
    cell.camera.activate().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    assert!(cell.lines().iter().all(|l| l.starts_with("tf_static")), "paused from the start: {:?}", cell.lines());
    let paused = || cell.node.client::<IsPaused>("camera/is_paused").unwrap().call(Default::default(), wait).unwrap().paused;
    assert!(paused());
    cell.node.client::<Resume>("camera/resume").unwrap().call(Default::default(), wait).unwrap();
    assert!(cell.wait_for("color 0 0", 20.0) && !paused());
    cell.node.client::<Pause>("camera/pause").unwrap().call(Default::default(), wait).unwrap();
    // What was going out when the pause came may still come; then nothing, where /clock would tick every 25 ms.
    let held = |cell: &Cell| {
        let before = cell.log.lock().unwrap().len();
        std::thread::sleep(Duration::from_millis(200));
        cell.log.lock().unwrap().len() == before
    };
    assert!((0..10).any(|_| held(&cell)), "it goes on while paused");
    assert!(held(&cell) && paused(), "nothing moves while paused");
    let set_rate = cell.node.client::<SetRate>("camera/set_rate").unwrap();
    assert!(!set_rate.call(SetRateRequest { rate: -1.0 }, wait).unwrap().success);
    assert!(set_rate.call(SetRateRequest { rate: 100.0 }, wait).unwrap().success);
    assert_eq!(cell.node.client::<GetRate>("camera/get_rate").unwrap().call(Default::default(), wait).unwrap().rate, 100.0);
    cell.node.client::<TogglePaused>("camera/toggle_paused").unwrap().call(Default::default(), wait).unwrap();
    assert!(cell.wait_for("end_of_source", 20.0));
}

#[test]
fn a_loop_goes_on_with_new_stamps_and_ids() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 2);
    let cell = Cell::try_new(replay(&dir.path().join("bag"), 0.0).set("loop", true).set("clutter", true), Mode::Live).unwrap();
    cell.camera.activate().unwrap();
    assert!(cell.wait_for("item-1~3", 20.0));
    cell.camera.deactivate().unwrap();
    let arrivals: Vec<String> = cell.lines().into_iter().filter(|l| l.starts_with("arrival")).take(4).collect();
    // A round takes 1.2 s, the next one follows after one more gap between its last steps, 0.1 s.
    assert_eq!(arrivals[..3], ["arrival 0 item-0 clutter", "arrival 1000 item-1 clutter", "arrival 1300 item-0~2 clutter"]);
    assert!(cell.ticks_ns().windows(2).all(|w| w[0] < w[1]), "time never goes back");
    assert!(cell.lines().iter().all(|l| !l.starts_with("event 3")), "nothing is refused");
    assert_eq!(cell.camera.failure(), None);
}

#[test]
fn a_stopped_replay_goes_on_where_it_was() {
    let dir = folder();
    simple_bag(&dir.path().join("bag"), 3);
    let cell = Cell::bag(&dir.path().join("bag"), 1.0, Mode::Live);
    cell.camera.activate().unwrap();
    assert!(cell.wait_for("color 100 1", 20.0));
    cell.camera.deactivate().unwrap();
    let seen = cell.lines().iter().filter(|l| l.starts_with("color")).count();
    assert!(seen < 9);
    cell.camera.ports().node.parameters(); // the node is still there
    cell.node.client::<SetRate>("camera/set_rate").unwrap().call(SetRateRequest { rate: 100.0 }, PATIENCE).unwrap();
    cell.play();
    let colors: Vec<String> = cell.lines().into_iter().filter(|l| l.starts_with("color")).collect();
    assert_eq!(colors.len(), 9, "none lost, none twice: {colors:?}");
}

#[test]
fn bad_input_is_told_and_survived() {
    let dir = folder();
    let path = dir.path().join("bag");
    let mut r = Recording::new(&path);
    r.arrival(EPOCH, "a");
    r.frame(EPOCH, 1);
    r.arrival(EPOCH + SECOND, "a"); // an id twice
    r.frame(EPOCH + SECOND, 2);
    let log = |k: i64| EPOCH + k * SECOND;
    r.0.write("/camera/color/image_raw", QosProfile::SENSOR, log(2), &color(EPOCH + SECOND, 3)).unwrap(); // a stamp twice
    r.0.write("/camera/color/image_raw", QosProfile::SENSOR, log(3), &color(EPOCH - 5 * SECOND, 4)).unwrap(); // set back, no camera_info
    r.0.write("/camera/color/camera_info", QosProfile::SENSOR, log(4), &info(log(4), 11.0)).unwrap(); // another lens
    r.0.write("/camera/color/image_raw", QosProfile::SENSOR, log(4), &color(log(4), 5)).unwrap();
    r.arrival(log(5), "b");
    r.0.finish().unwrap();
    let cell = Cell::bag(&path, 0.0, Mode::Lockstep);
    let lines = cell.play();
    let refused: Vec<&String> = lines.iter().filter(|l| l.starts_with("event 3")).collect();
    for (words, n) in [("arrived before", 1), ("same stamp", 1), ("set back", 1), ("has changed", 1)] {
        assert_eq!(refused.iter().filter(|l| l.contains(words)).count(), n, "{words}: {refused:?}");
    }
    assert_eq!(cell.camera.ports().diagnostics.count_of("inputs_refused"), refused.len() as u64);
    assert_eq!(lines.iter().filter(|l| l.starts_with("arrival")).count(), 2);
    assert!(!lines.contains(&"color 1000 3".to_owned()), "the doubled frame is dropped");
    assert!(lines.contains(&"color 4000 5".to_owned()) && lines.contains(&"arrival 5000 b".to_owned()), "it goes on");
}

#[test]
fn a_recorded_run_gives_its_record_ahead_of_the_item_and_keeps_its_results_to_itself() {
    let dir = folder();
    let path = dir.path().join("bag");
    let mut r = Recording::new(&path);
    let event = |kind, item: &str, stamp, detail: &str| CellEvent {
        header: header(stamp, ""),
        kind,
        item_id: item.into(),
        node: "perception".into(),
        detail: detail.into(),
    };
    let robot = TransformStamped { header: header(EPOCH, "base_link"), child_frame_id: "tool".into(), ..Default::default() };
    let mut eye =
        TransformStamped { header: header(EPOCH, "cell"), child_frame_id: "camera_color_optical_frame".into(), ..Default::default() };
    eye.transform.rotation.w = 1.0;
    r.0.write("/tf_static", QosProfile::LATCHED, EPOCH - 1, &TFMessage { transforms: vec![eye, robot.clone()] }).unwrap();
    r.0.write("/tf", QosProfile::EVENT, EPOCH - 1, &TFMessage { transforms: vec![robot] }).unwrap();
    for (k, id) in ["a", "b"].into_iter().enumerate() {
        let t = EPOCH + k as i64 * SECOND;
        r.arrival(t, id);
        r.frame(t, k as u8);
        let e = |kind, item: &str, stamp, detail: &str| event(kind, item, stamp, detail);
        r.0.write("/cell_event", QosProfile::EVENT, t + 5, &e(CellEvent::FRAME_CHOSEN, id, t, "")).unwrap();
        r.0.write("/inspection", QosProfile::EVENT, t + 6, &Inspection { item_id: id.into(), ..Default::default() }).unwrap();
        if id == "b" {
            r.0.write("/cell_event", QosProfile::EVENT, t + 7, &e(CellEvent::DEADLINE_EXPIRED, "b#1", t, "had=inspection")).unwrap();
        }
        r.0.write("/decision", QosProfile::EVENT, t + 8, &Decision { item_id: id.into(), ..Default::default() }).unwrap();
        r.0.write("/cell_event", QosProfile::EVENT, t + 9, &e(CellEvent::ITEM_DONE, id, t, "")).unwrap();
    }
    r.0.finish().unwrap();
    let cell = Cell::bag(&path, 0.0, Mode::Lockstep);
    let (i, d) = (Arc::clone(&cell.log), Arc::clone(&cell.log));
    let _i =
        cell.node.subscribe("inspection", Qos::event(), move |m: Arc<Inspection>| i.lock().unwrap().push(format!("result {}", m.item_id)));
    let _d = cell.node.subscribe("decision", Qos::event(), move |m: Arc<Decision>| d.lock().unwrap().push(format!("result {}", m.item_id)));
    let lines = cell.play();
    assert!(!lines.iter().any(|l| l.starts_with("result")), "results are not replayed");
    let story: Vec<&str> = lines.iter().filter(|l| l.starts_with("recorded") || l.starts_with("arrival")).map(String::as_str).collect();
    assert_eq!(story, ["recorded 0 a ", "arrival 0 a", "recorded 1000 b ", "recorded 1000 b#1 had=inspection", "arrival 1000 b"]);
    // The record names stamps of the first round: later ones choose their frames anew.
    let looped = Cell::try_new(replay(&path, 0.0).set("loop", true), Mode::Live).unwrap();
    looped.camera.activate().unwrap();
    assert!(looped.wait_for("arrival 3200 b~2", 20.0) || looped.lines().iter().any(|l| l.ends_with(" b~2")), "{:?}", looped.lines());
    looped.camera.deactivate().unwrap();
    assert!(!looped.lines().iter().any(|l| l.starts_with("recorded") && l.contains("~2")), "{:?}", looped.lines());
    let tf = lines.iter().rfind(|l| l.starts_with("tf_static")).unwrap();
    assert!(tf.contains("camera_link") && tf.contains("tray") && !tf.contains("tool"), "{tf}");
}

#[test]
fn several_cameras_stand_where_parameters_or_the_bag_say() {
    let dir = folder();
    let path = dir.path().join("bag");
    let mut r = Recording::new(&path);
    for camera in ["left", "right"] {
        r.0.write(&format!("/{camera}/color/image_raw"), QosProfile::SENSOR, EPOCH, &color(EPOCH, 1)).unwrap();
        r.0.write(&format!("/{camera}/color/camera_info"), QosProfile::SENSOR, EPOCH, &info(EPOCH, 10.0)).unwrap();
    }
    r.arrival(EPOCH, "a");
    r.0.finish().unwrap();
    let overrides = replay(&path, 0.0)
        .set("cameras", vec!["camera".to_owned(), "line/top".to_owned()])
        .set("extrinsics.line.top", vec![0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let cell = Cell::try_new(overrides, Mode::Lockstep).unwrap();
    let tops = Arc::clone(&cell.log);
    let _top = cell.node.subscribe("line/top/color/image_raw", Qos::sensor(), move |_: Arc<ros_interfaces::sensor_msgs::msg::Image>| {
        tops.lock().unwrap().push("top".into());
    });
    let lines = cell.play();
    assert!(lines.contains(&"color 0 1".to_owned()) && lines.contains(&"top".to_owned()), "{lines:?}");
    let tf = lines.iter().find(|l| l.starts_with("tf_static")).unwrap();
    let has = |frame: &str| tf.split(' ').any(|f| f == frame);
    assert!(has("top_link") && has("top_color_optical_frame") && has("camera_color_optical_frame") && has("tray"), "{tf}");
    assert!(!has("camera_link"), "nobody said where this one stands: {tf}");
    let status = cell.camera.ports().diagnostics.status();
    assert!(cell.camera.failure().is_none() && !status.message.is_empty());
}

#[test]
fn a_pose_is_missed_only_when_pictures_come_without_one() {
    let dir = folder();
    let mut eye =
        TransformStamped { header: header(EPOCH, "cell"), child_frame_id: "camera_color_optical_frame".into(), ..Default::default() };
    eye.transform.rotation.w = 1.0;
    // Nanoseconds after the first frame at which the bag says where the camera stands.
    for (name, pose_ns, warned, in_the_end) in
        [("before", Some(-1), false, false), ("late", Some(SECOND), true, false), ("never", None, true, true)]
    {
        let path = dir.path().join(name);
        let mut r = Recording::new(&path);
        let tf = TFMessage { transforms: vec![eye.clone()] };
        let mut pose = pose_ns.map(|after_ns| (EPOCH + after_ns, tf));
        for t in [EPOCH, EPOCH + 2 * SECOND] {
            if let Some((at_ns, tf)) = pose.take_if(|(at_ns, _)| *at_ns < t) {
                r.0.write("/tf_static", QosProfile::LATCHED, at_ns, &tf).unwrap();
            }
            r.frame(t, 1);
        }
        r.0.finish().unwrap();
        let cell = Cell::bag(&path, 0.0, Mode::Lockstep);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (kept, diagnostics) = (Arc::clone(&said), cell.camera.ports().diagnostics.clone());
        // On the replay's own thread: what the node says of itself whenever time goes on.
        let _clock = cell.node.subscribe("/clock", Qos::clock(), move |m: Arc<Clock>| {
            let late = m.clock.nanos() > EPOCH + 2 * SECOND;
            if !late || m.clock.nanos() < EPOCH + 3 * SECOND {
                kept.lock().unwrap().push((late, diagnostics.status().message.contains("no pose yet")));
            }
        });
        cell.play();
        let said = said.lock().unwrap();
        assert_eq!(said.iter().any(|(late, missed)| !late && *missed), warned, "{name}");
        assert_eq!(said.iter().any(|(late, missed)| *late && *missed), in_the_end, "{name}");
    }
}

#[test]
fn packed_pictures_are_unpacked() {
    let dir = folder();
    let path = dir.path().join("bag");
    let mut r = Recording::new(&path);
    let mut png = Vec::new();
    let picture = image::RgbImage::from_pixel(8, 6, image::Rgb([77, 1, 2]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    for (k, data) in [png, b"no picture".to_vec()].into_iter().enumerate() {
        let t = EPOCH + k as i64 * SECOND;
        let message = CompressedImage { header: header(t, "eye"), format: "rgb8; png compressed".into(), data };
        r.0.write("/camera/color/image_raw/compressed", QosProfile::SENSOR, t, &message).unwrap();
        r.arrival(t, &format!("item-{k}"));
    }
    r.0.finish().unwrap();
    let lines = Cell::bag(&path, 0.0, Mode::Lockstep).play();
    assert!(lines.contains(&"color 0 77".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|l| l.starts_with("event 3") && l.contains("/camera/color/image_raw/compressed is dropped")));
    assert!(lines.contains(&"arrival 1000 item-1".to_owned()), "the item is there all the same");
}

#[test]
fn a_bag_that_was_cut_off_plays_to_the_cut() {
    let dir = folder();
    let path = dir.path().join("bag");
    simple_bag(&path, 40);
    let file = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "mcap")).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
    match Cell::try_new(replay(&path, 0.0).set("end_wait_s", 0.0), Mode::Lockstep) {
        Ok(cell) => {
            let lines = cell.play();
            assert!(lines.iter().any(|l| l.starts_with("event 3")), "the cut is told: {lines:?}");
        }
        Err(why) => assert!(why.contains("bag"), "{why}"),
    }
}

#[test]
fn what_cannot_be_opened_is_one_clear_sentence() {
    let dir = folder();
    let empty = dir.path().join("empty");
    Recording::new(&empty).0.finish().unwrap();
    let blind = dir.path().join("blind");
    let mut r = Recording::new(&blind);
    r.0.write("/item_arrival", QosProfile::EVENT, EPOCH, &arrival(EPOCH, "a")).unwrap();
    r.0.write("/camera/depth/image", QosProfile::SENSOR, EPOCH, &depth(EPOCH, 1)).unwrap();
    r.0.finish().unwrap();
    let seen = dir.path().join("seen");
    simple_bag(&seen, 1);
    let missing = dir.path().join("nowhere");
    for (overrides, words) in [
        (replay(&missing, 1.0), "nowhere"),
        (replay(&empty, 1.0), "it is empty"),
        (replay(&blind, 1.0), "no colour images"),
        (replay(dir.path(), 1.0).set("bag", ""), "needs the parameter `bag`"),
        (replay(&seen, 1.0).set("cameras", vec!["l".to_owned(), "r".to_owned()]), "names 2, but the source has 1"),
        (replay(&seen, 1.0).set("extrinsics.camera", vec![1.0, 2.0]), "has 2 numbers"),
        (replay(&seen, 1.0).set("extrinsics.camra", vec![0.0; 6]), "did you mean `extrinsics.camera`?"),
        (replay(&seen, 1.0).set("source", "realsense"), "source `realsense`"),
        (replay(&seen, 1.0).set("source", "bags"), "did you mean `bag`?"),
        (replay(&seen, 1.0).set("source", "topics"), "lockstep"),
        (replay(&seen, 1.0).set("source", "folder"), "needs the parameter `folder`"),
        (replay(&seen, 1.0).set("source", "folder").set("folder", missing.display().to_string()), "nowhere"),
    ] {
        let error = Cell::try_new(overrides, Mode::Lockstep).err().expect(words);
        assert!(error.contains(words) && !error.contains('\n'), "{words}: {error}");
    }
}

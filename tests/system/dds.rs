//! The cell over DDS on loopback: as one process against an independent peer, and as one process a node.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::replay::scene;
use crate::support::{intact_ok, peer, program, python};

/// A child that ends with its test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, domain: u32) -> Process {
        command.env("ROS_DOMAIN_ID", domain.to_string()).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST");
        Process(command.stdout(Stdio::null()).spawn().expect("a built executable starts"))
    }

    /// Asks it to end, as a launch system does, and waits.
    fn terminate(mut self) -> Option<i32> {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until {
            if let Ok(Some(status)) = self.0.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Domains of these tests, apart from each other and from a cell's default.
const PEER_DOMAIN: u32 = 87;
const PROCESSES_DOMAIN: u32 = 88;
const KILLED_DOMAIN: u32 = 89;

/// First capture of a bag as raw files for the peer: colour rgb8, depth as millimetres.
fn raw_capture(dir: &Path) -> [String; 8] {
    let booth = booth::Booth::new(booth::BoothSpec { seed: 90_010, damage_fraction: 0.0, ..booth::BoothSpec::default() }).unwrap();
    let frame = booth.capture(0).frame;
    let (depth, k) = (frame.depth.unwrap(), frame.intrinsics.unwrap());
    let (color_path, depth_path) = (dir.join("color.rgb"), dir.join("depth.u16"));
    std::fs::write(&color_path, frame.color.data()).unwrap();
    let mm: Vec<u8> = depth.data().iter().flat_map(|d| ((d * 1000.0).round() as u16).to_le_bytes()).collect();
    std::fs::write(&depth_path, mm).unwrap();
    [
        color_path.display().to_string(),
        depth_path.display().to_string(),
        k.width.to_string(),
        k.height.to_string(),
        k.fx.to_string(),
        k.fy.to_string(),
        k.cx.to_string(),
        k.cy.to_string(),
    ]
}

#[test]
fn an_independent_dds_peer_sends_an_arrival_and_receives_the_decision() {
    let Some(python) = python("DDS peer (Eclipse Cyclone)") else { return };
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger.sqlite").display().to_string();
    let cell = Process::start(
        Command::new(program("intact")).args(["run", "--source", "topics", "--transport", "dds", "--ledger", &ledger]),
        PEER_DOMAIN,
    );
    let domain = PEER_DOMAIN.to_string();
    let capture = raw_capture(dir.path());
    let mut args = vec![domain.as_str()];
    args.extend(capture.iter().map(String::as_str));
    args.extend(["from-the-peer", "60"]);
    let decision: Value = serde_json::from_str(peer(&python, "cell_peer.py", &args).trim()).unwrap();
    assert_eq!(decision["item_id"], "from-the-peer");
    assert!(decision["damage_score"].as_f64().unwrap().is_finite(), "the picture was judged: {decision}");
    assert_eq!(cell.terminate(), Some(0), "SIGTERM ends the cell in good order");
}

fn node(name: &str, parameters: &[(&str, &str)], domain: u32) -> Process {
    let mut command = Command::new(program(name));
    command.arg("--ros-args");
    for (key, value) in parameters {
        command.args(["-p", &format!("{key}:={value}")]);
    }
    Process::start(&mut command, domain)
}

/// Counts of a recorded bag by topic.
fn counts(bag: &str) -> Value {
    serde_json::from_str(&intact_ok(&["bag", "info", bag, "--json"])).unwrap()
}

fn messages(info: &Value, topic: &str) -> u64 {
    info["topics"].as_array().unwrap().iter().find(|t| t["name"] == topic).map_or(0, |t| t["messages"].as_u64().unwrap())
}

#[test]
fn the_same_bag_through_one_process_a_node() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_011, 4, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, record, ledger) = (path("scene"), path("record"), path("ledger.sqlite"));
    let others = [
        node("recorder_node", &[("output", &record)], PROCESSES_DOMAIN),
        node("robot_node", &[], PROCESSES_DOMAIN),
        node("decision_node", &[("ledger_path", &ledger)], PROCESSES_DOMAIN),
        node("gallery_node", &[], PROCESSES_DOMAIN),
        node("perception_node", &[], PROCESSES_DOMAIN),
    ];
    std::thread::sleep(Duration::from_secs(4));
    let camera = node("camera_node", &[("source", "bag"), ("bag", &bag)], PROCESSES_DOMAIN);
    // Four items, some 2 s apart, after discovery.
    std::thread::sleep(Duration::from_secs(16));
    assert_eq!(camera.terminate(), Some(0));
    for process in others.into_iter().rev() {
        assert_eq!(process.terminate(), Some(0), "SIGTERM ends a node in good order");
    }
    let info = counts(&record);
    assert_eq!(messages(&info, "/item_arrival"), 4, "{info}");
    assert_eq!(messages(&info, "/decision"), 4, "every item got its disposition: {info}");
    assert_eq!(messages(&info, "/outcome"), 4, "{info}");
    assert!(messages(&info, "/inspection") >= 3, "pictures crossed the processes: {info}");
}

#[test]
fn a_node_killed_in_mid_run_means_sideline_never_sort() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_012, 4, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, record, ledger) = (path("scene"), path("record"), path("ledger.sqlite"));
    let recorder = node("recorder_node", &[("output", &record)], KILLED_DOMAIN);
    let robot = node("robot_node", &[], KILLED_DOMAIN);
    let decision = node("decision_node", &[("ledger_path", &ledger)], KILLED_DOMAIN);
    let perception = node("perception_node", &[], KILLED_DOMAIN);
    std::thread::sleep(Duration::from_secs(4));
    drop(perception);
    let camera = node("camera_node", &[("source", "bag"), ("bag", &bag)], KILLED_DOMAIN);
    std::thread::sleep(Duration::from_secs(16));
    for process in [camera, decision, robot, recorder] {
        process.terminate();
    }
    let info = counts(&record);
    assert_eq!(messages(&info, "/decision"), 4, "{info}");
    let replayed = bag::Bag::open(Path::new(&record)).unwrap();
    let mut seen = 0;
    for message in replayed.messages().filter_map(Result::ok) {
        if &*message.topic == "/decision" {
            let decision: intact_msgs::msg::Decision = ros_interfaces::Message::from_cdr(&message.data).unwrap();
            assert_ne!(decision.disposition, intact_msgs::msg::Decision::SORT, "{decision:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

//! The cell over DDS on loopback: as one process against an independent peer, and as one process a node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use intact_msgs::msg::{Decision, Inspection, Outcome};
use ros_interfaces::Message;
use ros_interfaces::diagnostic_msgs::msg::DiagnosticArray;
use ros_interfaces::rosbag2_interfaces::srv::Resume;
use serde_json::Value;
use transport::{Context, ContextOptions, DiscoveryRange, Node, NodeOptions, Qos, Subscription};

use crate::domain::claim_domain;
use crate::replay::{decisions, scene};
use crate::support::{intact_ok, peer, program, python};

/// A child that ends with its test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, domain: u16) -> Process {
        command.env("ROS_DOMAIN_ID", domain.to_string()).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST");
        Process(command.stdout(Stdio::null()).spawn().expect("a built executable starts"))
    }

    /// Asks it to end, as a launch system does, and waits.
    fn terminate(mut self) -> Option<i32> {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let until = Instant::now() + Duration::from_secs(60);
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
    let number = claim_domain();
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger.sqlite").display().to_string();
    let cell = Process::start(
        Command::new(program("intact")).args(["run", "--source", "topics", "--transport", "dds", "--ledger", &ledger]),
        number,
    );
    let domain = number.to_string();
    let capture = raw_capture(dir.path());
    let mut args = vec![domain.as_str()];
    args.extend(capture.iter().map(String::as_str));
    args.extend(["from-the-peer", "120"]);
    let decision: Value = serde_json::from_str(peer(&python, "cell_peer.py", &args).trim()).unwrap();
    assert_eq!(decision["item_id"], "from-the-peer");
    assert!(decision["damage_score"].as_f64().unwrap().is_finite(), "the picture was judged: {decision}");
    assert_eq!(cell.terminate(), Some(0), "SIGTERM ends the cell in good order");
}

fn node(name: &str, parameters: &[(&str, &str)], domain: u16) -> Process {
    let mut command = Command::new(program(name));
    command.arg("--ros-args");
    for (key, value) in parameters {
        command.args(["-p", &format!("{key}:={value}")]);
    }
    Process::start(&mut command, domain)
}

/// A node of the test's own that listens to the cell's processes.
struct Watch {
    node: Node,
    context: Context,
    /// What each node last said of itself.
    said: Arc<Mutex<BTreeMap<String, BTreeMap<String, String>>>>,
    inspected: Arc<Mutex<BTreeSet<String>>>,
    decided: Arc<Mutex<Vec<Arc<Decision>>>>,
    ended: Arc<Mutex<Vec<Arc<Outcome>>>>,
    _subscriptions: Vec<Subscription>,
}

/// A deadline that only a hang exceeds, on a machine with two slow cores that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);
/// Every process finds every other one within this once the test's own node has found them all.
const DISCOVERY: Duration = Duration::from_secs(3);

impl Watch {
    fn on(domain: u16) -> Watch {
        let context = Context::new(ContextOptions::dds(domain, DiscoveryRange::Localhost)).unwrap();
        let node = context.node(NodeOptions::new("watch")).unwrap();
        let said: Arc<Mutex<BTreeMap<_, BTreeMap<_, _>>>> = Arc::default();
        let inspected: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (decided, ended) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (s, i, d, e) = (Arc::clone(&said), Arc::clone(&inspected), Arc::clone(&decided), Arc::clone(&ended));
        let hear = move |m: Arc<DiagnosticArray>| {
            for status in &m.status {
                let values = status.values.iter().map(|v| (v.key.clone(), v.value.clone())).collect();
                s.lock().unwrap().insert(status.name.clone(), values);
            }
        };
        let _subscriptions = vec![
            node.subscribe("/diagnostics", Qos::event(), hear).unwrap(),
            node.subscribe("inspection", Qos::event(), move |m: Arc<Inspection>| i.lock().unwrap().extend([m.item_id.clone()])).unwrap(),
            node.subscribe("decision", Qos::event(), move |m| d.lock().unwrap().push(m)).unwrap(),
            node.subscribe("outcome", Qos::event(), move |m| e.lock().unwrap().push(m)).unwrap(),
        ];
        context.start().unwrap();
        Watch { node, context, said, inspected, decided, ended, _subscriptions }
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the nodes speak, and lets the paused camera go.
    fn begin(&self, nodes: &[&str]) {
        self.until_heard(nodes);
        self.node.client::<Resume>("/camera/resume").unwrap().call(Default::default(), PATIENCE).unwrap();
    }

    /// Waits until the nodes speak.
    fn until_heard(&self, nodes: &[&str]) {
        let missing = || nodes.iter().filter(|n| !self.said.lock().unwrap().contains_key(**n)).count();
        Self::until("the nodes' diagnostics", || missing() == 0);
        std::thread::sleep(DISCOVERY);
    }

    /// What a node last said of itself under a key.
    fn said(&self, node: &str, key: &str) -> Option<String> {
        self.said.lock().unwrap().get(node)?.get(key).cloned()
    }

    /// Waits until so many items are decided and have come to their end.
    fn until_done(&self, items: usize) {
        Self::until("every decision", || self.decided.lock().unwrap().len() >= items);
        Self::until("every outcome", || self.ended.lock().unwrap().len() >= items);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.context.shutdown();
    }
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
    let domain = claim_domain();
    let watch = Watch::on(domain);
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_011, 6, &["--damaged", "0.4"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, record, ledger) = (path("scene"), path("record"), path("ledger.sqlite"));
    let composed = decisions(dir.path(), &["--bag", &bag, "--lockstep"]);
    let others = [
        node("recorder_node", &[("output", &record)], domain),
        node("robot_node", &[], domain),
        node("decision_node", &[("ledger_path", &ledger)], domain),
        node("gallery_node", &[], domain),
        node("perception_node", &[], domain),
    ];
    let camera = node("camera_node", &[("source", "bag"), ("bag", &bag), ("start_paused", "true")], domain);
    watch.begin(&["/recorder", "/robot", "/decision", "/gallery", "/perception", "/camera"]);
    watch.until_done(6);
    let drift_ms = watch.said("/perception", "drift_ms").map(|said| said.parse::<f64>());
    assert!(matches!(drift_ms, Some(Ok(ms)) if (0.0..1_000.0).contains(&ms)), "perception says a number of milliseconds: {drift_ms:?}");
    assert_eq!(camera.terminate(), Some(0));
    for process in others.into_iter().rev() {
        assert_eq!(process.terminate(), Some(0), "SIGTERM ends a node in good order");
    }
    let info = counts(&record);
    for topic in ["/item_arrival", "/decision", "/outcome", "/inspection"] {
        assert_eq!(messages(&info, topic), 6, "one an item of {topic}: {info}");
    }
    let in_one_process = |id: &str| composed.iter().find(|l| l["item_id"] == id).unwrap_or_else(|| panic!("{id} in {composed:#?}"));
    let mut same = 0;
    for decision in watch.decided.lock().unwrap().iter() {
        let composed = in_one_process(&decision.item_id);
        if decision.damage_score.is_nan() {
            // Images go best effort: one that was lost on the way leaves nothing to judge, and nothing to sort.
            assert_ne!(decision.disposition, Decision::SORT, "{decision:?}");
            continue;
        }
        let name = match decision.disposition {
            Decision::SORT => "SORT",
            Decision::SIDELINE => "SIDELINE",
            _ => "REIMAGE",
        };
        assert_eq!(name, composed["disposition"], "{decision:?} in processes, {composed} in one");
        assert!((f64::from(decision.damage_score) - composed["damage_score"].as_f64().unwrap()).abs() < 1e-5, "{decision:?}; {composed}");
        same += 1;
    }
    assert!(same >= 4, "{same} of 6 pictures crossed the processes");
    assert!(watch.decided.lock().unwrap().iter().any(|d| d.disposition == Decision::SORT), "nothing was sorted");
}

/// Kills one of the cell's processes after the first decision, and gives the decisions of the later items: there is one for
/// each as long as the decision node itself lives.
fn decisions_after_killing(victim: &str, seed: u32) -> Vec<Decision> {
    let domain = claim_domain();
    let watch = Watch::on(domain);
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), seed, 4, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, references, record, ledger) = (path("scene"), path("references"), path("record"), path("ledger.sqlite"));
    let mut others = BTreeMap::from([
        ("recorder", node("recorder_node", &[("output", &record), ("flush_period_s", "0.1")], domain)),
        ("viewer", node("viewer_node", &[("rrd_path", &path("run.rrd"))], domain)),
        ("robot", node("robot_node", &[], domain)),
        ("decision", node("decision_node", &[("ledger_path", &ledger)], domain)),
        ("gallery", node("gallery_node", &[("references_dir", &references)], domain)),
        ("perception", node("perception_node", &[], domain)),
    ]);
    others.insert("camera", node("camera_node", &[("source", "bag"), ("bag", &bag), ("start_paused", "true")], domain));
    watch.begin(&["/recorder", "/viewer", "/robot", "/decision", "/gallery", "/perception", "/camera"]);
    Watch::until("the first decision", || !watch.decided.lock().unwrap().is_empty());
    if victim == "recorder" {
        let on_disk = || bag::info(Path::new(&record)).is_ok_and(|i| i.topics.iter().any(|t| t.name == "/decision" && t.messages > 0));
        Watch::until("the first decision on the disk", on_disk);
    }
    drop(others.remove(victim).unwrap()); // SIGKILL
    match victim {
        "camera" => std::thread::sleep(Duration::from_secs(6)), // longer than any deadline
        "robot" => Watch::until("every decision", || watch.decided.lock().unwrap().len() >= 4),
        _ => watch.until_done(4),
    }
    for process in others.into_values() {
        process.terminate();
    }
    let info = counts(&record);
    match victim {
        "recorder" => assert!(messages(&info, "/decision") > 0, "what was written before is readable: {info}"),
        "camera" => assert_eq!(messages(&info, "/decision"), messages(&info, "/item_arrival"), "{victim} killed: {info}"),
        _ => assert_eq!(messages(&info, "/decision"), 4, "{victim} killed: {info}"),
    }
    let recorded = bag::Bag::open(Path::new(&record)).unwrap();
    let of = |m: &bag::BagMessage| (&*m.topic == "/decision").then(|| Decision::from_cdr(&m.data).unwrap());
    recorded.messages().filter_map(Result::ok).filter_map(|m| of(&m)).collect()
}

#[test]
fn a_node_killed_in_mid_run_never_means_sort() {
    // What was inspected before may still be decided on; the last two items come later.
    for (victim, seed) in [("perception", 90_012), ("gallery", 90_013)] {
        for decision in &decisions_after_killing(victim, seed)[2..] {
            assert_ne!(decision.disposition, Decision::SORT, "{victim} killed: {decision:?}");
        }
    }
    // Without a camera nothing more arrives; what arrived has its disposition, and nothing is sorted without a picture.
    for decision in decisions_after_killing("camera", 90_015) {
        assert!(decision.disposition != Decision::SORT || !decision.damage_score.is_nan(), "{decision:?}");
    }
    // Without a robot every item is still decided.
    decisions_after_killing("robot", 90_014);
}

#[test]
fn a_killed_recorder_or_viewer_is_not_in_the_lines_way() {
    for (victim, seed) in [("recorder", 90_017), ("viewer", 90_018)] {
        let recorded = decisions_after_killing(victim, seed);
        assert!(recorded.iter().all(|d| !d.item_id.is_empty() && !d.reasons.is_empty()), "{recorded:?}");
    }
}

/// Killed in mid-run and started again, the decision node goes on from its ledger: what it had decided is not sorted again,
/// what it had not is decided now.
#[test]
fn a_decision_node_that_was_killed_goes_on_from_its_ledger() {
    let domain = claim_domain();
    let watch = Watch::on(domain);
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_016, 3, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, ledger) = (path("scene"), path("ledger.sqlite"));
    let decision = || node("decision_node", &[("ledger_path", &ledger), ("run_id", "shift")], domain);
    let camera = || node("camera_node", &[("source", "bag"), ("bag", &bag), ("start_paused", "true")], domain);
    let _others = ["robot_node", "gallery_node", "perception_node"].map(|name| node(name, &[], domain));
    let (victim, first_camera) = (decision(), camera());
    watch.begin(&["/robot", "/decision", "/gallery", "/perception", "/camera"]);
    Watch::until("the first decision", || !watch.decided.lock().unwrap().is_empty());
    drop(victim); // SIGKILL
    Watch::until("the inspection of what nobody decides", || watch.inspected.lock().unwrap().len() == 3);
    std::thread::sleep(Duration::from_secs(2)); // longer than a decision takes
    // What is written counts: the decision may have been killed before it said so.
    let read = || disposition::Ledger::open(Path::new(&ledger)).unwrap();
    let before: BTreeSet<String> = read().decisions("shift").unwrap().into_iter().map(|entry| entry.item_id).collect();
    watch.decided.lock().unwrap().clear();
    assert!(before.len() < 3, "killed too late to say anything");
    drop(first_camera);
    for node in ["/decision", "/camera"] {
        watch.said.lock().unwrap().remove(node);
    }
    let _again = (decision(), camera());
    watch.begin(&["/decision", "/camera"]);
    Watch::until("every item's decision", || watch.decided.lock().unwrap().len() == 3);
    for decision in watch.decided.lock().unwrap().iter() {
        let twice = decision.reasons.iter().any(|reason| reason == Decision::DUPLICATE_ITEM);
        assert_eq!(twice, before.contains(&decision.item_id), "{before:?} were decided before: {decision:?}");
        assert!(!twice || decision.disposition == Decision::SIDELINE, "{decision:?}");
    }
    assert_eq!(read().decisions("shift").unwrap().len(), 3, "one entry an item");
    read().verify().unwrap();
}

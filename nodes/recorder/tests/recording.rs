//! The recorder in a composed process: what is published is in the bag, and the line never waits for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bag::{Bag, BagMessage, Durability, Reliability};
use intact_msgs::msg::{CellEvent, Decision, ItemArrival};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, State, launch};
use recorder::Recorder;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::diagnostic_msgs::msg::DiagnosticStatus;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::String as Text;
use tempfile::TempDir;
use transport::{Context, ContextOptions, Node, NodeOptions, ParameterValue, Publisher, Qos};

struct Cell {
    context: Context,
    node: Node,
}

fn cell() -> Cell {
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("line")).unwrap();
    Cell { context, node }
}

impl Cell {
    fn recorder(&self, output: &Path, mode: Mode, set: &[(&str, ParameterValue)]) -> Running<Recorder> {
        let mut overrides = NodeOverrides::default().set("output", ParameterValue::String(output.display().to_string()));
        for (name, value) in set {
            overrides = overrides.set(*name, value.clone());
        }
        launch::<Recorder>(&self.context, overrides, mode).unwrap()
    }

    fn images(&self) -> Publisher<Image> {
        self.node.publisher::<Image>("camera/color/image_raw", Qos::sensor()).unwrap()
    }
}

fn image(n: u32, side: u32) -> Image {
    let mut image = Image { height: side, width: side, encoding: "rgb8".into(), step: side * 3, ..Image::default() };
    image.header.stamp = Time::from_nanos(1_000_000_000 + i64::from(n));
    image.data = vec![n as u8; (side * side * 3) as usize];
    image
}

fn strings(values: &[&str]) -> ParameterValue {
    ParameterValue::StringArray(values.iter().map(|v| (*v).to_string()).collect())
}

fn read(path: &Path) -> Vec<BagMessage> {
    let bag = Bag::open(path).unwrap();
    assert_eq!(bag.problems(), Vec::<String>::new());
    bag.messages().map(Result::unwrap).collect()
}

fn of<M: ros_interfaces::Message>(messages: &[BagMessage], topic: &str) -> Vec<M> {
    messages.iter().filter(|m| &*m.topic == topic).map(|m| m.decode().unwrap()).collect()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_published_is_in_the_bag() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run");
    let cell = cell();
    let robot = cell.node.publisher::<Text>("robot_description", Qos::latched()).unwrap();
    robot.publish(Text { data: "<robot/>".into() }).unwrap(); // before anyone listens
    let recorder = cell.recorder(&path, Mode::Live, &[("metadata", strings(&["seed=7"]))]);
    let (images, arrivals) = (cell.images(), cell.node.publisher::<ItemArrival>("item_arrival", Qos::event()).unwrap());
    cell.context.start().unwrap();
    recorder.activate().unwrap();
    for n in 0..20 {
        images.publish(image(n, 32)).unwrap();
    }
    arrivals.publish(ItemArrival { item_id: "a".into(), ..ItemArrival::default() }).unwrap();
    recorder.ports().event(CellEvent::ITEM_DONE, "a", Time::default(), "");
    recorder.deactivate().unwrap();
    let messages = read(&path);
    let recorded: Vec<Image> = of(&messages, "/camera/color/image_raw");
    assert_eq!(recorded, (0..20).map(|n| image(n, 32)).collect::<Vec<_>>());
    assert_eq!(of::<ItemArrival>(&messages, "/item_arrival")[0].item_id, "a");
    assert_eq!(of::<CellEvent>(&messages, "/cell_event")[0].kind, CellEvent::ITEM_DONE);
    assert_eq!(of::<Text>(&messages, "/robot_description")[0].data, "<robot/>");
    let first = messages.iter().find(|m| m.topic.ends_with("image_raw")).unwrap();
    assert_eq!(first.publish_time_ns, 1_000_000_000, "the stamp of the header");
    assert!(first.log_time_ns > 1_700_000_000_000_000_000, "the time of receipt");
    let bag = Bag::open(&path).unwrap();
    assert_eq!(bag.custom_data()["seed"], "7");
    let qos = |name: &str| bag.topics().iter().find(|t| t.name == name).unwrap().offered_qos[0];
    assert_eq!(qos("/camera/color/image_raw").reliability, Reliability::BestEffort);
    assert_eq!(qos("/robot_description").durability, Durability::TransientLocal);
    assert_eq!(qos("/decision").reliability, Reliability::Reliable);
}

#[test]
fn a_second_activation_makes_a_second_bag() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run");
    let cell = cell();
    let recorder = cell.recorder(&path, Mode::Live, &[("topics", strings(&["decision"]))]);
    let decisions = cell.node.publisher::<Decision>("decision", Qos::event()).unwrap();
    for id in ["one", "two"] {
        recorder.activate().unwrap();
        decisions.publish(Decision { item_id: id.into(), ..Decision::default() }).unwrap();
        recorder.deactivate().unwrap();
        decisions.publish(Decision { item_id: "between".into(), ..Decision::default() }).unwrap();
    }
    let ids = |path: PathBuf| of::<Decision>(&read(&path), "/decision").into_iter().map(|d| d.item_id).collect::<Vec<_>>();
    assert_eq!(ids(path), ["one"]);
    assert_eq!(ids(dir.path().join("run_1")), ["two"]);
}

#[test]
fn lockstep_records_everything_before_it_is_idle() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run");
    let cell = cell();
    let set = [("max_queue_mib", ParameterValue::Integer(1)), ("flush_period_s", ParameterValue::Double(0.05))];
    let recorder = cell.recorder(&path, Mode::Lockstep, &set);
    let images = cell.images();
    recorder.activate().unwrap();
    for n in 0..20 {
        images.publish(image(n, 256)).unwrap(); // 4 MB in all, 1 MiB allowed
    }
    assert!(cell.context.activity().wait_idle(Duration::from_secs(20)));
    assert_eq!(recorder.ports().diagnostics.count_of("recorded"), 20);
    drop(recorder);
    assert_eq!(of::<Image>(&read(&path), "/camera/color/image_raw").len(), 20);
}

#[test]
fn a_slow_disk_costs_images_and_says_so_in_the_record() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run");
    let cell = cell();
    let recorder = cell.recorder(
        &path,
        Mode::Live,
        &[("max_queue_mib", ParameterValue::Integer(1)), ("flush_period_s", ParameterValue::Double(0.05))],
    );
    let (images, decisions) = (cell.images(), cell.node.publisher::<Decision>("decision", Qos::event()).unwrap());
    // Inactive, nothing is written: the disk at its slowest.
    for n in 0..20 {
        images.publish(image(n, 256)).unwrap();
        decisions.publish(Decision::default()).unwrap();
    }
    recorder.activate().unwrap();
    wait_for("the event about drops", || recorder.ports().diagnostics.count_of("frames_dropped") > 0);
    recorder.deactivate().unwrap();
    let messages = read(&path);
    let kept = of::<Image>(&messages, "/camera/color/image_raw").len();
    assert!((1..20).contains(&kept), "{kept} images");
    assert_eq!(of::<Decision>(&messages, "/decision").len(), 20, "small messages are not dropped");
    let events: Vec<CellEvent> = of(&messages, "/cell_event");
    assert_eq!(events[0].kind, CellEvent::FRAME_DROPPED);
    assert!(events[0].detail.contains(&format!("{} messages of /camera/color/image_raw", 20 - kept)), "{}", events[0].detail);
}

#[test]
fn what_cannot_be_recorded_is_refused_at_the_start() {
    let cell = cell();
    let refuse = |name: &str, value: ParameterValue| {
        let overrides = NodeOverrides::default().set(name, value);
        launch::<Recorder>(&cell.context, overrides, Mode::Live).err().unwrap().to_string()
    };
    assert!(refuse("topics", strings(&["desicion"])).contains("decision"));
    assert!(refuse("metadata", strings(&["seed"])).contains("key=value"));
    let dir = TempDir::new().unwrap();
    let recorder = cell.recorder(dir.path(), Mode::Live, &[]);
    let error = recorder.activate().unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(recorder.state(), State::Inactive);
}

/// Set for the run of this binary inside a small file system of its own.
const SMALL_DISK: &str = "INTACT_TEST_SMALL_DISK";

fn fill(disk: &Path) {
    let path = disk.join("run");
    let cell = cell();
    let set = [("compression", ParameterValue::String("none".into())), ("flush_period_s", ParameterValue::Double(0.05))];
    let recorder = cell.recorder(&path, Mode::Live, &set);
    let images = cell.images();
    recorder.activate().unwrap();
    let status = || recorder.ports().diagnostics.status();
    let mut n = 0;
    wait_for("the full disk", || {
        n += 1;
        images.publish(image(n, 128)).unwrap();
        status().level == DiagnosticStatus::ERROR
    });
    assert!(status().message.contains("recording has stopped: no space left"), "{}", status().message);
    assert_eq!(recorder.failure(), None, "the cell goes on");
    images.publish(image(0, 128)).unwrap();
    assert!(cell.context.activity().wait_idle(Duration::from_secs(30)));
    recorder.deactivate().unwrap();
    let kept = Bag::open(&path).unwrap().messages().filter(Result::is_ok).count();
    assert!(kept > 5, "{kept} messages");
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_cell() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return fill(&PathBuf::from(disk));
    }
    let dir = TempDir::new().unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{0}' && exec \"$@\"", dir.path().display());
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let possible = Command::new("unshare").args(unshare).args([mount.as_str(), "sh", "true"]).output();
    if !possible.is_ok_and(|o| o.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no private mount namespace here for a disk that fills up (unshare --user --mount)");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let inner = [this.to_str().unwrap(), "--exact", "a_full_disk_ends_the_recording_and_not_the_cell", "--nocapture"];
    let out = Command::new("unshare").args(unshare).args([mount.as_str(), "sh"]).args(inner).env(SMALL_DISK, dir.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}");
}

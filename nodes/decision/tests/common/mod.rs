//! The decision node between a test that plays the other nodes and a robot that only counts.
#![allow(dead_code)]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use intact_msgs::{
    action::{DivertItem, DivertItemGoal, DivertItemResult},
    msg::{CellEvent, Decision as DecisionMessage, GalleryReport, Inspection, ItemArrival, ItemInstance, Outcome, StageTiming},
};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use ros_interfaces::{
    builtin_interfaces::msg::Time,
    geometry_msgs::msg::{Point, Pose, PoseStamped, Quaternion, Transform, TransformStamped, Vector3},
    rosgraph_msgs::msg::Clock,
    std_msgs::msg::Header,
    tf2_msgs::msg::TFMessage,
};
use transport::{
    ActionOutcome, ActionServer, ActionServerHandle, Context, ContextOptions, GoalHandle, Node, NodeOptions, Publisher, Qos, Subscription,
};

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const STAMP_S: i64 = 1000;
const CAMERA: &str = "camera_color_optical_frame";

fn header(frame_id: &str) -> Header {
    Header { stamp: Time::from_nanos(STAMP_S * 1_000_000_000), frame_id: frame_id.into() }
}

pub fn arrival(id: &str) -> ItemArrival {
    ItemArrival { header: header("tray"), item_id: id.into(), ..ItemArrival::default() }
}

pub fn inspection(id: &str) -> Inspection {
    let pose = Pose { position: Point { x: 0.1, y: 0.0, z: 0.9 }, orientation: Quaternion { x: 1.0, y: 0.0, z: 0.0, w: 0.0 } };
    let instance = ItemInstance {
        instance_id: 1,
        damage_score: 0.1,
        pick_pose: PoseStamped { header: header(CAMERA), pose },
        pick_pose_valid: true,
        ..ItemInstance::default()
    };
    Inspection {
        header: header(CAMERA),
        item_id: id.into(),
        ok: true,
        instances: vec![instance],
        damage_score: 0.1,
        damage_threshold: 0.5,
        model: "classical".into(),
        timings: vec![StageTiming { stage: "segment".into(), ms: 20.0 }, StageTiming { stage: "score".into(), ms: 5.0 }],
        ..Inspection::default()
    }
}

pub fn report(id: &str) -> GalleryReport {
    GalleryReport {
        header: header(CAMERA),
        item_id: id.into(),
        ok: true,
        has_reference: true,
        product: "cup".into(),
        identity_score: 0.9,
        anomaly_score: 0.05,
        coverage: 0.9,
        ..GalleryReport::default()
    }
}

/// Takes every goal and needs as long as it is told.
struct CountingRobot {
    goals: Mutex<mpsc::Sender<DivertItemGoal>>,
    motion: Arc<Mutex<Duration>>,
}

impl ActionServer<DivertItem> for CountingRobot {
    fn accept(&self, _: &DivertItemGoal) -> Result<(), String> {
        Ok(())
    }

    fn execute(&self, goal: DivertItemGoal, handle: &GoalHandle<DivertItem>) -> ActionOutcome<DivertItem> {
        let until = Instant::now() + *self.motion.lock().unwrap();
        while Instant::now() < until && !handle.cancel_requested() {
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(self.goals.lock().unwrap().send(goal));
        ActionOutcome::Succeeded(DivertItemResult { success: true, duration_s: 1.0, ..DivertItemResult::default() })
    }
}

pub struct Bench {
    pub decision_node: Running<decision::Decision>,
    pub node: Node,
    pub ledger: PathBuf,
    pub motion: Arc<Mutex<Duration>>,
    pub arrivals: Publisher<ItemArrival>,
    pub inspections: Publisher<Inspection>,
    pub reports: Publisher<GalleryReport>,
    pub recorded: Publisher<CellEvent>,
    clocks: Publisher<Clock>,
    pub decisions: mpsc::Receiver<Arc<DecisionMessage>>,
    pub outcomes: mpsc::Receiver<Arc<Outcome>>,
    pub goals: mpsc::Receiver<DivertItemGoal>,
    events: Arc<Mutex<Vec<Arc<CellEvent>>>>,
    _robot: Option<ActionServerHandle>,
    _tf: Option<Publisher<TFMessage>>,
    _subscriptions: Vec<Subscription>,
    _folder: tempfile::TempDir,
}

pub fn bench(mode: Mode, overrides: NodeOverrides, with_camera_frame: bool) -> Bench {
    make(mode, overrides, with_camera_frame, true)
}

pub fn bench_without_robot(overrides: NodeOverrides) -> Bench {
    make(Mode::Live, overrides, true, false)
}

fn make(mode: Mode, overrides: NodeOverrides, with_camera_frame: bool, with_robot: bool) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.db");
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("test")).unwrap();
    let ((d_in, decisions), (o_in, outcomes), (g_in, goals)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
    let events: Arc<Mutex<Vec<Arc<CellEvent>>>> = Arc::default();
    let kept = Arc::clone(&events);
    let subscriptions = vec![
        node.subscribe("decision", Qos::event(), move |m| drop(d_in.send(m))).unwrap(),
        node.subscribe("outcome", Qos::event(), move |m| drop(o_in.send(m))).unwrap(),
        node.subscribe("cell_event", Qos::event(), move |m| kept.lock().unwrap().push(m)).unwrap(),
    ];
    let motion = Arc::new(Mutex::new(Duration::ZERO));
    let robot = with_robot.then(|| start_robot(&node, g_in, &motion));
    let tf = with_camera_frame.then(|| publish_camera_frame(&node));
    let mut all = NodeOverrides::default().set("run_id", "test").set("ledger_path", ledger.display().to_string());
    if mode == Mode::Live {
        // On the steady clock a busy machine would miss the shipped deadline.
        all = all.set("deadline_ms", 60_000_i64).set("frame_wait_ms", 60_000_i64);
    }
    // What a test sets comes last and holds.
    all.parameters.extend(overrides.parameters);
    let ledger = all.get("ledger_path").map(|v| PathBuf::from(String::try_from(v.clone()).unwrap())).unwrap();
    let decision_node = launch::<decision::Decision>(&context, all, mode).unwrap();
    let bench = Bench {
        arrivals: node.publisher("item_arrival", Qos::event()).unwrap(),
        inspections: node.publisher("inspection", Qos::event()).unwrap(),
        reports: node.publisher("gallery_report", Qos::event()).unwrap(),
        recorded: node.publisher("recorded_event", Qos::event()).unwrap(),
        clocks: node.publisher("/clock", Qos::clock()).unwrap(),
        decision_node,
        node,
        ledger,
        motion,
        decisions,
        outcomes,
        goals,
        events,
        _robot: robot,
        _tf: tf,
        _subscriptions: subscriptions,
        _folder: folder,
    };
    context.start().unwrap();
    bench.decision_node.activate().unwrap();
    bench
}

/// Serves `divert_item`; the goals that it has done come out of the other end of `goals`.
pub fn start_robot(node: &Node, goals: mpsc::Sender<DivertItemGoal>, motion: &Arc<Mutex<Duration>>) -> ActionServerHandle {
    let robot = CountingRobot { goals: Mutex::new(goals), motion: Arc::clone(motion) };
    node.action_server("divert_item", robot).unwrap()
}

fn publish_camera_frame(node: &Node) -> Publisher<TFMessage> {
    let publisher = node.publisher::<TFMessage>("/tf_static", Qos::latched()).unwrap();
    let transform = TransformStamped {
        header: header("cell"),
        child_frame_id: CAMERA.into(),
        transform: Transform { translation: Vector3 { x: 0.55, y: 0.0, z: 1.0 }, rotation: Quaternion { x: 1.0, y: 0.0, z: 0.0, w: 0.0 } },
    };
    publisher.publish(TFMessage { transforms: vec![transform] }).unwrap();
    publisher
}

impl Bench {
    pub fn decision(&self) -> Arc<DecisionMessage> {
        self.decisions.recv_timeout(PATIENCE).expect("a decision")
    }

    /// ROS time, milliseconds after the stamps of all messages here.
    pub fn clock(&self, after_ms: i64) {
        let clock = Time::from_nanos(STAMP_S * 1_000_000_000 + after_ms * 1_000_000);
        self.clocks.publish(Clock { clock }).unwrap();
    }

    pub fn eventually(&self, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < PATIENCE, "it never came true");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The detail of an event, once it is there.
    pub fn wait_event(&self, kind: u8, item_id: &str) -> String {
        let find = || self.events.lock().unwrap().iter().find(|e| e.kind == kind && e.item_id == item_id).cloned();
        self.eventually(|| find().is_some());
        find().unwrap().detail.clone()
    }

    pub fn wait_handled(&self) {
        assert!(self.node.context().activity().wait_idle(PATIENCE));
    }
}

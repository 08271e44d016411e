//! The robot node in process: goals, outcomes, state, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use intact_msgs::{
    action::{DivertItem, DivertItemFeedback, DivertItemGoal},
    msg::Outcome,
};
use manipulation::RobotModel;
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use robot::{DEMO_URDF, Robot};
use ros_interfaces::{
    geometry_msgs::msg::{Point, Pose, PoseStamped, Quaternion, Transform, TransformStamped, Vector3},
    sensor_msgs::msg::JointState,
    std_msgs::msg::{Header, String as StringMessage},
    tf2_msgs::msg::TFMessage,
};
use transport::{ActionClient, ActionError, ActionOutcome, Context, ContextOptions, Node, NodeOptions, Qos, Subscription};

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    robot: Running<Robot>,
    node: Node,
    client: ActionClient<DivertItem>,
    outcomes: mpsc::Receiver<Arc<Outcome>>,
    states: Arc<Mutex<Vec<Arc<JointState>>>>,
    _subscriptions: Vec<Subscription>,
    _context: Context,
}

fn bench(mode: Mode, overrides: NodeOverrides) -> Bench {
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("test")).unwrap();
    let (sender, outcomes) = mpsc::channel();
    let states: Arc<Mutex<Vec<Arc<JointState>>>> = Arc::default();
    let kept = Arc::clone(&states);
    let subscriptions = vec![
        node.subscribe("outcome", Qos::event(), move |m| drop(sender.send(m))).unwrap(),
        node.subscribe("joint_states", Qos::sensor(), move |m| kept.lock().unwrap().push(m)).unwrap(),
    ];
    let robot = launch::<Robot>(&context, overrides, mode).unwrap();
    let client = node.action_client("divert_item").unwrap();
    context.start().unwrap();
    robot.activate().unwrap();
    Bench { robot, node, client, outcomes, states, _subscriptions: subscriptions, _context: context }
}

fn goal(frame: &str, position: [f64; 3], orientation: [f64; 4], lane: &str) -> DivertItemGoal {
    let ([x, y, z], [qx, qy, qz, qw]) = (position, orientation);
    DivertItemGoal {
        item_id: "item".into(),
        lane: lane.into(),
        pick_pose: PoseStamped {
            header: Header { frame_id: frame.into(), ..Header::default() },
            pose: Pose { position: Point { x, y, z }, orientation: Quaternion { x: qx, y: qy, z: qz, w: qw } },
        },
    }
}

const UP: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

fn looking_down_from_a_metre(node: &Node) -> transport::Publisher<TFMessage> {
    let publisher = node.publisher::<TFMessage>("/tf_static", Qos::latched()).unwrap();
    let transform = TransformStamped {
        header: Header { frame_id: "tray".into(), ..Header::default() },
        child_frame_id: "camera_color_optical_frame".into(),
        transform: Transform { translation: Vector3 { x: 0.0, y: 0.0, z: 1.0 }, rotation: Quaternion { x: 1.0, y: 0.0, z: 0.0, w: 0.0 } },
    };
    publisher.publish(TFMessage { transforms: vec![transform] }).unwrap();
    publisher
}

#[test]
fn diverts_an_item_seen_by_the_camera_inside_the_urdfs_limits() {
    let bench = bench(Mode::Lockstep, NodeOverrides::default());
    let _tf = looking_down_from_a_metre(&bench.node);
    let phases: Arc<Mutex<Vec<u8>>> = Arc::default();
    let heard = Arc::clone(&phases);
    // The camera sees a surface that faces it: its normal is the camera's −z.
    let seen = goal("camera_color_optical_frame", [0.05, 0.1, 0.92], [1.0, 0.0, 0.0, 0.0], "sort_a");
    let ended = bench.client.send(seen, move |f: DivertItemFeedback| heard.lock().unwrap().push(f.phase), PATIENCE).unwrap();
    let ActionOutcome::Succeeded(result) = ended else { panic!("{ended:?}") };
    assert!(result.success && result.message.is_empty());
    assert!((1.0..15.0).contains(&result.duration_s) && result.path_length_rad > 2.0, "{result:?}");
    let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!((outcome.result, outcome.lane.as_str(), outcome.item_id.as_str()), (Outcome::DIVERTED, "sort_a", "item"));

    let mut phases = phases.lock().unwrap().clone();
    assert!(phases.is_sorted(), "{phases:?}");
    phases.dedup();
    assert_eq!(phases, [0, 1, 2, 3, 4, 5]);

    let arm = RobotModel::parse(DEMO_URDF).unwrap().arm("tool0", &[6.0]).unwrap();
    let states = bench.states.lock().unwrap();
    let mut picked = f64::INFINITY;
    for state in states.iter() {
        for ((q, v), limits) in state.position.iter().zip(&state.velocity).zip(arm.limits()) {
            assert!((limits.lower_rad..=limits.upper_rad).contains(q) && v.abs() <= limits.velocity_rad_s);
        }
        let cup = arm.tip_pose(&manipulation::nalgebra::DVector::from_row_slice(&state.position)).translation.vector;
        // 0.05 right and 0.1 down in the picture, 0.08 m above the tray's middle.
        picked = picked.min((cup - manipulation::nalgebra::Vector3::new(0.05, -0.10, 0.08)).norm());
    }
    assert!(picked < 1e-3, "the cup came no nearer than {picked} m");
}

#[test]
fn what_it_cannot_take_on_is_rejected_and_left_for_a_person() {
    let bench = bench(Mode::Lockstep, NodeOverrides::default());
    let nan = f64::NAN;
    for (wrong, word) in [
        (goal("cell", [0.0, 0.0, 0.1], UP, "nowhere"), "no bin"),
        (goal("moon", [0.0, 0.0, 0.1], UP, "sort_a"), "NO_TRANSFORM"),
        (goal("", [0.0, 0.0, 0.1], UP, "sort_a"), "NO_TRANSFORM"),
        (goal("cell", [nan, 0.0, 0.1], UP, "sort_a"), "not a pose"),
        (goal("cell", [0.0, 0.0, 0.1], [0.0; 4], "sort_a"), "not a pose"),
        (goal("cell", [0.0, 0.0, 0.1], [0.0, 0.0, nan, 1.0], "sort_a"), "not a pose"),
        (DivertItemGoal { item_id: String::new(), ..goal("cell", [0.0, 0.0, 0.1], UP, "sort_a") }, "no item"),
    ] {
        let refused = bench.client.send(wrong, |_| {}, PATIENCE);
        let Err(ActionError::Rejected { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(word), "{reason}");
        let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
        assert_eq!((outcome.result, &outcome.message), (Outcome::LEFT_FOR_PERSON, &reason));
    }
}

#[test]
fn what_it_cannot_reach_is_said_and_not_touched() {
    let bench = bench(Mode::Lockstep, NodeOverrides::default());
    let before = bench.states.lock().unwrap().len();
    for (far, word) in
        [(goal("cell", [2.5, 0.0, 0.1], UP, "sort_a"), "reach"), (goal("cell", [0.0, 0.0, 0.1], [1.0, 0.0, 0.0, 0.0], "sort_a"), "leans")]
    {
        let ended = bench.client.send(far, |_| {}, PATIENCE).unwrap();
        let ActionOutcome::Aborted(result) = ended else { panic!("{ended:?}") };
        assert!(!result.success && result.message.contains(word), "{}", result.message);
        let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
        assert_eq!(outcome.result, Outcome::LEFT_FOR_PERSON);
    }
    assert_eq!(bench.states.lock().unwrap().len(), before, "the arm moved");
}

#[test]
fn tells_latecomers_what_it_is_and_everybody_where_it_is() {
    let overrides = NodeOverrides::default().set("state_hz", 100.0);
    let bench = bench(Mode::Live, overrides);
    let (sender, described) = mpsc::channel();
    let _late = bench.node.subscribe("robot_description", Qos::latched(), move |m: Arc<StringMessage>| drop(sender.send(m))).unwrap();
    assert_eq!(described.recv_timeout(PATIENCE).unwrap().data, DEMO_URDF);
    let (sender, fixed) = mpsc::channel();
    let _tf = bench.node.subscribe("/tf_static", Qos::latched(), move |m: Arc<TFMessage>| drop(sender.send(m))).unwrap();
    let fixed = fixed.recv_timeout(PATIENCE).unwrap();
    for frame in ["tray", "base_link", "tool0", "sort_a", "sort_b", "sideline", "reimage"] {
        assert!(fixed.transforms.iter().any(|t| t.child_frame_id == frame), "{frame}");
    }
    let started = Instant::now();
    while bench.states.lock().unwrap().len() < 5 {
        assert!(started.elapsed() < PATIENCE, "no joint states come while the arm rests");
        std::thread::sleep(Duration::from_millis(10));
    }
    let states = bench.states.lock().unwrap();
    assert_eq!(states[0].name.len(), states[0].position.len());
}

#[test]
fn moves_in_its_own_time_when_live() {
    let bench = bench(Mode::Live, NodeOverrides::default().set("simulation_speed", 8.0));
    let started = Instant::now();
    let ended = bench.client.send(goal("tray", [0.0, 0.0, 0.05], UP, "sideline"), |_| {}, PATIENCE).unwrap();
    let taken_s = started.elapsed().as_secs_f64();
    let planned_s = f64::from(ended.result().duration_s) / 8.0;
    assert!(taken_s > 0.9 * planned_s && taken_s < planned_s + PATIENCE.as_secs_f64(), "{taken_s} s against {planned_s} s");
}

#[test]
fn a_stopped_robot_leaves_its_goals_and_does_not_replay_them() {
    let bench = bench(Mode::Live, NodeOverrides::default());
    let goals: Vec<_> = (0..3)
        .map(|n| {
            let goal = DivertItemGoal { item_id: format!("item {n}"), ..goal("tray", [0.0, 0.0, 0.05], UP, "sort_b") };
            bench.client.start(goal, |_| {}, PATIENCE).unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100)); // the first one moves
    bench.robot.deactivate().unwrap();
    let outcomes: Vec<_> = (0..3).map(|_| bench.outcomes.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(outcomes.iter().all(|o| o.result != Outcome::DIVERTED), "{outcomes:?}");
    drop(goals);
    bench.robot.activate().unwrap();
    assert!(bench.outcomes.recv_timeout(Duration::from_millis(300)).is_err(), "an old goal came back");
    let next = bench.client.send(goal("tray", [0.0, 0.0, 0.05], UP, "sort_b"), |_| {}, PATIENCE).unwrap();
    assert!(next.result().success, "{:?}", next.result());
}

#[test]
fn a_robot_that_is_soon_active_again_replays_no_old_goal() {
    let bench = bench(Mode::Live, NodeOverrides::default());
    let start = |item: &str| {
        let goal = DivertItemGoal { item_id: item.into(), ..goal("tray", [0.0, 0.0, 0.05], UP, "sort_b") };
        bench.client.start(goal, |_| {}, PATIENCE).unwrap()
    };
    let old: Vec<_> = ["moving", "waiting", "waiting too"].into_iter().map(start).collect();
    bench.robot.deactivate().unwrap();
    bench.robot.activate().unwrap();
    let new = start("new");
    for goal in &old {
        let ended = goal.wait(PATIENCE).unwrap();
        assert!(!ended.result().success, "{ended:?}");
    }
    assert!(new.wait(PATIENCE).unwrap().result().success);
    let outcomes: Vec<_> = (0..4).map(|_| bench.outcomes.recv_timeout(PATIENCE).unwrap()).collect();
    let diverted: Vec<&str> = outcomes.iter().filter(|o| o.result == Outcome::DIVERTED).map(|o| o.item_id.as_str()).collect();
    assert_eq!(diverted, ["new"], "{outcomes:?}");
}

#[test]
fn bad_parameters_are_named() {
    for (name, value, word) in [
        ("urdf", transport::ParameterValue::from("/no/such/file.urdf".to_owned()), "/no/such/file.urdf"),
        ("tip", "nose".to_owned().into(), "nose"),
        ("bins", vec!["sort_a=nowhere".to_owned()].into(), "nowhere"),
        ("home_rad", vec![9.0; 6].into(), "home_rad"),
        ("accelerations_rad_s2", vec![1.0, 2.0].into(), "acceleration"),
    ] {
        let context = Context::new(ContextOptions::in_process()).unwrap();
        let refused = launch::<Robot>(&context, NodeOverrides::default().set(name, value), Mode::Live);
        let error = refused.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(word), "{name}: {error}");
    }
}

#[test]
fn the_readme_holds_the_parameters() {
    let table = node_kit::schema::markdown::<robot::RobotParams>();
    assert!(include_str!("../README.md").contains(&table), "README.md must contain:\n{table}");
}

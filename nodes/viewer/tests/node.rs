//! The viewer as a node: messages in, a recording out, and the line never waits.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use intact_msgs::msg::{CellEvent, Decision, DefectScore, GalleryReport, Inspection, ItemArrival, ItemInstance, Outcome, StageTiming};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use ros_interfaces::Message;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::geometry_msgs::msg::TransformStamped;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image, JointState, RegionOfInterest};
use ros_interfaces::std_msgs::msg::{Header, String as RosString};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::{Context, ContextOptions, Node, NodeOptions, Publisher, Qos};
use viewer::Viewer;

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
const FRAME: &str = "camera_color_optical_frame";
const URDF: &str = r#"<robot name="arm"><link name="base_link"/><link name="upper"><visual><geometry><box size="1 1 1"/></geometry></visual></link>
  <joint name="shoulder" type="revolute"><parent link="base_link"/><child link="upper"/><axis xyz="0 1 0"/>
  <limit lower="-2" upper="2" effort="1" velocity="1"/></joint></robot>"#;

fn header(stamp_ns: i64) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: FRAME.into() }
}

fn image(stamp_ns: i64, encoding: &str, octets: u32, value: &[u8]) -> Image {
    let data = value.repeat((WIDTH * HEIGHT) as usize);
    assert_eq!(data.len(), (WIDTH * HEIGHT * octets) as usize);
    Image { header: header(stamp_ns), height: HEIGHT, width: WIDTH, encoding: encoding.into(), is_bigendian: 0, step: WIDTH * octets, data }
}

fn inspection(id: &str, stamp_ns: i64) -> Inspection {
    let region = RegionOfInterest { x_offset: 8, y_offset: 8, width: 20, height: 20, do_rectify: false };
    let defect = DefectScore { r#type: DefectScore::DEFORMATION.into(), score: 0.7, ..DefectScore::default() };
    let mut instance =
        ItemInstance { instance_id: 1, region, damage_score: 0.7, defects: vec![defect], pick_pose_valid: true, ..Default::default() };
    instance.pick_pose.header.frame_id = FRAME.into();
    Inspection {
        header: header(stamp_ns),
        item_id: id.into(),
        camera: "camera".into(),
        ok: true,
        instances: vec![instance],
        damage_score: 0.7,
        damage_threshold: 0.5,
        mask: image(stamp_ns, "16UC1", 2, &[1, 0]),
        heatmap: image(stamp_ns, "32FC1", 4, &0.6_f32.to_le_bytes()),
        ..Inspection::default()
    }
}

/// Publishers of everything that the viewer listens to.
struct Cell {
    node: Node,
}

impl Cell {
    fn new(context: &Context) -> Self {
        Self { node: context.node(NodeOptions::new("cell")).unwrap() }
    }

    fn publish<M: Message>(&self, topic: &str, qos: Qos, message: M) -> Publisher<M> {
        let publisher = self.node.publisher::<M>(topic, qos).unwrap();
        publisher.publish(message).unwrap();
        publisher
    }

    fn item(&self, id: &str, stamp_ns: i64) {
        let item_id = id.to_owned();
        let info = CameraInfo {
            header: header(stamp_ns),
            height: HEIGHT,
            width: WIDTH,
            k: [60.0, 0.0, 32.0, 0.0, 60.0, 24.0, 0.0, 0.0, 1.0],
            p: [60.0, 0.0, 32.0, 0.0, 0.0, 60.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            ..CameraInfo::default()
        };
        self.publish(
            "item_arrival",
            Qos::event(),
            ItemArrival { header: header(stamp_ns), item_id: item_id.clone(), ..Default::default() },
        );
        self.publish("camera/color/camera_info", Qos::sensor(), info);
        self.publish("camera/aligned_depth_to_color/image_raw", Qos::sensor(), image(stamp_ns, "16UC1", 2, &800_u16.to_le_bytes()));
        self.publish("camera/color/image_raw", Qos::sensor(), image(stamp_ns, "rgb8", 3, &[120, 90, 60]));
        self.publish("inspection", Qos::event(), inspection(id, stamp_ns));
        let report = GalleryReport {
            header: header(stamp_ns),
            item_id: item_id.clone(),
            ok: true,
            reference_image: image(stamp_ns, "rgb8", 3, &[110, 90, 60]),
            discrepancy: image(stamp_ns, "32FC1", 4, &0.1_f32.to_le_bytes()),
            ..GalleryReport::default()
        };
        self.publish("gallery_report", Qos::event(), report);
        let decision = Decision {
            header: header(stamp_ns),
            item_id: item_id.clone(),
            disposition: Decision::SIDELINE,
            reasons: vec![Decision::DAMAGE.into()],
            damage_score: 0.7,
            damage_threshold: 0.5,
            anomaly_score: f32::NAN,
            timings: vec![StageTiming { stage: "segment".into(), ms: 9.0 }],
            ..Decision::default()
        };
        self.publish("decision", Qos::event(), decision);
        self.publish("outcome", Qos::event(), Outcome { header: header(stamp_ns), item_id, ..Outcome::default() });
        let joints = JointState { header: header(stamp_ns), name: vec!["shoulder".into()], position: vec![0.3], ..JointState::default() };
        self.publish("joint_states", Qos::sensor(), joints);
    }
}

fn context() -> Context {
    Context::new(ContextOptions::in_process()).unwrap()
}

fn start(context: &Context, overrides: NodeOverrides, mode: Mode) -> Running<Viewer> {
    let viewer = launch::<Viewer>(context, overrides, mode).unwrap();
    context.start().unwrap();
    viewer.activate().unwrap();
    viewer
}

/// Rows an entity, by PyPI rerun-sdk; `None` with a loud line when it is not there.
fn read_back(path: &Path) -> Option<BTreeMap<String, usize>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    if !Command::new(&python).args(["-c", "import rerun.experimental"]).status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} has no rerun-sdk; run `make setup` or set INTACT_PYTHON", python.display());
        return None;
    }
    let output = Command::new(python).arg(root.join("tests/peers/rrd_entities.py")).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().filter_map(|l| l.split_once('\t')).map(|(e, n)| (e.to_owned(), n.parse().unwrap())).collect())
}

#[test]
fn a_lockstep_run_is_recorded_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.rrd");
    let context = context();
    let cell = Cell::new(&context);
    // Latched before the viewer exists: it must still get them.
    let fixed =
        TransformStamped { child_frame_id: FRAME.into(), header: Header { frame_id: "cell".into(), ..header(0) }, ..Default::default() };
    let _fixed = cell.publish("/tf_static", Qos::latched(), TFMessage { transforms: vec![fixed] });
    let _robot = cell.publish("robot_description", Qos::latched(), RosString { data: URDF.into() });
    let viewer = start(&context, NodeOverrides::default().set("rrd_path", path.display().to_string()), Mode::Lockstep);
    (0..5).for_each(|i| cell.item(&format!("item_{i}"), 1_700_000_000_000_000_000 + i * 1_000_000_000));
    let refused = CellEvent { kind: CellEvent::INPUT_REFUSED, node: "perception".into(), ..CellEvent::default() };
    cell.publish("cell_event", Qos::event(), refused);
    assert!(context.activity().wait_idle(Duration::from_secs(60)), "the viewer does not come to rest");
    let diagnostics = viewer.ports().diagnostics.clone();
    assert_eq!((diagnostics.count_of("not_shown"), diagnostics.count_of("judged_frames_missed")), (0, 0), "{:?}", diagnostics.status());
    assert!(diagnostics.count_of("shown") > 5 * 6);
    drop(viewer);
    let Some(rows) = read_back(&path) else { return };
    for entity in
        ["/judged/color", "/judged/mask", "/item/damage", "/item/reference", "/item/difference", "/verdict", "/log/decision", "/log/robot"]
    {
        assert!(rows.get(entity).is_some_and(|n| *n >= 5), "{entity} in {rows:?}");
    }
    assert!(rows["/world/cloud"] >= 5 && rows["/tf/moving"] == 5 && rows["/log/event"] == 1, "{rows:?}");
    assert_eq!(rows["blueprints"], 1);
    assert!(rows.keys().any(|entity| entity.contains("visual_geometries/upper")), "{rows:?}");
}

/// Publishing costs the same whether or not the viewer keeps up.
#[test]
fn a_slow_viewer_does_not_slow_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let overrides = NodeOverrides::default().set("rrd_path", folder.path().join("run.rrd").display().to_string()).set("max_image_hz", 60.0);
    let viewer = start(&context, overrides, Mode::Live);
    let node = context.node(NodeOptions::new("camera")).unwrap();
    let publisher = node.publisher::<Image>("camera/color/image_raw", Qos::sensor()).unwrap();
    let inspections = node.publisher::<Inspection>("inspection", Qos::event()).unwrap();
    let big = |stamp_ns| {
        let (width, height) = (1280, 720);
        let data = vec![90; width as usize * height as usize * 3];
        Arc::new(Image { header: header(stamp_ns), height, width, encoding: "rgb8".into(), step: width * 3, data, ..Image::default() })
    };
    let frames: Vec<Arc<Image>> = (0..8).map(|i| big(i * 33_000_000)).collect();
    let mut times = Vec::new();
    for i in 0..600_i64 {
        let frame = Arc::clone(&frames[(i % 8) as usize]);
        let judged = inspection(&format!("item_{i}"), frame.header.stamp.nanos());
        let started = Instant::now();
        publisher.publish(frame).unwrap();
        inspections.publish(judged).unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("publishing a frame and an inspection: median {median:?}, slowest {slowest:?}");
    assert!(median < Duration::from_millis(2), "publishing took {median:?} at the median");
    let dropped: u64 =
        viewer.ports().diagnostics.status().values.iter().find(|v| v.key == "viewer_dropped").and_then(|v| v.value.parse().ok()).unwrap();
    assert!(dropped > 0, "600 inspections at once must be more than it keeps");
    viewer.shut_down();
}

#[test]
fn broken_messages_are_counted_and_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let context = context();
    let overrides = NodeOverrides::default().set("rrd_path", folder.path().join("run.rrd").display().to_string());
    let viewer = start(&context, overrides, Mode::Lockstep);
    let cell = Cell::new(&context);
    let mut short = image(5, "rgb8", 3, &[1, 2, 3]);
    short.data.truncate(100);
    cell.publish("camera/color/image_raw", Qos::sensor(), short);
    // A camera never has two live pictures waiting: let the first be handled.
    assert!(context.activity().wait_idle(Duration::from_secs(60)));
    cell.publish("camera/color/image_raw", Qos::sensor(), image(2_000_000_000, "yuv422", 2, &[1, 2]));
    cell.publish("inspection", Qos::event(), inspection("x", 5));
    cell.publish("robot_description", Qos::latched(), RosString { data: "<robot".into() });
    let mut spoilt = TransformStamped { child_frame_id: "a".into(), ..TransformStamped::default() };
    spoilt.transform.rotation.w = f64::NAN;
    cell.publish("/tf", Qos::event(), TFMessage { transforms: vec![spoilt] });
    cell.publish("inspection", Qos::event(), Inspection { ok: false, error: "no frame".into(), ..Inspection::default() });
    assert!(context.activity().wait_idle(Duration::from_secs(60)));
    let diagnostics = &viewer.ports().diagnostics;
    assert_eq!(diagnostics.count_of("not_shown"), 4, "{:?}", diagnostics.status());
    assert_eq!((diagnostics.count_of("transforms_refused"), diagnostics.count_of("judged_frames_missed")), (1, 1));
    assert_eq!(viewer.failure(), None);
}

#[test]
fn a_viewer_without_an_output_says_what_to_set() {
    let error = launch::<Viewer>(&context(), NodeOverrides::default(), Mode::Live).err().unwrap().to_string();
    assert!(error.contains("set `rrd_path`, `connect_url` or `serve`"), "{error}");
}

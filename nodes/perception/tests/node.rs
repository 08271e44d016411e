//! The node as the cell sees it: one inspection an arrival, whatever happens, and a score only for what was seen.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use booth::{Booth, BoothSpec};
use intact_msgs::msg::{CellEvent, Inspection, ItemArrival};
use intact_msgs::srv::{Reinspect, ReinspectRequest};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use perception::Perception;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::vision_msgs::msg::Detection2DArray;
use transport::{Context, ContextOptions, Node, NodeOptions, Publisher, Qos, Subscription};

/// A deadline that only a hang exceeds.
const PATIENCE: Duration = Duration::from_secs(60);

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn header(stamp_ns: i64) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: "camera_color_optical_frame".into() }
}

/// What a camera says of one moment.
struct Frame {
    color: Image,
    depth: Image,
    info: CameraInfo,
}

/// The node among stand-ins for line and camera.
struct Cell {
    context: Context,
    line: Node,
    running: Running<Perception>,
    booth: Booth,
    arrivals: Publisher<ItemArrival>,
    colors: Publisher<Image>,
    depths: Publisher<Image>,
    infos: Publisher<CameraInfo>,
    inspections: Receiver<Arc<Inspection>>,
    detections: Receiver<Arc<Detection2DArray>>,
    events: Arc<Mutex<Vec<Arc<CellEvent>>>>,
    _listening: Vec<Subscription>,
    /// The empty tray stays latched as long as its publishers live.
    empty_tray: [Publisher<Image>; 2],
}

impl Cell {
    /// Nodes that a busy machine does not make impatient.
    fn new(overrides: NodeOverrides) -> Cell {
        let context = Context::new(ContextOptions::in_process()).unwrap();
        let line = context.node(NodeOptions::new("line")).unwrap();
        let running = launch::<Perception>(&context, overrides.set("frame_wait_s", 30.0), Mode::Live).unwrap();
        let ((to, inspections), (seen, detections)) = (channel(), channel());
        let events: Arc<Mutex<Vec<Arc<CellEvent>>>> = Arc::default();
        let kept = Arc::clone(&events);
        let listening = vec![
            line.subscribe("inspection", Qos::event(), move |m| drop(to.send(m))).unwrap(),
            line.subscribe("detections", Qos::event(), move |m| drop(seen.send(m))).unwrap(),
            line.subscribe("cell_event", Qos::event(), move |m| kept.lock().unwrap().push(m)).unwrap(),
        ];
        context.start().unwrap();
        let booth = Booth::new(BoothSpec { seed: 90_050, damage_fraction: 0.0, ..BoothSpec::default() }).unwrap();
        let tray = |stream: &str| line.publisher::<Image>(&format!("camera/background/{stream}/image_raw"), Qos::latched()).unwrap();
        let empty_tray = [tray("color"), tray("aligned_depth_to_color")];
        Cell {
            arrivals: line.publisher("item_arrival", Qos::event()).unwrap(),
            colors: line.publisher("camera/color/image_raw", Qos::sensor()).unwrap(),
            depths: line.publisher("camera/aligned_depth_to_color/image_raw", Qos::sensor()).unwrap(),
            infos: line.publisher("camera/color/camera_info", Qos::sensor()).unwrap(),
            booth,
            context,
            line,
            running,
            inspections,
            detections,
            events,
            _listening: listening,
            empty_tray,
        }
    }

    fn active(overrides: NodeOverrides) -> Cell {
        let cell = Self::new(overrides);
        cell.activate();
        cell
    }

    /// As in a cell: first the node, then the camera with its picture of the empty tray.
    fn activate(&self) {
        self.running.activate().unwrap();
        self.show_empty_tray();
    }

    fn show_empty_tray(&self) {
        let empty = self.booth.background();
        self.empty_tray[0].publish(vision::ros::color_to_ros(&empty.color, header(0))).unwrap();
        self.empty_tray[1].publish(vision::ros::depth_to_ros_mm(empty.depth.as_ref().unwrap(), header(0))).unwrap();
    }

    fn frame(&self, item: usize, stamp_ns: i64) -> Frame {
        let frame = self.booth.capture(item).frame;
        Frame {
            color: vision::ros::color_to_ros(&frame.color, header(stamp_ns)),
            depth: vision::ros::depth_to_ros_mm(frame.depth.as_ref().unwrap(), header(stamp_ns)),
            info: vision::ros::intrinsics_to_ros(frame.intrinsics.as_ref().unwrap(), header(stamp_ns)),
        }
    }

    fn see(&self, frame: Frame) {
        self.infos.publish(frame.info).unwrap();
        self.depths.publish(frame.depth).unwrap();
        self.colors.publish(frame.color).unwrap();
    }

    fn arrive(&self, id: &str, stamp_ns: i64) {
        let arrival = ItemArrival { header: header(stamp_ns), item_id: id.into(), ..ItemArrival::default() };
        self.arrivals.publish(arrival).unwrap();
    }

    fn inspection(&self) -> Arc<Inspection> {
        self.inspections.recv_timeout(PATIENCE).expect("every arrival has its inspection")
    }

    fn rest(&self) {
        assert!(self.context.activity().wait_idle(PATIENCE));
    }

    fn ids_of(&self, kind: u8, detail: &str) -> BTreeSet<String> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|e| e.kind == kind && e.detail.contains(detail)).map(|e| e.item_id.clone()).collect()
    }
}

#[test]
fn an_item_is_seen_once_with_its_score_and_its_boxes() {
    let cell = Cell::active(NodeOverrides::default());
    let stamp_ns = now_ns();
    cell.arrive("a", stamp_ns);
    cell.see(cell.frame(0, stamp_ns));
    let inspection = cell.inspection();
    assert!(inspection.ok && inspection.item_id == "a" && inspection.error.is_empty(), "{}", inspection.error);
    assert!((0.0..=1.0).contains(&inspection.damage_score) && (0.0..=1.0).contains(&inspection.damage_threshold));
    assert_eq!(inspection.instances.len(), 1);
    assert_eq!(inspection.frame_stamps.iter().map(Time::nanos).collect::<Vec<_>>(), [stamp_ns]);
    let boxes = cell.detections.recv_timeout(PATIENCE).unwrap();
    assert_eq!(boxes.detections.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a#1"]);
    cell.rest();
    assert_eq!(cell.ids_of(CellEvent::FRAME_CHOSEN, ""), BTreeSet::from(["a".to_owned()]));
    cell.see(cell.frame(1, stamp_ns + 50_000_000));
    cell.rest();
    assert!(cell.inspections.try_recv().is_err(), "a frame without an item is not inspected");
}

#[test]
fn a_picture_of_the_empty_tray_that_came_before_the_node_was_active_is_used() {
    let cell = Cell::new(NodeOverrides::default());
    cell.show_empty_tray();
    for life in ["first", "second"] {
        cell.running.activate().unwrap();
        let stamp_ns = now_ns();
        cell.arrive(life, stamp_ns);
        cell.see(cell.frame(0, stamp_ns));
        let inspection = cell.inspection();
        assert!(inspection.ok, "{}", inspection.error);
        assert!(inspection.instances.iter().all(|i| !i.quality.background_missing), "{life} life");
        cell.running.deactivate().unwrap();
    }
}

#[test]
fn an_unreadable_frame_is_a_failed_inspection_and_never_a_score() {
    type Spoil = (&'static str, &'static str, fn(&mut Frame));
    let cases: &[Spoil] = &[
        ("cut-off colour", "colour", |f| f.color.data.truncate(1000)),
        ("unknown encoding", "colour", |f| f.color.encoding = "yuv9000".into()),
        ("wrong step", "colour", |f| f.color.step = 7),
        ("cut-off depth", "depth", |f| f.depth.data.truncate(100)),
        ("depth of another size", "", |f| {
            f.depth.height /= 2;
            f.depth.data.truncate((f.depth.step * f.depth.height) as usize);
        }),
        ("a lens of no length", "camera_info", |f| (f.info.k, f.info.p) = ([0.0; 9], [0.0; 12])),
    ];
    let cell = Cell::active(NodeOverrides::default());
    for (n, (name, word, spoil)) in cases.iter().enumerate() {
        let stamp_ns = now_ns();
        let mut frame = cell.frame(n, stamp_ns);
        spoil(&mut frame);
        cell.arrive(name, stamp_ns);
        cell.see(frame);
        let inspection = cell.inspection();
        assert_eq!(inspection.item_id, *name);
        assert!(!inspection.ok && inspection.damage_score.is_nan(), "{name}: {}", inspection.damage_score);
        assert!(inspection.instances.is_empty(), "{name}");
        assert!(inspection.error.contains("camera `camera`") && inspection.error.contains(word), "{name}: {}", inspection.error);
        assert!(cell.detections.recv_timeout(PATIENCE).unwrap().detections.is_empty(), "{name}");
    }
    // It goes on.
    let stamp_ns = now_ns();
    cell.arrive("well", stamp_ns);
    cell.see(cell.frame(0, stamp_ns));
    assert!(cell.inspection().ok);
    cell.rest();
    let diagnostics = &cell.running.ports().diagnostics;
    assert_eq!(diagnostics.count_of("inspections_failed"), cases.len() as u64);
    assert_eq!(cell.running.failure(), None);
}

#[test]
fn under_overload_each_item_has_its_inspection_and_what_was_given_up_is_counted_and_named() {
    let cell = Cell::active(NodeOverrides::default().set("queue_limit", 1_i64));
    let ids: BTreeSet<String> = (0..12).map(|n| format!("item-{n}")).collect();
    let began_ns = now_ns();
    // Faster than anything can be inspected: rendered before, handed out at once.
    let frames: Vec<Frame> = (0..12).map(|n| cell.frame(n % 2, began_ns + n as i64 * 1_000_000)).collect();
    for (n, frame) in frames.into_iter().enumerate() {
        cell.arrive(&format!("item-{n}"), frame.color.header.stamp.nanos());
        cell.see(frame);
    }
    let seen: BTreeMap<String, Arc<Inspection>> = ids.iter().map(|_| cell.inspection()).map(|i| (i.item_id.clone(), i)).collect();
    assert_eq!(seen.keys().cloned().collect::<BTreeSet<_>>(), ids, "one inspection an item");
    let given_up: BTreeSet<String> = seen.values().filter(|i| !i.ok).map(|i| i.item_id.clone()).collect();
    assert!(!given_up.is_empty() && given_up.len() < ids.len(), "{given_up:?}");
    for id in &given_up {
        assert!(seen[id].damage_score.is_nan() && seen[id].error.contains("more items waiting"), "{}", seen[id].error);
    }
    cell.rest();
    assert_eq!(cell.ids_of(CellEvent::FRAME_DROPPED, "given up"), given_up, "named, so that a replay gives up the same ones");
    let diagnostics = &cell.running.ports().diagnostics;
    assert_eq!(diagnostics.count_of("frames_dropped"), given_up.len() as u64);
    let dropped = diagnostics.status().values.iter().find(|v| v.key == "items_dropped").map(|v| v.value.clone());
    assert_eq!(dropped, Some(given_up.len().to_string()));
    assert!(cell.inspections.try_recv().is_err());
}

#[test]
fn frames_without_partners_are_counted_by_stream() {
    let cell = Cell::active(NodeOverrides::default().set("sync_queue", 5_i64));
    let began_ns = now_ns();
    for n in 0..20 {
        let frame = cell.frame(0, began_ns + n * 33_000_000);
        cell.infos.publish(frame.info).unwrap();
        cell.colors.publish(frame.color).unwrap(); // the depth camera is dead
    }
    cell.rest();
    let count = |key| cell.running.ports().diagnostics.count_of(key);
    assert_eq!(
        (count("color_without_partner"), count("camera_info_without_partner")),
        (15, 15),
        "{:?}",
        cell.running.ports().diagnostics.status()
    );
}

#[test]
fn an_item_is_inspected_again_on_the_next_frame_and_only_for_who_asked() {
    let cell = Cell::new(NodeOverrides::default());
    let client = cell.line.client::<Reinspect>("perception/reinspect").unwrap();
    let request = ReinspectRequest { item_id: "again".into() };
    let early = client.call(request.clone(), PATIENCE).unwrap();
    assert!(!early.success && early.message.contains("not active"), "{}", early.message);

    cell.activate();
    cell.see(cell.frame(1, now_ns() - 1_000_000_000)); // what was seen before is not what is asked for
    let asked_ns = now_ns();
    let asked = std::thread::spawn(move || client.call(request, PATIENCE));
    while !asked.is_finished() {
        cell.see(cell.frame(0, now_ns()));
        std::thread::sleep(Duration::from_millis(30));
    }
    let answer = asked.join().unwrap().unwrap();
    assert!(answer.success, "{}", answer.message);
    let inspection = &answer.inspection;
    assert!(inspection.item_id == "again" && inspection.damage_score.is_finite() && inspection.instances.len() == 1);
    assert!(inspection.header.stamp.nanos() >= asked_ns - 5_000_000, "a frame from after the question");
    cell.rest();
    assert!(cell.inspections.try_recv().is_err(), "it is no part of the run: decision and record do not see it");
    assert!(cell.events.lock().unwrap().is_empty());
}

//! A cell around a camera node, and small bags for it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bag::{BagWriter, QosProfile, WriterOptions};
use camera::Camera;
use intact_msgs::msg::{CellEvent, ItemArrival};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::rosgraph_msgs::msg::Clock;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::{Context, ContextOptions, Node, NodeOptions, Qos, Subscription};

pub const SECOND: i64 = 1_000_000_000;
pub const EPOCH: i64 = 1_700_000_000 * SECOND;

pub fn header(stamp_ns: i64, frame: &str) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: frame.into() }
}

/// An 8×6 picture whose pixels all have `value`.
pub fn color(stamp_ns: i64, value: u8) -> Image {
    let header = header(stamp_ns, "camera_color_optical_frame");
    Image { header, height: 6, width: 8, encoding: "rgb8".into(), is_bigendian: 0, step: 24, data: vec![value; 6 * 24] }
}

pub fn depth(stamp_ns: i64, mm: u16) -> Image {
    let data = std::iter::repeat_n(mm.to_le_bytes(), 48).flatten().collect();
    Image { encoding: "16UC1".into(), step: 16, data, ..color(stamp_ns, 0) }
}

pub fn info(stamp_ns: i64, focal: f64) -> CameraInfo {
    let intrinsics = vision::Intrinsics { fx: focal, fy: focal, cx: 4.0, cy: 3.0, width: 8, height: 6 };
    vision::ros::intrinsics_to_ros(&intrinsics, header(stamp_ns, "camera_color_optical_frame"))
}

pub fn arrival(stamp_ns: i64, id: &str) -> ItemArrival {
    ItemArrival { header: header(stamp_ns, "tray"), item_id: id.into(), source: "trigger".into(), ..Default::default() }
}

/// Writes whole frames with their arrival.
pub struct Recording(pub BagWriter);

impl Recording {
    pub fn new(dir: &Path) -> Self {
        Self(BagWriter::create(dir, WriterOptions::default()).unwrap())
    }
    pub fn frame(&mut self, t: i64, value: u8) {
        self.0.write("/camera/color/image_raw", QosProfile::SENSOR, t, &color(t, value)).unwrap();
        self.0.write("/camera/aligned_depth_to_color/image_raw", QosProfile::SENSOR, t, &depth(t, 900)).unwrap();
        self.0.write("/camera/color/camera_info", QosProfile::SENSOR, t, &info(t, 10.0)).unwrap();
    }
    pub fn arrival(&mut self, t: i64, id: &str) {
        self.0.write("/item_arrival", QosProfile::EVENT, t, &arrival(t, id)).unwrap();
    }
}

/// `items` items `item-0`, …, one a second, with three frames each (0, 100 and 200 ms after the arrival).
pub fn simple_bag(dir: &Path, items: usize) {
    let mut recording = Recording::new(dir);
    for k in 0..items {
        let t = EPOCH + k as i64 * SECOND;
        recording.arrival(t, &format!("item-{k}"));
        for n in 0..3 {
            recording.frame(t + n * SECOND / 10, (k * 3) as u8 + n as u8);
        }
    }
    recording.0.finish().unwrap();
}

/// A context with a camera node and a log of everything it publishes.
pub struct Cell {
    pub ctx: Context,
    pub node: Node,
    pub log: Arc<Mutex<Vec<String>>>,
    pub camera: Running<Camera>,
    _subscriptions: Vec<Subscription>,
}

impl Cell {
    pub fn try_new(overrides: NodeOverrides, mode: Mode) -> Result<Self, String> {
        let ctx = Context::new(ContextOptions::in_process()).unwrap();
        let node = ctx.node(NodeOptions::new("listener")).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let _subscriptions = listen(&node, &log);
        let camera = launch::<Camera>(&ctx, overrides, mode).map_err(|e| e.to_string())?;
        ctx.start().unwrap();
        Ok(Self { ctx, node, log, camera, _subscriptions })
    }

    pub fn bag(dir: &Path, rate: f64, mode: Mode) -> Self {
        Self::try_new(replay(dir, rate), mode).unwrap()
    }

    /// Runs to the end of the source; what was published, clock ticks left out.
    pub fn play(&self) -> Vec<String> {
        self.camera.activate().unwrap();
        assert!(self.wait_for("end_of_source", 60.0), "no end: {:?}", self.camera.failure());
        self.lines()
    }

    pub fn wait_for(&self, words: &str, seconds: f64) -> bool {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < deadline {
            if self.log.lock().unwrap().iter().any(|line| line.contains(words)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    pub fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|l| !l.starts_with("clock")).cloned().collect()
    }

    pub fn ticks_ns(&self) -> Vec<i64> {
        self.log.lock().unwrap().iter().filter_map(|l| l.strip_prefix("clock ").and_then(|t| t.parse().ok())).collect()
    }
}

pub fn replay(dir: &Path, rate: f64) -> NodeOverrides {
    NodeOverrides::default().set("source", "bag").set("bag", dir.display().to_string()).set("rate", rate)
}

/// Stamps in the log are milliseconds after [`EPOCH`].
fn ms(header: &Header) -> i64 {
    (header.stamp.nanos() - EPOCH) / 1_000_000
}

fn listen(node: &Node, log: &Arc<Mutex<Vec<String>>>) -> Vec<Subscription> {
    let say = |log: &Arc<Mutex<Vec<String>>>| {
        let log = Arc::clone(log);
        move |line: String| log.lock().unwrap().push(line)
    };
    let (a, b, c, d, e, f, g, h, i) = (say(log), say(log), say(log), say(log), say(log), say(log), say(log), say(log), say(log));
    vec![
        node.subscribe("camera/color/image_raw", Qos::sensor(), move |m: Arc<Image>| {
            a(format!("color {} {}", ms(&m.header), m.data.first().unwrap_or(&0)));
        })
        .unwrap(),
        node.subscribe("camera/aligned_depth_to_color/image_raw", Qos::sensor(), move |m: Arc<Image>| {
            b(format!("depth {}", ms(&m.header)));
        })
        .unwrap(),
        node.subscribe("camera/color/camera_info", Qos::sensor(), move |m: Arc<CameraInfo>| c(format!("info {}", ms(&m.header)))).unwrap(),
        node.subscribe("item_arrival", Qos::event(), move |m: Arc<ItemArrival>| {
            d(format!("arrival {} {}{}", ms(&m.header), m.item_id, if m.clutter { " clutter" } else { "" }));
        })
        .unwrap(),
        node.subscribe("cell_event", Qos::event(), move |m: Arc<CellEvent>| {
            e(format!("event {} {} {}", m.kind, m.item_id, m.detail));
        })
        .unwrap(),
        node.subscribe("recorded_event", Qos::event(), move |m: Arc<CellEvent>| {
            f(format!("recorded {} {} {}", ms(&m.header), m.item_id, m.detail));
        })
        .unwrap(),
        node.subscribe("/tf_static", Qos::latched(), move |m: Arc<TFMessage>| {
            let frames: Vec<&str> = m.transforms.iter().map(|t| t.child_frame_id.as_str()).collect();
            g(format!("tf_static {}", frames.join(" ")));
        })
        .unwrap(),
        node.subscribe("/clock", Qos::clock(), move |m: Arc<Clock>| h(format!("clock {}", m.clock.nanos()))).unwrap(),
        node.subscribe("camera/background/color/image_raw", Qos::latched(), move |m: Arc<Image>| {
            i(format!("background {}", ms(&m.header)));
        })
        .unwrap(),
    ]
}

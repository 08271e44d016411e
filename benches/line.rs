//! The whole line: 1280×720 colour + depth at 30 Hz through a composed cell, and what each part of it costs.
//!
//! `make bench`, or `cargo bench --profile dev --bench line -- --frames 900 --out out/bench.json`. Ratios stand beside
//! milliseconds, since machines differ: to a copy of the same frame, measured in the same run, and to the frame time.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use booth::{Booth, BoothSpec};
use camera::Camera;
use decision::Decision as DecisionNode;
use frame_sync::{AssemblerOptions, FrameAssembler, Options};
use intact::cell::{Cell, News, Plan, percentile};
use intact_msgs::msg::{Decision as DecisionMessage, Inspection, ItemArrival};
use node_kit::Mode;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use serde_json::{Value, json};
use transport::{Context, ContextOptions, Node, NodeOptions, Publisher, Qos};
use vision::RgbdFrame;

const FRAME_MS: f64 = 1000.0 / 30.0;
/// Frames from one item to the next: an item a second.
const FRAMES_AN_ITEM: usize = 30;

struct Arguments {
    frames: usize,
    out: Option<PathBuf>,
}

fn arguments() -> Arguments {
    let mut parsed = Arguments { frames: 900, out: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--frames" => parsed.frames = args.next().and_then(|n| n.parse().ok()).expect("--frames N"),
            "--out" => parsed.out = Some(args.next().expect("--out FILE").into()),
            // cargo bench passes it on
            "--bench" => {}
            other => panic!("unknown argument {other}; known: --frames N, --out FILE"),
        }
    }
    parsed
}

/// One view of the booth as messages; stamps are set anew for each frame, the pixels are shared.
struct View {
    color: Image,
    depth: Image,
    info: CameraInfo,
}

impl View {
    fn of(frame: &RgbdFrame) -> View {
        let header = Header { frame_id: "camera_color_optical_frame".into(), ..Header::default() };
        View {
            color: vision::ros::color_to_ros(&frame.color, header.clone()),
            depth: vision::ros::depth_to_ros_mm(frame.depth.as_ref().unwrap(), header.clone()),
            info: vision::ros::intrinsics_to_ros(frame.intrinsics.as_ref().unwrap(), header),
        }
    }
}

fn views() -> (Booth, Vec<View>) {
    let booth = Booth::new(BoothSpec { seed: 5, width: 1280, height: 720, ..BoothSpec::default() }).unwrap();
    let views = (0..4).map(|i| View::of(&booth.capture(i).frame)).collect();
    (booth, views)
}

impl View {
    /// The view as a camera would send it at `stamp_ns`.
    fn at(&self, stamp_ns: i64) -> (Arc<Image>, Arc<Image>, Arc<CameraInfo>) {
        let (mut color, mut depth, mut info) = (self.color.clone(), self.depth.clone(), self.info.clone());
        for header in [&mut color.header, &mut depth.header, &mut info.header] {
            header.stamp = Time::from_nanos(stamp_ns);
        }
        (Arc::new(color), Arc::new(depth), Arc::new(info))
    }
}

fn median_ms(mut work: impl FnMut()) -> f64 {
    let times: Vec<f32> = (0..200)
        .map(|_| {
            let from = Instant::now();
            work();
            from.elapsed().as_secs_f32() * 1e3
        })
        .collect();
    f64::from(percentile(&times, 0.5).unwrap())
}

type Assembler = FrameAssembler<Arc<Image>, Arc<Image>, Arc<CameraInfo>>;

/// Publishing a frame's three messages in process, and synchronising them on the other side: milliseconds a frame.
/// Also proves that the subscriber is handed the very message that was published.
fn transport_and_sync_ms(view: &View) -> f64 {
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("bench")).unwrap();
    let options = AssemblerOptions { cameras: 1, with_depth: true, sync: Options::approximate(10) };
    let sync: Arc<Mutex<Assembler>> = Arc::new(Mutex::new(FrameAssembler::new(options).unwrap()));
    let complete = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(AtomicUsize::new(0));
    let (for_color, for_depth, for_info) = (Arc::clone(&sync), Arc::clone(&sync), Arc::clone(&sync));
    let (last, done) = (Arc::clone(&seen), Arc::clone(&complete));
    let _subscriptions = [
        node.subscribe("camera/color/image_raw", Qos::sensor(), move |m: Arc<Image>| {
            last.store(Arc::as_ptr(&m) as usize, Ordering::Relaxed);
            let stamp_ns = m.header.stamp.nanos();
            for_color.lock().unwrap().push_color(0, stamp_ns, m).unwrap();
        })
        .unwrap(),
        node.subscribe("camera/aligned_depth_to_color/image_raw", Qos::sensor(), move |m: Arc<Image>| {
            let stamp_ns = m.header.stamp.nanos();
            for_depth.lock().unwrap().push_depth(0, stamp_ns, m).unwrap();
        })
        .unwrap(),
        node.subscribe("camera/color/camera_info", Qos::sensor(), move |m: Arc<CameraInfo>| {
            let stamp_ns = m.header.stamp.nanos();
            let pushed = for_info.lock().unwrap().push_info(0, stamp_ns, m).unwrap();
            done.fetch_add(pushed.frames.len() as u64, Ordering::Relaxed);
        })
        .unwrap(),
    ];
    let ports = CameraPorts::new(&node);
    let times: Vec<f32> = (0..300_i64)
        .map(|n| {
            let (color, depth, info) = view.at(n * 33_333_333);
            let pointer = Arc::as_ptr(&color) as usize;
            let from = Instant::now();
            ports.publish(color, depth, info);
            let took = from.elapsed().as_secs_f32() * 1e3;
            assert_eq!(seen.load(Ordering::Relaxed), pointer, "a copy was made between publish and callback");
            took
        })
        .collect();
    assert!(complete.load(Ordering::Relaxed) >= 299, "frames were not put together");
    f64::from(percentile(&times, 0.5).unwrap())
}

/// The topics of one camera.
struct CameraPorts {
    color: Publisher<Image>,
    depth: Publisher<Image>,
    info: Publisher<CameraInfo>,
}

impl CameraPorts {
    fn new(node: &Node) -> CameraPorts {
        CameraPorts {
            color: node.publisher("camera/color/image_raw", Qos::sensor()).unwrap(),
            depth: node.publisher("camera/aligned_depth_to_color/image_raw", Qos::sensor()).unwrap(),
            info: node.publisher("camera/color/camera_info", Qos::sensor()).unwrap(),
        }
    }

    fn publish(&self, color: Arc<Image>, depth: Arc<Image>, info: Arc<CameraInfo>) {
        self.color.publish(color).unwrap();
        self.depth.publish(depth).unwrap();
        self.info.publish(info).unwrap();
    }
}

/// Resident memory of this process, MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[derive(Default)]
struct LineResult {
    decisions: usize,
    items: usize,
    /// From the frame's stamp to the arrival of its decision.
    latencies_ms: Vec<f32>,
    /// What the decisions say of themselves: from the frame's last part on.
    own_latencies_ms: Vec<f32>,
    memory_mib: (f64, f64),
    serialised: u64,
    late_frames: usize,
    /// Milliseconds of each stage of each inspection.
    stages_ms: BTreeMap<String, Vec<f32>>,
}

/// `frames` frames at 30 Hz, an item a second, through all nodes of a composed cell; from the frame's stamp to its decision.
/// `tray` is the empty tray's picture, which a cell of one tray has and a cell of many totes has not.
fn run_line(booth: &Booth, views: &[View], tray: Option<&View>, frames: usize) -> LineResult {
    let mut plan = Plan::new(ContextOptions::in_process(), Mode::Live);
    let ledger = std::env::temp_dir().join(format!("intact-bench-{}.sqlite", std::process::id()));
    plan.set::<Camera>("source", "topics".to_owned());
    plan.set::<DecisionNode>("ledger_path", ledger.display().to_string());
    let cell = Cell::start(&plan).unwrap();
    let node = cell.context().node(NodeOptions::new("bench")).unwrap();
    let ports = CameraPorts::new(&node);
    let arrivals: Publisher<ItemArrival> = node.publisher("item_arrival", Qos::event()).unwrap();
    let statics = node.publisher("/tf_static", Qos::latched()).unwrap();
    let in_tray = Header { frame_id: "tray".into(), ..Header::default() };
    let pose = vision::pose::transform_to_ros(in_tray, "camera_color_optical_frame", &booth.cell_from_camera());
    statics.publish(TFMessage { transforms: vec![pose] }).unwrap();
    let empty: Vec<Publisher<Image>> = ["color", "aligned_depth_to_color"]
        .map(|stream| node.publisher(&format!("camera/background/{stream}/image_raw"), Qos::latched()).unwrap())
        .into();
    if let Some(tray) = tray {
        empty[0].publish(tray.color.clone()).unwrap();
        empty[1].publish(tray.depth.clone()).unwrap();
    }

    let (stage_sender, stage_times) = std::sync::mpsc::channel();
    let _inspections = node
        .subscribe("inspection", Qos::event(), move |inspection: Arc<Inspection>| {
            for timing in &inspection.timings {
                stage_sender.send((timing.stage.clone(), timing.ms)).unwrap();
            }
        })
        .unwrap();

    let (decided_sender, decided) = std::sync::mpsc::channel();
    let clock = node.clock();
    let _decisions = node
        .subscribe("decision", Qos::event(), move |decision: Arc<DecisionMessage>| {
            let ms = clock.now_ns().saturating_sub(decision.header.stamp.nanos()) as f32 / 1e6;
            decided_sender.send(ms).unwrap();
        })
        .unwrap();

    let mut result = LineResult::default();
    let start = Instant::now();
    for n in 0..frames {
        let due = start + Duration::from_secs_f64(n as f64 * FRAME_MS / 1e3);
        match due.checked_duration_since(Instant::now()) {
            Some(wait) => std::thread::sleep(wait),
            None => result.late_frames += 1,
        }
        let stamp_ns = node.clock().now_ns();
        let view = &views[n / FRAMES_AN_ITEM % views.len()];
        if n % FRAMES_AN_ITEM == 0 {
            let header = Header { stamp: Time::from_nanos(stamp_ns), frame_id: "tray".into() };
            arrivals
                .publish(ItemArrival { header, item_id: format!("bench-{n}"), source: "trigger".into(), ..Default::default() })
                .unwrap();
            result.items += 1;
        }
        let (color, depth, info) = view.at(stamp_ns);
        ports.publish(color, depth, info);
        result.take_news(&cell, Duration::ZERO);
        if n == frames / 5 {
            result.memory_mib.0 = resident_mib();
        }
    }
    result.memory_mib.1 = resident_mib();
    while result.decisions < result.items && result.take_news(&cell, Duration::from_secs(3)) {}
    result.latencies_ms = decided.try_iter().collect();
    for (stage, ms) in stage_times.try_iter() {
        result.stages_ms.entry(stage).or_default().push(ms);
    }
    result.serialised = cell.counters().iter().map(|c| c.serialised).sum();
    cell.stop();
    for suffix in ["", "-wal", "-shm"] {
        // Gone already is as good.
        let _ = std::fs::remove_file(format!("{}{suffix}", ledger.display()));
    }
    result
}

impl LineResult {
    /// True when something came.
    fn take_news(&mut self, cell: &Cell, patience: Duration) -> bool {
        let mut any = false;
        while let Some(news) = cell.next(if any { Duration::ZERO } else { patience }) {
            any = true;
            if let News::Decision(decision) = news {
                self.decisions += 1;
                self.own_latencies_ms.push(decision.latency_ms);
            }
        }
        any
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

fn report(rows: &[(&str, String, String, bool)]) {
    println!("\n{:<58} {:>18} {:>22}  ", "1280x720 colour + depth, 30 Hz, one camera", "measured", "wanted");
    for (what, measured, wanted, holds) in rows {
        println!("{what:<58} {measured:>18} {wanted:>22}  {}", verdict(*holds));
    }
}

fn main() {
    let arguments = arguments();
    let (booth, views) = views();
    let copy_ms = median_ms(|| {
        black_box(views[0].color.data.clone());
    });
    let sync_ms = transport_and_sync_ms(&views[0]);
    let tray = View::of(&booth.background());
    let line = run_line(&booth, &views, Some(&tray), arguments.frames);
    let bare = run_line(&booth, &views, None, arguments.frames.min(900));
    let bare_p99 = percentile(&bare.latencies_ms, 0.99).unwrap_or(f32::NAN);
    let bare_p50 = percentile(&bare.latencies_ms, 0.5).unwrap_or(f32::NAN);
    let (p50, p99) = (percentile(&line.latencies_ms, 0.5).unwrap_or(f32::NAN), percentile(&line.latencies_ms, 0.99).unwrap_or(f32::NAN));
    let own_p50 = percentile(&line.own_latencies_ms, 0.5).unwrap_or(f32::NAN);
    let growth = line.memory_mib.1 - line.memory_mib.0;
    report(&[
        (
            "transport + synchroniser, median",
            format!("{sync_ms:.4} ms"),
            format!("< {:.2} ms (1 %)", FRAME_MS / 100.0),
            sync_ms < FRAME_MS / 100.0,
        ),
        ("  to a copy of the colour picture", format!("{:.3} x", sync_ms / copy_ms), format!("copy: {copy_ms:.3} ms"), true),
        ("messages serialised in process", line.serialised.to_string(), "0".into(), line.serialised == 0),
        ("frame to decision, median", format!("{p50:.1} ms"), "40 ms".into(), p50 <= 40.0),
        ("frame to decision, p99", format!("{p99:.1} ms"), "100 ms".into(), p99 <= 100.0),
        ("  what the decisions say of themselves, median", format!("{own_p50:.1} ms"), String::new(), true),
        ("  without a picture of the empty tray, median", format!("{bare_p50:.1} ms"), "40 ms".into(), bare_p50 <= 40.0),
        ("  without a picture of the empty tray, p99", format!("{bare_p99:.1} ms"), "100 ms".into(), bare_p99 <= 100.0),
        ("items decided", format!("{}/{}", line.decisions, line.items), "all".into(), line.decisions == line.items),
        (
            "memory after a fifth of the run, at its end",
            format!("{:.0}, {:.0} MiB", line.memory_mib.0, line.memory_mib.1),
            "flat (< 32 MiB more)".into(),
            growth < 32.0,
        ),
    ]);
    let stages: BTreeMap<&str, Value> = line
        .stages_ms
        .iter()
        .map(|(stage, ms)| (stage.as_str(), json!({ "p50": percentile(ms, 0.5), "p99": percentile(ms, 0.99) })))
        .collect();
    for (stage, ms) in &line.stages_ms {
        println!("  perception, {stage:<12} {:>37.1} ms", percentile(ms, 0.5).unwrap_or(f32::NAN));
    }
    let json: Value = json!({
        "perception_ms": stages,
        "frames": arguments.frames, "items": line.items, "decisions": line.decisions, "late_frames": line.late_frames,
        "transport_and_sync_ms": sync_ms, "copy_ms": copy_ms, "transport_and_sync_per_frame_time": sync_ms / FRAME_MS,
        "serialised": line.serialised, "latency_ms": { "p50": p50, "p99": p99, "own_p50": own_p50 },
        "latency_without_tray_ms": { "p50": bare_p50, "p99": bare_p99 },
        "memory_mib": { "early": line.memory_mib.0, "late": line.memory_mib.1 },
    });
    if let Some(out) = arguments.out {
        std::fs::write(&out, format!("{json:#}\n")).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
        println!("\n{}", out.display());
    }
}

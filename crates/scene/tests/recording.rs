//! A short run of a made-up cell is shown, then the recording is read back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rerun::{ChunkStore, ChunkStoreConfig, StoreKind};
use scene::{Comparison, FrameTransform, ItemBox, JudgedItem, Level, Moment, Options, Scene, SceneError, Serve, Sinks, Verdict};
use vision::{ColorImage, DepthImage, HeatMap, Intrinsics, LabelMask, Rect};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const ITEMS: i64 = 12;
const URDF: &str = r#"<robot name="arm">
  <link name="base_link"><visual><geometry><cylinder radius="0.08" length="0.1"/></geometry></visual></link>
  <link name="upper"><visual><origin xyz="0 0 0.2"/><geometry><box size="0.06 0.06 0.4"/></geometry></visual></link>
  <link name="fore"><visual><origin xyz="0 0 0.15"/><geometry><box size="0.05 0.05 0.3"/></geometry></visual></link>
  <joint name="shoulder" type="revolute"><parent link="base_link"/><child link="upper"/><origin xyz="0 0 0.1"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" effort="1" velocity="1"/></joint>
  <joint name="elbow" type="revolute"><parent link="upper"/><child link="fore"/><origin xyz="0 0 0.4"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" effort="1" velocity="1"/></joint>
</robot>"#;

/// A box on a tray, seen from above; with a dent when damaged.
struct Picture {
    color: ColorImage,
    depth: DepthImage,
    mask: LabelMask,
    heat: HeatMap,
}

const BOX: Rect = Rect { x: 110, y: 50, w: 100, h: 80 };

fn picture(damaged: bool) -> Picture {
    let inside = |x: u32, y: u32| (BOX.x..BOX.x + BOX.w).contains(&x) && (BOX.y..BOX.y + BOX.h).contains(&y);
    let dent = |x: u32, y: u32| (f64::from(x) - 180.0).hypot(f64::from(y) - 75.0) < 18.0;
    let pixels = || (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let color = pixels()
        .flat_map(|(x, y)| match (inside(x, y), damaged && dent(x, y)) {
            (true, true) => [90, 60, 40],
            (true, false) => [190, 140 + (x % 20) as u8, 90],
            _ => [70, 75, 80 + ((x / 16 + y / 16) % 2 * 10) as u8],
        })
        .collect();
    let depth = pixels().map(|(x, y)| if inside(x, y) { 0.75 } else { 0.9 }).collect();
    let mask = pixels().map(|(x, y)| u16::from(inside(x, y))).collect();
    let heat = pixels().map(|(x, y)| if damaged && dent(x, y) && inside(x, y) { 0.9 } else { 0.02 }).collect();
    Picture {
        color: ColorImage::new(WIDTH, HEIGHT, color).unwrap(),
        depth: DepthImage::new(WIDTH, HEIGHT, depth).unwrap(),
        mask: LabelMask::new(WIDTH, HEIGHT, mask).unwrap(),
        heat: HeatMap::new(WIDTH, HEIGHT, heat).unwrap(),
    }
}

fn intrinsics() -> Intrinsics {
    Intrinsics { fx: 300.0, fy: 300.0, cx: 159.5, cy: 89.5, width: WIDTH, height: HEIGHT }
}

/// The camera 0.9 m above the tray, looking down.
fn frames() -> [FrameTransform; 2] {
    let down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
    let pose = Isometry3::from_parts(Translation3::new(0.5, 0.0, 0.9), down);
    let base = FrameTransform { parent: "cell".into(), child: "base_link".into(), parent_from_child: Isometry3::identity() };
    [base, FrameTransform { parent: "cell".into(), child: "camera_color_optical_frame".into(), parent_from_child: pose }]
}

fn verdict(item: i64, damaged: bool) -> Verdict {
    let score = if damaged { 0.86 } else { 0.04 + 0.01 * item as f32 };
    Verdict {
        item_id: format!("item_{item:03}"),
        disposition: if damaged { "SIDELINE" } else { "SORT" }.into(),
        lane: if damaged { "sideline" } else { "lane_a" }.into(),
        reasons: vec![if damaged { "DAMAGE" } else { "OK" }.into()],
        damage_score: score,
        damage_rejudged: (item % 3 != 0).then_some(score),
        damage_threshold: 0.5,
        anomaly_score: if item % 3 == 0 { f32::NAN } else { score * 0.7 },
        anomaly_threshold: 0.4,
        product: "cereal_box".into(),
        model: "classical".into(),
        latency_ms: 41.0 + item as f32,
        timings_ms: vec![("segment".into(), 12.0), ("score".into(), 18.0 + item as f32 / 3.0)],
    }
}

fn show_item(scene: &mut Scene, item: i64) {
    let damaged = item % 4 == 0;
    let seen = picture(damaged);
    let at = Moment { stamp_ns: 1_700_000_000_000_000_000 + item * 1_000_000_000, item: Some(item) };
    let normal_up = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
    let pick = Isometry3::from_parts(Translation3::new(0.0, 0.0, 0.75), normal_up);
    let boxes = [ItemBox { instance: 1, region: BOX, damage_score: verdict(item, damaged).damage_score, label: "#1 deformation".into() }];
    let judged = JudgedItem {
        color: &seen.color,
        depth: Some(&seen.depth),
        intrinsics: Some(intrinsics()),
        camera_frame: "camera_color_optical_frame",
        mask: Some(&seen.mask),
        heatmap: Some(&seen.heat),
        boxes: &boxes,
        damage_threshold: 0.5,
        pick_pose: Some(("camera_color_optical_frame", pick)),
    };
    scene.live(at, "camera", &seen.color).unwrap();
    scene.text(at, Level::Info, "arrival", "arrived").unwrap();
    scene.judged(at, &judged).unwrap();
    let reference = picture(false).color;
    let comparison = Comparison { reference: Some(&reference), discrepancy: Some(&seen.heat), color: Some(&seen.color), region: Some(BOX) };
    scene.compared(at, &comparison).unwrap();
    scene.verdict(at, &verdict(item, damaged)).unwrap();
    for step in 0..10 {
        let angle = 0.1 * step as f64;
        let then = Moment { stamp_ns: at.stamp_ns + step * 50_000_000, ..at };
        scene.joints(then, [("shoulder", angle), ("elbow", 2.0 * angle), ("unknown", 1.0)]).unwrap();
    }
}

fn show_run(path: &Path) {
    let mut scene = Scene::open(&Sinks { rrd: Some(path.to_owned()), ..Sinks::default() }, Options::default()).unwrap();
    scene.robot(URDF).unwrap();
    scene.transforms(Moment::default(), &frames(), true).unwrap();
    (0..ITEMS).for_each(|item| show_item(&mut scene, item));
    scene.flush(Duration::from_secs(20)).unwrap();
}

/// Rows logged on each entity of the recording, and whether there is a blueprint.
fn read_back(path: &Path) -> (BTreeMap<String, usize>, bool) {
    let mut file = std::fs::File::open(path).unwrap();
    let stores = ChunkStore::from_rrd_reader(&ChunkStoreConfig::ALL_DISABLED, &mut file).unwrap();
    let mut rows = BTreeMap::new();
    let mut has_blueprint = false;
    for (id, store) in stores {
        if id.kind() == StoreKind::Blueprint {
            has_blueprint = true;
            continue;
        }
        for chunk in store.iter_physical_chunks() {
            *rows.entry(chunk.entity_path().to_string()).or_default() += chunk.num_rows();
            if !chunk.is_static() {
                let timelines: Vec<String> = chunk.timelines().keys().map(ToString::to_string).collect();
                assert!(timelines.iter().all(|t| t == "ros_time" || t == "item"), "{timelines:?}");
            }
        }
    }
    (rows, has_blueprint)
}

#[test]
fn a_run_is_recorded_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    // For looking at it by eye.
    let keep = std::env::var_os("INTACT_KEEP_RRD").map(std::path::PathBuf::from);
    let path = keep.unwrap_or_else(|| folder.path().join("new/run.rrd"));
    show_run(&path);
    let (rows, has_blueprint) = read_back(&path);
    assert!(has_blueprint);
    let items = ITEMS as usize;
    for entity in [
        "/judged/color",
        "/judged/boxes",
        "/judged/mask",
        "/item/picture",
        "/item/damage",
        "/item/reference",
        "/item/difference",
        "/world/cloud",
        "/world/pick",
        "/verdict",
        "/latency/total",
        "/latency/stage/segment",
        "/score/damage/threshold",
    ] {
        assert!(rows.get(entity).is_some_and(|n| *n >= items), "{entity}: {:?} in {rows:?}", rows.get(entity));
    }
    let styles = 1; // the static row with name and colour
    assert_eq!(rows["/score/damage/stopped"], items / 4 + styles);
    assert_eq!(rows["/score/damage/sorted"], items - items / 4 + styles);
    assert_eq!(rows["/score/anomaly/sorted"] + rows["/score/anomaly/stopped"], items - items / 3 + 2 * styles, "NaN is not plotted");
    assert_eq!(rows["/log/decision"], items);
    assert_eq!(rows["/tf/moving"], items * 10 * 2, "two joints, unknown ones passed over");
    assert!(rows.keys().any(|entity| entity.starts_with("/world/robot/") && entity.contains("visual")), "{rows:?}");
    let bytes = std::fs::metadata(&path).unwrap().len();
    eprintln!("{} kB an item", bytes / ITEMS as u64 / 1000);
}

/// 200 items at full size must stay below 60 MB.
#[test]
fn an_item_at_full_size_takes_less_than_300_kb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.rrd");
    let mut scene = Scene::open(&Sinks { rrd: Some(path.clone()), ..Sinks::default() }, Options::default()).unwrap();
    scene.transforms(Moment::default(), &frames(), true).unwrap();
    let (width, height) = (1280, 720);
    // Grain as a camera has it, so that JPEG does not get off lightly.
    let mut state = 1_u32;
    let mut grain = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    };
    let color =
        ColorImage::new(width, height, (0..width * height * 3).map(|i| 90 + (i / 3 % width / 16) as u8 + grain()).collect()).unwrap();
    let depth = DepthImage::new(width, height, (0..width * height).map(|_| 0.9 + 0.001 * f32::from(grain())).collect()).unwrap();
    let mask = LabelMask::new(width, height, (0..width * height).map(|i| u16::from(i % width > 500 && i % width < 800)).collect()).unwrap();
    let heat = HeatMap::new(width, height, vec![0.3; (width * height) as usize]).unwrap();
    let region = Rect { x: 500, y: 200, w: 300, h: 300 };
    let boxes = [ItemBox { instance: 1, region, damage_score: 0.1, label: "#1".into() }];
    for item in 0..4 {
        let at = Moment { stamp_ns: item * 1_000_000_000, item: Some(item) };
        let judged = JudgedItem {
            color: &color,
            depth: Some(&depth),
            intrinsics: Some(Intrinsics { fx: 900.0, fy: 900.0, cx: 640.0, cy: 360.0, width, height }),
            camera_frame: "camera_color_optical_frame",
            mask: Some(&mask),
            heatmap: Some(&heat),
            boxes: &boxes,
            damage_threshold: 0.5,
            pick_pose: None,
        };
        scene.live(at, "camera", &color).unwrap();
        scene.judged(at, &judged).unwrap();
        let comparison = Comparison { reference: Some(&color), discrepancy: Some(&heat), color: Some(&color), region: Some(region) };
        scene.compared(at, &comparison).unwrap();
        scene.verdict(at, &verdict(item, false)).unwrap();
    }
    drop(scene);
    let per_item = std::fs::metadata(&path).unwrap().len() / 4;
    eprintln!("{per_item} bytes an item at 1280x720");
    assert!((20_000..300_000).contains(&per_item), "{per_item} bytes an item");
}

#[test]
fn outputs_that_cannot_be_opened_are_named() {
    let error = |sinks: Sinks| Scene::open(&sinks, Options::default()).err().unwrap();
    assert!(matches!(error(Sinks::default()), SceneError::NoSink));
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = Sinks { rrd: Some(file.path().join("run.rrd")), ..Sinks::default() };
    assert!(matches!(error(below_a_file), SceneError::File { .. }));
    let no_address = Sinks { connect_url: Some("http://example.org".into()), ..Sinks::default() };
    assert!(error(no_address).to_string().contains("is no viewer's address"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let serve = Serve { grpc_port: taken.local_addr().unwrap().port(), ..Serve::default() };
    assert!(matches!(error(Sinks { serve: Some(serve), ..Sinks::default() }), SceneError::Port { .. }));
}

/// Rerun itself would wait for ever.
#[test]
fn a_viewer_that_is_not_there_does_not_hold_up_the_end() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sinks = Sinks { connect_url: Some(format!("rerun+http://127.0.0.1:{port}/proxy")), ..Sinks::default() };
    let mut scene = Scene::open(&sinks, Options::default()).unwrap();
    show_item(&mut scene, 0);
    let started = std::time::Instant::now();
    assert!(matches!(scene.flush(Duration::from_millis(300)), Err(SceneError::Flush(_))));
    drop(scene);
    assert!(started.elapsed() < Duration::from_secs(13), "{:?}", started.elapsed());
}

#[test]
fn a_robot_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sinks = Sinks { rrd: Some(folder.path().join("run.rrd")), ..Sinks::default() };
    let mut scene = Scene::open(&sinks, Options::default()).unwrap();
    for urdf in ["", "<robot", "<robot name='x'/>", "not xml"] {
        assert!(matches!(scene.robot(urdf), Err(SceneError::RobotDescription(_))), "{urdf:?}");
    }
    scene.robot(URDF).unwrap();
    scene.robot(include_str!("../../../urdf/intact_cell.urdf")).unwrap();
}

/// The web viewer needs no internet and listens on loopback alone.
#[test]
fn the_web_viewer_is_served_on_loopback() {
    use std::io::{Read, Write};
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = Serve { grpc_port: free(), web_port: free(), ..Serve::default() };
    let mut scene = Scene::open(&Sinks { serve: Some(serve), ..Sinks::default() }, Options::default()).unwrap();
    assert_eq!(
        scene.web_url().unwrap(),
        format!("http://127.0.0.1:{}?url=rerun%2Bhttp://127.0.0.1:{}/proxy", serve.web_port, serve.grpc_port)
    );
    show_item(&mut scene, 0);
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", serve.web_port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let page = String::from_utf8_lossy(&get("/")).into_owned();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page:.200}");
    assert!(get("/re_viewer_bg.wasm").len() > 1_000_000, "the viewer itself is served too");
    let listeners = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    for port in [serve.grpc_port, serve.web_port] {
        // Local addresses are in hexadecimal, loopback is 0100007F; state 0A is listening.
        let wanted = format!(":{port:04X} 00000000:0000 0A");
        let open: Vec<&str> = listeners.lines().filter(|line| line.contains(&wanted)).collect();
        assert!(open.iter().all(|line| line.contains("0100007F:")), "{open:?}");
    }
}

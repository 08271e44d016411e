//! Folders, the booth and live topics, in process; the README against the schema.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::time::Duration;

use camera::CameraParams;
use common::{Cell, EPOCH, SECOND, color, depth, info};
use node_kit::{Mode, NodeOverrides, RunningNode, schema};
use ros_interfaces::diagnostic_msgs::msg::DiagnosticStatus;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use transport::Qos;

/// The shared captures, or `None` (said loudly) where they are not.
fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INTACT_DATA")
        .map_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).to_path_buf(), PathBuf::from);
    let path = root.join(folder);
    if !path.is_dir() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no captures at {}", path.display());
        return None;
    }
    Some(path)
}

fn write_capture(dir: &Path, name: &str, level: u8) {
    image::RgbImage::from_pixel(16, 12, image::Rgb([level; 3])).save(dir.join(format!("{name}_color.png"))).unwrap();
    let counts = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(16, 12, image::Luma([900]));
    counts.save(dir.join(format!("{name}_depth_mm.png"))).unwrap();
}

#[test]
fn a_folder_is_one_arrival_a_capture() {
    let dir = tempfile::tempdir().unwrap();
    write_capture(dir.path(), "box", 10);
    write_capture(dir.path(), "can", 20);
    let folder = || {
        NodeOverrides::default()
            .set("source", "folder")
            .set("folder", dir.path().display().to_string())
            .set("intrinsics", vec![20.0, 20.0, 8.0, 6.0])
            .set("rate", 0.0)
            .set("end_wait_s", 0.0)
    };
    let lines = Cell::try_new(folder(), Mode::Lockstep).unwrap().play();
    assert_eq!(
        lines[1..],
        [
            "arrival 0 box",
            "info 0",
            "depth 0",
            "color 0 10",
            "arrival 1000 can",
            "info 1000",
            "depth 1000",
            "color 1000 20",
            "event 4  end_of_source"
        ]
    );

    // A capture that turns out to be broken: told, and the item arrives all the same.
    let counts = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(16, 12, image::Luma([1]));
    let cell = Cell::try_new(folder(), Mode::Lockstep).unwrap();
    counts.save(dir.path().join("can_depth_mm.png")).unwrap(); // a median of 1 mm is absurd
    let lines = cell.play();
    assert!(lines.iter().any(|l| l.starts_with("event 3 can ")), "{lines:?}");
    assert!(lines.contains(&"arrival 1000 can".to_owned()) && !lines.iter().any(|l| l.starts_with("color 1000")));
}

#[test]
fn captures_with_and_without_an_empty_view_are_not_mixed() {
    let dir = tempfile::tempdir().unwrap();
    write_capture(dir.path(), "box", 10);
    let tote = dir.path().join("tote");
    std::fs::create_dir(&tote).unwrap();
    for (what, depth) in [("input-0", 4000), ("background-0", 6000)] {
        image::RgbImage::from_pixel(16, 12, image::Rgb([90; 3])).save(tote.join(format!("{what}.color.png"))).unwrap();
        let counts = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(16, 12, image::Luma([depth]));
        counts.save(tote.join(format!("{what}.depth.png"))).unwrap();
    }
    std::fs::write(tote.join("camera-0.intrinsics.txt"), "20 0 8\n0 20 6\n0 0 1\n").unwrap();
    std::fs::write(tote.join("depth_unit.json"), r#"{"depth_unit_m": 0.0001}"#).unwrap();
    let overrides = NodeOverrides::default().set("source", "folder").set("folder", dir.path().display().to_string());
    let error = Cell::try_new(overrides.set("intrinsics", vec![20.0, 20.0, 8.0, 6.0]), Mode::Lockstep).err().unwrap();
    assert!(error.contains("box lacks the empty view that tote has"), "{error}");
}

#[test]
fn real_captures_play() {
    let Some(path) = data("rgbd_single_item") else { return };
    let folder = NodeOverrides::default().set("source", "folder").set("folder", path.display().to_string()).set("rate", 0.0);
    let lines = Cell::try_new(folder.set("end_wait_s", 0.0), Mode::Lockstep).unwrap().play();
    let count = |what: &str| lines.iter().filter(|l| l.starts_with(what)).count();
    assert!(count("arrival") > 0 && count("arrival") == count("color") && count("color") == count("info"), "{lines:?}");
    assert_eq!(count("event 3"), 0, "{lines:?}");
}

#[test]
fn the_booth_plays_the_same_twice() {
    let booth = || {
        NodeOverrides::default()
            .set("source", "booth")
            .set("booth_items", 2_i64)
            .set("booth_products", 2_i64)
            .set("booth_width", 160_i64)
            .set("booth_height", 120_i64)
            .set("rate", 0.0)
            .set("end_wait_s", 0.0)
    };
    let lines = Cell::try_new(booth(), Mode::Lockstep).unwrap().play();
    assert_eq!(lines, Cell::try_new(booth(), Mode::Lockstep).unwrap().play());
    let kinds: Vec<&str> = lines.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["tf_static", "background", "arrival", "info", "depth", "color", "arrival", "info", "depth", "color", "event"]);
    assert!(lines[0].contains("camera_link"), "the booth knows where its camera stands");
}

#[test]
fn without_simulated_time_booth_frames_are_stamped_when_they_go_out() {
    let booth = NodeOverrides::default().set("source", "booth").set("booth_items", 2_i64).set("booth_products", 1_i64);
    let booth = booth.set("booth_width", 160_i64).set("booth_height", 120_i64).set("rate", 50.0);
    let now_ms = || (std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64 - EPOCH) / 1_000_000;
    let began_ms = now_ms();
    let cell = Cell::try_new(booth, Mode::Live).unwrap();
    let lines = cell.play();
    let arrivals: Vec<i64> =
        lines.iter().filter_map(|l| l.strip_prefix("arrival ")).map(|l| l.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(arrivals.len(), 2);
    assert!(began_ms <= arrivals[0] && arrivals[0] < arrivals[1] && arrivals[1] <= now_ms(), "{began_ms} {arrivals:?}");
    assert!(cell.ticks_ns().is_empty(), "time is the system's: no /clock");
}

#[test]
fn live_topics_are_watched_and_items_settle() {
    let overrides = NodeOverrides::default().set("arrivals", "settling").set("settling_quiet_frames", 2_i64).set("min_rate_hz", 500.0);
    let cell = Cell::try_new(overrides, Mode::Live).unwrap();
    let colors = cell.node.publisher::<Image>("camera/color/image_raw", Qos::sensor()).unwrap();
    let depths = cell.node.publisher::<Image>("camera/aligned_depth_to_color/image_raw", Qos::sensor()).unwrap();
    let infos = cell.node.publisher::<CameraInfo>("camera/color/camera_info", Qos::sensor()).unwrap();
    cell.camera.activate().unwrap();
    for k in 0..60 {
        let t = EPOCH + k * SECOND / 30;
        // From frame 20 on something lies in the tray; depth lags by 30 ms from frame 40 on.
        let lag = if k >= 40 { 30_000_000 } else { 0 };
        infos.publish(info(t, 10.0)).unwrap();
        depths.publish(depth(t - lag, if k < 20 { 900 } else { 700 })).unwrap();
        colors.publish(color(t, 1)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(cell.wait_for("arrival", 20.0));
    let lines = cell.lines();
    let arrivals: Vec<&String> = lines.iter().filter(|l| l.starts_with("arrival")).collect();
    assert_eq!(arrivals.len(), 1, "{lines:?}");
    let settled_ms: i64 = arrivals[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert!((700..=900).contains(&settled_ms), "{arrivals:?}");
    assert!(!lines.iter().any(|l| l.starts_with("event 4")), "live topics have no end");
    let diagnostics = &cell.camera.ports().diagnostics;
    assert!((0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        diagnostics.count_of("frame_sets") > 20
    }));
    let warned = (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let status = diagnostics.status();
        status.level == DiagnosticStatus::WARN && status.message.contains("at least 500 are expected")
    });
    assert!(warned, "{:?}", diagnostics.status());
    assert!(diagnostics.status().values.iter().any(|v| v.key == "camera_depth_drift"));
}

#[test]
fn the_readme_shows_the_schema() {
    let table = schema::markdown::<CameraParams>();
    assert!(include_str!("../README.md").contains(&table), "README.md must contain this table:\n{table}");
}

//! What the tests share: small bags, and where things lie.
#![allow(dead_code, reason = "not every test binary uses every helper")]

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};

use bag::{Bag, BagWriter, QosProfile, WriterOptions};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::{Header, String as Text};

pub const START_NS: i64 = 1_700_000_000_000_000_000;
pub const FRAME_NS: i64 = 33_000_000;

pub fn header(stamp_ns: i64) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: "camera_color_optical_frame".into() }
}

/// A colour picture whose pixels tell column, row and number.
pub fn color(n: u8, stamp_ns: i64) -> Image {
    let data = (0..48u8).flat_map(|y| (0..64u8).flat_map(move |x| [x, y, n])).collect();
    Image { header: header(stamp_ns), height: 48, width: 64, encoding: "rgb8".into(), is_bigendian: 0, step: 192, data }
}

pub fn depth(stamp_ns: i64) -> Image {
    let data = (0..64u16 * 48).flat_map(|i| (500 + i % 64).to_le_bytes()).collect();
    Image { header: header(stamp_ns), height: 48, width: 64, encoding: "16UC1".into(), is_bigendian: 0, step: 128, data }
}

pub fn info(stamp_ns: i64) -> CameraInfo {
    let k = [50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0];
    CameraInfo {
        header: header(stamp_ns),
        height: 48,
        width: 64,
        k,
        distortion_model: "plumb_bob".into(),
        d: vec![0.0; 5],
        ..CameraInfo::default()
    }
}

pub fn text(data: &str) -> Text {
    Text { data: data.into() }
}

/// A healthy stream of one camera.
pub fn write_stream(writer: &mut BagWriter, frames: i64) {
    for n in 0..frames {
        let t = START_NS + n * FRAME_NS;
        writer.write("/camera/color/image_raw", QosProfile::SENSOR, t, &color(n as u8, t)).unwrap();
        writer.write("/camera/aligned_depth_to_color/image_raw", QosProfile::SENSOR, t, &depth(t)).unwrap();
        writer.write("/camera/color/camera_info", QosProfile::SENSOR, t, &info(t)).unwrap();
    }
}

/// A finished bag with such a stream.
pub fn stream_bag(dir: &Path, frames: i64, options: WriterOptions) -> PathBuf {
    let path = dir.join("stream");
    let mut writer = BagWriter::create(&path, options).unwrap();
    write_stream(&mut writer, frames);
    writer.finish().unwrap();
    path
}

/// Messages and error sentences of a bag.
pub fn read_all(bag: &Bag) -> (Vec<bag::BagMessage>, Vec<String>) {
    let (mut messages, mut errors) = (Vec::new(), Vec::new());
    for item in bag.messages() {
        match item {
            Ok(message) => messages.push(message),
            Err(e) => errors.push(e.to_string()),
        }
    }
    (messages, errors)
}

/// Runs `tests/peers/bag_peer.py`; `None`, said loudly, when there is no Python with the packages it needs.
pub fn peer(args: &[&str]) -> Option<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let usable = std::process::Command::new(&python).args(["-c", "import rosbags, mcap_ros2, numpy"]).output();
    if !usable.is_ok_and(|o| o.status.success()) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no Python with rosbags and mcap-ros2-support at {} (make test-setup, or INTACT_PYTHON)",
            python.display()
        );
        return None;
    }
    let script = root.join("tests/peers/bag_peer.py");
    let out = std::process::Command::new(&python).arg(script).args(args).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "bag_peer.py {args:?} failed:\n{said}");
    Some(said)
}

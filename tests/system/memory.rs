//! Memory stays flat: a thousand frames through the whole cell, recorder included.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bag::{BagWriter, QosProfile, WriterOptions};
use intact_msgs::msg::ItemArrival;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;

use crate::support::program;

const FRAMES: usize = 1_000;
/// Frames from one item to the next.
const FRAMES_AN_ITEM: usize = 20;
const START_NS: i64 = 1_700_000_000_000_000_000;

/// A camera at 30 Hz that sees one of four views of the booth, with an arrival now and then.
fn thousand_frames(path: &Path) {
    let booth = booth::Booth::new(booth::BoothSpec { seed: 90_040, width: 320, height: 240, ..booth::BoothSpec::default() }).unwrap();
    let views: Vec<_> = (0..4).map(|n| booth.capture(n).frame).collect();
    let mut writer = BagWriter::create(path, WriterOptions::default()).unwrap();
    for n in 0..FRAMES {
        let stamp_ns = START_NS + n as i64 * 33_333_333;
        let header = || Header { stamp: Time::from_nanos(stamp_ns), frame_id: "camera_color_optical_frame".into() };
        let item = n / FRAMES_AN_ITEM;
        if n % FRAMES_AN_ITEM == 0 {
            let arrival =
                ItemArrival { header: header(), item_id: format!("item-{item}"), source: "trigger".into(), ..ItemArrival::default() };
            writer.write("/item_arrival", QosProfile::EVENT, stamp_ns, &arrival).unwrap();
        }
        let frame = &views[item % views.len()];
        let (depth, intrinsics) = (frame.depth.as_ref().unwrap(), frame.intrinsics.as_ref().unwrap());
        let color = vision::ros::color_to_ros(&frame.color, header());
        writer.write("/camera/color/image_raw", QosProfile::SENSOR, stamp_ns, &color).unwrap();
        let depth = vision::ros::depth_to_ros_mm(depth, header());
        writer.write("/camera/aligned_depth_to_color/image_raw", QosProfile::SENSOR, stamp_ns, &depth).unwrap();
        let info = vision::ros::intrinsics_to_ros(intrinsics, header());
        writer.write("/camera/color/camera_info", QosProfile::SENSOR, stamp_ns, &info).unwrap();
    }
    writer.finish().unwrap();
}

struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Resident memory that is the process's own, KiB: not the pages of the bag that it reads, which the system may take back.
fn own_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux, and the process runs");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
}

#[test]
fn memory_is_flat_over_a_thousand_frames() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    thousand_frames(&dir.path().join("bag"));
    let args = ["run", "--json", "--lockstep", "--bag", &path("bag"), "--ledger", &path("ledger.sqlite"), "--record", &path("record")];
    let child = Command::new(program("intact")).args(args).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF").stdout(Stdio::piped()).spawn();
    let mut run = Run(child.unwrap());
    let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines();
    let mut kib = Vec::new();
    while let Some(Ok(_)) = lines.next() {
        kib.push(own_memory_kib(run.0.id()));
    }
    assert!(run.0.wait().unwrap().success());
    assert_eq!(kib.len(), FRAMES / FRAMES_AN_ITEM, "an item, a decision");
    // What every part keeps of the past (frames, ended goals, results) is full after a third of the run.
    let middle = |samples: &[u64]| {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let third = kib.len() / 3;
    let (early, late) = (middle(&kib[third..2 * third]), middle(&kib[2 * third..]));
    eprintln!("own memory: {early} KiB in the second third, {late} KiB in the last");
    // A frame is 384 KiB: one in twenty kept would be 6 MiB from third to third.
    assert!(late < early + 4 * 1024, "memory grows: {early} KiB, then {late} KiB; all: {kib:?}");
}

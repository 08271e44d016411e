//! `check` finds what is wrong, and nothing in a healthy bag.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bag::{BagWriter, QosProfile, Severity, WriterOptions, check};
use common::{FRAME_NS, START_NS, color, depth, info, stream_bag, write_stream};
use intact_msgs::msg::ItemArrival;
use ros_interfaces::sensor_msgs::msg::{Image, JointState};
use tempfile::TempDir;

fn arrival(id: &str, t: i64) -> ItemArrival {
    ItemArrival { header: common::header(t), item_id: id.into(), ..ItemArrival::default() }
}

/// Findings of a bag made by `write`, as `severity subject: text`.
fn findings(write: impl FnOnce(&mut BagWriter)) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bag");
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    writer.write("/item_arrival", QosProfile::EVENT, START_NS, &arrival("a", START_NS)).unwrap();
    write(&mut writer);
    writer.finish().unwrap();
    let report = check(&path).unwrap();
    assert_eq!(report.ok, report.findings.iter().all(|f| f.severity == Severity::Warning));
    report.findings.iter().map(|f| format!("{:?} {}: {}", f.severity, f.subject, f.text)).collect()
}

fn put(writer: &mut BagWriter, topic: &str, t: i64, image: &Image) {
    writer.write(topic, QosProfile::SENSOR, t, image).unwrap();
}

#[test]
fn a_healthy_bag_has_no_findings() {
    assert_eq!(findings(|w| write_stream(w, 30)), Vec::<String>::new());
    let dir = TempDir::new().unwrap();
    let report = check(&stream_bag(dir.path(), 30, WriterOptions::default())).unwrap();
    assert!(report.ok);
    let color = report.topics.iter().find(|t| t.name.ends_with("color/image_raw")).unwrap();
    assert!((color.rate_hz.unwrap() - 1e9 / FRAME_NS as f64).abs() < 0.01);
    assert_eq!((report.cameras[0].color_frames, report.cameras[0].color_without_depth, report.cameras[0].color_without_info), (30, 0, 0));
}

#[test]
fn each_fault_is_found() {
    type Fault = (&'static str, fn(&mut BagWriter));
    let faults: [Fault; 12] = [
        ("Error /camera: colour without depth", |w| {
            put(w, "/camera/color/image_raw", START_NS, &color(0, START_NS));
            w.write("/camera/color/camera_info", QosProfile::SENSOR, START_NS, &info(START_NS)).unwrap();
        }),
        // Depth in its own camera's view is of no use to the cell, and no depth here.
        ("Error /camera: colour without depth", |w| {
            put(w, "/camera/color/image_raw", START_NS, &color(0, START_NS));
            w.write("/camera/color/camera_info", QosProfile::SENSOR, START_NS, &info(START_NS)).unwrap();
            put(w, "/camera/depth/image_rect_raw", START_NS, &depth(START_NS));
        }),
        ("Error /camera: camera_info is missing for every", |w| {
            put(w, "/camera/color/image_raw", START_NS, &color(0, START_NS));
            put(w, "/camera/aligned_depth_to_color/image_raw", START_NS, &depth(START_NS));
        }),
        ("Error : no topic", |_| ()),
        ("Error /item_arrival: item a is announced more than once", |w| {
            w.write("/item_arrival", QosProfile::EVENT, START_NS + 1, &arrival("a", START_NS + 1)).unwrap();
        }),
        ("Error /camera/color/image_raw: stamps jump back 1 times", |w| {
            write_stream(w, 3);
            put(w, "/camera/color/image_raw", START_NS + 4 * FRAME_NS, &color(0, START_NS));
        }),
        // Not replayed: several threads may publish there, each in its own order.
        ("Warning /joint_states: stamps jump back 1 times", |w| {
            for stamp_ns in [START_NS + 1, START_NS] {
                let joints = JointState { header: color(0, stamp_ns).header, ..JointState::default() };
                w.write("/joint_states", QosProfile::EVENT, START_NS, &joints).unwrap();
            }
        }),
        ("Warning /camera/color/image_raw: 1 stamps are equal", |w| {
            write_stream(w, 1);
            put(w, "/camera/color/image_raw", START_NS + 1, &color(0, START_NS));
        }),
        ("Warning /camera/color/image_raw: longest gap 990 ms", |w| {
            write_stream(w, 20);
            let late = START_NS + 49 * FRAME_NS;
            put(w, "/camera/color/image_raw", late, &color(0, late));
        }),
        ("Error /camera/color/image_raw: 1 of 1 messages cannot be used", |w| {
            put(w, "/camera/color/image_raw", START_NS, &Image { step: 1, ..color(0, START_NS) });
        }),
        ("Error /camera: depth has a mean of", |w| {
            let metres: Vec<u8> = (0..64 * 48).flat_map(|_| 700f32.to_le_bytes()).collect();
            let wrong = Image { encoding: "32FC1".into(), step: 256, data: metres, ..depth(START_NS) };
            put(w, "/camera/aligned_depth_to_color/image_raw", START_NS, &wrong);
        }),
        ("Warning /camera: colour and depth are 15.0 ms apart", |w| {
            for n in 0..10 {
                let t = START_NS + n * FRAME_NS;
                put(w, "/camera/color/image_raw", t, &color(0, t));
                put(w, "/camera/aligned_depth_to_color/image_raw", t, &depth(t + 15_000_000));
            }
        }),
    ];
    for (expected, write) in faults {
        let found = findings(write);
        assert!(found.iter().any(|f| f.starts_with(expected)), "{expected}\nfound: {found:#?}");
    }
}

#[test]
fn changing_camera_info_and_empty_topics_are_told() {
    let found = findings(|w| {
        write_stream(w, 2);
        let mut other = info(START_NS + 5 * FRAME_NS);
        other.k[0] = 60.0;
        w.write("/camera/color/camera_info", QosProfile::SENSOR, START_NS + 5 * FRAME_NS, &other).unwrap();
        w.declare(&bag::TopicSpec::of::<Image>("/quiet", QosProfile::SENSOR)).unwrap();
    });
    assert!(found.iter().any(|f| f.contains("camera_info changes 1 times")), "{found:?}");
    assert!(found.iter().any(|f| f.starts_with("Warning /quiet: has no messages")), "{found:?}");
}

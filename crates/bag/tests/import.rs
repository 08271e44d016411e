//! Folders of captures as bags.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};

use bag::{Bag, IMPORT_EPOCH_NS, ImportOptions, check, import_folder};
use captures::Options;
use common::read_all;
use image::{ImageBuffer, Luma, Rgb};
use intact_msgs::msg::ItemArrival;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use tempfile::TempDir;

fn picture(path: PathBuf) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    ImageBuffer::from_fn(16, 12, |x, y| Rgb([x as u8, y as u8, 9])).save(path).unwrap();
}

fn depth(path: PathBuf, first: u16) {
    let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(16, 12, |x, y| Luma([if y == 0 { 0 } else { first + x as u16 }]));
    image.save(path).unwrap();
}

fn single(dir: &Path, name: &str, suffix: &str, first: u16) {
    picture(dir.join(format!("{name}_color.png")));
    depth(dir.join(format!("{name}_depth{suffix}.png")), first);
    fs::write(dir.join("camera.json"), r#"{"fx":50.0,"fy":50.0,"cx":7.5,"cy":5.5}"#).unwrap();
}

/// A folder of one capture with two cameras, the empty view and poses whose x is `x`.
fn tote(dir: &Path, x: i32) {
    for k in 0..2 {
        for (what, first) in [("input", 4000), ("background", 6000)] {
            picture(dir.join(format!("{what}-{k}.color.png")));
            depth(dir.join(format!("{what}-{k}.depth.png")), first);
        }
        fs::write(dir.join(format!("camera-{k}.intrinsics.txt")), "50 0 7\n0 50 5\n0 0 1\n").unwrap();
        fs::write(dir.join(format!("camera-{k}.pose.txt")), format!("0 -1 0 {x}\n1 0 0 {k}\n0 0 1 2\n0 0 0 1\n")).unwrap();
    }
    fs::write(dir.join("depth_unit.json"), r#"{"depth_unit_m": 0.0001}"#).unwrap();
}

fn import(folder: &Path, out: &Path) -> Result<bag::Imported, bag::BagError> {
    import_folder(folder, &Options::default(), out, &ImportOptions::default(), |_| ())
}

fn of_topic<M: ros_interfaces::Message>(path: &Path, topic: &str) -> Vec<(i64, M)> {
    let (messages, errors) = read_all(&Bag::open(path).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    messages.iter().filter(|m| &*m.topic == topic).map(|m| (m.log_time_ns, m.decode().unwrap())).collect()
}

#[test]
fn one_camera_keeps_tenth_millimetres() {
    let dir = TempDir::new().unwrap();
    let (folder, out) = (dir.path().join("captures"), dir.path().join("bag"));
    for name in ["b", "a"] {
        single(&folder, name, "_0.1mm", 5000);
    }
    let done = import(&folder, &out).unwrap();
    assert_eq!((done.captures, done.cameras, done.written.messages), (2, vec!["camera".to_string()], 8));
    let arrivals = of_topic::<ItemArrival>(&out, "/item_arrival");
    let ids: Vec<(i64, &str)> = arrivals.iter().map(|(t, a)| (*t, a.item_id.as_str())).collect();
    assert_eq!(ids, [(IMPORT_EPOCH_NS, "a"), (IMPORT_EPOCH_NS + 1_000_000_000, "b")]);
    assert_eq!(arrivals[0].1.source, "bag");
    let (t, color) = of_topic::<Image>(&out, "/camera/color/image_raw").remove(1);
    let (_, info) = of_topic::<CameraInfo>(&out, "/camera/color/camera_info").remove(1);
    let (_, range) = of_topic::<Image>(&out, "/camera/aligned_depth_to_color/image_raw").remove(1);
    assert_eq!(color.header.stamp.nanos(), t);
    assert_eq!((&info.header, &range.header), (&color.header, &color.header));
    assert_eq!((color.header.frame_id.as_str(), color.encoding.as_str()), ("camera_color_optical_frame", "rgb8"));
    assert_eq!((info.k[0], info.width, range.encoding.as_str()), (50.0, 16, "32FC1"));
    let metres = vision::ros::depth_from_ros(&range).unwrap();
    assert_eq!((metres.at_m(3, 0), metres.at_m(3, 1)), (None, Some((5003.0 * 1e-4) as f32)));
    assert!(check(&out).unwrap().ok);
}

#[test]
fn millimetres_stay_millimetres() {
    let dir = TempDir::new().unwrap();
    let (folder, out) = (dir.path().join("captures"), dir.path().join("bag"));
    single(&folder, "a", "_mm", 700);
    import(&folder, &out).unwrap();
    let (_, range) = of_topic::<Image>(&out, "/camera/aligned_depth_to_color/image_raw").remove(0);
    let counts: Vec<u16> = range.data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    assert_eq!((range.encoding.as_str(), counts[0], counts[16 + 5]), ("16UC1", 0, 705));
}

#[test]
fn several_cameras_bring_empty_view_and_pose() {
    let dir = TempDir::new().unwrap();
    let (folder, out) = (dir.path().join("totes"), dir.path().join("bag"));
    tote(&folder.join("one"), 3);
    tote(&folder.join("two"), 3);
    let done = import(&folder, &out).unwrap();
    assert_eq!(done.cameras, ["camera_0", "camera_1"]);
    let empty = of_topic::<Image>(&out, "/camera_1/background/aligned_depth_to_color/image_raw");
    let times: Vec<i64> = empty.iter().map(|(t, _)| t - IMPORT_EPOCH_NS).collect();
    assert_eq!(times, [-100_000_000, 900_000_000], "before each item, after the one before");
    assert_eq!(empty[0].1.header.frame_id, "camera_1_color_optical_frame");
    let poses = of_topic::<TFMessage>(&out, "/tf_static");
    assert_eq!((poses.len(), poses[0].1.transforms.len()), (1, 2));
    let pose = &poses[0].1.transforms[1];
    assert_eq!((pose.header.frame_id.as_str(), pose.child_frame_id.as_str()), ("cell", "camera_1_color_optical_frame"));
    assert_eq!((pose.transform.translation.x, pose.transform.translation.y), (3.0, 1.0));
    assert!((pose.transform.rotation.z - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-9);
}

#[test]
fn moving_cameras_are_not_static() {
    let dir = TempDir::new().unwrap();
    let (folder, out) = (dir.path().join("totes"), dir.path().join("bag"));
    tote(&folder.join("one"), 3);
    tote(&folder.join("two"), 4);
    import(&folder, &out).unwrap();
    let moving = of_topic::<TFMessage>(&out, "/tf");
    let seen: Vec<(i64, f64)> =
        moving.iter().map(|(_, m)| (m.transforms[0].header.stamp.nanos(), m.transforms[0].transform.translation.x)).collect();
    assert_eq!(seen, [(IMPORT_EPOCH_NS, 3.0), (IMPORT_EPOCH_NS + 1_000_000_000, 4.0)]);
}

#[test]
fn the_same_folder_gives_the_same_bag() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("captures");
    single(&folder, "a", "_mm", 700);
    let bytes = |name: &str| {
        let out = dir.path().join(name).join("bag");
        import(&folder, &out).unwrap();
        fs::read(out.join("bag_0.mcap")).unwrap()
    };
    assert_eq!(bytes("first"), bytes("second"));
}

#[test]
fn a_failed_import_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let (folder, out) = (dir.path().join("captures"), dir.path().join("bag"));
    single(&folder, "a", "_mm", 700);
    single(&folder, "b", "_mm", 700);
    let b = folder.join("b_color.png");
    let whole = fs::read(&b).unwrap();
    fs::write(&b, &whole[..whole.len() - 40]).unwrap();
    assert!(import(&folder, &out).unwrap_err().to_string().contains("b_color.png"));
    assert!(!out.exists());
    tote(&folder.join("tote"), 3);
    fs::write(&b, &whole).unwrap();
    assert!(import(&folder, &out).unwrap_err().to_string().contains("two bags"));
    fs::create_dir(&out).unwrap();
    fs::remove_dir_all(folder.join("tote")).unwrap();
    assert!(import(&folder, &out).unwrap_err().to_string().contains("exists already"));
    assert!(out.exists(), "what was there stays");
}

#[test]
fn real_captures_become_healthy_bags() {
    let root = std::env::var_os("INTACT_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    for (folder, captures) in
        [("rgbd_single_item", 5), ("rgbd_mosd", 23), ("rgbd_tote_bg", 1), ("rgbd_transparent_d435", 4), ("rgbd_apc_sequence", 8)]
    {
        if !root.join(folder).is_dir() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: no real captures at {} (set INTACT_DATA)", root.join(folder).display());
            continue;
        }
        let dir = TempDir::new().unwrap();
        let out = dir.path().join("bag");
        assert_eq!(import(&root.join(folder), &out).unwrap().captures, captures, "{folder}");
        let report = check(&out).unwrap();
        assert!(report.ok, "{folder}: {:?}", report.findings);
        assert_eq!(report.arrivals, captures);
    }
}

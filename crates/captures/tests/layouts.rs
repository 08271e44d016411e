//! Folders in every layout, made on the fly and, where they lie beside the checkout, the real ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};

use captures::{CaptureError, Options, discover, load_color, load_depth, load_rgbd};
use image::{ImageBuffer, Luma, Rgb};
use tempfile::TempDir;

const PINHOLE: &str = r#"{"fx":50.0,"fy":50.0,"cx":7.5,"cy":5.5,"width":16,"height":12}"#;

fn color(path: impl AsRef<Path>) {
    color_sized(path, 16, 12);
}

fn color_sized(path: impl AsRef<Path>, w: u32, h: u32) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    ImageBuffer::from_fn(w, h, |x, y| Rgb([x as u8, y as u8, 7])).save(path).unwrap();
}

/// Counts grow along the row from `first`.
fn depth(path: impl AsRef<Path>, first: u16) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(16, 12, |x, _| Luma([first + x as u16]));
    image.save(path).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    discover(dir, &Options::default()).unwrap().into_iter().map(|c| c.name).collect()
}

fn refuse(dir: &Path) -> String {
    discover(dir, &Options::default()).unwrap_err().to_string()
}

#[test]
fn calibration_a_capture_with_tenth_millimetres() {
    let dir = TempDir::new().unwrap();
    for name in ["odd_name", "b"] {
        color(dir.path().join(format!("{name}_color.png")));
        depth(dir.path().join(format!("{name}_depth_0.1mm.png")), 5000);
        fs::write(dir.path().join(format!("{name}_camera.json")), PINHOLE).unwrap();
        fs::write(dir.path().join(format!("{name}_object_pc.npy")), b"not read").unwrap();
    }
    assert_eq!(names(dir.path()), ["b", "odd_name"]);
    let capture = &discover(dir.path(), &Options::default()).unwrap()[1];
    let loaded = capture.load().unwrap();
    let frame = &loaded[0].frame;
    assert_eq!(frame.color.pixel(3, 2), Some([3, 2, 7]));
    assert!((frame.depth.as_ref().unwrap().at_m(1, 0).unwrap() - 0.5001).abs() < 1e-6);
    assert_eq!(frame.intrinsics.unwrap().fx, 50.0);
    assert_eq!(loaded[0].depth_unit_m, Some(1e-4));
}

#[test]
fn several_cameras_with_background_and_pose() {
    let dir = TempDir::new().unwrap();
    for capture in ["one", "two"] {
        let folder = dir.path().join(capture);
        for k in 0..2 {
            for what in ["input", "background"] {
                color(folder.join(format!("{what}-{k}.color.png")));
                depth(folder.join(format!("{what}-{k}.depth.png")), if what == "input" { 4000 } else { 6000 });
            }
            fs::write(folder.join(format!("camera-{k}.intrinsics.txt")), "50 0 7\n0 50 5\n0 0 1\n").unwrap();
            let pose = format!("1 0 0 {k}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n");
            fs::write(folder.join(format!("camera-{k}.pose.txt")), pose).unwrap();
        }
    }
    assert!(refuse(dir.path()).contains("unit of"));
    fs::write(dir.path().join("depth_unit.json"), r#"{"depth_unit_m": 0.0001}"#).unwrap();
    assert_eq!(names(dir.path()), ["one", "two"]);
    let captures = discover(dir.path(), &Options::default()).unwrap();
    let cameras = captures[1].load().unwrap();
    assert_eq!(cameras.len(), 2);
    assert_eq!(cameras[1].camera, "1");
    assert!((cameras[1].world_from_camera.unwrap().translation.x - 1.0).abs() < 1e-9);
    let empty = cameras[0].background.as_ref().unwrap();
    assert!((empty.depth.as_ref().unwrap().at_m(0, 0).unwrap() - 0.6).abs() < 1e-6);
    // A capture's own folder may be named too; the unit lies above it.
    assert_eq!(names(&dir.path().join("two")), ["two"]);
}

#[test]
fn sequence_takes_its_pose_from_the_frame() {
    let dir = TempDir::new().unwrap();
    let mut info = String::from("# Color camera intrinsic matrix\n50 0 7\n0 50 5\n0 0 1\n\n");
    for n in [3, 4] {
        color(dir.path().join(format!("frame-00000{n}.color.png")));
        depth(dir.path().join(format!("frame-00000{n}.depth_0.1mm.png")), 5000);
        info += &format!("# Camera-to-world extrinsic matrix (camera pose) for frame-00000{n}\n");
        info += &format!("0 -1 0 {n}\n1 0 0 0\n0 0 1 0\n0 0 0 1\n");
    }
    fs::write(dir.path().join("cam.info.txt"), info).unwrap();
    let captures = discover(dir.path(), &Options::default()).unwrap();
    let x: Vec<f64> = captures.iter().map(|c| c.cameras[0].world_from_camera.unwrap().translation.x).collect();
    assert_eq!(x, [3.0, 4.0]);
}

#[test]
fn patterns_find_any_other_layout() {
    let dir = TempDir::new().unwrap();
    color(dir.path().join("left/shot_7.png"));
    depth(dir.path().join("range/shot_7.png"), 500);
    let options = Options {
        color_glob: Some("left/*.png".into()),
        depth_glob: Some("range/*.png".into()),
        depth_unit_m: Some(0.001),
        fx_fy_cx_cy: Some([50.0, 50.0, 8.0, 6.0]),
    };
    let captures = discover(dir.path(), &options).unwrap();
    assert_eq!(captures[0].name, "shot_7");
    let frame = &captures[0].load().unwrap()[0].frame;
    assert!((frame.depth.as_ref().unwrap().at_m(0, 0).unwrap() - 0.5).abs() < 1e-6);
    let colour_only = Options { depth_glob: None, fx_fy_cx_cy: None, ..options.clone() };
    assert!(discover(dir.path(), &colour_only).unwrap()[0].cameras[0].depth.is_none());
    fs::remove_file(dir.path().join("range/shot_7.png")).unwrap();
    let e = discover(dir.path(), &options).unwrap_err();
    assert!(matches!(&e, CaptureError::MissingDepth { expected, .. } if expected == "range/shot_7.png"), "{e}");
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let dir = TempDir::new().unwrap();
    let p = |name: &str| dir.path().join(name);
    assert!(refuse(dir.path()).contains("no captures"));
    color(p("a_color.png"));
    assert!(refuse(dir.path()).contains("a_depth.png"), "{}", refuse(dir.path()));
    depth(p("a_depth_mm.png"), 500);
    assert!(refuse(dir.path()).contains("--intrinsics"));
    fs::write(p("camera.json"), PINHOLE.replace('}', r#","depth_unit_m":0.0001}"#)).unwrap();
    assert!(refuse(dir.path()).contains("correct one"));
    fs::write(p("camera.json"), PINHOLE.replace("16", "32")).unwrap();
    assert!(refuse(dir.path()).contains("one size"));
    fs::write(p("camera.json"), "{").unwrap();
    assert!(refuse(dir.path()).contains("camera.json"));
    fs::write(p("camera.json"), PINHOLE).unwrap();
    assert_eq!(names(dir.path()), ["a"]);
    depth(p("orphan_depth_mm.png"), 500);
    assert!(refuse(dir.path()).contains("no colour picture"));
    fs::remove_file(p("orphan_depth_mm.png")).unwrap();
    color(p("a_rgb.png"));
    assert!(refuse(dir.path()).contains("both the colour picture"));
    fs::remove_file(p("a_rgb.png")).unwrap();
    color_sized(p("a_color.png"), 17, 12);
    assert!(refuse(dir.path()).contains("one size"));
    assert!(discover(&p("not there"), &Options::default()).is_err());
}

#[test]
fn bad_pictures_are_refused() {
    let dir = TempDir::new().unwrap();
    let p = |name: &str| dir.path().join(name);
    depth(p("d.png"), 600);
    color(p("c.png"));
    for unit_m in [0.0, -0.001, f64::NAN, f64::INFINITY] {
        assert!(load_depth(&p("d.png"), unit_m).unwrap_err().to_string().contains("must be positive"));
    }
    assert!(load_depth(&p("d.png"), 1.0).unwrap_err().to_string().contains("check the depth unit"));
    assert!(load_depth(&p("d.png"), 1e-6).unwrap_err().to_string().contains("check the depth unit"));
    assert!(load_depth(&p("c.png"), 0.001).unwrap_err().to_string().contains("16-bit grey"));
    let bytes = fs::read(p("c.png")).unwrap();
    fs::write(p("cut.png"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(load_color(&p("cut.png")).unwrap_err().to_string().contains("cut.png"));
    color_sized(p("big.png"), 20, 12);
    assert!(load_rgbd(&p("big.png"), Some((&p("d.png"), 0.001)), None).unwrap_err().to_string().contains("one size"));
    assert!(load_rgbd(&p("c.png"), None, Some([0.0, 1.0, 1.0, 1.0])).is_err());
    let frame = load_rgbd(&p("c.png"), Some((&p("d.png"), 0.001)), Some([50.0, 50.0, 8.0, 6.0])).unwrap();
    assert_eq!(frame.intrinsics.unwrap().width, 16);
}

#[test]
fn a_depth_picture_without_any_depth_is_not_an_error_here() {
    let dir = TempDir::new().unwrap();
    let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::new(4, 4);
    image.save(dir.path().join("zero.png")).unwrap();
    assert_eq!(load_depth(&dir.path().join("zero.png"), 0.001).unwrap().valid_fraction(), 0.0);
}

fn real(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INTACT_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let dir = root.join(folder);
    if dir.is_dir() {
        return Some(dir);
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: no real captures at {} (set INTACT_DATA)", dir.display());
    None
}

#[test]
fn the_real_folders_are_recognised() {
    let expected = [
        ("rgbd_single_item", 5, 1, false, false),
        ("rgbd_mosd", 23, 1, false, false),
        ("rgbd_tote_bg", 1, 2, true, true),
        ("rgbd_transparent_d435", 4, 1, false, false),
        ("rgbd_apc_sequence", 8, 1, false, true),
    ];
    for (folder, captures, cameras, background, pose) in expected {
        let Some(dir) = real(folder) else { continue };
        let found = discover(&dir, &Options::default()).unwrap();
        assert_eq!(found.len(), captures, "{folder}");
        for capture in found.iter().take(2) {
            let loaded = capture.load().unwrap();
            assert_eq!(loaded.len(), cameras, "{folder}");
            for camera in &loaded {
                assert_eq!(camera.background.is_some(), background, "{folder}");
                assert_eq!(camera.world_from_camera.is_some(), pose, "{folder}");
                let depth = camera.frame.depth.as_ref().unwrap();
                let valid: Vec<f32> = depth.data().iter().copied().filter(|d| *d > 0.0).collect();
                let mean = valid.iter().sum::<f32>() / valid.len() as f32;
                assert!((0.2..2.5).contains(&mean), "{folder} {}: mean depth {mean} m", capture.name);
            }
        }
    }
}

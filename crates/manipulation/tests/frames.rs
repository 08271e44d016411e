//! The tf tree: composition, missing links, loops, poses that are none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use manipulation::{
    FrameError, FrameTree, checked_pose,
    nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3},
};
use proptest::prelude::*;

fn tree() -> FrameTree {
    let mut tree = FrameTree::new();
    tree.set("cell", "tray", Isometry3::translation(0.5, 0.0, 0.0)).unwrap();
    let looking_down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
    let camera = Isometry3::from_parts(Translation3::new(0.0, 0.0, 1.0), looking_down);
    tree.set("tray", "/camera", camera).unwrap(); // as tf1 wrote it
    tree.set("cell", "arm", Isometry3::translation(0.0, 0.2, 0.0)).unwrap();
    tree
}

#[test]
fn maps_points_between_branches() {
    let tree = tree();
    let seen = Point3::new(0.1, 0.1, 0.9); // 0.1 m above the tray, as the camera sees it
    let in_cell = tree.lookup("cell", "camera").unwrap() * seen;
    assert!((in_cell - Point3::new(0.6, -0.1, 0.1)).norm() < 1e-12, "{in_cell}");
    let in_arm = tree.lookup("arm", "camera").unwrap() * seen;
    assert!((in_arm - Point3::new(0.6, -0.3, 0.1)).norm() < 1e-12, "{in_arm}");
    assert_eq!(tree.lookup("nowhere", "nowhere").unwrap(), Isometry3::identity());
}

#[test]
fn a_missing_transform_is_named() {
    let mut tree = tree();
    assert_eq!(tree.lookup("cell", "moon").unwrap_err(), FrameError::Unknown { frame: "moon".into() });
    assert_eq!(tree.lookup("cell", "").unwrap_err(), FrameError::Unknown { frame: String::new() });
    tree.set("moon", "crater", Isometry3::identity()).unwrap();
    assert!(matches!(tree.lookup("cell", "crater"), Err(FrameError::Unconnected { .. })));
    tree.set("earth", "cell", Isometry3::identity()).unwrap();
    tree.set("earth", "moon", Isometry3::translation(0.0, 0.0, 3.8e8)).unwrap();
    assert!(tree.lookup("cell", "crater").is_ok());
}

#[test]
fn loops_and_nonsense_are_refused() {
    let mut tree = FrameTree::new();
    tree.set("a", "b", Isometry3::identity()).unwrap();
    tree.set("b", "a", Isometry3::identity()).unwrap();
    tree.set("c", "d", Isometry3::identity()).unwrap();
    assert!(matches!(tree.lookup("a", "d"), Err(FrameError::Loop { .. })));
    assert!(matches!(tree.set("a", "a", Isometry3::identity()), Err(FrameError::BadNames { .. })));
    assert!(matches!(tree.set("", "x", Isometry3::identity()), Err(FrameError::BadNames { .. })));
    assert!(matches!(tree.set("a", "x", Isometry3::translation(f64::NAN, 0.0, 0.0)), Err(FrameError::NotAPose { .. })));
    for quaternion in [[0.0; 4], [0.0, 0.0, 0.0, f64::NAN], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, f64::INFINITY]] {
        let refused = checked_pose("pick pose", "camera", [0.0; 3], quaternion).unwrap_err().to_string();
        assert!(refused.contains("pick pose") && refused.contains("camera"), "{refused}");
    }
    assert!(checked_pose("pick pose", "camera", [0.0, f64::INFINITY, 0.0], [0.0, 0.0, 0.0, 1.0]).is_err());
    assert!(checked_pose("pick pose", "camera", [0.0; 3], [0.0, 0.0, 0.0, 1.001]).is_ok());
}

proptest! {
    #[test]
    fn there_and_back_is_the_identity(steps in prop::collection::vec((prop::array::uniform3(-2.0_f64..2.0), prop::array::uniform3(-3.0_f64..3.0), 0_usize..8), 1..12)) {
        let mut tree = FrameTree::new();
        let mut names = vec!["f0".to_owned()];
        for (n, (t, r, parent)) in steps.into_iter().enumerate() {
            let (parent, child) = (names[parent % names.len()].clone(), format!("f{}", n + 1));
            let pose = Isometry3::from_parts(Translation3::new(t[0], t[1], t[2]), UnitQuaternion::from_euler_angles(r[0], r[1], r[2]));
            tree.set(&parent, &child, pose).unwrap();
            names.push(child);
        }
        for a in &names {
            for b in &names {
                let round = tree.lookup(a, b).unwrap() * tree.lookup(b, a).unwrap();
                prop_assert!(round.translation.vector.norm() < 1e-9 && round.rotation.angle() < 1e-6);
            }
        }
    }
}

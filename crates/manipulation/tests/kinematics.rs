//! Forward kinematics, Jacobian-based inverse kinematics and URDF errors, on the demo cell's own URDF.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{BASE_X_M, HOME_RAD, URDF, arm, home, joints, model};
use manipulation::{
    ModelError, RobotModel, SuctionTarget,
    nalgebra::{DVector, Isometry3, Translation3, UnitQuaternion, Vector3},
};
use proptest::prelude::*;

#[test]
fn the_urdf_is_the_cell_that_others_rely_on() {
    let model = model();
    assert_eq!((model.name(), model.root()), ("intact_cell", "cell"));
    for link in ["base_link", "tray", "tool0", "sort_a", "sort_b", "sideline", "reimage", "camera_mount"] {
        assert!(model.has_link(link), "{link}");
    }
    let names: Vec<String> = arm().joint_names().map(str::to_owned).collect();
    assert_eq!(names, ["joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "joint_6"]);
    assert!(arm().allows(&home()));
}

#[test]
fn upright_the_tip_is_the_sum_of_the_links() {
    let tip = arm().tip_pose(&DVector::zeros(6));
    let height_m = 0.18 + 0.20 + 0.52 + 0.26 + 0.24 + 0.10 + 0.02 + 0.11; // read off the URDF
    assert!((tip.translation.vector - Vector3::new(BASE_X_M, 0.0, height_m)).norm() < 1e-12, "{tip}");
    let mut bent = DVector::zeros(6);
    bent[1] = std::f64::consts::FRAC_PI_2; // the whole arm forward: y turns z into x
    let tip = arm().tip_pose(&bent).translation.vector;
    assert!((tip - Vector3::new(BASE_X_M + height_m - 0.38, 0.0, 0.38)).norm() < 1e-12, "{tip}");
}

#[test]
fn frames_of_the_model_compose_to_the_arms_own_kinematics() {
    let (model, arm) = (model(), arm());
    let mut tree = manipulation::FrameTree::new();
    for (parent, child, pose) in model.fixed_transforms() {
        tree.set(parent, child, pose).unwrap();
    }
    let names: Vec<&str> = arm.joint_names().collect();
    let angle = |name: &str| names.iter().position(|n| *n == name).map(|i| HOME_RAD[i]);
    for (parent, child, pose) in model.moving_transforms(angle) {
        tree.set(parent, child, pose).unwrap();
    }
    let difference = tree.lookup("cell", "tool0").unwrap().inverse() * arm.tip_pose(&home());
    assert!(difference.translation.vector.norm() < 1e-9 && difference.rotation.angle() < 1e-9);
    // At home the cup points down.
    assert!((arm.tip_pose(&home()).rotation * Vector3::z() + Vector3::z()).norm() < 0.02);
}

#[test]
fn out_of_reach_is_a_typed_error_with_a_distance() {
    let far = Isometry3::translation(3.0, 0.0, 0.2);
    let error = arm().solve(&SuctionTarget::above(&far, 0.0), &home()).unwrap_err();
    assert!(error.miss_m > 1.0 && error.to_string().contains("out of the arm's reach"), "{error}");
}

#[test]
fn wrong_urdfs_say_what_is_wrong() {
    let broken = |from: &str, to: &str| RobotModel::parse(&URDF.replacen(from, to, 1));
    assert!(matches!(RobotModel::parse("<robot"), Err(ModelError::Parse(_))));
    assert!(matches!(RobotModel::parse(""), Err(ModelError::Parse(_))));
    assert!(matches!(
        broken("<parent link=\"cell\"/><child link=\"tray\"/>", "<parent link=\"cell\"/><child link=\"sort_a\"/>"),
        Err(ModelError::NotATree(_))
    ));
    assert!(matches!(
        broken("<parent link=\"cell\"/><child link=\"tray\"/>", "<parent link=\"camera_mount\"/><child link=\"tray\"/>"),
        Err(ModelError::NotATree(_))
    ));
    assert!(matches!(broken("<link name=\"tool0\"/>", ""), Err(ModelError::NotATree(_))));
    assert!(matches!(broken("<link name=\"tool0\"/>", "<link name=\"tool0\"/><link name=\"loose\"/>"), Err(ModelError::Roots(_))));
    assert!(matches!(model().arm("nose", &[6.0]), Err(ModelError::NoSuchLink(_))));
    assert!(matches!(model().arm("tray", &[6.0]), Err(ModelError::NoJoints(_))));
    assert!(matches!(model().arm("tool0", &[6.0, 6.0]), Err(ModelError::BadAccelerations { .. })));
    assert!(matches!(model().arm("tool0", &[0.0]), Err(ModelError::BadAccelerations { .. })));
    let prismatic = broken("<joint name=\"joint_3\" type=\"revolute\">", "<joint name=\"joint_3\" type=\"prismatic\">").unwrap();
    assert!(matches!(prismatic.arm("tool0", &[6.0]), Err(ModelError::Unsupported { .. })));
    let stuck = broken("lower=\"-2.97\" upper=\"2.97\"", "lower=\"1\" upper=\"1\"").unwrap();
    assert!(matches!(stuck.arm("tool0", &[6.0]), Err(ModelError::BadJoint(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_forward_kinematics_reached(shares in prop::collection::vec(0.02_f64..0.98, 6)) {
        let arm = arm();
        let tip = arm.tip_pose(&joints(&arm, &shares));
        // A surface at the tip, facing the cup.
        let surface = tip * UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
        for q in arm.solve(&SuctionTarget::above(&surface, 0.0), &home()).unwrap() {
            let found = arm.tip_pose(&q);
            prop_assert!(arm.allows(&q));
            prop_assert!((found.translation.vector - tip.translation.vector).norm() < 2e-5);
            prop_assert!((found.rotation * Vector3::z() - tip.rotation * Vector3::z()).norm() < 2e-4);
        }
    }

    #[test]
    fn reaches_every_point_of_the_tray_from_above(x in -0.22_f64..0.22, y in -0.29_f64..0.29, z in 0.0_f64..0.25, roll in -0.4_f64..0.4, pitch in -0.4_f64..0.4) {
        let surface = Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, 0.0));
        prop_assert!(arm().solve(&SuctionTarget::above(&surface, 0.0), &home()).is_ok());
    }
}

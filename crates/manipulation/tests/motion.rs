//! No sample of any motion leaves the limits of the URDF; motions join; the cup goes where it should.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{arm, home, joints, model};
use manipulation::{
    Arm, DivertRequest, DivertSettings, FrameTree, Motion, Phase, PlanError, Trajectory, TrajectoryError,
    nalgebra::{DVector, Isometry3, Translation3, UnitQuaternion, Vector3},
    plan_divert,
};
use proptest::prelude::*;

/// Checks every limit at times that the planner did not look at.
fn assert_inside_limits(arm: &Arm, trajectory: &Trajectory) {
    let mut before: Option<(f64, DVector<f64>)> = None;
    for (t_s, sample) in trajectory.samples(0.0037) {
        for (i, l) in arm.limits().enumerate() {
            let (q, v, a) = (sample.position_rad[i], sample.velocity_rad_s[i], sample.acceleration_rad_s2[i]);
            assert!((l.lower_rad - 1e-9..=l.upper_rad + 1e-9).contains(&q), "joint {i} at {q} rad, t = {t_s} s");
            assert!(v.abs() <= l.velocity_rad_s, "joint {i} at {v} rad/s, t = {t_s} s");
            assert!(a.abs() <= l.acceleration_rad_s2, "joint {i} at {a} rad/s², t = {t_s} s");
            // The stated velocity is the one that the positions have.
            if let Some((t0, q0)) = &before
                && t_s - t0 > 1e-6
            {
                let moved = (q - q0[i]) / (t_s - t0);
                assert!(moved.abs() <= l.velocity_rad_s + 1e-9, "joint {i} moves at {moved} rad/s, t = {t_s} s");
            }
        }
        before = Some((t_s, sample.position_rad));
    }
    for end_s in [0.0, trajectory.duration_s()] {
        let sample = trajectory.sample(end_s);
        assert!(sample.velocity_rad_s.amax() < 1e-9 && sample.acceleration_rad_s2.amax() < 1e-6, "not at rest at {end_s} s");
    }
}

fn bin(name: &str) -> Isometry3<f64> {
    let model = model();
    let mut tree = FrameTree::new();
    for (parent, child, pose) in model.fixed_transforms() {
        tree.set(parent, child, pose).unwrap();
    }
    tree.lookup("cell", name).unwrap()
}

fn request(pick: Isometry3<f64>, bin_name: &str) -> DivertRequest {
    DivertRequest { start_rad: home(), home_rad: home(), pick, bin: bin(bin_name) }
}

fn assert_good_divert(arm: &Arm, request: &DivertRequest, motions: &[Motion]) {
    let mut at = request.start_rad.clone();
    for motion in motions {
        assert!((motion.trajectory.sample(0.0).position_rad - &at).amax() < 1e-6, "{:?} does not join", motion.phase);
        at = motion.trajectory.end_rad().clone();
        assert_inside_limits(arm, &motion.trajectory);
    }
    assert!((at - &request.home_rad).amax() < 1e-9);
    let end_of = |phase| motions.iter().rfind(|m| m.phase == phase).unwrap().trajectory.end_rad().clone();
    let picked = arm.tip_pose(&end_of(Phase::Picking));
    assert!((picked.translation.vector - request.pick.translation.vector).norm() < 1e-4);
    assert!((picked.rotation * Vector3::z() + request.pick.rotation * Vector3::z()).norm() < 1e-3);
    let placed = arm.tip_pose(&end_of(Phase::Placing)).translation.vector - request.bin.translation.vector;
    assert!((placed - Vector3::z() * DivertSettings::default().release_height_m).norm() < 1e-4);
    assert!(motions.windows(2).all(|pair| pair[0].phase <= pair[1].phase));
    let carried = |m: &Motion| matches!(m.phase, Phase::Carrying | Phase::Placing);
    assert!(motions.iter().all(|m| m.suction == carried(m)));
}

#[test]
fn diverts_from_the_trays_middle_to_every_bin() {
    let arm = arm();
    for name in ["sort_a", "sort_b", "sideline", "reimage"] {
        let request = request(Isometry3::translation(0.0, 0.0, 0.08), name);
        let motions = plan_divert(&arm, &request, &DivertSettings::default()).unwrap();
        assert_good_divert(&arm, &request, &motions);
        let duration_s: f64 = motions.iter().map(|m| m.trajectory.duration_s()).sum();
        let length_rad: f64 = motions.iter().map(|m| m.trajectory.length_rad()).sum();
        println!("{name}: {duration_s:.2} s, {length_rad:.2} rad");
        assert!((1.0..12.0).contains(&duration_s), "{name}: {duration_s} s");
    }
}

#[test]
fn the_line_to_the_item_is_straight() {
    let arm = arm();
    let request = request(Isometry3::translation(-0.05, 0.15, 0.05), "sort_a");
    let motions = plan_divert(&arm, &request, &DivertSettings::default()).unwrap();
    let picking = &motions.iter().find(|m| m.phase == Phase::Picking).unwrap().trajectory;
    for (_, sample) in picking.samples(0.01) {
        let off = arm.tip_pose(&sample.position_rad).translation.vector - request.pick.translation.vector;
        assert!(off.xy().norm() < 5e-4, "{} m beside the line", off.xy().norm());
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let arm = arm();
    let plan = |pick| plan_divert(&arm, &request(pick, "sort_a"), &DivertSettings::default()).unwrap_err();
    assert!(matches!(plan(Isometry3::translation(2.5, 0.0, 0.1)), PlanError::Unreachable { what: "the pick point", .. }));
    let upside_down = Isometry3::rotation(Vector3::x() * 3.0) * Isometry3::identity();
    assert!(matches!(plan(Isometry3::translation(-0.05, 0.0, 0.1) * upside_down), PlanError::TooSteep { .. }));
    let far_bin =
        DivertRequest { bin: Isometry3::translation(0.0, 5.0, 0.0), ..request(Isometry3::translation(-0.05, 0.0, 0.1), "sort_a") };
    assert!(matches!(plan_divert(&arm, &far_bin, &DivertSettings::default()), Err(PlanError::Unreachable { what: "the bin", .. })));
    let outside = DVector::from_element(6, 9.0);
    assert!(matches!(Trajectory::through(&arm, &[home(), outside], 1.0), Err(TrajectoryError::OutsideLimits { .. })));
    assert!(matches!(Trajectory::through(&arm, &[DVector::zeros(2)], 1.0), Err(TrajectoryError::BadWaypoint { .. })));
    assert!(matches!(Trajectory::through(&arm, &[DVector::from_element(6, f64::NAN)], 1.0), Err(TrajectoryError::BadWaypoint { .. })));
    assert!(matches!(Trajectory::through(&arm, &[], 1.0), Err(TrajectoryError::Empty)));
    assert!(matches!(Trajectory::through(&arm, &[home()], 0.0), Err(TrajectoryError::BadScale(_))));
}

#[test]
fn standing_still_takes_no_time() {
    let still = Trajectory::through(&arm(), &[home(), home()], 1.0).unwrap();
    assert_eq!((still.duration_s(), still.length_rad()), (0.0, 0.0));
    assert_eq!(still.sample(3.0).position_rad, home());
}

#[test]
fn some_joint_works_at_its_limit_and_half_the_speed_takes_twice_as_long() {
    let arm = arm();
    let way = [home(), joints(&arm, &[0.9, 0.3, 0.6, 0.2, 0.7, 0.6])];
    let full = Trajectory::through(&arm, &way, 1.0).unwrap();
    let used = full.samples(0.001).flat_map(|(_, s)| {
        let share =
            |((v, a), l): ((&f64, &f64), manipulation::JointLimits)| (v.abs() / l.velocity_rad_s).max(a.abs() / l.acceleration_rad_s2);
        s.velocity_rad_s.iter().zip(&s.acceleration_rad_s2).zip(arm.limits()).map(share).collect::<Vec<_>>()
    });
    assert!(used.fold(0.0, f64::max) > 0.9, "slower than need be");
    let half = Trajectory::through(&arm, &way, 0.5).unwrap();
    assert!((half.duration_s() / full.duration_s() - 2.0).abs() < 1e-9);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_sample_leaves_the_limits(shares in prop::collection::vec(prop::collection::vec(0.15_f64..0.85, 6), 2..7), scale in 0.2_f64..1.0) {
        let arm = arm();
        let waypoints: Vec<DVector<f64>> = shares.iter().map(|s| joints(&arm, s)).collect();
        match Trajectory::through(&arm, &waypoints, scale) {
            Ok(trajectory) => assert_inside_limits(&arm, &trajectory),
            Err(error) => prop_assert!(matches!(error, TrajectoryError::OutsideLimits { .. }), "{error}"),
        }
    }

    #[test]
    fn every_divert_from_the_tray_keeps_the_limits(x in -0.15_f64..0.21, y in -0.28_f64..0.28, z in 0.01_f64..0.25, lean in -0.12_f64..0.12, turn in -3.0_f64..3.0, lane in 0_usize..4) {
        let arm = arm();
        let rotation = UnitQuaternion::from_euler_angles(lean, -lean, turn);
        let pick = Isometry3::from_parts(Translation3::new(x, y, z), rotation);
        let request = request(pick, ["sort_a", "sort_b", "sideline", "reimage"][lane]);
        let motions = plan_divert(&arm, &request, &DivertSettings::default());
        prop_assert!(motions.is_ok(), "{:?}", motions.err());
        assert_good_divert(&arm, &request, &motions.unwrap());
    }
}

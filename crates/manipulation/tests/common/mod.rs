//! The demo cell's arm.
#![allow(dead_code)] // each test binary uses its part

use manipulation::{Arm, RobotModel, nalgebra::DVector};

pub const URDF: &str = include_str!("../../../../urdf/intact_cell.urdf");
/// The arm stands behind the tray, in whose middle the frame `cell` lies.
pub const BASE_X_M: f64 = -0.55;
/// Cup down, beside the tray: the camera sees all of it.
pub const HOME_RAD: [f64; 6] = [1.2, -0.35, 1.75, 0.0, 1.74, 0.0];

pub fn model() -> RobotModel {
    RobotModel::parse(URDF).unwrap()
}

pub fn arm() -> Arm {
    model().arm("tool0", &[6.0]).unwrap()
}

pub fn home() -> DVector<f64> {
    DVector::from_row_slice(&HOME_RAD)
}

/// A joint vector from shares of each joint's range.
pub fn joints(arm: &Arm, shares: &[f64]) -> DVector<f64> {
    let angle = |(l, s): (manipulation::JointLimits, &f64)| l.lower_rad + (l.upper_rad - l.lower_rad) * s;
    DVector::from_iterator(arm.dof(), arm.limits().zip(shares).map(angle))
}

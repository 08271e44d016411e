//! A serial chain of revolute joints: where its tip is, and how it moves with the joints.

use nalgebra::{DVector, Dyn, Isometry3, OMatrix, U6, Unit, UnitQuaternion, Vector3};

/// What one joint may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointLimits {
    /// Least angle.
    pub lower_rad: f64,
    /// Greatest angle.
    pub upper_rad: f64,
    /// Greatest speed.
    pub velocity_rad_s: f64,
    /// Greatest acceleration.
    pub acceleration_rad_s2: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct ArmJoint {
    pub name: String,
    /// From the frame of the joint before (or the root) to this one at angle zero.
    pub previous_from_zero: Isometry3<f64>,
    pub axis: Unit<Vector3<f64>>,
    pub limits: JointLimits,
}

/// A serial arm. Joint vectors are in the order of [`Arm::joint_names`], radians.
#[derive(Clone, Debug)]
pub struct Arm {
    joints: Vec<ArmJoint>,
    last_from_tip: Isometry3<f64>,
}

/// Tip velocity per joint velocity, in the root frame: rows 0–2 linear (m/s), 3–5 angular (rad/s).
pub(crate) type Jacobian = OMatrix<f64, U6, Dyn>;

impl Arm {
    pub(crate) fn new(joints: Vec<ArmJoint>, last_from_tip: Isometry3<f64>) -> Self {
        Self { joints, last_from_tip }
    }

    /// Number of joints.
    pub fn dof(&self) -> usize {
        self.joints.len()
    }

    /// Names from the root to the tip.
    pub fn joint_names(&self) -> impl Iterator<Item = &str> {
        self.joints.iter().map(|joint| joint.name.as_str())
    }

    /// Limits from the root to the tip.
    pub fn limits(&self) -> impl Iterator<Item = JointLimits> + Clone {
        self.joints.iter().map(|joint| joint.limits)
    }

    /// Whether a vector has one finite angle for each joint, all inside their limits.
    pub fn allows(&self, q_rad: &DVector<f64>) -> bool {
        q_rad.len() == self.dof() && q_rad.iter().zip(self.limits()).all(|(q, l)| (l.lower_rad..=l.upper_rad).contains(q)) // false for NaN
    }

    /// `root_from_tip`.
    pub fn tip_pose(&self, q_rad: &DVector<f64>) -> Isometry3<f64> {
        self.joint_poses(q_rad).last().copied().unwrap_or_default() * self.last_from_tip
    }

    /// `root_from_joint` of each joint, after its own turn.
    pub fn joint_poses(&self, q_rad: &DVector<f64>) -> Vec<Isometry3<f64>> {
        let mut root_from_joint = Isometry3::identity();
        let turned = |(joint, angle): (&ArmJoint, &f64)| {
            root_from_joint *= joint.previous_from_zero * UnitQuaternion::from_axis_angle(&joint.axis, *angle);
            root_from_joint
        };
        self.joints.iter().zip(q_rad.iter()).map(turned).collect()
    }

    /// Tip pose and geometric Jacobian, in the root frame.
    pub(crate) fn tip_and_jacobian(&self, q_rad: &DVector<f64>) -> (Isometry3<f64>, Jacobian) {
        let poses = self.joint_poses(q_rad);
        let tip = poses.last().copied().unwrap_or_default() * self.last_from_tip;
        let mut jacobian = Jacobian::zeros(self.dof());
        for ((mut column, pose), joint) in jacobian.column_iter_mut().zip(&poses).zip(&self.joints) {
            let axis = pose.rotation * joint.axis.into_inner();
            let lever = tip.translation.vector - pose.translation.vector;
            column.fixed_rows_mut::<3>(0).copy_from(&axis.cross(&lever));
            column.fixed_rows_mut::<3>(3).copy_from(&axis);
        }
        (tip, jacobian)
    }

    /// The nearest vector inside the limits.
    pub(crate) fn clamped(&self, mut q_rad: DVector<f64>) -> DVector<f64> {
        for (q, limits) in q_rad.iter_mut().zip(self.limits()) {
            *q = q.clamp(limits.lower_rad, limits.upper_rad);
        }
        q_rad
    }
}

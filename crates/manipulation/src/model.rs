//! What is used of a URDF: frames, joints, limits.

use std::collections::BTreeMap;

use nalgebra::{Isometry3, Translation3, Unit, UnitQuaternion, Vector3};
use urdf_rs::JointType;

use crate::arm::{Arm, ArmJoint, JointLimits};

/// Why a URDF cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// Not a URDF.
    #[error("cannot read the URDF: {0}")]
    Parse(String),
    /// No root, or several.
    #[error("the URDF needs exactly one root link; it has {0:?}")]
    Roots(Vec<String>),
    /// A link that two joints hold, or that no link element declares, or a loop.
    #[error("link `{0}` is not part of one tree")]
    NotATree(String),
    /// The chain has no such end.
    #[error("the URDF has no link `{0}`")]
    NoSuchLink(String),
    /// No movable joint between root and tip.
    #[error("no movable joint leads to `{0}`")]
    NoJoints(String),
    /// A joint in the arm that is neither fixed nor revolute.
    #[error("joint `{joint}` is {kind}; the arm may have revolute and fixed joints only")]
    Unsupported {
        /// Joint.
        joint: String,
        /// Its type.
        kind: String,
    },
    /// A joint without usable limits.
    #[error("joint `{0}` needs <limit> with lower < upper and velocity > 0, and an axis that is not zero")]
    BadJoint(String),
    /// A configured acceleration that is none.
    #[error("{given} acceleration limits for {joints} joints; give one for all or one each, all > 0")]
    BadAccelerations {
        /// How many were given.
        given: usize,
        /// Joints of the arm.
        joints: usize,
    },
}

#[derive(Clone, Debug)]
struct Joint {
    name: String,
    parent: String,
    child: String,
    parent_from_child_at_zero: Isometry3<f64>,
    kind: JointType,
    axis: Option<Unit<Vector3<f64>>>,
    lower_rad: f64,
    upper_rad: f64,
    velocity_rad_s: f64,
}

/// A parsed URDF.
#[derive(Clone, Debug)]
pub struct RobotModel {
    name: String,
    root: String,
    joints: Vec<Joint>,
    /// Child link → index of the joint that holds it.
    joint_of_child: BTreeMap<String, usize>,
}

impl RobotModel {
    /// Reads URDF text; checks that its links form one tree.
    pub fn parse(urdf: &str) -> Result<Self, ModelError> {
        let robot = urdf_rs::read_from_string(urdf).map_err(|error| ModelError::Parse(error.to_string()))?;
        let joints: Vec<Joint> = robot.joints.iter().map(joint_from_urdf).collect();
        let mut joint_of_child = BTreeMap::new();
        for (index, joint) in joints.iter().enumerate() {
            if joint_of_child.insert(joint.child.clone(), index).is_some() {
                return Err(ModelError::NotATree(joint.child.clone()));
            }
        }
        let declared: Vec<&str> = robot.links.iter().map(|link| link.name.as_str()).collect();
        if let Some(joint) = joints.iter().find(|j| !declared.contains(&j.parent.as_str()) || !declared.contains(&j.child.as_str())) {
            return Err(ModelError::NotATree(joint.child.clone()));
        }
        let roots: Vec<&str> = declared.iter().copied().filter(|link| !joint_of_child.contains_key(*link)).collect();
        let [root] = roots.as_slice() else {
            return Err(ModelError::Roots(roots.into_iter().map(str::to_owned).collect()));
        };
        let root = (*root).to_owned();
        let model = Self { name: robot.name, root, joints, joint_of_child };
        for link in declared {
            model.chain(link)?;
        }
        Ok(model)
    }

    /// Name of the robot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one link without a parent.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether the URDF has this link.
    pub fn has_link(&self, link: &str) -> bool {
        link == self.root || self.joint_of_child.contains_key(link)
    }

    /// `(parent, child, parent_from_child)` of every fixed joint.
    pub fn fixed_transforms(&self) -> impl Iterator<Item = (&str, &str, Isometry3<f64>)> {
        let fixed = self.joints.iter().filter(|j| j.kind == JointType::Fixed);
        fixed.map(|j| (j.parent.as_str(), j.child.as_str(), j.parent_from_child_at_zero))
    }

    /// `(parent, child, parent_from_child)` of every revolute joint, at the given angles by joint name; a joint that is
    /// not named stands at zero.
    pub fn moving_transforms<'a>(
        &'a self,
        angle_rad: impl Fn(&str) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a str, Isometry3<f64>)> {
        self.joints.iter().filter_map(move |j| {
            let turn = UnitQuaternion::from_axis_angle(&j.axis?, angle_rad(&j.name).unwrap_or(0.0));
            (j.kind != JointType::Fixed).then(|| (j.parent.as_str(), j.child.as_str(), j.parent_from_child_at_zero * turn))
        })
    }

    /// The serial chain from the root to `tip`. Accelerations are no part of a URDF: one for all joints, or one each.
    pub fn arm(&self, tip: &str, accelerations_rad_s2: &[f64]) -> Result<Arm, ModelError> {
        let mut joints = Vec::new();
        let mut fixed_so_far = Isometry3::identity();
        for joint in self.chain(tip)? {
            fixed_so_far *= joint.parent_from_child_at_zero;
            if joint.kind == JointType::Fixed {
                continue;
            }
            joints.push(ArmJoint {
                name: joint.name.clone(),
                previous_from_zero: std::mem::replace(&mut fixed_so_far, Isometry3::identity()),
                axis: joint.axis.ok_or_else(|| ModelError::BadJoint(joint.name.clone()))?,
                limits: joint_limits(joint)?,
            });
        }
        if joints.is_empty() {
            return Err(ModelError::NoJoints(tip.to_owned()));
        }
        let count = joints.len();
        let one_each = accelerations_rad_s2.len() == 1 || accelerations_rad_s2.len() == count;
        if !one_each || !accelerations_rad_s2.iter().all(|a| *a > 0.0 && a.is_finite()) {
            return Err(ModelError::BadAccelerations { given: accelerations_rad_s2.len(), joints: count });
        }
        for (joint, acceleration) in joints.iter_mut().zip(accelerations_rad_s2.iter().cycle()) {
            joint.limits.acceleration_rad_s2 = *acceleration;
        }
        Ok(Arm::new(joints, fixed_so_far))
    }

    /// The joints from the root down to a link.
    fn chain(&self, tip: &str) -> Result<Vec<&Joint>, ModelError> {
        if !self.has_link(tip) {
            return Err(ModelError::NoSuchLink(tip.to_owned()));
        }
        let mut chain = Vec::new();
        let mut link = tip;
        while let Some(joint) = self.joint_of_child.get(link).and_then(|index| self.joints.get(*index)) {
            chain.push(joint);
            link = &joint.parent;
            if chain.len() > self.joints.len() {
                return Err(ModelError::NotATree(tip.to_owned()));
            }
        }
        chain.reverse();
        Ok(chain)
    }
}

fn joint_from_urdf(joint: &urdf_rs::Joint) -> Joint {
    let [x, y, z] = joint.origin.xyz.0;
    let [roll, pitch, yaw] = joint.origin.rpy.0;
    let [ax, ay, az] = joint.axis.xyz.0;
    let turn = UnitQuaternion::from_euler_angles(roll, pitch, yaw);
    Joint {
        name: joint.name.clone(),
        parent: joint.parent.link.clone(),
        child: joint.child.link.clone(),
        parent_from_child_at_zero: Isometry3::from_parts(Translation3::new(x, y, z), turn),
        kind: joint.joint_type.clone(),
        axis: Unit::try_new(Vector3::new(ax, ay, az), 1e-9),
        lower_rad: joint.limit.lower,
        upper_rad: joint.limit.upper,
        velocity_rad_s: joint.limit.velocity,
    }
}

fn joint_limits(joint: &Joint) -> Result<JointLimits, ModelError> {
    if joint.kind != JointType::Revolute {
        return Err(ModelError::Unsupported { joint: joint.name.clone(), kind: format!("{:?}", joint.kind).to_lowercase() });
    }
    let sound = joint.lower_rad < joint.upper_rad && joint.velocity_rad_s > 0.0 && joint.velocity_rad_s.is_finite();
    if !sound {
        return Err(ModelError::BadJoint(joint.name.clone()));
    }
    Ok(JointLimits {
        lower_rad: joint.lower_rad,
        upper_rad: joint.upper_rad,
        velocity_rad_s: joint.velocity_rad_s,
        acceleration_rad_s2: f64::INFINITY, // no part of a URDF; the caller sets it
    })
}

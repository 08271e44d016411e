//! The robot: its URDF once, then its joints.

use rerun::external::re_importer::{UrdfTree, external::urdf_rs};
use rerun::{RecordingStream, TimePoint, Transform3D};

use crate::error::SceneError;
use crate::layout::paths;

/// A robot that stands in the scene.
pub(crate) struct Robot {
    tree: UrdfTree,
}

impl Robot {
    /// Reads a URDF and shows its visual geometry; where the links are is said by [`Robot::zero_pose`] and what follows. Meshes named `package://` are looked for in
    /// `ROS_PACKAGE_PATH` and `AMENT_PREFIX_PATH`.
    pub(crate) fn show(stream: &RecordingStream, urdf: &str) -> Result<Self, SceneError> {
        let fail = |reason: String| SceneError::RobotDescription(reason);
        let robot = urdf_rs::read_from_string(urdf).map_err(|e| fail(e.to_string()))?;
        let tree = UrdfTree::new(robot, None, Some(paths::ROBOT.into())).map_err(|e| fail(e.to_string()))?;
        let mut emit = |chunk| stream.send_chunk(chunk);
        tree.emit(&mut emit, &TimePoint::STATIC, false).map_err(|e| fail(e.to_string()))?;
        Ok(Self { tree })
    }

    /// The pose of a joint's child link at `position` (radians or metres), and the name of that link. `None` for joints that
    /// the robot does not have or that do not move.
    pub(crate) fn joint_transform(&self, joint: &str, position: f64) -> Option<(&str, Transform3D)> {
        let joint = self.tree.get_joint_by_name(joint)?;
        let transform = self.tree.compute_joint_transform(joint, position, false).ok()?;
        Some((joint.child.link.as_str(), transform))
    }

    /// Parent, child and transform of every joint at zero.
    pub(crate) fn zero_pose(&self) -> impl Iterator<Item = (&str, &str, Transform3D)> {
        self.tree.joints().filter_map(|joint| {
            let transform = self.tree.compute_joint_transform(joint, 0.0, false).ok()?;
            Some((joint.parent.link.as_str(), joint.child.link.as_str(), transform))
        })
    }
}

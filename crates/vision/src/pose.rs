//! Rigid poses and their ROS form.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use ros_interfaces::geometry_msgs::msg::{Transform, TransformStamped};
use ros_interfaces::std_msgs::msg::Header;

/// The pose `parent_from_child` as a transform of `header.frame_id` (the parent) and `child`.
pub fn transform_to_ros(header: Header, child: &str, parent_from_child: &Isometry3<f64>) -> TransformStamped {
    let mut transform = Transform::default();
    let (t, q) = (parent_from_child.translation.vector, parent_from_child.rotation.coords);
    (transform.translation.x, transform.translation.y, transform.translation.z) = (t.x, t.y, t.z);
    (transform.rotation.x, transform.rotation.y, transform.rotation.z, transform.rotation.w) = (q.x, q.y, q.z, q.w);
    TransformStamped { header, child_frame_id: child.to_owned(), transform }
}

/// `parent_from_child`; `None` when a number is not finite or the quaternion is none.
pub fn transform_from_ros(transform: &Transform) -> Option<Isometry3<f64>> {
    let (t, r) = (&transform.translation, &transform.rotation);
    if ![t.x, t.y, t.z, r.x, r.y, r.z, r.w].iter().all(|n| n.is_finite()) {
        return None;
    }
    let rotation = UnitQuaternion::try_new(Quaternion::new(r.w, r.x, r.y, r.z), 1e-6)?;
    Some(Isometry3::from_parts(Translation3::new(t.x, t.y, t.z), rotation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    #[test]
    fn a_pose_survives_the_way_there_and_back() {
        let pose = Isometry3::new(Vector3::new(0.1, -0.2, 1.5), Vector3::new(0.3, 2.0, -0.7));
        let back = transform_from_ros(&transform_to_ros(Header::default(), "child", &pose).transform);
        assert!(back.is_some_and(|b| (b.to_homogeneous() - pose.to_homogeneous()).norm() < 1e-12));
    }

    #[test]
    fn what_is_no_pose_is_refused() {
        let mut transform = transform_to_ros(Header::default(), "child", &Isometry3::identity()).transform;
        transform.rotation.w = 0.0;
        assert_eq!(transform_from_ros(&transform), None);
        transform.rotation.w = 1.0;
        transform.translation.x = f64::NAN;
        assert_eq!(transform_from_ros(&transform), None);
    }
}

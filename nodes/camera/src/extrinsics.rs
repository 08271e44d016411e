//! Where cameras and tray stand: parameters or captured poses to transforms.

use std::collections::BTreeMap;

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::geometry_msgs::msg::TransformStamped;
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use vision::pose::{transform_from_ros, transform_to_ros};

/// A pose from a parameter: `[x, y, z, roll, pitch, yaw]` (metres, radians, fixed axes) or `[x, y, z, qx, qy, qz, qw]`.
///
/// # Errors
/// One sentence, when the numbers are no pose.
pub(crate) fn parse_pose(name: &str, numbers: &[f64]) -> Result<Isometry3<f64>, String> {
    if let Some(bad) = numbers.iter().find(|n| !n.is_finite()) {
        return Err(format!("parameter `{name}` holds {bad}, which is no number of a pose"));
    }
    match *numbers {
        [x, y, z, roll, pitch, yaw] => {
            Ok(Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw)))
        }
        [x, y, z, qx, qy, qz, qw] => {
            let quaternion = Quaternion::new(qw, qx, qy, qz);
            if (quaternion.norm() - 1.0).abs() > 0.01 {
                return Err(format!("parameter `{name}`: the quaternion's length is {:.3}, it must be 1", quaternion.norm()));
            }
            Ok(Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_quaternion(quaternion)))
        }
        _ => Err(format!(
            "parameter `{name}` has {} numbers; give x, y, z and roll, pitch, yaw (6) or a quaternion x, y, z, w (7)",
            numbers.len()
        )),
    }
}

/// `<camera>_link` from `<camera>_color_optical_frame`: x forward, y left, z up against x right, y down, z forward.
fn link_from_optical() -> Isometry3<f64> {
    let quarter = std::f64::consts::FRAC_PI_2;
    Isometry3::from_parts(Translation3::identity(), UnitQuaternion::from_euler_angles(-quarter, 0.0, -quarter))
}

pub(crate) fn optical_frame(camera: &str) -> String {
    format!("{}_color_optical_frame", base_name(camera))
}

pub(crate) fn link_frame(camera: &str) -> String {
    format!("{}_link", base_name(camera))
}

/// Frames are named after the last part of a namespace: `/cell/left` has `left_link`.
fn base_name(camera: &str) -> &str {
    camera.rsplit('/').find(|part| !part.is_empty()).unwrap_or(camera)
}

/// The static transforms of this node, as one latched message: a later one replaces the whole.
#[derive(Debug)]
pub(crate) struct StaticFrames {
    world_frame: String,
    cameras: Vec<String>,
    /// Cameras whose pose comes from a parameter: what the source says of them is left out.
    fixed: Vec<bool>,
    transforms: BTreeMap<String, TransformStamped>,
}

impl StaticFrames {
    /// Frames of `cameras`. `world_from_link` and `world_from_optical` are the poses known from parameters and from the
    /// source; a parameter stands above the source.
    pub(crate) fn new(
        world_frame: &str,
        world_from_tray: &Isometry3<f64>,
        cameras: &[String],
        world_from_link: &[Option<Isometry3<f64>>],
        world_from_optical: &[Option<Isometry3<f64>>],
    ) -> Self {
        let fixed = (0..cameras.len()).map(|i| world_from_link.get(i).is_some_and(Option::is_some)).collect();
        let mut frames = Self { world_frame: world_frame.to_owned(), cameras: cameras.to_vec(), fixed, transforms: BTreeMap::new() };
        frames.put(world_frame, "tray", world_from_tray);
        for (index, camera) in cameras.iter().enumerate() {
            frames.put(&link_frame(camera), &optical_frame(camera), &link_from_optical());
            let from_source = || world_from_optical.get(index).copied().flatten().map(|pose| pose * link_from_optical().inverse());
            if let Some(pose) = world_from_link.get(index).copied().flatten().or_else(from_source) {
                frames.put(world_frame, &link_frame(camera), &pose);
            }
        }
        frames
    }

    /// Cameras that stand nowhere yet.
    pub(crate) fn unplaced(&self) -> Vec<&str> {
        self.cameras.iter().filter(|c| !self.transforms.contains_key(&link_frame(c))).map(String::as_str).collect()
    }

    /// All of them.
    pub(crate) fn message(&self) -> TFMessage {
        TFMessage { transforms: self.transforms.values().cloned().collect() }
    }

    /// Takes the source's static transforms in: true when something changed.
    pub(crate) fn take(&mut self, tf: &TFMessage) -> bool {
        let before = self.transforms.clone();
        for transform in self.through_link(tf) {
            self.transforms.insert(transform.child_frame_id.clone(), transform);
        }
        before != self.transforms
    }

    /// The source's transforms, so that they fit into this tree: a pose of a camera's optical frame becomes one of its
    /// link (a frame has one parent), and what parameters or this node say is left out.
    pub(crate) fn through_link(&self, tf: &TFMessage) -> Vec<TransformStamped> {
        tf.transforms.iter().filter_map(|transform| self.fitted(transform)).collect()
    }

    fn fitted(&self, transform: &TransformStamped) -> Option<TransformStamped> {
        let child = transform.child_frame_id.trim_start_matches('/');
        for (camera, fixed) in self.cameras.iter().zip(&self.fixed) {
            let (link, optical) = (link_frame(camera), optical_frame(camera));
            if child != link && child != optical {
                continue;
            }
            // From the link to the optical frame is this node's own, also where a driver says it in two steps.
            let parent = transform.header.frame_id.trim_start_matches('/');
            if *fixed || parent == link || (child == optical && is_frame_of(camera, parent)) {
                return None;
            }
            let pose = transform_from_ros(&transform.transform)?;
            let parent_from_link = if child == optical { pose * link_from_optical().inverse() } else { pose };
            return Some(transform_to_ros(transform.header.clone(), &link, &parent_from_link));
        }
        (child != "tray" || transform.header.frame_id != self.world_frame).then(|| transform.clone())
    }

    fn put(&mut self, parent: &str, child: &str, pose: &Isometry3<f64>) {
        let header = Header { stamp: Time::default(), frame_id: parent.to_owned() };
        self.transforms.insert(child.to_owned(), transform_to_ros(header, child, pose));
    }
}

/// A frame inside the camera, as RealSense's driver names them: `camera_color_frame` and its like.
fn is_frame_of(camera: &str, frame: &str) -> bool {
    link_frame(camera).strip_suffix("link").is_some_and(|base| frame.starts_with(base)) && frame.ends_with("_frame")
}

/// The pose of a camera's colour optical frame at one moment.
pub(crate) fn optical_pose(world_frame: &str, camera: &str, stamp_ns: i64, world_from_optical: &Isometry3<f64>) -> TFMessage {
    let header = Header { stamp: Time::from_nanos(stamp_ns), frame_id: world_frame.to_owned() };
    TFMessage { transforms: vec![transform_to_ros(header, &optical_frame(camera), world_from_optical)] }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nalgebra::{Point3, Vector3};

    #[test]
    fn poses_are_six_or_seven_numbers() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let by_angles = parse_pose("p", &[1.0, 2.0, 3.0, 0.0, 0.0, std::f64::consts::FRAC_PI_2]).unwrap();
        let by_quaternion = parse_pose("p", &[1.0, 2.0, 3.0, 0.0, 0.0, half, half]).unwrap();
        assert!((by_angles.to_homogeneous() - by_quaternion.to_homogeneous()).norm() < 1e-9);
        for (numbers, words) in [(vec![1.0], "1 numbers"), (vec![0.0; 7], "length is 0.000"), (vec![f64::NAN; 6], "NaN")] {
            assert!(parse_pose("extrinsics.left", &numbers).unwrap_err().contains(words));
        }
    }

    #[test]
    fn the_optical_frame_looks_along_the_links_x() {
        let forward = link_from_optical() * Vector3::z();
        let right = link_from_optical() * Vector3::x();
        assert!((forward - Vector3::x()).norm() < 1e-9 && (right + Vector3::y()).norm() < 1e-9);
    }

    /// Where a point of a frame lies in the world, along the transforms of a message.
    fn to_world(tf: &TFMessage, mut frame: String, mut point: Point3<f64>) -> Point3<f64> {
        while let Some(t) = tf.transforms.iter().find(|t| t.child_frame_id == frame) {
            point = transform_from_ros(&t.transform).unwrap() * point;
            frame = t.header.frame_id.clone();
        }
        assert_eq!(frame, "cell");
        point
    }

    #[test]
    fn a_captured_pose_survives_the_way_through_the_link() {
        let pose = parse_pose("p", &[0.1, 0.2, 1.0, 3.0, 0.1, -0.4]).unwrap();
        let cameras = ["/line/left".to_owned()];
        let point = Point3::new(0.3, -0.2, 0.9);
        let from_source = StaticFrames::new("cell", &Isometry3::identity(), &cameras, &[None], &[Some(pose)]);
        let seen = to_world(&from_source.message(), "left_color_optical_frame".into(), point);
        assert!((seen - pose * point).norm() < 1e-9);

        let mut by_tf = StaticFrames::new("cell", &Isometry3::identity(), &cameras, &[None], &[None]);
        assert_eq!(by_tf.unplaced(), ["/line/left"]);
        let header = Header { stamp: Time::default(), frame_id: "cell".into() };
        let tf = TFMessage { transforms: vec![transform_to_ros(header, "left_color_optical_frame", &pose)] };
        assert!(by_tf.take(&tf) && !by_tf.take(&tf));
        assert!(by_tf.unplaced().is_empty());
        let seen = to_world(&by_tf.message(), "left_color_optical_frame".into(), point);
        assert!((seen - pose * point).norm() < 1e-9);

        // A driver says the way from link to optical frame in two steps, before or after somebody says where the link is.
        let identity = Isometry3::identity();
        let step = |parent: &str, child: &str, pose: &Isometry3<f64>| {
            transform_to_ros(Header { stamp: Time::default(), frame_id: parent.into() }, child, pose)
        };
        let driver = TFMessage {
            transforms: vec![
                step("left_link", "left_color_frame", &identity),
                step("left_color_frame", "left_color_optical_frame", &link_from_optical()),
            ],
        };
        let stand = TFMessage { transforms: vec![step("cell", "left_link", &pose)] };
        for order in [[&driver, &stand], [&stand, &driver]] {
            let mut frames = StaticFrames::new("cell", &identity, &cameras, &[None], &[None]);
            frames.take(order[0]);
            assert_eq!(frames.unplaced().is_empty(), std::ptr::eq(order[0], &stand), "a driver does not say where its camera stands");
            frames.take(order[1]);
            let seen = to_world(&frames.message(), "left_color_optical_frame".into(), point);
            assert!((seen - pose * link_from_optical() * point).norm() < 1e-9);
        }

        let mut by_parameter = StaticFrames::new("cell", &Isometry3::identity(), &cameras, &[Some(Isometry3::identity())], &[Some(pose)]);
        assert!(!by_parameter.take(&tf), "a parameter stands above the source");
    }
}

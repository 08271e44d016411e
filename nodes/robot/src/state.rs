//! Where the arm is: `joint_states`, `/tf`, `/tf_static`, `robot_description`.

use std::sync::Arc;

use manipulation::{FrameTree, JointSample, RobotModel, nalgebra::Isometry3};
use node_kit::{NodeError, Ports};
use ros_interfaces::{
    builtin_interfaces::msg::Time,
    geometry_msgs::msg::TransformStamped,
    sensor_msgs::msg::JointState,
    std_msgs::msg::{Header, String as StringMessage},
    tf2_msgs::msg::TFMessage,
};
use transport::{Publisher, Qos, TransportError};

use crate::controller::Controller;

/// Publishes the arm's state.
pub(crate) struct StatePublisher {
    ports: Ports,
    model: RobotModel,
    joint_names: Vec<String>,
    controller: Arc<dyn Controller>,
    joint_states: Publisher<JointState>,
    moving: Publisher<TFMessage>,
    fixed: Publisher<TFMessage>,
    description: Publisher<StringMessage>,
}

impl StatePublisher {
    pub fn new(ports: &Ports, model: RobotModel, joint_names: Vec<String>, controller: Arc<dyn Controller>) -> Result<Self, NodeError> {
        let node = &ports.node;
        Ok(Self {
            joint_states: node.publisher("joint_states", Qos::sensor())?,
            moving: node.publisher("/tf", Qos::event())?,
            fixed: node.publisher("/tf_static", Qos::latched())?,
            description: node.publisher("robot_description", Qos::latched())?,
            ports: ports.clone(),
            model,
            joint_names,
            controller,
        })
    }

    /// Root link of the URDF: the frame that the robot plans in.
    pub fn root(&self) -> &str {
        self.model.root()
    }

    /// Says once what the robot looks like and what of it never moves.
    pub fn publish_description(&self, urdf: &str) -> Result<(), TransportError> {
        self.description.publish(StringMessage { data: urdf.to_owned() })?;
        let stamp = self.ports.node.clock().now();
        let transforms = self.model.fixed_transforms().map(|t| stamped(&stamp, t)).collect();
        self.fixed.publish(TFMessage { transforms })
    }

    /// A tf tree of what never moves.
    pub fn fixed_frames(&self) -> FrameTree {
        let mut frames = FrameTree::new();
        for (parent, child, pose) in self.model.fixed_transforms() {
            if let Err(error) = frames.set(parent, child, pose) {
                tracing::warn!(%error, "a fixed joint of the URDF is left out");
            }
        }
        frames
    }

    /// The state now.
    pub fn publish_now(&self) {
        self.publish_at(self.ports.node.clock().now());
    }

    /// The state now, with a stamp of its own (simulated time that runs ahead of the clock).
    pub fn publish_at(&self, stamp: Time) {
        let JointSample { position_rad, velocity_rad_s, .. } = self.controller.joints();
        let angle = |name: &str| {
            let index = self.joint_names.iter().position(|n| n == name)?;
            position_rad.get(index).copied()
        };
        let transforms = self.model.moving_transforms(angle).map(|t| stamped(&stamp, t)).collect();
        let state = JointState {
            header: Header { stamp, frame_id: String::new() },
            name: self.joint_names.clone(),
            position: position_rad.as_slice().to_vec(),
            velocity: velocity_rad_s.as_slice().to_vec(),
            effort: Vec::new(),
        };
        let sent = self.joint_states.publish(state).and_then(|()| self.moving.publish(TFMessage { transforms }));
        if let Err(error) = sent {
            self.ports.diagnostics.warn(format!("the arm's state is not published: {error}"));
        }
    }
}

fn stamped(stamp: &Time, (parent, child, pose): (&str, &str, Isometry3<f64>)) -> TransformStamped {
    let header = Header { stamp: stamp.clone(), frame_id: parent.to_owned() };
    vision::pose::transform_to_ros(header, child, &pose)
}

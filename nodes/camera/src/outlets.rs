//! The node's publishers.

use intact_msgs::msg::{CellEvent, ItemArrival};
use node_kit::{NodeError, Ports};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::rosgraph_msgs::msg::Clock;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::{Publisher, Qos, TransportError};

use crate::extrinsics::StaticFrames;
use crate::source::Outgoing;

/// Qos of `/tf`.
const TF: Qos = Qos::event();

/// `/tf_static` alone: what every camera node publishes.
pub(crate) struct FramesOutlet {
    frames: StaticFrames,
    tf_static: Publisher<TFMessage>,
}

impl FramesOutlet {
    pub(crate) fn new(ports: &Ports, frames: StaticFrames) -> Result<Self, NodeError> {
        Ok(Self { frames, tf_static: ports.node.publisher("/tf_static", Qos::latched())? })
    }

    pub(crate) fn publish(&self) -> Result<(), TransportError> {
        self.tf_static.publish(self.frames.message())
    }

    /// Cameras without a pose.
    pub(crate) fn unplaced(&self) -> Vec<String> {
        self.frames.unplaced().into_iter().map(str::to_owned).collect()
    }
}

struct CameraOutlet {
    color: Publisher<Image>,
    depth: Publisher<Image>,
    info: Publisher<CameraInfo>,
    background_color: Publisher<Image>,
    background_depth: Publisher<Image>,
}

/// Everything that a replay publishes.
pub(crate) struct Outlets {
    cameras: Vec<CameraOutlet>,
    frames: FramesOutlet,
    tf: Publisher<TFMessage>,
    clock: Publisher<Clock>,
    arrivals: Publisher<ItemArrival>,
    recorded: Publisher<CellEvent>,
}

impl Outlets {
    pub(crate) fn new(ports: &Ports, cameras: &[String], frames: StaticFrames) -> Result<Self, NodeError> {
        let node = &ports.node;
        let camera = |name: &String| -> Result<CameraOutlet, TransportError> {
            let topic = |tail: &str| format!("{}/{tail}", name.trim_end_matches('/'));
            Ok(CameraOutlet {
                color: node.publisher(&topic("color/image_raw"), Qos::sensor())?,
                depth: node.publisher(&topic("aligned_depth_to_color/image_raw"), Qos::sensor())?,
                info: node.publisher(&topic("color/camera_info"), Qos::sensor())?,
                background_color: node.publisher(&topic("background/color/image_raw"), Qos::latched())?,
                background_depth: node.publisher(&topic("background/aligned_depth_to_color/image_raw"), Qos::latched())?,
            })
        };
        Ok(Self {
            cameras: cameras.iter().map(camera).collect::<Result<_, _>>()?,
            frames: FramesOutlet::new(ports, frames)?,
            tf: node.publisher("/tf", TF)?,
            clock: node.publisher("/clock", Qos::clock())?,
            arrivals: node.publisher("item_arrival", Qos::event())?,
            recorded: node.publisher("recorded_event", Qos::event())?,
        })
    }

    /// The static frames known before the first step.
    pub(crate) fn publish_frames(&self) -> Result<(), TransportError> {
        self.frames.publish()
    }

    /// Cameras without a pose.
    pub(crate) fn unplaced(&self) -> Vec<String> {
        self.frames.unplaced()
    }

    pub(crate) fn publish_clock(&self, time_ns: i64) -> Result<(), TransportError> {
        self.clock.publish(Clock { clock: Time::from_nanos(time_ns) })
    }

    pub(crate) fn publish(&mut self, message: Outgoing) -> Result<(), TransportError> {
        let camera = |index: usize| self.cameras.get(index);
        match message {
            Outgoing::TfStatic(tf) => {
                if self.frames.frames.take(&tf) {
                    self.frames.publish()?;
                }
            }
            Outgoing::Tf(tf) => {
                let transforms = self.frames.frames.through_link(&tf);
                if !transforms.is_empty() {
                    self.tf.publish(TFMessage { transforms })?;
                }
            }
            Outgoing::Recorded(event) => self.recorded.publish(event)?,
            Outgoing::Arrival(arrival) => self.arrivals.publish(arrival)?,
            Outgoing::Color(index, image) => camera(index).map_or(Ok(()), |c| c.color.publish(image))?,
            Outgoing::Depth(index, image) => camera(index).map_or(Ok(()), |c| c.depth.publish(image))?,
            Outgoing::Info(index, info) => camera(index).map_or(Ok(()), |c| c.info.publish(info))?,
            Outgoing::BackgroundColor(index, image) => camera(index).map_or(Ok(()), |c| c.background_color.publish(image))?,
            Outgoing::BackgroundDepth(index, image) => camera(index).map_or(Ok(()), |c| c.background_depth.publish(image))?,
        }
        Ok(())
    }
}

//! Settling detection over a stream of messages.

use ros_interfaces::sensor_msgs::msg::Image;
use vision::ros::{color_from_ros, depth_from_ros};

use crate::settling::{Glance, Settling};
use crate::source::Outgoing;

/// Feeds a [`Settling`] with the first camera's depth, or with its colour as long as there has been no depth.
pub(crate) struct SettlingWatch {
    settling: Settling,
    has_depth: bool,
}

impl SettlingWatch {
    pub(crate) fn new(settling: Settling) -> Self {
        Self { settling, has_depth: false }
    }

    /// The stamp at which an item has settled, if it has with this message. Pictures that cannot be read are for
    /// perception to refuse.
    pub(crate) fn see(&mut self, message: &Outgoing) -> Option<i64> {
        let (image, glance) = match message {
            Outgoing::BackgroundDepth(0, image) => {
                self.has_depth = true;
                let empty = self.depth(image)?;
                self.settling.set_empty(empty);
                return None;
            }
            Outgoing::Depth(0, image) => {
                self.has_depth = true;
                (image, self.depth(image)?)
            }
            Outgoing::Color(0, image) if !self.has_depth => (image, Glance::of_color(&color_from_ros(image).ok()?)),
            _ => return None,
        };
        self.settling.see(glance).then(|| image.header.stamp.nanos())
    }

    fn depth(&self, image: &Image) -> Option<Glance> {
        Some(Glance::of_depth(&depth_from_ros(image).ok()?, self.settling.options()))
    }
}

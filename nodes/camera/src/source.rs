//! What can be replayed: one trait for bags, folders and the booth.

use std::sync::Arc;

use intact_msgs::msg::{CellEvent, ItemArrival};
use nalgebra::Isometry3;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;

/// A message that the node is to publish. `usize` is the camera, an index into [`Source::cameras`].
///
/// The order of the variants is the order in which the messages of one step go out: what an item needs to be judged by
/// comes before it, what was decided about its frames before it arrives, colour last, because it completes the frame.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Transforms that stand for good.
    TfStatic(TFMessage),
    /// Transforms of the moment.
    Tf(TFMessage),
    /// The empty tray's aligned depth.
    BackgroundDepth(usize, Arc<Image>),
    /// The empty tray's colour.
    BackgroundColor(usize, Arc<Image>),
    /// What was recorded of a live run and must be taken from the record.
    Recorded(CellEvent),
    /// An item is born.
    Arrival(ItemArrival),
    /// Pinhole model.
    Info(usize, Arc<CameraInfo>),
    /// Depth aligned to colour.
    Depth(usize, Arc<Image>),
    /// Colour.
    Color(usize, Arc<Image>),
}

impl Outgoing {
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::TfStatic(_) => 0,
            Self::Tf(_) => 1,
            Self::BackgroundDepth(..) => 2,
            Self::BackgroundColor(..) => 3,
            Self::Recorded(_) => 4,
            Self::Arrival(_) => 5,
            Self::Info(..) => 6,
            Self::Depth(..) => 7,
            Self::Color(..) => 8,
        }
    }

    /// Moves every stamp in the message.
    pub fn shift(&mut self, by_ns: i64) {
        let later = |header: &mut Header| header.stamp = Time::from_nanos(header.stamp.nanos().saturating_add(by_ns));
        match self {
            Self::TfStatic(tf) | Self::Tf(tf) => tf.transforms.iter_mut().for_each(|t| later(&mut t.header)),
            Self::BackgroundDepth(_, image) | Self::BackgroundColor(_, image) | Self::Depth(_, image) | Self::Color(_, image) => {
                later(&mut Arc::make_mut(image).header);
            }
            Self::Recorded(event) => later(&mut event.header),
            Self::Arrival(arrival) => later(&mut arrival.header),
            Self::Info(_, info) => later(&mut Arc::make_mut(info).header),
        }
    }

    /// The item id in the message, to be changed in place.
    pub fn item_id_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Recorded(event) => Some(&mut event.item_id),
            Self::Arrival(arrival) => Some(&mut arrival.item_id),
            _ => None,
        }
    }
}

/// Something in the source that could not be used; the replay goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// ROS time it belongs to, nanoseconds.
    pub stamp_ns: i64,
    /// The item concerned; empty when there is none.
    pub item_id: String,
    /// One sentence.
    pub detail: String,
}

/// All messages of one moment.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// ROS time, nanoseconds.
    pub time_ns: i64,
    /// Messages, after [`Step::sort`] in the order in which they go out.
    pub messages: Vec<Outgoing>,
    /// What could not be used.
    pub problems: Vec<Problem>,
}

impl Step {
    /// Moves the step and every stamp in it.
    pub fn shift(&mut self, by_ns: i64) {
        if by_ns == 0 {
            return;
        }
        self.time_ns = self.time_ns.saturating_add(by_ns);
        self.messages.iter_mut().for_each(|message| message.shift(by_ns));
        self.problems.iter_mut().for_each(|problem| problem.stamp_ns = problem.stamp_ns.saturating_add(by_ns));
    }

    /// Brings the messages into the order of [`Outgoing`]; those of one kind stay in the source's order.
    pub fn sort(&mut self) {
        self.messages.sort_by_key(Outgoing::rank);
    }
}

/// Where frames and arrivals are replayed from.
pub trait Source: Send {
    /// Namespaces of the cameras, e.g. `camera`.
    fn cameras(&self) -> &[String];

    /// Poses of colour optical frames in the world frame that hold for the whole source, one a camera.
    fn poses(&self) -> Vec<Option<Isometry3<f64>>> {
        vec![None; self.cameras().len()]
    }

    /// Whether its stamps mean something. Where they do not and nobody simulates time, frames are stamped when they go out.
    fn has_own_time(&self) -> bool {
        true
    }

    /// Whether it is what a cell recorded of itself: what that cell had to bear, the replay must bear too.
    fn is_recorded_run(&self) -> bool {
        false
    }

    /// One line for the log: what is replayed.
    fn describe(&self) -> String;

    /// Messages of the next moment, later than the ones before; `None` at the end.
    fn next_step(&mut self) -> Option<Step>;

    /// Goes back to the first step.
    fn rewind(&mut self);
}

//! What a component is given to make its ports with.

use std::sync::Arc;

use intact_msgs::msg::CellEvent;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;
use transport::{Node, ParameterError, ParameterSpec, ParameterValue, Publisher, Qos};

use crate::diagnostics::Diagnostics;
use crate::error::NodeError;
use crate::health::Health;
use crate::inbox::{Handled, Inbox};
use crate::rosout;
use crate::worker::{Stop, Worker};

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Work takes the time it takes; whoever is late drops the oldest. Deadlines are on a steady clock.
    Live,
    /// Replay waits for all work: nothing is dropped, deadlines are in ROS time. Only composed.
    Lockstep,
}

/// A node's ports and accounts. Clones share them.
#[derive(Clone)]
pub struct Ports {
    /// Publishers, subscriptions, services, actions, clock.
    pub node: Node,
    /// What the node says of itself.
    pub diagnostics: Diagnostics,
    /// How time passes.
    pub mode: Mode,
    /// Whether the node can still do its work.
    pub health: Health,
    events: Publisher<CellEvent>,
    rosout: Arc<rosout::Registration>,
}

impl Ports {
    pub(crate) fn new(node: Node, component: &'static str, mode: Mode) -> Result<Self, NodeError> {
        let health = Health::default();
        let diagnostics = Diagnostics::new(&node, health.clone())?;
        let events = node.publisher("cell_event", Qos::event())?;
        let rosout = Arc::new(rosout::register(&node, component)?);
        diagnostics.probe("rosout_lost", || rosout::lost().to_string());
        Ok(Self { node, diagnostics, mode, health, events, rosout })
    }

    /// Publishes a [`CellEvent`] (`kind` is one of its constants) that a replay must know of, and counts it.
    /// `item_id` is empty when no item is concerned; `stamp` is the frame's for frame events, else the arrival's.
    pub fn event(&self, kind: u8, item_id: &str, stamp: Time, detail: &str) {
        let event = CellEvent {
            header: Header { stamp, frame_id: String::new() },
            kind,
            item_id: item_id.to_owned(),
            node: self.node.name().to_owned(),
            detail: detail.to_owned(),
        };
        self.diagnostics.count(event_name(kind), 1);
        if let Err(error) = self.events.publish(event) {
            self.diagnostics.warn(format!("a cell event is not published: {error}"));
        }
    }

    /// The node logs no more on `/rosout`, whoever still holds its ports.
    pub(crate) fn end_log(&self) {
        self.rosout.end();
    }

    /// An inbox whose drops show in the diagnostics as `<name>_dropped`.
    pub fn inbox<T: Send + 'static>(&self, name: &str, capacity: usize) -> Inbox<T> {
        let inbox = Inbox::new(capacity, self.mode, self.node.context().activity());
        let probed = inbox.clone();
        self.diagnostics.probe(&format!("{name}_dropped"), move || probed.dropped().to_string());
        inbox
    }

    /// [`Worker::spawn`] with this node's health.
    ///
    /// # Errors
    /// [`NodeError::Thread`].
    pub fn spawn(&self, name: &str, work: impl FnOnce(&Stop) + Send + 'static) -> Result<Worker, NodeError> {
        let rosout = Arc::clone(&self.rosout);
        Worker::spawn(name, &self.health, move |stop| {
            rosout.own_this_thread();
            work(stop);
        })
    }

    /// [`Worker::consume`] with this node's health.
    ///
    /// # Errors
    /// [`NodeError::Thread`].
    pub fn consume<T: Send + 'static>(
        &self,
        name: &str,
        inbox: &Inbox<T>,
        mut handle: impl FnMut(Handled<T>) + Send + 'static,
    ) -> Result<Worker, NodeError> {
        let rosout = Arc::clone(&self.rosout);
        Worker::consume(name, &self.health, inbox, move |value| {
            rosout.own_this_thread();
            handle(value);
        })
    }

    /// Declares a parameter whose name depends on others (`extrinsics.<camera>`), during `configure`, and gives its
    /// value. Declaring it again, as after a cleanup, gives its value.
    ///
    /// # Errors
    /// [`NodeError::Parameter`] when the value that the node was started with does not fit.
    pub fn declare(&self, spec: ParameterSpec) -> Result<ParameterValue, NodeError> {
        let (parameters, name) = (self.node.parameters(), spec.name.clone());
        match parameters.declare(spec) {
            Ok(()) | Err(ParameterError::DeclaredTwice { .. }) => Ok(parameters.get(&name)?),
            Err(error) => Err(error.into()),
        }
    }
}

fn event_name(kind: u8) -> &'static str {
    match kind {
        CellEvent::FRAME_CHOSEN => "frames_chosen",
        CellEvent::FRAME_DROPPED => "frames_dropped",
        CellEvent::DEADLINE_EXPIRED => "deadlines_expired",
        CellEvent::INPUT_REFUSED => "inputs_refused",
        CellEvent::ITEM_DONE => "items_done",
        _ => "other_events",
    }
}

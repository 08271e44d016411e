//! Decision node: one disposition an item, written down before it is commanded.
//!
//! A worker thread owns the [`disposition::Desk`] and the ledger: it turns messages into evidence, evidence into
//! verdicts, and publishes them. A second thread commands the robot, so that a decision never waits for a motion.

mod books;
mod cell;
mod commander;
mod convert;
mod params;
mod time;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use intact_msgs::msg::{CellEvent, GalleryReport, Inspection, ItemArrival};
use manipulation::FrameTree;
use node_kit::{Component, Inbox, Mode, NodeError, Ports, Shared, Worker};
use ros_interfaces::{rosgraph_msgs::msg::Clock, tf2_msgs::msg::TFMessage};
use transport::{Qos, Subscription};

use crate::{
    cell::{Cell, Input, Received},
    commander::Commander,
};

pub use params::DecisionParams;

/// Messages that may wait for the worker; it needs microseconds for most of them.
const INBOX: usize = 1024;
/// What the diagnostics say when the inbox is full.
const OVERRUN: &str = "the decision node cannot keep up: its oldest input was dropped; its item will run into the deadline";
/// How long a stopping node goes on with inputs that wait.
const DRAIN: Duration = Duration::from_secs(1);

/// The node.
pub struct Decision {
    ports: Ports,
    inbox: Inbox<Received>,
    commander: Commander,
    /// The worker's state, while no worker runs.
    cell: Arc<Mutex<Option<Cell>>>,
    worker: Option<Worker>,
    _subscriptions: Vec<Subscription>,
}

impl Component for Decision {
    const NAME: &'static str = "decision";
    type Params = DecisionParams;

    fn configure(ports: &Ports, params: Shared<DecisionParams>) -> Result<Self, NodeError> {
        params.get().policy().map_err(NodeError::msg)?;
        let inbox: Inbox<Received> = ports.inbox("inbox", INBOX);
        let frames = Arc::new(Mutex::new(FrameTree::new()));
        let subscriptions = subscribe(ports, &inbox, &frames)?;
        let commander = Commander::new(ports, &params.get(), &inbox)?;
        let cell = Cell::new(ports, params, inbox.clone(), commander.queue(), frames)?;
        Ok(Self {
            ports: ports.clone(),
            inbox,
            commander,
            cell: Arc::new(Mutex::new(Some(cell))),
            worker: None,
            _subscriptions: subscriptions,
        })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        self.inbox.open();
        self.commander.start()?;
        let slot = Arc::clone(&self.cell);
        let inbox = CloseOnDrop(self.inbox.clone());
        self.worker = Some(self.ports.spawn("decision", move |stop| {
            let _inbox = inbox;
            let taken = slot.lock().map(|mut cell| cell.take());
            if let Ok(Some(mut cell)) = taken {
                cell.run(stop);
                if let Ok(mut slot) = slot.lock() {
                    *slot = Some(cell);
                }
            }
        })?);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.commander.stop();
        // What the robot's last divert came to is still written down.
        let started = Instant::now();
        while !self.inbox.is_empty() && started.elapsed() < DRAIN {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Joins. The worker decides what is open, writes down what becomes of it, and closes the inbox.
        self.worker = None;
    }
}

/// A worker that panics must not leave work behind that nobody does: lockstep would wait for it.
struct CloseOnDrop(Inbox<Received>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn subscribe(ports: &Ports, inbox: &Inbox<Received>, frames: &Arc<Mutex<FrameTree>>) -> Result<Vec<Subscription>, NodeError> {
    let node = &ports.node;
    let push = |inbox: &Inbox<Received>| {
        let inbox = inbox.clone();
        let diagnostics = ports.diagnostics.clone();
        move |input: Input| {
            if inbox.push(Received::now(input)).is_some() {
                diagnostics.warn(OVERRUN);
            }
        }
    };
    let (arrival, inspection, gallery) = (push(inbox), push(inbox), push(inbox));
    let (recorded, clock) = (push(inbox), push(inbox));
    let (fixed, moving) = (Arc::clone(frames), Arc::clone(frames));
    let mut subscriptions = vec![
        node.subscribe_shared("/tf_static", Qos::latched(), move |m: Arc<TFMessage>| take_transforms(&fixed, &m))?,
        node.subscribe_shared("/tf", Qos::event(), move |m: Arc<TFMessage>| take_transforms(&moving, &m))?,
        node.subscribe("item_arrival", Qos::event(), move |m: Arc<ItemArrival>| arrival(Input::Arrival(m)))?,
        node.subscribe("inspection", Qos::event(), move |m: Arc<Inspection>| inspection(Input::Inspection(m)))?,
        node.subscribe("gallery_report", Qos::event(), move |m: Arc<GalleryReport>| gallery(Input::Gallery(m)))?,
        node.subscribe("recorded_event", Qos::event(), move |m: Arc<CellEvent>| {
            if m.kind == CellEvent::DEADLINE_EXPIRED {
                recorded(Input::RecordedDeadline(m));
            }
        })?,
    ];
    if ports.mode == Mode::Lockstep {
        // Live deadlines are on a steady clock.
        subscriptions.push(node.subscribe("/clock", Qos::clock(), move |m: Arc<Clock>| clock(Input::Clock(m.clock.nanos())))?);
    }
    Ok(subscriptions)
}

/// Transforms that are none are left out: what hangs on them is then missing, and its items are sidelined.
fn take_transforms(frames: &Mutex<FrameTree>, message: &TFMessage) {
    let Ok(mut frames) = frames.lock() else { return };
    for stamped in &message.transforms {
        let (t, q) = (&stamped.transform.translation, &stamped.transform.rotation);
        let (parent, child) = (&stamped.header.frame_id, &stamped.child_frame_id);
        if let Err(error) = frames.set_from_numbers(parent, child, [t.x, t.y, t.z], [q.x, q.y, q.z, q.w]) {
            tracing::warn!(%error, "a transform was refused");
        }
    }
}

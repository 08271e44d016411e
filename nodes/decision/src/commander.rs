//! Commands the robot, one item after another, on a thread of its own: a decision never waits for a motion.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use disposition::LedgerOutcome;
use intact_msgs::{
    action::{DivertItem, DivertItemGoal},
    msg::{CellEvent, Outcome},
};
use node_kit::{Inbox, NodeError, Ports, Worker};
use ros_interfaces::{builtin_interfaces::msg::Time, geometry_msgs::msg::PoseStamped, std_msgs::msg::Header};
use transport::{ActionClient, ActionError, ActionOutcome, Publisher, Qos};

use crate::{
    OVERRUN,
    cell::{Input, Received},
    params::DecisionParams,
    time::unix_ns,
};

/// How long the robot may take to agree to a cancellation.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);
/// How long a cancelled robot may take to come to rest and say so.
const REST_PATIENCE: Duration = Duration::from_secs(10);
/// Who waits for a robot to appear looks at the stop sign this often.
const GLANCE: Duration = Duration::from_millis(100);
const STOPPED: &str = "the cell was stopped before the robot came to it";

/// What is to be done with a decided item.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub item_id: String,
    pub stamp: Time,
    pub lane: String,
    /// In the robot's frame; `Err`: no motion is possible, and why.
    pub pick_pose: Result<PoseStamped, &'static str>,
}

/// The way in: takes commands and says what became of those that never reach the robot.
#[derive(Clone)]
pub(crate) struct Queue {
    ports: Ports,
    commands: Inbox<Command>,
    outcomes: Publisher<Outcome>,
    ledger: Inbox<Received>,
    command_robot: bool,
    /// Set before running diverts are cancelled: one that starts at that moment sees it, or is seen.
    stopping: Arc<AtomicBool>,
}

/// The thread and its queue.
pub(crate) struct Commander {
    queue: Queue,
    client: ActionClient<DivertItem>,
    wait: Duration,
    timeout: Duration,
    worker: Option<Worker>,
}

impl Commander {
    /// Makes the ports; `ledger` takes the outcomes.
    pub fn new(ports: &Ports, params: &DecisionParams, ledger: &Inbox<Received>) -> Result<Self, NodeError> {
        let queue = Queue {
            ports: ports.clone(),
            commands: ports.inbox("commands", params.robot_queue),
            outcomes: ports.node.publisher("outcome", Qos::event())?,
            ledger: ledger.clone(),
            command_robot: params.command_robot,
            stopping: Arc::default(),
        };
        Ok(Self {
            queue,
            client: ports.node.action_client("divert_item")?,
            wait: Duration::from_secs_f64(params.robot_wait_s),
            timeout: Duration::from_secs_f64(params.robot_timeout_s),
            worker: None,
        })
    }

    /// Where commands go in.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Starts the thread.
    pub fn start(&mut self) -> Result<(), NodeError> {
        let (queue, client, wait, timeout) = (self.queue.clone(), self.client.clone(), self.wait, self.timeout);
        self.queue.stopping.store(false, Ordering::SeqCst);
        let commands = self.queue.commands.clone();
        let worker = self.queue.ports.consume("commander", &commands, move |command| {
            queue.divert(&command, &client, wait, timeout); // the token of `command` is held until here
        })?;
        self.worker = Some(worker);
        Ok(())
    }

    /// Stops the thread: the running divert is cancelled (the arm comes to rest), what waits is left for a person.
    pub fn stop(&mut self) {
        self.queue.stopping.store(true, Ordering::SeqCst);
        for command in self.queue.commands.close() {
            self.queue.leave(&command, STOPPED);
        }
        if let Err(error) = self.client.cancel_all(CANCEL_PATIENCE) {
            tracing::warn!(%error, "the running divert could not be cancelled");
        }
        self.worker = None; // joins
    }
}

/// Sends the goal and waits for its end. A divert that takes too long is cancelled, and then its end is still waited for: the arm
/// stops where it can, and only the robot knows where the item is.
fn drive(
    client: &ActionClient<DivertItem>,
    goal: DivertItemGoal,
    timeout: Duration,
    stopping: &AtomicBool,
) -> Result<ActionOutcome<DivertItem>, ActionError> {
    let started = Instant::now();
    let active = client.start(goal, |_| {}, timeout)?;
    if stopping.load(Ordering::SeqCst) {
        // Who cancelled all diverts may not have seen this one.
        if let Err(error) = active.cancel(CANCEL_PATIENCE) {
            tracing::warn!(%error, "a divert that began while the cell was stopped could not be cancelled");
        }
        return active.wait(REST_PATIENCE);
    }
    match active.wait(timeout.saturating_sub(started.elapsed())) {
        Err(ActionError::Timeout { .. }) => active.wait(REST_PATIENCE),
        end => end,
    }
}

impl Queue {
    /// Takes a command. Never blocks: when the robot is too far behind, the oldest item is left for a person.
    pub fn push(&self, command: Command) {
        match command.pick_pose {
            Err(why) => self.leave(&command, why),
            Ok(_) if !self.command_robot => self.leave(&command, "the robot is not commanded (parameter command_robot)"),
            Ok(_) => {
                if let Some(left) = self.commands.push(command) {
                    let why = if self.commands.is_closed() { STOPPED } else { "the robot cannot keep up with the line" };
                    self.leave(&left, why);
                }
            }
        }
    }

    /// Says that nothing will move this item.
    pub fn leave(&self, command: &Command, why: &str) {
        self.publish(command, Outcome::LEFT_FOR_PERSON, why);
        self.done(command, "LEFT_FOR_PERSON", why, 0.0);
    }

    fn divert(&self, command: &Command, client: &ActionClient<DivertItem>, wait: Duration, timeout: Duration) {
        let Ok(pick_pose) = &command.pick_pose else { return };
        let goal = DivertItemGoal { item_id: command.item_id.clone(), lane: command.lane.clone(), pick_pose: pick_pose.clone() };
        let is_there = self.wait_for_robot(client, wait);
        if self.is_stopping() {
            return self.leave(command, STOPPED);
        }
        if !is_there {
            return self.leave(command, "no robot answers on divert_item; start the robot node");
        }
        match drive(client, goal, timeout, &self.stopping) {
            // The robot publishes the outcome of every goal that reached it.
            Ok(ActionOutcome::Succeeded(result)) => self.done(command, "DIVERTED", "", result.duration_s),
            Ok(ActionOutcome::Aborted(result) | ActionOutcome::Canceled(result)) if result.duration_s == 0.0 => {
                self.done(command, "LEFT_FOR_PERSON", &result.message, 0.0); // it never moved
            }
            Ok(ActionOutcome::Aborted(result) | ActionOutcome::Canceled(result)) => {
                self.done(command, "FAILED", &result.message, result.duration_s);
            }
            Err(ActionError::Rejected { reason, .. }) => self.done(command, "LEFT_FOR_PERSON", &reason, 0.0),
            // The robot never took the goal, or is gone: nobody else says what became of the item.
            Err(error) => {
                let why = error.to_string();
                self.publish(command, Outcome::FAILED, &why);
                self.done(command, "FAILED", &why, 0.0);
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// False when no robot appears in time, or the cell is stopped meanwhile.
    fn wait_for_robot(&self, client: &ActionClient<DivertItem>, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if client.wait_for_server(left.min(GLANCE)) {
                return true;
            }
            if left.is_zero() || self.is_stopping() {
                return false;
            }
        }
    }

    fn publish(&self, command: &Command, result: u8, why: &str) {
        let outcome = Outcome {
            header: Header { stamp: command.stamp.clone(), frame_id: String::new() },
            item_id: command.item_id.clone(),
            result,
            lane: command.lane.clone(),
            message: why.to_owned(),
            duration_s: 0.0,
        };
        if let Err(error) = self.outcomes.publish(Arc::new(outcome)) {
            self.ports.diagnostics.warn(format!("an outcome is not published: {error}"));
        }
    }

    fn done(&self, command: &Command, result: &'static str, message: &str, duration_s: f32) {
        let outcome = LedgerOutcome {
            run_id: String::new(), // the worker knows it
            item_id: command.item_id.clone(),
            result: result.to_owned(),
            lane: command.lane.clone(),
            message: message.to_owned(),
            duration_s,
            done_unix_ns: unix_ns(),
        };
        if self.ledger.push(Received::now(Input::Outcome(outcome))).is_some() {
            self.ports.diagnostics.warn(OVERRUN);
        }
        self.ports.event(CellEvent::ITEM_DONE, &command.item_id, command.stamp.clone(), result);
    }
}

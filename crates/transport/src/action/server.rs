//! The server side of actions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ros_interfaces::action_msgs::msg::{GoalInfo, GoalStatus, GoalStatusArray};
use ros_interfaces::action_msgs::srv::{CancelGoal, CancelGoalRequest, CancelGoalResponse};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::{Action, Service};

use super::{ActionOutcome, FEEDBACK_QOS, GoalId, Rejections, port};
use crate::activity::{Activity, Token};
use crate::clock::Clock;
use crate::error::TransportError;
use crate::node::Node;
use crate::qos::Qos;
use crate::service::{Responder, ServiceServer};
use crate::sync::lock;
use crate::topic::Publisher;

/// What an action does.
pub trait ActionServer<A: Action>: Send + Sync + 'static {
    /// Whether the goal can be taken on; `Err` is the reason of the rejection. Must return fast.
    ///
    /// # Errors
    /// One sentence: why not.
    fn accept(&self, goal: &A::Goal) -> Result<(), String>;

    /// Carries the goal out, on the server's own thread. Looks at [`GoalHandle::cancel_requested`] often; it
    /// may be set from the beginning, when the goal was cancelled while it waited.
    fn execute(&self, goal: A::Goal, handle: &GoalHandle<A>) -> ActionOutcome<A>;
}

/// The goal that is being executed.
pub struct GoalHandle<A: Action> {
    id: GoalId,
    cancel: Arc<AtomicBool>,
    feedback: Publisher<A::FeedbackMessage>,
}

impl<A: Action> GoalHandle<A> {
    /// The goal's id.
    pub fn goal_id(&self) -> GoalId {
        self.id
    }

    /// Whether a client, or the server's shutdown, asked to stop.
    pub fn cancel_requested(&self) -> bool {
        self.cancel.load(Ordering::Acquire)
    }

    /// Tells clients how far the goal is.
    pub fn feedback(&self, feedback: A::Feedback) {
        if let Err(error) = self.feedback.publish(A::feedback_message(self.id.to_ros(), feedback)) {
            tracing::warn!(topic = self.feedback.topic(), %error, "feedback could not be published");
        }
    }
}

/// An action of this process; dropping the handle asks running goals to cancel, waits for them, and ends it.
#[must_use = "dropping the handle ends the action"]
pub struct ActionServerHandle {
    services: Vec<ServiceServer>,
    stop: Box<dyn Fn() + Send + Sync>,
    cancel_all: Box<dyn Fn() + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

impl ActionServerHandle {
    /// Asks every goal that has come so far to cancel, the running one and those that wait for their turn. Does not
    /// wait for them; goals that come later are not touched.
    pub fn cancel_all(&self) {
        (self.cancel_all)();
    }
}

impl Drop for ActionServerHandle {
    fn drop(&mut self) {
        self.services.clear();
        (self.stop)();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("an action's thread has panicked");
        }
    }
}

/// Ended goals whose results are kept for clients that ask late.
const MAX_ENDED_GOALS: usize = 64;

struct Shared<A: Action> {
    action: String,
    server: Box<dyn ActionServer<A>>,
    clock: Clock,
    activity: Activity,
    rejections: Rejections,
    feedback: Publisher<A::FeedbackMessage>,
    status: Publisher<GoalStatusArray>,
    status_turn: Mutex<StatusTurn>,
    goals: Mutex<Goals<A>>,
}

/// Keeps the status messages in order without a lock around subscribers' callbacks: one thread publishes, and
/// goes on for the others that come meanwhile.
#[derive(Default)]
struct StatusTurn {
    publishing: bool,
    stale: bool,
}

struct Goals<A: Action> {
    /// `None` once the server stops.
    queue: Option<Sender<Job<A>>>,
    records: BTreeMap<GoalId, Record<A>>,
    accepted: u64,
    /// How often all goals were cancelled at once: a goal that was being looked at meanwhile is one of them.
    cancelled_all: u64,
}

struct Record<A: Action> {
    /// In order of acceptance.
    number: u64,
    stamp: Time,
    status: i8,
    cancel: Arc<AtomicBool>,
    result: Option<A::Result>,
    waiting: Vec<Responder<A::GetResult>>,
}

struct Job<A: Action> {
    goal: A::Goal,
    handle: GoalHandle<A>,
    _busy: Token,
}

pub(crate) fn serve<A: Action>(node: &Node, action: &str, server: impl ActionServer<A>) -> Result<ActionServerHandle, TransportError> {
    let (queue, jobs) = channel();
    let shared = Arc::new(Shared::<A> {
        action: action.to_owned(),
        server: Box::new(server),
        clock: node.clock(),
        activity: node.context().activity().clone(),
        rejections: node.context().inner.rejections.clone(),
        feedback: node.publisher(&port(action, "feedback"), FEEDBACK_QOS)?,
        status: node.publisher(&port(action, "status"), Qos::latched())?,
        status_turn: Mutex::default(),
        goals: Mutex::new(Goals { queue: Some(queue), records: BTreeMap::new(), accepted: 0, cancelled_all: 0 }),
    });
    let (send_goal, cancel_goal, get_result) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
    let services = vec![
        node.serve_deferred::<A::SendGoal>(port(action, "send_goal"), move |request, responder| {
            responder.respond(send_goal.take_goal(request));
        })?,
        node.serve_deferred::<CancelGoal>(port(action, "cancel_goal"), move |request, responder| {
            responder.respond(cancel_goal.cancel(&request));
        })?,
        node.serve_deferred::<A::GetResult>(port(action, "get_result"), move |request, responder| {
            get_result.result(request, responder);
        })?,
    ];
    let thread = start(&shared, jobs)?;
    let cancelled = Arc::clone(&shared);
    Ok(ActionServerHandle {
        services,
        stop: Box::new(move || shared.stop()),
        cancel_all: Box::new(move || cancelled.cancel_all()),
        thread: Some(thread),
    })
}

fn start<A: Action>(shared: &Arc<Shared<A>>, jobs: Receiver<Job<A>>) -> Result<JoinHandle<()>, TransportError> {
    let name = format!("act {}", shared.action);
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            for job in jobs {
                shared.run(job);
            }
        })
        .map_err(|source| TransportError::Thread { name, source })
}

impl<A: Action> Shared<A> {
    fn take_goal(&self, request: <A::SendGoal as Service>::Request) -> <A::SendGoal as Service>::Response {
        let (id, goal) = A::split_send_goal_request(request);
        let id = GoalId::from_ros(&id);
        let stamp = self.clock.now();
        match self.try_take(id, goal, stamp.clone()) {
            Ok(()) => A::send_goal_response(true, stamp),
            Err(reason) => {
                tracing::warn!(action = %self.action, goal = %id, %reason, "goal rejected");
                self.rejections.insert(id, reason);
                A::send_goal_response(false, stamp)
            }
        }
    }

    fn try_take(&self, id: GoalId, goal: A::Goal, stamp: Time) -> Result<(), String> {
        let cancelled_all = lock(&self.goals).cancelled_all;
        // Asked without a lock: the server may look at anything.
        self.server.accept(&goal)?;
        let cancel = Arc::new(AtomicBool::new(false));
        let handle = GoalHandle { id, cancel: Arc::clone(&cancel), feedback: self.feedback.clone() };
        let job = Job { goal, handle, _busy: self.activity.begin() };
        {
            let mut goals = lock(&self.goals);
            if goals.cancelled_all != cancelled_all {
                return Err("all goals were cancelled while this one came".to_owned());
            }
            if goals.records.contains_key(&id) {
                return Err("a goal of this id exists already".to_owned());
            }
            let queue = goals.queue.clone().ok_or("the server is shutting down")?;
            goals.accepted += 1;
            let record =
                Record { number: goals.accepted, stamp, status: GoalStatus::STATUS_ACCEPTED, cancel, result: None, waiting: Vec::new() };
            goals.records.insert(id, record);
            goals.forget_old();
            if queue.send(job).is_err() {
                goals.records.remove(&id);
                return Err("the server's thread has ended".to_owned());
            }
        }
        self.publish_status();
        Ok(())
    }

    fn run(&self, job: Job<A>) {
        let id = job.handle.id;
        self.set_status(id, |record| {
            if record.status == GoalStatus::STATUS_ACCEPTED {
                record.status = GoalStatus::STATUS_EXECUTING;
            }
        });
        let (status, result) = match self.server.execute(job.goal, &job.handle) {
            ActionOutcome::Succeeded(result) => (GoalStatus::STATUS_SUCCEEDED, result),
            ActionOutcome::Aborted(result) => (GoalStatus::STATUS_ABORTED, result),
            ActionOutcome::Canceled(result) => (GoalStatus::STATUS_CANCELED, result),
        };
        let mut waiting = Vec::new();
        self.set_status(id, |record| {
            record.status = status;
            record.result = Some(result.clone());
            waiting = std::mem::take(&mut record.waiting);
        });
        for responder in waiting {
            responder.respond(A::get_result_response(status, result.clone()));
        }
    }

    fn set_status(&self, id: GoalId, change: impl FnOnce(&mut Record<A>)) {
        if let Some(record) = lock(&self.goals).records.get_mut(&id) {
            change(record);
        }
        self.publish_status();
    }

    fn result(&self, request: <A::GetResult as Service>::Request, responder: Responder<A::GetResult>) {
        let id = GoalId::from_ros(&A::split_get_result_request(request));
        let response = {
            let mut goals = lock(&self.goals);
            match goals.records.get_mut(&id) {
                Some(Record { status, result: Some(result), .. }) => A::get_result_response(*status, result.clone()),
                Some(record) => return record.waiting.push(responder),
                None => A::get_result_response(GoalStatus::STATUS_UNKNOWN, A::Result::default()),
            }
        };
        responder.respond(response);
    }

    /// The rules of rcl: an id selects that goal, a stamp all goals accepted until then, neither all goals.
    fn cancel(&self, request: &CancelGoalRequest) -> CancelGoalResponse {
        let id = GoalId::from_ros(&request.goal_info.goal_id);
        let until_ns = request.goal_info.stamp.nanos();
        let (any_id, any_time) = (id.0 == [0; 16], until_ns == 0);
        let mut response = CancelGoalResponse::default();
        {
            let mut goals = lock(&self.goals);
            for (other, record) in &mut goals.records {
                let selected = *other == id || (any_id && any_time) || (!any_time && record.stamp.nanos() <= until_ns);
                if selected && record.result.is_none() {
                    record.cancel.store(true, Ordering::Release);
                    record.status = GoalStatus::STATUS_CANCELING;
                    response.goals_canceling.push(record.info(*other));
                }
            }
            response.return_code = match goals.records.get(&id) {
                _ if !response.goals_canceling.is_empty() => CancelGoalResponse::ERROR_NONE,
                Some(_) => CancelGoalResponse::ERROR_GOAL_TERMINATED,
                None if any_id => CancelGoalResponse::ERROR_NONE,
                None => CancelGoalResponse::ERROR_UNKNOWN_GOAL_ID,
            };
        }
        self.publish_status();
        response
    }

    fn publish_status(&self) {
        {
            let mut turn = lock(&self.status_turn);
            turn.stale = true;
            if std::mem::replace(&mut turn.publishing, true) {
                return;
            }
        }
        while self.status_is_stale() {
            self.publish_status_once();
        }
    }

    /// Takes the duty to publish, or gives the turn back.
    fn status_is_stale(&self) -> bool {
        let mut turn = lock(&self.status_turn);
        turn.publishing = std::mem::replace(&mut turn.stale, false);
        turn.publishing
    }

    fn publish_status_once(&self) {
        let status_list = {
            let goals = lock(&self.goals);
            let mut records: Vec<_> = goals.records.iter().collect();
            records.sort_by_key(|(_, record)| record.number);
            records.into_iter().map(|(id, record)| GoalStatus { goal_info: record.info(*id), status: record.status }).collect()
        };
        if let Err(error) = self.status.publish(GoalStatusArray { status_list }) {
            tracing::warn!(action = %self.action, %error, "the goals' status could not be published");
        }
    }

    fn cancel_all(&self) {
        {
            let mut goals = lock(&self.goals);
            goals.cancelled_all += 1;
            for record in goals.records.values_mut().filter(|record| record.result.is_none()) {
                record.cancel.store(true, Ordering::Release);
                record.status = GoalStatus::STATUS_CANCELING;
            }
        }
        self.publish_status();
    }

    fn stop(&self) {
        let mut goals = lock(&self.goals);
        goals.queue = None;
        goals.records.values().for_each(|record| record.cancel.store(true, Ordering::Release));
    }
}

impl<A: Action> Goals<A> {
    fn forget_old(&mut self) {
        let mut ended: Vec<_> =
            self.records.iter().filter(|(_, record)| record.result.is_some()).map(|(id, record)| (record.number, *id)).collect();
        ended.sort_unstable();
        let surplus = ended.len().saturating_sub(MAX_ENDED_GOALS);
        for (_, id) in ended.into_iter().take(surplus) {
            self.records.remove(&id);
        }
    }
}

impl<A: Action> Record<A> {
    fn info(&self, id: GoalId) -> GoalInfo {
        GoalInfo { goal_id: id.to_ros(), stamp: self.stamp.clone() }
    }
}

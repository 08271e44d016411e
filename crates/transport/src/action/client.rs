//! The client side of actions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ros_interfaces::Action;
use ros_interfaces::action_msgs::msg::{GoalInfo, GoalStatus};
use ros_interfaces::action_msgs::srv::{CancelGoal, CancelGoalRequest};
use ros_interfaces::builtin_interfaces::msg::Time;

use super::{ActionOutcome, FEEDBACK_QOS, GoalId, Rejections, port};
use crate::error::{ActionError, CallError, TransportError};
use crate::node::Node;
use crate::service::Client;
use crate::sync::lock;
use crate::topic::Subscription;

/// How long the cancel request of a goal that ran out of time may take on top.
const CANCEL_GRACE: Duration = Duration::from_millis(200);

/// Sends goals to one action server, in this process or another. Clones share the client.
pub struct ActionClient<A: Action> {
    shared: Arc<Shared<A>>,
}

impl<A: Action> Clone for ActionClient<A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<A: Action> {
    action: String,
    send_goal: Client<A::SendGoal>,
    get_result: Client<A::GetResult>,
    cancel_goal: Client<CancelGoal>,
    goals: Arc<Goals<A>>,
    rejections: Rejections,
    _feedback: Subscription,
}

/// The goals of this client that have not ended, and who hears of their progress.
struct Goals<A: Action> {
    listeners: Mutex<BTreeMap<GoalId, Listener<A>>>,
}

type Listener<A> = Arc<Mutex<Box<dyn Fn(<A as Action>::Feedback) + Send>>>;

impl<A: Action> Goals<A> {
    fn hear(&self, message: &A::FeedbackMessage) {
        let (id, feedback) = A::split_feedback_message(message.clone());
        let listener = lock(&self.listeners).get(&GoalId::from_ros(&id)).cloned();
        if let Some(listener) = listener {
            // Only this goal's own callback is locked: it need not be Sync.
            lock(&listener)(feedback);
        }
    }
}

pub(crate) fn client<A: Action>(node: &Node, action: &str) -> Result<ActionClient<A>, TransportError> {
    let goals = Arc::new(Goals::<A> { listeners: Mutex::default() });
    let heard = Arc::clone(&goals);
    let feedback = node.subscribe::<A::FeedbackMessage>(&port(action, "feedback"), FEEDBACK_QOS, move |message| heard.hear(&message))?;
    let shared = Shared {
        action: action.to_owned(),
        send_goal: node.client(&port(action, "send_goal"))?,
        get_result: node.client(&port(action, "get_result"))?,
        cancel_goal: node.client(&port(action, "cancel_goal"))?,
        goals,
        rejections: node.context().inner.rejections.clone(),
        _feedback: feedback,
    };
    Ok(ActionClient { shared: Arc::new(shared) })
}

impl<A: Action> ActionClient<A> {
    /// Fully qualified name of the action.
    pub fn action(&self) -> &str {
        &self.shared.action
    }

    /// Waits for a server; whether one came within `timeout`.
    pub fn wait_for_server(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        self.shared.send_goal.wait_for_server(timeout)
            && self.shared.get_result.wait_for_server(deadline.saturating_duration_since(Instant::now()))
    }

    /// Sends a goal and blocks until its result, at most `timeout` in all; a goal that takes longer is asked to
    /// cancel. `on_feedback` runs on the transport's threads.
    ///
    /// # Errors
    /// [`ActionError::Rejected`], [`ActionError::NoServer`], [`ActionError::Timeout`], or a failed call.
    pub fn send(
        &self,
        goal: A::Goal,
        on_feedback: impl Fn(A::Feedback) + Send + 'static,
        timeout: Duration,
    ) -> Result<ActionOutcome<A>, ActionError> {
        let deadline = Instant::now() + timeout;
        let goal = self.start(goal, on_feedback, timeout)?;
        goal.wait(deadline.saturating_duration_since(Instant::now()))
    }

    /// Sends a goal and blocks until it is accepted, at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn start(
        &self,
        goal: A::Goal,
        on_feedback: impl Fn(A::Feedback) + Send + 'static,
        timeout: Duration,
    ) -> Result<ActiveGoal<A>, ActionError> {
        let id = GoalId::random();
        lock(&self.shared.goals.listeners).insert(id, Arc::new(Mutex::new(Box::new(on_feedback))));
        // From here on the listener goes away with `active`, also on failure.
        let active = ActiveGoal { client: self.clone(), id };
        let request = A::send_goal_request(id.to_ros(), goal);
        let response = self.shared.send_goal.call(request, timeout).map_err(|error| self.explain(error))?;
        let (accepted, _) = A::split_send_goal_response(response);
        if accepted {
            return Ok(active);
        }
        let reason = self.shared.rejections.take(id);
        Err(ActionError::Rejected {
            action: self.action().to_owned(),
            reason: reason.unwrap_or_else(|| "the server gave no reason (ROS carries none); see its log".to_owned()),
        })
    }

    /// Asks the server to cancel one goal; whether it agreed.
    ///
    /// # Errors
    /// A failed call, [`CallError::Timeout`] included.
    pub fn cancel(&self, id: GoalId, timeout: Duration) -> Result<bool, ActionError> {
        let goal_info = GoalInfo { goal_id: id.to_ros(), stamp: Time::default() };
        let response = self.shared.cancel_goal.call(CancelGoalRequest { goal_info }, timeout)?;
        Ok(response.goals_canceling.iter().any(|goal| GoalId::from_ros(&goal.goal_id) == id))
    }

    /// Asks the server to cancel every goal of this client; how many it agreed to.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    pub fn cancel_all(&self, timeout: Duration) -> Result<usize, ActionError> {
        let deadline = Instant::now() + timeout;
        let ids: Vec<GoalId> = lock(&self.shared.goals.listeners).keys().copied().collect();
        let mut agreed = 0;
        for id in ids {
            agreed += usize::from(self.cancel(id, deadline.saturating_duration_since(Instant::now()))?);
        }
        Ok(agreed)
    }

    fn explain(&self, error: CallError) -> ActionError {
        let action = self.action().to_owned();
        match error {
            CallError::NoServer { timeout_s, .. } => ActionError::NoServer { action, timeout_s },
            CallError::Timeout { timeout_s, .. } => ActionError::Timeout { action, timeout_s },
            error => ActionError::Call(error),
        }
    }
}

/// A goal that the server accepted. Dropping it stops its feedback; the goal goes on.
pub struct ActiveGoal<A: Action> {
    client: ActionClient<A>,
    id: GoalId,
}

impl<A: Action> ActiveGoal<A> {
    /// The goal's id.
    pub fn id(&self) -> GoalId {
        self.id
    }

    /// Asks the server to cancel the goal; whether it agreed. [`Self::wait`] tells how it ended.
    ///
    /// # Errors
    /// A failed call.
    pub fn cancel(&self, timeout: Duration) -> Result<bool, ActionError> {
        self.client.cancel(self.id, timeout)
    }

    /// Blocks until the result, at most `timeout`; then the goal is asked to cancel.
    ///
    /// # Errors
    /// As [`ActionClient::send`].
    pub fn wait(&self, timeout: Duration) -> Result<ActionOutcome<A>, ActionError> {
        let request = A::get_result_request(self.id.to_ros());
        let response = match self.client.shared.get_result.call(request, timeout) {
            Ok(response) => response,
            Err(error) => {
                if let Err(error) = self.cancel(CANCEL_GRACE) {
                    tracing::warn!(action = self.client.action(), goal = %self.id, %error, "the goal could not be cancelled");
                }
                return Err(self.client.explain(error));
            }
        };
        let (status, result) = A::split_get_result_response(response);
        match status {
            GoalStatus::STATUS_SUCCEEDED => Ok(ActionOutcome::Succeeded(result)),
            GoalStatus::STATUS_ABORTED => Ok(ActionOutcome::Aborted(result)),
            GoalStatus::STATUS_CANCELED => Ok(ActionOutcome::Canceled(result)),
            status => Err(ActionError::UnexpectedStatus { action: self.client.action().to_owned(), status }),
        }
    }
}

impl<A: Action> Drop for ActiveGoal<A> {
    fn drop(&mut self) {
        let listener = lock(&self.client.shared.goals.listeners).remove(&self.id);
        drop(listener);
    }
}

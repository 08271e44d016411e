//! What every message, service and action can do.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::builtin_interfaces::msg::Time;
use crate::cdr::{self, CdrError};
use crate::unique_identifier_msgs::msg::UUID;

/// A message: a value with a name, a hash, a definition and a wire form.
pub trait Message: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// ROS name, for example `sensor_msgs/msg/Image`.
    const TYPE_NAME: &'static str;
    /// Type hash of REP-2016, `RIHS01_` and 64 hexadecimal digits.
    const RIHS01: &'static str;
    /// `ros2msg` text with the definitions of all contained types, as MCAP schemas carry it.
    const DEFINITION: &'static str;

    /// The wire form: XCDR1, little endian, with the four bytes of the encapsulation header.
    ///
    /// # Errors
    /// A bounded string or sequence is longer than its bound, or a sequence longer than 2³² − 1.
    fn to_cdr(&self) -> Result<Vec<u8>, CdrError> {
        cdr::encode(self)
    }

    /// Reads the wire form, little or big endian as its header says.
    ///
    /// # Errors
    /// Unknown encapsulation, truncated bytes, lengths beyond the end or the bound, text that is not UTF-8.
    fn from_cdr(bytes: &[u8]) -> Result<Self, CdrError> {
        cdr::decode(bytes)
    }
}

/// A service: a request and its response.
pub trait Service: Send + Sync + 'static {
    /// What the client sends.
    type Request: Message;
    /// What the server answers.
    type Response: Message;
    /// ROS name, for example `std_srvs/srv/Trigger`.
    const TYPE_NAME: &'static str;
    /// Type hash of REP-2016.
    const RIHS01: &'static str;
}

/// An action: a goal, feedback on the way, a result. The associated services and the conversions are what goes over the wire:
/// `<name>/_action/send_goal`, `<name>/_action/get_result` and `<name>/_action/feedback`.
pub trait Action: Send + Sync + 'static {
    /// What is to be done.
    type Goal: Message;
    /// How it ended.
    type Result: Message;
    /// How far it is.
    type Feedback: Message;
    /// Service that hands over a goal.
    type SendGoal: Service;
    /// Service that waits for the result.
    type GetResult: Service;
    /// Message of the feedback topic.
    type FeedbackMessage: Message;
    /// ROS name, for example `intact_msgs/action/DivertItem`.
    const TYPE_NAME: &'static str;
    /// Type hash of REP-2016.
    const RIHS01: &'static str;

    /// Request of [`Action::SendGoal`].
    fn send_goal_request(goal_id: UUID, goal: Self::Goal) -> <Self::SendGoal as Service>::Request;
    /// Parts of that request.
    fn split_send_goal_request(request: <Self::SendGoal as Service>::Request) -> (UUID, Self::Goal);
    /// Response of [`Action::SendGoal`]: accepted or not, and when.
    fn send_goal_response(accepted: bool, stamp: Time) -> <Self::SendGoal as Service>::Response;
    /// Parts of that response.
    fn split_send_goal_response(response: <Self::SendGoal as Service>::Response) -> (bool, Time);
    /// Request of [`Action::GetResult`].
    fn get_result_request(goal_id: UUID) -> <Self::GetResult as Service>::Request;
    /// The goal that a result is asked for.
    fn split_get_result_request(request: <Self::GetResult as Service>::Request) -> UUID;
    /// Response of [`Action::GetResult`]; `status` is one of the constants of `action_msgs/msg/GoalStatus`.
    fn get_result_response(status: i8, result: Self::Result) -> <Self::GetResult as Service>::Response;
    /// Parts of that response.
    fn split_get_result_response(response: <Self::GetResult as Service>::Response) -> (i8, Self::Result);
    /// Feedback with the goal it belongs to.
    fn feedback_message(goal_id: UUID, feedback: Self::Feedback) -> Self::FeedbackMessage;
    /// Parts of a feedback message.
    fn split_feedback_message(message: Self::FeedbackMessage) -> (UUID, Self::Feedback);
}

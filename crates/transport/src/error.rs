//! What can go wrong, as types.

/// A node, topic, service or action could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A name breaks the ROS rules.
    #[error("invalid name `{name}`: {reason}")]
    InvalidName {
        /// The offending name.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// One topic, service or action is used with two types in this process.
    #[error("`{name}` is used as {existing} and as {requested} in one process; rename or remap one of them")]
    TypeMismatch {
        /// Fully qualified name.
        name: String,
        /// Type of the first use.
        existing: String,
        /// Type of the refused use.
        requested: String,
    },
    /// A publisher and a subscription of this process can never be matched.
    #[error("`{topic}`: {reason}; change the QoS of one of them")]
    IncompatibleQos {
        /// Fully qualified topic name.
        topic: String,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// The process would both hear a topic from other participants and publish it, so that its own messages
    /// would come back to it.
    #[error(
        "`{topic}` is already received from other participants and cannot be published in this process too; \
         create the publisher before Context::start, or rename or remap one side"
    )]
    LocalAndRemote {
        /// Fully qualified topic name.
        topic: String,
    },
    /// Two servers of one name in one process.
    #[error("service `{name}` is already served in this process; rename or remap one of them")]
    AlreadyServed {
        /// Fully qualified service name.
        name: String,
    },
    /// Two nodes of one name in one process.
    #[error("a node `{name}` already exists in this process; give one of them another name with __node:=")]
    DuplicateNode {
        /// Fully qualified node name.
        name: String,
    },
    /// An environment variable has a value that cannot be used.
    #[error("{variable}={value}: {reason}")]
    Environment {
        /// Name of the variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The carrier is not part of this build, or cannot carry this.
    #[error("carrier {carrier}: {reason}")]
    NotCarried {
        /// Name of the carrier.
        carrier: &'static str,
        /// What is not possible, and what to do.
        reason: String,
    },
    /// The carrier failed.
    #[error("{carrier} failed to {action}: {reason}")]
    Carrier {
        /// Name of the carrier.
        carrier: &'static str,
        /// What it was asked to do.
        action: String,
        /// Its own words.
        reason: String,
    },
    /// A message could not be turned into CDR.
    #[error("message on `{topic}` cannot be serialised")]
    Encode {
        /// Fully qualified topic name.
        topic: String,
        /// The cause.
        #[source]
        source: ros_interfaces::CdrError,
    },
    /// A thread could not be started.
    #[error("thread `{name}` cannot be started")]
    Thread {
        /// Name of the thread.
        name: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The context was shut down.
    #[error("the context is shut down; make a new one")]
    ShutDown,
}

/// A service call did not bring a response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No server appeared in time.
    #[error("no server of `{service}` appeared within {timeout_s:.1} s")]
    NoServer {
        /// Fully qualified service name.
        service: String,
        /// How long was waited, in seconds.
        timeout_s: f64,
    },
    /// A server is there but did not answer in time.
    #[error("`{service}` did not answer within {timeout_s:.1} s")]
    Timeout {
        /// Fully qualified service name.
        service: String,
        /// How long was waited, in seconds.
        timeout_s: f64,
    },
    /// The server went away while it had the request.
    #[error("the server of `{service}` went away before it answered")]
    ServerGone {
        /// Fully qualified service name.
        service: String,
    },
    /// Request or response is not valid CDR of the type.
    #[error("a message of `{service}` cannot be converted")]
    Cdr {
        /// Fully qualified service name.
        service: String,
        /// The cause.
        #[source]
        source: ros_interfaces::CdrError,
    },
    /// The carrier failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// An action goal did not come to a result.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The server refused the goal.
    #[error("`{action}` rejected the goal: {reason}")]
    Rejected {
        /// Fully qualified action name.
        action: String,
        /// The server's reason; beyond the process ROS carries none.
        reason: String,
    },
    /// No server appeared in time.
    #[error("no action server `{action}` appeared within {timeout_s:.1} s")]
    NoServer {
        /// Fully qualified action name.
        action: String,
        /// How long was waited, in seconds.
        timeout_s: f64,
    },
    /// The result did not come in time; the goal was asked to cancel.
    #[error("`{action}` brought no result within {timeout_s:.1} s; the goal was asked to cancel")]
    Timeout {
        /// Fully qualified action name.
        action: String,
        /// How long was waited, in seconds.
        timeout_s: f64,
    },
    /// The server answered with a status that is not an end.
    #[error("`{action}` answered with goal status {status}, which is not an end")]
    UnexpectedStatus {
        /// Fully qualified action name.
        action: String,
        /// The value from action_msgs/GoalStatus.
        status: i8,
    },
    /// One of the action's services failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A parameter was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParameterError {
    /// The node has no such parameter.
    #[error("unknown parameter `{name}`{}", did_you_mean(suggestion))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest valid name.
        suggestion: Option<String>,
    },
    /// The value has another type than the parameter.
    #[error("parameter `{name}` has type {expected}, not {given}")]
    WrongType {
        /// Name of the parameter.
        name: String,
        /// Its type.
        expected: &'static str,
        /// Type of the value that was given.
        given: &'static str,
    },
    /// The value lies outside the range.
    #[error("parameter `{name}` = {value} is outside [{min}, {max}]")]
    OutOfRange {
        /// Name of the parameter.
        name: String,
        /// The value that was given.
        value: String,
        /// Smallest allowed value.
        min: String,
        /// Largest allowed value.
        max: String,
    },
    /// The value is none of the choices.
    #[error("parameter `{name}` = {value} is none of {choices}{}", did_you_mean(suggestion))]
    NotAChoice {
        /// Name of the parameter.
        name: String,
        /// The value that was given.
        value: String,
        /// The allowed values.
        choices: String,
        /// The nearest allowed value.
        suggestion: Option<String>,
    },
    /// The parameter cannot change while the node runs.
    #[error("parameter `{name}` is read-only; set it at start (-p {name}:=… or --params-file)")]
    ReadOnly {
        /// Name of the parameter.
        name: String,
    },
    /// The parameter is declared twice.
    #[error("parameter `{name}` is declared twice")]
    DeclaredTwice {
        /// Name of the parameter.
        name: String,
    },
    /// The node refused the value.
    #[error("parameter `{name}` was refused: {reason}")]
    Refused {
        /// Name of the parameter.
        name: String,
        /// The node's reason.
        reason: String,
    },
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

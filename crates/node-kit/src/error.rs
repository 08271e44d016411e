//! Why a node cannot be configured, activated or run.

use std::fmt::Display;

use transport::{ParameterError, TransportError};

/// A node's failure, as one clear sentence and its cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A port could not be made.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A parameter was refused.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A thread could not be started.
    #[error("thread `{name}` cannot be started; the machine may be out of memory or threads")]
    Thread {
        /// Name of the thread.
        name: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A lifecycle transition that the node's state does not allow.
    #[error("node `{node}` is {state}: it cannot {transition} now")]
    Transition {
        /// Name of the node.
        node: String,
        /// Its state.
        state: &'static str,
        /// What was asked for.
        transition: &'static str,
    },
    /// The node's own sentence.
    #[error("{0}")]
    Message(String),
    /// The node's own sentence, and the cause below it.
    #[error("{sentence}: {source}")]
    Because {
        /// What is wrong, where, what to do.
        sentence: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl NodeError {
    /// A failure in the node's own words.
    pub fn msg(sentence: impl Display) -> Self {
        Self::Message(sentence.to_string())
    }

    /// A failure in the node's own words, with its cause, which is told after a colon.
    pub fn because(sentence: impl Display, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Because { sentence: sentence.to_string(), source: source.into() }
    }
}

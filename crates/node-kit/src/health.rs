//! Whether a node is still what it claims to be.

use std::sync::{Arc, Mutex};

use crate::lock;

/// A node's failure, once it has one. The first stands: a failed node does not become well again by itself.
#[derive(Clone, Debug, Default)]
pub struct Health {
    failure: Arc<Mutex<Option<String>>>,
}

impl Health {
    /// The node cannot do its work any more: diagnostics say ERROR from now on, and its process ends with exit code 1.
    pub fn fail(&self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        tracing::error!("{sentence}");
        lock(&self.failure).get_or_insert(sentence);
    }

    /// Why the node failed; `None` while it is well.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

/// The words of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

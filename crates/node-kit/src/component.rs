//! The shape of a node.

use crate::error::NodeError;
use crate::params::{Parameters, Shared};
use crate::ports::Ports;

/// A node: what it does between `configure` and drop. Written once, run composed or alone.
pub trait Component: Sized + Send + 'static {
    /// Default node name, e.g. `perception`.
    const NAME: &'static str;

    /// Its parameters, made by [`crate::parameters!`].
    type Params: Parameters;

    /// Loads, opens and creates ports. Nothing moves yet: no thread, no message.
    ///
    /// # Errors
    /// One clear sentence: what is wrong, where, what to do. The node then stays unconfigured.
    fn configure(ports: &Ports, params: Shared<Self::Params>) -> Result<Self, NodeError>;

    /// Starts threads. May be called again after [`Component::deactivate`].
    ///
    /// # Errors
    /// As [`Component::configure`]; the node then stays inactive.
    fn activate(&mut self) -> Result<(), NodeError>;

    /// Stops and joins what `activate` started. Dropping the component is its cleanup.
    fn deactivate(&mut self);
}

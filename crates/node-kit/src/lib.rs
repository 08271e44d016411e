//! What every node shares: lifecycle, parameters bound to types, inboxes, workers, diagnostics, `main`.
//!
//! A node is a [`Component`]: `configure` opens its ports, `activate` starts its threads, `deactivate` joins them, drop
//! cleans up. [`launch`] runs it beside others in one process, [`main`] alone. Either way its parameters come from one
//! [`parameters!`] schema, and `~/get_state`, `~/change_state`, `~/get_available_states` let an outside manager drive it.

mod component;
mod diagnostics;
mod error;
mod health;
mod inbox;
mod lifecycle;
mod macros;
mod params;
mod ports;
mod process;
pub mod rosout;
pub mod schema;
mod worker;

pub use component::Component;
pub use diagnostics::Diagnostics;
pub use error::NodeError;
pub use health::Health;
pub use inbox::{Handled, Inbox};
pub use lifecycle::{NodeOverrides, Running, RunningNode, State, launch};
pub use params::{ParameterType, Parameters, Shared, field_spec};
#[doc(hidden)]
pub use params::{field_value as __field_value, with_range as __with_range};
pub use ports::{Mode, Ports};
pub use process::{log_filter, main};
pub use worker::{Stop, Worker};

pub use transport::{ParameterError, ParameterSpec, ParameterValue};

/// Locks, whether or not a thread panicked while it held the lock: the state behind our locks is valid at every step.
fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

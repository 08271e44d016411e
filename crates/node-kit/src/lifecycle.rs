//! The managed life of a component: unconfigured → inactive → active, and back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use ros_interfaces::diagnostic_msgs::msg::DiagnosticStatus;
use ros_interfaces::lifecycle_msgs::msg::{State as StateMessage, Transition};
use ros_interfaces::lifecycle_msgs::srv::{
    ChangeState, ChangeStateRequest, ChangeStateResponse, GetAvailableStates, GetAvailableStatesResponse, GetState, GetStateResponse,
};
use transport::{Context, NodeOptions, ParameterSpec, ParameterValue, Remap, ServiceServer};

use crate::component::Component;
use crate::error::NodeError;
use crate::health::panic_message;
use crate::lock;
use crate::params::Shared;
use crate::ports::{Mode, Ports};
use crate::worker::Worker;

/// A parameter that every node has.
pub(crate) const AUTOSTART: &str = "autostart";

/// What differs from a component's defaults when it is launched.
#[derive(Clone, Debug, Default)]
pub struct NodeOverrides {
    /// Node name instead of [`Component::NAME`].
    pub name: Option<String>,
    /// Namespace instead of `/`.
    pub namespace: Option<String>,
    /// Remapping rules.
    pub remaps: Vec<Remap>,
    /// Parameters by name; unknown names are refused. `use_sim_time` is one of them.
    pub parameters: Vec<(String, ParameterValue)>,
}

impl NodeOverrides {
    /// The same with a parameter set.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<ParameterValue>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// The last value given to a parameter.
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.parameters.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// Primary state of a lifecycle node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Has no ports.
    Unconfigured,
    /// Has ports, does nothing.
    Inactive,
    /// Works.
    Active,
    /// Is over.
    Finalized,
}

impl State {
    /// Its name in ROS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Finalized => "finalized",
        }
    }

    fn message(self) -> StateMessage {
        let id = match self {
            Self::Unconfigured => StateMessage::PRIMARY_STATE_UNCONFIGURED,
            Self::Inactive => StateMessage::PRIMARY_STATE_INACTIVE,
            Self::Active => StateMessage::PRIMARY_STATE_ACTIVE,
            Self::Finalized => StateMessage::PRIMARY_STATE_FINALIZED,
        };
        StateMessage { id, label: self.name().to_owned() }
    }
}

struct Life<C> {
    state: State,
    component: Option<C>,
}

struct Managed<C: Component> {
    ports: Ports,
    params: Shared<C::Params>,
    life: Mutex<Life<C>>,
}

impl<C: Component> Managed<C> {
    fn state(&self) -> State {
        lock(&self.life).state
    }

    fn configure(&self) -> Result<(), NodeError> {
        let mut life = lock(&self.life);
        self.expect(&life, State::Unconfigured, "configure")?;
        let made = self.guarded("configure", || C::configure(&self.ports, self.params.clone()))?;
        // Only now are all parameters declared: what nobody declared is a mistyped name.
        self.ports.node.parameters().check_overrides()?;
        life.component = Some(made);
        life.state = State::Inactive;
        tracing::info!(node = %self.ports.node.fully_qualified_name(), "configured");
        Ok(())
    }

    fn activate(&self) -> Result<(), NodeError> {
        let mut life = lock(&self.life);
        self.expect(&life, State::Inactive, "activate")?;
        if let Some(component) = life.component.as_mut() {
            self.guarded("activate", || component.activate())?;
        }
        life.state = State::Active;
        tracing::info!(node = %self.ports.node.fully_qualified_name(), "active");
        Ok(())
    }

    fn deactivate(&self) -> Result<(), NodeError> {
        let mut life = lock(&self.life);
        self.expect(&life, State::Active, "deactivate")?;
        life.state = State::Inactive;
        if let Some(component) = life.component.as_mut() {
            self.guarded("deactivate", || {
                component.deactivate();
                Ok(())
            })?;
        }
        Ok(())
    }

    fn cleanup(&self) -> Result<(), NodeError> {
        let mut life = lock(&self.life);
        self.expect(&life, State::Inactive, "clean up")?;
        life.state = State::Unconfigured;
        let component = life.component.take();
        self.guarded("clean up", || {
            drop(component);
            Ok(())
        })
    }

    /// From any state to its end.
    fn shut_down(&self) {
        let steps = [(State::Active, Self::deactivate as fn(&Self) -> Result<(), NodeError>), (State::Inactive, Self::cleanup)];
        for (state, step) in steps {
            if self.state() == state
                && let Err(error) = step(self)
            {
                tracing::error!(node = %self.ports.node.fully_qualified_name(), %error, "did not stop cleanly");
            }
        }
        lock(&self.life).state = State::Finalized;
    }

    fn expect(&self, life: &Life<C>, state: State, transition: &'static str) -> Result<(), NodeError> {
        if life.state == state {
            return Ok(());
        }
        Err(NodeError::Transition { node: self.ports.node.fully_qualified_name(), state: life.state.name(), transition })
    }

    /// A panic of the component becomes its failure.
    fn guarded<T>(&self, transition: &str, step: impl FnOnce() -> Result<T, NodeError>) -> Result<T, NodeError> {
        catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
            let sentence = format!("it panicked while it was to {transition}: {}", panic_message(panic.as_ref()));
            self.ports.health.fail(sentence.clone());
            Err(NodeError::msg(sentence))
        })
    }

    fn change(&self, request: &ChangeStateRequest) -> bool {
        let result = match request.transition.id {
            Transition::TRANSITION_CONFIGURE => self.configure(),
            Transition::TRANSITION_CLEANUP => self.cleanup(),
            Transition::TRANSITION_ACTIVATE => self.activate(),
            Transition::TRANSITION_DEACTIVATE => self.deactivate(),
            Transition::TRANSITION_UNCONFIGURED_SHUTDOWN
            | Transition::TRANSITION_INACTIVE_SHUTDOWN
            | Transition::TRANSITION_ACTIVE_SHUTDOWN => {
                self.shut_down();
                Ok(())
            }
            other => Err(NodeError::msg(format!("transition {other} is unknown; see lifecycle_msgs/msg/Transition"))),
        };
        match result {
            Ok(()) => true,
            Err(error) => {
                self.ports.diagnostics.error(format!("transition {} failed: {error}", request.transition.label));
                false
            }
        }
    }
}

/// A launched node. Dropping it deactivates and cleans up.
pub struct Running<C: Component> {
    // Fields drop in order: services and reports first, then the component, its ports last.
    _services: [ServiceServer; 3],
    _reports: Worker,
    managed: Arc<Managed<C>>,
}

/// A [`Running`] of any component: what a process that composes nodes needs of each.
pub trait RunningNode: Send {
    /// Its name in the graph.
    fn name(&self) -> String;
    /// Its state.
    fn state(&self) -> State;
    /// See [`Component::configure`].
    ///
    /// # Errors
    /// The component's, or a state that does not allow it.
    fn configure(&self) -> Result<(), NodeError>;
    /// See [`Component::activate`].
    ///
    /// # Errors
    /// The component's, or a state that does not allow it.
    fn activate(&self) -> Result<(), NodeError>;
    /// See [`Component::deactivate`].
    ///
    /// # Errors
    /// A state that does not allow it, or a panic of the component.
    fn deactivate(&self) -> Result<(), NodeError>;
    /// Drops the component and its ports.
    ///
    /// # Errors
    /// A state that does not allow it, or a panic of the component.
    fn cleanup(&self) -> Result<(), NodeError>;
    /// Deactivates, cleans up and finalises from any state.
    fn shut_down(&self);
    /// Why the node failed; `None` while it is well.
    fn failure(&self) -> Option<String>;
    /// Why it does not do its work now, though it may not have failed for good: its diagnostics, where they stand at ERROR.
    fn trouble(&self) -> Option<String>;
}

impl<C: Component> Running<C> {
    /// The node's ports and accounts.
    pub fn ports(&self) -> &Ports {
        &self.managed.ports
    }

    /// The node's parameters.
    pub fn params(&self) -> &Shared<C::Params> {
        &self.managed.params
    }

    /// Looks at the component; `None` while it is not configured.
    pub fn with<T>(&self, look: impl FnOnce(&C) -> T) -> Option<T> {
        lock(&self.managed.life).component.as_ref().map(look)
    }
}

impl<C: Component> RunningNode for Running<C> {
    fn name(&self) -> String {
        self.managed.ports.node.fully_qualified_name()
    }
    fn state(&self) -> State {
        self.managed.state()
    }
    fn configure(&self) -> Result<(), NodeError> {
        self.managed.configure()
    }
    fn activate(&self) -> Result<(), NodeError> {
        self.managed.activate()
    }
    fn deactivate(&self) -> Result<(), NodeError> {
        self.managed.deactivate()
    }
    fn cleanup(&self) -> Result<(), NodeError> {
        self.managed.cleanup()
    }
    fn shut_down(&self) {
        self.managed.shut_down();
    }
    fn failure(&self) -> Option<String> {
        self.managed.ports.health.failure()
    }
    fn trouble(&self) -> Option<String> {
        let status = self.managed.ports.diagnostics.status();
        (status.level == DiagnosticStatus::ERROR).then_some(status.message)
    }
}

impl<C: Component> Drop for Running<C> {
    fn drop(&mut self) {
        self.managed.shut_down();
        // Not left to the last holder of the ports: a service's thread may outlive this by a moment.
        self.managed.ports.end_log();
    }
}

/// Makes a node in `ctx`, declares its parameters and configures it. To run several: launch all, then
/// [`Context::start`], then [`RunningNode::activate`] each, sources last.
///
/// # Errors
/// Parameters that are unknown or do not fit, ports that cannot be made, and what the component says.
pub fn launch<C: Component>(ctx: &Context, overrides: NodeOverrides, mode: Mode) -> Result<Running<C>, NodeError> {
    let running = prepare::<C>(ctx, overrides, mode)?;
    running.managed.configure()?;
    Ok(running)
}

/// The node, unconfigured, with its parameters and lifecycle services.
pub(crate) fn prepare<C: Component>(ctx: &Context, overrides: NodeOverrides, mode: Mode) -> Result<Running<C>, NodeError> {
    let use_sim_time = matches!(overrides.get("use_sim_time"), Some(ParameterValue::Bool(true)));
    let options = NodeOptions {
        name: overrides.name.unwrap_or_else(|| C::NAME.to_owned()),
        namespace: overrides.namespace.unwrap_or_else(|| "/".to_owned()),
        remaps: overrides.remaps,
        use_sim_time,
    };
    let node = ctx.node(options)?;
    node.parameters().set_overrides(overrides.parameters.into_iter().collect());
    let params = Shared::bind(node.parameters())?;
    let ports = Ports::new(node, C::NAME, mode)?;
    let meaning = "Configure and activate at start; false waits for a lifecycle manager (a node alone in its process).";
    ports.declare(ParameterSpec::new(AUTOSTART, true, meaning).read_only())?;
    let reports = ports.diagnostics.start()?;
    let life = Mutex::new(Life { state: State::Unconfigured, component: None });
    let managed = Arc::new(Managed { ports, params, life });
    Ok(Running { _services: serve(&managed)?, _reports: reports, managed })
}

fn serve<C: Component>(managed: &Arc<Managed<C>>) -> Result<[ServiceServer; 3], NodeError> {
    let node = &managed.ports.node;
    let (get, change) = (Arc::clone(managed), Arc::clone(managed));
    let get_state = node.serve::<GetState>("~/get_state", move |_| GetStateResponse { current_state: get.state().message() })?;
    let change_state = node.serve::<ChangeState>("~/change_state", move |request: ChangeStateRequest| ChangeStateResponse {
        success: change.change(&request),
    })?;
    let available = node.serve::<GetAvailableStates>("~/get_available_states", |_| GetAvailableStatesResponse {
        available_states: [State::Unconfigured, State::Inactive, State::Active, State::Finalized].map(State::message).to_vec(),
    })?;
    Ok([get_state, change_state, available])
}

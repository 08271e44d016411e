//! A node's parameters: declare, get, set, watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ros_interfaces::rcl_interfaces::msg::{Parameter, ParameterEvent};

use super::services;
use super::value::{ParameterSpec, ParameterValue};
use crate::carriers::NodeId;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::{ParameterError, TransportError};
use crate::names;
use crate::qos::Qos;
use crate::service::ServiceServer;
use crate::suggest::nearest;
use crate::sync::lock;
use crate::topic::Publisher;

/// A node's parameters. Serves the six `rcl_interfaces` services under the node's name, publishes
/// `/parameter_events`.
pub struct ParameterServer {
    store: Arc<Store>,
    _services: Vec<ServiceServer>,
}

type Validator = Arc<dyn Fn(&[(String, ParameterValue)]) -> Result<(), String> + Send + Sync>;
type Watcher = Arc<dyn Fn(&[(String, ParameterValue)]) + Send + Sync>;

/// What the services share with the node.
pub(super) struct Store {
    node: String,
    clock: Clock,
    events: Publisher<ParameterEvent>,
    declared: Mutex<BTreeMap<String, Declared>>,
    overrides: Mutex<BTreeMap<String, ParameterValue>>,
    validators: Mutex<Vec<Validator>>,
    watchers: Mutex<Vec<Watcher>>,
}

#[derive(Clone)]
pub(super) struct Declared {
    pub(super) spec: ParameterSpec,
    pub(super) value: ParameterValue,
}

impl ParameterServer {
    pub(crate) fn new(
        context: &Context,
        node: &NodeId,
        clock: &Clock,
        resolve: impl Fn(&str) -> Result<String, TransportError>,
    ) -> Result<Self, TransportError> {
        let events =
            context.inner.topic::<ParameterEvent>(&resolve("/parameter_events")?)?.advertise(node, Qos::event(), context.inner.link()?)?;
        let store = Arc::new(Store {
            node: names::join(&node.namespace, &node.name),
            clock: clock.clone(),
            events,
            declared: Mutex::default(),
            overrides: Mutex::default(),
            validators: Mutex::default(),
            watchers: Mutex::default(),
        });
        let services = services::serve(context, node, &store, resolve)?;
        Ok(Self { store, _services: services })
    }

    pub(crate) fn declare_use_sim_time(&self, use_sim_time: bool) {
        let spec = ParameterSpec::new("use_sim_time", use_sim_time, "Whether ROS time is what /clock says.").read_only();
        lock(&self.store.declared).insert(spec.name.clone(), Declared { value: spec.default.clone(), spec });
    }

    /// Values from the command line and files: [`Self::declare`] takes them instead of the defaults, and
    /// [`Self::check_overrides`] finds those that no declaration took.
    pub fn set_overrides(&self, overrides: BTreeMap<String, ParameterValue>) {
        lock(&self.store.overrides).extend(overrides);
    }

    /// Declares a parameter; its value is the override, if there is one, else the default.
    ///
    /// # Errors
    /// [`ParameterError::DeclaredTwice`], or why the value does not fit.
    pub fn declare(&self, spec: ParameterSpec) -> Result<(), ParameterError> {
        let wanted = lock(&self.store.overrides).get(&spec.name).cloned();
        let value = spec.check(wanted.unwrap_or_else(|| spec.default.clone()))?;
        {
            let mut declared = lock(&self.store.declared);
            if declared.contains_key(&spec.name) {
                return Err(ParameterError::DeclaredTwice { name: spec.name });
            }
            declared.insert(spec.name.clone(), Declared { spec: spec.clone(), value: value.clone() });
        }
        self.store.publish_event(&[(spec.name, value)], true);
        Ok(())
    }

    /// After all declarations: an override that none of them took is an error, with the nearest valid name.
    pub fn check_overrides(&self) -> Result<(), ParameterError> {
        let overrides = lock(&self.store.overrides).clone();
        let declared = lock(&self.store.declared);
        for (name, wanted) in &overrides {
            match declared.get(name) {
                None => return Err(unknown(name, &declared)),
                // Only `use_sim_time` is declared before the overrides are known.
                Some(entry) if entry.spec.read_only && entry.spec.check(wanted.clone())? != entry.value => {
                    return Err(ParameterError::ReadOnly { name: name.clone() });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// [`ParameterError::Unknown`] with the nearest valid name.
    pub fn get(&self, name: &str) -> Result<ParameterValue, ParameterError> {
        let declared = lock(&self.store.declared);
        declared.get(name).map(|entry| entry.value.clone()).ok_or_else(|| unknown(name, &declared))
    }

    /// Sets one parameter while the node runs.
    ///
    /// # Errors
    /// Unknown name, wrong type, outside range or choices, read-only, or the node's refusal.
    pub fn set(&self, name: &str, value: impl Into<ParameterValue>) -> Result<(), ParameterError> {
        self.store.set(vec![(name.to_owned(), value.into())])
    }

    /// Sets several parameters, all or none.
    ///
    /// # Errors
    /// As [`Self::set`], of the first one that is refused.
    pub fn set_all(&self, values: Vec<(String, ParameterValue)>) -> Result<(), ParameterError> {
        self.store.set(values)
    }

    /// Names of all declared parameters, in order.
    pub fn names(&self) -> Vec<String> {
        lock(&self.store.declared).keys().cloned().collect()
    }

    /// What was declared under `name`.
    pub fn spec(&self, name: &str) -> Option<ParameterSpec> {
        lock(&self.store.declared).get(name).map(|entry| entry.spec.clone())
    }

    /// Adds a check that may refuse changes, e.g. of parameters that depend on each other.
    pub fn on_set(&self, check: impl Fn(&[(String, ParameterValue)]) -> Result<(), String> + Send + Sync + 'static) {
        lock(&self.store.validators).push(Arc::new(check));
    }

    /// Adds a callback that hears of changes after they are in force.
    pub fn on_change(&self, watcher: impl Fn(&[(String, ParameterValue)]) + Send + Sync + 'static) {
        lock(&self.store.watchers).push(Arc::new(watcher));
    }
}

impl Store {
    /// Checks all values, then sets them together; callbacks run without a lock.
    pub(super) fn set(&self, values: Vec<(String, ParameterValue)>) -> Result<(), ParameterError> {
        let values = {
            let declared = lock(&self.declared);
            values.into_iter().map(|(name, value)| check_change(&declared, name, value)).collect::<Result<Vec<_>, _>>()?
        };
        let validators = lock(&self.validators).clone();
        for validate in validators {
            validate(&values).map_err(|reason| ParameterError::Refused {
                name: values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
                reason,
            })?;
        }
        {
            let mut declared = lock(&self.declared);
            for (name, value) in &values {
                if let Some(entry) = declared.get_mut(name) {
                    entry.value = value.clone();
                }
            }
        }
        let watchers = lock(&self.watchers).clone();
        watchers.iter().for_each(|watcher| watcher(&values));
        self.publish_event(&values, false);
        Ok(())
    }

    /// A copy of everything that is declared.
    pub(super) fn snapshot(&self) -> BTreeMap<String, Declared> {
        lock(&self.declared).clone()
    }

    fn publish_event(&self, values: &[(String, ParameterValue)], new: bool) {
        let parameters: Vec<Parameter> =
            values.iter().map(|(name, value)| Parameter { name: name.clone(), value: services::value_to_ros(value) }).collect();
        let (new_parameters, changed_parameters) = if new { (parameters, Vec::new()) } else { (Vec::new(), parameters) };
        let event = ParameterEvent {
            stamp: self.clock.now(),
            node: self.node.clone(),
            new_parameters,
            changed_parameters,
            deleted_parameters: Vec::new(),
        };
        if let Err(error) = self.events.publish(event) {
            tracing::warn!(node = %self.node, %error, "a parameter event could not be published");
        }
    }
}

fn check_change(
    declared: &BTreeMap<String, Declared>,
    name: String,
    value: ParameterValue,
) -> Result<(String, ParameterValue), ParameterError> {
    let entry = declared.get(&name).ok_or_else(|| unknown(&name, declared))?;
    let value = entry.spec.check(value)?;
    if entry.spec.read_only && value != entry.value {
        return Err(ParameterError::ReadOnly { name });
    }
    Ok((name, value))
}

fn unknown(name: &str, declared: &BTreeMap<String, Declared>) -> ParameterError {
    let suggestion = nearest(name, declared.keys().map(String::as_str)).map(str::to_owned);
    ParameterError::Unknown { name: name.to_owned(), suggestion }
}

//! The context: one a process. It knows the carrier, the topics and the services of the process.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use ros_interfaces::Message;

use crate::activity::Activity;
use crate::carriers::{self, Link, NodeId};
use crate::counters::TopicCounters;
use crate::error::TransportError;
use crate::node::{Node, NodeOptions};
use crate::service::WeakClient;
use crate::sync::lock;
use crate::topic::{AnyTopic, Topic};

/// What moves messages beyond the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Nothing: everything runs in this process.
    InProcess,
    /// DDS through `ros2-client`; no ROS installation needed.
    Dds,
    /// A sourced ROS 2 through `r2r` (cargo feature `r2r`).
    R2r,
}

/// How far other participants are looked for (`ROS_AUTOMATIC_DISCOVERY_RANGE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryRange {
    /// Only on this machine: only loopback is used.
    Localhost,
    /// On the network, by multicast.
    Subnet,
    /// Nowhere: nothing leaves the process.
    Off,
}

/// How a context is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextOptions {
    /// What moves messages beyond the process.
    pub carrier: Carrier,
    /// `ROS_DOMAIN_ID`, 0 to 232.
    pub domain_id: u16,
    /// How far other participants are looked for.
    pub discovery: DiscoveryRange,
}

/// Largest domain id: RTPS ports are 7400 + 250 × domain + …, at most 65535.
const MAX_DOMAIN_ID: u16 = 232;

impl ContextOptions {
    /// Nothing leaves the process.
    pub fn in_process() -> Self {
        Self { carrier: Carrier::InProcess, domain_id: 0, discovery: DiscoveryRange::Off }
    }

    /// DDS in `domain_id`, over `discovery`.
    pub fn dds(domain_id: u16, discovery: DiscoveryRange) -> Self {
        let carrier = if discovery == DiscoveryRange::Off { Carrier::InProcess } else { Carrier::Dds };
        Self { carrier, domain_id, discovery }
    }

    /// DDS as `ROS_DOMAIN_ID` and `ROS_AUTOMATIC_DISCOVERY_RANGE` say; `OFF` stays in process. With
    /// `INTACT_CARRIER=r2r` (and the cargo feature) over a sourced ROS 2 instead.
    ///
    /// # Errors
    /// [`TransportError::Environment`] when a variable has a value that ROS does not know.
    pub fn from_env() -> Result<Self, TransportError> {
        Self::from_vars(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, TransportError> {
        let domain_id = match var("ROS_DOMAIN_ID") {
            None => 0,
            Some(value) => match value.trim().parse() {
                Ok(id) if id <= MAX_DOMAIN_ID => id,
                _ => {
                    let reason = format!("a number from 0 to {MAX_DOMAIN_ID} is needed");
                    return Err(TransportError::Environment { variable: "ROS_DOMAIN_ID", value, reason });
                }
            },
        };
        if let Some(peers) = var("ROS_STATIC_PEERS") {
            tracing::warn!(peers, "ROS_STATIC_PEERS is not supported and is ignored: participants are found by multicast only");
        }
        let mut options = Self::dds(domain_id, discovery_range(&var)?);
        if options.carrier == Carrier::Dds {
            match var("INTACT_CARRIER").as_deref() {
                None | Some("dds") => {}
                Some("r2r") => options.carrier = Carrier::R2r,
                Some(other) => {
                    let reason = "the carriers are dds and r2r".to_owned();
                    return Err(TransportError::Environment { variable: "INTACT_CARRIER", value: other.to_owned(), reason });
                }
            }
        }
        Ok(options)
    }
}

fn discovery_range(var: &impl Fn(&str) -> Option<String>) -> Result<DiscoveryRange, TransportError> {
    let variable = "ROS_AUTOMATIC_DISCOVERY_RANGE";
    if var("ROS_LOCALHOST_ONLY").as_deref() == Some("1") {
        // As in rcl the older switch, where it is on, overrides the newer one.
        if let Some(value) = var(variable) {
            tracing::warn!("{variable}={value} is ignored: ROS_LOCALHOST_ONLY is 1");
        }
        return Ok(DiscoveryRange::Localhost);
    }
    match var(variable) {
        None => Ok(DiscoveryRange::Subnet),
        Some(value) => match value.to_ascii_uppercase().as_str() {
            "LOCALHOST" => Ok(DiscoveryRange::Localhost),
            "SUBNET" | "SYSTEM_DEFAULT" => Ok(DiscoveryRange::Subnet),
            "OFF" => Ok(DiscoveryRange::Off),
            _ => {
                let reason = "one of LOCALHOST, SUBNET, OFF is needed".to_owned();
                Err(TransportError::Environment { variable, value, reason })
            }
        },
    }
}

/// One a process: makes nodes, and knows the topics and services they share. Clones share the context.
#[derive(Clone)]
pub struct Context {
    pub(crate) inner: Arc<ContextInner>,
}

/// A context that does not keep itself alive.
#[derive(Clone)]
pub(crate) struct WeakContext(Weak<ContextInner>);

impl WeakContext {
    pub(crate) fn upgrade(&self) -> Option<Arc<ContextInner>> {
        self.0.upgrade()
    }
}

pub(crate) struct ContextInner {
    link: Option<Arc<dyn Link>>,
    pub(crate) activity: Activity,
    started: AtomicBool,
    shut_down: AtomicBool,
    topics: Mutex<BTreeMap<String, TopicEntry>>,
    services: Mutex<BTreeMap<String, ServiceEntry>>,
    clients: Mutex<Vec<WeakClient>>,
    nodes: Mutex<BTreeSet<NodeId>>,
    pub(crate) rejections: crate::action::Rejections,
}

/// A topic, once as itself and once as what the context needs of it.
struct TopicEntry {
    typed: Arc<dyn Any + Send + Sync>,
    untyped: Arc<dyn AnyTopic>,
}

type ServiceEntry = (&'static str, Arc<dyn Any + Send + Sync>);

impl Context {
    /// Opens the carrier.
    ///
    /// # Errors
    /// [`TransportError::NotCarried`] when the carrier is not part of this build, [`TransportError::Carrier`]
    /// when it cannot be opened.
    pub fn new(options: ContextOptions) -> Result<Self, TransportError> {
        let inner = ContextInner {
            link: carriers::open(&options)?,
            activity: Activity::default(),
            started: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            topics: Mutex::default(),
            services: Mutex::default(),
            clients: Mutex::default(),
            nodes: Mutex::default(),
            rejections: crate::action::Rejections::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a node, with its parameter services.
    ///
    /// # Errors
    /// [`TransportError::InvalidName`], [`TransportError::DuplicateNode`], or the carrier's failure.
    pub fn node(&self, options: NodeOptions) -> Result<Node, TransportError> {
        Node::new(self, options)
    }

    /// Every node has declared its ports: topics that this process subscribes and does not publish are from
    /// now on received from other participants.
    ///
    /// A topic that is published in this process is never received from outside, because a carrier would also
    /// bring back the process's own messages. Later subscriptions open their readers at once; a later publisher
    /// on such a topic is [`TransportError::LocalAndRemote`].
    pub fn start(&self) -> Result<(), TransportError> {
        self.inner.started.store(true, Ordering::SeqCst);
        let Some(link) = self.inner.link()? else { return Ok(()) };
        let topics: Vec<_> = lock(&self.inner.topics).values().map(|entry| Arc::clone(&entry.untyped)).collect();
        for topic in topics {
            topic.open_reader(link.as_ref())?;
        }
        let clients: Vec<_> = lock(&self.inner.clients).iter().filter_map(Weak::upgrade).collect();
        clients.iter().try_for_each(|client| client.prepare())
    }

    /// What happened on each topic so far, in order of their names.
    pub fn counters(&self) -> Vec<TopicCounters> {
        lock(&self.inner.topics).values().map(|entry| entry.untyped.counters()).collect()
    }

    /// Whether anything in this process still has work.
    pub fn activity(&self) -> &Activity {
        &self.inner.activity
    }

    /// Leaves the graph of other participants and stops the carrier's threads. What remains works within the
    /// process; making more nodes or ports is [`TransportError::ShutDown`].
    pub fn shutdown(&self) {
        if self.inner.shut_down.swap(true, Ordering::SeqCst) {
            return;
        }
        let topics: Vec<_> = lock(&self.inner.topics).values().map(|entry| Arc::clone(&entry.untyped)).collect();
        topics.iter().for_each(|topic| topic.close_reader());
        if let Some(link) = &self.inner.link {
            link.shutdown();
        }
    }

    pub(crate) fn downgrade(&self) -> WeakContext {
        WeakContext(Arc::downgrade(&self.inner))
    }
}

impl ContextInner {
    /// The carrier beyond the process, if there is one.
    pub(crate) fn link(&self) -> Result<Option<&Arc<dyn Link>>, TransportError> {
        if self.shut_down.load(Ordering::SeqCst) { Err(TransportError::ShutDown) } else { Ok(self.link.as_ref()) }
    }

    /// The topic `name`, made at first use.
    pub(crate) fn topic<M: Message>(&self, name: &str) -> Result<Arc<Topic<M>>, TransportError> {
        let mut topics = lock(&self.topics);
        let entry = topics.entry(name.to_owned()).or_insert_with(|| {
            let topic = Arc::new(Topic::<M>::new(name.to_owned()));
            TopicEntry { typed: Arc::clone(&topic) as Arc<dyn Any + Send + Sync>, untyped: topic }
        });
        let existing = entry.untyped.type_name();
        Arc::clone(&entry.typed).downcast().map_err(|_| TransportError::TypeMismatch {
            name: name.to_owned(),
            existing: existing.to_owned(),
            requested: M::TYPE_NAME.to_owned(),
        })
    }

    /// After a new subscription: opens the reader if the context has started.
    pub(crate) fn open_reader<M: Message>(&self, topic: Arc<Topic<M>>) -> Result<(), TransportError> {
        match self.link()? {
            Some(link) if self.started.load(Ordering::SeqCst) => topic.open_reader(link.as_ref()),
            _ => Ok(()),
        }
    }

    pub(crate) fn insert_service(
        &self,
        name: &str,
        type_name: &'static str,
        slot: Arc<dyn Any + Send + Sync>,
    ) -> Result<(), TransportError> {
        let mut services = lock(&self.services);
        if services.contains_key(name) {
            return Err(TransportError::AlreadyServed { name: name.to_owned() });
        }
        services.insert(name.to_owned(), (type_name, slot));
        Ok(())
    }

    pub(crate) fn remove_service(&self, name: &str) {
        let removed = lock(&self.services).remove(name);
        drop(removed);
    }

    pub(crate) fn service(&self, name: &str) -> Option<ServiceEntry> {
        lock(&self.services).get(name).cloned()
    }

    pub(crate) fn add_client(&self, client: WeakClient) -> Result<(), TransportError> {
        if self.started.load(Ordering::SeqCst) {
            return client.upgrade().map_or(Ok(()), |client| client.prepare());
        }
        lock(&self.clients).push(client);
        Ok(())
    }

    pub(crate) fn add_node(&self, node: &NodeId) -> Result<(), TransportError> {
        if !lock(&self.nodes).insert(node.clone()) {
            return Err(TransportError::DuplicateNode { name: crate::names::join(&node.namespace, &node.name) });
        }
        match self.link()? {
            Some(link) => link.add_node(node),
            None => Ok(()),
        }
    }

    pub(crate) fn remove_node(&self, node: &NodeId) {
        lock(&self.nodes).remove(node);
        if let Ok(Some(link)) = self.link() {
            link.remove_node(node);
        }
    }
}

impl Drop for ContextInner {
    fn drop(&mut self) {
        if !self.shut_down.load(Ordering::SeqCst)
            && let Some(link) = &self.link
        {
            link.shutdown();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options(vars: &[(&str, &str)]) -> Result<ContextOptions, TransportError> {
        ContextOptions::from_vars(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_of_ros_is_read() {
        use DiscoveryRange::{Localhost, Off, Subnet};
        let range = "ROS_AUTOMATIC_DISCOVERY_RANGE";
        for (vars, carrier, domain_id, discovery) in [
            (vec![], Carrier::Dds, 0, Subnet),
            (vec![("ROS_DOMAIN_ID", "42")], Carrier::Dds, 42, Subnet),
            (vec![(range, "LOCALHOST")], Carrier::Dds, 0, Localhost),
            (vec![(range, "localhost"), ("ROS_STATIC_PEERS", "10.0.0.1")], Carrier::Dds, 0, Localhost),
            (vec![(range, "OFF"), ("INTACT_CARRIER", "r2r")], Carrier::InProcess, 0, Off),
            (vec![("ROS_LOCALHOST_ONLY", "1")], Carrier::Dds, 0, Localhost),
            (vec![(range, "SUBNET"), ("ROS_LOCALHOST_ONLY", "1")], Carrier::Dds, 0, Localhost),
            (vec![(range, "SUBNET"), ("ROS_LOCALHOST_ONLY", "0")], Carrier::Dds, 0, Subnet),
            (vec![("INTACT_CARRIER", "r2r")], Carrier::R2r, 0, Subnet),
        ] {
            assert_eq!(options(&vars).unwrap(), ContextOptions { carrier, domain_id, discovery }, "{vars:?}");
        }
        for vars in [("ROS_DOMAIN_ID", "233"), ("ROS_DOMAIN_ID", "x"), (range, "WORLD"), ("INTACT_CARRIER", "zenoh")] {
            assert!(options(&[vars]).is_err(), "{vars:?}");
        }
    }
}

//! Nodes: the one interface that the rest of intact is written against.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ros_interfaces::rosgraph_msgs::msg::Clock as ClockMessage;
use ros_interfaces::{Action, Message, Service};

use crate::action::{self, ActionClient, ActionServer, ActionServerHandle};
use crate::carriers::NodeId;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TransportError;
use crate::names::{self, Remap};
use crate::parameters::ParameterServer;
use crate::qos::Qos;
use crate::service::{self, Client, ServiceServer};
use crate::topic::{Publisher, Subscription};

/// How a node is made.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Base name; a `__node` rule overrides it.
    pub name: String,
    /// Namespace, `/` by default; a `__ns` rule overrides it.
    pub namespace: String,
    /// Remapping rules; the first that matches wins.
    pub remaps: Vec<Remap>,
    /// Whether ROS time is what `/clock` says.
    pub use_sim_time: bool,
}

impl NodeOptions {
    /// A node in the root namespace, on the system clock.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: "/".to_owned(), remaps: Vec::new(), use_sim_time: false }
    }

    /// The same in another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The same with more remapping rules.
    #[must_use]
    pub fn remap(mut self, rules: impl IntoIterator<Item = Remap>) -> Self {
        self.remaps.extend(rules);
        self
    }

    /// The same with `/clock` as its time.
    #[must_use]
    pub fn use_sim_time(mut self, use_sim_time: bool) -> Self {
        self.use_sim_time = use_sim_time;
        self
    }

    /// Name and namespace after `__node` and `__ns`.
    fn identity(&self) -> Result<NodeId, TransportError> {
        let rule = |key: &str| self.remaps.iter().find(|rule| rule.from == key && rule.applies_to(&self.name)).map(|rule| rule.to.as_str());
        let name = rule("__node").unwrap_or(&self.name).to_owned();
        names::check_token(&name, &name)?;
        let namespace = names::normalised_namespace(rule("__ns").unwrap_or(&self.namespace))?;
        Ok(NodeId { namespace, name })
    }
}

/// A ROS node. Clones share it; the last one takes it out of the graph.
#[derive(Clone)]
pub struct Node {
    inner: Arc<NodeInner>,
}

struct NodeInner {
    // Fields drop in order: ports first, then the node's place in the graph.
    parameters: ParameterServer,
    clock: Clock,
    _clock_subscription: Option<Subscription>,
    full_name: String,
    created_as: String,
    remaps: Vec<Remap>,
    registration: Registration,
}

/// A node's place in the context, given back on drop.
struct Registration {
    context: Context,
    id: NodeId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.context.inner.remove_node(&self.id);
    }
}

impl Node {
    pub(crate) fn new(context: &Context, options: NodeOptions) -> Result<Self, TransportError> {
        let id = options.identity()?;
        context.inner.add_node(&id)?;
        let registration = Registration { context: context.clone(), id: id.clone() };
        let resolve = |name: &str| names::resolve(name, &id.namespace, &id.name, &options.name, &options.remaps);
        let (clock, clock_subscription) = if options.use_sim_time {
            let (clock, now_ns) = Clock::simulated();
            let store = move |message: Arc<ClockMessage>| now_ns.store(message.clock.nanos(), Ordering::Release);
            (clock, Some(subscribe(context, &id, resolve("/clock")?, Qos::clock(), Reach::OneSide, store)?))
        } else {
            (Clock::system(), None)
        };
        let parameters = ParameterServer::new(context, &id, &clock, resolve)?;
        parameters.declare_use_sim_time(options.use_sim_time);
        let inner = NodeInner {
            parameters,
            clock,
            _clock_subscription: clock_subscription,
            full_name: names::join(&id.namespace, &id.name),
            created_as: options.name,
            remaps: options.remaps,
            registration,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn id(&self) -> &NodeId {
        &self.inner.registration.id
    }

    /// Base name, e.g. `perception`.
    pub fn name(&self) -> &str {
        &self.id().name
    }

    /// Namespace, e.g. `/` or `/cell`.
    pub fn namespace(&self) -> &str {
        &self.id().namespace
    }

    /// Namespace and base name, e.g. `/cell/perception`.
    pub fn fully_qualified_name(&self) -> String {
        self.inner.full_name.clone()
    }

    /// The context that the node lives in.
    pub fn context(&self) -> &Context {
        &self.inner.registration.context
    }

    /// The full name of a relative, private (`~/…`) or absolute name, remapped.
    pub fn resolve(&self, name: &str) -> Result<String, TransportError> {
        names::resolve(name, self.namespace(), self.name(), &self.inner.created_as, &self.inner.remaps)
    }

    /// Publishes `topic`.
    ///
    /// # Errors
    /// [`TransportError::LocalAndRemote`] when this process already receives the topic from outside, and
    /// whatever keeps the port from being made.
    pub fn publisher<M: Message>(&self, topic: &str, qos: Qos) -> Result<Publisher<M>, TransportError> {
        let inner = &self.context().inner;
        inner.topic::<M>(&self.resolve(topic)?)?.advertise(self.id(), qos, inner.link()?)
    }

    /// Subscribes `topic`. In process `callback` runs on the publisher's thread, otherwise on the carrier's:
    /// it must return fast (hand heavy work to a bounded queue). It may publish.
    pub fn subscribe<M: Message>(
        &self,
        topic: &str,
        qos: Qos,
        callback: impl Fn(Arc<M>) + Send + Sync + 'static,
    ) -> Result<Subscription, TransportError> {
        subscribe(self.context(), self.id(), self.resolve(topic)?, qos, Reach::OneSide, callback)
    }

    /// Subscribes a `topic` that several processes publish, this one perhaps among them: `/tf`, `/tf_static`. Unlike with
    /// [`Self::subscribe`], other processes are heard although this one publishes; each message is delivered once.
    ///
    /// Only over a carrier that tells who wrote a message: not over `r2r`, where a topic published here is heard from
    /// here alone.
    pub fn subscribe_shared<M: Message>(
        &self,
        topic: &str,
        qos: Qos,
        callback: impl Fn(Arc<M>) + Send + Sync + 'static,
    ) -> Result<Subscription, TransportError> {
        subscribe(self.context(), self.id(), self.resolve(topic)?, qos, Reach::Everywhere, callback)
    }

    /// Serves `name` to this process and others. `handler` runs on a thread of its own, a request after another.
    pub fn serve<S: Service>(
        &self,
        name: &str,
        handler: impl Fn(S::Request) -> S::Response + Send + Sync + 'static,
    ) -> Result<ServiceServer, TransportError> {
        let respond = move |request, responder: service::Responder<S>| responder.respond(handler(request));
        service::serve_deferred(self.context(), self.id(), self.resolve(name)?, respond)
    }

    /// A client of the service `name`, wherever its server is.
    pub fn client<S: Service>(&self, name: &str) -> Result<Client<S>, TransportError> {
        service::client(self.context(), self.id(), self.resolve(name)?)
    }

    /// Serves the action `name`. Goals are executed one after another on a thread of the server's own.
    pub fn action_server<A: Action>(&self, name: &str, server: impl ActionServer<A>) -> Result<ActionServerHandle, TransportError> {
        action::serve(self, &self.resolve(name)?, server)
    }

    /// A client of the action `name`, wherever its server is.
    pub fn action_client<A: Action>(&self, name: &str) -> Result<ActionClient<A>, TransportError> {
        action::client(self, &self.resolve(name)?)
    }

    /// ROS time as this node sees it.
    pub fn clock(&self) -> Clock {
        self.inner.clock.clone()
    }

    /// The node's parameters and their services.
    pub fn parameters(&self) -> &ParameterServer {
        &self.inner.parameters
    }

    /// Serves the full name `name`; the handler may answer later.
    pub(crate) fn serve_deferred<S: Service>(
        &self,
        name: String,
        handler: impl Fn(S::Request, service::Responder<S>) + Send + Sync + 'static,
    ) -> Result<ServiceServer, TransportError> {
        service::serve_deferred(self.context(), self.id(), name, handler)
    }
}

/// From where a subscription hears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// From this process where it publishes the topic, else from others.
    OneSide,
    /// From this process and from others.
    Everywhere,
}

fn subscribe<M: Message>(
    context: &Context,
    node: &NodeId,
    topic: String,
    qos: Qos,
    reach: Reach,
    callback: impl Fn(Arc<M>) + Send + Sync + 'static,
) -> Result<Subscription, TransportError> {
    let topic = context.inner.topic::<M>(&topic)?;
    if reach == Reach::Everywhere {
        topic.share();
    }
    let subscription = topic.subscribe(node, qos, Box::new(callback))?;
    context.inner.open_reader(topic)?;
    Ok(subscription)
}

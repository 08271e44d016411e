//! Glue between CDR bytes and r2r's typed wrappers, generic over the wrappers.
//!
//! r2r has raw bytes for topics of messages only. Services, and the topics and services of actions, need their
//! types at compile time: [`carry_service`] and [`carry_action`] register them by ROS name.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::task::LocalSpawnExt;
use r2r::{QosProfile, WrappedActionTypeSupport, WrappedServiceTypeSupport, WrappedTypesupport};

use super::spin::{Command, Host};
use super::{failed, profile};
use crate::carriers::{Endpoint, OnMatch, OnRequest, OnSample, RawClient, RawWriter, Reply, ServiceEndpoint, TopicEndpoint};
use crate::error::{CallError, TransportError};
use crate::sync::lock;

/// A service type that r2r can carry.
pub(crate) trait ServiceGlue: Send + Sync {
    fn server(&self, host: &mut Host, service: &ServiceEndpoint, on_request: OnRequest) -> Result<Endpoint, TransportError>;
    fn client(&self, host: &mut Host, service: &ServiceEndpoint) -> Result<Arc<dyn RawClient>, TransportError>;
}

/// A message type that r2r knows by its Rust type only.
pub(crate) trait MessageGlue: Send + Sync {
    fn writer(&self, host: &mut Host, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError>;
    fn reader(&self, host: &mut Host, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError>;
}

/// The types that are carried, by ROS name.
#[derive(Clone, Default)]
pub(crate) struct Glue {
    services: BTreeMap<String, Arc<dyn ServiceGlue>>,
    messages: BTreeMap<String, Arc<dyn MessageGlue>>,
}

static REGISTERED: Mutex<Option<Glue>> = Mutex::new(None);

impl Glue {
    /// What is registered now.
    pub(super) fn registered() -> Self {
        lock(&REGISTERED).get_or_insert_with(Self::with_standard_types).clone()
    }

    pub(super) fn service(&self, type_name: &str) -> Option<Arc<dyn ServiceGlue>> {
        self.services.get(type_name).cloned()
    }

    pub(super) fn message(&self, type_name: &str) -> Option<Arc<dyn MessageGlue>> {
        self.messages.get(type_name).cloned()
    }

    fn add_service<S: WrappedServiceTypeSupport + 'static>(&mut self, type_name: &str) {
        self.services.insert(type_name.to_owned(), Arc::new(Typed::<S>(PhantomData)));
    }

    fn add_action<A: WrappedActionTypeSupport + 'static>(&mut self, type_name: &str) {
        self.add_service::<A::SendGoal>(&format!("{type_name}_SendGoal"));
        self.add_service::<A::GetResult>(&format!("{type_name}_GetResult"));
        self.messages.insert(format!("{type_name}_FeedbackMessage"), Arc::new(Typed::<A::FeedbackMessage>(PhantomData)));
    }

    /// What every node and every action needs.
    fn with_standard_types() -> Self {
        use r2r::{action_msgs, rcl_interfaces::srv};
        let mut glue = Self::default();
        glue.add_service::<srv::DescribeParameters::Service>("rcl_interfaces/srv/DescribeParameters");
        glue.add_service::<srv::GetParameters::Service>("rcl_interfaces/srv/GetParameters");
        glue.add_service::<srv::GetParameterTypes::Service>("rcl_interfaces/srv/GetParameterTypes");
        glue.add_service::<srv::ListParameters::Service>("rcl_interfaces/srv/ListParameters");
        glue.add_service::<srv::SetParameters::Service>("rcl_interfaces/srv/SetParameters");
        glue.add_service::<srv::SetParametersAtomically::Service>("rcl_interfaces/srv/SetParametersAtomically");
        glue.add_service::<action_msgs::srv::CancelGoal::Service>("action_msgs/srv/CancelGoal");
        glue
    }
}

/// Lets contexts that are made from now on carry services of the ROS type `type_name` (`pkg/srv/Name`).
pub fn carry_service<S: WrappedServiceTypeSupport + 'static>(type_name: &str) {
    lock(&REGISTERED).get_or_insert_with(Glue::with_standard_types).add_service::<S>(type_name);
}

/// Lets contexts that are made from now on carry actions of the ROS type `type_name` (`pkg/action/Name`).
pub fn carry_action<A: WrappedActionTypeSupport + 'static>(type_name: &str) {
    lock(&REGISTERED).get_or_insert_with(Glue::with_standard_types).add_action::<A>(type_name);
}

/// The glue of one of r2r's types.
struct Typed<T>(PhantomData<fn() -> T>);

impl<S: WrappedServiceTypeSupport + 'static> ServiceGlue for Typed<S> {
    fn server(&self, host: &mut Host, service: &ServiceEndpoint, on_request: OnRequest) -> Result<Endpoint, TransportError> {
        let requests = host
            .node
            .create_service::<S>(&service.name, QosProfile::services_default())
            .map_err(|error| failed(format!("serve {}", service.name), &error))?;
        let name = service.name.clone();
        host.drain(requests, move |request: r2r::ServiceRequest<S>| {
            let cdr = match request.message.to_serialized_bytes() {
                Ok(cdr) => cdr,
                Err(error) => return tracing::warn!(service = %name, %error, "a request cannot be serialised"),
            };
            let name = name.clone();
            let reply: Reply = Box::new(move |cdr| {
                let sent = S::Response::from_serialized_bytes(&cdr).and_then(|response| request.respond(response));
                if let Err(error) = sent {
                    tracing::warn!(service = %name, %error, "a response could not be sent");
                }
            });
            on_request(&cdr, reply);
        })
    }

    fn client(&self, host: &mut Host, service: &ServiceEndpoint) -> Result<Arc<dyn RawClient>, TransportError> {
        let client = host
            .node
            .create_client::<S>(&service.name, QosProfile::services_default())
            .map_err(|error| failed(format!("make a client of {}", service.name), &error))?;
        let ready = Arc::new(AtomicBool::new(false));
        let available = r2r::Node::is_available(&client).map_err(|error| failed(format!("look for {}", service.name), &error))?;
        let found = Arc::clone(&ready);
        let wait = async move { found.store(available.await.is_ok(), Ordering::Release) };
        host.spawner.spawn_local(wait).map_err(|error| failed("start a task".to_owned(), &error))?;
        let commands = host.commands.clone();
        let client = Arc::new(client);
        let request = Box::new(move |cdr: Vec<u8>, answer: SyncSender<Answer>| {
            let client = Arc::clone(&client);
            let command = Box::new(move |host: &mut Host| request::<S>(host, &client, &cdr, answer));
            commands.send(command).map_err(|_| TransportError::ShutDown)
        });
        Ok(Arc::new(TypedClient { service: service.name.clone(), ready, request }))
    }
}

type Answer = Result<Vec<u8>, r2r::Error>;

/// Sends a request on the node's thread; its task hands over the answer.
fn request<S: WrappedServiceTypeSupport + 'static>(host: &mut Host, client: &r2r::Client<S>, cdr: &[u8], answer: SyncSender<Answer>) {
    let response = S::Request::from_serialized_bytes(cdr).and_then(|request| client.request(&request));
    let response = match response {
        Ok(response) => response,
        // The caller may have given up.
        Err(error) => return drop(answer.try_send(Err(error))),
    };
    let task = async move {
        let bytes = response.await.and_then(|response| response.to_serialized_bytes());
        drop(answer.try_send(bytes));
    };
    if let Err(error) = host.spawner.spawn_local(task) {
        tracing::warn!(%error, "the task of a request could not be started");
    }
}

/// A client whose type lies in its closure.
struct TypedClient {
    service: String,
    ready: Arc<AtomicBool>,
    request: Box<dyn Fn(Vec<u8>, SyncSender<Answer>) -> Result<(), TransportError> + Send + Sync>,
}

impl RawClient for TypedClient {
    /// r2r tells when a server comes, not when it goes; a call of one that went runs into its timeout.
    fn server_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn call(&self, request: Vec<u8>, deadline: Instant) -> Result<Vec<u8>, CallError> {
        let started = Instant::now();
        let (send, receive) = sync_channel(1);
        (self.request)(request, send)?;
        let service = self.service.clone();
        match receive.recv_timeout(deadline.saturating_duration_since(started)) {
            Ok(answer) => answer.map_err(|error| failed(format!("call {service}"), &error).into()),
            Err(RecvTimeoutError::Timeout) => {
                Err(CallError::Timeout { service, timeout_s: deadline.saturating_duration_since(started).as_secs_f64() })
            }
            Err(RecvTimeoutError::Disconnected) => Err(CallError::ServerGone { service }),
        }
    }
}

impl<M: WrappedTypesupport + 'static> MessageGlue for Typed<M> {
    fn writer(&self, host: &mut Host, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError> {
        let publisher = host
            .node
            .create_publisher::<M>(&topic.name, profile(&topic.qos))
            .map_err(|error| failed(format!("publish {}", topic.name), &error))?;
        let writer: Arc<dyn RawWriter> =
            Arc::new(TypedWriter { topic: topic.name.clone(), publisher: Mutex::new(publisher), commands: host.commands.clone() });
        host.watch(&writer, on_match);
        Ok(writer)
    }

    fn reader(&self, host: &mut Host, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError> {
        let messages = host
            .node
            .subscribe::<M>(&topic.name, profile(&topic.qos))
            .map_err(|error| failed(format!("subscribe {}", topic.name), &error))?;
        let name = topic.name.clone();
        host.drain(messages, move |message: M| match message.to_serialized_bytes() {
            Ok(cdr) => on_sample(&cdr),
            Err(error) => tracing::warn!(topic = %name, %error, "a message cannot be serialised"),
        })
    }
}

/// Publishes CDR through a typed publisher.
struct TypedWriter<M: WrappedTypesupport + 'static> {
    topic: String,
    publisher: Mutex<r2r::Publisher<M>>,
    commands: Sender<Command>,
}

impl<M: WrappedTypesupport + 'static> Drop for TypedWriter<M> {
    fn drop(&mut self) {
        let publisher = lock(&self.publisher).clone();
        let destroy: Command = Box::new(move |host| host.node.destroy_publisher(publisher));
        // After shutdown the node is gone, and its publishers with it.
        drop(self.commands.send(destroy));
    }
}

impl<M: WrappedTypesupport + 'static> RawWriter for TypedWriter<M> {
    fn matched_readers(&self) -> usize {
        lock(&self.publisher).get_inter_process_subscription_count().unwrap_or(0)
    }

    fn write(&self, cdr: Vec<u8>) -> Result<(), TransportError> {
        let sent = M::from_serialized_bytes(&cdr).and_then(|message| lock(&self.publisher).publish(&message));
        sent.map_err(|error| failed(format!("write to {}", self.topic), &error))
    }
}

/// The glue on interfaces that r2r's `doc-only` bindings carry: it need only compile.
#[cfg(feature = "r2r-doc-only")]
mod instances {
    use super::{carry_action, carry_service};

    /// Registers a service and an action that are neither ours nor needed by every node.
    pub fn carry_examples() {
        carry_service::<r2r::diagnostic_msgs::srv::SelfTest::Service>("diagnostic_msgs/srv/SelfTest");
        carry_action::<r2r::tf2_msgs::action::LookupTransform::Action>("tf2_msgs/action/LookupTransform");
    }
}

#[cfg(feature = "r2r-doc-only")]
pub use instances::carry_examples;

//! DDS through `ros2-client` and RustDDS: no ROS installation.
//!
//! `ros2-client` brings the participant's context and the ROS graph's types. Its own publishers, services and
//! parameter services are typed and send everything always; endpoints here are RustDDS's, over raw CDR, and
//! [`graph::Graph`] tells other participants which node owns which of them (`ros_discovery_info`).

mod endpoints;
mod graph;
mod raw;
mod service;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ros2_client::builtin_topics::ros_discovery;
use rustdds::{
    DomainParticipant, DomainParticipantBuilder, Publisher, QosPolicies, QosPolicyBuilder, RTPSEntity, Subscriber, Topic, TopicKind,
};
use tokio::runtime::{Builder, Runtime};

use self::endpoints::{DdsReader, DdsWriter, create_failed, policies};
use self::graph::Graph;
use self::service::{DdsClient, DdsServer, Pending};
use super::{Endpoint, Link, NodeId, OnMatch, OnRequest, OnSample, RawClient, RawWriter, ServiceEndpoint, TopicEndpoint};
use crate::context::{ContextOptions, DiscoveryRange};
use crate::error::TransportError;
use crate::qos::Qos;
use crate::sync::lock;

const CARRIER: &str = "dds";
/// How long shutdown waits for what was written reliably, and then for its threads.
const SHUTDOWN: Duration = Duration::from_millis(500);

fn failed(action: String, reason: &dyn std::fmt::Debug) -> TransportError {
    TransportError::Carrier { carrier: CARRIER, action, reason: format!("{reason:?}") }
}

/// The participant of this process.
pub(crate) struct DdsLink {
    live: Mutex<Option<Live>>,
}

struct Live {
    // Fields drop in order: threads first, then endpoints, the participant last.
    runtime: Runtime,
    graph: Arc<Graph>,
    publisher: Publisher,
    subscriber: Subscriber,
    context: ros2_client::Context,
}

impl DdsLink {
    pub(crate) fn open(options: &ContextOptions) -> Result<Self, TransportError> {
        let mut builder = DomainParticipantBuilder::new(options.domain_id);
        if options.discovery == DiscoveryRange::Localhost {
            builder = builder.with_only_networks([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        let domain = options.domain_id;
        let participant = builder.build().map_err(create_failed(&format!("a participant in domain {domain}")))?;
        let live = Live::new(participant)?;
        Ok(Self { live: Mutex::new(Some(live)) })
    }

    fn with<T>(&self, make: impl FnOnce(&Live) -> Result<T, TransportError>) -> Result<T, TransportError> {
        lock(&self.live).as_ref().map_or(Err(TransportError::ShutDown), make)
    }
}

impl Live {
    fn new(participant: DomainParticipant) -> Result<Self, TransportError> {
        let none = QosPolicyBuilder::new().build();
        let publisher = participant.create_publisher(&none).map_err(create_failed("a publisher"))?;
        let subscriber = participant.create_subscriber(&none).map_err(create_failed("a subscriber"))?;
        let guid = participant.guid();
        let context = ros2_client::Context::from_domain_participant(participant.clone())
            .map_err(|error| failed("open the ROS context".to_owned(), &error))?;
        let (name, type_name) = (ros_discovery::TOPIC_NAME.to_owned(), ros_discovery::TYPE_NAME.to_owned());
        let writer = participant
            .create_topic(name, type_name, &ros_discovery::QOS_PUB, TopicKind::NoKey)
            .and_then(|topic| publisher.create_datawriter_no_key(&topic, None))
            .map_err(create_failed("ros_discovery_info"))?;
        let graph = Arc::new(Graph::new(guid, writer));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dds")
            .enable_time()
            .build()
            .map_err(|source| TransportError::Thread { name: "dds".to_owned(), source })?;
        runtime.spawn(Arc::clone(&graph).announce());
        runtime.spawn(Arc::clone(&graph).follow(participant));
        Ok(Self { runtime, graph, publisher, subscriber, context })
    }

    fn topic(&self, name: String, type_name: String, qos: &QosPolicies) -> Result<Topic, TransportError> {
        let what = format!("topic {name}");
        self.context.domain_participant().create_topic(name, type_name, qos, TopicKind::NoKey).map_err(create_failed(&what))
    }

    fn writer(&self, node: &NodeId, name: String, type_name: String, qos: &Qos) -> Result<DdsWriter, TransportError> {
        let topic = self.topic(name.clone(), type_name, &policies(qos))?;
        let writer =
            self.publisher.create_datawriter_no_key(&topic, Some(policies(qos))).map_err(create_failed(&format!("a writer of {name}")))?;
        Ok(DdsWriter::new(name, writer, qos, &self.graph, node))
    }

    fn reader(
        &self,
        node: &NodeId,
        name: String,
        type_name: String,
        qos: &Qos,
        on_sample: impl Fn(endpoints::Sample) + Send + 'static,
    ) -> Result<DdsReader, TransportError> {
        let topic = self.topic(name.clone(), type_name, &policies(qos))?;
        let reader = self
            .subscriber
            .create_simple_datareader_no_key(&topic, Some(policies(qos)))
            .map_err(create_failed(&format!("a reader of {name}")))?;
        Ok(DdsReader::spawn(self.runtime.handle(), reader, &self.graph, node, on_sample))
    }
}

impl Link for DdsLink {
    fn add_node(&self, node: &NodeId) -> Result<(), TransportError> {
        self.with(|live| {
            live.graph.add_node(node);
            Ok(())
        })
    }

    fn remove_node(&self, node: &NodeId) {
        if let Some(live) = lock(&self.live).as_ref() {
            live.graph.remove_node(node);
        }
    }

    fn writer(&self, node: &NodeId, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError> {
        self.with(|live| {
            let writer = Arc::new(live.writer(node, topic_name(&topic.name), message_type(topic.type_name), &topic.qos)?);
            writer.matches().on_match(on_match);
            live.graph.track(&writer);
            Ok(writer as Arc<dyn RawWriter>)
        })
    }

    fn reader(&self, node: &NodeId, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError> {
        self.with(|live| {
            let own = live.graph.participant().prefix;
            let hear = move |sample: endpoints::Sample| {
                // RustDDS serves readers of its own participant too; what this process says to itself it has heard.
                if sample.identity.is_none_or(|id| id.writer_guid.prefix != own) {
                    on_sample(sample.cdr.as_slice());
                }
            };
            let reader = live.reader(node, topic_name(&topic.name), message_type(topic.type_name), &topic.qos, hear)?;
            Ok(Box::new(reader) as Endpoint)
        })
    }

    fn leaves_own_out(&self) -> bool {
        true
    }

    fn server(&self, node: &NodeId, service: &ServiceEndpoint, on_request: OnRequest) -> Result<Endpoint, TransportError> {
        self.with(|live| {
            let names = ServiceNames::of(service);
            let responses = Arc::new(live.writer(node, names.responses, names.response_type, &Qos::service())?);
            live.graph.track(&responses);
            let hear = service::on_request(&responses, on_request);
            let requests = live.reader(node, names.requests, names.request_type, &Qos::service(), hear)?;
            Ok(Box::new(DdsServer::new(requests, responses)) as Endpoint)
        })
    }

    fn client(&self, node: &NodeId, service: &ServiceEndpoint) -> Result<Arc<dyn RawClient>, TransportError> {
        self.with(|live| {
            let names = ServiceNames::of(service);
            let requests = live.writer(node, names.requests, names.request_type, &Qos::service())?;
            let pending = Arc::new(Pending::default());
            let (waiting, own_writer) = (Arc::clone(&pending), requests.guid());
            let hear = move |sample| waiting.hear(own_writer, sample);
            let responses = live.reader(node, names.responses, names.response_type, &Qos::service(), hear)?;
            Ok(Arc::new(DdsClient { service: service.name.clone(), requests, responses, pending }) as Arc<dyn RawClient>)
        })
    }

    fn shutdown(&self) {
        let Some(live) = lock(&self.live).take() else { return };
        live.graph.flush(Instant::now() + SHUTDOWN);
        live.graph.forget_matches();
        let Live { runtime, graph, publisher, subscriber, context } = live;
        if tokio::runtime::Handle::try_current().is_ok() {
            // A callback shuts us down: its own thread cannot be waited for.
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(SHUTDOWN);
        }
        drop((graph, publisher, subscriber, context));
    }
}

/// `/a/b` → `rt/a/b`.
fn topic_name(name: &str) -> String {
    format!("rt{name}")
}

/// `pkg/msg/Type` → `pkg::msg::dds_::Type_`.
fn message_type(type_name: &str) -> String {
    match type_name.rsplit_once('/') {
        Some((package, name)) => format!("{}::dds_::{name}_", package.replace('/', "::")),
        None => format!("{type_name}_"),
    }
}

/// The two topics of a service.
struct ServiceNames {
    requests: String,
    request_type: String,
    responses: String,
    response_type: String,
}

impl ServiceNames {
    fn of(service: &ServiceEndpoint) -> Self {
        Self {
            requests: format!("rq{}Request", service.name),
            request_type: message_type(&format!("{}_Request", service.type_name)),
            responses: format!("rr{}Reply", service.name),
            response_type: message_type(&format!("{}_Response", service.type_name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_ros_over_dds() {
        assert_eq!(topic_name("/camera/color/image_raw"), "rt/camera/color/image_raw");
        assert_eq!(message_type("sensor_msgs/msg/Image"), "sensor_msgs::msg::dds_::Image_");
        let names = ServiceNames::of(&ServiceEndpoint {
            name: "/divert_item/_action/send_goal".to_owned(),
            type_name: "intact_msgs/action/DivertItem_SendGoal",
        });
        assert_eq!(names.requests, "rq/divert_item/_action/send_goalRequest");
        assert_eq!(names.request_type, "intact_msgs::action::dds_::DivertItem_SendGoal_Request_");
        assert_eq!(names.responses, "rr/divert_item/_action/send_goalReply");
        assert_eq!(names.response_type, "intact_msgs::action::dds_::DivertItem_SendGoal_Response_");
    }
}

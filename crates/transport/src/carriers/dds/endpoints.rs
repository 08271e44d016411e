//! Topics: one writer a publisher, one reader a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use rustdds::no_key::DeserializedCacheChange;
use rustdds::policy::{Durability as DdsDurability, History, ResourceLimits};
use rustdds::{GUID, QosPolicies, QosPolicyBuilder, RTPSEntity, Timestamp, WriteOptions, WriteOptionsBuilder};
use tokio::task::AbortHandle;

use super::graph::{Graph, Kind, Matches};
use super::raw::{RawCdr, RawReader, RawWriter as RawDataWriter};
use super::{CARRIER, failed};
use crate::carriers::{NodeId, RawWriter};
use crate::error::TransportError;
use crate::qos::{Durability, Qos, Reliability};

/// How long a reliable write may wait for a slow reader before it fails: a reader elsewhere must not slow the
/// line.
const MAX_BLOCKING: Duration = Duration::from_millis(50);
/// How long the end of a reliable writer waits for what it wrote to arrive.
const FLUSH: Duration = Duration::from_millis(300);

/// QoS as RustDDS has it.
///
/// A reliable writer of RustDDS keeps every sample that is not acknowledged, whatever the history's depth; the
/// resource limit is what bounds its memory.
pub(super) fn policies(qos: &Qos) -> QosPolicies {
    let depth = i32::try_from(qos.depth.max(1)).unwrap_or(i32::MAX);
    let unacknowledged = depth.saturating_mul(4).max(64);
    let builder = QosPolicyBuilder::new()
        .durability(match qos.durability {
            Durability::Volatile => DdsDurability::Volatile,
            Durability::TransientLocal => DdsDurability::TransientLocal,
        })
        .history(History::KeepLast { depth })
        .resource_limits(ResourceLimits { max_samples: unacknowledged, max_instances: 1, max_samples_per_instance: unacknowledged });
    match qos.reliability {
        Reliability::Reliable => builder.reliable(rustdds::Duration::from_std(MAX_BLOCKING)),
        Reliability::BestEffort => builder.best_effort(),
    }
    .build()
}

/// A writer in the graph.
pub(super) struct DdsWriter {
    topic: String,
    writer: RawDataWriter,
    reliable: bool,
    matches: Arc<Matches>,
    graph: Arc<Graph>,
    node: NodeId,
}

impl DdsWriter {
    pub(super) fn new(topic: String, writer: RawDataWriter, qos: &Qos, graph: &Arc<Graph>, node: &NodeId) -> Self {
        let matches = graph.add_endpoint(node, Kind::Writer, writer.guid());
        let reliable = qos.reliability == Reliability::Reliable;
        Self { topic, writer, reliable, matches, graph: Arc::clone(graph), node: node.clone() }
    }

    pub(super) fn matches(&self) -> &Arc<Matches> {
        &self.matches
    }

    pub(super) fn guid(&self) -> GUID {
        self.writer.guid()
    }

    /// Writes, and tells the sample's id.
    pub(super) fn write_with(&self, cdr: Vec<u8>, options: WriteOptions) -> Result<rustdds::SampleIdentity, TransportError> {
        self.writer.write_with_options(RawCdr::new(cdr), options).map_err(|error| TransportError::Carrier {
            carrier: CARRIER,
            action: format!("write to {}", self.topic),
            reason: match error {
                rustdds::dds::WriteError::WouldBlock { .. } => {
                    format!("a reliable reader did not keep up within {} ms; the message is dropped", MAX_BLOCKING.as_millis())
                }
                error => format!("{:?}", error.forget_data()),
            },
        })
    }

    /// Waits until what was written reliably has arrived, at most until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        if self.reliable && self.matches.count() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(self.writer.wait_for_acknowledgments(left), Ok(true)) {
                tracing::debug!(topic = %self.topic, "not everything that was written has been acknowledged");
            }
        }
    }
}

impl RawWriter for DdsWriter {
    fn matched_readers(&self) -> usize {
        self.matches.count()
    }

    fn write(&self, cdr: Vec<u8>) -> Result<(), TransportError> {
        self.write_with(cdr, WriteOptionsBuilder::new().source_timestamp(Timestamp::now()).build()).map(drop)
    }
}

impl Drop for DdsWriter {
    fn drop(&mut self) {
        self.flush(Instant::now() + FLUSH);
        self.graph.remove_endpoint(&self.node, self.writer.guid());
    }
}

/// A reader in the graph, with the task that drains it.
pub(super) struct DdsReader {
    task: AbortHandle,
    guid: GUID,
    matches: Arc<Matches>,
    graph: Arc<Graph>,
    node: NodeId,
}

impl DdsReader {
    /// Hands every sample to `on_sample` on the runtime's threads; what cannot even be read is handed over as
    /// no bytes at all, so that it is counted as malformed.
    pub(super) fn spawn(
        runtime: &tokio::runtime::Handle,
        reader: RawReader,
        graph: &Arc<Graph>,
        node: &NodeId,
        on_sample: impl Fn(Sample) + Send + 'static,
    ) -> Self {
        let guid = reader.guid();
        let matches = graph.add_endpoint(node, Kind::Reader, guid);
        let task = runtime.spawn(async move {
            let stream = reader.as_async_stream();
            futures::pin_mut!(stream);
            while let Some(sample) = stream.next().await {
                match sample {
                    Ok(sample) => on_sample(Sample::new(sample)),
                    Err(error) => {
                        tracing::debug!(%error, "a sample could not be read");
                        on_sample(Sample::unreadable());
                    }
                }
            }
        });
        Self { task: task.abort_handle(), guid, matches, graph: Arc::clone(graph), node: node.clone() }
    }

    pub(super) fn matches(&self) -> &Arc<Matches> {
        &self.matches
    }
}

impl Drop for DdsReader {
    fn drop(&mut self) {
        self.task.abort();
        self.graph.remove_endpoint(&self.node, self.guid);
    }
}

/// One sample and where it came from.
pub(super) struct Sample {
    pub(super) cdr: RawCdr,
    /// The sample's own id; `None` when it could not be read.
    pub(super) identity: Option<rustdds::SampleIdentity>,
    /// The sample that this one answers.
    pub(super) related: Option<rustdds::SampleIdentity>,
}

impl Sample {
    fn new(change: DeserializedCacheChange<RawCdr>) -> Self {
        let identity = rustdds::SampleIdentity { writer_guid: change.writer_guid(), sequence_number: change.sequence_number };
        let related = change.related_sample_identity();
        Self { cdr: change.into_value(), identity: Some(identity), related }
    }

    fn unreadable() -> Self {
        Self { cdr: RawCdr::new(Vec::new()), identity: None, related: None }
    }
}

/// Shorthand for what RustDDS says when an endpoint cannot be made.
pub(super) fn create_failed(what: &str) -> impl FnOnce(rustdds::dds::CreateError) -> TransportError + '_ {
    move |error| failed(format!("create {what}"), &error)
}

//! Who is matched with whom, and which node owns which endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use futures::StreamExt;
use ros2_client::entities_info::{NodeEntitiesInfo, ParticipantEntitiesInfo};
use ros2_client::{Gid, NodeName};
use rustdds::no_key::DataWriterCdr;
use rustdds::{DomainParticipant, DomainParticipantStatusEvent, GUID, StatusEvented};
use tokio::sync::Notify;

use super::endpoints::DdsWriter;
use crate::carriers::{NodeId, OnMatch};
use crate::sync::lock;

/// Changes of the graph within this time are told together: a node makes dozens of endpoints at once.
const GATHER: Duration = Duration::from_millis(50);

/// What all endpoints of a participant share.
pub(super) struct Graph {
    participant: GUID,
    /// `ros_discovery_info`: which node owns which endpoint.
    writer: DataWriterCdr<ParticipantEntitiesInfo>,
    nodes: Mutex<BTreeMap<NodeId, Owned>>,
    changed: Notify,
    matches: Mutex<BTreeMap<GUID, Arc<Matches>>>,
    writers: Mutex<Vec<Weak<DdsWriter>>>,
}

#[derive(Default)]
struct Owned {
    readers: BTreeSet<GUID>,
    writers: BTreeSet<GUID>,
}

/// Whether an endpoint reads or writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reader,
    Writer,
}

/// The endpoints of other participants that one of ours is matched with.
#[derive(Default)]
pub(super) struct Matches {
    remote: Mutex<BTreeSet<GUID>>,
    on_match: OnceLock<OnMatch>,
}

impl Matches {
    pub(super) fn count(&self) -> usize {
        lock(&self.remote).len()
    }

    pub(super) fn on_match(&self, callback: OnMatch) {
        // Set once, when the endpoint is made.
        let _ = self.on_match.set(callback);
    }

    /// Whether one of them lies in the participant of `guid`.
    pub(super) fn reaches_participant_of(&self, guid: GUID) -> bool {
        lock(&self.remote).iter().any(|other| other.prefix == guid.prefix)
    }
}

impl Graph {
    pub(super) fn new(participant: GUID, writer: DataWriterCdr<ParticipantEntitiesInfo>) -> Self {
        Self { participant, writer, nodes: Mutex::default(), changed: Notify::new(), matches: Mutex::default(), writers: Mutex::default() }
    }

    /// The participant's own id; its prefix is that of all endpoints of this process.
    pub(super) fn participant(&self) -> GUID {
        self.participant
    }

    pub(super) fn add_node(&self, node: &NodeId) {
        lock(&self.nodes).entry(node.clone()).or_default();
        self.changed.notify_one();
    }

    pub(super) fn remove_node(&self, node: &NodeId) {
        lock(&self.nodes).remove(node);
        self.changed.notify_one();
    }

    /// An endpoint exists; its matches may have been told of before.
    pub(super) fn add_endpoint(&self, node: &NodeId, kind: Kind, guid: GUID) -> Arc<Matches> {
        if let Some(owned) = lock(&self.nodes).get_mut(node) {
            let guids = if kind == Kind::Reader { &mut owned.readers } else { &mut owned.writers };
            guids.insert(guid);
        }
        self.changed.notify_one();
        self.matches_of(guid)
    }

    pub(super) fn remove_endpoint(&self, node: &NodeId, guid: GUID) {
        if let Some(owned) = lock(&self.nodes).get_mut(node) {
            owned.readers.remove(&guid);
            owned.writers.remove(&guid);
        }
        lock(&self.matches).remove(&guid);
        self.changed.notify_one();
    }

    /// Forgets all matches: nothing leaves the process any more.
    pub(super) fn forget_matches(&self) {
        lock(&self.matches).values().for_each(|matches| lock(&matches.remote).clear());
    }

    /// Waits until other participants have what was written reliably, at most until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        let writers: Vec<_> = lock(&self.writers).iter().filter_map(Weak::upgrade).collect();
        writers.iter().for_each(|writer| writer.flush(deadline));
    }

    /// Remembers a writer for [`Self::flush`].
    pub(super) fn track(&self, writer: &Arc<DdsWriter>) {
        let mut writers = lock(&self.writers);
        writers.retain(|writer| writer.strong_count() > 0);
        writers.push(Arc::downgrade(writer));
    }

    fn matches_of(&self, guid: GUID) -> Arc<Matches> {
        Arc::clone(lock(&self.matches).entry(guid).or_default())
    }

    /// Tells other participants which nodes own what, whenever it changed; never ends.
    pub(super) async fn announce(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(error) = self.writer.write(self.entities(), Some(rustdds::Timestamp::now())) {
                tracing::warn!(?error, "ros_discovery_info could not be sent");
            }
        }
    }

    fn entities(&self) -> ParticipantEntitiesInfo {
        let nodes = lock(&self.nodes);
        let nodes = nodes.iter().filter_map(|(id, owned)| {
            // Names were checked when the node was made.
            let mut info = NodeEntitiesInfo::new(NodeName::new(&id.namespace, &id.name).ok()?);
            owned.readers.iter().for_each(|guid| info.add_reader(Gid::from(*guid)));
            owned.writers.iter().for_each(|guid| info.add_writer(Gid::from(*guid)));
            Some(info)
        });
        ParticipantEntitiesInfo::new(Gid::from(self.participant), nodes.collect())
    }

    /// Follows what discovery tells; ends with the participant.
    pub(super) async fn follow(self: Arc<Self>, participant: DomainParticipant) {
        let listener = participant.status_listener();
        drop(participant);
        let mut events = listener.as_async_status_stream();
        while let Some(event) = events.next().await {
            self.note(event);
        }
    }

    fn note(&self, event: DomainParticipantStatusEvent) {
        use DomainParticipantStatusEvent as Event;
        match event {
            Event::RemoteReaderMatched { local_writer, remote_reader } => self.matched(local_writer, remote_reader),
            Event::RemoteWriterMatched { local_reader, remote_writer } => self.matched(local_reader, remote_writer),
            Event::ReaderLost { guid, .. } | Event::WriterLost { guid, .. } => self.lost(|other| other == guid),
            Event::ParticipantLost { id, .. } => self.lost(|other| other.prefix == id),
            Event::RemoteReaderQosIncompatible { remote_reader, requested_qos, offered_qos, .. } => {
                tracing::warn!(?remote_reader, ?requested_qos, ?offered_qos, "a reader elsewhere asks for more than we offer");
            }
            Event::RemoteWriterQosIncompatible { remote_writer, requested_qos, offered_qos, .. } => {
                tracing::warn!(?remote_writer, ?requested_qos, ?offered_qos, "a writer elsewhere offers less than we ask for");
            }
            _ => {}
        }
    }

    fn matched(&self, local: GUID, remote: GUID) {
        // RustDDS serves the participant's own readers too; those are no reason to serialise.
        if remote.prefix == self.participant.prefix {
            return;
        }
        let matches = self.matches_of(local);
        lock(&matches.remote).insert(remote);
        if let Some(on_match) = matches.on_match.get() {
            on_match();
        }
    }

    fn lost(&self, gone: impl Fn(GUID) -> bool) {
        for matches in lock(&self.matches).values() {
            lock(&matches.remote).retain(|remote| !gone(*remote));
        }
    }
}

//! The sending side of a topic, within the process and beyond.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ros_interfaces::Message;

use super::Topic;
use crate::carriers::{Link, NodeId, RawWriter, TopicEndpoint};
use crate::counters::Tally;
use crate::error::TransportError;
use crate::qos::{Durability, Qos};
use crate::sync::lock;

/// Publishes messages of one type on one topic. Clones share the publisher; the last one unadvertises it.
pub struct Publisher<M: Message> {
    shared: Arc<PublisherShared<M>>,
}

impl<M: Message> Clone for Publisher<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Message> Publisher<M> {
    /// A publisher that the topic knows already by its latch.
    pub(super) fn new(
        topic: &Arc<Topic<M>>,
        latch: Arc<Latch<M>>,
        node: &NodeId,
        link: Option<&Arc<dyn Link>>,
    ) -> Result<Self, TransportError> {
        let shared = PublisherShared { topic: Arc::clone(topic), latch, writer: Arc::default() };
        if let Some(link) = link {
            shared.open_writer(node, link.as_ref())?;
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Publishes a message: callbacks of this process get the same `Arc` on this thread, readers of other
    /// participants get CDR.
    ///
    /// # Errors
    /// [`TransportError::Encode`] or [`TransportError::Carrier`] when it cannot leave the process; it was
    /// delivered within the process all the same.
    pub fn publish(&self, message: impl Into<Arc<M>>) -> Result<(), TransportError> {
        self.shared.publish(&message.into())
    }

    /// Fully qualified name of the topic.
    pub fn topic(&self) -> &str {
        &self.shared.topic.name
    }

    /// Subscriptions of this process.
    pub fn local_subscribers(&self) -> usize {
        lock(&self.shared.topic.state).subscribers.len()
    }

    /// Readers of other participants that are matched now.
    pub fn remote_readers(&self) -> usize {
        lock(&self.shared.writer).as_ref().map_or(0, |writer| writer.matched_readers())
    }

    /// Whether anybody at all would get a message: costly ones need not be made otherwise.
    pub fn has_subscribers(&self) -> bool {
        self.local_subscribers() > 0 || self.remote_readers() > 0
    }
}

struct PublisherShared<M: Message> {
    topic: Arc<Topic<M>>,
    latch: Arc<Latch<M>>,
    /// Behind a lock of its own, because the writer tells of a match before we hold the writer.
    writer: Arc<Mutex<Option<Arc<dyn RawWriter>>>>,
}

impl<M: Message> PublisherShared<M> {
    fn open_writer(&self, node: &NodeId, link: &dyn Link) -> Result<(), TransportError> {
        let endpoint = TopicEndpoint { name: self.topic.name.clone(), type_name: M::TYPE_NAME, qos: self.latch.qos };
        let (topic, latch, slot) = (Arc::downgrade(&self.topic), Arc::downgrade(&self.latch), Arc::downgrade(&self.writer));
        let on_match = Arc::new(move || {
            if let (Some(topic), Some(latch), Some(slot)) = (topic.upgrade(), latch.upgrade(), slot.upgrade()) {
                flush_unsent(&topic, &latch, &slot);
            }
        });
        let writer = link.writer(node, &endpoint, on_match)?;
        *lock(&self.writer) = Some(writer);
        // A reader may have matched before the writer stood in its slot.
        flush_unsent(&self.topic, &self.latch, &self.writer);
        Ok(())
    }

    fn publish(&self, message: &Arc<M>) -> Result<(), TransportError> {
        let topic = &self.topic;
        Tally::add(&topic.tally.published, 1);
        if self.latch.is_latched() {
            // Under the topic's lock, so that a subscription which is being added gets it exactly once.
            let subscribers = {
                let state = lock(&topic.state);
                Latch::push(&mut lock(&self.latch.kept), self.latch.qos.depth, message);
                Arc::clone(&state.subscribers)
            };
            let delivered = subscribers.iter().map(|subscriber| u64::from(subscriber.deliver(message))).sum();
            Tally::add(&topic.tally.delivered_in_process, delivered);
        } else {
            Tally::add(&topic.tally.delivered_in_process, topic.deliver(message));
        }
        self.send(message)
    }

    fn send(&self, message: &Arc<M>) -> Result<(), TransportError> {
        let Some(writer) = lock(&self.writer).clone() else { return Ok(()) };
        if !self.latch.is_latched() {
            return if writer.matched_readers() == 0 { Ok(()) } else { encode_and_write(&self.topic, writer.as_ref(), message) };
        }
        let mut unsent = lock(&self.latch.unsent);
        if writer.matched_readers() == 0 {
            Latch::push(&mut unsent, self.latch.qos.depth, message);
            return Ok(());
        }
        // Under the lock, so that an older unsent message cannot overtake this one.
        while let Some(older) = unsent.pop_front() {
            encode_and_write(&self.topic, writer.as_ref(), &older)?;
        }
        encode_and_write(&self.topic, writer.as_ref(), message)
    }
}

/// Sends what a latched publisher kept for its first reader beyond the process.
fn flush_unsent<M: Message>(topic: &Topic<M>, latch: &Latch<M>, writer: &Mutex<Option<Arc<dyn RawWriter>>>) {
    let Some(writer) = lock(writer).clone() else { return };
    let mut unsent = lock(&latch.unsent);
    if writer.matched_readers() == 0 {
        return;
    }
    while let Some(message) = unsent.pop_front() {
        if let Err(error) = encode_and_write(topic, writer.as_ref(), &message) {
            tracing::warn!(topic = %topic.name, %error, "a latched message could not be sent");
        }
    }
}

fn encode_and_write<M: Message>(topic: &Topic<M>, writer: &dyn RawWriter, message: &M) -> Result<(), TransportError> {
    let cdr = message.to_cdr().map_err(|source| TransportError::Encode { topic: topic.name.clone(), source })?;
    Tally::add(&topic.tally.serialised, 1);
    Tally::add(&topic.tally.sent_bytes, cdr.len() as u64);
    writer.write(cdr)
}

impl<M: Message> Drop for PublisherShared<M> {
    fn drop(&mut self) {
        lock(&self.topic.state).publishers.retain(|other| !Arc::ptr_eq(other, &self.latch));
    }
}

/// What one publisher keeps.
pub(super) struct Latch<M> {
    pub(super) qos: Qos,
    /// For late subscribers of this process (transient local only).
    kept: Mutex<VecDeque<Arc<M>>>,
    /// For the first reader beyond the process (transient local only): nobody has it yet, so it is not CDR yet.
    unsent: Mutex<VecDeque<Arc<M>>>,
}

impl<M> Latch<M> {
    pub(super) fn new(qos: Qos) -> Self {
        Self { qos, kept: Mutex::default(), unsent: Mutex::default() }
    }

    /// What a late subscriber gets.
    pub(super) fn kept(&self) -> VecDeque<Arc<M>> {
        lock(&self.kept).clone()
    }

    fn is_latched(&self) -> bool {
        self.qos.durability == Durability::TransientLocal
    }

    fn push(queue: &mut VecDeque<Arc<M>>, depth: usize, message: &Arc<M>) {
        while queue.len() >= depth.max(1) {
            queue.pop_front();
        }
        queue.push_back(Arc::clone(message));
    }
}

//! Topics: publishers and subscriptions.
//!
//! Within the process a message is an `Arc` from `publish` to callback. Beyond it every publisher has one
//! writer, which gets CDR bytes only while another participant reads.

mod publisher;
mod subscriber;

use std::sync::{Arc, Mutex};

use ros_interfaces::Message;

use self::publisher::Latch;
use self::subscriber::Subscriber;
use crate::carriers::{Endpoint, Link, NodeId, TopicEndpoint};
use crate::counters::{Tally, TopicCounters};
use crate::error::TransportError;
use crate::qos::{Durability, Qos, Reliability};
use crate::sync::lock;

pub use self::publisher::Publisher;
pub use self::subscriber::Subscription;

/// One topic of this process, typed.
pub(crate) struct Topic<M> {
    name: String,
    tally: Arc<Tally>,
    state: Mutex<State<M>>,
}

struct State<M> {
    subscribers: Arc<Vec<Arc<Subscriber<M>>>>,
    publishers: Vec<Arc<Latch<M>>>,
    /// The reader of other participants' messages, if there is one.
    reader: Option<Endpoint>,
    /// Other processes are heard although this one publishes too.
    is_shared: bool,
}

/// What the context needs of a topic whatever its type.
pub(crate) trait AnyTopic: Send + Sync {
    fn counters(&self) -> TopicCounters;
    fn type_name(&self) -> &'static str;
    /// Makes the reader of other participants' messages if this process subscribes and does not publish, or the topic is
    /// shared.
    fn open_reader(self: Arc<Self>, link: &dyn Link) -> Result<(), TransportError>;
    /// Drops the reader: the context shuts down.
    fn close_reader(&self);
}

impl<M: Message> Topic<M> {
    pub(crate) fn new(name: String) -> Self {
        let state = State { subscribers: Arc::default(), publishers: Vec::new(), reader: None, is_shared: false };
        Self { name, tally: Arc::default(), state: Mutex::new(state) }
    }

    /// Adds a publisher; `link` is where it publishes beyond the process.
    pub(crate) fn advertise(
        self: &Arc<Self>,
        node: &NodeId,
        qos: Qos,
        link: Option<&Arc<dyn Link>>,
    ) -> Result<Publisher<M>, TransportError> {
        let latch = Arc::new(Latch::new(qos));
        {
            let mut state = lock(&self.state);
            if state.reader.is_some() && !state.is_shared {
                return Err(TransportError::LocalAndRemote { topic: self.name.clone() });
            }
            for subscriber in state.subscribers.iter() {
                self.check_qos(&subscriber.qos, &qos)?;
            }
            state.publishers.push(Arc::clone(&latch));
        }
        Publisher::new(self, latch, node, link)
    }

    /// Adds a subscription and hands it what transient-local publishers have kept.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        node: &NodeId,
        qos: Qos,
        callback: Box<dyn Fn(Arc<M>) + Send + Sync>,
    ) -> Result<Subscription, TransportError> {
        let subscriber = Arc::new(Subscriber::new(node.clone(), qos, callback));
        {
            let mut state = lock(&self.state);
            for publisher in &state.publishers {
                self.check_qos(&qos, &publisher.qos)?;
            }
            if qos.durability == Durability::TransientLocal {
                state.publishers.iter().for_each(|publisher| subscriber.queue(publisher.kept()));
            }
            Arc::make_mut(&mut state.subscribers).push(Arc::clone(&subscriber));
        }
        let delivered = subscriber.drain_backlog();
        Tally::add(&self.tally.delivered_in_process, delivered);
        let topic = Arc::clone(self);
        Ok(Subscription::new(move || topic.unsubscribe(&subscriber)))
    }

    /// From now on this topic has publishers in several processes, this one among them.
    pub(crate) fn share(&self) {
        lock(&self.state).is_shared = true;
    }

    fn unsubscribe(&self, subscriber: &Arc<Subscriber<M>>) {
        subscriber.end();
        let reader = {
            let mut state = lock(&self.state);
            Arc::make_mut(&mut state.subscribers).retain(|other| !Arc::ptr_eq(other, subscriber));
            if state.subscribers.is_empty() { state.reader.take() } else { None }
        };
        // Outside the lock: dropping an endpoint may wait for a callback that publishes.
        drop(reader);
    }

    fn deliver(&self, message: &Arc<M>) -> u64 {
        let subscribers = Arc::clone(&lock(&self.state).subscribers);
        subscribers.iter().map(|subscriber| u64::from(subscriber.deliver(message))).sum()
    }

    fn receive(&self, cdr: &[u8]) {
        Tally::add(&self.tally.received, 1);
        match M::from_cdr(cdr) {
            Ok(message) => {
                self.deliver(&Arc::new(message));
            }
            Err(error) => {
                Tally::add(&self.tally.decode_errors, 1);
                tracing::warn!(topic = %self.name, r#type = M::TYPE_NAME, %error, "a message from outside is not valid and was dropped");
            }
        }
    }

    fn check_qos(&self, asked: &Qos, offered: &Qos) -> Result<(), TransportError> {
        match asked.unmet_by(offered) {
            Some(reason) => Err(TransportError::IncompatibleQos { topic: self.name.clone(), reason }),
            None => Ok(()),
        }
    }
}

impl<M: Message> AnyTopic for Topic<M> {
    fn counters(&self) -> TopicCounters {
        self.tally.snapshot(&self.name, M::TYPE_NAME)
    }

    fn type_name(&self) -> &'static str {
        M::TYPE_NAME
    }

    fn open_reader(self: Arc<Self>, link: &dyn Link) -> Result<(), TransportError> {
        let (node, qos) = {
            let state = lock(&self.state);
            if state.reader.is_some() || (!state.publishers.is_empty() && !state.is_shared) {
                return Ok(());
            }
            if !state.publishers.is_empty() && !link.leaves_own_out() {
                tracing::warn!(topic = %self.name, "this process publishes the topic, and its carrier cannot hear other processes beside that");
                return Ok(());
            }
            let Some(first) = state.subscribers.first() else { return Ok(()) };
            // One reader serves all subscriptions, so it asks for the strictest of them only where all do:
            // the weakest request is the one that every publisher meets.
            let weakest = state.subscribers.iter().map(|subscriber| subscriber.qos).reduce(weaker);
            (first.node.clone(), weakest.unwrap_or(first.qos))
        };
        let endpoint = TopicEndpoint { name: self.name.clone(), type_name: M::TYPE_NAME, qos };
        let topic = Arc::downgrade(&self);
        let on_sample = Arc::new(move |cdr: &[u8]| {
            if let Some(topic) = topic.upgrade() {
                topic.receive(cdr);
            }
        });
        let reader = link.reader(&node, &endpoint, on_sample)?;
        let mut state = lock(&self.state);
        if state.publishers.is_empty() || state.is_shared {
            state.reader = Some(reader);
            Ok(())
        } else {
            drop(state);
            Err(TransportError::LocalAndRemote { topic: self.name.clone() })
        }
    }

    fn close_reader(&self) {
        let reader = lock(&self.state).reader.take();
        drop(reader);
    }
}

/// A QoS that is met by every publisher that meets one of the two.
fn weaker(a: Qos, b: Qos) -> Qos {
    let reliable = a.reliability == Reliability::Reliable && b.reliability == Reliability::Reliable;
    let latched = a.durability == Durability::TransientLocal && b.durability == Durability::TransientLocal;
    Qos {
        reliability: if reliable { Reliability::Reliable } else { Reliability::BestEffort },
        durability: if latched { Durability::TransientLocal } else { Durability::Volatile },
        depth: a.depth.max(b.depth),
    }
}

//! The thread that spins one `r2r::Node` and drains its streams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{AbortHandle, Abortable};
use futures::task::LocalSpawnExt;
use futures::{Stream, StreamExt};
use r2r::PublisherUntyped;

use super::{CARRIER, failed, full_name, profile};
use crate::carriers::{Endpoint, NodeId, OnMatch, OnSample, RawWriter, TopicEndpoint};
use crate::error::TransportError;
use crate::sync::lock;

/// How long one spin waits for work; commands and deferred responses wait as long at most.
const SPIN: Duration = Duration::from_millis(5);

/// Work for the node's thread.
pub(super) type Command = Box<dyn FnOnce(&mut Host) + Send>;

/// What runs on the node's thread.
pub(crate) struct Host {
    pub(super) node: r2r::Node,
    pub(super) spawner: LocalSpawner,
    pub(super) commands: Sender<Command>,
    watched: Vec<Watched>,
}

/// A writer whose matches are looked at after each spin: r2r has no event for them.
struct Watched {
    writer: Weak<dyn RawWriter>,
    on_match: OnMatch,
    readers: usize,
}

/// Owns the thread.
pub(super) struct Spinner {
    commands: Sender<Command>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    pub(super) fn start(context: r2r::Context, id: &NodeId) -> Result<Self, TransportError> {
        let (commands, queue) = channel::<Command>();
        let stop = Arc::new(AtomicBool::new(false));
        let (made, done) = sync_channel(1);
        let name = format!("r2r {}", full_name(id));
        let (id, to_self, stopped) = (id.clone(), commands.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || match r2r::Node::create(context, &id.name, &id.namespace) {
                Ok(node) => {
                    drop(made.send(Ok(())));
                    let pool = LocalPool::new();
                    let host = Host { node, spawner: pool.spawner(), commands: to_self, watched: Vec::new() };
                    spin(host, pool, &queue, &stopped);
                }
                Err(error) => drop(made.send(Err(failed(format!("create node {}", full_name(&id)), &error)))),
            })
            .map_err(|source| TransportError::Thread { name, source })?;
        done.recv().map_err(|_| TransportError::ShutDown)??;
        Ok(Self { commands, stop, thread: Some(thread) })
    }

    fn is_current(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.thread().id() == std::thread::current().id())
    }

    /// Runs `work` on the node's thread and waits for it.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Host) -> T + Send + 'static) -> Result<T, TransportError> {
        if self.is_current() {
            let reason = "r2r makes endpoints on the node's thread: make ports in configure, not within a callback".to_owned();
            return Err(TransportError::NotCarried { carrier: CARRIER, reason });
        }
        let (send, receive) = sync_channel(1);
        let command: Command = Box::new(move |host| drop(send.send(work(host))));
        self.commands.send(command).map_err(|_| TransportError::ShutDown)?;
        receive.recv().map_err(|_| TransportError::ShutDown)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if !self.is_current()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("an r2r thread has panicked");
        }
    }
}

fn spin(mut host: Host, mut pool: LocalPool, queue: &Receiver<Command>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        while let Ok(command) = queue.try_recv() {
            command(&mut host);
        }
        host.node.spin_once(SPIN);
        // r2r's streams hold ten messages and drop the newest: they are drained after every spin.
        pool.run_until_stalled();
        host.look_at_matches();
    }
}

impl Host {
    /// Drains `stream` into `sink` until the endpoint is dropped.
    pub(super) fn drain<T: 'static>(
        &self,
        stream: impl Stream<Item = T> + Unpin + 'static,
        mut sink: impl FnMut(T) + 'static,
    ) -> Result<Endpoint, TransportError> {
        let (handle, registration) = AbortHandle::new_pair();
        let work = async move {
            let mut stream = stream;
            while let Some(item) = stream.next().await {
                sink(item);
            }
        };
        let task = async move {
            let _aborted = Abortable::new(work, registration).await;
        };
        self.spawner.spawn_local(task).map_err(|error| failed("start a task".to_owned(), &error))?;
        Ok(Box::new(Draining(handle)))
    }

    /// Calls `on_match` whenever a reader has come.
    pub(super) fn watch(&mut self, writer: &Arc<dyn RawWriter>, on_match: OnMatch) {
        self.watched.push(Watched { writer: Arc::downgrade(writer), on_match, readers: 0 });
    }

    fn look_at_matches(&mut self) {
        self.watched.retain_mut(|watched| {
            let Some(writer) = watched.writer.upgrade() else { return false };
            let readers = writer.matched_readers();
            let came = readers > watched.readers;
            watched.readers = readers;
            if came {
                (watched.on_match)();
            }
            true
        });
    }
}

/// Ends the draining of a stream; r2r forgets the endpoint when its stream is gone.
struct Draining(AbortHandle);

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Publishes CDR as it is.
struct UntypedWriter {
    topic: String,
    publisher: Mutex<PublisherUntyped>,
    commands: Sender<Command>,
}

impl RawWriter for UntypedWriter {
    /// r2r counts readers of other processes only, which is what is wanted.
    fn matched_readers(&self) -> usize {
        lock(&self.publisher).get_inter_process_subscription_count().unwrap_or(0)
    }

    fn write(&self, cdr: Vec<u8>) -> Result<(), TransportError> {
        lock(&self.publisher).publish_raw(&cdr).map_err(|error| failed(format!("write to {}", self.topic), &error))
    }
}

impl Drop for UntypedWriter {
    fn drop(&mut self) {
        let publisher = lock(&self.publisher).clone();
        let destroy: Command = Box::new(move |host| host.node.destroy_publisher_untyped(publisher));
        // After shutdown the node is gone, and its publishers with it.
        drop(self.commands.send(destroy));
    }
}

pub(super) fn raw_writer(host: &mut Host, topic: &TopicEndpoint, on_match: OnMatch) -> Result<Arc<dyn RawWriter>, TransportError> {
    let publisher = host
        .node
        .create_publisher_untyped(&topic.name, topic.type_name, profile(&topic.qos))
        .map_err(|error| unknown_type(topic, &error))?;
    let writer: Arc<dyn RawWriter> =
        Arc::new(UntypedWriter { topic: topic.name.clone(), publisher: Mutex::new(publisher), commands: host.commands.clone() });
    host.watch(&writer, on_match);
    Ok(writer)
}

pub(super) fn raw_reader(host: &mut Host, topic: &TopicEndpoint, on_sample: OnSample) -> Result<Endpoint, TransportError> {
    let stream = host.node.subscribe_raw(&topic.name, topic.type_name, profile(&topic.qos)).map_err(|error| unknown_type(topic, &error))?;
    host.drain(stream, move |cdr: Vec<u8>| on_sample(&cdr))
}

fn unknown_type(topic: &TopicEndpoint, error: &r2r::Error) -> TransportError {
    TransportError::NotCarried {
        carrier: CARRIER,
        reason: format!("{} of type {}: {error}; is the type's package sourced where intact was built?", topic.name, topic.type_name),
    }
}

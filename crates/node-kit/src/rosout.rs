//! `/rosout`: what the nodes of a process log, for everybody on the graph.
//!
//! [`layer`] is a layer of `tracing`: put it beside the one that writes to the terminal. An event becomes an
//! `rcl_interfaces/msg/Log` of the node that it belongs to (below), and one thread a process publishes it, so that
//! logging never waits and never runs a subscriber's callback. Events that find the queue full are lost and counted
//! ([`lost`]; `/diagnostics` shows it). As in rclcpp the topic is latched, so that who looks late still sees the last
//! messages; nothing is serialised before somebody in another process looks.
//!
//! An event belongs to the node that it names in a field `node`, else to the one whose crate it comes from, else to the
//! one whose worker logged it, else to the only one of the process. Others stay in the terminal.

use std::cell::Cell;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::rcl_interfaces::msg::Log;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use transport::{Node, Publisher, Qos, TransportError};

use crate::lock;

/// Messages of a node that latecomers see.
const KEPT: usize = 100;
/// Messages that may wait for the thread.
const WAITING: usize = 256;
/// How long the end of a node waits for its last words.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What carries our messages logs as it does so, on threads of its own: published, each message would bring the next.
/// `log` is where `tracing` puts all that comes from crates that use the crate `log`.
const CARRIERS: [&str; 5] = ["log", "rustdds", "ros2_client", "mio", "r2r"];

static NODES: Mutex<Vec<Logger>> = Mutex::new(Vec::new());
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static LOST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The node that this thread works for.
    static OWNER: Cell<u64> = const { Cell::new(0) };
    /// This thread publishes: what is logged on the way would come back for ever.
    static IS_PUBLISHER: Cell<bool> = const { Cell::new(false) };
}

/// A node that can log.
struct Logger {
    id: u64,
    component: &'static str,
    full_name: String,
    /// As rclcpp names loggers: `/cell/camera` is `cell.camera`.
    name: String,
    publisher: Publisher<Log>,
}

/// A node's place among the loggers; dropping it takes the node away after its last words.
pub(crate) struct Registration(u64);

impl Registration {
    /// Whatever this thread logs from now on is this node's.
    pub(crate) fn own_this_thread(&self) {
        OWNER.set(self.0);
    }

    /// Ends the node's time among the loggers after its last words, also where somebody still holds the registration (a
    /// service's thread that is about to end). Ending it again does nothing.
    pub(crate) fn end(&self) {
        flush();
        let gone = {
            let mut nodes = lock(&NODES);
            nodes.iter().position(|node| node.id == self.0).map(|index| nodes.remove(index))
        };
        // Outside the lock: the end of a publisher may log.
        drop(gone);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes a node's publisher of `/rosout`.
pub(crate) fn register(node: &Node, component: &'static str) -> Result<Registration, TransportError> {
    let publisher = node.publisher("/rosout", Qos { depth: KEPT, ..Qos::latched() })?;
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let full_name = node.fully_qualified_name();
    let name = full_name.trim_start_matches('/').replace('/', ".");
    lock(&NODES).push(Logger { id, component, full_name, name, publisher });
    Ok(Registration(id))
}

/// Events of this process that were not published because too many waited.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Publishes the events of this process's nodes on `/rosout`. What it lets through is up to the caller's filter;
/// rclcpp's default is `INFO`.
pub fn layer<S: Subscriber>() -> impl Layer<S> {
    Rosout
}

struct Rosout;

impl<S: Subscriber> Layer<S> for Rosout {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if IS_PUBLISHER.get() {
            return;
        }
        let target = event.metadata().target();
        if CARRIERS.contains(&crate_of(target)) {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let Some((name, publisher)) = logger_of(words.node.as_deref(), target) else { return };
        let meta = event.metadata();
        let log = Log {
            stamp: now(),
            level: level(meta.level()),
            name,
            msg: words.text,
            file: meta.file().unwrap_or_default().to_owned(),
            // The nearest that a Rust event knows of its function.
            function: meta.module_path().unwrap_or(target).to_owned(),
            line: meta.line().unwrap_or_default(),
        };
        if queue().is_none_or(|queue| queue.try_send(Work::Say(publisher, log)).is_err()) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

/// The name and publisher of the node that an event belongs to.
fn logger_of(named: Option<&str>, target: &str) -> Option<(String, Publisher<Log>)> {
    let nodes = lock(&NODES);
    let owner = OWNER.get();
    let owns_thread = |node: &&Logger| node.id == owner;
    let own_crate = crate_of(target);
    let logger = match named {
        // Of two nodes of one name, in two contexts, the thread's own.
        Some(named) => nodes.iter().filter(|n| n.full_name == named).max_by_key(|n| n.id == owner),
        None => nodes
            .iter()
            .filter(|node| node.component == own_crate)
            .max_by_key(|n| n.id == owner)
            .or_else(|| nodes.iter().find(owns_thread))
            .or_else(|| nodes.first().filter(|_| nodes.len() == 1)),
    };
    logger.map(|node| (node.name.clone(), node.publisher.clone()))
}

fn level(level: &Level) -> u8 {
    match *level {
        Level::ERROR => Log::ERROR,
        Level::WARN => Log::WARN,
        Level::INFO => Log::INFO,
        Level::DEBUG | Level::TRACE => Log::DEBUG,
    }
}

/// The system's time, as rcl stamps its logs, also where ROS time is simulated.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// An event's message, then its fields as `name=value`.
#[derive(Default)]
struct Words {
    text: String,
    node: Option<String>,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "node" { self.node = Some(value.to_owned()) } else { self.record_debug(field, &value) }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a String does not fail.
        let _ = match field.name() {
            "message" => {
                let fields = std::mem::take(&mut self.text);
                write!(self.text, "{value:?}{fields}")
            }
            "node" => {
                self.node = Some(format!("{value:?}"));
                Ok(())
            }
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}

enum Work {
    Say(Publisher<Log>, Log),
    /// Tells when all before it is published.
    Flush(SyncSender<()>),
}

/// The way to the thread, which starts with the first event; `None` when there is no thread to have.
fn queue() -> Option<&'static SyncSender<Work>> {
    static QUEUE: OnceLock<Option<SyncSender<Work>>> = OnceLock::new();
    QUEUE
        .get_or_init(|| {
            let (send, receive) = sync_channel(WAITING);
            std::thread::Builder::new().name("rosout".to_owned()).spawn(move || publish(&receive)).ok().map(|_| send)
        })
        .as_ref()
}

fn publish(work: &Receiver<Work>) {
    IS_PUBLISHER.set(true);
    for work in work {
        match work {
            Work::Say(publisher, log) => {
                // It was delivered in this process; that it cannot leave it is what nobody can be told over this way.
                if publisher.publish(log).is_err() {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Who waits no longer needs no answer.
            Work::Flush(done) => drop(done.try_send(())),
        }
    }
}

/// Waits until what has been logged is published.
fn flush() {
    let (send, done) = sync_channel(1);
    if !IS_PUBLISHER.get() && queue().is_some_and(|queue| queue.try_send(Work::Flush(send)).is_ok()) {
        // At its deadline the last words are lost, and the node ends all the same.
        let _ = done.recv_timeout(LAST_WORDS);
    }
}

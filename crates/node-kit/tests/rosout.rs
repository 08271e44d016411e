//! `/rosout`: a node's words reach the graph, under its name, also for who looks late. A binary of its own: there is one
//! `tracing` subscriber a process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../transport/tests/shared/domain.rs"]
mod domain;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use node_kit::{Component, Mode, NodeError, NodeOverrides, Ports, RunningNode, Shared, Worker, launch, rosout};
use ros_interfaces::rcl_interfaces::msg::Log;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use transport::{Context, ContextOptions, DiscoveryRange, NodeOptions, Qos, Subscription};

const PATIENCE: Duration = Duration::from_secs(30);

node_kit::parameters! {
    /// A node that says one thing.
    pub struct TalkerParams {
        /// What it says.
        words: String = "the lens is dirty".into();
    }
}

struct Talker {
    ports: Ports,
    params: Shared<TalkerParams>,
    worker: Option<Worker>,
}

impl Component for Talker {
    const NAME: &'static str = "talker";
    type Params = TalkerParams;

    fn configure(ports: &Ports, params: Shared<TalkerParams>) -> Result<Self, NodeError> {
        Ok(Self { ports: ports.clone(), params, worker: None })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let words = self.params.get().words.clone();
        self.worker = Some(self.ports.spawn("talker", move |_| {
            tracing::debug!("not for everybody");
            tracing::warn!(count = 3, "{words}");
        })?);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
        tracing::error!(node = %self.ports.node.fully_qualified_name(), "last words");
    }
}

fn context(domain: u16) -> Context {
    Context::new(ContextOptions::dds(domain, DiscoveryRange::Localhost)).unwrap()
}

fn listen(context: &Context, name: &str) -> (Arc<Mutex<Vec<Arc<Log>>>>, Subscription) {
    let heard: Arc<Mutex<Vec<Arc<Log>>>> = Arc::default();
    let sink = Arc::clone(&heard);
    let node = context.node(NodeOptions::new(name)).unwrap();
    // rclcpp's tools ask for what is latched; a plain `ros2 topic echo` adapts to it.
    let latched = Qos { depth: 100, ..Qos::latched() };
    let subscription = node.subscribe("/rosout", latched, move |log| sink.lock().unwrap().push(log)).unwrap();
    (heard, subscription)
}

fn await_words(heard: &Mutex<Vec<Arc<Log>>>, name: &str, words: &str) -> Arc<Log> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(log) = heard.lock().unwrap().iter().find(|log| log.name == name && log.msg.contains(words)) {
            return Arc::clone(log);
        }
        assert!(Instant::now() < deadline, "{name} was not heard to say `{words}`: {:#?}", heard.lock().unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_a_node_logs_is_on_rosout_under_its_name() {
    tracing_subscriber::registry().with(rosout::layer().with_filter(LevelFilter::INFO)).init();
    let domain = domain::claim_domain();
    let (here, there) = (context(domain), context(domain));
    let named = |namespace: &str| NodeOverrides { namespace: Some(namespace.to_owned()), ..NodeOverrides::default() };
    let left = launch::<Talker>(&here, named("/left"), Mode::Live).unwrap();
    let right = launch::<Talker>(&here, named("/right").set("words", "it rains".to_owned()), Mode::Live).unwrap();
    let (near, _near) = listen(&here, "near");
    here.start().unwrap();
    left.activate().unwrap();
    right.activate().unwrap();

    let log = await_words(&near, "left.talker", "the lens is dirty");
    assert_eq!((log.level, log.msg.as_str(), log.function.as_str()), (Log::WARN, "the lens is dirty count=3", "rosout"));
    assert!(log.file.ends_with("rosout.rs") && log.line > 0 && log.stamp.nanos() > 1_600_000_000_000_000_000, "{log:?}");
    await_words(&near, "right.talker", "it rains");
    let other = |name: &str, words: &str| near.lock().unwrap().iter().any(|l| l.name == name && l.msg.contains(words));
    assert!(!other("right.talker", "lens") && !other("left.talker", "rains"), "each under its own name");
    await_words(&near, "left.talker", "active"); // the lifecycle's own words name their node
    let counter = |what: fn(&transport::TopicCounters) -> u64| here.counters().iter().find(|c| c.topic == "/rosout").map(what).unwrap();
    assert_eq!(counter(|c| c.serialised), 0, "nobody in another process looks");

    let (far, _far) = listen(&there, "far");
    there.start().unwrap();
    let seen = await_words(&far, "left.talker", "the lens is dirty");
    assert_eq!(*seen, *log, "who looks late still sees it, to the nanosecond");
    assert!(counter(|c| c.serialised) > 0);

    left.shut_down();
    await_words(&far, "left.talker", "last words");
    assert!(near.lock().unwrap().iter().all(|l| l.level >= Log::INFO), "debug is not for everybody");
    assert_eq!(rosout::lost(), 0);
    tracing::error!(target: "rustdds::rtps::writer", node = "/right/talker", "what the carrier says would never end");
    let still_held = left.ports().clone(); // as a service's thread may for a moment
    drop(left);
    tracing::warn!("nobody's words, with one node left, are its own");
    await_words(&near, "right.talker", "nobody's words");
    drop(still_held);
    assert!(!near.lock().unwrap().iter().any(|log| log.msg.contains("carrier")), "carriers stay in the terminal");
}

//! Against peers that are not ours: bytes that no ROS program sends, and Eclipse Cyclone DDS.
#![cfg(feature = "dds")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use intact_msgs::msg::ItemArrival;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::{Header, String as RosString};
use ros2_client::entities_info::ParticipantEntitiesInfo;
use rustdds::policy::{Durability, History};
use rustdds::{CDRDeserializerAdapter, CDRSerializerAdapter, DomainParticipant, DomainParticipantBuilder, QosPolicyBuilder, TopicKind};
use shared::domain::claim_domain;
use shared::{LONG, eventually};
use transport::{Context, ContextOptions, DiscoveryRange, NodeOptions, Qos};

fn context(domain: u16) -> Context {
    Context::new(ContextOptions::dds(domain, DiscoveryRange::Localhost)).unwrap()
}

fn participant(domain: u16) -> DomainParticipant {
    DomainParticipantBuilder::new(domain).with_only_networks([std::net::Ipv4Addr::LOCALHOST]).build().unwrap()
}

#[test]
fn malformed_messages_are_counted_and_dropped() {
    let domain = claim_domain();
    let context = context(domain);
    let node = context.node(NodeOptions::new("listener")).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let _subscription =
        node.subscribe("t", Qos::event(), move |message: Arc<RosString>| sink.lock().unwrap().push(message.data.clone())).unwrap();
    context.start().unwrap();

    let participant = participant(domain);
    let qos = QosPolicyBuilder::new().reliable(rustdds::Duration::from_millis(100)).history(History::KeepLast { depth: 10 }).build();
    let topic = participant.create_topic("rt/t".into(), "std_msgs::msg::dds_::String_".into(), &qos, TopicKind::NoKey).unwrap();
    let publisher = participant.create_publisher(&qos).unwrap();
    // A length that is far beyond the end, a text without its end, nothing at all; then a good one.
    let absurd = publisher.create_datawriter_no_key::<u32, CDRSerializerAdapter<u32>>(&topic, None).unwrap();
    let good = publisher.create_datawriter_no_key::<String, CDRSerializerAdapter<String>>(&topic, None).unwrap();
    let counter = || context.counters().into_iter().find(|counter| counter.topic == "/t").unwrap();
    let sent = eventually(LONG, || {
        absurd.write(u32::MAX, None).unwrap();
        absurd.write(5, None).unwrap();
        good.write("well".to_owned(), None).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        counter().decode_errors >= 2 && !heard.lock().unwrap().is_empty()
    });
    assert!(sent, "{:?}", counter());
    let counter = counter();
    assert!(counter.received > counter.decode_errors && heard.lock().unwrap().iter().all(|data| data == "well"));
}

#[test]
fn the_ros_graph_says_which_node_owns_what() {
    let domain = claim_domain();
    let context = context(domain);
    let node = context.node(NodeOptions::new("eye").namespace("/cell")).unwrap();
    let _publisher = node.publisher::<RosString>("t", Qos::event()).unwrap();

    let participant = participant(domain);
    let qos = QosPolicyBuilder::new()
        .durability(Durability::TransientLocal)
        .reliable(rustdds::Duration::from_millis(100))
        .history(History::KeepLast { depth: 10 })
        .build();
    let (name, kind) = ("ros_discovery_info", "rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_");
    let topic = participant.create_topic(name.into(), kind.into(), &qos, TopicKind::NoKey).unwrap();
    let mut reader = participant
        .create_subscriber(&qos)
        .unwrap()
        .create_datareader_no_key::<ParticipantEntitiesInfo, CDRDeserializerAdapter<ParticipantEntitiesInfo>>(&topic, None)
        .unwrap();
    let mut last = None;
    let complete = eventually(LONG, || {
        while let Some(sample) = reader.take_next_sample().unwrap() {
            last = Some(format!("{:?}", sample.value()));
            let nodes = sample.value().nodes();
            // Six parameter services have a reader and a writer each; `t` and /parameter_events have writers.
            if let [only] = nodes.as_slice()
                && only.fully_qualified_name() == "/cell/eye"
                && endpoints(only) == (6, 8)
            {
                return true;
            }
        }
        false
    });
    assert!(complete, "{last:?}");
}

/// Readers and writers of a node. `ros2-client` keeps the lists to itself, but serialises them.
fn endpoints(node: &ros2_client::entities_info::NodeEntitiesInfo) -> (usize, usize) {
    let json = serde_json::to_value(node).unwrap();
    let count = |key: &str| json[key].as_array().unwrap().len();
    (count("reader_gid_seq"), count("writer_gid_seq"))
}

fn python() -> Option<PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import cyclonedds"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success()).then_some(python)
}

/// Kills the peer when the test fails.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn cyclone_dds_sends_and_receives() {
    let Some(python) = python() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no Python with `cyclonedds` (set INTACT_PYTHON or run `make` for .venv)");
        return;
    };
    let domain = claim_domain();
    let context = context(domain);
    let node = context.node(NodeOptions::new("line")).unwrap();
    let arrivals = Arc::new(Mutex::new(Vec::<Arc<ItemArrival>>::new()));
    let sink = Arc::clone(&arrivals);
    let _arrivals = node.subscribe("item_arrival", Qos::event(), move |arrival| sink.lock().unwrap().push(arrival)).unwrap();
    let chatter = node.publisher::<RosString>("chatter", Qos::event()).unwrap();
    let echo = node.publisher::<ItemArrival>("echo", Qos::event()).unwrap();
    context.start().unwrap();

    let arrival = r#"{"header": {"stamp": {"sec": 7, "nanosec": 8}, "frame_id": "tray"}, "item_id": "it-1",
        "candidate_products": ["a", "bcd"], "clutter": true, "source": "trigger"}"#;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/dds_peer.py");
    let child = Command::new(python)
        .args([script, "--domain", &domain.to_string(), "--timeout", "60"])
        .args(["--send", "/item_arrival", "intact_msgs/ItemArrival", arrival])
        .args(["--receive", "/chatter", "std_msgs/String", "2", "--receive", "/echo", "intact_msgs/ItemArrival", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peer = Peer(child);

    assert!(eventually(LONG, || chatter.remote_readers() == 1 && echo.remote_readers() == 1), "Cyclone did not match");
    // Cyclone speaks when it has matched both ways: from here on it hears us.
    assert!(eventually(LONG, || !arrivals.lock().unwrap().is_empty()), "Cyclone's arrival did not come");
    ["hello", "wörld"].iter().for_each(|data| chatter.publish(RosString { data: (*data).into() }).unwrap());
    let expected = ItemArrival {
        header: Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "tray".into() },
        item_id: "it-1".into(),
        candidate_products: vec!["a".into(), "bcd".into()],
        clutter: true,
        source: "trigger".into(),
        ..ItemArrival::default()
    };
    let arrived = Arc::clone(&arrivals.lock().unwrap()[0]);
    assert_eq!(*arrived, expected);
    echo.publish(arrived).unwrap();

    let output = std::io::read_to_string(peer.0.stdout.take().unwrap()).unwrap();
    assert_eq!(peer.0.wait().unwrap().code(), Some(0), "{output}");
    let lines: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let chatter: Vec<_> = lines.iter().filter(|line| line["topic"] == "/chatter").map(|line| &line["message"]["data"]).collect();
    assert_eq!(chatter, ["hello", "wörld"]);
    let echoed = lines.iter().find(|line| line["topic"] == "/echo").unwrap();
    assert_eq!(echoed["message"]["candidate_products"], serde_json::json!(["a", "bcd"]));
    assert_eq!(echoed["message"]["header"]["stamp"]["nanosec"], 8);
}

//! Two contexts in one test process, over DDS on loopback: two participants that know nothing of each other.
#![cfg(feature = "dds")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use intact_msgs::action::{DivertItem, DivertItemFeedback};
use ros_interfaces::Message;
use ros_interfaces::rcl_interfaces::srv::{GetParameters, GetParametersRequest};
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::String as RosString;
use ros_interfaces::std_srvs::srv::{SetBool, SetBoolRequest, SetBoolResponse};
use shared::domain::claim_domain;
use shared::{LONG, Robot, eventually, goal};
use transport::{
    ActionError, ActionOutcome, CallError, Context, ContextOptions, DiscoveryRange, Node, NodeOptions, ParameterSpec, Publisher, Qos,
    Subscription, TopicCounters, TransportError,
};

fn context(domain: u16) -> Context {
    Context::new(ContextOptions::dds(domain, DiscoveryRange::Localhost)).unwrap()
}

fn node(context: &Context, name: &str) -> Node {
    context.node(NodeOptions::new(name)).unwrap()
}

fn text(data: &str) -> RosString {
    RosString { data: data.to_owned() }
}

/// Collects what arrives on `t`.
fn listen(node: &Node, qos: Qos) -> (Arc<Mutex<Vec<String>>>, Subscription) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let subscription = node.subscribe("t", qos, move |message: Arc<RosString>| sink.lock().unwrap().push(message.data.clone())).unwrap();
    (heard, subscription)
}

fn heard(heard: &Arc<Mutex<Vec<String>>>, expected: &[&str]) -> bool {
    eventually(LONG, || heard.lock().unwrap().len() >= expected.len()) && *heard.lock().unwrap() == expected
}

fn counters(context: &Context, topic: &str) -> TopicCounters {
    context.counters().into_iter().find(|counter| counter.topic == topic).unwrap()
}

fn matched<M: Message>(publisher: &Publisher<M>) -> bool {
    eventually(LONG, || publisher.remote_readers() == 1)
}

#[test]
fn a_message_is_serialised_only_while_another_participant_reads_it() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let (talker, listener) = (node(&here, "talker"), node(&there, "listener"));
    let publisher = talker.publisher("t", Qos::event()).unwrap();
    let (local, _local) = listen(&talker, Qos::event());
    here.start().unwrap();
    there.start().unwrap();

    (0..5).for_each(|_| publisher.publish(text("unread")).unwrap());
    std::thread::sleep(Duration::from_millis(300));
    let before = counters(&here, "/t");
    assert_eq!((before.published, before.delivered_in_process, before.serialised, before.sent_bytes), (5, 5, 0, 0));

    let (remote, subscription) = listen(&listener, Qos::event());
    assert!(matched(&publisher));
    ["a", "b", "c"].iter().for_each(|data| publisher.publish(text(data)).unwrap());
    assert!(heard(&remote, &["a", "b", "c"]), "{:?}", remote.lock().unwrap());
    let during = counters(&here, "/t");
    assert_eq!((during.published, during.serialised, during.received), (8, 3, 0));
    assert!(during.sent_bytes > 0);
    assert_eq!(local.lock().unwrap().len(), 8, "the publisher's own process hears each message once");
    assert_eq!(counters(&there, "/t").received, 3);

    drop(subscription);
    assert!(eventually(LONG, || publisher.remote_readers() == 0));
    publisher.publish(text("unread")).unwrap();
    assert_eq!(counters(&here, "/t").serialised, 3);
}

#[test]
fn a_topic_of_this_process_is_not_received_from_outside() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let (own, other) = (node(&here, "own"), node(&there, "other"));
    let (heard_here, _here) = listen(&own, Qos::event());
    let publisher = own.publisher("t", Qos::event()).unwrap();
    let outside = other.publisher("t", Qos::event()).unwrap();
    here.start().unwrap();
    there.start().unwrap();
    publisher.publish(text("own")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(outside.remote_readers(), 0, "a locally published topic has no DDS reader here");
    outside.publish(text("outside")).unwrap();
    assert_eq!(*heard_here.lock().unwrap(), ["own"]);

    let _late = own.subscribe("u", Qos::event(), |_: Arc<RosString>| {}).unwrap();
    assert!(matches!(own.publisher::<RosString>("u", Qos::event()), Err(TransportError::LocalAndRemote { .. })));
}

/// Two processes and a third say where things are; each hears the others, and itself once.
#[test]
fn a_shared_topic_is_heard_from_every_process_and_once() {
    let domain = claim_domain();
    let contexts: Vec<Context> = (0..3).map(|_| context(domain)).collect();
    let names = ["robot", "camera", "driver"];
    let mut ends = Vec::new();
    for (context, name) in contexts.iter().zip(names) {
        let node = node(context, name);
        let publisher = node.publisher("t", Qos::latched()).unwrap();
        publisher.publish(text(name)).unwrap();
        let everything = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&everything);
        let keep = move |message: Arc<RosString>| sink.lock().unwrap().push(message.data.clone());
        let subscription = node.subscribe_shared("t", Qos::latched(), keep).unwrap();
        context.start().unwrap();
        // A publisher that comes later is no error either.
        let late = node.publisher("t", Qos::latched()).unwrap();
        late.publish(text(&format!("{name} too"))).unwrap();
        ends.push((publisher, late, everything, subscription));
    }
    let expected: Vec<String> = names.iter().flat_map(|name| [(*name).to_owned(), format!("{name} too")]).collect();
    for (_, _, everything, _) in &ends {
        assert!(eventually(LONG, || everything.lock().unwrap().len() >= expected.len()), "{:?}", everything.lock().unwrap());
    }
    // Time for a second copy, if there were one.
    std::thread::sleep(Duration::from_millis(500));
    for (context, (_, _, everything, _)) in contexts.iter().zip(&ends) {
        let mut seen = everything.lock().unwrap().clone();
        seen.sort();
        let mut expected = expected.clone();
        expected.sort();
        assert_eq!(seen, expected);
        assert_eq!(counters(context, "/t").received, 4, "its own messages are not counted as received");
    }
}

#[test]
fn latched_messages_wait_for_readers_elsewhere() {
    let domain = claim_domain();
    let here = context(domain);
    let publisher = node(&here, "talker").publisher("t", Qos::latched()).unwrap();
    ["old", "state"].iter().for_each(|data| publisher.publish(text(data)).unwrap());
    assert_eq!(counters(&here, "/t").serialised, 0);
    for name in ["first", "second"] {
        let there = context(domain);
        let listener = node(&there, name);
        let (remote, _subscription) = listen(&listener, Qos::latched());
        there.start().unwrap();
        assert!(heard(&remote, &["state"]), "{name}: {:?}", remote.lock().unwrap());
    }
    assert_eq!(counters(&here, "/t").serialised, 1);
}

#[test]
fn images_of_full_size_cross_best_effort() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let (camera, viewer) = (node(&here, "camera"), node(&there, "viewer"));
    let image = Image {
        height: 720,
        width: 1280,
        encoding: "rgb8".into(),
        step: 3840,
        data: (0..2_764_800_u32).map(|i| (i % 251) as u8).collect(),
        ..Image::default()
    };
    let seen = Arc::new(Mutex::new(Vec::<Arc<Image>>::new()));
    let sink = Arc::clone(&seen);
    let _subscription = viewer.subscribe("image", Qos::sensor(), move |image| sink.lock().unwrap().push(image)).unwrap();
    let publisher = camera.publisher::<Image>("image", Qos::sensor()).unwrap();
    here.start().unwrap();
    there.start().unwrap();
    assert!(matched(&publisher));
    let image = Arc::new(image);
    // Best effort may lose any of them, above all on a busy machine: some must come through.
    let mut sent = 0;
    let arrived = eventually(LONG, || {
        publisher.publish(Arc::clone(&image)).unwrap();
        sent += 1;
        std::thread::sleep(Duration::from_millis(33));
        seen.lock().unwrap().len() >= 3
    });
    let seen = seen.lock().unwrap();
    println!("{} of {sent} images arrived", seen.len());
    assert!(arrived, "{} of {sent} images arrived", seen.len());
    assert!(seen.iter().all(|other| **other == *image));
}

#[test]
fn services_and_parameters_answer_across_participants() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let (server, caller) = (node(&here, "server"), node(&there, "caller"));
    server.parameters().declare(ParameterSpec::new("gain", 2.5, "A gain.")).unwrap();
    let client = caller.client::<SetBool>("set").unwrap();
    there.start().unwrap();
    let started = Instant::now();
    let none = client.call(SetBoolRequest { data: true }, Duration::from_millis(50));
    assert!(matches!(none, Err(CallError::NoServer { .. })) && started.elapsed() < LONG);

    let _served = server
        .serve::<SetBool>("set", |request| {
            if !request.data {
                std::thread::sleep(Duration::from_secs(1));
            }
            SetBoolResponse { success: request.data, message: "across".into() }
        })
        .unwrap();
    here.start().unwrap();
    for _ in 0..20 {
        let response = client.call(SetBoolRequest { data: true }, LONG).unwrap();
        assert_eq!(response, SetBoolResponse { success: true, message: "across".into() });
    }
    let late = client.call(SetBoolRequest { data: false }, Duration::from_millis(30));
    assert!(matches!(late, Err(CallError::Timeout { .. })));
    assert_eq!(node(&here, "near").client::<SetBool>("set").unwrap().call(SetBoolRequest { data: true }, LONG).unwrap().message, "across");

    let get = caller.client::<GetParameters>("/server/get_parameters").unwrap();
    let values = get.call(GetParametersRequest { names: vec!["gain".into()] }, LONG).unwrap().values;
    assert_eq!(values[0].double_value, 2.5);
}

#[test]
fn actions_work_across_participants() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let _server = node(&here, "robot").action_server("divert_item", Robot).unwrap();
    let client = node(&there, "decision").action_client::<DivertItem>("divert_item").unwrap();
    here.start().unwrap();
    there.start().unwrap();
    assert!(client.wait_for_server(LONG));
    let outcome = client.send(goal("ok", "A1"), |_| {}, LONG).unwrap();
    assert!(matches!(&outcome, ActionOutcome::Succeeded(result) if result.success));
    assert!(matches!(client.send(goal("x", "nowhere"), |_| {}, LONG), Err(ActionError::Rejected { .. })));
    let phases = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&phases);
    let active = client.start(goal("slow", "A1"), move |feedback| sink.lock().unwrap().push(feedback.phase), LONG).unwrap();
    assert!(eventually(LONG, || !phases.lock().unwrap().is_empty()), "feedback crosses while the goal runs");
    assert!(active.cancel(LONG).unwrap());
    assert!(matches!(active.wait(LONG).unwrap(), ActionOutcome::Canceled(_)));
    assert!(phases.lock().unwrap().iter().all(|phase| *phase == DivertItemFeedback::CARRYING));
}

#[test]
fn after_shutdown_the_process_goes_on_alone() {
    let domain = claim_domain();
    let (here, there) = (context(domain), context(domain));
    let (talker, listener) = (node(&here, "talker"), node(&there, "listener"));
    let publisher = talker.publisher("t", Qos::event()).unwrap();
    let (local, _local) = listen(&talker, Qos::event());
    let (remote, _remote) = listen(&listener, Qos::event());
    here.start().unwrap();
    there.start().unwrap();
    assert!(matched(&publisher));
    // Both sides know each other once something was heard.
    publisher.publish(text("first words")).unwrap();
    assert!(heard(&remote, &["first words"]));
    publisher.publish(text("last words")).unwrap();
    here.shutdown();
    here.shutdown();
    assert!(heard(&remote, &["first words", "last words"]), "what was written reliably arrives before the end");
    publisher.publish(text("monologue")).unwrap();
    assert_eq!(*local.lock().unwrap(), ["first words", "last words", "monologue"]);
    assert_eq!(counters(&here, "/t").serialised, 2);
    assert!(matches!(talker.publisher::<RosString>("v", Qos::event()), Err(TransportError::ShutDown)));
}

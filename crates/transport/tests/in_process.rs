//! Topics, services, actions, parameters and time within one process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ros_interfaces::rcl_interfaces::msg::{Parameter, ParameterEvent, ParameterType, ParameterValue as RosValue};
use ros_interfaces::rcl_interfaces::srv::{
    DescribeParameters, DescribeParametersRequest, GetParameters, GetParametersRequest, ListParameters, ListParametersRequest,
    SetParameters, SetParametersAtomically, SetParametersAtomicallyRequest, SetParametersRequest,
};
use ros_interfaces::rosgraph_msgs::msg::Clock as ClockMessage;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::String as RosString;
use ros_interfaces::std_srvs::srv::{SetBool, SetBoolRequest, SetBoolResponse, Trigger, TriggerRequest, TriggerResponse};
use transport::{
    CallError, Context, ContextOptions, Node, NodeOptions, ParameterError, ParameterSpec, ParameterValue, Qos, Remap, TransportError,
};

/// A deadline that only a hang exceeds, also on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn context() -> Context {
    Context::new(ContextOptions::in_process()).unwrap()
}

fn node(name: &str) -> Node {
    context().node(NodeOptions::new(name)).unwrap()
}

fn text(data: &str) -> RosString {
    RosString { data: data.to_owned() }
}

#[test]
fn a_message_is_the_same_allocation_from_publish_to_callback() {
    let context = context();
    let camera = context.node(NodeOptions::new("camera")).unwrap();
    let seen = Arc::new(Mutex::new(Vec::<Arc<Image>>::new()));
    let subscriptions: Vec<_> = ["perception", "viewer"]
        .iter()
        .map(|name| {
            let seen = Arc::clone(&seen);
            let node = context.node(NodeOptions::new(*name)).unwrap();
            node.subscribe("camera/color/image_raw", Qos::sensor(), move |image| seen.lock().unwrap().push(image)).unwrap()
        })
        .collect();
    context.start().unwrap();
    let image = Arc::new(Image { data: vec![7; 2_764_800], ..Image::default() });
    camera.publisher::<Image>("camera/color/image_raw", Qos::sensor()).unwrap().publish(Arc::clone(&image)).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|other| Arc::ptr_eq(other, &image)));
    let counters = context.counters();
    let counter = counters.iter().find(|counter| counter.topic == "/camera/color/image_raw").unwrap();
    assert_eq!((counter.published, counter.delivered_in_process, counter.serialised), (1, 2, 0));
    assert_eq!(counter.type_name, "sensor_msgs/msg/Image");
    drop(subscriptions);
}

#[test]
fn a_thousand_messages_arrive_in_order_and_none_after_unsubscribing() {
    let node = node("n");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let subscription =
        node.subscribe("t", Qos::event(), move |message: Arc<RosString>| sink.lock().unwrap().push(message.data.clone())).unwrap();
    let publisher = node.publisher("t", Qos::event()).unwrap();
    assert!(publisher.has_subscribers());
    (0..1000).for_each(|i| publisher.publish(text(&i.to_string())).unwrap());
    drop(subscription);
    assert!(!publisher.has_subscribers());
    publisher.publish(text("late")).unwrap();
    let expected: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn latched_messages_reach_late_subscribers_of_the_same_durability_only() {
    let node = node("n");
    let publisher = node.publisher("t", Qos { depth: 2, ..Qos::latched() }).unwrap();
    ["1", "2", "3"].iter().for_each(|data| publisher.publish(text(data)).unwrap());
    let collect = |qos| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let subscription =
            node.subscribe("t", qos, move |message: Arc<RosString>| sink.lock().unwrap().push(message.data.clone())).unwrap();
        (seen, subscription)
    };
    let (late, _a) = collect(Qos::latched());
    let (volatile, _b) = collect(Qos::event());
    publisher.publish(text("4")).unwrap();
    assert_eq!(*late.lock().unwrap(), ["2", "3", "4"]);
    assert_eq!(*volatile.lock().unwrap(), ["4"]);
    drop(publisher);
    let (after, _c) = collect(Qos::latched());
    assert!(after.lock().unwrap().is_empty(), "what a publisher latched goes with it");
}

#[test]
fn latched_messages_stay_in_order_while_subscribers_come() {
    let node = node("n");
    let publisher = node.publisher("t", Qos { depth: 4, ..Qos::latched() }).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..2000).for_each(|i| publisher.publish(text(&i.to_string())).unwrap()));
        for _ in 0..50 {
            let last = Arc::new(Mutex::new(-1_i64));
            let memory = Arc::clone(&last);
            let _subscription = node
                .subscribe("t", Qos::latched(), move |message: Arc<RosString>| {
                    let now: i64 = message.data.parse().unwrap();
                    let mut last = memory.lock().unwrap();
                    assert!(*last == -1 || now == *last + 1, "{now} after {last}");
                    *last = now;
                })
                .unwrap();
            std::thread::sleep(Duration::from_micros(100));
        }
    });
}

#[test]
fn a_callback_may_publish_and_unsubscribe() {
    let node = node("n");
    let heard = Arc::new(AtomicUsize::new(0));
    let publisher = node.publisher::<RosString>("t", Qos::event()).unwrap();
    let slot = Arc::new(Mutex::new(None));
    let (again, count, own) = (publisher.clone(), Arc::clone(&heard), Arc::clone(&slot));
    let subscription = node
        .subscribe("t", Qos::event(), move |message: Arc<RosString>| {
            count.fetch_add(1, Ordering::SeqCst);
            if message.data.len() < 3 {
                again.publish(text(&format!("{}x", message.data))).unwrap();
            } else {
                own.lock().unwrap().take();
            }
        })
        .unwrap();
    *slot.lock().unwrap() = Some(subscription);
    publisher.publish(text("x")).unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 3);
    publisher.publish(text("xxx")).unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 3);
}

#[test]
fn mismatched_types_and_qos_are_errors() {
    let node = node("n");
    let _publisher = node.publisher::<RosString>("t", Qos::sensor()).unwrap();
    assert!(matches!(node.publisher::<Image>("t", Qos::sensor()), Err(TransportError::TypeMismatch { .. })));
    let refused = node.subscribe("t", Qos::event(), |_: Arc<RosString>| {});
    assert!(matches!(refused, Err(TransportError::IncompatibleQos { .. })));
    let _subscription = node.subscribe("u", Qos::latched(), |_: Arc<RosString>| {}).unwrap();
    assert!(matches!(node.publisher::<RosString>("u", Qos::event()), Err(TransportError::IncompatibleQos { .. })));
}

#[test]
fn nodes_are_named_remapped_and_unique() {
    let context = context();
    let rules = ["__ns:=/cell", "__node:=eye", "image:=/cam/image"].map(|rule| Remap::parse(rule).unwrap());
    let node = context.node(NodeOptions::new("camera").remap(rules)).unwrap();
    assert_eq!((node.name(), node.namespace(), node.fully_qualified_name().as_str()), ("eye", "/cell", "/cell/eye"));
    for (name, expected) in [("image", "/cam/image"), ("depth", "/cell/depth"), ("~/get", "/cell/eye/get"), ("/tf", "/tf")] {
        assert_eq!(node.resolve(name).unwrap(), expected);
    }
    let again = NodeOptions::new("eye").namespace("cell");
    assert!(matches!(context.node(again.clone()), Err(TransportError::DuplicateNode { .. })));
    drop(node);
    assert!(context.node(again).is_ok());
    assert!(matches!(context.node(NodeOptions::new("a-b")), Err(TransportError::InvalidName { .. })));
}

#[test]
fn services_answer_and_never_hang() {
    let node = node("n");
    let client = node.client::<SetBool>("set").unwrap();
    let started = Instant::now();
    let none = client.call(SetBoolRequest { data: true }, Duration::from_millis(30));
    assert!(matches!(none, Err(CallError::NoServer { .. })) && started.elapsed() < LONG);
    let server = node
        .serve::<SetBool>("set", |request| {
            if !request.data {
                std::thread::sleep(Duration::from_secs(1));
            }
            SetBoolResponse { success: request.data, message: "done".into() }
        })
        .unwrap();
    let response = client.call(SetBoolRequest { data: true }, LONG).unwrap();
    assert_eq!(response, SetBoolResponse { success: true, message: "done".into() });
    let late = client.call(SetBoolRequest { data: false }, Duration::from_millis(20));
    assert!(matches!(late, Err(CallError::Timeout { .. })));
    assert!(matches!(node.serve::<SetBool>("set", |_| SetBoolResponse::default()), Err(TransportError::AlreadyServed { .. })));
    let wrong = node.client::<Trigger>("set").unwrap().call(TriggerRequest::default(), LONG);
    assert!(matches!(wrong, Err(CallError::Transport(TransportError::TypeMismatch { .. }))));
    assert!(node.context().activity().wait_idle(LONG), "the late answer ends the activity too");
    drop(server);
    assert!(!client.server_ready());
}

#[test]
fn a_service_may_call_another_and_a_client_may_come_first() {
    let context = context();
    let node = context.node(NodeOptions::new("n")).unwrap();
    let inner = node.client::<Trigger>("inner").unwrap();
    let _outer = node.serve::<Trigger>("outer", move |request| inner.call(request, LONG).unwrap()).unwrap();
    let client = node.client::<Trigger>("outer").unwrap();
    let caller = std::thread::spawn(move || client.call(TriggerRequest::default(), LONG));
    std::thread::sleep(Duration::from_millis(20));
    let _inner = node.serve::<Trigger>("inner", |_| TriggerResponse { success: true, message: "inner".into() }).unwrap();
    assert_eq!(caller.join().unwrap().unwrap().message, "inner");
}

#[test]
fn activity_spans_a_call() {
    let node = node("n");
    let (enter, entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let _server = node
        .serve::<Trigger>("slow", move |_| {
            enter.send(()).unwrap();
            released.lock().unwrap().recv_timeout(LONG).unwrap();
            TriggerResponse::default()
        })
        .unwrap();
    let client = node.client::<Trigger>("slow").unwrap();
    let caller = std::thread::spawn(move || client.call(TriggerRequest::default(), LONG).is_ok());
    entered.recv_timeout(LONG).unwrap();
    assert!(!node.context().activity().wait_idle(Duration::from_millis(5)));
    release.send(()).unwrap();
    assert!(node.context().activity().wait_idle(LONG));
    assert!(caller.join().unwrap());
}

#[test]
fn simulated_time_follows_the_clock_topic() {
    let context = context();
    let node = context.node(NodeOptions::new("n").use_sim_time(true)).unwrap();
    let other = context.node(NodeOptions::new("camera")).unwrap();
    assert_eq!(node.clock().now_ns(), 0);
    let publisher = other.publisher("/clock", Qos::clock()).unwrap();
    let clock = ros_interfaces::builtin_interfaces::msg::Time::from_nanos(1_500_000_000);
    publisher.publish(ClockMessage { clock }).unwrap();
    assert_eq!(node.clock().now_ns(), 1_500_000_000);
    assert!(node.clock().is_simulated() && !other.clock().is_simulated());
    assert!(other.clock().now_ns() > 1_600_000_000_000_000_000);
    assert_eq!(node.parameters().get("use_sim_time"), Ok(ParameterValue::Bool(true)));
}

fn declared(node: &Node) {
    let parameters = node.parameters();
    parameters.declare(ParameterSpec::new("policy.threshold", 0.5, "Above it an item is not sorted.").range(0.0..=1.0)).unwrap();
    parameters.declare(ParameterSpec::new("policy.count", 3_i64, "How many.").range(1..=9)).unwrap();
    parameters.declare(ParameterSpec::new("engine", "tract", "Inference engine.").choices(["tract", "ort"]).read_only()).unwrap();
}

#[test]
fn parameters_are_checked_watched_and_overridden() {
    let node = node("n");
    let parameters = node.parameters();
    parameters.set_overrides([("policy.count".to_owned(), 5_i64.into()), ("engin".to_owned(), "ort".into())].into());
    declared(&node);
    assert_eq!(parameters.get("policy.count"), Ok(ParameterValue::Integer(5)));
    assert_eq!(parameters.check_overrides().unwrap_err().to_string(), "unknown parameter `engin`; did you mean `engine`?");
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&changes);
    parameters.on_change(move |values| sink.lock().unwrap().extend_from_slice(values));
    parameters.on_set(|values| match values {
        [(_, ParameterValue::Integer(7))] => Err("seven is unlucky".into()),
        _ => Ok(()),
    });
    parameters.set("policy.threshold", ParameterValue::Integer(1)).unwrap();
    assert_eq!(*changes.lock().unwrap(), [("policy.threshold".to_owned(), ParameterValue::Double(1.0))]);
    for (name, value, message) in [
        ("policy.treshold", 0.1.into(), "unknown parameter `policy.treshold`; did you mean `policy.threshold`?"),
        ("policy.threshold", 2.0.into(), "parameter `policy.threshold` = 2.0 is outside [0.0, 1.0]"),
        ("policy.count", ParameterValue::Double(1.0), "parameter `policy.count` has type integer, not double"),
        ("policy.count", ParameterValue::Integer(7), "parameter `policy.count` was refused: seven is unlucky"),
        ("engine", "ort".into(), "parameter `engine` is read-only; set it at start (-p engine:=… or --params-file)"),
    ] {
        assert_eq!(parameters.set(name, value).unwrap_err().to_string(), message);
    }
    assert!(parameters.set_all(vec![("policy.count".into(), 4_i64.into()), ("policy.threshold".into(), 9.0.into())]).is_err());
    assert_eq!(parameters.get("policy.count"), Ok(ParameterValue::Integer(5)), "all or none");
    let twice = parameters.declare(ParameterSpec::new("engine", "x", ""));
    assert!(matches!(twice, Err(ParameterError::DeclaredTwice { .. })));
    let mistyped = ParameterSpec::new("rate", 1.0, "");
    parameters.set_overrides([("rate".to_owned(), "fast".into())].into());
    assert!(matches!(parameters.declare(mistyped), Err(ParameterError::WrongType { .. })));
}

fn ros_parameter(name: &str, value: RosValue) -> Parameter {
    Parameter { name: name.into(), value }
}

fn ros_double(value: f64) -> RosValue {
    RosValue { r#type: ParameterType::PARAMETER_DOUBLE, double_value: value, ..RosValue::default() }
}

#[test]
fn the_parameter_services_work() {
    let context = context();
    let node = context.node(NodeOptions::new("n")).unwrap();
    let other = context.node(NodeOptions::new("tool")).unwrap();
    let events = Arc::new(Mutex::new(Vec::<Arc<ParameterEvent>>::new()));
    let sink = Arc::clone(&events);
    let _events = other.subscribe("/parameter_events", Qos::event(), move |event| sink.lock().unwrap().push(event)).unwrap();
    declared(&node);

    let set = other.client::<SetParameters>("/n/set_parameters").unwrap();
    let parameters = vec![
        ros_parameter("policy.threshold", ros_double(0.25)),
        ros_parameter("policy.threshold", ros_double(7.0)),
        ros_parameter("policy.threshold", RosValue::default()),
        ros_parameter("polcy.threshold", ros_double(0.1)),
    ];
    let results = set.call(SetParametersRequest { parameters }, LONG).unwrap().results;
    assert_eq!(results.iter().map(|result| result.successful).collect::<Vec<_>>(), [true, false, false, false]);
    assert!(results[3].reason.contains("did you mean `policy.threshold`?"), "{}", results[3].reason);

    let atomically = other.client::<SetParametersAtomically>("/n/set_parameters_atomically").unwrap();
    let parameters = vec![ros_parameter("policy.threshold", ros_double(0.75)), ros_parameter("engine", ros_double(1.0))];
    assert!(!atomically.call(SetParametersAtomicallyRequest { parameters }, LONG).unwrap().result.successful);

    let get = other.client::<GetParameters>("/n/get_parameters").unwrap();
    let names = vec!["policy.threshold".into(), "engine".into(), "none".into()];
    let values = get.call(GetParametersRequest { names }, LONG).unwrap().values;
    assert_eq!((values[0].double_value, values[1].string_value.as_str(), values[2].r#type), (0.25, "tract", 0));

    let list = other.client::<ListParameters>("/n/list_parameters").unwrap();
    let list = |prefixes: &[&str], depth| {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        list.call(ListParametersRequest { prefixes, depth }, LONG).unwrap().result
    };
    assert_eq!(list(&[], 0).names, ["engine", "policy.count", "policy.threshold", "use_sim_time"]);
    assert_eq!(list(&[], 1).names, ["engine", "use_sim_time"]);
    assert_eq!(list(&["policy"], 1).names, ["policy.count", "policy.threshold"]);
    assert_eq!(list(&["policy"], 0).prefixes, ["policy"]);

    let describe = other.client::<DescribeParameters>("/n/describe_parameters").unwrap();
    let names = vec!["policy.threshold".into(), "engine".into()];
    let described = describe.call(DescribeParametersRequest { names }, LONG).unwrap().descriptors;
    assert_eq!(described[0].floating_point_range[0].to_value, 1.0);
    assert_eq!(described[0].description, "Above it an item is not sorted.");
    assert!(described[1].read_only && described[1].additional_constraints == "one of tract, ort");

    let events = events.lock().unwrap();
    assert_eq!(events.iter().filter(|event| !event.new_parameters.is_empty()).count(), 3);
    let changed: Vec<_> = events.iter().flat_map(|event| &event.changed_parameters).collect();
    assert!(changed.len() == 1 && changed[0].value.double_value == 0.25 && events.iter().all(|event| event.node == "/n"));
}

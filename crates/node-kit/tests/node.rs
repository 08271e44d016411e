//! A small node's whole life, in process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use intact_msgs::msg::CellEvent;
use node_kit::{
    Component, Handled, Inbox, Mode, NodeError, NodeOverrides, Parameters, Ports, RunningNode, Shared, State, Worker, launch, schema,
};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};
use ros_interfaces::lifecycle_msgs::msg::Transition;
use ros_interfaces::lifecycle_msgs::srv::{ChangeState, ChangeStateRequest, GetAvailableStates, GetState, GetStateRequest};
use ros_interfaces::std_msgs::msg::String as Text;
use transport::{Context, ContextOptions, NodeOptions, ParameterSpec, Publisher, Qos, Subscription};

node_kit::parameters! {
    /// A node that repeats what it hears.
    pub struct EchoParams {
        /// Words put before what was heard.
        prefix: String = "echo: ".into(), dynamic;
        /// How often it is
        /// repeated.
        times: u32 = 1, range 1..=3, dynamic,
        /// Loudness.
        volume: f64 = 0.5, range 0.0..=1.0,
        /// How to speak.
        voice: String = "low".into(), choices ["low", "high"];
        /// Names it listens to.
        names: Vec<String> = vec!["all".into()],
        /// A size without a range of its own.
        queue: usize = 4,
        /// A name that is a keyword.
        r#loop: bool = true
    }
}

struct Echo {
    ports: Ports,
    params: Shared<EchoParams>,
    said: Publisher<Text>,
    inbox: Inbox<Arc<Text>>,
    _heard: Subscription,
    worker: Option<Worker>,
}

impl Component for Echo {
    const NAME: &'static str = "echo";
    type Params = EchoParams;

    fn configure(ports: &Ports, params: Shared<EchoParams>) -> Result<Self, NodeError> {
        for name in &params.get().names {
            ports.declare(ParameterSpec::new(format!("weight.{name}"), 1.0, "Weight of a name."))?;
        }
        if params.get().names.is_empty() {
            return Err(NodeError::msg("parameter `names` is empty: name at least one"));
        }
        let inbox: Inbox<Arc<Text>> = ports.inbox("heard", params.get().queue);
        let into = inbox.clone();
        Ok(Self {
            said: ports.node.publisher("said", Qos::event())?,
            _heard: ports.node.subscribe("heard", Qos::event(), move |text| drop(into.push(text)))?,
            inbox,
            ports: ports.clone(),
            params,
            worker: None,
        })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let (params, said, ports) = (self.params.clone(), self.said.clone(), self.ports.clone());
        self.worker = Some(self.ports.consume("echo", &self.inbox, move |text: Handled<Arc<Text>>| {
            assert!(text.data != "panic", "as you wish");
            let params = params.get();
            for _ in 0..params.times {
                said.publish(Text { data: format!("{}{}", params.prefix, text.data) }).unwrap();
            }
            ports.diagnostics.count("repeated", 1);
            ports.event(CellEvent::ITEM_DONE, &text.data, Time::from_nanos(7), "said");
        })?);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
    }
}

struct World {
    ctx: Context,
    node: transport::Node,
    said: Receiver<String>,
    _said: Subscription,
}

fn world() -> World {
    let ctx = Context::new(ContextOptions::in_process()).unwrap();
    let node = ctx.node(NodeOptions::new("tester")).unwrap();
    let (send, said) = channel();
    let _said = node.subscribe("said", Qos::event(), move |text: Arc<Text>| send.send(text.data.clone()).unwrap()).unwrap();
    World { ctx, node, said, _said }
}

impl World {
    fn hear(&self, text: &str) {
        self.node.publisher::<Text>("heard", Qos::event()).unwrap().publish(Text { data: text.into() }).unwrap();
    }
    fn next(&self) -> Option<String> {
        self.said.recv_timeout(Duration::from_secs(30)).ok()
    }
}

#[test]
fn a_node_lives_works_and_ends() {
    let world = world();
    let running = launch::<Echo>(&world.ctx, NodeOverrides::default().set("times", 2_i64), Mode::Live).unwrap();
    let (send, events) = channel();
    let _events = world.node.subscribe("cell_event", Qos::event(), move |e: Arc<CellEvent>| send.send(e).unwrap()).unwrap();
    world.ctx.start().unwrap();
    assert_eq!(running.state(), State::Inactive);
    running.activate().unwrap();
    assert!(running.activate().unwrap_err().to_string().contains("is active: it cannot activate now"));

    world.hear("a");
    assert_eq!((world.next().unwrap(), world.next().unwrap()), ("echo: a".to_owned(), "echo: a".to_owned()));
    assert!(world.ctx.activity().wait_idle(Duration::from_secs(30)));
    let event = events.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(
        (event.kind, event.item_id.as_str(), event.node.as_str(), event.header.stamp.nanos()),
        (CellEvent::ITEM_DONE, "a", "echo", 7)
    );

    running.ports().node.parameters().set("prefix", "now ").unwrap();
    running.ports().node.parameters().set("times", 1_i64).unwrap();
    world.hear("b");
    assert_eq!(world.next().unwrap(), "now b", "a dynamic parameter is in force at once");
    assert!(running.ports().node.parameters().set("volume", 0.1).is_err(), "without `dynamic` only at start");

    running.deactivate().unwrap();
    world.hear("c");
    running.activate().unwrap();
    world.hear("d");
    assert_eq!(world.next().unwrap(), "now d", "what came while inactive is not answered");
    // The counter moves after the answer is out.
    assert!(world.ctx.activity().wait_idle(Duration::from_secs(30)));
    assert_eq!(running.ports().diagnostics.count_of("repeated"), 3);
    running.shut_down();
    assert_eq!(running.state(), State::Finalized);
    assert_eq!(running.failure(), None);
}

#[test]
fn wrong_parameters_are_refused_with_a_hint() {
    let world = world();
    for (name, value, words) in [
        ("tims", 2_i64.into(), "did you mean `times`?"),
        ("times", 9_i64.into(), "outside"),
        ("times", "two".into(), "integer"),
        ("voice", "hig".into(), "did you mean `high`?"),
        ("weight.al", 1.0.into(), "did you mean `weight.all`?"),
        ("queue", (-1_i64).into(), "outside"),
        ("names", Vec::<String>::new().into(), "name at least one"),
    ] {
        let overrides = NodeOverrides { parameters: vec![(name.to_owned(), value)], ..Default::default() };
        let error = launch::<Echo>(&world.ctx, overrides, Mode::Live).err().expect(name).to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
    let good = NodeOverrides::default().set("weight.all", 3.0).set("volume", 1_i64);
    let running = launch::<Echo>(&world.ctx, good, Mode::Live).unwrap();
    assert_eq!(running.params().get().volume, 1.0, "an integer is a fine double");
}

#[test]
fn an_outside_manager_drives_the_node() {
    let world = world();
    let running = launch::<Echo>(&world.ctx, NodeOverrides::default(), Mode::Live).unwrap();
    world.ctx.start().unwrap();
    let change = world.node.client::<ChangeState>("/echo/change_state").unwrap();
    let get = world.node.client::<GetState>("/echo/get_state").unwrap();
    let wait = Duration::from_secs(30);
    let go = |id| change.call(ChangeStateRequest { transition: Transition { id, label: String::new() } }, wait).unwrap().success;
    let state = || get.call(GetStateRequest::default(), wait).unwrap().current_state.label;
    assert_eq!(state(), "inactive");
    assert!(go(Transition::TRANSITION_ACTIVATE));
    assert_eq!(state(), "active");
    assert!(!go(Transition::TRANSITION_CONFIGURE), "not from active");
    assert!(go(Transition::TRANSITION_DEACTIVATE) && go(Transition::TRANSITION_CLEANUP));
    assert_eq!(state(), "unconfigured");
    assert!(running.with(|_| ()).is_none());
    assert!(go(Transition::TRANSITION_CONFIGURE) && go(Transition::TRANSITION_ACTIVATE), "a second life");
    world.hear("again");
    assert_eq!(world.next().unwrap(), "echo: again");
    assert!(go(Transition::TRANSITION_ACTIVE_SHUTDOWN));
    assert_eq!(state(), "finalized");
    let states = world.node.client::<GetAvailableStates>("/echo/get_available_states").unwrap().call(Default::default(), wait).unwrap();
    assert_eq!(states.available_states.len(), 4);
}

#[test]
fn a_panic_shows_in_the_diagnostics() {
    let world = world();
    let running = launch::<Echo>(&world.ctx, NodeOverrides::default(), Mode::Lockstep).unwrap();
    let (send, reports) = channel();
    let _reports = world.node.subscribe("/diagnostics", Qos::event(), move |a: Arc<DiagnosticArray>| {
        let _ = send.send(a.status[0].clone());
    });
    running.activate().unwrap();
    assert_eq!(reports.recv_timeout(Duration::from_secs(30)).unwrap().level, DiagnosticStatus::OK);
    world.hear("panic");
    assert!(world.ctx.activity().wait_idle(Duration::from_secs(30)), "a dead worker holds nothing up");
    let failed = std::iter::from_fn(|| reports.recv_timeout(Duration::from_secs(30)).ok()).find(|s| s.level == DiagnosticStatus::ERROR);
    let failed = failed.unwrap();
    assert_eq!((failed.name.as_str(), failed.message.as_str()), ("/echo", "worker `echo` panicked: as you wish"));
    assert!(failed.values.iter().any(|v| v.key == "heard_dropped" && v.value == "0"));
    running.ports().diagnostics.ok("all is well");
    assert_eq!(running.ports().diagnostics.status().level, DiagnosticStatus::ERROR, "a failed node does not become well");
    assert!(running.failure().is_some());
}

#[test]
fn what_lasts_is_not_hidden_by_what_is_said_after_it() {
    let world = world();
    let running = launch::<Echo>(&world.ctx, NodeOverrides::default(), Mode::Lockstep).unwrap();
    let diagnostics = &running.ports().diagnostics;
    let says = || (diagnostics.status().level, diagnostics.status().message);
    diagnostics.standing_error("ledger", "the disk is full");
    diagnostics.standing_warning("server", "the server is away");
    diagnostics.warn("an item has no pose");
    assert_eq!(says(), (DiagnosticStatus::ERROR, "the disk is full".into()));
    assert!(diagnostics.lift("ledger") && !diagnostics.lift("ledger"), "once");
    assert_eq!(says(), (DiagnosticStatus::WARN, "the server is away; an item has no pose".into()));
    diagnostics.ok("all is well");
    assert_eq!(says(), (DiagnosticStatus::WARN, "the server is away".into()));
    assert!(diagnostics.lift("server"));
    assert_eq!(says(), (DiagnosticStatus::OK, "all is well".into()));
}

#[test]
fn the_schema_is_one_truth() {
    let specs = EchoParams::specs();
    assert_eq!((specs.len(), specs[6].name.as_str()), (7, "loop"));
    assert_eq!(specs[1].description, "How often it is repeated.");
    assert_eq!(specs.iter().map(|s| s.read_only).collect::<Vec<_>>(), [false, false, true, true, true, true, true]);
    let table = schema::markdown::<EchoParams>();
    assert!(table.contains("| `times` | integer | `1` | 1 to 3 | any time | How often it is repeated. |"), "{table}");
    assert!(table.contains("| `voice` | string | `\"low\"` | `low`, `high` | at start | How to speak. |"), "{table}");
    assert!(table.contains("| `queue` | integer | `4` | from 0 |"), "{table}");
    let mut file = transport::ros_args::ParameterOverrides::default();
    file.add_yaml(&schema::yaml::<EchoParams>("echo")).unwrap();
    for (name, value) in file.for_node("/", "echo") {
        let spec = specs.iter().find(|s| s.name == name).unwrap();
        assert_eq!(spec.check(value).unwrap(), spec.default, "the YAML says the default of {name}");
    }
    assert_eq!(file.for_node("/", "echo").len(), specs.len());
}

//! All nodes of a cell in one process.
//!
//! [`Cell::start`] launches every node in one [`Context`], opens what must be heard from outside, and activates the nodes
//! in the order of the data, the camera last: whoever listens is there before anybody speaks.

mod tally;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camera::Camera;
use decision::Decision as DecisionNode;
use gallery::Gallery;
use intact_msgs::msg::{CellEvent, Decision, ItemArrival, Outcome};
use node_kit::{Component, Mode, NodeOverrides, ParameterValue, Parameters, RunningNode};
use perception::Perception;
use recorder::Recorder;
use robot::Robot;
use ros_interfaces::Message;
use transport::ros_args::{ParameterOverrides, RosArgs};
use transport::{Context, ContextOptions, Node, NodeOptions, Qos, Remap, Subscription, TopicCounters};
use viewer::Viewer;

pub use tally::{Summary, Tally, arrival_of, percentile};

/// What to compose.
pub struct Plan {
    /// Carrier, domain, discovery.
    pub context: ContextOptions,
    /// Live or lockstep.
    pub mode: Mode,
    /// Namespace of the cell, `/` or `/cell_3`.
    pub namespace: String,
    /// Parameters from files, in ROS's form.
    pub parameters: ParameterOverrides,
    /// Parameters by node that outrank the files.
    pub overrides: BTreeMap<&'static str, Vec<(String, ParameterValue)>>,
    /// Remapping rules of every node.
    pub remaps: Vec<Remap>,
    /// Show the run in Rerun.
    pub viewer: bool,
    /// Record the run.
    pub recorder: bool,
}

impl Plan {
    /// A cell without viewer and recorder, with default parameters.
    pub fn new(context: ContextOptions, mode: Mode) -> Self {
        Plan {
            context,
            mode,
            namespace: "/".to_owned(),
            parameters: ParameterOverrides::default(),
            overrides: BTreeMap::new(),
            remaps: Vec::new(),
            viewer: false,
            recorder: false,
        }
    }

    /// Takes the namespace out of ROS's own arguments (`-r __ns:=/cell_3`): it says whose parameters those of files and arguments are,
    /// and so comes before them.
    ///
    /// # Errors
    /// When an argument is not understood.
    pub fn take_namespace(&mut self, args: &[String]) -> Result<()> {
        let parsed = RosArgs::parse(std::iter::once("--ros-args".to_owned()).chain(args.iter().cloned()))?;
        let (namespace, _) = parsed.identity("intact")?;
        if namespace != "/" {
            self.namespace = namespace;
        }
        Ok(())
    }

    /// Reads a ROS parameter file.
    ///
    /// # Errors
    /// When it cannot be read, or names a node that the cell does not have.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        self.parameters.add_file(path)?;
        self.refuse_unknown_nodes().with_context(|| path.display().to_string())
    }

    /// Parameters of a node that the cell does not have are most likely those of a mistyped one.
    fn refuse_unknown_nodes(&self) -> Result<()> {
        let nodes: Vec<_> = NODES.iter().map(|n| (self.namespace.clone(), (*n).to_owned())).collect();
        let unmatched = self.parameters.unmatched(&nodes);
        let Some(first) = unmatched.first() else { return Ok(()) };
        let named = first.trim_start_matches('/');
        let nearest = transport::suggest::nearest(named, NODES.iter().copied());
        let hint = match nearest {
            _ if NODES.contains(&named) => format!(": the nodes are in {}; write `/**/{named}`.", self.namespace),
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => String::new(),
        };
        anyhow::bail!("no node of the cell is named {}{hint} The nodes are {}", unmatched.join(", "), NODES.join(", "))
    }

    /// Takes ROS's own arguments (what follows `--ros-args`): remapping rules, and parameters above those of files.
    ///
    /// # Errors
    /// When an argument is not understood.
    pub fn add_ros_args(&mut self, args: &[String]) -> Result<()> {
        let parsed = RosArgs::parse(std::iter::once("--ros-args".to_owned()).chain(args.iter().cloned()))?;
        self.remaps.extend(parsed.remaps);
        let mut parameters = parsed.parameters;
        parameters.leave_to_those_who_know(&known_parameters());
        self.parameters.extend(parameters);
        self.refuse_unknown_nodes().context("--ros-args")
    }

    /// Sets a parameter of a node, above every file.
    pub fn set<C: Component>(&mut self, name: &str, value: impl Into<ParameterValue>) -> &mut Self {
        self.overrides.entry(C::NAME).or_default().push((name.to_owned(), value.into()));
        self
    }

    /// The value that a parameter of a node will have.
    pub fn get<C: Component>(&self, name: &str) -> Option<ParameterValue> {
        let above = self.overrides.get(C::NAME).and_then(|list| list.iter().rev().find(|(n, _)| n == name)).map(|(_, v)| v.clone());
        above
            .or_else(|| self.parameters.for_node(&self.namespace, C::NAME).remove(name))
            .or_else(|| C::Params::specs().into_iter().find(|s| s.name == name).map(|s| s.default))
    }

    /// What was set of a node's parameters, by files and above them; the rest has its default.
    pub fn given(&self, node: &str) -> BTreeMap<String, ParameterValue> {
        let mut parameters = self.parameters.for_node(&self.namespace, node);
        parameters.extend(self.overrides.get(node).into_iter().flatten().cloned());
        parameters
    }

    fn node<C: Component>(&self) -> NodeOverrides {
        let parameters = self.given(C::NAME).into_iter().collect();
        NodeOverrides { namespace: Some(self.namespace.clone()), parameters, remaps: self.remaps.clone(), ..NodeOverrides::default() }
    }
}

/// Names of the nodes that a cell may have.
pub const NODES: [&str; 7] = [Camera::NAME, Perception::NAME, Gallery::NAME, DecisionNode::NAME, Robot::NAME, Viewer::NAME, Recorder::NAME];

/// Every node of a cell, with the names of its own parameters.
fn known_parameters() -> [(&'static str, Vec<String>); 7] {
    fn of<C: Component>() -> (&'static str, Vec<String>) {
        (C::NAME, C::Params::specs().into_iter().map(|s| s.name).collect())
    }
    [of::<Camera>(), of::<Perception>(), of::<Gallery>(), of::<DecisionNode>(), of::<Robot>(), of::<Viewer>(), of::<Recorder>()]
}

/// What the composition hears from its nodes.
#[derive(Clone, Debug)]
pub enum News {
    /// An item was born.
    Arrival(Arc<ItemArrival>),
    /// An item was decided.
    Decision(Arc<Decision>),
    /// The robot has finished with an item.
    Outcome(Arc<Outcome>),
    /// The source has nothing more to give.
    EndOfSource,
}

/// A running cell. Dropping it stops the nodes, sources first.
pub struct Cell {
    // In the order of activation; stopped in reverse.
    nodes: Vec<Box<dyn RunningNode>>,
    news: Receiver<News>,
    _subscriptions: Vec<Subscription>,
    context: Context,
}

impl Cell {
    /// Launches, connects and activates every node of the plan.
    ///
    /// # Errors
    /// The first node that cannot be configured or activated, by name, with its reason.
    pub fn start(plan: &Plan) -> Result<Cell> {
        let context = Context::new(plan.context.clone())?;
        let options = NodeOptions::new("intact").namespace(&plan.namespace).remap(plan.remaps.clone());
        let observer = context.node(options)?;
        let (send, news) = channel();
        let subscriptions = observe(&observer, &send)?;
        let mut nodes: Vec<Box<dyn RunningNode>> = Vec::new();
        if plan.recorder {
            nodes.push(launch::<Recorder>(&context, plan)?);
        }
        if plan.viewer {
            nodes.push(launch::<Viewer>(&context, plan)?);
        }
        nodes.push(launch::<Robot>(&context, plan)?);
        nodes.push(launch::<DecisionNode>(&context, plan)?);
        nodes.push(launch::<Gallery>(&context, plan)?);
        nodes.push(launch::<Perception>(&context, plan)?);
        nodes.push(launch::<Camera>(&context, plan)?);
        context.start()?;
        for node in &nodes {
            node.activate().with_context(|| format!("{} cannot start", node.name()))?;
        }
        Ok(Cell { nodes, news, _subscriptions: subscriptions, context })
    }

    /// The next news, or `None` when there is none for `patience`.
    pub fn next(&self, patience: Duration) -> Option<News> {
        self.news.recv_timeout(patience).ok()
    }

    /// True when nothing in the process has work left within `patience`.
    pub fn is_idle(&self, patience: Duration) -> bool {
        self.context.activity().wait_idle(patience)
    }

    /// True when the camera node failed: no picture and no end of the source comes any more.
    pub fn source_failed(&self) -> bool {
        self.nodes.last().is_some_and(|camera| camera.failure().is_some())
    }

    /// The context that the nodes share; more nodes may be made in it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What went over each topic.
    pub fn counters(&self) -> Vec<TopicCounters> {
        self.context.counters()
    }

    /// Stops the nodes, sources first, and closes their files. Nodes that failed, or could not do all of their work in the end (a recording
    /// that stopped, a ledger that could not be written), with their reasons.
    pub fn stop(mut self) -> Vec<(String, String)> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Vec<(String, String)> {
        let mut troubles = Vec::new();
        while let Some(node) = self.nodes.pop() {
            node.shut_down();
            troubles.extend(node.trouble().map(|why| (node.name(), why)));
        }
        self.context.shutdown();
        troubles
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn launch<C: Component>(context: &Context, plan: &Plan) -> Result<Box<dyn RunningNode>> {
    let running = node_kit::launch::<C>(context, plan.node::<C>(), plan.mode).with_context(|| format!("node {}", C::NAME))?;
    Ok(Box::new(running))
}

fn observe(node: &Node, send: &Sender<News>) -> Result<Vec<Subscription>> {
    let ended =
        |event: Arc<CellEvent>| (event.kind == CellEvent::ITEM_DONE && event.detail == "end_of_source").then_some(News::EndOfSource);
    Ok(vec![
        listen(node, "item_arrival", send, |m| Some(News::Arrival(m)))?,
        listen(node, "decision", send, |m| Some(News::Decision(m)))?,
        listen(node, "outcome", send, |m| Some(News::Outcome(m)))?,
        listen(node, "cell_event", send, ended)?,
    ])
}

fn listen<M: Message>(
    node: &Node,
    topic: &str,
    send: &Sender<News>,
    news: impl Fn(Arc<M>) -> Option<News> + Send + Sync + 'static,
) -> Result<Subscription> {
    let send = send.clone();
    let subscription = node.subscribe(topic, Qos::event(), move |message| {
        if let Some(news) = news(message) {
            // A closed channel means that the cell is being dropped: nobody needs the news any more.
            let _ = send.send(news);
        }
    })?;
    Ok(subscription)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters_find_their_nodes_in_every_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = dir.path().join("p.yaml");
            std::fs::write(&path, text).unwrap();
            path
        };
        let plan = |ros_args: &[&str]| {
            let mut plan = Plan::new(ContextOptions::in_process(), Mode::Live);
            plan.take_namespace(&ros_args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()).unwrap();
            plan
        };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("params/cell.yaml");
        for ros_args in [&[][..], &["-r", "__ns:=/cell_3"]] {
            plan(ros_args).add_file(&shipped).unwrap();
        }
        let mut in_cell = plan(&["-r", "__ns:=/cell_3"]);
        in_cell.add_file(&file("/cell_3/camera:\n  ros__parameters:\n    rate: 2.0\n")).unwrap();
        assert_eq!(in_cell.get::<Camera>("rate"), Some(ParameterValue::Double(2.0)));
        let elsewhere = format!("{:#}", in_cell.add_file(&file("camera:\n  ros__parameters:\n    rate: 3.0\n")).unwrap_err());
        assert!(elsewhere.contains("the nodes are in /cell_3; write `/**/camera`"), "{elsewhere}");
        let mistyped = format!("{:#}", plan(&[]).add_file(&file("camra:\n  ros__parameters:\n    rate: 3.0\n")).unwrap_err());
        assert!(mistyped.contains("did you mean `camera`?"), "{mistyped}");
    }

    #[test]
    fn a_parameter_without_a_node_is_for_those_that_have_it() {
        let mut plan = Plan::new(ContextOptions::in_process(), Mode::Live);
        let words = ["-p", "damage_threshold:=0.4", "-p", "use_sim_time:=true", "-p", "robot:use_sim_time:=false"];
        plan.add_ros_args(&words.map(str::to_owned)).unwrap();
        assert_eq!(plan.get::<Perception>("damage_threshold"), Some(ParameterValue::Double(0.4)));
        // What no list of parameters names may still be one that every node has.
        let everywhere = BTreeMap::from([("use_sim_time".to_owned(), ParameterValue::Bool(true))]);
        assert_eq!(plan.given(Camera::NAME), everywhere);
        assert_eq!(plan.given(Robot::NAME), BTreeMap::from([("use_sim_time".to_owned(), ParameterValue::Bool(false))]));
    }
}

//! `intact run`: the cell in one process, until its source ends.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camera::Camera;
use clap::{Args, ValueEnum};
use decision::Decision as DecisionNode;
use gallery::Gallery;
use indicatif::{ProgressBar, ProgressStyle};
use intact_msgs::msg::Decision;
use node_kit::{Component, Mode, ParameterValue};
use perception::Perception;
use recorder::Recorder;
use robot::Robot;
use ros_interfaces::builtin_interfaces::msg::Time;
use serde::Serialize;
use transport::{Carrier, ContextOptions, DiscoveryRange};
use viewer::Viewer;

use super::{provenance, table};
use crate::cell::{Cell, News, Plan, Summary, Tally};

/// Where pictures and arrivals come from when there is no bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SourceName {
    /// The generated booth.
    Booth,
    /// Live ROS topics.
    Topics,
}

/// How messages leave the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TransportName {
    /// Not at all.
    InProcess,
    /// DDS, no ROS installation needed.
    Dds,
    /// A sourced ROS 2 (a build with the feature `r2r`).
    R2r,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  intact run --source booth --serve                      watch a generated cell in the browser
  intact run --bag captures.bag --lockstep --json        decide every capture of a bag, reproducibly
  intact run --bag line.bag --rate 0.5 --record out/run  replay at half speed and record the run
  intact run --source topics --references refs/          live cameras on ROS topics, with references
  intact run --source topics --ros-args -r camera/color/image_raw:=/left/rgb/image_rect_color

With --json, one line a decision on stdout; the table goes to stderr.
Exit code: 0 when every item got its disposition, 1 when one did not, none arrived or a node failed, 2 when the cell could not run.")]
pub struct RunArgs {
    /// Parameter file in ROS's form, a block a node
    #[arg(long, value_name = "FILE")]
    params: Vec<PathBuf>,
    /// Replay this bag: an MCAP or .db3 file, or a bag's folder
    #[arg(long, value_name = "BAG", conflicts_with = "source")]
    bag: Option<PathBuf>,
    /// Live source instead of a bag
    #[arg(long, value_enum)]
    source: Option<SourceName>,
    /// Pristine reference pictures, DIR/<product>/*.png, sqlite:PATH or postgres://…
    #[arg(long, value_name = "DIR", value_parser = given)]
    references: Option<Given>,
    /// Replay speed, 1 is real time, 0 as fast as possible
    #[arg(long, value_name = "R", conflicts_with = "lockstep")]
    rate: Option<f64>,
    /// Drop nothing: time goes on only when an item is decided
    #[arg(long)]
    lockstep: bool,
    /// Decide each item in view, as `<capture>#<k>`; without it a capture is one item
    #[arg(long)]
    clutter: bool,
    /// Write what was seen to this Rerun file
    #[arg(long, value_name = "FILE", value_parser = given)]
    rrd: Option<Given>,
    /// Record the run into this folder, as `ros2 bag` does
    #[arg(long, value_name = "DIR", value_parser = given)]
    record: Option<Given>,
    /// Serve the live view to a browser on this machine
    #[arg(long)]
    serve: bool,
    /// One JSON line a decision on stdout
    #[arg(long)]
    json: bool,
    /// How messages leave the process [default: dds; with --lockstep: in-process]
    #[arg(long, value_enum)]
    transport: Option<TransportName>,
    /// Namespace of the cell
    #[arg(long, default_value = "/", value_name = "NS")]
    namespace: String,
    /// The decision node's ledger [default: the parameter decision.ledger_path]
    #[arg(long, value_name = "FILE", value_parser = given)]
    ledger: Option<Given>,
    /// Number of items of the generated booth
    #[arg(long, value_name = "N")]
    items: Option<u32>,
    /// Seed of the generated booth
    #[arg(long, value_name = "S")]
    seed: Option<u32>,
    /// ROS's own arguments, last: -r FROM:=TO, -p NODE:NAME:=VALUE, --params-file FILE
    #[arg(long, num_args = 0.., allow_hyphen_values = true, value_name = "ARGS")]
    ros_args: Vec<String>,
}

/// A path, or nothing: launch files pass an argument that was left empty.
#[derive(Clone, Debug)]
struct Given(Option<PathBuf>);

fn given(text: &str) -> Result<Given, std::convert::Infallible> {
    Ok(Given((!text.is_empty()).then(|| PathBuf::from(text))))
}

fn path(argument: &Option<Given>) -> Option<&PathBuf> {
    argument.as_ref().and_then(|given| given.0.as_ref())
}

/// One decision as scripts read it.
#[derive(Debug, Serialize)]
struct DecisionLine<'a> {
    item_id: &'a str,
    stamp_ns: i64,
    disposition: &'static str,
    lane: &'a str,
    damage_score: Option<f32>,
    anomaly_score: Option<f32>,
    product: Option<&'a str>,
    reasons: &'a [String],
    latency_ms: Option<f32>,
}

impl<'a> DecisionLine<'a> {
    fn new(decision: &'a Decision) -> Self {
        let number = |x: f32| x.is_finite().then_some(x);
        DecisionLine {
            item_id: &decision.item_id,
            stamp_ns: Time::nanos(&decision.header.stamp),
            disposition: disposition_name(decision.disposition),
            lane: &decision.lane,
            damage_score: number(decision.damage_score),
            anomaly_score: number(decision.anomaly_score),
            product: (!decision.product.is_empty()).then_some(decision.product.as_str()),
            reasons: &decision.reasons,
            latency_ms: number(decision.latency_ms),
        }
    }
}

fn disposition_name(disposition: u8) -> &'static str {
    match disposition {
        Decision::SORT => "SORT",
        Decision::SIDELINE => "SIDELINE",
        // An unknown value is doubt, and doubt is looked at again.
        _ => "REIMAGE",
    }
}

pub fn run(args: RunArgs) -> Result<ExitCode> {
    refuse_idle_options(&args)?;
    let plan = plan(&args)?;
    let cancelled = cancel_on_signal()?;
    let cell = Cell::start(&plan)?;
    let (tally, rows) = follow(&cell, &args, &cancelled)?;
    let troubles = cell.stop();
    report(&args, &tally, rows);
    for (node, why) in &troubles {
        eprintln!("intact: node {node}: {why}");
    }
    if tally.summary().arrivals == 0 && !cancelled.load(Ordering::SeqCst) {
        eprintln!("intact: no item arrived: the source names none (topic item_arrival) and none settled in the tray; see camera.arrivals");
        return Ok(ExitCode::from(1));
    }
    let twice = tally.decided_twice();
    if !twice.is_empty() {
        eprintln!("intact: {} item(s) got more than one disposition: {}", twice.len(), shortened(&twice));
        return Ok(ExitCode::from(1));
    }
    let undecided = tally.undecided();
    if !undecided.is_empty() {
        eprintln!("intact: {} item(s) got no disposition: {}", undecided.len(), shortened(&undecided));
        return Ok(ExitCode::from(1));
    }
    Ok(if troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn shortened(ids: &[&str]) -> String {
    match ids {
        [first, second, third, rest @ ..] if !rest.is_empty() => format!("{first}, {second}, {third}, …"),
        _ => ids.join(", "),
    }
}

/// An option that would do nothing is a misunderstanding.
fn refuse_idle_options(args: &RunArgs) -> Result<()> {
    let live = args.source == Some(SourceName::Topics);
    let booth = args.bag.is_none() && !live;
    let idle = [
        (live && args.lockstep, "--lockstep", "live topics do not wait"),
        (live && args.rate.is_some(), "--rate", "live topics have their own"),
        (args.items.is_some() && !booth, "--items", "it belongs to --source booth"),
        (args.seed.is_some() && !booth, "--seed", "it belongs to --source booth"),
    ];
    match idle.into_iter().find(|(idle, ..)| *idle) {
        Some((_, option, why)) => anyhow::bail!("{option} has no effect here: {why}; leave it out"),
        None => Ok(()),
    }
}

/// Parameters from the arguments: each is a node's parameter under another name.
fn plan(args: &RunArgs) -> Result<Plan> {
    let mode = if args.lockstep { Mode::Lockstep } else { Mode::Live };
    let mut plan = Plan::new(context_options(args)?, mode);
    plan.namespace.clone_from(&args.namespace);
    plan.take_namespace(&args.ros_args)?;
    for file in &args.params {
        plan.add_file(file).with_context(|| "--params")?;
    }
    plan.add_ros_args(&args.ros_args)?;
    let text = |path: &PathBuf| ParameterValue::from(path.display().to_string());
    let replay = args.bag.is_some();
    if let Some(bag) = &args.bag {
        plan.set::<Camera>("source", "bag".to_owned()).set::<Camera>("bag", text(bag));
        look_through_cameras_of(bag, &mut plan)?;
    }
    match args.source {
        Some(SourceName::Booth) => drop(plan.set::<Camera>("source", "booth".to_owned())),
        Some(SourceName::Topics) => drop(plan.set::<Camera>("source", "topics".to_owned())),
        None => {}
    }
    if plan.get::<Camera>("source") == Some(ParameterValue::from("booth".to_owned())) {
        let cameras = match plan.get::<Camera>("booth_cameras") {
            Some(ParameterValue::Integer(n)) => usize::try_from(n).unwrap_or(1),
            _ => 1,
        };
        look_through(camera::booth_cameras(cameras), &mut plan);
    }
    // In lockstep time waits for the work, and for nothing else.
    if let Some(rate) = args.rate.or(args.lockstep.then_some(0.0)) {
        plan.set::<Camera>("rate", rate);
    }
    if args.clutter {
        let announced = plan.get::<Camera>("arrivals") == Some(ParameterValue::from("trigger".to_owned()));
        anyhow::ensure!(
            args.source != Some(SourceName::Topics) || !announced,
            "--clutter has no effect on items that somebody else announces: set `clutter` in their ItemArrival, or camera.arrivals to settling"
        );
        plan.set::<Camera>("clutter", true);
    }
    if let Some(items) = args.items {
        plan.set::<Camera>("booth_items", i64::from(items));
    }
    if let Some(seed) = args.seed {
        plan.set::<Camera>("booth_seed", i64::from(seed));
    }
    if let Some(dir) = path(&args.references) {
        plan.set::<Gallery>("references_dir", text(dir));
    }
    if let Some(ledger) = path(&args.ledger) {
        plan.set::<DecisionNode>("ledger_path", text(ledger));
    }
    plan.viewer = path(&args.rrd).is_some() || args.serve;
    if let Some(file) = path(&args.rrd) {
        plan.set::<Viewer>("rrd_path", text(file));
    }
    plan.set::<Viewer>("serve", args.serve);
    plan.recorder = path(&args.record).is_some();
    if let Some(dir) = path(&args.record) {
        plan.set::<Recorder>("output", text(dir));
    }
    if replay || args.lockstep {
        for time in [
            Plan::set::<Camera>,
            Plan::set::<Perception>,
            Plan::set::<Gallery>,
            Plan::set::<DecisionNode>,
            Plan::set::<Robot>,
            Plan::set::<Viewer>,
            Plan::set::<Recorder>,
        ] {
            time(&mut plan, "use_sim_time", true);
        }
    }
    if plan.recorder {
        let made_with = provenance::entries(&plan);
        plan.set::<Recorder>("metadata", made_with);
    }
    if let Some(bag) = &args.bag {
        for sentence in provenance::missing(bag, &bag::Bag::open(bag)?.custom_data(), &plan) {
            eprintln!("intact: {sentence}");
        }
    }
    Ok(plan)
}

/// The cameras that a bag was recorded with, and items that settle in the tray where it names no arrival, unless the
/// parameters say otherwise.
fn look_through_cameras_of(bag: &Path, plan: &mut Plan) -> Result<()> {
    let bag = bag::Bag::open(bag)?;
    let topics = bag.topics();
    let has_arrivals = topics.iter().any(|t| t.messages > 0 && t.type_name == "intact_msgs/msg/ItemArrival");
    if !has_arrivals && !plan.parameters.for_node(&plan.namespace, Camera::NAME).contains_key("arrivals") {
        plan.set::<Camera>("arrivals", "settling".to_owned());
    }
    // A bag that the camera cannot play is its to refuse, with the same words.
    if let Ok(found) = camera::cameras_of_bag(topics, &list(plan, "color_topics")) {
        look_through(found, plan);
    }
    Ok(())
}

fn list(plan: &Plan, name: &str) -> Vec<String> {
    match plan.get::<Camera>(name) {
        Some(ParameterValue::StringArray(list)) => list,
        _ => Vec::new(),
    }
}

/// Tells the nodes behind the camera which cameras there are, unless the parameters do.
fn look_through(found: Vec<String>, plan: &mut Plan) {
    // `camera.cameras` gives them other names.
    let named = list(plan, "cameras");
    let cameras = ParameterValue::StringArray(if named.is_empty() { found } else { named });
    fn fill<C: Component>(plan: &mut Plan, cameras: &ParameterValue) {
        if !plan.parameters.for_node(&plan.namespace, C::NAME).contains_key("cameras") {
            plan.set::<C>("cameras", cameras.clone());
        }
    }
    fill::<Perception>(plan, &cameras);
    fill::<Gallery>(plan, &cameras);
    fill::<Viewer>(plan, &cameras);
    fill::<Recorder>(plan, &cameras);
}

fn context_options(args: &RunArgs) -> Result<ContextOptions> {
    let mut options = ContextOptions::from_env()?;
    match args.transport {
        Some(TransportName::InProcess) => options.carrier = Carrier::InProcess,
        Some(TransportName::Dds) => options.carrier = Carrier::Dds,
        Some(TransportName::R2r) => options.carrier = Carrier::R2r,
        // A replay in lockstep must not be disturbed from outside, nor disturb a live cell in the same domain.
        None if args.lockstep => options.carrier = Carrier::InProcess,
        None => {}
    }
    anyhow::ensure!(
        options.carrier == Carrier::InProcess || options.discovery != DiscoveryRange::Off,
        "--transport contradicts ROS_AUTOMATIC_DISCOVERY_RANGE=OFF, with which nothing leaves the process; leave out one of the two"
    );
    Ok(options)
}

/// Set once on SIGINT or SIGTERM; the second one ends the process at once.
fn cancel_on_signal() -> Result<Arc<AtomicBool>> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if flag.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(cancelled)
}

/// Listens until the source has ended and everything is decided, or a signal comes.
fn follow(cell: &Cell, args: &RunArgs, cancelled: &AtomicBool) -> Result<(Tally, Vec<Arc<Decision>>)> {
    /// How long nothing may be heard after the end of the source while something is still missing.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// How long nothing may arrive before that is told.
    const SILENCE: Duration = Duration::from_secs(10);
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    let mut ended: Option<Instant> = None;
    let bar = progress(args);
    let (started, mut is_told) = (Instant::now(), false);
    loop {
        let news = cell.next(Duration::from_millis(if ended.is_some() { 20 } else { 200 }));
        let quiet = news.is_none();
        if !quiet && ended.is_some() {
            ended = Some(Instant::now());
        }
        match news {
            Some(News::Arrival(arrival)) => tally.arrival(&arrival.item_id),
            Some(News::Decision(decision)) => {
                if args.json {
                    // Not `say!`: a cell is stopped in good order, whoever stopped reading.
                    let line = serde_json::to_string(&DecisionLine::new(&decision))?;
                    writeln!(std::io::stdout(), "{line}").context("the output could not be written")?;
                }
                bar.inc(1);
                bar.set_message(format!("{} {}", decision.item_id, disposition_name(decision.disposition)));
                tally.decision(&decision);
                rows.push(decision);
            }
            Some(News::Outcome(outcome)) => tally.outcome(&outcome),
            Some(News::EndOfSource) => ended = Some(Instant::now()),
            // Nothing more can come of it.
            None if ended.is_none() && cell.source_failed() => ended = Some(Instant::now()),
            None => {}
        }
        if !is_told && tally.summary().arrivals == 0 && ended.is_none() && started.elapsed() > SILENCE {
            bar.suspend(|| eprintln!("intact: nothing has arrived yet: items come by topic item_arrival, or settle before a camera that publishes; Ctrl-C ends"));
            is_told = true;
        }
        let finished =
            quiet && ended.is_some() && cell.is_idle(Duration::ZERO) && tally.is_complete() && tally.without_outcome().is_empty();
        let late = ended.is_some_and(|at| at.elapsed() > PATIENCE);
        if finished || late || cancelled.load(Ordering::SeqCst) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok((tally, rows))
}

fn progress(args: &RunArgs) -> ProgressBar {
    if args.json && !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} decided, {per_sec}  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The table for people: on stdout, or on stderr beside JSON lines.
fn report(args: &RunArgs, tally: &Tally, rows: Vec<Arc<Decision>>) {
    let text = format!("{}\n{}", decision_table(rows), summary_text(&tally.summary()));
    if args.json {
        eprintln!("{text}");
    } else {
        say!("{text}");
    }
}

fn decision_table(rows: Vec<Arc<Decision>>) -> String {
    /// More rows than this say nothing more to a person.
    const ROWS: usize = 60;
    let mut table = table::table(&["item", "disposition", "lane", "damage", "anomaly", "product", "reasons", "ms"]);
    let hidden = rows.len().saturating_sub(ROWS);
    for d in rows.iter().take(ROWS) {
        table.add_row(vec![
            d.item_id.clone().into(),
            table::disposition(disposition_name(d.disposition)),
            d.lane.clone().into(),
            table::number(damage_text(d)),
            table::number(table::score(d.anomaly_score, 2)),
            d.product.clone().into(),
            d.reasons.join(" ").into(),
            table::number(table::score(d.latency_ms, 0)),
        ]);
    }
    if hidden > 0 { format!("{table}\n… and {hidden} more") } else { table.to_string() }
}

/// Perception's score, and the one beside the reference where that was judged.
fn damage_text(d: &Decision) -> String {
    let perceived = table::score(d.damage_score, 2);
    if d.damage_rejudged.is_nan() { perceived } else { format!("{perceived} → {}", table::score(d.damage_rejudged, 2)) }
}

fn summary_text(s: &Summary) -> String {
    let [sort, sideline, reimage] = s.by_disposition;
    let reasons = s.reasons.iter().map(|(r, n)| format!("{r} {n}")).collect::<Vec<_>>().join(", ");
    let latency = s.latency_ms.map_or_else(String::new, |(p50, p99)| format!("; decision after {p50:.0} ms (median), {p99:.0} ms (p99)"));
    format!(
        "{} items arrived, {} decided: {sort} SORT, {sideline} SIDELINE, {reimage} REIMAGE; {} diverted by the robot{latency}\nreasons: {reasons}",
        s.arrivals, s.decisions, s.diverted
    )
}

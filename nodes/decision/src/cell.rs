//! The worker: inputs in, decisions out.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use disposition::{CaseSummary, Desk, Disposition, Evidence, Had, LedgerOutcome, Policy, Reason, Refusal, Step, Verdict, decide};
use intact_msgs::msg::{CellEvent, Decision, GalleryReport, Inspection, ItemArrival};
use manipulation::FrameTree;
use node_kit::{Inbox, Mode, NodeError, Ports, Shared, Stop};
use ros_interfaces::{builtin_interfaces::msg::Time, geometry_msgs::msg::PoseStamped};
use transport::{Publisher, Qos, Token};

use crate::{
    books::{Books, Written},
    commander::{Command, Queue},
    convert,
    params::DecisionParams,
    time::{steady_ns, unix_ns},
};

/// The worker looks at the stop sign at least this often.
const IDLE: Duration = Duration::from_millis(100);
/// A stamp may lead `/clock` by this much: messages of one bag time come before or after its `/clock`.
const CLOCK_LEAD_NS: i64 = 10_000_000_000;
/// How long lockstep waits for the other nodes before a deadline may expire.
const SETTLE: Duration = Duration::from_secs(30);

/// One of the worker's inputs.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Arrival(Arc<ItemArrival>),
    Inspection(Arc<Inspection>),
    Gallery(Arc<GalleryReport>),
    RecordedDeadline(Arc<CellEvent>),
    Outcome(LedgerOutcome),
    /// ROS time, nanoseconds; lockstep only.
    Clock(i64),
}

/// An input and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    input: Input,
    at: Instant,
}

impl Received {
    pub fn now(input: Input) -> Self {
        Self { input, at: Instant::now() }
    }
}

/// A `/clock` at which a deadline would expire, held back until every other node has finished: whether an input or the
/// deadline comes first must not depend on threads.
struct HeldClock {
    ros_ns: i64,
    since: Instant,
    _token: Token,
}

/// State of the worker.
pub(crate) struct Cell {
    ports: Ports,
    params: Shared<DecisionParams>,
    in_force: (Arc<DecisionParams>, Policy),
    inbox: Inbox<Received>,
    commands: Queue,
    frames: Arc<Mutex<FrameTree>>,
    decisions: Publisher<Decision>,
    desk: Desk,
    books: Books,
    started: Instant,
    now_ns: i64,
    clock_ns: Option<i64>,
    held: Option<HeldClock>,
    stopping: bool,
}

impl Cell {
    pub fn new(
        ports: &Ports,
        params: Shared<DecisionParams>,
        inbox: Inbox<Received>,
        commands: Queue,
        frames: Arc<Mutex<FrameTree>>,
    ) -> Result<Self, NodeError> {
        let current = params.get();
        let policy = current.policy().map_err(NodeError::msg)?;
        let run_id = match current.run_id.as_str() {
            "" => format!("run-{}-{}", unix_ns(), std::process::id()),
            given => given.to_owned(),
        };
        Ok(Self {
            decisions: ports.node.publisher("decision", Qos::event())?,
            desk: Desk::new(current.desk()),
            books: Books::open(current.ledger_file(), run_id, ports.diagnostics.clone()).map_err(NodeError::msg)?,
            ports: ports.clone(),
            params,
            in_force: (current, policy),
            inbox,
            commands,
            frames,
            started: Instant::now(),
            now_ns: 0,
            clock_ns: None,
            held: None,
            stopping: false,
        })
    }

    /// Works until it is told to stop; then decides what is open, since no later input can come.
    pub fn run(&mut self, stop: &Stop) {
        self.stopping = false;
        while !stop.is_set() {
            self.adopt_parameters();
            match self.inbox.recv_timeout(self.patience()) {
                Some(handled) => {
                    let (received, token) = handled.into_parts();
                    self.handle(received, token);
                }
                None => self.pass_time(),
            }
        }
        self.stopping = true;
        self.held = None;
        let steps = self.desk.tick(i64::MAX);
        self.act(steps, Instant::now());
        // What became of them belongs in the ledger; whatever else still waits came too late.
        while let Some(handled) = self.inbox.recv_timeout(Duration::ZERO) {
            if let (Received { input: Input::Outcome(outcome), .. }, _token) = handled.into_parts() {
                self.write_outcome(outcome);
            }
        }
        self.now_ns = i64::MIN; // a new life begins with a new clock
        self.desk = Desk::new(self.in_force.0.desk());
    }

    /// Dynamic parameters hold from the next input on; a policy that is none leaves the old one in force.
    fn adopt_parameters(&mut self) {
        let current = self.params.get();
        if Arc::ptr_eq(&current, &self.in_force.0) {
            return;
        }
        match current.policy() {
            Ok(policy) => {
                self.desk.set_config(current.desk());
                self.in_force = (current, policy);
            }
            Err(error) => {
                self.ports.diagnostics.warn(format!("the old policy stays in force: {error}"));
                self.in_force.0 = current;
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.held.is_some() {
            return Duration::from_micros(200);
        }
        match (self.ports.mode, self.desk.next_deadline_ns()) {
            (Mode::Live, Some(at_ns)) => {
                let left_ns = at_ns.saturating_sub(steady_ns(self.started, Instant::now())).max(0);
                Duration::from_nanos(left_ns.unsigned_abs()).min(IDLE)
            }
            _ => IDLE,
        }
    }

    fn pass_time(&mut self) {
        let steps = match (self.ports.mode, self.held.take()) {
            (Mode::Live, _) => {
                self.now_ns = self.now_ns.max(steady_ns(self.started, Instant::now()));
                self.desk.tick(self.now_ns)
            }
            (Mode::Lockstep, Some(held)) => {
                // The held token is the last one: nobody else has work, so no input is on its way.
                let settled = self.ports.node.context().activity().active() <= 1;
                if !settled && held.since.elapsed() < SETTLE {
                    self.held = Some(held);
                    return;
                }
                let steps = self.desk.tick(held.ros_ns);
                self.act(steps, Instant::now());
                return; // the token lives until here
            }
            (Mode::Lockstep, None) => return,
        };
        self.act(steps, Instant::now());
    }

    fn handle(&mut self, received: Received, token: Token) {
        let at = received.at;
        let mut steps = Vec::new();
        if self.ports.mode == Mode::Live {
            // An input is late when it came after the deadline, whenever the worker gets to it.
            self.now_ns = self.now_ns.max(steady_ns(self.started, at));
            steps.extend(self.desk.tick(self.now_ns));
        }
        match received.input {
            Input::Arrival(m) => {
                let now_ns = self.now_for(m.header.stamp.nanos());
                steps.extend(self.desk.arrival(convert::arrival(&m), now_ns));
            }
            Input::Inspection(m) => {
                let now_ns = self.now_for(m.header.stamp.nanos());
                steps.extend(self.desk.inspection(convert::inspection(&m), now_ns));
            }
            Input::Gallery(m) => {
                let now_ns = self.now_for(m.header.stamp.nanos());
                steps.extend(self.desk.gallery(convert::gallery(&m), now_ns));
            }
            Input::RecordedDeadline(m) => match Had::parse(&m.detail) {
                Some(had) => steps.extend(self.desk.recorded_deadline(&m.item_id, had)),
                None => {
                    self.refuse(&Refusal { item_id: m.item_id.clone(), why: format!("a recorded deadline without `had=`: {}", m.detail) })
                }
            },
            Input::Outcome(outcome) => self.write_outcome(outcome),
            Input::Clock(ros_ns) => return self.clock(ros_ns, token),
        }
        self.act(steps, at);
    }

    /// The desk's time for an input: steady when live; ROS time in lockstep, where messages may lead `/clock` a little.
    fn now_for(&self, stamp_ns: i64) -> i64 {
        match (self.ports.mode, self.clock_ns) {
            (Mode::Live, _) => self.now_ns,
            (Mode::Lockstep, None) => stamp_ns,
            (Mode::Lockstep, Some(clock_ns)) => stamp_ns.clamp(clock_ns, clock_ns.saturating_add(CLOCK_LEAD_NS)),
        }
    }

    fn clock(&mut self, ros_ns: i64, token: Token) {
        let jumped_back = self.clock_ns.is_some_and(|before| ros_ns < before);
        self.clock_ns = Some(ros_ns);
        if jumped_back || self.desk.next_deadline_ns().is_some_and(|at_ns| at_ns <= ros_ns) {
            self.held = Some(HeldClock { ros_ns, since: Instant::now(), _token: token });
        } else {
            let steps = self.desk.tick(ros_ns);
            self.act(steps, Instant::now());
        }
    }

    fn write_outcome(&mut self, outcome: LedgerOutcome) {
        self.books.outcome(&LedgerOutcome { run_id: self.books.run_id().to_owned(), ..outcome });
    }

    fn act(&mut self, steps: Vec<Step>, since: Instant) {
        for step in steps {
            match step {
                Step::Refuse(refusal) => self.refuse(&refusal),
                Step::Decide(evidence, summary) => self.decide_all(evidence, &summary, since),
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) {
        let stamp = Time::from_nanos(self.clock_ns.unwrap_or_default());
        tracing::warn!(item_id = %refusal.item_id, "{}", refusal.why);
        self.ports.event(CellEvent::INPUT_REFUSED, &refusal.item_id, stamp, &refusal.why);
    }

    fn decide_all(&mut self, evidence: Vec<Evidence>, summary: &CaseSummary, since: Instant) {
        if summary.expired {
            let stamp_ns = evidence.first().and_then(|e| e.arrival.as_deref()).map_or(0, |a| a.stamp_ns);
            let (id, had) = (&summary.item_id, summary.had.to_string());
            self.ports.event(CellEvent::DEADLINE_EXPIRED, id, Time::from_nanos(stamp_ns), &had);
        }
        for subject in evidence {
            self.decide_one(subject, summary, since);
        }
    }

    fn decide_one(&mut self, mut evidence: Evidence, summary: &CaseSummary, since: Instant) {
        let pick_pose = self.pick_in_world(&evidence);
        evidence.transform_missing = matches!(pick_pose, Err(Some(_)));
        let policy = &self.in_force.1;
        let verdict = decide(&evidence, policy);
        let latency_ms = self.latency_ms(&evidence, summary);
        let decision_ms = since.elapsed().as_secs_f32() * 1e3;
        let draft = convert::decision(&evidence, &verdict, policy, latency_ms, decision_ms);
        let entry = convert::ledger_entry(&draft, &verdict, self.books.run_id(), unix_ns());
        let written = self.books.decision(&entry);
        let policy = &self.in_force.1;
        let verdict = match written {
            Written::Yes => verdict,
            Written::Duplicate => verdict.overruled(Reason::DuplicateItem, &policy.sideline_lane),
            Written::Failed => verdict.overruled(Reason::LedgerFailed, &policy.sideline_lane),
        };
        let (latency_ms, decision_ms) = (self.latency_ms(&evidence, summary), since.elapsed().as_secs_f32() * 1e3);
        let decision = convert::decision(&evidence, &verdict, policy, latency_ms, decision_ms);
        let pick_pose = match (written, pick_pose) {
            (Written::Yes, _) if evidence.duplicate => Err("its id was seen twice"),
            (Written::Yes, _) if self.stopping => Err("the cell was stopped"),
            (Written::Yes, Ok(pose)) => Ok(pose),
            (Written::Yes, Err(missing)) => Err(missing.unwrap_or("it has no usable pick pose")),
            (Written::Duplicate, _) => Err("its id was seen twice"),
            (Written::Failed, _) => Err("its decision could not be written to the ledger"),
        };
        self.publish(decision, &verdict, pick_pose);
    }

    fn publish(&self, decision: Decision, verdict: &Verdict, pick_pose: Result<PoseStamped, &'static str>) {
        self.ports.diagnostics.count(
            match verdict.disposition {
                Disposition::Sort => "sorted",
                Disposition::Sideline => "sidelined",
                Disposition::Reimage => "reimaged",
            },
            1,
        );
        let command =
            Command { item_id: decision.item_id.clone(), stamp: decision.header.stamp.clone(), lane: decision.lane.clone(), pick_pose };
        if let Err(error) = self.decisions.publish(Arc::new(decision)) {
            self.ports.diagnostics.warn(format!("a decision is not published: {error}"));
        }
        self.commands.push(command);
    }

    /// The pick pose in the robot's frame. `Err(None)`: there is none; `Err(Some)`: its frame is not connected.
    fn pick_in_world(&self, evidence: &Evidence) -> Result<PoseStamped, Option<&'static str>> {
        let pick = evidence.subject().and_then(|s| s.pick.as_ref()).ok_or(None)?;
        let pose = manipulation::checked_pose("pick pose", &pick.frame_id, pick.position_m, pick.orientation_xyzw).map_err(|_| None)?;
        let world = &self.in_force.0.world_frame;
        let lookup = match self.frames.lock() {
            Ok(frames) => frames.lookup(world, &pick.frame_id),
            Err(_) => return Err(Some("its transforms are lost")),
        };
        match lookup {
            Ok(world_from_pick_frame) => {
                let pose = world_from_pick_frame * pose;
                let (t, q) = (pose.translation.vector, pose.rotation.coords);
                let stamp = Time::from_nanos(pick.stamp_ns);
                Ok(convert::pose_stamped(world, stamp, [t.x, t.y, t.z], [q.x, q.y, q.z, q.w]))
            }
            Err(error) => {
                self.ports.diagnostics.count("missing_transforms", 1);
                self.ports.diagnostics.warn(format!("item {}: {error}", evidence.item_id));
                Err(Some("the frame of its pick pose is not connected to the cell"))
            }
        }
    }

    /// Steady time from the frame's last part to now: what perception measured, and what passed since its inspection
    /// came. Without an inspection (or in lockstep, where no steady time was kept) only what was measured.
    fn latency_ms(&self, evidence: &Evidence, summary: &CaseSummary) -> f32 {
        let measured: f32 = evidence.inspection.as_deref().map_or(0.0, |i| i.timings.iter().map(|(_, ms)| ms).sum());
        if self.ports.mode == Mode::Lockstep {
            let gallery: f32 = evidence.gallery_report().map_or(0.0, |g| g.timings.iter().map(|(_, ms)| ms).sum());
            return measured + gallery;
        }
        let since_ns = summary.inspected_ns.unwrap_or(summary.opened_ns);
        let waited_ns = steady_ns(self.started, Instant::now()).saturating_sub(since_ns).max(0);
        measured + (waited_ns as f64 / 1e6) as f32
    }
}

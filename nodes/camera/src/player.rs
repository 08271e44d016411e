//! Gives a source's steps out: on time at the chosen rate, or in lockstep.

use std::time::{Duration, Instant};

use intact_msgs::msg::{CellEvent, ItemArrival};
use node_kit::{Mode, Ports, Stop};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;
use transport::TransportError;

use crate::checks::{InputChecks, Verdict};
use crate::outlets::Outlets;
use crate::playback::Playback;
use crate::settling::Settling;
use crate::source::{Outgoing, Problem, Source, Step};
use crate::watch::SettlingWatch;

/// How long one look at the process's activity lasts, so that a stop is noticed.
const LOOK: Duration = Duration::from_millis(100);
/// Live: how long the end of the source waits for work in progress.
const LIVE_END: Duration = Duration::from_secs(10);

/// What a player does.
#[derive(Clone, Debug)]
pub(crate) struct PlayerOptions {
    /// Begin anew at the end.
    pub(crate) is_loop: bool,
    /// Distance of `/clock` messages, nanoseconds.
    pub(crate) clock_period_ns: i64,
    /// ROS time that passes after the end, nanoseconds.
    pub(crate) end_wait_ns: i64,
    /// Lockstep: longest wait for work.
    pub(crate) lockstep_timeout: Duration,
    /// Mark every arrival as clutter.
    pub(crate) clutter: bool,
    /// Frame of arrivals that are seen settling.
    pub(crate) arrival_frame: String,
}

/// Why a replay ends before its source does.
enum Halt {
    /// It was told to.
    Stopped,
    /// It cannot go on.
    Failed(String),
}

impl From<TransportError> for Halt {
    fn from(error: TransportError) -> Self {
        Self::Failed(format!("the replay cannot publish: {error}"))
    }
}

/// Whether every camera's pose is known. A bag's `/tf_static` comes with its first messages: only a picture of a camera
/// that stands nowhere is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    Unknown,
    Warned,
    Complete,
}

/// A source being replayed.
pub(crate) struct Player {
    ports: Ports,
    source: Box<dyn Source>,
    outlets: Outlets,
    playback: Playback,
    options: PlayerOptions,
    checks: InputChecks,
    settling: Option<SettlingWatch>,
    /// The source has no time of its own and nobody simulates one: stamps are the system's, and there is no `/clock`.
    is_wall_time: bool,
    /// The source's time, as last told by `/clock`.
    now_ns: Option<i64>,
    round: u32,
    /// Added to every stamp in this round.
    shift_ns: i64,
    /// First time of the source, and its time from one step to the next.
    first_ns: Option<i64>,
    last_gap_ns: i64,
    placement: Placement,
    /// A step that was not due yet when the replay was stopped.
    waiting: Option<Step>,
    ended: bool,
}

impl Player {
    pub(crate) fn new(
        ports: &Ports,
        source: Box<dyn Source>,
        outlets: Outlets,
        playback: Playback,
        options: PlayerOptions,
        settling: Option<Settling>,
    ) -> Self {
        let checks = InputChecks::new(source.cameras().len()).of_record(source.is_recorded_run());
        let is_wall_time = ports.mode == Mode::Live && !source.has_own_time() && !ports.node.clock().is_simulated();
        Self {
            ports: ports.clone(),
            source,
            outlets,
            playback,
            options,
            checks,
            settling: settling.map(SettlingWatch::new),
            is_wall_time,
            now_ns: None,
            round: 1,
            shift_ns: 0,
            first_ns: None,
            last_gap_ns: 0,
            placement: Placement::Unknown,
            waiting: None,
            ended: false,
        }
    }

    /// Plays to the end of the source, or until told to stop. Called again, it goes on where it stopped.
    pub(crate) fn run(&mut self, stop: &Stop) {
        if self.ended {
            return;
        }
        match self.play(stop) {
            Ok(()) => self.ended = true,
            Err(Halt::Stopped) => {}
            Err(Halt::Failed(why)) => self.ports.health.fail(why),
        }
    }

    fn play(&mut self, stop: &Stop) -> Result<(), Halt> {
        self.playback.restart();
        self.outlets.publish_frames()?;
        self.ports.diagnostics.ok(self.source.describe());
        while let Some(step) = self.next_step() {
            let time_ns = step.time_ns;
            self.waiting = Some(step);
            self.advance_clock(time_ns, stop)?;
            if let Some(step) = self.waiting.take() {
                self.publish_step(step)?;
            }
            self.settle(stop)?;
        }
        self.end(stop)
    }

    /// The step that waits, or the next one of the source, of the next round where there is one.
    fn next_step(&mut self) -> Option<Step> {
        if self.waiting.is_some() {
            return self.waiting.take();
        }
        loop {
            if let Some(step) = self.source.next_step() {
                return Some(self.placed(step));
            }
            if !self.options.is_loop || self.first_ns.is_none() {
                return None;
            }
            self.begin_next_round();
        }
    }

    /// The step with the stamps and ids of this round.
    fn placed(&mut self, mut step: Step) -> Step {
        self.first_ns.get_or_insert(step.time_ns);
        step.shift(self.shift_ns);
        for message in &mut step.messages {
            if self.round > 1
                && let Some(id) = message.item_id_mut().filter(|id| !id.is_empty())
            {
                // `<item>#<instance>` keeps its instance at the end.
                let item_end = id.find('#').unwrap_or(id.len());
                id.insert_str(item_end, &format!("~{}", self.round));
            }
            if let Outgoing::Arrival(arrival) = message {
                arrival.clutter |= self.options.clutter;
            }
        }
        if let Some(now_ns) = self.now_ns.filter(|now_ns| *now_ns < step.time_ns) {
            self.last_gap_ns = step.time_ns - now_ns;
        }
        step.sort();
        step
    }

    fn begin_next_round(&mut self) {
        self.source.rewind();
        self.round += 1;
        if let (Some(first_ns), Some(now_ns)) = (self.first_ns, self.now_ns) {
            // The next round begins as long after this one's end as its last step came after the one before.
            self.shift_ns = now_ns.saturating_add(self.last_gap_ns.max(self.options.clock_period_ns)).saturating_sub(first_ns);
        }
        self.ports.diagnostics.set("round", self.round);
    }

    /// Lets ROS time pass until `time_ns`, in steps of `/clock`; in lockstep every step waits for its consequences, so
    /// that deadlines run out one after another and not together.
    fn advance_clock(&mut self, time_ns: i64, stop: &Stop) -> Result<(), Halt> {
        let mut tick_ns = self.now_ns.map_or(time_ns, |now_ns| now_ns.saturating_add(self.options.clock_period_ns).min(time_ns));
        loop {
            if !self.playback.wait_until(tick_ns, stop) {
                return Err(Halt::Stopped);
            }
            self.now_ns = Some(tick_ns);
            if !self.is_wall_time {
                self.outlets.publish_clock(tick_ns)?;
                self.settle(stop)?;
            }
            if tick_ns >= time_ns {
                return Ok(());
            }
            tick_ns = tick_ns.saturating_add(self.options.clock_period_ns).min(time_ns);
        }
    }

    fn publish_step(&mut self, mut step: Step) -> Result<(), Halt> {
        if self.is_wall_time {
            step.shift(self.ports.node.clock().now_ns().saturating_sub(step.time_ns));
        }
        // Work in progress until the whole step is out: nobody may take a pause between two messages for the end.
        let _busy = self.ports.node.context().activity().begin();
        for problem in step.problems {
            self.refuse(&problem);
        }
        let pictures = step.messages.iter().any(|m| matches!(m, Outgoing::Color(..) | Outgoing::Depth(..)));
        for message in step.messages {
            match self.checks.judge(&message) {
                Verdict::Good => {}
                Verdict::Odd(problem) => self.refuse(&problem),
                Verdict::Refused(problem) => {
                    self.refuse(&problem);
                    continue;
                }
            }
            self.count(&message);
            let settled_ns = self.settling.as_mut().and_then(|watch| watch.see(&message));
            self.outlets.publish(message)?;
            if let Some(stamp_ns) = settled_ns {
                let arrival = settled_arrival(stamp_ns, &self.options.arrival_frame, self.options.clutter);
                self.outlets.publish(Outgoing::Arrival(arrival))?;
                self.ports.diagnostics.count("arrivals", 1);
            }
        }
        if self.placement != Placement::Complete {
            self.look_for_poses(pictures);
        }
        Ok(())
    }

    /// Lockstep, or as fast as possible: waits until nothing in the process has work left. At a rate: does not wait.
    fn settle(&self, stop: &Stop) -> Result<(), Halt> {
        if self.ports.mode == Mode::Live && self.playback.rate() > 0.0 {
            return Ok(());
        }
        let activity = self.ports.node.context().activity();
        let began = Instant::now();
        while !activity.wait_idle(LOOK) {
            if stop.is_set() {
                return Err(Halt::Stopped);
            }
            if began.elapsed() > self.options.lockstep_timeout {
                return Err(Halt::Failed(format!(
                    "{} pieces of work are not done after {} s; see which node is busy, or raise lockstep_timeout_s",
                    activity.active(),
                    self.options.lockstep_timeout.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// Lets waits and deadlines run out, then says that the source is over.
    fn end(&mut self, stop: &Stop) -> Result<(), Halt> {
        let last_ns = self.now_ns.unwrap_or(0);
        for problem in self.checks.finish() {
            self.refuse(&problem);
        }
        let over_ns = last_ns.saturating_add(self.options.end_wait_ns);
        if self.ports.mode == Mode::Lockstep {
            self.advance_clock(over_ns, stop)?;
        } else {
            let began = Instant::now();
            while began.elapsed() < LIVE_END && !self.ports.node.context().activity().wait_idle(LOOK) {
                if stop.is_set() {
                    return Err(Halt::Stopped);
                }
            }
            if !self.is_wall_time {
                self.outlets.publish_clock(over_ns)?;
            }
        }
        let stamp_ns = if self.is_wall_time { self.ports.node.clock().now_ns() } else { last_ns };
        self.ports.event(CellEvent::ITEM_DONE, "", Time::from_nanos(stamp_ns), "end_of_source");
        self.ports.diagnostics.ok("the source is at its end");
        tracing::info!("end of source");
        Ok(())
    }

    fn refuse(&self, problem: &Problem) {
        tracing::warn!(item = problem.item_id, "{}", problem.detail);
        self.ports.event(CellEvent::INPUT_REFUSED, &problem.item_id, Time::from_nanos(problem.stamp_ns), &problem.detail);
    }

    fn count(&self, message: &Outgoing) {
        match message {
            Outgoing::Arrival(_) => self.ports.diagnostics.count("arrivals", 1),
            Outgoing::Color(..) => self.ports.diagnostics.count("color_images", 1),
            Outgoing::Depth(..) => self.ports.diagnostics.count("depth_images", 1),
            _ => {}
        }
    }

    /// Warns once of cameras whose pictures go out while nobody said where they stand; takes it back when it is said.
    fn look_for_poses(&mut self, pictures: bool) {
        let unplaced = self.outlets.unplaced();
        if unplaced.is_empty() {
            if self.placement == Placement::Warned {
                self.ports.diagnostics.ok(self.source.describe());
            }
            self.placement = Placement::Complete;
        } else if pictures && self.placement == Placement::Unknown {
            self.placement = Placement::Warned;
            self.ports.diagnostics.warn(format!(
                "{}; camera {} has no pose yet: set extrinsics.<camera>, or nothing can be picked",
                self.source.describe(),
                unplaced.join(", ")
            ));
        }
    }
}

/// The arrival of an item that was seen settling; its id is unique over runs.
pub(crate) fn settled_arrival(stamp_ns: i64, frame_id: &str, clutter: bool) -> ItemArrival {
    ItemArrival {
        header: Header { stamp: Time::from_nanos(stamp_ns), frame_id: frame_id.to_owned() },
        item_id: format!("settled-{stamp_ns}"),
        clutter,
        source: "settling".into(),
        ..ItemArrival::default()
    }
}

//! Pause and rate, as `ros2 bag play` offers them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node_kit::{NodeError, Ports, Stop};
use ros_interfaces::rosbag2_interfaces::srv::{
    GetRate, GetRateResponse, IsPaused, IsPausedResponse, Pause, PauseResponse, Resume, ResumeResponse, SetRate, SetRateRequest,
    SetRateResponse, TogglePaused, TogglePausedResponse,
};
use transport::ServiceServer;

/// How often a paused or waiting replay looks at its controls.
const POLL: Duration = Duration::from_millis(20);
/// Fastest rate; above it ask for 0, as fast as possible.
pub(crate) const MAX_RATE: f64 = 1000.0;

/// The controls of a replay. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    paused: bool,
    /// 0: as fast as possible.
    rate: f64,
    /// Where ROS time and the steady clock were last set against each other.
    anchor: Option<(i64, Instant)>,
}

impl Playback {
    pub(crate) fn new(rate: f64, paused: bool) -> Self {
        Self { state: Arc::new(Mutex::new(State { paused, rate, anchor: None })) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        let mut state = self.state();
        state.paused = paused;
        state.anchor = None;
    }

    /// Time counts anew from the next step.
    pub(crate) fn restart(&self) {
        self.state().anchor = None;
    }

    pub(crate) fn toggle(&self) {
        let paused = self.state().paused;
        self.set_paused(!paused);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state().paused
    }

    pub(crate) fn rate(&self) -> f64 {
        self.state().rate
    }

    /// False when the rate is no rate.
    pub(crate) fn set_rate(&self, rate: f64) -> bool {
        let good = (0.0..=MAX_RATE).contains(&rate);
        if good {
            let mut state = self.state();
            state.rate = rate;
            state.anchor = None;
        }
        good
    }

    /// Waits until it is time for `time_ns`: false when the replay is to stop.
    pub(crate) fn wait_until(&self, time_ns: i64, stop: &Stop) -> bool {
        loop {
            if stop.is_set() {
                return false;
            }
            let left = self.left(time_ns);
            match left {
                Some(left) if left.is_zero() => return true,
                Some(left) => drop(stop.wait(left.min(POLL))),
                None => drop(stop.wait(POLL)),
            }
        }
    }

    /// Time until `time_ns` is due; `None` while paused.
    fn left(&self, time_ns: i64) -> Option<Duration> {
        let mut state = self.state();
        if state.paused {
            return None;
        }
        let now = Instant::now();
        let (anchor_ns, anchor) = *state.anchor.get_or_insert((time_ns, now));
        // A jump back, or a first step after a change: time counts from here.
        if time_ns < anchor_ns {
            state.anchor = Some((time_ns, now));
            return Some(Duration::ZERO);
        }
        if state.rate <= 0.0 {
            return Some(Duration::ZERO);
        }
        let due = Duration::from_secs_f64((time_ns - anchor_ns) as f64 * 1e-9 / state.rate);
        Some(due.saturating_sub(now.saturating_duration_since(anchor)))
    }

    /// `~/pause`, `~/resume`, `~/toggle_paused`, `~/is_paused`, `~/set_rate`, `~/get_rate`.
    ///
    /// # Errors
    /// When a service cannot be served.
    pub(crate) fn serve(&self, ports: &Ports) -> Result<Vec<ServiceServer>, NodeError> {
        let node = &ports.node;
        let (pause, resume, toggle, paused, set, get) =
            (self.clone(), self.clone(), self.clone(), self.clone(), self.clone(), self.clone());
        Ok(vec![
            node.serve::<Pause>("~/pause", move |_| {
                pause.set_paused(true);
                PauseResponse::default()
            })?,
            node.serve::<Resume>("~/resume", move |_| {
                resume.set_paused(false);
                ResumeResponse::default()
            })?,
            node.serve::<TogglePaused>("~/toggle_paused", move |_| {
                toggle.toggle();
                TogglePausedResponse::default()
            })?,
            node.serve::<IsPaused>("~/is_paused", move |_| IsPausedResponse { paused: paused.is_paused() })?,
            node.serve::<SetRate>("~/set_rate", move |r: SetRateRequest| SetRateResponse { success: set.set_rate(r.rate) })?,
            node.serve::<GetRate>("~/get_rate", move |_| GetRateResponse { rate: get.rate() })?,
        ])
    }
}

//! What drives the joints: the seam between planning and hardware.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use manipulation::{JointSample, Trajectory, nalgebra::DVector};

/// Why a motion did not reach its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The trajectory does not begin where the joints are.
    #[error("the trajectory begins {gap_rad:.3} rad away from the joints; plan again from where they are")]
    NotAtStart {
        /// Largest difference of a joint.
        gap_rad: f64,
    },
}

/// Drives joints along trajectories and works the suction.
///
/// The demo's is [`SimulatedController`]; a real arm's would be a client of its `FollowJointTrajectory` action.
pub trait Controller: Send + Sync + 'static {
    /// The joints now.
    fn joints(&self) -> JointSample;

    /// Whether the suction is on.
    fn suction(&self) -> bool;

    /// Turns the suction on or off.
    fn set_suction(&self, on: bool);

    /// Drives to the end of the trajectory and returns when it is reached. `on_sample` is told the seconds since the
    /// start as often as the controller reports.
    fn execute(&self, trajectory: &Trajectory, on_sample: &mut dyn FnMut(f64)) -> Result<(), ControlError>;

    /// Waits, as long as the controller's time runs.
    fn wait(&self, seconds: f64);
}

/// How the simulation's time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// By the steady clock, times `speed`; a state every `period`.
    Timed {
        /// Between two states.
        period: Duration,
        /// 1.0: as planned.
        speed: f64,
    },
    /// It takes no time; so many states a motion.
    AtOnce {
        /// States.
        samples: usize,
    },
}

/// Joints that follow a trajectory exactly.
#[derive(Debug)]
pub struct SimulatedController {
    pace: Pace,
    state: Mutex<(JointSample, bool)>,
}

impl SimulatedController {
    /// At rest at these angles, the suction off.
    pub fn new(position_rad: DVector<f64>, pace: Pace) -> Self {
        let zeros = DVector::zeros(position_rad.len());
        let at_rest = JointSample { position_rad, velocity_rad_s: zeros.clone(), acceleration_rad_s2: zeros };
        Self { pace, state: Mutex::new((at_rest, false)) }
    }

    fn state(&self) -> MutexGuard<'_, (JointSample, bool)> {
        // A thread that panicked left a whole sample behind: it is assigned at once.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, trajectory: &Trajectory, t_s: f64, on_sample: &mut dyn FnMut(f64)) {
        self.state().0 = trajectory.sample(t_s);
        on_sample(t_s);
    }
}

impl Controller for SimulatedController {
    fn joints(&self) -> JointSample {
        self.state().0.clone()
    }

    fn suction(&self) -> bool {
        self.state().1
    }

    fn set_suction(&self, on: bool) {
        self.state().1 = on;
    }

    fn execute(&self, trajectory: &Trajectory, on_sample: &mut dyn FnMut(f64)) -> Result<(), ControlError> {
        let gap_rad = (trajectory.sample(0.0).position_rad - self.joints().position_rad).amax();
        if gap_rad > 1e-3 {
            return Err(ControlError::NotAtStart { gap_rad });
        }
        let duration_s = trajectory.duration_s();
        match self.pace {
            Pace::Timed { period, speed } => {
                let started = Instant::now();
                loop {
                    let t_s = started.elapsed().as_secs_f64() * speed;
                    if t_s >= duration_s {
                        break;
                    }
                    self.pass(trajectory, t_s, on_sample);
                    let left_s = (duration_s - t_s) / speed;
                    thread::sleep(period.min(Duration::from_secs_f64(left_s)));
                }
            }
            Pace::AtOnce { samples } => {
                for n in 0..samples {
                    self.pass(trajectory, duration_s * n as f64 / samples as f64, on_sample);
                }
            }
        }
        self.pass(trajectory, duration_s, on_sample);
        Ok(())
    }

    fn wait(&self, seconds: f64) {
        if let Pace::Timed { speed, .. } = self.pace {
            thread::sleep(Duration::from_secs_f64((seconds / speed).max(0.0)));
        }
    }
}

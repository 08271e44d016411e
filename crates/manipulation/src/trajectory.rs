//! A joint path with its times.
//!
//! The path is a cubic spline through the waypoints; time runs along it as a quintic, from rest to rest, so that
//! position, velocity and acceleration are continuous. The duration is the shortest at which no joint exceeds its
//! velocity or acceleration: velocities shrink with 1/T and accelerations with 1/T².

use nalgebra::DVector;

use crate::{arm::Arm, spline::Spline};

/// Samples a spline piece gets when limits are checked.
const SAMPLES_PER_PIECE: usize = 40;
/// Between two samples a peak may be a little higher than either.
const MARGIN: f64 = 1.02;
const SHORTEST_S: f64 = 0.02;

/// Why a path cannot be driven.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrajectoryError {
    /// A waypoint, or the curve between two, leaves a joint's range.
    #[error("the path leaves the range of joint `{joint}`: {angle_rad:.3} rad")]
    OutsideLimits {
        /// Joint.
        joint: String,
        /// Angle.
        angle_rad: f64,
    },
    /// Vectors that do not fit the arm.
    #[error("a waypoint has {given} angles (or one that is not a number); the arm has {expected} joints")]
    BadWaypoint {
        /// Given.
        given: usize,
        /// Expected.
        expected: usize,
    },
    /// No waypoint at all.
    #[error("a path needs at least one waypoint")]
    Empty,
    /// A share of the limits outside (0, 1].
    #[error("the speed scale is {0}; it must lie in (0, 1]")]
    BadScale(f64),
}

/// State of all joints at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct JointSample {
    /// Angles.
    pub position_rad: DVector<f64>,
    /// Speeds.
    pub velocity_rad_s: DVector<f64>,
    /// Accelerations.
    pub acceleration_rad_s2: DVector<f64>,
}

/// A timed path from rest to rest.
#[derive(Clone, Debug)]
pub struct Trajectory {
    end_rad: DVector<f64>,
    path: Option<Spline>, // None: stands still
    duration_s: f64,
    length_rad: f64,
}

impl Trajectory {
    /// Times a path through these waypoints. `speed_scale` in `(0, 1]` is the share of velocity limits to be used;
    /// accelerations shrink with its square, so that the motion is the same, slower.
    pub fn through(arm: &Arm, waypoints_rad: &[DVector<f64>], speed_scale: f64) -> Result<Self, TrajectoryError> {
        if !(speed_scale > 0.0 && speed_scale <= 1.0) {
            return Err(TrajectoryError::BadScale(speed_scale));
        }
        let expected = arm.dof();
        if let Some(bad) = waypoints_rad.iter().find(|q| q.len() != expected || !q.iter().all(|v| v.is_finite())) {
            return Err(TrajectoryError::BadWaypoint { given: bad.len(), expected });
        }
        let end_rad = waypoints_rad.last().cloned().ok_or(TrajectoryError::Empty)?;
        check_range(arm, &end_rad)?;
        let Some(path) = Spline::through(waypoints_rad) else {
            return Ok(Self { end_rad, path: None, duration_s: 0.0, length_rad: 0.0 });
        };
        let (shortest_s, length_rad) = survey(arm, &path)?;
        let duration_s = (shortest_s * MARGIN / speed_scale).max(SHORTEST_S);
        Ok(Self { end_rad, path: Some(path), duration_s, length_rad })
    }

    /// Seconds from start to end; 0 when there is nothing to move.
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// Length of the path in joint space (Euclidean), radians.
    pub fn length_rad(&self) -> f64 {
        self.length_rad
    }

    /// Where it ends.
    pub fn end_rad(&self) -> &DVector<f64> {
        &self.end_rad
    }

    /// The state `t_s` after the start; before it the first, after the end the last, both at rest.
    pub fn sample(&self, t_s: f64) -> JointSample {
        match &self.path {
            Some(path) => sample_path(path, (t_s / self.duration_s).clamp(0.0, 1.0), self.duration_s),
            None => JointSample {
                position_rad: self.end_rad.clone(),
                velocity_rad_s: DVector::zeros(self.end_rad.len()),
                acceleration_rad_s2: DVector::zeros(self.end_rad.len()),
            },
        }
    }

    /// States every `period_s`, the last one at the end.
    pub fn samples(&self, period_s: f64) -> impl Iterator<Item = (f64, JointSample)> {
        let steps = (self.duration_s / period_s.max(1e-4)).ceil() as usize;
        (0..=steps).map(move |n| {
            let t_s = (n as f64 * period_s).min(self.duration_s);
            (t_s, self.sample(t_s))
        })
    }
}

/// Path and time law at `tau` in `[0, 1]` for a duration.
fn sample_path(path: &Spline, tau: f64, duration_s: f64) -> JointSample {
    let along = tau * tau * tau * (10.0 + tau * (6.0 * tau - 15.0));
    let speed = 30.0 * tau * tau * (1.0 - tau) * (1.0 - tau) / duration_s;
    let acceleration = 60.0 * tau * (1.0 - tau) * (1.0 - 2.0 * tau) / (duration_s * duration_s);
    let point = path.at(along);
    JointSample {
        velocity_rad_s: &point.first * speed,
        acceleration_rad_s2: point.second * (speed * speed) + point.first * acceleration,
        position_rad: point.value,
    }
}

/// Shortest duration inside velocity and acceleration limits, and length; fails when the curve leaves a joint's range.
fn survey(arm: &Arm, path: &Spline) -> Result<(f64, f64), TrajectoryError> {
    let steps = SAMPLES_PER_PIECE * path.pieces();
    let mut shortest_s: f64 = 0.0;
    let mut length_rad = 0.0;
    let mut previous: Option<DVector<f64>> = None;
    for n in 0..=steps {
        let sample = sample_path(path, n as f64 / steps as f64, 1.0);
        check_range(arm, &sample.position_rad)?;
        for ((v, a), limits) in sample.velocity_rad_s.iter().zip(&sample.acceleration_rad_s2).zip(arm.limits()) {
            let for_velocity = v.abs() / limits.velocity_rad_s;
            let for_acceleration = (a.abs() / limits.acceleration_rad_s2).sqrt();
            shortest_s = shortest_s.max(for_velocity).max(for_acceleration);
        }
        length_rad += previous.map_or(0.0, |p| (&sample.position_rad - p).norm());
        previous = Some(sample.position_rad);
    }
    Ok((shortest_s, length_rad))
}

fn check_range(arm: &Arm, q_rad: &DVector<f64>) -> Result<(), TrajectoryError> {
    for ((angle, limits), joint) in q_rad.iter().zip(arm.limits()).zip(arm.joint_names()) {
        let slack = 1e-9;
        if !(limits.lower_rad - slack..=limits.upper_rad + slack).contains(angle) {
            return Err(TrajectoryError::OutsideLimits { joint: joint.to_owned(), angle_rad: *angle });
        }
    }
    Ok(())
}

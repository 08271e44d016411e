//! Inverse kinematics for a suction cup: damped least squares (Wampler 1986; Nakamura and Hanafusa 1986) from several
//! seeds.
//!
//! A cup may turn about its own axis, so a target is a point and a direction: five of six degrees of freedom. The
//! sixth is left to the solver, which keeps it where the least motion is.

use nalgebra::{DVector, Dyn, Isometry3, OMatrix, U6, Unit, Vector3, Vector6};

use crate::arm::Arm;

const MAX_ITERATIONS: usize = 120;
const POSITION_TOLERANCE_M: f64 = 1e-5;
const DIRECTION_TOLERANCE: f64 = 1e-4; // length of the difference of two unit vectors: radians
/// Metres that one radian of misalignment weighs as much as.
const DIRECTION_WEIGHT_M: f64 = 0.3;
const DAMPING: f64 = 0.02;
const MAX_STEP_RAD: f64 = 0.4;
const SEEDS: usize = 48;

/// Where the cup's lip goes and which way it points, in the root frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuctionTarget {
    /// Metres.
    pub position_m: Vector3<f64>,
    /// Out of the cup, towards the surface.
    pub direction: Unit<Vector3<f64>>,
}

impl SuctionTarget {
    /// For a surface pose whose z axis is the outward normal: the cup points against it. `height_m` above the surface.
    pub fn above(surface: &Isometry3<f64>, height_m: f64) -> Self {
        let normal = surface.rotation * Vector3::z_axis();
        Self { position_m: surface.translation.vector + normal.into_inner() * height_m, direction: -normal }
    }

    /// The same direction at another place.
    pub fn moved(&self, by_m: Vector3<f64>) -> Self {
        Self { position_m: self.position_m + by_m, direction: self.direction }
    }
}

/// No joint vector inside the limits brings the cup there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "({x_m:.3}, {y_m:.3}, {z_m:.3}) m is out of the arm's reach with the cup in that direction: the best try ends \
     {miss_m:.3} m away"
)]
pub struct Unreachable {
    /// Wanted point.
    pub x_m: f64,
    /// Wanted point.
    pub y_m: f64,
    /// Wanted point.
    pub z_m: f64,
    /// Distance of the best try.
    pub miss_m: f64,
}

/// One descent: where it ended.
struct Attempt {
    q_rad: DVector<f64>,
    miss_m: f64,
    converged: bool,
}

impl Arm {
    /// All different solutions found, the nearest to `near_rad` first.
    ///
    /// Seeds are `near_rad` and a fixed low-discrepancy set inside the limits: the same call gives the same answer.
    pub fn solve(&self, target: &SuctionTarget, near_rad: &DVector<f64>) -> Result<Vec<DVector<f64>>, Unreachable> {
        let mut solutions: Vec<DVector<f64>> = Vec::new();
        let mut best_miss_m = f64::INFINITY;
        let seeds = std::iter::once(self.clamped(near_rad.clone())).chain((1..=SEEDS).map(|n| self.seed(n)));
        for seed in seeds {
            let attempt = self.descend(target, seed);
            best_miss_m = best_miss_m.min(attempt.miss_m);
            let known = solutions.iter().any(|s| (s - &attempt.q_rad).amax() < 0.05);
            if attempt.converged && !known {
                solutions.push(attempt.q_rad);
            }
        }
        if solutions.is_empty() {
            let p = target.position_m;
            return Err(Unreachable { x_m: p.x, y_m: p.y, z_m: p.z, miss_m: best_miss_m });
        }
        solutions.sort_by(|a, b| (a - near_rad).norm().total_cmp(&(b - near_rad).norm()));
        Ok(solutions)
    }

    /// The solution that continues from `from_rad`: no jump to another arm posture.
    pub(crate) fn follow(&self, target: &SuctionTarget, from_rad: &DVector<f64>, max_step_rad: f64) -> Option<DVector<f64>> {
        let attempt = self.descend(target, from_rad.clone());
        let smooth = (&attempt.q_rad - from_rad).amax() <= max_step_rad;
        (attempt.converged && smooth).then_some(attempt.q_rad)
    }

    fn descend(&self, target: &SuctionTarget, seed: DVector<f64>) -> Attempt {
        let mut q_rad = seed;
        let mut miss_m = f64::INFINITY;
        for _ in 0..MAX_ITERATIONS {
            let (error, task) = self.error_and_task_jacobian(target, &q_rad);
            miss_m = error.fixed_rows::<3>(0).norm();
            let misaligned = error.fixed_rows::<3>(3).norm() / DIRECTION_WEIGHT_M;
            if miss_m < POSITION_TOLERANCE_M && misaligned < DIRECTION_TOLERANCE {
                return Attempt { q_rad, miss_m, converged: true };
            }
            // Less damping near the goal: fast there, calm far away and near singularities.
            let damping = DAMPING * error.norm().min(1.0);
            let square = &task * task.transpose() + OMatrix::<f64, U6, U6>::identity() * (damping * damping + 1e-9);
            let Some(solved) = square.cholesky().map(|c| c.solve(&error)) else { break };
            let mut step = task.transpose() * solved;
            let longest = step.amax();
            if longest > MAX_STEP_RAD {
                step *= MAX_STEP_RAD / longest;
            }
            if longest < 1e-9 {
                break;
            }
            q_rad = self.clamped(q_rad + step);
        }
        Attempt { q_rad, miss_m, converged: false }
    }

    /// What is missing (position, weighted direction) and how it changes with the joints.
    fn error_and_task_jacobian(&self, target: &SuctionTarget, q_rad: &DVector<f64>) -> (Vector6<f64>, OMatrix<f64, U6, Dyn>) {
        let (tip, jacobian) = self.tip_and_jacobian(q_rad);
        let cup = tip.rotation * Vector3::z();
        let mut error = Vector6::zeros();
        error.fixed_rows_mut::<3>(0).copy_from(&(target.position_m - tip.translation.vector));
        error.fixed_rows_mut::<3>(3).copy_from(&((target.direction.into_inner() - cup) * DIRECTION_WEIGHT_M));
        let mut task = jacobian;
        for mut column in task.column_iter_mut() {
            let turn: Vector3<f64> = column.fixed_rows::<3>(3).into_owned();
            column.fixed_rows_mut::<3>(3).copy_from(&(turn.cross(&cup) * DIRECTION_WEIGHT_M));
        }
        (error, task)
    }

    /// The `n`-th point of a Halton sequence, scaled to the joint limits.
    fn seed(&self, n: usize) -> DVector<f64> {
        const PRIMES: [usize; 8] = [2, 3, 5, 7, 11, 13, 17, 19];
        let angles = self
            .limits()
            .zip(PRIMES.iter().cycle())
            .map(|(limits, base)| limits.lower_rad + (limits.upper_rad - limits.lower_rad) * radical_inverse(n, *base));
        DVector::from_iterator(self.dof(), angles)
    }
}

/// The digits of `n` in `base`, mirrored behind the point: evenly spread in (0, 1).
fn radical_inverse(mut n: usize, base: usize) -> f64 {
    let (mut value, mut weight) = (0.0, 1.0 / base as f64);
    while n > 0 {
        value += weight * (n % base) as f64;
        weight /= base as f64;
        n /= base;
    }
    value
}

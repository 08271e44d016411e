//! The whole motion of a divert: approach, pick, lift, carry, place, return.

use nalgebra::{DVector, Isometry3, Vector3};

use crate::{
    arm::Arm,
    ik::{SuctionTarget, Unreachable},
    trajectory::{Trajectory, TrajectoryError},
};

/// Steps of a straight line.
const LINE_STEPS: usize = 10;
/// How often a step is halved where the arm cannot follow it at once.
const LARGEST_REFINEMENT: u32 = 5;
/// A joint that turns further than this in one step of a line has changed the arm's posture.
const LARGEST_LINE_STEP_RAD: f64 = 2.5;
/// How far the cup may be beside the line between two steps, metres. Near a wrist singularity two joints turn far and
/// cancel out: it is the cup that tells whether a step is sound, not the joints.
const LARGEST_DETOUR_M: f64 = 1.5e-3;
/// Postures that are tried before a goal is given up.
const POSTURES: usize = 24;
/// How far a transit may dip below the lower of its ends, metres.
const LARGEST_DIP_M: f64 = 0.08;

/// Part of a divert; the order is that of `DivertItem.action`'s feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Looking for a path.
    Planning,
    /// To a point before the item.
    Approaching,
    /// Straight to the item.
    Picking,
    /// Up, and over to the bin.
    Carrying,
    /// Straight down into the bin.
    Placing,
    /// Up, and home.
    Returning,
}

/// Distances and speed of a divert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DivertSettings {
    /// The cup stops this far before the surface and goes on in a straight line, metres.
    pub standoff_m: f64,
    /// The item is lifted straight up by this, metres.
    pub lift_m: f64,
    /// The cup comes down over a bin from this far above the release point, metres.
    pub drop_approach_m: f64,
    /// The cup lets go this far above the bin's mouth, metres.
    pub release_height_m: f64,
    /// Greatest angle between surface normal and the vertical, radians.
    pub max_tilt_rad: f64,
    /// Share of the joints' velocity limits, `(0, 1]`.
    pub speed_scale: f64,
}

impl Default for DivertSettings {
    fn default() -> Self {
        Self { standoff_m: 0.08, lift_m: 0.22, drop_approach_m: 0.12, release_height_m: 0.06, max_tilt_rad: 1.0, speed_scale: 0.8 }
    }
}

/// From where, what, whereto; poses in the arm's root frame.
#[derive(Clone, Debug, PartialEq)]
pub struct DivertRequest {
    /// Joints now.
    pub start_rad: DVector<f64>,
    /// Joints at the end.
    pub home_rad: DVector<f64>,
    /// Suction point; z is the outward surface normal.
    pub pick: Isometry3<f64>,
    /// Middle of the bin's mouth; z points up out of it.
    pub bin: Isometry3<f64>,
}

/// One planned motion, from rest to rest.
#[derive(Clone, Debug)]
pub struct Motion {
    /// Part of the divert.
    pub phase: Phase,
    /// Path and times.
    pub trajectory: Trajectory,
    /// Whether the suction is on during it.
    pub suction: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The surface leans or faces down.
    #[error("the surface leans {tilt_deg:.0}° from the horizontal; the gripper comes from above, up to {max_deg:.0}°")]
    TooSteep {
        /// Its angle.
        tilt_deg: f64,
        /// The limit.
        max_deg: f64,
    },
    /// A point out of reach.
    #[error("{what}: {source}")]
    Unreachable {
        /// Which point.
        what: &'static str,
        /// Where.
        source: Unreachable,
    },
    /// Every posture fails on the way.
    #[error("no straight way {what} in any posture of the arm")]
    NoLine {
        /// Which way.
        what: &'static str,
    },
    /// The way between two points would dip.
    #[error("no way {what} that stays above the cell")]
    NoTransit {
        /// Which way.
        what: &'static str,
    },
    /// The arm does not stand inside its limits, or a path leaves them.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
}

/// Plans a divert; every trajectory begins where the one before it ends.
///
/// The lines (to the item, up, into the bin) are straight in space; the transits between them are straight in joint
/// space and are refused when the cup would dip. Collisions of the arm with itself or the cell are not checked
/// otherwise: the cell is laid out so that there is nothing above the tray's and bins' mouths.
pub fn plan_divert(arm: &Arm, request: &DivertRequest, settings: &DivertSettings) -> Result<Vec<Motion>, PlanError> {
    let normal = request.pick.rotation * Vector3::z();
    let tilt_rad = normal.z.clamp(-1.0, 1.0).acos();
    if tilt_rad > settings.max_tilt_rad {
        return Err(PlanError::TooSteep { tilt_deg: tilt_rad.to_degrees(), max_deg: settings.max_tilt_rad.to_degrees() });
    }
    let planner = Planner { arm, settings };
    let pick = planner.pick(request)?;
    let place = planner.place(request, &pick.end_rad)?;
    let motions = [
        (Phase::Approaching, false, vec![request.start_rad.clone(), pick.start_rad.clone()]),
        (Phase::Picking, false, pick.line_in),
        (Phase::Carrying, true, pick.line_out),
        (Phase::Carrying, true, vec![pick.end_rad, place.start_rad.clone()]),
        (Phase::Placing, true, place.line_in),
        (Phase::Returning, false, place.line_out),
        (Phase::Returning, false, vec![place.end_rad, request.home_rad.clone()]),
    ];
    let timed = motions.into_iter().map(|(phase, suction, waypoints)| {
        let trajectory = Trajectory::through(arm, &waypoints, settings.speed_scale)?;
        Ok(Motion { phase, trajectory, suction })
    });
    timed.collect()
}

/// In and out of one point along lines, in one posture of the arm.
struct Visit {
    start_rad: DVector<f64>,
    line_in: Vec<DVector<f64>>,
    line_out: Vec<DVector<f64>>,
    end_rad: DVector<f64>,
}

struct Planner<'a> {
    arm: &'a Arm,
    settings: &'a DivertSettings,
}

impl Planner<'_> {
    fn pick(&self, request: &DivertRequest) -> Result<Visit, PlanError> {
        let at = SuctionTarget::above(&request.pick, 0.0);
        let before = SuctionTarget::above(&request.pick, self.settings.standoff_m);
        let lifted = at.moved(Vector3::z() * self.settings.lift_m);
        self.visit(&request.start_rad, &before, &at, &lifted, ["the pick point", "to the pick point", "to the item"])
    }

    fn place(&self, request: &DivertRequest, from_rad: &DVector<f64>) -> Result<Visit, PlanError> {
        let at = SuctionTarget::above(&request.bin, self.settings.release_height_m);
        let over = SuctionTarget::above(&request.bin, self.settings.release_height_m + self.settings.drop_approach_m);
        self.visit(from_rad, &over, &at, &over, ["the bin", "into the bin", "to the bin"])
    }

    /// Tries the postures at `before`, the nearest first, until transit and both lines succeed.
    fn visit(
        &self,
        from_rad: &DVector<f64>,
        before: &SuctionTarget,
        at: &SuctionTarget,
        after: &SuctionTarget,
        [point, line, transit]: [&'static str; 3],
    ) -> Result<Visit, PlanError> {
        let unreachable = |source| PlanError::Unreachable { what: point, source };
        // The point itself first: its error is the one that helps.
        self.arm.solve(at, from_rad).map_err(unreachable)?;
        let postures = self.arm.solve(before, from_rad).map_err(unreachable)?;
        let mut line_found = false;
        for start_rad in postures.into_iter().take(POSTURES) {
            let Some(line_in) = self.line(&start_rad, before, at) else { continue };
            let Some(line_out) = line_in.last().and_then(|end| self.line(end, at, after)) else { continue };
            line_found = true;
            if self.dips(from_rad, &start_rad) {
                continue;
            }
            let Some(end_rad) = line_out.last().cloned() else { continue };
            return Ok(Visit { start_rad, line_in, line_out, end_rad });
        }
        Err(if line_found { PlanError::NoTransit { what: transit } } else { PlanError::NoLine { what: line } })
    }

    /// Joint vectors along a straight line of the cup, from `from_rad`, which is at the line's start.
    fn line(&self, from_rad: &DVector<f64>, start: &SuctionTarget, end: &SuctionTarget) -> Option<Vec<DVector<f64>>> {
        let mut waypoints = vec![from_rad.clone()];
        for step in 0..LINE_STEPS {
            let share = |n: usize| n as f64 / LINE_STEPS as f64;
            self.extend_line(&mut waypoints, (start, end), (share(step), share(step + 1)), LARGEST_REFINEMENT)?;
        }
        Some(waypoints)
    }

    /// Goes on from the last waypoint over one piece of a line (shares of its length), in halves where it must.
    fn extend_line(
        &self,
        waypoints: &mut Vec<DVector<f64>>,
        (start, end): (&SuctionTarget, &SuctionTarget),
        (from, to): (f64, f64),
        refinement: u32,
    ) -> Option<()> {
        let way = end.position_m - start.position_m;
        let middle = (from + to) / 2.0;
        let last = waypoints.last()?;
        let next = self.arm.follow(&start.moved(way * to), last, LARGEST_LINE_STEP_RAD);
        let beside_m = |next: &DVector<f64>| {
            let halfway = self.arm.tip_pose(&((last + next) / 2.0)).translation.vector;
            (halfway - start.position_m - way * middle).norm()
        };
        match next.filter(|next| beside_m(next) <= LARGEST_DETOUR_M) {
            Some(next) => waypoints.push(next),
            None if refinement == 0 => return None,
            None => {
                self.extend_line(waypoints, (start, end), (from, middle), refinement - 1)?;
                self.extend_line(waypoints, (start, end), (middle, to), refinement - 1)?;
            }
        }
        Some(())
    }

    /// Whether the straight way in joint space brings the cup well below both of its ends.
    fn dips(&self, from_rad: &DVector<f64>, to_rad: &DVector<f64>) -> bool {
        let height_m = |share: f64| {
            let q = from_rad + (to_rad - from_rad) * share;
            self.arm.tip_pose(&q).translation.vector.z
        };
        let floor_m = height_m(0.0).min(height_m(1.0)) - LARGEST_DIP_M;
        (1..20).any(|n| height_m(f64::from(n) / 20.0) < floor_m)
    }
}

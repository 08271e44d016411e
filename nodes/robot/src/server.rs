//! The action server: check, plan, drive, report.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use intact_msgs::{
    action::{DivertItem, DivertItemFeedback, DivertItemGoal, DivertItemResult},
    msg::Outcome,
};
use manipulation::{
    Arm, DivertRequest, DivertSettings, FrameTree, Motion, Phase, checked_pose,
    nalgebra::{DVector, Isometry3},
    plan_divert,
};
use node_kit::{Mode, NodeError, Ports};
use ros_interfaces::{builtin_interfaces::msg::Time, geometry_msgs::msg::PoseStamped, std_msgs::msg::Header};
use transport::{ActionOutcome, ActionServer, GoalHandle, Publisher, Qos};

use crate::{controller::Controller, params::RobotParams, state::StatePublisher};

/// Carries out diverts, one after another. Clones share everything that moves.
#[derive(Clone)]
pub(crate) struct DivertServer {
    ports: Ports,
    arm: Arm,
    home_rad: DVector<f64>,
    bins: BTreeMap<String, String>,
    settings: DivertSettings,
    suction_s: f64,
    frames: Arc<Mutex<FrameTree>>,
    controller: Arc<dyn Controller>,
    state: Arc<StatePublisher>,
    outcomes: Publisher<Outcome>,
    /// Goals are refused while the node is not active.
    active: Arc<AtomicBool>,
}

/// How a goal ended.
struct End {
    outcome: u8,
    message: String,
    duration_s: f64,
    length_rad: f64,
    cancelled: bool,
}

impl DivertServer {
    #[allow(clippy::too_many_arguments)] // the parts of one server, each used once
    pub fn new(
        ports: &Ports,
        params: &RobotParams,
        arm: Arm,
        home_rad: DVector<f64>,
        bins: BTreeMap<String, String>,
        frames: Arc<Mutex<FrameTree>>,
        controller: Arc<dyn Controller>,
        state: Arc<StatePublisher>,
    ) -> Result<Self, NodeError> {
        Ok(Self {
            outcomes: ports.node.publisher("outcome", Qos::event())?,
            ports: ports.clone(),
            arm,
            home_rad,
            bins,
            settings: params.settings(),
            suction_s: params.suction_s,
            frames,
            controller,
            state,
            active: Arc::default(),
        })
    }

    /// Goals are taken from now on, or refused.
    pub fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::SeqCst);
    }

    /// The goal's pick pose and bin in the root frame, or one sentence why not.
    fn check(&self, goal: &DivertItemGoal) -> Result<(Isometry3<f64>, Isometry3<f64>), String> {
        if !self.active.load(Ordering::SeqCst) {
            return Err("the robot node is not active; activate it first".into());
        }
        if goal.item_id.is_empty() {
            return Err("the goal names no item".into());
        }
        let Some(bin_link) = self.bins.get(&goal.lane) else {
            let known: Vec<&str> = self.bins.keys().map(String::as_str).collect();
            return Err(format!("lane `{}` has no bin; bins are {}", goal.lane, known.join(", ")));
        };
        let frame = &goal.pick_pose.header.frame_id;
        let pose = pose_from_ros(frame, &goal.pick_pose).map_err(|error| error.to_string())?;
        let frames = self.frames.lock().map_err(|_| "the transforms are lost; restart the robot node".to_owned())?;
        let root = self.state.root();
        let missing = |error: manipulation::FrameError| format!("NO_TRANSFORM: {error}");
        let root_from_frame = frames.lookup(root, frame).map_err(missing)?;
        let bin = frames.lookup(root, bin_link).map_err(missing)?;
        Ok((root_from_frame * pose, bin))
    }

    fn divert(&self, goal: &DivertItemGoal, handle: &GoalHandle<DivertItem>) -> End {
        feedback(handle, Phase::Planning, 0.0);
        let planned = self.check(goal).and_then(|(pick, bin)| {
            let start_rad = self.controller.joints().position_rad;
            let request = DivertRequest { start_rad, home_rad: self.home_rad.clone(), pick, bin };
            plan_divert(&self.arm, &request, &self.settings).map_err(|error| error.to_string())
        });
        match planned {
            Ok(motions) => self.drive(&motions, goal, handle),
            Err(message) => End { outcome: Outcome::LEFT_FOR_PERSON, message, duration_s: 0.0, length_rad: 0.0, cancelled: false },
        }
    }

    fn drive(&self, motions: &[Motion], goal: &DivertItemGoal, handle: &GoalHandle<DivertItem>) -> End {
        let whole_s: f64 = motions.iter().map(|m| m.trajectory.duration_s()).sum::<f64>() + 2.0 * self.suction_s;
        let mut end = End { outcome: Outcome::DIVERTED, message: String::new(), duration_s: 0.0, length_rad: 0.0, cancelled: false };
        let mut delivered = false;
        for motion in motions {
            // Motions end at rest, and only there the arm may stop without breaking its limits.
            if (handle.cancel_requested() || !self.active.load(Ordering::SeqCst)) && !delivered {
                end.cancelled = true;
                end.outcome = if end.duration_s > 0.0 { Outcome::FAILED } else { Outcome::LEFT_FOR_PERSON };
                end.message = format!("cancelled before {}", phase_name(motion.phase));
                self.controller.set_suction(false);
                return end;
            }
            end.duration_s += self.switch_suction(motion.suction);
            delivered |= motion.phase == Phase::Returning;
            let (before_s, mut driven_s) = (end.duration_s, 0.0);
            let driven = self.controller.execute(&motion.trajectory, &mut |t_s| {
                driven_s = t_s;
                feedback(handle, motion.phase, ((before_s + t_s) / whole_s) as f32);
                self.show(&goal.pick_pose.header.stamp, before_s + t_s);
            });
            if let Err(error) = driven {
                // An arm that never moved has left the item where it was.
                end.duration_s += driven_s;
                end.outcome = if end.duration_s > 0.0 { Outcome::FAILED } else { Outcome::LEFT_FOR_PERSON };
                end.message = format!("{}: {error}", phase_name(motion.phase));
                self.controller.set_suction(false);
                return end;
            }
            end.duration_s += motion.trajectory.duration_s();
            end.length_rad += motion.trajectory.length_rad();
        }
        end
    }

    /// Seconds that it takes; 0 when it is so already.
    fn switch_suction(&self, on: bool) -> f64 {
        if self.controller.suction() == on {
            return 0.0;
        }
        self.controller.set_suction(on);
        self.controller.wait(self.suction_s);
        self.suction_s
    }

    /// In lockstep the clock stands still while the arm moves: its states are stamped as if it did not.
    fn show(&self, goal_stamp: &Time, t_s: f64) {
        if self.ports.mode == Mode::Lockstep {
            self.state.publish_at(Time::from_nanos(goal_stamp.nanos().saturating_add((t_s * 1e9) as i64)));
        }
    }

    fn publish_outcome(&self, goal: &DivertItemGoal, result: u8, message: &str, duration_s: f64) {
        let outcome = Outcome {
            header: Header { stamp: goal.pick_pose.header.stamp.clone(), frame_id: String::new() },
            item_id: goal.item_id.clone(),
            result,
            lane: goal.lane.clone(),
            message: message.to_owned(),
            duration_s: duration_s as f32,
        };
        let count = if result == Outcome::DIVERTED { "diverted" } else { "not_diverted" };
        self.ports.diagnostics.count(count, 1);
        if let Err(error) = self.outcomes.publish(Arc::new(outcome)) {
            self.ports.diagnostics.warn(format!("an outcome is not published: {error}"));
        }
    }
}

impl ActionServer<DivertItem> for DivertServer {
    fn accept(&self, goal: &DivertItemGoal) -> Result<(), String> {
        self.check(goal).map(|_| ()).inspect_err(|why| self.publish_outcome(goal, Outcome::LEFT_FOR_PERSON, why, 0.0))
    }

    fn execute(&self, goal: DivertItemGoal, handle: &GoalHandle<DivertItem>) -> ActionOutcome<DivertItem> {
        let end = self.divert(&goal, handle);
        self.publish_outcome(&goal, end.outcome, &end.message, end.duration_s);
        let result = DivertItemResult {
            success: end.outcome == Outcome::DIVERTED,
            message: end.message,
            duration_s: end.duration_s as f32,
            path_length_rad: end.length_rad as f32,
        };
        match (result.success, end.cancelled) {
            (true, _) => ActionOutcome::Succeeded(result),
            (false, true) => ActionOutcome::Canceled(result),
            (false, false) => ActionOutcome::Aborted(result),
        }
    }
}

fn pose_from_ros(frame: &str, pose: &PoseStamped) -> Result<Isometry3<f64>, manipulation::FrameError> {
    let (p, q) = (&pose.pose.position, &pose.pose.orientation);
    checked_pose("pick pose", frame, [p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
}

fn feedback(handle: &GoalHandle<DivertItem>, phase: Phase, progress: f32) {
    let phase = match phase {
        Phase::Planning => DivertItemFeedback::PLANNING,
        Phase::Approaching => DivertItemFeedback::APPROACHING,
        Phase::Picking => DivertItemFeedback::PICKING,
        Phase::Carrying => DivertItemFeedback::CARRYING,
        Phase::Placing => DivertItemFeedback::PLACING,
        Phase::Returning => DivertItemFeedback::RETURNING,
    };
    handle.feedback(DivertItemFeedback { phase, progress: progress.clamp(0.0, 1.0) });
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Planning => "planning",
        Phase::Approaching => "approaching",
        Phase::Picking => "picking",
        Phase::Carrying => "carrying",
        Phase::Placing => "placing",
        Phase::Returning => "returning",
    }
}

//! What several tests use.
#![allow(dead_code, reason = "each test binary uses a part")]

#[cfg(feature = "dds")]
pub mod domain;

use std::time::{Duration, Instant};

use intact_msgs::action::{DivertItem, DivertItemFeedback, DivertItemGoal, DivertItemResult};
use transport::{ActionOutcome, ActionServer, GoalHandle};

/// A deadline that only a hang exceeds, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(30);

/// Waits until `done`, at most `timeout`.
pub fn eventually(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A robot that knows one lane: `slow` items take until cancelled, `unreachable` ones are given up.
pub struct Robot;

impl ActionServer<DivertItem> for Robot {
    fn accept(&self, goal: &DivertItemGoal) -> Result<(), String> {
        if goal.lane == "A1" { Ok(()) } else { Err(format!("no lane `{}`", goal.lane)) }
    }

    fn execute(&self, goal: DivertItemGoal, handle: &GoalHandle<DivertItem>) -> ActionOutcome<DivertItem> {
        let result = |success, message: &str| DivertItemResult { success, message: message.into(), ..DivertItemResult::default() };
        match goal.item_id.as_str() {
            "unreachable" => ActionOutcome::Aborted(result(false, "out of reach")),
            "slow" => {
                while !handle.cancel_requested() {
                    handle.feedback(DivertItemFeedback { phase: DivertItemFeedback::CARRYING, progress: 0.5 });
                    std::thread::sleep(Duration::from_millis(2));
                }
                ActionOutcome::Canceled(result(false, "cancelled"))
            }
            _ => {
                for phase in DivertItemFeedback::PLANNING..=DivertItemFeedback::RETURNING {
                    handle.feedback(DivertItemFeedback { phase, progress: f32::from(phase) / 5.0 });
                }
                ActionOutcome::Succeeded(result(true, ""))
            }
        }
    }
}

/// A goal for an item and a lane.
pub fn goal(item_id: &str, lane: &str) -> DivertItemGoal {
    DivertItemGoal { item_id: item_id.into(), lane: lane.into(), ..DivertItemGoal::default() }
}

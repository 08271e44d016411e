//! Actions: a goal, feedback on the way, a result; cancellable.
//!
//! Written once over services and topics (`<name>/_action/{send_goal,cancel_goal,get_result,feedback,status}`),
//! so they work in process and over every carrier, and with every ROS 2 action client or server.

mod client;
mod server;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ros_interfaces::Action;
use ros_interfaces::unique_identifier_msgs::msg::UUID;

pub(crate) use client::client;
pub use client::{ActionClient, ActiveGoal};
pub(crate) use server::serve;
pub use server::{ActionServer, ActionServerHandle, GoalHandle};

use crate::qos::{Durability, Qos, Reliability};
use crate::sync::lock;

/// How a goal ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionOutcome<A: Action> {
    /// As asked.
    Succeeded(A::Result),
    /// The server gave up.
    Aborted(A::Result),
    /// A client cancelled it.
    Canceled(A::Result),
}

impl<A: Action> ActionOutcome<A> {
    /// The result, however the goal ended.
    pub fn result(&self) -> &A::Result {
        match self {
            Self::Succeeded(result) | Self::Aborted(result) | Self::Canceled(result) => result,
        }
    }
}

/// Identifies a goal among all goals: a random UUID (version 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoalId(pub [u8; 16]);

impl GoalId {
    /// A new one. The randomness is that of the standard library's hash keys, which the system seeds.
    pub fn random() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let half = || {
            let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
            hasher.write_u64(COUNTER.fetch_add(1, Ordering::Relaxed));
            hasher.write_u32(std::process::id());
            u128::from(hasher.finish())
        };
        let mut bytes = ((half() << 64) | half()).to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    fn to_ros(self) -> UUID {
        UUID { uuid: self.0 }
    }

    fn from_ros(id: &UUID) -> Self {
        Self(id.uuid)
    }
}

impl fmt::Display for GoalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for GoalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// QoS of the feedback topic, as rcl has it.
const FEEDBACK_QOS: Qos = Qos { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 10 };

/// Names of an action's services and topics.
fn port(action: &str, port: &str) -> String {
    format!("{action}/_action/{port}")
}

/// Why servers of this process rejected goals: ROS has no field for it, so it reaches clients of the same
/// process only.
#[derive(Clone, Default)]
pub(crate) struct Rejections {
    reasons: Arc<Mutex<VecDeque<(GoalId, String)>>>,
}

/// Reasons that nobody asked for are forgotten beyond this many.
const MAX_REJECTIONS: usize = 64;

impl Rejections {
    fn insert(&self, id: GoalId, reason: String) {
        let mut reasons = lock(&self.reasons);
        if reasons.len() >= MAX_REJECTIONS {
            reasons.pop_front();
        }
        reasons.push_back((id, reason));
    }

    fn take(&self, id: GoalId) -> Option<String> {
        let mut reasons = lock(&self.reasons);
        let at = reasons.iter().position(|(other, _)| *other == id)?;
        reasons.remove(at).map(|(_, reason)| reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goal_ids_are_version_4_and_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| GoalId::random()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let text = id.to_string();
            assert_eq!(text.len(), 36);
            assert!(text.chars().nth(14) == Some('4') && text.chars().nth(19).is_some_and(|c| "89ab".contains(c)), "{text}");
        }
    }

    #[test]
    fn rejections_are_bounded_and_told_once() {
        let rejections = Rejections::default();
        let ids: Vec<_> = (0..=MAX_REJECTIONS).map(|_| GoalId::random()).collect();
        ids.iter().for_each(|id| rejections.insert(*id, id.to_string()));
        assert_eq!(ids.first().and_then(|id| rejections.take(*id)), None);
        let last = ids[MAX_REJECTIONS];
        assert_eq!(rejections.take(last), Some(last.to_string()));
        assert_eq!(rejections.take(last), None);
    }
}

//! Quality of service as bags note it down.

use serde::{Deserialize, Deserializer, Serialize};

/// Whether every message must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// Resent until acknowledged.
    Reliable,
    /// Sent once.
    BestEffort,
}

/// Whether late subscribers get the last messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Yes ("latched").
    TransientLocal,
    /// No.
    Volatile,
}

/// What a publisher offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QosProfile {
    /// Whether every message must arrive.
    pub reliability: Reliability,
    /// Whether late subscribers get the last messages.
    pub durability: Durability,
    /// Messages kept; 0 means all of them.
    pub depth: usize,
}

impl QosProfile {
    /// Best effort, volatile, keep last 5: camera streams.
    pub const SENSOR: Self = Self { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 5 };
    /// Reliable, volatile, keep last 100: arrivals, decisions, commands.
    pub const EVENT: Self = Self { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 100 };
    /// Reliable, transient local, keep last 1: state.
    pub const LATCHED: Self = Self { reliability: Reliability::Reliable, durability: Durability::TransientLocal, depth: 1 };
}

/// A duration in the form of the bag's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct QosTime {
    sec: u64,
    nsec: u64,
}

/// How the middleware writes "no limit".
const INFINITE: QosTime = QosTime { sec: 9_223_372_036, nsec: 854_775_807 };

/// One entry of `offered_qos_profiles`, in the order and spelling of metadata version 9.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct QosEntry {
    history: &'static str,
    depth: usize,
    reliability: Reliability,
    durability: Durability,
    deadline: QosTime,
    lifespan: QosTime,
    liveliness: &'static str,
    liveliness_lease_duration: QosTime,
    avoid_ros_namespace_conventions: bool,
}

impl From<QosProfile> for QosEntry {
    fn from(qos: QosProfile) -> Self {
        Self {
            history: if qos.depth == 0 { "keep_all" } else { "keep_last" },
            depth: qos.depth,
            reliability: qos.reliability,
            durability: qos.durability,
            deadline: INFINITE,
            lifespan: INFINITE,
            liveliness: "automatic",
            liveliness_lease_duration: INFINITE,
            avoid_ros_namespace_conventions: false,
        }
    }
}

/// The YAML text that stands in the metadata of an MCAP channel: the same list as in `metadata.yaml`.
pub(crate) fn to_channel_text(profiles: &[QosProfile]) -> Result<String, serde_yaml::Error> {
    let entries: Vec<QosEntry> = profiles.iter().copied().map(QosEntry::from).collect();
    serde_yaml::to_string(&entries)
}

/// Profiles from that text; text that is no such list yields none, since replay can do without.
pub(crate) fn from_channel_text(text: &str) -> Vec<QosProfile> {
    serde_yaml::from_str::<Vec<LooseEntry>>(text).map(|v| v.iter().map(LooseEntry::profile).collect()).unwrap_or_default()
}

/// What older and other recorders write: words or the numbers of the middleware's enums.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LooseEntry {
    #[serde(default)]
    history: Word,
    #[serde(default)]
    depth: u64,
    #[serde(default)]
    reliability: Word,
    #[serde(default)]
    durability: Word,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Word {
    Number(i64),
    Text(String),
}

impl Default for Word {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Word {
    fn is(&self, text: &str, number: i64) -> bool {
        match self {
            Self::Text(t) => t == text,
            Self::Number(n) => *n == number,
        }
    }
}

impl LooseEntry {
    fn profile(&self) -> QosProfile {
        let is_all = self.history.is("keep_all", 2);
        QosProfile {
            reliability: if self.reliability.is("best_effort", 2) { Reliability::BestEffort } else { Reliability::Reliable },
            durability: if self.durability.is("transient_local", 1) { Durability::TransientLocal } else { Durability::Volatile },
            depth: if is_all { 0 } else { usize::try_from(self.depth).unwrap_or(1).max(1) },
        }
    }
}

/// `offered_qos_profiles` of `metadata.yaml`: a list since version 9, a text that holds a list before.
pub(crate) fn deserialize_profiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<QosProfile>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<LooseEntry>),
        Text(String),
        Nothing(()),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::List(list) => list.iter().map(LooseEntry::profile).collect(),
        Form::Text(text) => from_channel_text(&text),
        Form::Nothing(()) => Vec::new(),
    })
}

/// The list form of version 9.
pub(crate) fn serialize_profiles<S: serde::Serializer>(profiles: &[QosProfile], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(profiles.iter().copied().map(QosEntry::from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn profiles_survive_the_channel_text() {
        let all = [QosProfile::SENSOR, QosProfile::EVENT, QosProfile::LATCHED, QosProfile { depth: 0, ..QosProfile::EVENT }];
        let text = to_channel_text(&all).unwrap();
        assert!(text.starts_with("- history: keep_last\n  depth: 5\n  reliability: best_effort\n"), "{text}");
        assert_eq!(from_channel_text(&text), all);
    }

    #[test]
    fn numbers_of_older_metadata_are_understood() {
        let text = "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline: {sec: 0, nsec: 0}\n";
        assert_eq!(from_channel_text(text), [QosProfile::LATCHED]);
        assert_eq!(from_channel_text("what: ever"), []);
        assert_eq!(from_channel_text(""), []);
    }
}

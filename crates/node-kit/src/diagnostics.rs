//! What a node says of itself on `/diagnostics`, once a second.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ros_interfaces::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use ros_interfaces::std_msgs::msg::Header;
use transport::{Clock, Node, Publisher, Qos, TransportError};

use crate::error::NodeError;
use crate::health::Health;
use crate::lock;
use crate::worker::Worker;

/// Period of the reports.
const PERIOD: Duration = Duration::from_secs(1);

type Probe = Box<dyn Fn() -> String + Send>;

#[derive(Default)]
struct Report {
    level: u8,
    message: String,
    /// What stays so until it is said to be over, by name.
    standing: BTreeMap<&'static str, (u8, String)>,
    values: BTreeMap<String, String>,
    counts: BTreeMap<String, u64>,
    probes: BTreeMap<String, Probe>,
}

impl Report {
    /// The worst of what was said last and of what lasts; all sentences of that level.
    fn worst(&self) -> (u8, String) {
        let all = || self.standing.values().map(|(level, message)| (*level, message)).chain([(self.level, &self.message)]);
        let level = all().map(|(level, _)| level).max().unwrap_or(self.level);
        let sentences: Vec<&str> = all().filter(|(l, _)| *l == level).map(|(_, message)| message.as_str()).collect();
        (level, sentences.join("; "))
    }
}

/// A node's report of itself: a level with a sentence, and values. Clones share it.
#[derive(Clone)]
pub struct Diagnostics {
    report: Arc<Mutex<Report>>,
    health: Health,
    name: String,
    clock: Clock,
    publisher: Publisher<DiagnosticArray>,
}

impl Diagnostics {
    pub(crate) fn new(node: &Node, health: Health) -> Result<Self, TransportError> {
        Ok(Self {
            report: Arc::default(),
            health,
            name: node.fully_qualified_name(),
            clock: node.clock(),
            publisher: node.publisher("/diagnostics", Qos::event())?,
        })
    }

    /// Starts the reports.
    pub(crate) fn start(&self) -> Result<Worker, NodeError> {
        let this = self.clone();
        Worker::spawn("diagnostics", &self.health, move |stop| {
            while !stop.wait(PERIOD) {
                this.publish();
            }
            this.publish();
        })
    }

    /// Adds `n` to a counter.
    pub fn count(&self, key: &str, n: u64) {
        let mut report = lock(&self.report);
        match report.counts.get_mut(key) {
            Some(count) => *count += n,
            None => drop(report.counts.insert(key.to_owned(), n)),
        }
    }

    /// A counter's value; 0 before the first [`Diagnostics::count`].
    pub fn count_of(&self, key: &str) -> u64 {
        lock(&self.report).counts.get(key).copied().unwrap_or(0)
    }

    /// Shows a value.
    pub fn set(&self, key: &str, value: impl Display) {
        lock(&self.report).values.insert(key.to_owned(), value.to_string());
    }

    /// Shows a value that is asked for with every report. It must be quick, and must not use these diagnostics.
    pub fn probe(&self, key: &str, probe: impl Fn() -> String + Send + 'static) {
        lock(&self.report).probes.insert(key.to_owned(), Box::new(probe));
    }

    /// All is well.
    pub fn ok(&self, message: impl Into<String>) {
        self.say(DiagnosticStatus::OK, message.into());
    }

    /// The node works, but not as it should.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        self.say(DiagnosticStatus::WARN, message);
    }

    /// The node does not do its work now. For good: [`Health::fail`].
    pub fn error(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::error!("{message}");
        self.say(DiagnosticStatus::ERROR, message);
    }

    /// Something lasts, under a name of the caller's: whatever else is said does not hide it. Logged when it changes.
    pub fn standing_warning(&self, name: &'static str, message: impl Into<String>) {
        self.stand(name, DiagnosticStatus::WARN, message.into());
    }

    /// The same for what keeps the node from its work.
    pub fn standing_error(&self, name: &'static str, message: impl Into<String>) {
        self.stand(name, DiagnosticStatus::ERROR, message.into());
    }

    /// What stood under this name is over; true when something did.
    pub fn lift(&self, name: &'static str) -> bool {
        lock(&self.report).standing.remove(name).is_some()
    }

    /// The report as it stands.
    pub fn status(&self) -> DiagnosticStatus {
        let report = lock(&self.report);
        let (level, message) = match self.health.failure() {
            Some(failure) => (DiagnosticStatus::ERROR, failure),
            None => report.worst(),
        };
        let mut values = report.values.clone();
        values.extend(report.counts.iter().map(|(key, count)| (key.clone(), count.to_string())));
        values.extend(report.probes.iter().map(|(key, probe)| (key.clone(), probe())));
        DiagnosticStatus {
            level,
            name: self.name.clone(),
            message,
            hardware_id: String::new(),
            values: values.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
        }
    }

    fn stand(&self, name: &'static str, level: u8, message: String) {
        let said = (level, message);
        let mut report = lock(&self.report);
        if report.standing.get(name) == Some(&said) {
            return;
        }
        match level {
            DiagnosticStatus::ERROR => tracing::error!("{}", said.1),
            _ => tracing::warn!("{}", said.1),
        }
        report.standing.insert(name, said);
    }

    fn say(&self, level: u8, message: String) {
        let mut report = lock(&self.report);
        (report.level, report.message) = (level, message);
    }

    fn publish(&self) {
        let header = Header { stamp: self.clock.now(), frame_id: String::new() };
        let array = DiagnosticArray { header, status: vec![self.status()] };
        if let Err(error) = self.publisher.publish(array) {
            tracing::debug!(%error, "diagnostics not published");
        }
    }
}

//! Is a bag fit for replay? Rates, gaps, drift between colour and depth, missing camera_info, stamps that jump.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use intact_msgs::msg::ItemArrival;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use serde::Serialize;

use crate::check_camera::{CameraReport, CameraState};
use crate::streams::{Stream, recognise};
use crate::{Bag, BagError, BagMessage};

/// A gap in a stream is this many times its median interval.
const GAP_FACTOR: f64 = 3.0;
/// Streams with fewer messages have no rate worth judging.
const MIN_FOR_RATE: usize = 10;
const ITEM_ARRIVAL: &str = "/item_arrival";

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// The cell will refuse or miss items.
    Error,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Topic or camera namespace; empty for the bag as a whole.
    pub subject: String,
    /// One sentence.
    pub text: String,
}

/// Timing of one topic.
#[derive(Debug, Clone, Serialize)]
pub struct TopicReport {
    /// Absolute name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Messages read.
    pub messages: usize,
    /// One over the median interval of log times, Hz; `None` below two messages.
    pub rate_hz: Option<f64>,
    /// Longest interval, milliseconds.
    pub longest_gap_ms: Option<f64>,
    /// Header stamps that lie before the one before.
    pub stamps_back: usize,
    /// Header stamps equal to the one before.
    pub duplicate_stamps: usize,
    /// Messages that do not decode, or images whose size, step and encoding do not fit together.
    pub malformed: usize,
}

/// Result of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// No finding is an error.
    pub ok: bool,
    /// Messages read.
    pub messages: u64,
    /// By name.
    pub topics: Vec<TopicReport>,
    /// By namespace.
    pub cameras: Vec<CameraReport>,
    /// Items announced.
    pub arrivals: usize,
    /// Errors first.
    pub findings: Vec<Finding>,
}

/// Reads the bag at `path` from end to end and says what is wrong with it.
///
/// # Errors
/// As [`Bag::open`]; damage inside the bag is a finding.
pub fn check(path: &Path) -> Result<Report, BagError> {
    let bag = Bag::open(path)?;
    let mut checker = Checker::default();
    for topic in bag.topics() {
        checker.topics.entry(topic.name.clone()).or_insert_with(|| TopicState::new(&topic.type_name));
    }
    for message in bag.messages() {
        match message {
            Ok(message) => checker.take(&message),
            Err(e) => checker.find(Severity::Error, "", e.to_string()),
        }
    }
    Ok(checker.report())
}

#[derive(Default)]
struct Checker {
    topics: BTreeMap<String, TopicState>,
    cameras: BTreeMap<String, CameraState>,
    items: BTreeSet<String>,
    arrivals: usize,
    findings: Vec<Finding>,
}

struct TopicState {
    type_name: String,
    messages: usize,
    last_log_ns: Option<i64>,
    intervals_ns: Vec<i64>,
    last_stamp_ns: Option<i64>,
    stamps_back: usize,
    duplicate_stamps: usize,
    malformed: usize,
    first_complaint: Option<String>,
}

impl TopicState {
    fn new(type_name: &str) -> Self {
        Self {
            type_name: type_name.to_string(),
            messages: 0,
            last_log_ns: None,
            intervals_ns: Vec::new(),
            last_stamp_ns: None,
            stamps_back: 0,
            duplicate_stamps: 0,
            malformed: 0,
            first_complaint: None,
        }
    }

    fn take(&mut self, message: &BagMessage) {
        self.messages += 1;
        if let Some(last) = self.last_log_ns.replace(message.log_time_ns) {
            self.intervals_ns.push(message.log_time_ns - last);
        }
        let Some(stamp_ns) = message.stamp_ns() else { return };
        if let Some(last) = self.last_stamp_ns.replace(stamp_ns) {
            self.stamps_back += usize::from(stamp_ns < last);
            self.duplicate_stamps += usize::from(stamp_ns == last);
        }
    }

    fn complain(&mut self, text: String) {
        self.malformed += 1;
        self.first_complaint.get_or_insert(text);
    }
}

impl Checker {
    fn take(&mut self, message: &BagMessage) {
        let state = self.topics.entry(message.topic.to_string()).or_insert_with(|| TopicState::new(&message.type_name));
        state.take(message);
        // As the camera node reads bags: what it has no use for is not counted here either.
        let camera = recognise(&message.topic, &message.type_name).map(|(camera, stream, _)| (format!("/{camera}"), stream));
        let camera = camera.filter(|(_, stream)| matches!(stream, Stream::Color | Stream::Depth | Stream::Info));
        if let (Some((namespace, stream)), Some(stamp_ns)) = (&camera, message.stamp_ns()) {
            let camera = self.cameras.entry(namespace.clone()).or_default();
            match stream {
                Stream::Color => camera.color_ns.insert(stamp_ns),
                Stream::Depth => camera.depth_ns.insert(stamp_ns),
                _ => camera.info_ns.insert(stamp_ns),
            };
        }
        let complaint = match (&*message.type_name, camera) {
            ("sensor_msgs/msg/Image", Some((namespace, stream))) => self.image(message, &namespace, stream).err(),
            ("sensor_msgs/msg/CameraInfo", Some((namespace, _))) => self.camera_info(message, &namespace).err(),
            ("intact_msgs/msg/ItemArrival", _) => self.arrival(message).err(),
            _ => None,
        };
        if let (Some(text), Some(state)) = (complaint, self.topics.get_mut(&*message.topic)) {
            state.complain(text);
        }
    }

    fn image(&mut self, message: &BagMessage, namespace: &str, stream: Stream) -> Result<(), String> {
        let image: Image = message.decode().map_err(|e| e.to_string())?;
        if stream != Stream::Depth {
            return vision::ros::color_from_ros(&image).map(|_| ()).map_err(|e| e.to_string());
        }
        let depth = vision::ros::depth_from_ros(&image).map_err(|e| e.to_string())?;
        let (sum, count) = depth.data().iter().filter(|d| **d > 0.0).fold((0f64, 0u32), |(s, n), d| (s + f64::from(*d), n + 1));
        let mean_m = (sum / f64::from(count.max(1))) as f32;
        if count > 0 && !vision::CELL_DEPTH_M.contains(&mean_m) {
            self.cameras.entry(namespace.to_string()).or_default().odd_depth_m.get_or_insert(mean_m);
        }
        Ok(())
    }

    fn camera_info(&mut self, message: &BagMessage, namespace: &str) -> Result<(), String> {
        let info: CameraInfo = message.decode().map_err(|e| e.to_string())?;
        vision::ros::intrinsics_from_ros(&info).map_err(|e| e.to_string())?;
        let camera = self.cameras.entry(namespace.to_string()).or_default();
        let now = (info.width, info.height, info.k);
        let before = camera.last_info.replace(now);
        camera.info_changes += usize::from(before.is_some_and(|before| before != now));
        Ok(())
    }

    fn arrival(&mut self, message: &BagMessage) -> Result<(), String> {
        let arrival: ItemArrival = message.decode().map_err(|e| e.to_string())?;
        self.arrivals += 1;
        if arrival.item_id.is_empty() {
            return Err("an arrival has an empty item_id".into());
        }
        if !self.items.insert(arrival.item_id.clone()) {
            let text = format!("item {} is announced more than once; the second arrival will be refused", arrival.item_id);
            self.find(Severity::Error, ITEM_ARRIVAL, text);
        }
        Ok(())
    }

    fn find(&mut self, severity: Severity, subject: &str, text: String) {
        self.findings.push(Finding { severity, subject: subject.to_string(), text });
    }

    fn report(mut self) -> Report {
        let topics: Vec<TopicReport> =
            std::mem::take(&mut self.topics).into_iter().map(|(name, state)| self.topic_report(name, state)).collect();
        let cameras: Vec<CameraReport> =
            std::mem::take(&mut self.cameras).into_iter().map(|(name, state)| self.camera_report(name, &state)).collect();
        if cameras.is_empty() {
            self.find(
                Severity::Error,
                "",
                "no topic `<camera>/color/image_raw` is in the bag; name the camera's topics so, or remap them".into(),
            );
        }
        if self.arrivals == 0 {
            let text = "no item_arrival is in the bag: items must be announced by a trigger or by settling".into();
            self.find(Severity::Warning, ITEM_ARRIVAL, text);
        }
        self.findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.subject.cmp(&b.subject)));
        Report {
            ok: self.findings.iter().all(|f| f.severity != Severity::Error),
            messages: topics.iter().map(|t| t.messages as u64).sum(),
            topics,
            cameras,
            arrivals: self.arrivals,
            findings: self.findings,
        }
    }

    fn topic_report(&mut self, name: String, mut state: TopicState) -> TopicReport {
        state.intervals_ns.sort_unstable();
        let median_ns = state.intervals_ns.get(state.intervals_ns.len() / 2).copied();
        let longest_ns = state.intervals_ns.last().copied();
        if state.messages == 0 {
            self.find(Severity::Warning, &name, "has no messages".into());
        }
        if state.malformed > 0 {
            let first = state.first_complaint.unwrap_or_default();
            self.find(
                Severity::Error,
                &name,
                format!("{} of {} messages cannot be used; the first: {first}", state.malformed, state.messages),
            );
        }
        if state.stamps_back > 0 {
            // What is not replayed may come from several threads or nodes, each with its own order.
            let is_replayed = name == ITEM_ARRIVAL || recognise(&name, &state.type_name).is_some();
            let severity = if is_replayed { Severity::Error } else { Severity::Warning };
            self.find(severity, &name, format!("stamps jump back {} times", state.stamps_back));
        }
        let is_stream = state.type_name.starts_with("sensor_msgs/");
        if is_stream && state.duplicate_stamps > 0 {
            self.find(Severity::Warning, &name, format!("{} stamps are equal to the one before", state.duplicate_stamps));
        }
        if let (true, Some(median), Some(longest)) = (is_stream && state.messages >= MIN_FOR_RATE, median_ns, longest_ns)
            && longest as f64 > GAP_FACTOR * median as f64
        {
            let text = format!("longest gap {:.0} ms at a median interval of {:.0} ms", ms(longest), ms(median));
            self.find(Severity::Warning, &name, text);
        }
        TopicReport {
            name,
            type_name: state.type_name,
            messages: state.messages,
            rate_hz: median_ns.filter(|m| *m > 0).map(|m| 1e9 / m as f64),
            longest_gap_ms: longest_ns.map(ms),
            stamps_back: state.stamps_back,
            duplicate_stamps: state.duplicate_stamps,
            malformed: state.malformed,
        }
    }

    fn camera_report(&mut self, namespace: String, state: &CameraState) -> CameraReport {
        let report = state.report(&namespace);
        for (severity, text) in state.findings(&report) {
            self.find(severity, &namespace, text);
        }
        report
    }
}

pub(crate) fn ms(ns: i64) -> f64 {
    ns as f64 * 1e-6
}

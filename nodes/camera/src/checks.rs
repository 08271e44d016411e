//! What is wrong with incoming messages: doubled, out of order, changing or missing.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use intact_msgs::msg::ItemArrival;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

use crate::source::{Outgoing, Problem};

/// Item ids that are remembered: days of a fast line, a few megabytes.
const REMEMBERED_IDS: usize = 100_000;
/// Stamps of camera_infos that are remembered: colour and camera_info come in any order, a few frames apart at most.
const REMEMBERED_INFOS: usize = 16;

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it on.
    Good,
    /// Pass it on, and say so.
    Odd(Problem),
    /// Drop it, and say so.
    Refused(Problem),
}

/// Remembers what it must to judge the next message.
#[derive(Debug, Default)]
pub(crate) struct InputChecks {
    cameras: Vec<CameraChecks>,
    ids: HashSet<String>,
    id_order: VecDeque<String>,
    last_arrival_ns: Option<i64>,
    /// The source is what a cell recorded of itself.
    is_record: bool,
}

#[derive(Debug, Default)]
struct CameraChecks {
    color: StampCheck,
    depth: StampCheck,
    info: StampCheck,
    model: Option<Arc<CameraInfo>>,
    /// Stamps of the last camera_infos.
    info_stamps_ns: VecDeque<i64>,
    /// The last colour picture; its camera_info may still come, until the next picture is there.
    unpaired_color_ns: Option<i64>,
    misses_info: bool,
}

impl CameraChecks {
    /// Whether the last colour picture has no camera_info. Said once, when it begins: a bag without camera_info would
    /// fill the record with it.
    fn missing_info(&mut self, camera: usize) -> Option<Problem> {
        let stamp_ns = self.unpaired_color_ns.take()?;
        let missing = !self.info_stamps_ns.contains(&stamp_ns);
        let is_news = missing && !self.misses_info;
        self.misses_info = missing;
        let detail = format!("colour of camera {camera} has no camera_info with its stamp");
        is_news.then_some(Problem { stamp_ns, item_id: String::new(), detail })
    }
}

#[derive(Debug, Default)]
struct StampCheck {
    last_ns: Option<i64>,
}

impl StampCheck {
    /// `Some` when something is wrong: whether the message is refused, and why.
    fn check(&mut self, stamp_ns: i64) -> Option<(bool, String)> {
        let last_ns = self.last_ns.replace(stamp_ns)?;
        match stamp_ns.cmp(&last_ns) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Equal => Some((true, "has the same stamp as the one before; it is dropped".into())),
            std::cmp::Ordering::Less => {
                Some((false, format!("has a stamp {:.3} s before the last one: the clock was set back", seconds(last_ns - stamp_ns))))
            }
        }
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 * 1e-9
}

impl InputChecks {
    pub(crate) fn new(cameras: usize) -> Self {
        Self { cameras: (0..cameras).map(|_| CameraChecks::default()).collect(), ..Self::default() }
    }

    pub(crate) fn of_record(self, is_record: bool) -> Self {
        Self { is_record, ..self }
    }

    /// Judges a message. Messages must come in the order of [`Outgoing`] within a step.
    pub(crate) fn judge(&mut self, message: &Outgoing) -> Verdict {
        match message {
            Outgoing::Arrival(arrival) => self.arrival(arrival),
            Outgoing::Color(camera, image) => self.color(*camera, image),
            Outgoing::Depth(camera, image) => {
                let check = self.cameras.get_mut(*camera).and_then(|c| c.depth.check(image.header.stamp.nanos()));
                verdict(check, image.header.stamp.nanos(), || format!("depth of camera {camera}"))
            }
            Outgoing::Info(camera, info) => self.info(*camera, info),
            _ => Verdict::Good,
        }
    }

    fn arrival(&mut self, arrival: &ItemArrival) -> Verdict {
        let stamp_ns = arrival.header.stamp.nanos();
        let problem = |detail: String| Problem { stamp_ns, item_id: arrival.item_id.clone(), detail };
        if arrival.item_id.is_empty() {
            return Verdict::Refused(problem("an arrival without item_id is refused".into()));
        }
        if !self.ids.insert(arrival.item_id.clone()) {
            // What a live cell was told twice it must be told twice again: its decision says so.
            let said = format!("item `{}` arrived before", arrival.item_id);
            return if self.is_record {
                Verdict::Odd(problem(said))
            } else {
                Verdict::Refused(problem(said + "; the second arrival is refused"))
            };
        }
        self.id_order.push_back(arrival.item_id.clone());
        if self.id_order.len() > REMEMBERED_IDS
            && let Some(oldest) = self.id_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let last_ns = self.last_arrival_ns.replace(stamp_ns);
        match last_ns.filter(|last_ns| stamp_ns < *last_ns) {
            Some(last_ns) => Verdict::Odd(problem(format!(
                "arrival has a stamp {:.3} s before the last one: the clock was set back",
                seconds(last_ns - stamp_ns)
            ))),
            None => Verdict::Good,
        }
    }

    fn color(&mut self, camera: usize, image: &Image) -> Verdict {
        let stamp_ns = image.header.stamp.nanos();
        let Some(checks) = self.cameras.get_mut(camera) else { return Verdict::Good };
        let stamps = verdict(checks.color.check(stamp_ns), stamp_ns, || format!("colour of camera {camera}"));
        let missing = checks.missing_info(camera);
        checks.unpaired_color_ns = Some(stamp_ns);
        match (stamps, missing) {
            (Verdict::Good, Some(problem)) => Verdict::Odd(problem),
            (stamps, _) => stamps,
        }
    }

    /// What can only be said when nothing more comes.
    pub(crate) fn finish(&mut self) -> Vec<Problem> {
        self.cameras.iter_mut().enumerate().filter_map(|(camera, checks)| checks.missing_info(camera)).collect()
    }

    fn info(&mut self, camera: usize, info: &Arc<CameraInfo>) -> Verdict {
        let stamp_ns = info.header.stamp.nanos();
        let Some(checks) = self.cameras.get_mut(camera) else { return Verdict::Good };
        let stamps = verdict(checks.info.check(stamp_ns), stamp_ns, || format!("camera_info of camera {camera}"));
        checks.info_stamps_ns.push_back(stamp_ns);
        if checks.info_stamps_ns.len() > REMEMBERED_INFOS {
            checks.info_stamps_ns.pop_front();
        }
        let changed = checks.model.replace(Arc::clone(info)).is_some_and(|before| !vision::ros::same_calibration(&before, info));
        if stamps == Verdict::Good && changed {
            let detail = format!("camera_info of camera {camera} has changed while it runs");
            return Verdict::Odd(Problem { stamp_ns, item_id: String::new(), detail });
        }
        stamps
    }
}

fn verdict(check: Option<(bool, String)>, stamp_ns: i64, what: impl Fn() -> String) -> Verdict {
    match check {
        None => Verdict::Good,
        Some((refused, why)) => {
            let problem = Problem { stamp_ns, item_id: String::new(), detail: format!("{} {why}", what()) };
            if refused { Verdict::Refused(problem) } else { Verdict::Odd(problem) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_interfaces::builtin_interfaces::msg::Time;
    use ros_interfaces::std_msgs::msg::Header;

    fn at(ns: i64) -> Header {
        Header { stamp: Time::from_nanos(ns), frame_id: String::new() }
    }
    fn color(ns: i64) -> Outgoing {
        Outgoing::Color(0, Arc::new(Image { header: at(ns), ..Default::default() }))
    }
    fn info(ns: i64, width: u32) -> Outgoing {
        Outgoing::Info(0, Arc::new(CameraInfo { header: at(ns), width, ..Default::default() }))
    }
    fn arrival(ns: i64, id: &str) -> Outgoing {
        Outgoing::Arrival(ItemArrival { header: at(ns), item_id: id.into(), ..Default::default() })
    }

    /// Letters: `.` good, `o` odd (also said at the end), `x` refused.
    fn judged(messages: Vec<Outgoing>) -> String {
        let mut checks = InputChecks::new(1);
        let mut letter = |m: &Outgoing| match checks.judge(m) {
            Verdict::Good => '.',
            Verdict::Odd(_) => 'o',
            Verdict::Refused(_) => 'x',
        };
        let letters: String = messages.iter().map(&mut letter).collect();
        letters + &"o".repeat(checks.finish().len())
    }

    #[test]
    fn messages_are_judged() {
        for (what, messages, expected) in [
            ("all is well", vec![info(1, 9), color(1), info(2, 9), color(2)], "...."),
            ("duplicate stamps", vec![info(1, 9), color(1), color(1), info(1, 9)], "..xx"),
            ("a clock set back", vec![info(5, 9), color(5), info(3, 9), color(3), info(4, 9), color(4)], "..oo.."),
            ("camera_info missing, said once", vec![color(1), color(2), color(3), info(4, 9), color(4), color(5)], ".o....o"),
            ("camera_info after its colour", vec![color(1), info(1, 9), color(2), info(2, 9)], "...."),
            ("camera_info changes", vec![info(1, 9), color(1), info(2, 8), color(2)], "..o."),
            ("an id twice, an id missing", vec![arrival(1, "a"), arrival(2, "b"), arrival(3, "a"), arrival(4, "")], "..xx"),
            ("arrivals set back", vec![arrival(2, "a"), arrival(1, "b")], ".o"),
        ] {
            assert_eq!(judged(messages), expected, "{what}");
        }
    }

    #[test]
    fn what_a_recorded_cell_had_to_bear_is_told_again() {
        let mut checks = InputChecks::new(1).of_record(true);
        assert_eq!(checks.judge(&arrival(1, "a")), Verdict::Good);
        assert!(matches!(checks.judge(&arrival(3, "a")), Verdict::Odd(p) if p.detail.contains("arrived before")));
    }
}

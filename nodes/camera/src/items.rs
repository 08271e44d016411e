//! The items of a bag with the picture of each, for those who need no cell around it: enrolment.

use std::path::Path;
use std::sync::Arc;

use intact_msgs::msg::ItemArrival;
use node_kit::NodeError;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use vision::RgbdFrame;
use vision::ros::{color_from_ros, depth_from_ros, intrinsics_from_ros};

use crate::params::CameraParams;
use crate::source::{Outgoing, Source as _};
use crate::sources::bag::BagSource;

/// Depth that lies farther from its colour is not of the same moment.
const DEPTH_TOLERANCE_NS: i64 = 20_000_000;
/// What comes this long after an item's colour belongs to it no more.
const PATIENCE_NS: i64 = 200_000_000;

/// An item of a bag and how the first camera saw it.
#[derive(Clone, Debug)]
pub struct BagItem {
    /// As the line announced it.
    pub arrival: ItemArrival,
    /// The first colour since its arrival, with the depth and camera_info of that moment.
    pub frame: RgbdFrame,
    /// The empty tray, where the bag has a picture of it.
    pub empty_tray: Option<RgbdFrame>,
}

/// An item that waits for its pictures.
struct Waiting {
    arrival: ItemArrival,
    color: Option<Arc<Image>>,
    depth: Option<Arc<Image>>,
}

/// Goes through a bag, item by item; `Err` is one sentence about an item or a picture that could not be used.
pub struct BagItems {
    source: BagSource,
    info: Option<Arc<CameraInfo>>,
    empty: (Option<Arc<Image>>, Option<Arc<Image>>),
    waiting: Vec<Waiting>,
    ready: std::collections::VecDeque<Result<BagItem, String>>,
    ended: bool,
}

/// The items of the bag at `path`, as its first camera saw them.
///
/// # Errors
/// When the bag cannot be opened, or has no colour.
pub fn items_of_bag(path: &Path) -> Result<BagItems, NodeError> {
    let params = CameraParams { bag: path.display().to_string(), ..CameraParams::default() };
    let source = BagSource::open(&params)?;
    Ok(BagItems { source, info: None, empty: (None, None), waiting: Vec::new(), ready: [].into(), ended: false })
}

impl BagItems {
    fn take(&mut self, message: Outgoing) {
        match message {
            Outgoing::Arrival(arrival) => {
                // What is seen from now on is this item: one before it that was never seen must not get its picture.
                let stamp = arrival.header.stamp.nanos();
                let passed = |w: &Waiting| w.color.is_none() && w.arrival.header.stamp.nanos() < stamp;
                let (gone, stay): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(passed);
                self.waiting = stay;
                for waiting in gone {
                    let item = self.item(waiting);
                    self.ready.push_back(item);
                }
                self.waiting.push(Waiting { arrival, color: None, depth: None });
            }
            Outgoing::Info(0, info) => self.info = Some(info),
            Outgoing::BackgroundColor(0, image) => self.empty.0 = Some(image),
            Outgoing::BackgroundDepth(0, image) => self.empty.1 = Some(image),
            Outgoing::Color(0, image) => {
                let stamp = image.header.stamp.nanos();
                let asks = |w: &&mut Waiting| w.color.is_none() && w.arrival.header.stamp.nanos() <= stamp;
                self.waiting.iter_mut().filter(asks).for_each(|w| w.color = Some(Arc::clone(&image)));
            }
            Outgoing::Depth(0, image) => {
                let apart = |other: &Image| image.header.stamp.nanos().abs_diff(other.header.stamp.nanos());
                for w in &mut self.waiting {
                    // Depth may come before its colour: until that is there, the newest is kept.
                    let nearer = match (&w.color, &w.depth) {
                        (Some(color), Some(depth)) => apart(color) < color.header.stamp.nanos().abs_diff(depth.header.stamp.nanos()),
                        _ => true,
                    };
                    if nearer {
                        w.depth = Some(Arc::clone(&image));
                    }
                }
            }
            _ => {}
        }
    }

    /// Gives out the items that have waited long enough at `now_ns`.
    fn settle(&mut self, now_ns: i64) {
        let done = |w: &Waiting| {
            let Some(color) = &w.color else { return false };
            let stamp = color.header.stamp.nanos();
            let complete = w.depth.as_ref().is_some_and(|d| d.header.stamp.nanos() == stamp);
            complete || now_ns.saturating_sub(stamp) > PATIENCE_NS
        };
        let (out, stay): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|w| now_ns == i64::MAX || done(w));
        self.waiting = stay;
        for waiting in out {
            let item = self.item(waiting);
            self.ready.push_back(item);
        }
    }

    fn item(&self, waiting: Waiting) -> Result<BagItem, String> {
        let Waiting { arrival, color, depth } = waiting;
        let of = |what: &str, e: &dyn std::fmt::Display| format!("item `{}`: {what}: {e}", arrival.item_id);
        let color = color
            .ok_or_else(|| format!("item `{}`: the bag has no colour picture between its arrival and the next one", arrival.item_id))?;
        let near = |d: &Arc<Image>| d.header.stamp.nanos().abs_diff(color.header.stamp.nanos()) <= DEPTH_TOLERANCE_NS as u64;
        let frame = frame_of(&color, depth.filter(near).as_deref(), self.info.as_deref()).map_err(|e| of("its picture", &e))?;
        let empty_tray = match &self.empty.0 {
            Some(color) => Some(frame_of(color, self.empty.1.as_deref(), None).map_err(|e| of("the empty tray", &e))?),
            None => None,
        };
        Ok(BagItem { arrival, frame, empty_tray })
    }
}

fn frame_of(color: &Image, depth: Option<&Image>, info: Option<&CameraInfo>) -> Result<RgbdFrame, vision::ImageError> {
    let depth = depth.map(depth_from_ros).transpose()?.map(Arc::new);
    Ok(RgbdFrame { color: Arc::new(color_from_ros(color)?), depth, intrinsics: info.map(intrinsics_from_ros).transpose()? })
}

impl Iterator for BagItems {
    type Item = Result<BagItem, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            match self.source.next_step() {
                Some(mut step) => {
                    step.messages.sort_by_key(Outgoing::rank);
                    step.messages.into_iter().for_each(|m| self.take(m));
                    self.ready.extend(step.problems.into_iter().map(|p| Err(p.detail)));
                    self.settle(step.time_ns);
                }
                None => {
                    self.ended = true;
                    self.settle(i64::MAX);
                }
            }
        }
    }
}

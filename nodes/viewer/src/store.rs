//! Frames that may yet be judged. Callbacks note them here: one lock, no copy of a picture.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

/// Depth further than this from its colour is another frame's.
const DEPTH_TOLERANCE_NS: i64 = 20_000_000;

/// What one camera sent lately.
#[derive(Debug, Default)]
struct CameraFrames {
    color: VecDeque<(i64, Arc<Image>)>,
    depth: VecDeque<(i64, Arc<Image>)>,
    info: Option<Arc<CameraInfo>>,
    /// Stamp of the last live picture.
    last_live_ns: Option<i64>,
    /// It has not been shown yet: no other is queued until then.
    live_waits: bool,
}

/// The latest frames of all cameras, a bounded number each.
#[derive(Debug)]
pub(crate) struct Store {
    history: usize,
    cameras: HashMap<String, CameraFrames>,
}

/// A judged frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) color: Arc<Image>,
    pub(crate) depth: Option<Arc<Image>>,
    pub(crate) info: Option<Arc<CameraInfo>>,
}

impl Store {
    pub(crate) fn new(history: usize) -> Self {
        Self { history, cameras: HashMap::new() }
    }

    /// Notes a colour image. True when it is due to be shown live: `max_hz` a second of ROS time, never for 0, and never while
    /// the one before waits to be shown.
    pub(crate) fn color(&mut self, camera: &str, image: Arc<Image>, max_hz: f64) -> bool {
        let (stamp_ns, history) = (image.header.stamp.nanos(), self.history);
        let frames = self.camera(camera);
        push(&mut frames.color, stamp_ns, image, history);
        let due = match frames.last_live_ns {
            _ if max_hz <= 0.0 || frames.live_waits => false,
            // A clock that jumped back starts anew.
            Some(last) => stamp_ns < last || (stamp_ns - last) as f64 * max_hz >= 1e9,
            None => true,
        };
        if due {
            frames.last_live_ns = Some(stamp_ns);
            frames.live_waits = true;
        }
        due
    }

    /// The live picture of a camera was shown, or given up.
    pub(crate) fn live_done(&mut self, camera: &str) {
        self.camera(camera).live_waits = false;
    }

    pub(crate) fn depth(&mut self, camera: &str, image: Arc<Image>) {
        let (stamp_ns, history) = (image.header.stamp.nanos(), self.history);
        push(&mut self.camera(camera).depth, stamp_ns, image, history);
    }

    pub(crate) fn info(&mut self, camera: &str, info: Arc<CameraInfo>) {
        self.camera(camera).info = Some(info);
    }

    /// The frame of a stamp with the depth that belongs to it. An empty camera name means any.
    pub(crate) fn frame(&self, camera: &str, stamp_ns: i64) -> Option<Frame> {
        let named = self.cameras.iter().filter(|(name, _)| camera.is_empty() || *name == camera);
        named.map(|(_, frames)| frames).find_map(|frames| {
            let (_, color) = frames.color.iter().rev().find(|(stamp, _)| *stamp == stamp_ns)?;
            let distance = |stamp: i64| stamp.abs_diff(stamp_ns);
            let depth = frames.depth.iter().min_by_key(|(stamp, _)| distance(*stamp));
            let depth = depth.filter(|(stamp, _)| distance(*stamp) <= DEPTH_TOLERANCE_NS.unsigned_abs());
            Some(Frame { color: Arc::clone(color), depth: depth.map(|(_, image)| Arc::clone(image)), info: frames.info.clone() })
        })
    }

    fn camera(&mut self, name: &str) -> &mut CameraFrames {
        self.cameras.entry(name.to_owned()).or_default()
    }
}

fn push(queue: &mut VecDeque<(i64, Arc<Image>)>, stamp_ns: i64, image: Arc<Image>, history: usize) {
    while queue.len() >= history {
        queue.pop_front();
    }
    queue.push_back((stamp_ns, image));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ros_interfaces::builtin_interfaces::msg::Time;

    fn image(stamp_ns: i64) -> Arc<Image> {
        let mut image = Image::default();
        image.header.stamp = Time::from_nanos(stamp_ns);
        Arc::new(image)
    }

    #[test]
    fn frames_are_found_by_stamp_with_their_depth() {
        let mut store = Store::new(4);
        for i in 0..6 {
            store.color("camera", image(i * 33_000_000), 0.0);
            store.depth("camera", image(i * 33_000_000 + 5_000_000));
        }
        let frame = store.frame("camera", 5 * 33_000_000).unwrap();
        assert_eq!(frame.depth.unwrap().header.stamp.nanos(), 5 * 33_000_000 + 5_000_000);
        assert!(store.frame("", 5 * 33_000_000).is_some());
        assert!(store.frame("camera", 0).is_none(), "the history is bounded");
        assert!(store.frame("other", 5 * 33_000_000).is_none());
    }

    #[test]
    fn far_depth_is_not_the_frames() {
        let mut store = Store::new(4);
        store.color("camera", image(100_000_000), 0.0);
        store.depth("camera", image(150_000_000));
        assert!(store.frame("camera", 100_000_000).unwrap().depth.is_none());
    }

    #[test]
    fn live_pictures_keep_to_their_rate() {
        let mut store = Store::new(4);
        let mut shown = 0;
        for i in 0..90 {
            shown += usize::from(store.color("camera", image(i * 33_333_333), 2.0));
            store.live_done("camera");
        }
        assert_eq!(shown, 6, "3 s at 2 Hz");
        assert!(store.color("camera", image(0), 2.0), "a clock that jumped back starts anew");
        assert!(!store.color("camera", image(5_000_000_000), 2.0), "the one before still waits");
        store.live_done("camera");
        assert!(!store.color("camera", image(9_000_000_000), 0.0));
    }
}

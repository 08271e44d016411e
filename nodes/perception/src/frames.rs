//! Recent messages of the cameras, and which of them make up one view of an item.

use std::collections::VecDeque;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

/// Stamps (nanoseconds) of the messages that make up one camera's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    pub color_ns: i64,
    pub depth_ns: Option<i64>,
    pub info_ns: Option<i64>,
}

/// One camera's view of an item, as it was received.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub color: Arc<Image>,
    pub depth: Option<Arc<Image>>,
    pub info: Option<Arc<CameraInfo>>,
}

impl View {
    pub fn members(&self) -> Members {
        Members {
            color_ns: self.color.header.stamp.nanos(),
            depth_ns: self.depth.as_ref().map(|d| d.header.stamp.nanos()),
            info_ns: self.info.as_ref().map(|i| i.header.stamp.nanos()),
        }
    }
}

/// The views of all cameras in the form that is recorded: `color,depth,info;…` in nanoseconds, `-` for what is missing.
pub(crate) fn write_members(views: &[View]) -> String {
    let mut text = String::new();
    for view in views {
        let m = view.members();
        let number = |ns: Option<i64>| ns.map_or_else(|| "-".to_owned(), |ns| ns.to_string());
        let separator = if text.is_empty() { "" } else { ";" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{},{},{}", m.color_ns, number(m.depth_ns), number(m.info_ns));
    }
    text
}

/// Reads [`write_members`] back; `None` when it is something else.
pub(crate) fn read_members(text: &str) -> Option<Vec<Members>> {
    text.split(';')
        .map(|camera| {
            let mut parts = camera.split(',').map(|p| if p == "-" { Some(None) } else { p.parse().ok().map(Some) });
            let members = Members { color_ns: parts.next()???, depth_ns: parts.next()??, info_ns: parts.next()?? };
            parts.next().is_none().then_some(members)
        })
        .collect()
}

/// The last messages of one camera.
#[derive(Debug, Default)]
struct Recent {
    color: VecDeque<Arc<Image>>,
    depth: VecDeque<Arc<Image>>,
    info: VecDeque<Arc<CameraInfo>>,
}

/// The last messages of every camera.
#[derive(Debug)]
pub(crate) struct Buffer {
    cameras: Vec<Recent>,
    kept: usize,
}

fn keep<T>(queue: &mut VecDeque<T>, kept: usize, value: T) {
    if queue.len() >= kept {
        queue.pop_front();
    }
    queue.push_back(value);
}

fn stamp_of(image: &Image) -> i64 {
    image.header.stamp.nanos()
}

/// The one closest to `stamp_ns`, when it is within `tolerance_ns`.
fn closest<T>(queue: &VecDeque<Arc<T>>, stamp: impl Fn(&T) -> i64, stamp_ns: i64, tolerance_ns: i64) -> Option<&Arc<T>> {
    let distance = |m: &Arc<T>| stamp(m).saturating_sub(stamp_ns).saturating_abs();
    queue.iter().min_by_key(|m| distance(m)).filter(|m| distance(m) <= tolerance_ns)
}

impl Buffer {
    pub fn new(cameras: usize, kept: usize) -> Self {
        Self { cameras: (0..cameras).map(|_| Recent::default()).collect(), kept }
    }

    /// Forgets every message.
    pub fn clear(&mut self) {
        self.cameras.fill_with(Recent::default);
    }

    pub fn color(&mut self, camera: usize, image: Arc<Image>) {
        if let Some(recent) = self.cameras.get_mut(camera) {
            keep(&mut recent.color, self.kept, image);
        }
    }

    pub fn depth(&mut self, camera: usize, image: Arc<Image>) {
        if let Some(recent) = self.cameras.get_mut(camera) {
            keep(&mut recent.depth, self.kept, image);
        }
    }

    pub fn info(&mut self, camera: usize, info: Arc<CameraInfo>) {
        if let Some(recent) = self.cameras.get_mut(camera) {
            keep(&mut recent.info, self.kept, info);
        }
    }

    /// What there is of an item whose frames are stamped `within_ns`: each camera's first colour picture of that time, with
    /// the depth and camera_info closest to it. `Err` names the first camera (by index) that gave no colour.
    pub fn leftovers(&self, within_ns: Range<i64>, tolerance_ns: i64) -> Result<Vec<View>, usize> {
        let view = |(index, recent): (usize, &Recent)| {
            let color = recent.color.iter().filter(|c| within_ns.contains(&stamp_of(c))).min_by_key(|c| stamp_of(c)).ok_or(index)?;
            let stamp_ns = stamp_of(color);
            Ok(View {
                color: Arc::clone(color),
                depth: closest(&recent.depth, stamp_of, stamp_ns, tolerance_ns).cloned(),
                info: closest(&recent.info, |i| i.header.stamp.nanos(), stamp_ns, tolerance_ns).cloned(),
            })
        };
        self.cameras.iter().enumerate().map(view).collect()
    }

    /// Exactly these messages; `None` as long as one of them is not there.
    pub fn exactly(&self, members: &[Members]) -> Option<Vec<View>> {
        if members.len() != self.cameras.len() {
            return None;
        }
        let image = |queue: &VecDeque<Arc<Image>>, ns: i64| queue.iter().find(|m| stamp_of(m) == ns).cloned();
        members
            .iter()
            .zip(&self.cameras)
            .map(|(m, recent)| {
                let depth = match m.depth_ns {
                    Some(ns) => Some(image(&recent.depth, ns)?),
                    None => None,
                };
                let info = match m.info_ns {
                    Some(ns) => Some(recent.info.iter().find(|i| i.header.stamp.nanos() == ns)?.clone()),
                    None => None,
                };
                Some(View { color: image(&recent.color, m.color_ns)?, depth, info })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ros_interfaces::builtin_interfaces::msg::Time;

    fn image(ns: i64) -> Arc<Image> {
        let mut image = Image::default();
        image.header.stamp = Time::from_nanos(ns);
        Arc::new(image)
    }

    #[test]
    fn members_are_read_back_as_written() {
        let views = [View { color: image(5), depth: Some(image(7)), info: None }, View { color: image(1), depth: None, info: None }];
        let text = write_members(&views);
        assert_eq!(text, "5,7,-;1,-,-");
        assert_eq!(read_members(&text).unwrap(), views.iter().map(View::members).collect::<Vec<_>>());
        for wrong in ["", "5", "5,7", "x,7,-", "5,7,-,9", "-,7,-"] {
            assert_eq!(read_members(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn leftovers_are_the_first_picture_with_what_is_close_to_it() {
        let mut buffer = Buffer::new(1, 10);
        for ns in [10, 40, 20] {
            buffer.color(0, image(ns));
        }
        buffer.depth(0, image(26));
        let views = buffer.leftovers(15..i64::MAX, 5).unwrap();
        assert_eq!(views[0].members(), Members { color_ns: 20, depth_ns: None, info_ns: None });
        let views = buffer.leftovers(15..i64::MAX, 6).unwrap();
        assert_eq!(views[0].members().depth_ns, Some(26));
        assert_eq!(buffer.leftovers(41..i64::MAX, 100).unwrap_err(), 0);
        assert_eq!(buffer.leftovers(11..20, 100).unwrap_err(), 0, "what comes after shows another item");
    }

    #[test]
    fn a_record_is_followed_to_the_nanosecond_or_not_at_all() {
        let mut buffer = Buffer::new(1, 2);
        let wanted = [Members { color_ns: 10, depth_ns: Some(11), info_ns: None }];
        buffer.color(0, image(10));
        assert!(buffer.exactly(&wanted).is_none());
        buffer.depth(0, image(11));
        assert_eq!(buffer.exactly(&wanted).unwrap()[0].members(), wanted[0]);
        buffer.color(0, image(12));
        buffer.color(0, image(13));
        assert!(buffer.exactly(&wanted).is_none(), "the buffer is bounded");
    }
}

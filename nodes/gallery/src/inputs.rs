//! What an inspection is matched with: the picture that was judged, and the item's arrival.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use intact_msgs::msg::ItemArrival;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::Image;

/// Arrivals kept: far more than items can be under way.
const ARRIVALS: usize = 512;

/// Recent pictures and arrivals. Topics come in any order, so whoever needs an input may wait for it.
pub(crate) struct Inputs {
    state: Mutex<State>,
    changed: Condvar,
    frames_kept: usize,
}

#[derive(Default)]
struct State {
    frames: HashMap<String, VecDeque<Arc<Image>>>,
    arrivals: VecDeque<Arc<ItemArrival>>,
}

impl Inputs {
    pub fn new(frames_kept: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), frames_kept }
    }

    /// The state is valid at every step, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a picture of the camera with namespace `camera`.
    pub fn frame(&self, camera: &str, image: Arc<Image>) {
        let mut state = self.lock();
        let ring = state.frames.entry(key(camera)).or_default();
        if ring.len() >= self.frames_kept {
            ring.pop_front();
        }
        ring.push_back(image);
        drop(state);
        self.changed.notify_all();
    }

    /// Keeps an arrival; of two with one id the first counts, as everywhere in the cell.
    pub fn arrival(&self, arrival: Arc<ItemArrival>) {
        let mut state = self.lock();
        if state.arrivals.iter().any(|a| a.item_id == arrival.item_id) {
            return;
        }
        if state.arrivals.len() >= ARRIVALS {
            state.arrivals.pop_front();
        }
        state.arrivals.push_back(arrival);
        drop(state);
        self.changed.notify_all();
    }

    /// The arrival of an item; waits for it at most until `deadline`.
    pub fn arrival_of(&self, item_id: &str, deadline: Instant) -> Option<Arc<ItemArrival>> {
        self.wait(deadline, |state| state.arrivals.iter().rev().find(|a| a.item_id == item_id).cloned())
    }

    /// The picture with exactly this stamp; waits for it at most until `deadline`.
    pub fn frame_at(&self, camera: &str, stamp: &Time, deadline: Instant) -> Option<Arc<Image>> {
        let camera = key(camera);
        self.wait(deadline, |state| state.frames.get(&camera)?.iter().rev().find(|f| f.header.stamp == *stamp).cloned())
    }

    fn wait<T>(&self, deadline: Instant, find: impl Fn(&State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// `camera`, `/camera` and `camera/` are one namespace.
fn key(camera: &str) -> String {
    camera.trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ros_interfaces::std_msgs::msg::Header;

    fn image(ns: i64) -> Arc<Image> {
        Arc::new(Image { header: Header { stamp: Time::from_nanos(ns), ..Header::default() }, ..Image::default() })
    }

    #[test]
    fn keeps_the_newest_frames_of_each_camera() {
        let inputs = Inputs::new(3);
        (0..5).for_each(|n| inputs.frame("left", image(n)));
        inputs.frame("/right", image(0));
        let now = Instant::now();
        let has = |camera: &str, ns: i64| inputs.frame_at(camera, &Time::from_nanos(ns), now).is_some();
        assert!(!has("left", 1) && has("/left", 2) && has("left", 4) && has("right", 0));
    }

    #[test]
    fn waits_for_what_comes_late() {
        let inputs = Arc::new(Inputs::new(3));
        let late = Arc::clone(&inputs);
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            late.arrival(Arc::new(ItemArrival { item_id: "a".into(), ..ItemArrival::default() }));
        });
        assert!(inputs.arrival_of("a", Instant::now() + Duration::from_secs(20)).is_some());
        assert!(inputs.arrival_of("b", Instant::now()).is_none());
        sender.join().unwrap();
    }

    #[test]
    fn the_first_arrival_of_an_id_counts() {
        let inputs = Inputs::new(3);
        for barcode in ["first", "second"] {
            inputs.arrival(Arc::new(ItemArrival { item_id: "a".into(), barcode: barcode.into(), ..ItemArrival::default() }));
        }
        assert_eq!(inputs.arrival_of("a", Instant::now()).unwrap().barcode, "first");
    }
}

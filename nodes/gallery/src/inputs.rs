//! What an inspection is matched with: the picture that was judged, and the item's arrival.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use intact_msgs::msg::{CellEvent, ItemArrival};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::Image;

/// Arrivals kept: far more than items can be under way.
const ARRIVALS: usize = 512;

/// Losses of a recorded run that are remembered for items that have not come yet.
const LOSSES: usize = 4096;

/// What a live run could not do with an item; recorded, so that a replay does not do it either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Others waited.
    GivenUp,
    /// The picture that was inspected never came.
    NoPicture,
}

impl Loss {
    /// As the recorded event says it; perception's events have other words.
    pub fn detail(self) -> &'static str {
        match self {
            Self::GivenUp => "gallery gave up",
            Self::NoPicture => "gallery had no picture",
        }
    }

    fn of(event: &CellEvent) -> Option<Self> {
        let losses = [Self::GivenUp, Self::NoPicture];
        losses.into_iter().find(|loss| event.kind == CellEvent::FRAME_DROPPED && event.detail == loss.detail())
    }
}

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
    losses: VecDeque<(String, Loss)>,
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

    /// Takes what a recorded run could not do with an item; other events are not this node's.
    pub fn recorded(&self, event: &CellEvent) {
        let Some(loss) = Loss::of(event) else { return };
        let mut state = self.lock();
        if state.losses.len() >= LOSSES {
            state.losses.pop_front();
        }
        state.losses.push_back((event.item_id.clone(), loss));
    }

    /// What the recorded run that is being replayed could not do with an item.
    pub fn recorded_loss(&self, item_id: &str) -> Option<Loss> {
        self.lock().losses.iter().rev().find(|(id, _)| id == item_id).map(|(_, loss)| *loss)
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
    fn a_recorded_loss_is_known_and_other_events_are_not() {
        let inputs = Inputs::new(3);
        let event = |id: &str, detail: &str| CellEvent {
            kind: CellEvent::FRAME_DROPPED,
            item_id: id.into(),
            detail: detail.into(),
            ..CellEvent::default()
        };
        inputs.recorded(&event("a", Loss::GivenUp.detail()));
        inputs.recorded(&event("b", Loss::NoPicture.detail()));
        inputs.recorded(&event("c", "given up")); // perception's
        let of = |id: &str| inputs.recorded_loss(id);
        assert_eq!((of("a"), of("b"), of("c")), (Some(Loss::GivenUp), Some(Loss::NoPicture), None));
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

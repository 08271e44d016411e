//! Items that wait for their frames. Values in, values out: stamps and ROS time are arguments.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use intact_msgs::msg::{CellEvent, ItemArrival};

use crate::frames::{Buffer, Members, View, read_members};

/// Detail of the recorded event of an item that had no frame.
pub(crate) const NO_FRAME: &str = "no frame";
/// Detail of the recorded event of an item that was given up because others waited.
pub(crate) const GIVEN_UP: &str = "given up";
/// Recorded choices kept for items that have not arrived yet.
const RECORDED_KEPT: usize = 4096;

/// What a recorded run did with an item.
#[derive(Clone, Debug, PartialEq)]
enum Recorded {
    Frames(Vec<Members>),
    NoFrame,
    GivenUp,
}

/// What is to be inspected.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// These views, one a camera.
    Views(Vec<View>),
    /// There is nothing to look at, and this sentence says why.
    Nothing(String),
    /// The recorded run gave it up, and so does the replay.
    GivenUp,
}

struct Pending {
    arrival: Arc<ItemArrival>,
    recorded: Option<Recorded>,
    /// Frames from this stamp on, nanoseconds, show a later item; `i64::MAX`: none was announced.
    before_ns: i64,
    /// Announced, not asked for by a person.
    is_announced: bool,
    /// ROS time at which patience ends, nanoseconds.
    until_ns: i64,
}

/// Settings of the waiting room, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How much older than its arrival a frame may be.
    pub tolerance_ns: i64,
    /// How long a frame may come after its arrival.
    pub frame_wait_ns: i64,
    /// How far stamps of one view may lie apart.
    pub sync_ns: i64,
}

/// Arrivals without a frame, complete frame sets of late, and what the record says.
pub(crate) struct WaitingRoom {
    patience: Patience,
    cameras: Vec<String>,
    pending: Vec<Pending>,
    sets: VecDeque<Vec<View>>,
    sets_kept: usize,
    recorded: HashMap<String, Recorded>,
    recorded_order: VecDeque<String>,
    /// Stamp of the last announcement.
    last_arrival_ns: Option<i64>,
    pub buffer: Buffer,
}

/// Stamp of a set: its first camera's colour.
fn stamp_of(set: &[View]) -> i64 {
    set.first().map_or(i64::MIN, |v| v.color.header.stamp.nanos())
}

impl WaitingRoom {
    pub fn new(cameras: Vec<String>, kept: usize, patience: Patience) -> Self {
        let buffer = Buffer::new(cameras.len(), kept);
        Self {
            patience,
            cameras,
            pending: Vec::new(),
            sets: VecDeque::new(),
            sets_kept: kept,
            recorded: HashMap::new(),
            recorded_order: VecDeque::new(),
            last_arrival_ns: None,
            buffer,
        }
    }

    /// Takes what a recorded run did with an item. `false` when the event says nothing of this node's.
    pub fn record(&mut self, event: &CellEvent) -> bool {
        let recorded = match event.kind {
            CellEvent::FRAME_CHOSEN => read_members(&event.detail).map(Recorded::Frames),
            CellEvent::FRAME_DROPPED if event.detail == NO_FRAME => Some(Recorded::NoFrame),
            CellEvent::FRAME_DROPPED if event.detail == GIVEN_UP => Some(Recorded::GivenUp),
            _ => None,
        };
        let Some(recorded) = recorded.filter(|_| !event.item_id.is_empty()) else { return false };
        if self.recorded_order.len() >= RECORDED_KEPT
            && let Some(oldest) = self.recorded_order.pop_front()
        {
            self.recorded.remove(&oldest);
        }
        if self.recorded.insert(event.item_id.clone(), recorded).is_none() {
            self.recorded_order.push_back(event.item_id.clone());
        }
        true
    }

    /// An item was announced; `now_ns` is ROS time. Its frame may have come before it. One that is announced as older than
    /// the one before it is judged by no picture.
    pub fn arrive(&mut self, arrival: Arc<ItemArrival>, now_ns: i64) -> Vec<(Arc<ItemArrival>, Found)> {
        let stamp_ns = arrival.header.stamp.nanos();
        let last_ns = self.last_arrival_ns.replace(stamp_ns);
        if let Some(last_ns) = last_ns.filter(|last_ns| stamp_ns < last_ns.saturating_sub(self.patience.tolerance_ns)) {
            // Pictures of the former time look as if they came after this item: none of them may speak for it, or for the next.
            self.sets.clear();
            self.buffer.clear();
            return vec![(arrival, Found::Nothing(set_back(last_ns - stamp_ns)))];
        }
        // An item that still waits is not shown by pictures of the next one: of two items with one picture, one would be another's.
        for earlier in self.pending.iter_mut().filter(|p| p.is_announced && p.arrival.item_id != arrival.item_id) {
            if earlier.arrival.header.stamp.nanos() < stamp_ns {
                earlier.before_ns = earlier.before_ns.min(stamp_ns.saturating_sub(self.patience.tolerance_ns));
            }
        }
        self.wait_for(arrival, now_ns, true)
    }

    /// Somebody asks for an item's frame, whatever was announced before.
    pub fn await_frame(&mut self, arrival: Arc<ItemArrival>, now_ns: i64) -> Vec<(Arc<ItemArrival>, Found)> {
        self.wait_for(arrival, now_ns, false)
    }

    fn wait_for(&mut self, arrival: Arc<ItemArrival>, now_ns: i64, is_announced: bool) -> Vec<(Arc<ItemArrival>, Found)> {
        let recorded = self.recorded.get(&arrival.item_id).cloned();
        // A stamp that lies in the past, after a clock was set back, must not cost the item its patience.
        let until_ns = arrival.header.stamp.nanos().max(now_ns).saturating_add(self.patience.frame_wait_ns);
        self.pending.push(Pending { arrival, recorded, before_ns: i64::MAX, is_announced, until_ns });
        self.settle(i64::MIN)
    }

    /// The synchroniser has put a set together.
    pub fn complete(&mut self, set: Vec<View>) -> Vec<(Arc<ItemArrival>, Found)> {
        if self.sets.len() >= self.sets_kept {
            self.sets.pop_front();
        }
        self.sets.push_back(set);
        self.settle(i64::MIN)
    }

    /// Something new lies in the buffer: a recorded choice may be complete now.
    pub fn buffered(&mut self) -> Vec<(Arc<ItemArrival>, Found)> {
        if self.pending.iter().any(|p| p.recorded.is_some()) { self.settle(i64::MIN) } else { Vec::new() }
    }

    /// ROS time has come to `now_ns`: those whose patience has ended are judged by what is there.
    pub fn passed(&mut self, now_ns: i64) -> Vec<(Arc<ItemArrival>, Found)> {
        self.settle(now_ns)
    }

    fn settle(&mut self, now_ns: i64) -> Vec<(Arc<ItemArrival>, Found)> {
        let mut ready = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            match self.find(&pending, now_ns) {
                Some(found) => ready.push((pending.arrival, found)),
                None => self.pending.push(pending),
            }
        }
        ready
    }

    fn find(&self, pending: &Pending, now_ns: i64) -> Option<Found> {
        let over = now_ns > pending.until_ns;
        match &pending.recorded {
            Some(Recorded::GivenUp) => Some(Found::GivenUp),
            Some(Recorded::NoFrame) => Some(Found::Nothing(self.no_frame(0))),
            Some(Recorded::Frames(members)) => match self.buffer.exactly(members) {
                Some(views) => Some(Found::Views(views)),
                None if over => {
                    Some(Found::Nothing("the recording lacks the frame that was judged; record with a larger max_queue_mib".to_owned()))
                }
                None => None,
            },
            None => {
                let from_ns = pending.arrival.header.stamp.nanos().saturating_sub(self.patience.tolerance_ns);
                let its_own = from_ns..pending.before_ns;
                let set = self.sets.iter().filter(|s| its_own.contains(&stamp_of(s))).min_by_key(|s| stamp_of(s));
                match set {
                    Some(set) => Some(Found::Views(set.clone())),
                    None if over => Some(match self.buffer.leftovers(its_own, self.patience.sync_ns) {
                        Ok(views) => Found::Views(views),
                        Err(camera) => Found::Nothing(self.no_frame(camera)),
                    }),
                    None => None,
                }
            }
        }
    }

    fn no_frame(&self, camera: usize) -> String {
        let name = self.cameras.get(camera).map_or("?", String::as_str);
        let wait_s = self.patience.frame_wait_ns as f64 / 1e9;
        format!("camera `{name}` gave no colour picture within {wait_s} s of the arrival; check its topics and clock")
    }
}

fn set_back(by_ns: i64) -> String {
    let by_s = by_ns as f64 / 1e9;
    format!(
        "the item is stamped {by_s:.3} s before the one announced before it: a clock was set back, and no picture is surely this item's"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ros_interfaces::builtin_interfaces::msg::Time;
    use ros_interfaces::sensor_msgs::msg::Image;

    const PATIENCE: Patience = Patience { tolerance_ns: 5, frame_wait_ns: 100, sync_ns: 10 };

    fn room() -> WaitingRoom {
        WaitingRoom::new(vec!["camera".into()], 5, PATIENCE)
    }

    fn arrival(id: &str, ns: i64) -> Arc<ItemArrival> {
        let mut arrival = ItemArrival { item_id: id.into(), ..ItemArrival::default() };
        arrival.header.stamp = Time::from_nanos(ns);
        Arc::new(arrival)
    }

    fn image(ns: i64) -> Arc<Image> {
        let mut image = Image::default();
        image.header.stamp = Time::from_nanos(ns);
        Arc::new(image)
    }

    fn set(ns: i64) -> Vec<View> {
        vec![View { color: image(ns), depth: Some(image(ns)), info: None }]
    }

    /// `id@stamp`, `id:nothing`, `id:given up` of what is ready.
    fn told(ready: Vec<(Arc<ItemArrival>, Found)>) -> Vec<String> {
        ready
            .into_iter()
            .map(|(a, found)| match found {
                Found::Views(views) => format!("{}@{}", a.item_id, stamp_of(&views)),
                Found::Nothing(_) => format!("{}:nothing", a.item_id),
                Found::GivenUp => format!("{}:given up", a.item_id),
            })
            .collect()
    }

    #[test]
    fn the_first_set_from_the_arrival_on_is_taken_whichever_comes_first() {
        let mut room = room();
        assert!(told(room.complete(set(94))).is_empty());
        assert!(told(room.arrive(arrival("a", 100), 100)).is_empty(), "94 is older than the tolerance");
        assert_eq!(told(room.complete(set(130))), ["a@130"]);
        assert_eq!(told(room.arrive(arrival("b", 135), 140)), ["b@130"], "within the tolerance, and already there");
    }

    #[test]
    fn an_item_without_a_picture_is_not_judged_by_the_next_ones() {
        let mut room = room();
        room.arrive(arrival("a", 100), 100);
        room.arrive(arrival("b", 150), 150);
        room.buffer.color(0, image(151));
        assert_eq!(told(room.complete(set(151))), ["b@151"], "it shows b");
        assert_eq!(told(room.passed(201)), ["a:nothing"], "also when patience ends");
        // A late frame of its own is still its own, and a person who asks gets what is there.
        room.arrive(arrival("c", 300), 300);
        room.arrive(arrival("d", 350), 350);
        assert_eq!(told(room.complete(set(310))), ["c@310"]);
        assert_eq!(told(room.complete(set(360))), ["d@360"]);
        room.await_frame(arrival("e", 400), 400);
        room.arrive(arrival("f", 420), 420);
        assert_eq!(told(room.complete(set(430))), ["e@430", "f@430"]);
    }

    #[test]
    fn impatience_judges_by_what_is_there() {
        let mut room = room();
        room.arrive(arrival("a", 100), 100);
        room.buffer.color(0, image(120));
        assert!(told(room.passed(200)).is_empty());
        assert_eq!(told(room.passed(201)), ["a@120"]);
        room.arrive(arrival("b", 300), 300);
        assert_eq!(told(room.passed(500)), ["b:nothing"]);
    }

    #[test]
    fn an_arrival_from_the_past_is_still_waited_for() {
        let mut room = room();
        room.arrive(arrival("a", 100), 5000);
        assert!(told(room.passed(5001)).is_empty());
        assert_eq!(told(room.complete(set(100))), ["a@100"]);
    }

    #[test]
    fn pictures_of_the_time_before_a_clock_was_set_back_speak_for_nobody() {
        let mut room = room();
        room.arrive(arrival("a", 1000), 1000);
        room.buffer.color(0, image(1000));
        assert_eq!(told(room.complete(set(1000))), ["a@1000"]);
        assert_eq!(told(room.arrive(arrival("b", 900), 1010)), ["b:nothing"], "1000 shows the item before");
        assert!(told(room.arrive(arrival("c", 950), 1020)).is_empty(), "nor is it taken for the next");
        assert_eq!(told(room.complete(set(951))), ["c@951"]);
        assert!(told(room.arrive(arrival("d", 947), 1020)).starts_with(&["d@951".into()]), "within the tolerance nothing was set back");
    }

    #[test]
    fn a_record_stands_above_the_nodes_own_choice() {
        let mut room = room();
        let event = |id: &str, kind, detail: &str| CellEvent { kind, item_id: id.into(), detail: detail.into(), ..CellEvent::default() };
        assert!(room.record(&event("a", CellEvent::FRAME_CHOSEN, "160,-,-")));
        assert!(room.record(&event("b", CellEvent::FRAME_DROPPED, GIVEN_UP)));
        assert!(room.record(&event("c", CellEvent::FRAME_DROPPED, NO_FRAME)));
        assert!(!room.record(&event("d", CellEvent::DEADLINE_EXPIRED, "had=")));
        assert!(told(room.arrive(arrival("a", 100), 100)).is_empty());
        assert!(told(room.complete(set(130))).is_empty(), "the record took a later frame");
        room.buffer.color(0, image(160));
        assert_eq!(told(room.buffered()), ["a@160"]);
        assert_eq!(told(room.arrive(arrival("b", 170), 170)), ["b:given up"]);
        assert_eq!(told(room.arrive(arrival("c", 170), 170)), ["c:nothing"]);
    }
}

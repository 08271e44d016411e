//! Which frames are judged for which arrival: values in, values out. No thread, no port, no clock of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use frame_sync::{AssemblerOptions, FrameAssembler, FramesPushed, Options, SyncError};
use intact_msgs::msg::{CellEvent, Inspection, ItemArrival};
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

/// Item ids remembered to refuse a second arrival.
const REMEMBERED_IDS: usize = 4096;
/// Frames a stream that the synchroniser holds back.
const SYNC_QUEUE: usize = 8;

/// One message for the chooser.
#[derive(Debug)]
pub(crate) enum Input {
    Color(usize, Arc<Image>),
    Depth(usize, Arc<Image>),
    Info(usize, Arc<CameraInfo>),
    BackgroundColor(usize, Arc<Image>),
    BackgroundDepth(usize, Arc<Image>),
    Arrival(Arc<ItemArrival>),
    Recorded(Arc<CellEvent>),
    Clock(i64),
    Reinspect(String, SyncSender<Inspection>),
}

/// The empty tray of one camera.
#[derive(Clone, Debug, Default)]
pub(crate) struct Background {
    pub color: Option<Arc<Image>>,
    pub depth: Option<Arc<Image>>,
}

/// One camera's share of a frame set.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub camera: usize,
    pub color: Arc<Image>,
    pub depth: Option<Arc<Image>>,
    pub info: Option<Arc<CameraInfo>>,
    pub background: Background,
}

/// An arrival and the frames that were chosen for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub arrival: Arc<ItemArrival>,
    pub views: Vec<View>,
    /// Who asked for a second look; `None` for arrivals.
    pub reply: Option<SyncSender<Inspection>>,
}

/// What the chooser wants done.
#[derive(Debug)]
pub(crate) enum Verdict {
    Inspect(Job),
    Fail(Arc<ItemArrival>, String, Option<SyncSender<Inspection>>),
    Event { kind: u8, item_id: String, stamp_ns: i64, detail: String },
}

/// Settings, as they are when a message is handled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub arrival_tolerance_ns: i64,
    pub frame_wait_ns: i64,
    pub follow_record: bool,
    pub history: usize,
    pub waiting_limit: usize,
    /// Deadlines are in ROS time, as `Input::Clock` tells it.
    pub lockstep: bool,
}

struct Waiting {
    arrival: Arc<ItemArrival>,
    /// Steady time of the arrival.
    since: Duration,
    /// Exactly this frame, from the record.
    wanted_ns: Option<i64>,
    reply: Option<SyncSender<Inspection>>,
}

/// The state machine.
pub(crate) struct Chooser {
    assembler: FrameAssembler<Arc<Image>, Arc<Image>, Arc<CameraInfo>>,
    sets: VecDeque<(i64, Vec<View>)>,
    colors: Vec<VecDeque<Arc<Image>>>,
    backgrounds: Vec<Background>,
    waiting: VecDeque<Waiting>,
    recorded: VecDeque<(String, i64)>,
    seen: VecDeque<Arc<ItemArrival>>,
    ros_ns: i64,
}

impl Chooser {
    /// A chooser over `cameras` cameras whose stamps lie within `tolerance_ns`.
    pub fn new(cameras: usize, tolerance_ns: i64) -> Result<Self, SyncError> {
        let sync = if tolerance_ns == 0 {
            Options::exact(SYNC_QUEUE)
        } else {
            Options::approximate(SYNC_QUEUE).with_max_interval_ns(tolerance_ns)
        };
        Ok(Self {
            assembler: FrameAssembler::new(AssemblerOptions { cameras, with_depth: true, sync })?,
            sets: VecDeque::new(),
            colors: vec![VecDeque::new(); cameras],
            backgrounds: vec![Background::default(); cameras],
            waiting: VecDeque::new(),
            recorded: VecDeque::new(),
            seen: VecDeque::new(),
            ros_ns: i64::MIN,
        })
    }

    /// Arrivals that wait for frames.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes one message at steady time `now`.
    pub fn take(&mut self, input: Input, now: Duration, rules: Rules) -> Vec<Verdict> {
        let mut out = Vec::new();
        match input {
            Input::Color(camera, image) => {
                let stamp = image.header.stamp.nanos();
                if let Some(recent) = self.colors.get_mut(camera) {
                    recent.push_back(Arc::clone(&image));
                    if recent.len() > rules.history {
                        recent.pop_front();
                    }
                }
                let pushed = self.assembler.push_color(camera, stamp, image);
                self.assembled(pushed, rules, &mut out);
            }
            Input::Depth(camera, image) => {
                let pushed = self.assembler.push_depth(camera, image.header.stamp.nanos(), image);
                self.assembled(pushed, rules, &mut out);
            }
            Input::Info(camera, info) => {
                let pushed = self.assembler.push_info(camera, info.header.stamp.nanos(), info);
                self.assembled(pushed, rules, &mut out);
            }
            Input::BackgroundColor(camera, image) => {
                if let Some(b) = self.backgrounds.get_mut(camera) {
                    b.color = Some(image);
                }
            }
            Input::BackgroundDepth(camera, image) => {
                if let Some(b) = self.backgrounds.get_mut(camera) {
                    b.depth = Some(image);
                }
            }
            Input::Arrival(arrival) => self.arrive(arrival, now, rules, &mut out),
            Input::Recorded(event) => self.record(&event),
            Input::Clock(ns) => self.ros_ns = ns,
            Input::Reinspect(item_id, reply) => self.look_again(item_id, reply, now, rules, &mut out),
        }
        self.serve(now, rules, &mut out);
        out
    }

    /// Lets deadlines run out at steady time `now`.
    pub fn tick(&mut self, now: Duration, rules: Rules) -> Vec<Verdict> {
        let mut out = Vec::new();
        self.serve(now, rules, &mut out);
        out
    }

    fn assembled(
        &mut self,
        pushed: Result<FramesPushed<Arc<Image>, Arc<Image>, Arc<CameraInfo>>, SyncError>,
        rules: Rules,
        out: &mut Vec<Verdict>,
    ) {
        let Ok(pushed) = pushed else {
            // Camera numbers come from our own subscriptions, so the synchroniser knows all of them.
            return;
        };
        if pushed.reset {
            // The clock went back: what was kept belongs to another time.
            self.sets.clear();
            self.colors.iter_mut().for_each(VecDeque::clear);
        }
        for dropped in pushed.dropped {
            let stream = self.assembler.stream_of(dropped.stream);
            let (camera, name) = stream.map_or((0, "unknown"), |(camera, kind)| (camera, kind.name()));
            out.push(Verdict::Event {
                kind: CellEvent::FRAME_DROPPED,
                item_id: String::new(),
                stamp_ns: dropped.stamp_ns,
                detail: format!("camera {camera} {name}: {:?}", dropped.reason),
            });
        }
        for frames in pushed.frames {
            let stamp_ns = frames.first().map_or(0, |f| f.color.stamp_ns);
            let views = frames
                .into_iter()
                .enumerate()
                .map(|(camera, f)| View {
                    camera,
                    color: f.color.value,
                    depth: f.depth.map(|d| d.value),
                    info: Some(f.info.value),
                    background: self.backgrounds.get(camera).cloned().unwrap_or_default(),
                })
                .collect();
            self.sets.push_back((stamp_ns, views));
            if self.sets.len() > rules.history {
                self.sets.pop_front();
            }
        }
    }

    fn arrive(&mut self, arrival: Arc<ItemArrival>, now: Duration, rules: Rules, out: &mut Vec<Verdict>) {
        let refuse = |detail: &str, out: &mut Vec<Verdict>| {
            out.push(Verdict::Event {
                kind: CellEvent::INPUT_REFUSED,
                item_id: arrival.item_id.clone(),
                stamp_ns: arrival.header.stamp.nanos(),
                detail: detail.to_owned(),
            });
        };
        if arrival.item_id.is_empty() {
            return refuse("an arrival without an item id", out);
        }
        if self.seen.iter().any(|a| a.item_id == arrival.item_id) {
            return refuse("a second arrival with an item id already seen", out);
        }
        self.seen.push_back(Arc::clone(&arrival));
        if self.seen.len() > REMEMBERED_IDS {
            self.seen.pop_front();
        }
        if self.waiting.len() >= rules.waiting_limit
            && let Some(oldest) = self.waiting.pop_front()
        {
            let error = "too many arrivals wait for frames; check the cameras or slow the line".to_owned();
            out.push(Verdict::Fail(oldest.arrival, error, oldest.reply));
        }
        let wanted_ns = self.recorded.iter().find(|(id, _)| *id == arrival.item_id).map(|(_, ns)| *ns);
        self.waiting.push_back(Waiting { arrival, since: now, wanted_ns, reply: None });
    }

    fn record(&mut self, event: &CellEvent) {
        if event.kind != CellEvent::FRAME_CHOSEN {
            return;
        }
        let stamp_ns = event.header.stamp.nanos();
        self.recorded.push_back((event.item_id.clone(), stamp_ns));
        if self.recorded.len() > REMEMBERED_IDS {
            self.recorded.pop_front();
        }
        for w in self.waiting.iter_mut().filter(|w| w.arrival.item_id == event.item_id) {
            w.wanted_ns = Some(stamp_ns);
        }
    }

    fn look_again(&mut self, item_id: String, reply: SyncSender<Inspection>, now: Duration, rules: Rules, out: &mut Vec<Verdict>) {
        let known = self.seen.iter().find(|a| a.item_id == item_id);
        let mut arrival = known.map_or_else(|| ItemArrival { item_id, ..ItemArrival::default() }, |a| a.as_ref().clone());
        // In lockstep no frame comes while somebody waits: the latest one has to do.
        let latest = self.sets.back().filter(|_| rules.lockstep);
        if let Some((_, views)) = latest {
            out.push(Verdict::Inspect(Job { arrival: Arc::new(arrival), views: views.clone(), reply: Some(reply) }));
            return;
        }
        // A frame after the last one that was seen: the next look.
        let last_ns = self.sets.back().map_or(0, |(ns, _)| *ns);
        arrival.header.stamp =
            ros_interfaces::builtin_interfaces::msg::Time::from_nanos(last_ns.saturating_add(rules.arrival_tolerance_ns).saturating_add(1));
        self.waiting.push_back(Waiting { arrival: Arc::new(arrival), since: now, wanted_ns: None, reply: Some(reply) });
    }

    /// Gives frames to the arrivals that have them, and ends the waits that are over.
    fn serve(&mut self, now: Duration, rules: Rules, out: &mut Vec<Verdict>) {
        let mut still = VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            if let Some(views) = self.set_for(&waiting, rules) {
                choose(waiting, views, out);
            } else if self.is_over(&waiting, now, rules) {
                match self.color_alone(&waiting, rules) {
                    Some(views) => choose(waiting, views, out),
                    None => {
                        let error = format!(
                            "no frame came within {:.2} s of the arrival; check that colour, depth and camera_info are published",
                            rules.frame_wait_ns as f64 * 1e-9
                        );
                        out.push(Verdict::Fail(waiting.arrival, error, waiting.reply));
                    }
                }
            } else {
                still.push_back(waiting);
            }
        }
        self.waiting = still;
    }

    fn set_for(&self, waiting: &Waiting, rules: Rules) -> Option<Vec<View>> {
        let earliest_ns = waiting.arrival.header.stamp.nanos().saturating_sub(rules.arrival_tolerance_ns);
        let found = match waiting.wanted_ns {
            Some(wanted_ns) => self.sets.iter().find(|(ns, _)| *ns == wanted_ns),
            None if rules.follow_record && waiting.reply.is_none() => None,
            None => self.sets.iter().find(|(ns, _)| *ns >= earliest_ns),
        };
        found.map(|(_, views)| views.clone())
    }

    fn is_over(&self, waiting: &Waiting, now: Duration, rules: Rules) -> bool {
        if rules.lockstep {
            return self.ros_ns > waiting.arrival.header.stamp.nanos().saturating_add(rules.frame_wait_ns);
        }
        now.saturating_sub(waiting.since).as_nanos() as i64 > rules.frame_wait_ns
    }

    /// The first colour picture of every camera that has one: better than nothing, and flagged as such.
    fn color_alone(&self, waiting: &Waiting, rules: Rules) -> Option<Vec<View>> {
        let earliest_ns = waiting.arrival.header.stamp.nanos().saturating_sub(rules.arrival_tolerance_ns);
        let views: Vec<View> = self
            .colors
            .iter()
            .enumerate()
            .filter_map(|(camera, recent)| {
                let fits = |c: &&Arc<Image>| {
                    let ns = c.header.stamp.nanos();
                    waiting.wanted_ns.map_or(ns >= earliest_ns, |wanted_ns| ns == wanted_ns)
                };
                let color = recent.iter().find(fits)?;
                let background = self.backgrounds.get(camera).cloned().unwrap_or_default();
                Some(View { camera, color: Arc::clone(color), depth: None, info: None, background })
            })
            .collect();
        (!views.is_empty()).then_some(views)
    }
}

fn choose(waiting: Waiting, views: Vec<View>, out: &mut Vec<Verdict>) {
    if waiting.reply.is_none() {
        let depth = views.iter().all(|v| v.depth.is_some());
        out.push(Verdict::Event {
            kind: CellEvent::FRAME_CHOSEN,
            item_id: waiting.arrival.item_id.clone(),
            stamp_ns: views.first().map_or(0, |v| v.color.header.stamp.nanos()),
            detail: if depth { "colour and depth".to_owned() } else { "colour alone".to_owned() },
        });
    }
    out.push(Verdict::Inspect(Job { arrival: waiting.arrival, views, reply: waiting.reply }));
}

#[cfg(test)]
#[path = "chooser_tests.rs"]
mod tests;

//! Every message in, items that can be inspected out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use frame_sync::{AssemblerOptions, CameraFrame, Dropped, FrameAssembler, FramesPushed, Options};
use intact_msgs::msg::{CellEvent, Inspection, ItemArrival};
use node_kit::{Mode, NodeError, Ports};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

use vision::ros::same_calibration;

use crate::frames::View;
use crate::judge::Background;
use crate::params::PerceptionParams;
use crate::waiting::{Found, Patience, WaitingRoom};

/// How often live time is looked at when no message comes.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Which stream an image belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Color,
    Depth,
    BackgroundColor,
    BackgroundDepth,
}

/// One of the node's inputs; cameras are numbered as in the parameter.
#[derive(Debug)]
pub(crate) enum Input {
    Arrival(Arc<ItemArrival>),
    Recorded(Arc<CellEvent>),
    Image(usize, Stream, Arc<Image>),
    Info(usize, Arc<CameraInfo>),
    /// ROS time, nanoseconds; lockstep only.
    Clock(i64),
    Reinspect(Arc<ItemArrival>, Sender<Inspection>),
}

/// An item and what there is to look at.
#[derive(Debug)]
pub(crate) struct Job {
    pub arrival: Arc<ItemArrival>,
    pub found: Found,
    /// Why what was found must not be judged.
    pub objection: Option<String>,
    /// The empty tray, a camera each, as it was known when the frame was chosen.
    pub backgrounds: Vec<Arc<Background>>,
    /// Who asked, when it is a re-inspection.
    pub reply: Option<Sender<Inspection>>,
    /// When what was found was there: what the item waits from now on is part of its latency.
    pub ready: Instant,
}

type Frames = FramesPushed<Arc<Image>, Arc<Image>, Arc<CameraInfo>>;

/// A changed camera_info is believed when it has come so often in a row.
const STEADY: u32 = 3;
/// How often the drift between the streams is said.
const REPORT_NS: u64 = 1_000_000_000;
/// Doubted camera_infos that are remembered: more than a frame waits for its partners.
const DOUBTED_KEPT: usize = 64;
/// Arrivals from these sources announce captures that stand for themselves: each brings its own camera_info.
const STILLS: [&str; 2] = ["bag", "folder"];

/// The model of one camera, and the camera_infos that contradict it.
#[derive(Debug, Default)]
struct Calibration {
    believed: Option<Arc<CameraInfo>>,
    /// Another one, and how often it has come in a row.
    candidate: Option<(Arc<CameraInfo>, u32)>,
    doubted_ns: VecDeque<i64>,
}

impl Calibration {
    /// Whether a camera_info is what the camera said before, or has come often enough to be believed.
    fn fits(&mut self, info: &Arc<CameraInfo>) -> bool {
        if same_calibration(self.believed.get_or_insert_with(|| Arc::clone(info)), info) {
            self.candidate = None;
            return true;
        }
        let before = self.candidate.take().filter(|(candidate, _)| same_calibration(candidate, info)).map_or(0, |(_, times)| times);
        if before + 1 >= STEADY {
            self.believed = Some(Arc::clone(info));
            return true;
        }
        self.candidate = Some((Arc::clone(info), before + 1));
        if self.doubted_ns.len() >= DOUBTED_KEPT {
            self.doubted_ns.pop_front();
        }
        self.doubted_ns.push_back(info.header.stamp.nanos());
        false
    }

    fn doubts(&self, info: &CameraInfo) -> bool {
        self.doubted_ns.contains(&info.header.stamp.nanos())
    }
}

/// Puts frames together and finds each item's.
pub(crate) struct Intake {
    assembler: FrameAssembler<Arc<Image>, Arc<Image>, Arc<CameraInfo>>,
    waiting: WaitingRoom,
    cameras: Vec<String>,
    backgrounds: Vec<Arc<Background>>,
    calibrations: Vec<Calibration>,
    /// Re-inspections under way, and who asked.
    asked: Vec<(Arc<ItemArrival>, Sender<Inspection>)>,
    now_ns: i64,
    /// When the drift was last said.
    reported_ns: i64,
}

impl Intake {
    pub fn new(params: &PerceptionParams) -> Result<Self, NodeError> {
        let cameras = params.cameras.len();
        let ns = |ms: f64| (ms * 1e6) as i64;
        let options = match params.sync.as_str() {
            "exact" => Options::exact(params.sync_queue),
            _ => Options::approximate(params.sync_queue).with_max_interval_ns(ns(params.sync_tolerance_ms)),
        };
        let assembler = FrameAssembler::new(AssemblerOptions { cameras, with_depth: true, sync: options })
            .map_err(|e| NodeError::because("the parameters of the synchroniser do not fit", e))?;
        let patience = Patience {
            tolerance_ns: ns(params.arrival_tolerance_ms),
            frame_wait_ns: ns(params.frame_wait_s * 1e3),
            sync_ns: ns(params.sync_tolerance_ms),
        };
        Ok(Self {
            assembler,
            waiting: WaitingRoom::new(params.cameras.clone(), params.frame_buffer, patience),
            cameras: params.cameras.clone(),
            backgrounds: vec![Arc::default(); cameras],
            calibrations: (0..cameras).map(|_| Calibration::default()).collect(),
            asked: Vec::new(),
            now_ns: 0,
            reported_ns: 0,
        })
    }

    /// Takes one input; gives what can be inspected now.
    pub fn take(&mut self, input: &Input, ports: &Ports) -> Vec<Job> {
        if ports.mode == Mode::Live {
            self.now_ns = ports.node.clock().now_ns();
        }
        let mut ready = match input {
            Input::Arrival(arrival) => self.waiting.arrive(Arc::clone(arrival), self.now_ns),
            Input::Reinspect(arrival, reply) => {
                self.asked.push((Arc::clone(arrival), reply.clone()));
                self.waiting.await_frame(Arc::clone(arrival), self.now_ns)
            }
            Input::Recorded(event) => {
                self.waiting.record(event);
                Vec::new()
            }
            Input::Clock(ns) => {
                self.now_ns = *ns;
                Vec::new()
            }
            Input::Image(camera, Stream::Color, image) => {
                self.waiting.buffer.color(*camera, Arc::clone(image));
                let pushed = self.assembler.push_color(*camera, image.header.stamp.nanos(), Arc::clone(image));
                self.pushed(pushed.ok(), ports)
            }
            Input::Image(camera, Stream::Depth, image) => {
                self.waiting.buffer.depth(*camera, Arc::clone(image));
                let pushed = self.assembler.push_depth(*camera, image.header.stamp.nanos(), Arc::clone(image));
                self.pushed(pushed.ok(), ports)
            }
            Input::Info(camera, info) => {
                self.watch_info(*camera, info, ports);
                self.waiting.buffer.info(*camera, Arc::clone(info));
                let pushed = self.assembler.push_info(*camera, info.header.stamp.nanos(), Arc::clone(info));
                self.pushed(pushed.ok(), ports)
            }
            Input::Image(camera, Stream::BackgroundColor, image) => {
                self.background(*camera, |b| Background::new(Some(Arc::clone(image)), b.depth.clone()));
                Vec::new()
            }
            Input::Image(camera, Stream::BackgroundDepth, image) => {
                self.background(*camera, |b| Background::new(b.color.clone(), Some(Arc::clone(image))));
                Vec::new()
            }
        };
        self.report(ports);
        ready.extend(self.waiting.passed(self.now_ns));
        self.jobs(ready)
    }

    /// Live time has come to `now_ns` and no message with it.
    pub fn tick(&mut self, now_ns: i64, ports: &Ports) -> Vec<Job> {
        self.now_ns = now_ns;
        self.report(ports);
        let ready = self.waiting.passed(now_ns);
        self.jobs(ready)
    }

    fn background(&mut self, camera: usize, renewed: impl FnOnce(&Background) -> Background) {
        if let Some(background) = self.backgrounds.get_mut(camera) {
            *background = Arc::new(renewed(background));
        }
    }

    fn watch_info(&mut self, camera: usize, info: &Arc<CameraInfo>, ports: &Ports) {
        if self.calibrations.get_mut(camera).is_some_and(|calibration| !calibration.fits(info)) {
            ports.diagnostics.count("camera_info_changes", 1);
        }
    }

    fn pushed(&mut self, pushed: Option<Frames>, ports: &Ports) -> Vec<(Arc<ItemArrival>, Found)> {
        let Some(pushed) = pushed else { return Vec::new() };
        if pushed.reset {
            ports.event(CellEvent::INPUT_REFUSED, "", Time::from_nanos(self.now_ns), "a camera's clock was set back; frames begin anew");
        }
        self.count_drops(&pushed.dropped, ports);
        let mut ready = self.waiting.buffered();
        for set in pushed.frames {
            ready.extend(self.waiting.complete(set.into_iter().map(view).collect()));
        }
        ready
    }

    fn count_drops(&self, dropped: &[Dropped], ports: &Ports) {
        for drop in dropped {
            let name = self.assembler.stream_of(drop.stream).map_or("?", |(_, stream)| stream.name());
            ports.diagnostics.count(&format!("{name}_without_partner"), 1);
        }
    }

    /// Says how far the streams drift apart, once a second of the cameras' time.
    fn report(&mut self, ports: &Ports) {
        if self.now_ns.abs_diff(self.reported_ns) < REPORT_NS {
            return;
        }
        self.reported_ns = self.now_ns;
        ports.diagnostics.set("drift_ms", format!("{:.1}", self.assembler.drift().worst_ns() as f64 / 1e6));
    }

    fn jobs(&mut self, ready: Vec<(Arc<ItemArrival>, Found)>) -> Vec<Job> {
        ready
            .into_iter()
            .map(|(arrival, found)| {
                let asked = self.asked.iter().position(|(a, _)| Arc::ptr_eq(a, &arrival));
                let reply = asked.map(|i| self.asked.swap_remove(i).1);
                let is_still = STILLS.contains(&arrival.source.as_str());
                let objection = if is_still { None } else { self.objection(&found) };
                Job { arrival, found, objection, backgrounds: self.backgrounds.clone(), reply, ready: Instant::now() }
            })
            .collect()
    }

    fn objection(&self, found: &Found) -> Option<String> {
        let Found::Views(views) = found else { return None };
        let doubted = |(view, calibration): (&View, &Calibration)| view.info.as_ref().is_some_and(|info| calibration.doubts(info));
        let camera = views.iter().zip(&self.calibrations).position(doubted)?;
        Some(format!(
            "camera_info of camera `{}` has just changed: it was touched, or two cameras share its namespace; items are judged again \
             when the new one has come {STEADY} times in a row",
            self.cameras.get(camera).map_or("?", String::as_str)
        ))
    }
}

fn view(frame: CameraFrame<Arc<Image>, Arc<Image>, Arc<CameraInfo>>) -> View {
    View { color: frame.color.value, depth: frame.depth.map(|d| d.value), info: Some(frame.info.value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(ns: i64, fx: f64) -> Arc<CameraInfo> {
        let mut info = CameraInfo { width: 4, height: 3, ..CameraInfo::default() };
        info.k[0] = fx;
        info.header.stamp = Time::from_nanos(ns);
        Arc::new(info)
    }

    #[test]
    fn a_changed_camera_info_is_doubted_until_it_has_come_three_times_in_a_row() {
        let mut calibration = Calibration::default();
        let focal_lengths = [5.0, 5.0, 7.0, 5.0, 7.0, 7.0, 8.0, 7.0, 7.0, 7.0, 7.0, 5.0];
        let fits: Vec<bool> = focal_lengths.iter().enumerate().map(|(ns, fx)| calibration.fits(&info(ns as i64, *fx))).collect();
        let wanted = [true, true, false, true, false, false, false, false, false, true, true, false];
        assert_eq!(fits, wanted);
        for (ns, fits) in wanted.into_iter().enumerate() {
            assert_eq!(calibration.doubts(&info(ns as i64, 0.0)), !fits, "at {ns}");
        }
    }
}

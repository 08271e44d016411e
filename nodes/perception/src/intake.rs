//! Every message in, items that can be inspected out.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use frame_sync::{AssemblerOptions, CameraFrame, Dropped, FrameAssembler, FramesPushed, Options};
use intact_msgs::msg::{CellEvent, Inspection, ItemArrival};
use node_kit::{Mode, NodeError, Ports};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};

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
    /// The empty tray, a camera each, as it was known when the frame was chosen.
    pub backgrounds: Vec<Arc<Background>>,
    /// Who asked, when it is a re-inspection.
    pub reply: Option<Sender<Inspection>>,
}

type Frames = FramesPushed<Arc<Image>, Arc<Image>, Arc<CameraInfo>>;

/// Puts frames together and finds each item's.
pub(crate) struct Intake {
    assembler: FrameAssembler<Arc<Image>, Arc<Image>, Arc<CameraInfo>>,
    waiting: WaitingRoom,
    backgrounds: Vec<Arc<Background>>,
    infos: Vec<Option<Arc<CameraInfo>>>,
    /// Re-inspections under way, and who asked.
    asked: Vec<(Arc<ItemArrival>, Sender<Inspection>)>,
    now_ns: i64,
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
            backgrounds: vec![Arc::default(); cameras],
            infos: vec![None; cameras],
            asked: Vec::new(),
            now_ns: 0,
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
                self.waiting.arrive(Arc::clone(arrival), self.now_ns)
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

    /// A camera that changes its model in mid-run has been touched, or two cameras share a namespace.
    fn watch_info(&mut self, camera: usize, info: &Arc<CameraInfo>, ports: &Ports) {
        let Some(last) = self.infos.get_mut(camera) else { return };
        let changed = last.as_ref().is_some_and(|l| (l.width, l.height, &l.k) != (info.width, info.height, &info.k));
        if changed {
            ports.diagnostics.count("camera_info_changes", 1);
        }
        *last = Some(Arc::clone(info));
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

    fn report(&self, ports: &Ports) {
        ports.diagnostics.set("drift_ms", format!("{:.1}", self.assembler.drift().worst_ns() as f64 / 1e6));
    }

    fn jobs(&mut self, ready: Vec<(Arc<ItemArrival>, Found)>) -> Vec<Job> {
        ready
            .into_iter()
            .map(|(arrival, found)| {
                let asked = self.asked.iter().position(|(a, _)| Arc::ptr_eq(a, &arrival));
                let reply = asked.map(|i| self.asked.swap_remove(i).1);
                Job { arrival, found, backgrounds: self.backgrounds.clone(), reply }
            })
            .collect()
    }
}

fn view(frame: CameraFrame<Arc<Image>, Arc<Image>, Arc<CameraInfo>>) -> View {
    View { color: frame.color.value, depth: frame.depth.map(|d| d.value), info: Some(frame.info.value) }
}

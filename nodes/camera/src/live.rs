//! Live topics: nothing is replayed. Watches rates, drift and contents, and can announce items that settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use frame_sync::{AssemblerOptions, FrameAssembler, FrameStream, Options};
use intact_msgs::msg::{CellEvent, ItemArrival};
use node_kit::{Inbox, NodeError, Ports, Shared, Stop, Worker};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use transport::{Publisher, Qos, Subscription, TransportError};

use crate::checks::{InputChecks, Verdict};
use crate::params::CameraParams;
use crate::player::settled_arrival;
use crate::settling::Settling;
use crate::source::{Outgoing, Problem};
use crate::watch::SettlingWatch;

/// Messages that wait for the watcher: two frames of every stream of two cameras.
const INBOX: usize = 12;
/// Values a stream that wait for their partners.
const SYNC_QUEUE: usize = 10;
/// Period of rates and drift in the diagnostics.
const REPORT: Duration = Duration::from_secs(1);

/// The ports of a node that only watches.
pub(crate) struct Live {
    ports: Ports,
    params: Shared<CameraParams>,
    cameras: Vec<String>,
    inbox: Inbox<Outgoing>,
    settling: Option<(Settling, Publisher<ItemArrival>)>,
    _subscriptions: Vec<Subscription>,
}

impl Live {
    /// Subscribes the streams of `cameras`. With `settling` the node announces items itself.
    ///
    /// # Errors
    /// When a port cannot be made.
    pub(crate) fn new(
        ports: &Ports,
        params: &Shared<CameraParams>,
        cameras: Vec<String>,
        settling: Option<Settling>,
    ) -> Result<Self, NodeError> {
        let inbox: Inbox<Outgoing> = ports.inbox("watch", INBOX);
        // Closed until there is a watcher.
        inbox.close();
        let mut subscriptions = Vec::new();
        for (index, camera) in cameras.iter().enumerate() {
            subscriptions.extend(subscribe(ports, index, camera, &inbox)?);
        }
        let settling = match settling {
            Some(settling) => Some((settling, ports.node.publisher("item_arrival", Qos::event())?)),
            None => None,
        };
        Ok(Self { ports: ports.clone(), params: params.clone(), cameras, inbox, settling, _subscriptions: subscriptions })
    }

    /// Starts to watch.
    ///
    /// # Errors
    /// When there is no thread to have.
    pub(crate) fn start(&self) -> Result<Worker, NodeError> {
        let options = AssemblerOptions { cameras: self.cameras.len(), with_depth: true, sync: Options::approximate(SYNC_QUEUE) };
        let mut watcher = Watcher {
            ports: self.ports.clone(),
            params: self.params.clone(),
            cameras: self.cameras.clone(),
            checks: InputChecks::new(self.cameras.len()),
            frames: FrameAssembler::new(options).map_err(|e| NodeError::because("the cameras cannot be watched", e))?,
            settling: self.settling.clone().map(|(settling, arrivals)| (SettlingWatch::new(settling), arrivals)),
            colors: vec![0; self.cameras.len()],
            since: Instant::now(),
        };
        let inbox = self.inbox.clone();
        inbox.open();
        self.ports.spawn("watch", move |stop: &Stop| {
            while !stop.is_set() {
                if let Some(message) = inbox.recv_timeout(Duration::from_millis(100)) {
                    watcher.see(&message);
                }
                watcher.report_if_due();
            }
            inbox.close();
        })
    }
}

fn subscribe(ports: &Ports, index: usize, camera: &str, inbox: &Inbox<Outgoing>) -> Result<[Subscription; 4], TransportError> {
    let topic = |tail: &str| format!("{}/{tail}", camera.trim_end_matches('/'));
    let images = |tail: &str, qos: Qos, wrap: fn(usize, Arc<Image>) -> Outgoing| {
        let inbox = inbox.clone();
        ports.node.subscribe(&topic(tail), qos, move |image: Arc<Image>| drop(inbox.push(wrap(index, image))))
    };
    let infos = inbox.clone();
    Ok([
        images("color/image_raw", Qos::sensor(), Outgoing::Color)?,
        images("aligned_depth_to_color/image_raw", Qos::sensor(), Outgoing::Depth)?,
        images("background/aligned_depth_to_color/image_raw", Qos::latched(), Outgoing::BackgroundDepth)?,
        ports.node.subscribe(&topic("color/camera_info"), Qos::sensor(), move |info: Arc<CameraInfo>| {
            drop(infos.push(Outgoing::Info(index, info)));
        })?,
    ])
}

/// What one watching thread remembers.
struct Watcher {
    ports: Ports,
    params: Shared<CameraParams>,
    cameras: Vec<String>,
    checks: InputChecks,
    frames: FrameAssembler<(), (), ()>,
    settling: Option<(SettlingWatch, Publisher<ItemArrival>)>,
    /// Colour pictures since the last report, a camera.
    colors: Vec<u32>,
    since: Instant,
}

impl Watcher {
    fn see(&mut self, message: &Outgoing) {
        match self.checks.judge(message) {
            Verdict::Good => {}
            Verdict::Odd(problem) | Verdict::Refused(problem) => self.tell(&problem),
        }
        let pushed = match message {
            Outgoing::Color(camera, image) => {
                if let Some(n) = self.colors.get_mut(*camera) {
                    *n += 1;
                }
                self.frames.push_color(*camera, image.header.stamp.nanos(), ())
            }
            Outgoing::Depth(camera, image) => self.frames.push_depth(*camera, image.header.stamp.nanos(), ()),
            Outgoing::Info(camera, info) => self.frames.push_info(*camera, info.header.stamp.nanos(), ()),
            _ => return self.settle(message),
        };
        if let Ok(pushed) = pushed {
            self.ports.diagnostics.count("frame_sets", pushed.frames.len() as u64);
        }
        self.settle(message);
    }

    fn settle(&mut self, message: &Outgoing) {
        let Some((watch, arrivals)) = &mut self.settling else { return };
        let Some(stamp_ns) = watch.see(message) else { return };
        self.ports.diagnostics.count("arrivals", 1);
        if let Err(error) = arrivals.publish(settled_arrival(stamp_ns, "tray", self.params.get().clutter)) {
            self.ports.diagnostics.error(format!("an item settled, but its arrival is not published: {error}"));
        }
    }

    fn tell(&self, problem: &Problem) {
        tracing::warn!(item = problem.item_id, "{}", problem.detail);
        self.ports.event(CellEvent::INPUT_REFUSED, &problem.item_id, Time::from_nanos(problem.stamp_ns), &problem.detail);
    }

    fn report_if_due(&mut self) {
        let elapsed = self.since.elapsed();
        if elapsed < REPORT {
            return;
        }
        let params = self.params.get();
        let mut doubts = Vec::new();
        for (camera, colors) in self.cameras.iter().zip(&mut self.colors) {
            let rate_hz = f64::from(std::mem::take(colors)) / elapsed.as_secs_f64();
            self.ports.diagnostics.set(&format!("{camera}_rate_hz"), format!("{rate_hz:.1}"));
            if rate_hz < params.min_rate_hz {
                doubts.push(format!("camera {camera} sends {rate_hz:.1} pictures a second, at least {} are expected", params.min_rate_hz));
            }
        }
        let worst_ms = self.report_streams();
        if worst_ms > params.max_drift_ms {
            doubts.push(format!("streams lie {worst_ms:.1} ms apart inside a frame set, {} are allowed", params.max_drift_ms));
        }
        match doubts.is_empty() {
            true => self.ports.diagnostics.ok("watching live topics"),
            false => self.ports.diagnostics.warn(doubts.join("; ")),
        }
        self.since = Instant::now();
    }

    /// Drift and drops of every stream; gives the largest offset, milliseconds.
    fn report_streams(&self) -> f64 {
        let drift = self.frames.drift();
        for (number, counters) in self.frames.counters().iter().enumerate() {
            let Some((camera, stream)) = self.frames.stream_of(number) else { continue };
            let name = format!("{}_{}", self.cameras.get(camera).map_or("", String::as_str), stream.name());
            self.ports.diagnostics.set(&format!("{name}_unmatched"), counters.dropped());
            if let Some(d) = drift.streams().get(number).filter(|_| stream != FrameStream::Color || camera > 0) {
                let text = format!("{:.2} ms, {:+.3} ms/s", d.mean_ns * 1e-6, d.trend_ns_per_s * 1e-6);
                self.ports.diagnostics.set(&format!("{name}_drift"), text);
            }
        }
        drift.worst_ns() as f64 * 1e-6
    }
}

//! Perception node: segments the item and scores damage.
//!
//! Two threads. The first takes every message, puts frames together, and decides which frame shows which item; it never
//! does heavy work. The second inspects. Exactly one [`Inspection`] goes out per arrival, whatever happens: decision and
//! gallery wait for it.

mod frames;
mod intake;
mod judge;
mod params;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use inspection::{EmbeddingNet, InspectionParams, Inspector, ItemFinder, ModelChoice, Models, SegmentationParams};
use intact_msgs::msg::{CellEvent, Inspection, ItemArrival};
use intact_msgs::srv::{Reinspect, ReinspectResponse};
use node_kit::{Component, Inbox, Mode, NodeError, Ports, Shared, Worker};
use ros_interfaces::Message;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::rosgraph_msgs::msg::Clock;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::vision_msgs::msg::Detection2DArray;
use transport::{Publisher, Qos, ServiceServer, Subscription};

use frames::write_members;
use intake::{Input, Intake, Job, Stream};
use judge::{Look, detections, failed, judge};
pub use params::PerceptionParams;
use waiting::{Found, GIVEN_UP, NO_FRAME};

/// Messages that may wait to be sorted into frames: a second of four cameras.
const INTAKE_LIMIT: usize = 512;

/// The node.
pub struct Perception {
    ports: Ports,
    params: Shared<PerceptionParams>,
    inputs: Inbox<Input>,
    jobs: Inbox<Job>,
    inspector: Arc<Judge>,
    trays: Arc<Trays>,
    workers: Vec<Worker>,
    // Ports live as long as the node is configured.
    _subscriptions: Vec<Subscription>,
    _service: ServiceServer,
}

impl Component for Perception {
    const NAME: &'static str = "perception";
    type Params = PerceptionParams;

    fn configure(ports: &Ports, params: Shared<PerceptionParams>) -> Result<Self, NodeError> {
        let now = params.get();
        if now.cameras.is_empty() {
            return Err(NodeError::msg("parameter `cameras` is empty; name at least one camera's namespace"));
        }
        let kind = now.engine.parse().map_err(|e: String| NodeError::msg(format!("parameter `engine`: {e}")))?;
        let choice = ModelChoice::from(now.model.as_str());
        let models = choice.load(kind).map_err(|e| NodeError::because("parameter `model`", e))?;
        let embedding = now.embedding.then(|| EmbeddingNet::load(kind)).transpose();
        let embedding = embedding.map_err(|e| NodeError::because("parameter `embedding`", e))?;
        // `classical` asks no network.
        let finder = if now.item_network { choice.finder(kind) } else { Ok(None) };
        let finder = finder.map_err(|e| NodeError::because("parameter `item_network`", e))?;
        // Made here too, so that settings which do not work are refused now and not when the first frame comes.
        Intake::new(&now)?;
        let inputs: Inbox<Input> = ports.inbox("messages", INTAKE_LIMIT);
        let jobs = ports.inbox("items", now.queue_limit);
        // Nothing is taken before the node is active.
        inputs.close();
        jobs.close();
        let trays = Arc::new(Trays::default());
        let subscriptions = subscribe(ports, &now.cameras, &inputs, &trays)?;
        let inspector = Arc::new(Judge {
            inspections: ports.node.publisher("inspection", Qos::event())?,
            detections: ports.node.publisher("detections", Qos::event())?,
            cameras: now.cameras.clone(),
            ports: ports.clone(),
            params: params.clone(),
            models,
            embedding,
            finder,
        });
        let service = serve_reinspect(ports, &params, &inputs)?;
        Ok(Self {
            ports: ports.clone(),
            params,
            inputs,
            jobs,
            inspector,
            trays,
            workers: Vec::new(),
            _subscriptions: subscriptions,
            _service: service,
        })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let judge = Arc::clone(&self.inspector);
        let inspect = self.ports.consume("perception", &self.jobs, move |job| judge.work(&job))?;
        let mut intake = Intake::new(&self.params.get())?;
        let (inputs, jobs, judge, ports) = (self.inputs.clone(), self.jobs.clone(), Arc::clone(&self.inspector), self.ports.clone());
        inputs.open();
        // Opened first: a picture that comes now is taken twice rather than never.
        for tray in self.trays.known() {
            intake.take(&tray, &ports);
        }
        let sort = self.ports.spawn("perception_intake", move |stop| {
            while !stop.is_set() {
                // Live, time passes without messages; in lockstep it comes as one.
                let received = inputs.recv_timeout(intake::TICK);
                let ready = match &received {
                    Some(input) => intake.take(input, &ports),
                    None if ports.mode == Mode::Live => intake.tick(ports.node.clock().now_ns(), &ports),
                    None => Vec::new(),
                };
                for job in ready {
                    if let Some(oldest) = jobs.push(job).filter(|_| !jobs.is_closed()) {
                        judge.give_up(&oldest);
                    }
                }
            }
            inputs.close();
        })?;
        // The intake ends first, so that nothing is pushed to a closed inbox.
        self.workers = vec![sort, inspect];
        Ok(())
    }

    fn deactivate(&mut self) {
        self.workers.clear();
    }
}

/// Pictures of the empty tray come once and are latched: they are kept, whether the node is active or not.
#[derive(Default)]
struct Trays(Mutex<Vec<(usize, Stream, Arc<Image>)>>);

impl Trays {
    fn keep(&self, camera: usize, stream: Stream, image: Arc<Image>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(c, s, _)| (*c, *s) != (camera, stream));
        all.push((camera, stream, image));
    }

    fn known(&self) -> Vec<Input> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(camera, stream, image)| Input::Image(*camera, *stream, Arc::clone(image))).collect()
    }
}

fn subscribe(ports: &Ports, cameras: &[String], inputs: &Inbox<Input>, trays: &Arc<Trays>) -> Result<Vec<Subscription>, NodeError> {
    let mut all = vec![
        listen(ports, "item_arrival", Qos::event(), inputs, Input::Arrival)?,
        listen(ports, "recorded_event", Qos::event(), inputs, Input::Recorded)?,
    ];
    if ports.mode == Mode::Lockstep {
        all.push(listen(ports, "/clock", Qos::clock(), inputs, |m: Arc<Clock>| Input::Clock(m.clock.nanos()))?);
    }
    for (camera, namespace) in cameras.iter().enumerate() {
        let topic = |name: &str| format!("{}/{name}", namespace.trim_end_matches('/'));
        let image = |stream| move |m| Input::Image(camera, stream, m);
        all.push(listen(ports, &topic("color/image_raw"), Qos::sensor(), inputs, image(Stream::Color))?);
        all.push(listen(ports, &topic("aligned_depth_to_color/image_raw"), Qos::sensor(), inputs, image(Stream::Depth))?);
        all.push(listen(ports, &topic("color/camera_info"), Qos::sensor(), inputs, move |m| Input::Info(camera, m))?);
        for (name, stream) in [("color", Stream::BackgroundColor), ("aligned_depth_to_color", Stream::BackgroundDepth)] {
            let (inputs, trays) = (inputs.clone(), Arc::clone(trays));
            let topic = topic(&format!("background/{name}/image_raw"));
            all.push(ports.node.subscribe(&topic, Qos::latched(), move |image: Arc<Image>| {
                trays.keep(camera, stream, Arc::clone(&image));
                // A closed inbox gives it back; it is kept for when the node is active.
                drop(inputs.push(Input::Image(camera, stream, image)));
            })?);
        }
    }
    Ok(all)
}

fn listen<M: Message>(
    ports: &Ports,
    topic: &str,
    qos: Qos,
    inputs: &Inbox<Input>,
    input: impl Fn(Arc<M>) -> Input + Send + Sync + 'static,
) -> Result<Subscription, NodeError> {
    let inputs = inputs.clone();
    Ok(ports.node.subscribe(topic, qos, move |message| {
        // What an overfull or closed inbox gives back is counted there.
        drop(inputs.push(input(message)));
    })?)
}

fn serve_reinspect(ports: &Ports, params: &Shared<PerceptionParams>, inputs: &Inbox<Input>) -> Result<ServiceServer, NodeError> {
    /// What an inspection may take beyond the wait for its frame.
    const WORK: Duration = Duration::from_secs(10);
    let (inputs, params, clock) = (inputs.clone(), params.clone(), ports.node.clock());
    Ok(ports.node.serve::<Reinspect>("~/reinspect", move |request| {
        let (reply, answer) = mpsc::channel();
        let header = Header { stamp: Time::from_nanos(clock.now_ns()), frame_id: String::new() };
        let arrival = ItemArrival { header, item_id: request.item_id.clone(), source: "reinspect".to_owned(), ..ItemArrival::default() };
        if inputs.push(Input::Reinspect(Arc::new(arrival), reply)).is_some() && inputs.is_closed() {
            return ReinspectResponse {
                message: "the perception node is not active; activate it first".to_owned(),
                ..ReinspectResponse::default()
            };
        }
        match answer.recv_timeout(Duration::from_secs_f64(params.get().frame_wait_s) + WORK) {
            Ok(inspection) => ReinspectResponse { success: inspection.ok, message: inspection.error.clone(), inspection },
            Err(_) => ReinspectResponse {
                message: "no frame was inspected in time; do the cameras run?".to_owned(),
                ..ReinspectResponse::default()
            },
        }
    })?)
}

/// What turns jobs into published inspections.
struct Judge {
    ports: Ports,
    params: Shared<PerceptionParams>,
    cameras: Vec<String>,
    models: Models,
    embedding: Option<EmbeddingNet>,
    finder: Option<ItemFinder>,
    inspections: Publisher<Inspection>,
    detections: Publisher<Detection2DArray>,
}

impl Judge {
    fn work(&self, job: &Job) {
        let id = &job.arrival.item_id;
        let stamp = &job.arrival.header.stamp;
        let inspection = match &job.found {
            Found::Views(views) => {
                if let Some(first) = views.first() {
                    self.event(job, CellEvent::FRAME_CHOSEN, &first.color.header.stamp, &write_members(views));
                }
                let looks: Vec<_> = self
                    .cameras
                    .iter()
                    .zip(views)
                    .zip(&job.backgrounds)
                    .map(|((camera, view), background)| Look { camera, view, background })
                    .collect();
                match &job.objection {
                    None => judge(id, &looks, &self.inspector(!job.arrival.clutter), job.ready),
                    Some(why) => Inspection { header: job.arrival.header.clone(), ..failed(id, why.clone()) },
                }
            }
            Found::Nothing(sentence) => {
                self.event(job, CellEvent::FRAME_DROPPED, stamp, NO_FRAME);
                Inspection { header: job.arrival.header.clone(), ..failed(id, sentence.clone()) }
            }
            Found::GivenUp => return self.give_up(job),
        };
        self.publish(job, inspection);
    }

    /// Where one item is expected, small pieces at its side are parts of it.
    fn inspector(&self, one_item: bool) -> Inspector {
        let damage_threshold = self.params.get().damage_threshold as f32;
        let segmentation = SegmentationParams { one_item, ..SegmentationParams::default() };
        Inspector {
            params: InspectionParams { segmentation, damage_threshold },
            models: self.models.clone(),
            embedding: self.embedding.clone(),
            finder: self.finder.clone(),
        }
    }

    /// An item that had to make room for newer ones still gets its inspection: a failed one.
    fn give_up(&self, job: &Job) {
        self.event(job, CellEvent::FRAME_DROPPED, &job.arrival.header.stamp, GIVEN_UP);
        let sentence = "perception has more items waiting than it can inspect; space the items out, or raise queue_limit and the deadline";
        let inspection = Inspection { header: job.arrival.header.clone(), ..failed(&job.arrival.item_id, sentence.to_owned()) };
        self.publish(job, inspection);
    }

    /// A re-inspection is no part of the run: a replay must not see it.
    fn event(&self, job: &Job, kind: u8, stamp: &Time, detail: &str) {
        if job.reply.is_none() {
            self.ports.event(kind, &job.arrival.item_id, stamp.clone(), detail);
        }
    }

    fn publish(&self, job: &Job, inspection: Inspection) {
        let diagnostics = &self.ports.diagnostics;
        diagnostics.count("inspections", 1);
        if inspection.ok {
            let ms: f32 = inspection.timings.iter().map(|t| t.ms).sum();
            diagnostics.set("last_ms", format!("{ms:.1}"));
        } else {
            diagnostics.count("inspections_failed", 1);
            tracing::warn!(item_id = %inspection.item_id, error = %inspection.error, "not inspected");
        }
        if let Some(reply) = &job.reply {
            // A caller that has given up needs no answer.
            let _ = reply.send(inspection);
            return;
        }
        let seen = detections(&inspection);
        // The line waits for this one: a slow reader of the other must not hold it back.
        if let Err(error) = self.inspections.publish(inspection) {
            diagnostics.error(format!("an inspection is not published: {error}"));
        }
        if let Err(error) = self.detections.publish(seen) {
            diagnostics.warn(format!("detections are not published: {error}"));
        }
    }
}

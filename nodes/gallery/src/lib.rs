//! Gallery node: which product an item is, and where it differs from its pristine references.
//!
//! An [`Inspection`] says where the item is; the picture that perception judged and the item's arrival are looked up
//! beside it; out goes one [`GalleryReport`] an item (an instance in clutter), whatever happens: decision waits for it.

mod catalogue;
mod inputs;
mod judge;
mod params;
mod school;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use inspection::{Comparer, EmbeddingNet, EngineKind, InspectionError};
use intact_msgs::msg::{CellEvent, GalleryReport, Inspection, ItemArrival};
use intact_msgs::srv::{EnrolReference, ListProducts};
use matching::Embedder;
use node_kit::{Component, Inbox, NodeError, Ports, Shared, Worker};
use ros_interfaces::sensor_msgs::msg::Image;
use transport::{Publisher, Qos, ServiceServer, Subscription};

use catalogue::Catalogue;
use inputs::{Inputs, Loss};
use judge::{Case, Class, given_up};
pub use params::GalleryParams;
use school::School;

/// Pictures that could not be used and are named one by one in the log; the rest are counted.
const NAMED_REJECTS: usize = 20;
/// How often a gallery's server is looked for, whether items come or not.
const TOUCH: Duration = Duration::from_secs(2);

/// The node.
pub struct Gallery {
    ports: Ports,
    inspections: Inbox<Arc<Inspection>>,
    reporter: Arc<Reporter>,
    worker: Option<Worker>,
    /// Keeps touch with the server that the gallery lies on.
    _touch: Option<Worker>,
    // Ports live as long as the node is configured.
    _subscriptions: Vec<Subscription>,
    _services: Vec<ServiceServer>,
}

/// What turns inspections into published reports.
struct Reporter {
    ports: Ports,
    params: Shared<GalleryParams>,
    catalogue: Arc<Catalogue>,
    inputs: Arc<Inputs>,
    /// Judges items beside their references; `None`: there is no gallery.
    comparer: Option<Comparer>,
    barcodes: HashMap<String, String>,
    /// `None`: learning is off.
    school: Option<Mutex<School>>,
    reports: Publisher<GalleryReport>,
}

impl Component for Gallery {
    const NAME: &'static str = "gallery";
    type Params = GalleryParams;

    fn configure(ports: &Ports, params: Shared<GalleryParams>) -> Result<Self, NodeError> {
        let now = params.get();
        let embedder = (!now.references_dir.is_empty()).then(|| embedder(engine(&now.engine)?)).transpose()?;
        let catalogue = Arc::new(open(ports, &now.references_dir, embedder)?);
        let inputs = Arc::new(Inputs::new(now.frame_buffer));
        let reporter = Arc::new(Reporter {
            ports: ports.clone(),
            catalogue: Arc::clone(&catalogue),
            inputs: Arc::clone(&inputs),
            comparer: catalogue.is_kept().then(|| comparer(engine(&now.engine)?)).transpose()?,
            barcodes: barcodes(&now.barcodes)?,
            school: school(&catalogue, &now)?,
            reports: ports.node.publisher("gallery_report", Qos::event())?,
            params,
        });
        let inspections = ports.inbox("inspections", now.queue_limit);
        // Nothing is taken before the node is active.
        inspections.close();
        let mut subscriptions = vec![
            subscribe_inspections(ports, &inspections, &reporter)?,
            subscribe_arrivals(ports, &inputs)?,
            subscribe_recorded(ports, &inputs)?,
        ];
        if catalogue.is_kept() {
            for camera in &now.cameras {
                subscriptions.push(subscribe_frames(ports, camera, &inputs)?);
            }
        }
        Ok(Self {
            ports: ports.clone(),
            inspections,
            _touch: keep_in_touch(ports, &reporter)?,
            reporter,
            worker: None,
            _subscriptions: subscriptions,
            _services: serve(ports, &catalogue)?,
        })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let reporter = Arc::clone(&self.reporter);
        self.worker = Some(self.ports.consume("gallery", &self.inspections, move |inspection| reporter.judge(&inspection))?);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
    }
}

fn open(ports: &Ports, references_dir: &str, embedder: Option<Embedder>) -> Result<Catalogue, NodeError> {
    let (catalogue, rejected) = Catalogue::open(references_dir, embedder)?;
    for reject in rejected.iter().take(NAMED_REJECTS) {
        tracing::warn!("reference `{}` is skipped: {}", reject.picture, reject.reason);
    }
    let gallery = catalogue.snapshot();
    ports.diagnostics.count("references_skipped", rejected.len() as u64);
    ports.diagnostics.set("products", gallery.products().len());
    ports.diagnostics.set("references", gallery.len());
    ports.diagnostics.set("references_without_features", gallery.featureless().len());
    ports.diagnostics.set("gallery_version", gallery.version());
    match rejected.first() {
        Some(first) => {
            ports.diagnostics.warn(format!("{} reference picture(s) skipped, first `{}`: {}", rejected.len(), first.picture, first.reason))
        }
        None if gallery.is_empty() && !references_dir.is_empty() => {
            tracing::warn!("parameter `references_dir`: {references_dir} holds no references; perception decides alone");
            ports.diagnostics.warn(format!("{references_dir} holds no references: perception decides alone"));
        }
        None if gallery.is_empty() => ports.diagnostics.ok("no references: perception decides alone"),
        None => {
            let fixed = if catalogue.is_fixed() { "; it can be read only" } else { "" };
            ports.diagnostics.ok(format!("{} references of {} products{fixed}", gallery.len(), gallery.products().len()));
        }
    }
    Ok(catalogue)
}

/// The thread that keeps touch with the gallery's server, where there is one.
fn keep_in_touch(ports: &Ports, reporter: &Arc<Reporter>) -> Result<Option<Worker>, NodeError> {
    if !reporter.catalogue.is_on_server() {
        return Ok(None);
    }
    reporter.tell_server();
    let reporter = Arc::clone(reporter);
    let touch = move |stop: &node_kit::Stop| {
        while !stop.wait(TOUCH) {
            reporter.catalogue.keep_in_touch();
            reporter.tell_server();
        }
    };
    ports.spawn("gallery_touch", touch).map(Some)
}

fn school(catalogue: &Catalogue, params: &GalleryParams) -> Result<Option<Mutex<School>>, NodeError> {
    let Some(rules) = params.rules() else { return Ok(None) };
    if !catalogue.is_store() {
        return Err(NodeError::msg(
            "parameter `learning`: needs a gallery with a history; give `references_dir` as sqlite:PATH or postgres://…",
        ));
    }
    if catalogue.is_fixed() {
        return Err(NodeError::msg(
            "parameter `learning`: the gallery is read-only, nothing could be kept; make it writable, or set `learning` to off",
        ));
    }
    let school = School::open(catalogue, rules).map_err(|e| NodeError::msg(format!("parameter `learning`: {e}")))?;
    Ok(Some(Mutex::new(school)))
}

fn engine(named: &str) -> Result<EngineKind, NodeError> {
    named.parse().map_err(|e| NodeError::msg(format!("parameter `engine`: {e}")))
}

fn embedder(kind: EngineKind) -> Result<Embedder, NodeError> {
    built_in_embedder(kind).map_err(|e| NodeError::msg(format!("parameter `engine`: {e}")))
}

/// The embedding network that this version brings, as a gallery takes it.
///
/// # Errors
/// When ONNX Runtime is asked for and not there.
pub fn built_in_embedder(kind: EngineKind) -> Result<Embedder, InspectionError> {
    let net = EmbeddingNet::load(kind)?;
    let model = net.model().to_owned();
    Ok(Embedder::new(model, move |color, foreground| net.embed(color, foreground).map_err(|e| e.to_string())))
}

fn comparer(kind: EngineKind) -> Result<Comparer, NodeError> {
    Comparer::load(kind).map_err(|e| NodeError::msg(format!("parameter `engine`: {e}")))
}

/// `CODE=PRODUCT` entries as a table.
fn barcodes(entries: &[String]) -> Result<HashMap<String, String>, NodeError> {
    let pair = |entry: &String| {
        let (code, product) = entry.split_once('=').map(|(c, p)| (c.trim(), p.trim())).filter(|(c, p)| !c.is_empty() && !p.is_empty())?;
        Some((code.to_owned(), product.to_owned()))
    };
    let refused = |entry: &String| NodeError::msg(format!("parameter `barcodes`: `{entry}` is not CODE=PRODUCT"));
    entries.iter().map(|entry| pair(entry).ok_or_else(|| refused(entry))).collect()
}

fn subscribe_inspections(ports: &Ports, inbox: &Inbox<Arc<Inspection>>, reporter: &Arc<Reporter>) -> Result<Subscription, NodeError> {
    let (inbox, reporter) = (inbox.clone(), Arc::clone(reporter));
    Ok(ports.node.subscribe("inspection", Qos::event(), move |inspection: Arc<Inspection>| {
        let given_up = inbox.push(inspection);
        // A closed inbox gives everything back: the node is inactive and says nothing.
        if let Some(oldest) = given_up.filter(|_| !inbox.is_closed()) {
            reporter.give_up(&oldest);
        }
    })?)
}

fn subscribe_arrivals(ports: &Ports, inputs: &Arc<Inputs>) -> Result<Subscription, NodeError> {
    let inputs = Arc::clone(inputs);
    Ok(ports.node.subscribe("item_arrival", Qos::event(), move |arrival: Arc<ItemArrival>| inputs.arrival(arrival))?)
}

fn subscribe_recorded(ports: &Ports, inputs: &Arc<Inputs>) -> Result<Subscription, NodeError> {
    let inputs = Arc::clone(inputs);
    Ok(ports.node.subscribe("recorded_event", Qos::event(), move |event: Arc<CellEvent>| inputs.recorded(&event))?)
}

fn subscribe_frames(ports: &Ports, camera: &str, inputs: &Arc<Inputs>) -> Result<Subscription, NodeError> {
    let (inputs, name) = (Arc::clone(inputs), camera.to_owned());
    let topic = format!("{}/color/image_raw", camera.trim_end_matches('/'));
    Ok(ports.node.subscribe(&topic, Qos::sensor(), move |image: Arc<Image>| inputs.frame(&name, image))?)
}

fn serve(ports: &Ports, catalogue: &Arc<Catalogue>) -> Result<Vec<ServiceServer>, NodeError> {
    let (enrolling, listing, diagnostics) = (Arc::clone(catalogue), Arc::clone(catalogue), ports.diagnostics.clone());
    let enrol = ports.node.serve::<EnrolReference>("~/enrol_reference", move |request| {
        let response = enrolling.enrol(&request);
        let gallery = enrolling.snapshot();
        diagnostics.set("products", gallery.products().len());
        diagnostics.set("references", gallery.len());
        diagnostics.set("gallery_version", gallery.version());
        response
    })?;
    let list = ports.node.serve::<ListProducts>("~/list_products", move |request| listing.list(&request))?;
    Ok(vec![enrol, list])
}

impl Reporter {
    /// Waits shortly for the inspection's own inputs, judges, publishes.
    fn judge(&self, inspection: &Inspection) {
        let started = Instant::now();
        let params = self.params.get();
        let recorded = self.inputs.recorded_loss(&inspection.item_id);
        if recorded == Some(Loss::GivenUp) {
            return self.give_up(inspection);
        }
        self.catalogue.refresh();
        self.tell_server();
        if let (Some(school), Some(rules)) = (&self.school, params.rules()) {
            school.lock().unwrap_or_else(PoisonError::into_inner).set_rules(rules);
        }
        let gallery = self.catalogue.snapshot();
        let deadline = started + Duration::from_secs_f64(params.input_wait_s);
        // A failed inspection is answered at once; without references there is nothing that a picture would tell.
        let arrival = if inspection.ok { self.inputs.arrival_of(&inspection.item_id, deadline) } else { None };
        let looks = inspection.ok && !gallery.is_empty();
        let frame = match recorded {
            None if looks => self.inputs.frame_at(&inspection.camera, &inspection.header.stamp, deadline),
            _ => None,
        };
        if looks && frame.is_none() {
            self.lost(inspection, Loss::NoPicture);
        }
        let case = Case {
            gallery: &gallery,
            comparer: self.comparer.as_ref(),
            inspection,
            arrival: arrival.as_deref(),
            frame,
            barcodes: &self.barcodes,
            ranking_limit: params.ranking_limit,
            class: self.school.as_ref().map(|school| Class { school, catalogue: &self.catalogue }),
            open_designs: &self.catalogue.open_designs(),
        };
        for report in case.reports() {
            let anomalous = report.has_reference && f64::from(report.anomaly_score) > params.anomaly_threshold;
            self.ports.diagnostics.count("items_anomalous", u64::from(anomalous));
            self.publish(report);
        }
        self.tell_learning(&params.learning);
        self.ports.diagnostics.set("last_ms", format!("{:.1}", started.elapsed().as_secs_f64() * 1e3));
    }

    /// The part of the diagnostics that is about learning.
    fn tell_learning(&self, mode: &str) {
        let diagnostics = &self.ports.diagnostics;
        let open: Vec<String> =
            self.catalogue.open_designs().into_iter().map(|(product, version)| format!("{product} v{version}")).collect();
        diagnostics.set("learning", mode);
        diagnostics.set("designs_open", open.join(", "));
        if let Some(school) = &self.school {
            diagnostics.set("proposals_waiting", school.lock().unwrap_or_else(PoisonError::into_inner).waiting());
            diagnostics.set("references", self.catalogue.snapshot().len());
        }
        if !open.is_empty() {
            let list = open.join(", ");
            let said = format!("a new design is suspected: {list}; see `intact gallery proposals list`, then confirm or reject it");
            diagnostics.standing_warning("design", said);
        } else if diagnostics.lift("design") {
            tracing::info!("no new design is suspected any more");
        }
    }

    /// A replay of this run must lose the same.
    fn lost(&self, inspection: &Inspection, loss: Loss) {
        self.ports.event(CellEvent::FRAME_DROPPED, &inspection.item_id, inspection.header.stamp.clone(), loss.detail());
    }

    /// The part of the diagnostics that is about the gallery's server; said once a change.
    fn tell_server(&self) {
        if !self.catalogue.is_on_server() {
            return;
        }
        let diagnostics = &self.ports.diagnostics;
        let away = self.catalogue.away();
        diagnostics.set("gallery_server", if away.is_some() { "away" } else { "there" });
        if let Some(reason) = away {
            let with = self.catalogue.local_copy().map_or_else(|| "what it knows".to_owned(), |path| format!("its local copy {path}"));
            let said =
                format!("the gallery's server cannot be reached ({reason}): the cell goes on with {with}; nothing is enrolled or learned");
            diagnostics.standing_warning("server", said);
        } else if diagnostics.lift("server") {
            let gallery = self.catalogue.snapshot();
            let said =
                format!("the gallery's server is there again: {} references of {} products", gallery.len(), gallery.products().len());
            tracing::info!("{said}");
            diagnostics.set("products", gallery.products().len());
            diagnostics.set("references", gallery.len());
            diagnostics.set("gallery_version", gallery.version());
            diagnostics.ok(said);
        }
    }

    fn give_up(&self, inspection: &Inspection) {
        self.lost(inspection, Loss::GivenUp);
        let arrival = self.inputs.arrival_of(&inspection.item_id, Instant::now());
        let why = "the gallery has more items waiting than it can compare; give it fewer products, or more time";
        given_up(inspection, arrival.as_deref(), &self.catalogue.snapshot(), why).into_iter().for_each(|report| self.publish(report));
    }

    fn publish(&self, report: GalleryReport) {
        self.ports.diagnostics.count("reports", 1);
        if !report.ok {
            self.ports.diagnostics.count("reports_failed", 1);
            tracing::warn!(item_id = %report.item_id, error = %report.error, "not compared");
        }
        if let Err(error) = self.reports.publish(report) {
            self.ports.diagnostics.error(format!("a gallery report is not published: {error}"));
        }
    }
}

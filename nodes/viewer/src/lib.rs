//! Viewer node: shows the cell in Rerun. It listens to everything and can never slow the line.
//!
//! Callbacks only note messages ([`store`]) or queue them in a bounded inbox; one worker turns them into what an operator sees
//! ([`show`]), through the crate `scene`.

mod convert;
mod items;
mod params;
mod ports;
mod show;
mod store;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use node_kit::{Component, Inbox, NodeError, Ports, Shared, Worker};
use scene::{Options, Scene, Serve, Sinks};
use transport::Subscription;

pub use params::ViewerParams;

use show::{Input, Show};
use store::Store;

/// What waits to be shown. Beyond it the oldest goes (live).
const INBOX_CAPACITY: usize = 256;
/// How long the end of a run may take to write out what is left.
const FINAL_FLUSH: Duration = Duration::from_secs(5);

/// The viewer node.
pub struct Viewer {
    ports: Ports,
    inbox: Inbox<Input>,
    show: Arc<Mutex<Show>>,
    worker: Option<Worker>,
    _subscriptions: Vec<Subscription>,
}

impl Component for Viewer {
    const NAME: &'static str = "viewer";
    type Params = ViewerParams;

    fn configure(ports: &Ports, params: Shared<ViewerParams>) -> Result<Self, NodeError> {
        let settings = params.get();
        let scene = Scene::open(&sinks(&settings), options(&settings)).map_err(|e| NodeError::because("the viewer cannot start", e))?;
        if let Some(url) = scene.web_url() {
            tracing::info!("web viewer: {url}");
            ports.diagnostics.set("web_url", url);
        }
        let inbox = ports.inbox("viewer", INBOX_CAPACITY);
        let store = Arc::new(Mutex::new(Store::new(settings.frame_history)));
        let subscriptions = ports::subscribe(ports, &params, &store, &inbox)?;
        let show = Show::new(scene, store, params, ports.diagnostics.clone());
        Ok(Self { ports: ports.clone(), inbox, show: Arc::new(Mutex::new(show)), worker: None, _subscriptions: subscriptions })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let show = Arc::clone(&self.show);
        let worker = self.ports.consume("viewer", &self.inbox, move |input| {
            show.lock().unwrap_or_else(PoisonError::into_inner).handle(&input);
        })?;
        self.worker = Some(worker);
        self.ports.diagnostics.ok("showing");
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
        self.show.lock().unwrap_or_else(PoisonError::into_inner).flush(FINAL_FLUSH);
    }
}

fn sinks(params: &ViewerParams) -> Sinks {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Sinks {
        rrd: given(&params.rrd_path).map(PathBuf::from),
        connect_url: given(&params.connect_url),
        serve: params.serve.then_some(Serve {
            grpc_port: params.grpc_port,
            web_port: params.web_port,
            memory_limit_bytes: u64::from(params.serve_memory_mb) << 20,
        }),
    }
}

fn options(params: &ViewerParams) -> Options {
    Options {
        name: params.recording_name.clone(),
        max_image_width: params.max_image_width,
        max_item_width: params.max_item_width,
        // The range of the parameter is 1 to 100.
        jpeg_quality: u8::try_from(params.jpeg_quality).unwrap_or(75),
        max_points: params.max_points,
        world_frame: params.world_frame.clone(),
    }
}

//! Subscriptions: they note or queue, nothing more.

use std::sync::{Arc, Mutex, PoisonError};

use intact_msgs::msg::{CellEvent, Decision, GalleryReport, Inspection, ItemArrival, Outcome};
use node_kit::{Inbox, NodeError, Ports, Shared};
use ros_interfaces::Message;
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image, JointState};
use ros_interfaces::std_msgs::msg::String as RosString;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::{Qos, Subscription};

use crate::params::ViewerParams;
use crate::show::Input;
use crate::store::Store;

type SharedStore = Arc<Mutex<Store>>;

/// Opens every subscription of the viewer.
pub(crate) fn subscribe(
    ports: &Ports,
    params: &Shared<ViewerParams>,
    store: &SharedStore,
    inbox: &Inbox<Input>,
) -> Result<Vec<Subscription>, NodeError> {
    let mut subscriptions = Vec::new();
    for camera in &params.get().cameras {
        subscriptions.extend(subscribe_camera(ports, camera, params, store, inbox)?);
    }
    let queued = Queued { ports, store, inbox };
    subscriptions.push(queued.on::<ItemArrival>("item_arrival", Qos::event(), Input::Arrival)?);
    subscriptions.push(queued.on::<Inspection>("inspection", Qos::event(), Input::Inspection)?);
    subscriptions.push(queued.on::<GalleryReport>("gallery_report", Qos::event(), Input::GalleryReport)?);
    subscriptions.push(queued.on::<Decision>("decision", Qos::event(), Input::Decision)?);
    subscriptions.push(queued.on::<Outcome>("outcome", Qos::event(), Input::Outcome)?);
    subscriptions.push(queued.on::<CellEvent>("cell_event", Qos::event(), Input::Event)?);
    subscriptions.push(queued.on::<RosString>("robot_description", Qos::latched(), Input::RobotDescription)?);
    subscriptions.push(queued.on::<JointState>("joint_states", Qos::sensor(), Input::Joints)?);
    subscriptions.push(queued.transforms("/tf", Qos::event(), Input::Transforms)?);
    subscriptions.push(queued.transforms("/tf_static", Qos::latched(), Input::FixedTransforms)?);
    Ok(subscriptions)
}

/// Queues a message. A live picture that had to make room for it is no longer waited for.
fn queue(inbox: &Inbox<Input>, store: &SharedStore, input: Input) {
    if let Some(Input::Live { camera, .. }) = inbox.push(input) {
        store.lock().unwrap_or_else(PoisonError::into_inner).live_done(&camera);
    }
}

struct Queued<'a> {
    ports: &'a Ports,
    store: &'a SharedStore,
    inbox: &'a Inbox<Input>,
}

impl Queued<'_> {
    fn on<M: Message>(&self, topic: &str, qos: Qos, wrap: fn(Arc<M>) -> Input) -> Result<Subscription, NodeError> {
        let (inbox, store) = (self.inbox.clone(), Arc::clone(self.store));
        Ok(self.ports.node.subscribe(topic, qos, move |message: Arc<M>| queue(&inbox, &store, wrap(message)))?)
    }

    /// Transforms come from everywhere: from this process and from others.
    fn transforms(&self, topic: &str, qos: Qos, wrap: fn(Arc<TFMessage>) -> Input) -> Result<Subscription, NodeError> {
        let (inbox, store) = (self.inbox.clone(), Arc::clone(self.store));
        Ok(self.ports.node.subscribe_shared(topic, qos, move |message| queue(&inbox, &store, wrap(message)))?)
    }
}

fn subscribe_camera(
    ports: &Ports,
    camera: &str,
    params: &Shared<ViewerParams>,
    store: &SharedStore,
    inbox: &Inbox<Input>,
) -> Result<[Subscription; 3], NodeError> {
    let topic = |name: &str| format!("{camera}/{name}");
    let (name, noted, live, shown) = (camera.to_owned(), Arc::clone(store), inbox.clone(), params.clone());
    let color = ports.node.subscribe(&topic("color/image_raw"), Qos::sensor(), move |image: Arc<Image>| {
        let max_hz = shown.get().max_image_hz;
        let due = noted.lock().unwrap_or_else(PoisonError::into_inner).color(&name, Arc::clone(&image), max_hz);
        if due {
            queue(&live, &noted, Input::Live { camera: name.clone(), image });
        }
    })?;
    let (name, noted) = (camera.to_owned(), Arc::clone(store));
    let depth = ports.node.subscribe(&topic("aligned_depth_to_color/image_raw"), Qos::sensor(), move |image: Arc<Image>| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).depth(&name, image);
    })?;
    let (name, noted) = (camera.to_owned(), Arc::clone(store));
    let info = ports.node.subscribe(&topic("color/camera_info"), Qos::sensor(), move |info: Arc<CameraInfo>| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).info(&name, info);
    })?;
    Ok([color, depth, info])
}

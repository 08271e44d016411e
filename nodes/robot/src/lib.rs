//! Robot node: plans and executes a divert, and says where the arm is.
//!
//! The action server `divert_item` checks a goal, plans from the pick pose to the lane's bin inside the URDF's limits
//! ([`manipulation`]) and drives the motions on a [`Controller`]; the demo's is simulated.

mod controller;
mod params;
mod server;
mod state;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use intact_msgs::action::DivertItem;
use manipulation::{FrameTree, RobotModel, nalgebra::DVector};
use node_kit::{Component, Mode, NodeError, Ports, Shared, Worker};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use transport::{ActionServerHandle, Qos, Subscription};

use crate::{server::DivertServer, state::StatePublisher};

pub use controller::{ControlError, Controller, Pace, SimulatedController};
pub use params::RobotParams;

/// The URDF of the demo cell, used when no other is named.
pub const DEMO_URDF: &str = include_str!("../../../urdf/intact_cell.urdf");

/// The node.
pub struct Robot {
    ports: Ports,
    period: Duration,
    state: Arc<StatePublisher>,
    server: DivertServer,
    worker: Option<Worker>,
    _subscriptions: Vec<Subscription>,
    // Made with the other ports: a topic that is first heard from outside cannot be published here later.
    action: ActionServerHandle,
}

impl Component for Robot {
    const NAME: &'static str = "robot";
    type Params = RobotParams;

    fn configure(ports: &Ports, params: Shared<RobotParams>) -> Result<Self, NodeError> {
        let params = params.get();
        let urdf = params.read_urdf()?;
        let model = RobotModel::parse(&urdf).map_err(NodeError::msg)?;
        let arm = model.arm(&params.tip, &params.accelerations_rad_s2).map_err(NodeError::msg)?;
        let home_rad = DVector::from_row_slice(&params.home_rad);
        if !arm.allows(&home_rad) {
            let names: Vec<&str> = arm.joint_names().collect();
            return Err(NodeError::msg(format!("home_rad {:?} does not fit the limits of {names:?}", params.home_rad)));
        }
        let bins = params.bins(&model)?;
        let names: Vec<String> = arm.joint_names().map(str::to_owned).collect();
        let controller = Arc::new(SimulatedController::new(home_rad.clone(), params.pace(ports.mode)));
        // Publishers before subscriptions: this process both sends and receives transforms.
        let state = Arc::new(StatePublisher::new(ports, model, names, controller.clone())?);
        state.publish_description(&urdf)?;
        let frames = Arc::new(Mutex::new(state.fixed_frames()));
        let subscriptions = subscribe(ports, &frames)?;
        let server = DivertServer::new(ports, &params, arm, home_rad, bins, frames, controller, Arc::clone(&state))?;
        let action = ports.node.action_server::<DivertItem>("divert_item", server.clone())?;
        Ok(Self {
            ports: ports.clone(),
            period: Duration::from_secs_f64(1.0 / params.state_hz),
            state,
            server,
            worker: None,
            _subscriptions: subscriptions,
            action,
        })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        self.state.publish_now();
        self.server.set_active(true);
        if self.ports.mode == Mode::Live {
            let (state, period) = (Arc::clone(&self.state), self.period);
            self.worker = Some(self.ports.spawn("joint states", move |stop| {
                while !stop.wait(period) {
                    state.publish_now();
                }
            })?);
        }
        Ok(())
    }

    fn deactivate(&mut self) {
        self.server.set_active(false);
        // Also those that still wait: an activation that comes soon must not carry out old goals.
        self.action.cancel_all();
        self.worker = None;
    }
}

fn subscribe(ports: &Ports, frames: &Arc<Mutex<FrameTree>>) -> Result<Vec<Subscription>, NodeError> {
    let (fixed, moving) = (Arc::clone(frames), Arc::clone(frames));
    Ok(vec![
        ports.node.subscribe_shared("/tf_static", Qos::latched(), move |m: Arc<TFMessage>| take_transforms(&fixed, &m))?,
        ports.node.subscribe_shared("/tf", Qos::event(), move |m: Arc<TFMessage>| take_transforms(&moving, &m))?,
    ])
}

/// Transforms that are none are left out: a goal that needs them is then rejected.
fn take_transforms(frames: &Mutex<FrameTree>, message: &TFMessage) {
    let Ok(mut frames) = frames.lock() else { return };
    for stamped in &message.transforms {
        let (t, q) = (&stamped.transform.translation, &stamped.transform.rotation);
        let (parent, child) = (&stamped.header.frame_id, &stamped.child_frame_id);
        if let Err(error) = frames.set_from_numbers(parent, child, [t.x, t.y, t.z], [q.x, q.y, q.z, q.w]) {
            tracing::warn!(%error, "a transform was refused");
        }
    }
}

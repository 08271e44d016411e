//! The node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nalgebra::Isometry3;
use node_kit::{Component, Mode, NodeError, ParameterSpec, ParameterValue, Ports, Shared, Worker};
use transport::ServiceServer;

use crate::extrinsics::{StaticFrames, parse_pose};
use crate::live::Live;
use crate::outlets::{FramesOutlet, Outlets};
use crate::params::CameraParams;
use crate::playback::Playback;
use crate::player::{Player, PlayerOptions};
use crate::settling::{Settling, SettlingOptions};
use crate::source::Source;
use crate::sources;

/// The camera node. See the crate's README.
pub struct Camera {
    ports: Ports,
    work: Work,
    worker: Option<Worker>,
}

/// What the node does, by its source.
enum Work {
    /// Gives out a source. The player outlives a pause between deactivate and activate.
    Replay { player: Arc<Mutex<Player>>, _services: Vec<ServiceServer> },
    /// Watches topics that others publish.
    Watch { live: Box<Live>, frames: FramesOutlet },
}

impl Component for Camera {
    const NAME: &'static str = "camera";
    type Params = CameraParams;

    fn configure(ports: &Ports, params: Shared<CameraParams>) -> Result<Self, NodeError> {
        let now = params.get();
        let settling = (now.arrivals == "settling").then(|| Settling::new(settling_options(&now)));
        let work = match sources::open(&now)? {
            Some(source) => replay(ports, &now, source, settling)?,
            None => watch(ports, &params, settling)?,
        };
        Ok(Self { ports: ports.clone(), work, worker: None })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        self.worker = Some(match &self.work {
            Work::Replay { player, .. } => {
                let player = Arc::clone(player);
                self.ports.spawn("replay", move |stop| player.lock().unwrap_or_else(PoisonError::into_inner).run(stop))?
            }
            Work::Watch { live, frames } => {
                frames.publish()?;
                let unplaced = frames.unplaced();
                if !unplaced.is_empty() {
                    tracing::info!("no extrinsics for camera {}: its pose must come from another node", unplaced.join(", "));
                }
                live.start()?
            }
        });
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
    }
}

fn replay(ports: &Ports, params: &CameraParams, source: Box<dyn Source>, settling: Option<Settling>) -> Result<Work, NodeError> {
    tracing::info!("{}", source.describe());
    let cameras = source.cameras().to_vec();
    let frames = static_frames(ports, params, &cameras, &source.poses())?;
    let outlets = Outlets::new(ports, &cameras, frames)?;
    let playback = Playback::new(params.rate, params.start_paused);
    let services = playback.serve(ports)?;
    let options = PlayerOptions {
        is_loop: params.r#loop,
        clock_period_ns: (1e9 / params.clock_hz) as i64,
        end_wait_ns: (params.end_wait_s * 1e9) as i64,
        lockstep_timeout: Duration::from_secs_f64(params.lockstep_timeout_s),
        clutter: params.clutter,
        arrival_frame: "tray".into(),
    };
    let player = Player::new(ports, source, outlets, playback, options, settling);
    Ok(Work::Replay { player: Arc::new(Mutex::new(player)), _services: services })
}

fn watch(ports: &Ports, params: &Shared<CameraParams>, settling: Option<Settling>) -> Result<Work, NodeError> {
    if ports.mode == Mode::Lockstep {
        return Err(NodeError::msg("live topics cannot be replayed in lockstep: choose source bag, folder or booth"));
    }
    let now = params.get();
    let cameras = if now.cameras.is_empty() { sources::default_names(1) } else { now.cameras.clone() };
    let frames = static_frames(ports, &now, &cameras, &[])?;
    Ok(Work::Watch { live: Box::new(Live::new(ports, params, cameras, settling)?), frames: FramesOutlet::new(ports, frames)? })
}

fn settling_options(params: &CameraParams) -> SettlingOptions {
    SettlingOptions {
        quiet_frames: params.settling_quiet_frames,
        min_fraction: params.settling_min_fraction as f32,
        depth_step_m: params.settling_depth_m as f32,
    }
}

/// Declares `extrinsics.<camera>` and gathers all poses.
fn static_frames(
    ports: &Ports,
    params: &CameraParams,
    cameras: &[String],
    captured: &[Option<Isometry3<f64>>],
) -> Result<StaticFrames, NodeError> {
    let world_from_tray = parse_pose("tray_pose", &params.tray_pose).map_err(NodeError::msg)?;
    let mut from_parameters = Vec::new();
    for camera in cameras {
        let name = format!("extrinsics.{}", camera.trim_matches('/').replace('/', "."));
        let meaning = "Pose of <camera>_link in the world frame: x, y, z in metres, then roll, pitch, yaw in radians or a \
                       quaternion x, y, z, w. Empty: from the source.";
        let spec = ParameterSpec::new(&name, Vec::<f64>::new(), meaning).read_only();
        from_parameters.push(match ports.declare(spec)? {
            ParameterValue::DoubleArray(numbers) if !numbers.is_empty() => Some(parse_pose(&name, &numbers).map_err(NodeError::msg)?),
            _ => None,
        });
    }
    Ok(StaticFrames::new(&params.world_frame, &world_from_tray, cameras, &from_parameters, captured))
}

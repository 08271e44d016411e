//! Robot kinematics from a URDF: which frames there are, what the arm can reach, how it gets there inside its limits.
//!
//! - [`FrameTree`]: the transforms of `/tf` and `/tf_static`.
//! - [`RobotModel`]: a URDF; its [`Arm`] does forward kinematics, Jacobian and inverse kinematics.
//! - [`Trajectory`]: a smooth joint path, timed so that no sample leaves the limits of position, velocity and acceleration.
//! - [`plan_divert`]: approach, pick, lift, carry, place, return.
//!
//! Values in, values out: no ROS, no clock, no files. Metres, radians, seconds; poses are `parent_from_child`.

mod arm;
mod divert;
mod frames;
mod ik;
mod model;
mod spline;
mod trajectory;

pub use arm::{Arm, JointLimits};
pub use divert::{DivertRequest, DivertSettings, Motion, Phase, PlanError, plan_divert};
pub use frames::{FrameError, FrameTree, checked_pose};
pub use ik::{SuctionTarget, Unreachable};
pub use model::{ModelError, RobotModel};
pub use nalgebra;
pub use trajectory::{JointSample, Trajectory, TrajectoryError};

//! From light and true depth to what the cameras give.

mod color;
mod depth;

pub(crate) use color::{ColorSensor, expose};
pub(crate) use depth::{DepthSensor, measure};

//! The renderer: a z-buffer over textured triangles, area-light shadow maps, one shading pass.
//!
//! Rendered at [`SUPERSAMPLE`]² samples a pixel, only inside the window that the items and their shadows touch; the
//! empty tray is shaded once per booth and light rig.

mod light;
mod raster;
mod shade;

pub(crate) use light::{Rig, ShadowSet};
pub(crate) use raster::{Eye, Layer, Window, raster};
pub(crate) use shade::{HeightMap, Scene, shade, to_linear_table};

/// Samples a pixel along each axis.
pub(crate) const SUPERSAMPLE: usize = 2;

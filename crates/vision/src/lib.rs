//! Plain values of vision: colour and depth images, intrinsics, label masks, heat maps, boxes.
//!
//! Everything here is data with checked construction: the length of a buffer always equals `width * height`
//! (times three for colour). ROS forms live in [`ros`], compressed payloads in [`codec`].

pub mod codec;
mod geometry;
mod images;
pub mod pose;
pub mod ros;

pub use geometry::{Intrinsics, Rect};
pub use images::{CELL_DEPTH_M, ColorImage, DepthImage, HeatMap, HeightMap, ImageError, LabelMask, MAX_PIXELS, RgbdFrame};

//! Flat pictures: textures in millimetres and what is printed on them.

mod art;
mod font;
mod labels;
mod lookalike;
mod marks;
mod texture;

pub(crate) use art::{Identity, Role, face, plain};
pub(crate) use labels::{shipping_label, straps, tape};
pub(crate) use marks::{Cut, scuff, stain, wet_patch};
pub(crate) use texture::{Rgb, Texture, mix, polygon_bounds as bounds, scale};

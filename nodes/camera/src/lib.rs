//! Camera node: bags, folders, topics or the booth in; colour, depth, camera_info and tf out.
//!
//! [`Camera`] is the node. What it reads from stands behind one trait, [`source::Source`], a file each in `sources/`;
//! a [`player`] gives their steps out on time, or in lockstep. With live topics ([`live`]) there is nothing to give out:
//! the node watches rates and drift, and can announce items that settle in the tray ([`settling`]).

mod checks;
mod component;
mod extrinsics;
mod items;
mod live;
mod outlets;
mod params;
mod playback;
mod player;
pub mod settling;
pub mod source;
mod sources;
mod watch;

pub use component::Camera;
pub use items::{BagItem, BagItems, items_of_bag};
pub use params::CameraParams;
pub use sources::{booth_cameras, cameras_of_bag};

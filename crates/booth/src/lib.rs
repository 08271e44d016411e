//! The generated inspection booth: endless labelled RGB-D captures of products, whole and damaged, from a seed.
//!
//! ```
//! use booth::{Booth, BoothSpec};
//!
//! let booth = Booth::new(BoothSpec { seed: 7, width: 320, height: 240, products: 3, ..BoothSpec::default() })?;
//! let capture = booth.capture(0);
//! assert_eq!(capture.frame.color.width(), 320);
//! assert_eq!(capture.truth.mask.labels(), vec![1]);
//! # Ok::<(), booth::BoothError>(())
//! ```
//!
//! Frames: `cell` has its origin in the middle of the tray floor, z up; the camera frame is optical (REP-103).
//! A capture depends only on the specification and its index: same bytes in every run, on any number of threads.

mod booth;
mod damage;
mod families;
mod item;
mod mesh;
mod paint;
mod part;
mod product;
mod random;
mod render;
mod sensor;
mod severity;
mod station;
mod studio;
mod truth;
mod types;

pub use booth::Booth;
pub use part::Part;
pub use severity::{Extent, severity};
pub use types::{
    BoothError, BoothSpec, Capture, DamageKind, DamageTruth, Family, InstanceTruth, KaputtType, LookAlike, ProductInfo, Reference,
    Severity, SideView, Surface, Truth,
};

//! Folders of RGB-D captures on disk, read as values.
//!
//! [`discover`] looks at the names of the files in a folder and says which captures lie there: which colour picture
//! belongs to which depth picture, background, pinhole model and pose. Nothing but names, calibration files and image
//! headers is read for that. [`CaptureRef::load`] then decodes one capture. A folder of hundreds of captures is thus
//! walked with the memory of one.
//!
//! Depth pictures are 16-bit grey PNGs whose unit comes from the file's name (`_0.1mm`, `_mm`), from
//! `depth_unit.json`, from the calibration file or from [`Options::depth_unit_m`]; it is never guessed.

mod calibration;
mod discover;
mod error;
mod load;
mod names;
mod pattern;

pub use discover::{BackgroundRef, CameraRef, CaptureRef, DepthRef, Options, discover, mixed_backgrounds};
pub use error::CaptureError;
pub use load::{CameraCapture, load_color, load_depth, load_rgbd};

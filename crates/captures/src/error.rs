//! Why a folder of captures cannot be used.

use std::path::PathBuf;

use vision::ImageError;

/// Why a capture, or a folder of them, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file or folder that cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing in the folder looks like a capture.
    #[error(
        "no captures in {}: looked for `<name>_color.png` with `<name>_depth_mm.png`, `<name>-rgb.jpg`, `frame-N.color.png` and `input-K.color.png`; \
         name the files with --color-glob and --depth-glob",
        path.display()
    )]
    NoCaptures {
        /// The folder.
        path: PathBuf,
    },
    /// A colour picture without its depth picture.
    #[error("{} has no depth picture beside it (expected `{expected}`); add it, or remove the colour picture", color.display())]
    MissingDepth {
        /// The colour picture.
        color: PathBuf,
        /// The name that was looked for.
        expected: String,
    },
    /// A depth picture without its colour picture.
    #[error("{} has no colour picture beside it; add it, or remove the depth picture", depth.display())]
    MissingColor {
        /// The depth picture.
        depth: PathBuf,
    },
    /// Two files claim the same place.
    #[error("{} and {} are both the {role} picture of `{name}`; remove one", first.display(), second.display())]
    Ambiguous {
        /// Capture.
        name: String,
        /// `colour` or `depth`.
        role: &'static str,
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Two captures would have the same name.
    #[error("two captures are called `{name}`; rename one, since the name becomes the item's id")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Nobody says what one count of the depth picture means.
    #[error(
        "the unit of {} is unknown; name the file `…_mm.png` or `…_0.1mm.png`, add depth_unit.json with {{\"depth_unit_m\": 0.001}}, or give --depth-unit",
        path.display()
    )]
    UnknownUnit {
        /// The depth picture.
        path: PathBuf,
    },
    /// The file's name and the calibration disagree about the unit.
    #[error(
        "{} says {name_unit_m} m a count by its name, its calibration says {file_unit_m} m; correct one, or give --depth-unit",
        path.display()
    )]
    UnitConflict {
        /// The depth picture.
        path: PathBuf,
        /// By the name.
        name_unit_m: f64,
        /// By the calibration.
        file_unit_m: f64,
    },
    /// A unit that is not a positive number.
    #[error("a depth unit of {unit_m} m a count is not usable; it must be positive, for example 0.001 for millimetres")]
    BadUnit {
        /// As given.
        unit_m: f64,
    },
    /// The unit turns the picture into distances at which no cell works.
    #[error(
        "{} has a median depth of {median_m} m at a unit of {unit_m} m a count; that is no distance of a cell's camera: check the depth unit",
        path.display()
    )]
    AbsurdDepth {
        /// The depth picture.
        path: PathBuf,
        /// Median of the valid depths, metres.
        median_m: f64,
        /// The unit in force.
        unit_m: f64,
    },
    /// Pictures of one camera differ in size.
    #[error("{} is {}x{}, but {} is {}x{}; colour, depth and calibration must have one size", a.display(), a_size.0, a_size.1, b.display(), b_size.0, b_size.1)]
    SizeMismatch {
        /// One file.
        a: PathBuf,
        /// Its size.
        a_size: (u32, u32),
        /// The other.
        b: PathBuf,
        /// Its size.
        b_size: (u32, u32),
    },
    /// A depth picture that is not 16-bit grey.
    #[error("{} is {found}, depth must be a 16-bit grey PNG", path.display())]
    DepthFormat {
        /// The depth picture.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A picture that does not decode.
    #[error("{} cannot be decoded: {reason}", path.display())]
    Decode {
        /// The picture.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// A picture of an unusable size.
    #[error("{}: {source}", path.display())]
    Image {
        /// The picture.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// A calibration file that cannot be understood.
    #[error("{}: {reason}", path.display())]
    Calibration {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// Depth without a pinhole model.
    #[error("no intrinsics for {}; add camera.json with fx, fy, cx, cy, or give --intrinsics fx,fy,cx,cy", color.display())]
    NoIntrinsics {
        /// The colour picture.
        color: PathBuf,
    },
    /// A pattern that is not understood.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl CaptureError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

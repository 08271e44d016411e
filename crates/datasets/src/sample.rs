//! What a data set says of one picture.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vision::Intrinsics;

use crate::{DatasetError, kaputt, mvtec};

/// Layout of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What `intact booth generate` writes.
    Booth,
    /// The tables of Kaputt (Höfer et al., ICCV 2025).
    Kaputt,
    /// `train/good`, `test/<type>`, `ground_truth/<type>` (MVTec AD, Bergmann et al., CVPR 2019).
    Mvtec,
}

impl Format {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Booth => "booth",
            Format::Kaputt => "kaputt",
            Format::Mvtec => "mvtec",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Format::Booth, Format::Kaputt, Format::Mvtec]
            .into_iter()
            .find(|f| f.name() == text)
            .ok_or_else(|| format!("`{text}` is no layout; known: booth, kaputt, mvtec"))
    }
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose thresholds on.
    Validation,
    /// To report.
    Test,
}

impl Split {
    /// As in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Split::Train, Split::Validation, Split::Test]
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| format!("`{text}` is no split; known: train, validation, test"))
    }
}

/// A depth picture: 16 bit, aligned to the colour picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// The file.
    pub path: PathBuf,
    /// Metres a step.
    pub unit_m: f64,
}

/// A pristine picture of the sample's product.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The picture, cropped when the data set has crops.
    pub picture: PathBuf,
    /// Its foreground; may have another size when the picture is a crop.
    pub mask: Option<PathBuf>,
}

/// What the captures of one booth share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// The booth's seed.
    pub seed: u64,
    /// Which part it is.
    pub split: Split,
    /// Metres a step of the depth pictures.
    pub depth_unit_m: f64,
    /// `[fx, fy, cx, cy, width, height]`, pixels.
    pub camera: [f64; 6],
    /// Colour picture of the empty tray, relative to the data set.
    pub background: PathBuf,
    /// Depth picture of the empty tray, relative to the data set.
    pub background_depth: PathBuf,
}

impl Shared {
    /// The pinhole model.
    pub fn intrinsics(&self) -> Intrinsics {
        let [fx, fy, cx, cy, width, height] = self.camera;
        Intrinsics { fx, fy, cx, cy, width: width as u32, height: height as u32 }
    }
}

/// One picture and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unique in the data set.
    pub id: String,
    /// What is in the picture; captures of one thing share it.
    pub item: String,
    /// The whole picture.
    pub color: PathBuf,
    /// Its depth.
    pub depth: Option<Depth>,
    /// The item's foreground.
    pub mask: Option<PathBuf>,
    /// Damaged pixels; without the file none is.
    pub damage_mask: Option<PathBuf>,
    /// Any damage.
    pub damaged: bool,
    /// Major damage.
    pub major: bool,
    /// Types of damage.
    pub types: Vec<String>,
    /// What it is made of; empty when unknown.
    pub material: String,
    /// Family of its product; empty when unknown.
    pub family: String,
    /// Printed damage look-alike of its product; empty without.
    pub lookalike: String,
    /// Pristine pictures of its product.
    pub references: Arc<[Reference]>,
}

/// Lists the samples of one split of the data set in `root` (MVTec AD: `split` does not matter, `test` is judged), with
/// what a booth's captures share.
///
/// # Errors
/// When the folder does not have the layout, or a table cannot be read.
pub fn read(root: &Path, format: Format, split: Split) -> Result<(Vec<Sample>, Option<Shared>), DatasetError> {
    match format {
        Format::Booth => kaputt::read_booth(root, split).map(|(samples, shared)| (samples, Some(shared))),
        Format::Kaputt => kaputt::read(root, split).map(|samples| (samples, None)),
        Format::Mvtec => mvtec::read(root).map(|samples| (samples, None)),
    }
}

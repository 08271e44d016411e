//! What a data set says of one picture.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
#[serde(from = "SharedFile")]
pub struct Shared {
    /// The booth's seed.
    pub seed: u64,
    /// Which part it is.
    pub split: Split,
    /// Metres a step of the depth pictures.
    pub depth_unit_m: f64,
    /// The same of the pictures of what is there (`query_true_depth`); `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_depth_unit_m: Option<f64>,
    /// The cameras; a sample names one by its place in this list. Empty when each capture has its own.
    pub cameras: Vec<SharedCamera>,
}

/// `booth.json` as it is, and as it was when a booth had one camera.
#[derive(Deserialize)]
struct SharedFile {
    seed: u64,
    split: Split,
    depth_unit_m: f64,
    true_depth_unit_m: Option<f64>,
    #[serde(default)]
    cameras: Vec<SharedCamera>,
    camera: Option<[f64; 6]>,
    background: Option<PathBuf>,
    background_depth: Option<PathBuf>,
}

impl From<SharedFile> for Shared {
    fn from(file: SharedFile) -> Shared {
        let mut cameras = file.cameras;
        if let (Some(intrinsics), Some(background), Some(background_depth)) = (file.camera, file.background, file.background_depth) {
            let cell_from_camera = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
            cameras.push(SharedCamera { name: "camera".to_owned(), intrinsics, cell_from_camera, background, background_depth });
        }
        let SharedFile { seed, split, depth_unit_m, true_depth_unit_m, .. } = file;
        Shared { seed, split, depth_unit_m, true_depth_unit_m, cameras }
    }
}

/// One camera of a booth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedCamera {
    /// As in the table's column `camera`.
    pub name: String,
    /// `[fx, fy, cx, cy, width, height]`, pixels.
    pub intrinsics: [f64; 6],
    /// Pose of the optical frame in the cell (origin in the middle of the tray floor, z up): `[x, y, z, qx, qy, qz, qw]`, metres.
    pub cell_from_camera: [f64; 7],
    /// Colour picture of the empty tray, relative to the data set.
    pub background: PathBuf,
    /// Depth picture of the empty tray, relative to the data set.
    pub background_depth: PathBuf,
}

impl SharedCamera {
    /// `[fx, fy, cx, cy]`, pixels.
    pub fn fx_fy_cx_cy(&self) -> [f64; 4] {
        let [fx, fy, cx, cy, ..] = self.intrinsics;
        [fx, fy, cx, cy]
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
    /// How it was damaged, finer than the type; empty when unknown.
    pub operator: String,
    /// Size of its damage.
    pub size: DamageSize,
    /// Which of [`Shared::cameras`] took it.
    pub camera: usize,
    /// `[fx, fy, cx, cy]` of its own camera, pixels.
    pub fx_fy_cx_cy: Option<[f64; 4]>,
    /// The picture shows one item.
    pub one_item: bool,
    /// Pristine pictures of its product.
    pub references: Arc<[Reference]>,
}

/// How large a damage is: the root of its visible area.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DamageSize {
    /// Pixels.
    pub px: Option<f64>,
    /// Millimetres; `None` where the scale is unknown.
    pub mm: Option<f64>,
}

impl Sample {
    /// An undamaged picture of which nothing else is known.
    pub fn bare(id: impl Into<String>, item: impl Into<String>, color: PathBuf) -> Sample {
        Sample {
            id: id.into(),
            item: item.into(),
            color,
            depth: None,
            mask: None,
            damage_mask: None,
            damaged: false,
            major: false,
            types: Vec::new(),
            material: String::new(),
            family: String::new(),
            lookalike: String::new(),
            operator: String::new(),
            size: DamageSize::default(),
            camera: 0,
            fx_fy_cx_cy: None,
            one_item: true,
            references: Arc::from([]),
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn booths_of_one_camera_are_still_read() {
        let old = r#"{"seed":1,"split":"test","depth_unit_m":0.001,"camera":[600,601,320,240,640,480],
            "background":"background.jpg","background_depth":"background-depth.png"}"#;
        let shared: Shared = serde_json::from_str(old).unwrap();
        assert_eq!((shared.cameras.len(), shared.cameras[0].fx_fy_cx_cy()), (1, [600.0, 601.0, 320.0, 240.0]));
        let again: Shared = serde_json::from_str(&serde_json::to_string(&shared).unwrap()).unwrap();
        assert_eq!(again, shared);
    }
}

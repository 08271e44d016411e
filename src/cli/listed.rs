//! Lists of captures of undamaged goods, `.jsonl`: one object a line, as `training/prepare.py` writes them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use captures::load_rgbd;
use datasets::{Depth, Reference, Sample};
use inspection::EmptyTray;
use serde::Deserialize;
use vision::RgbdFrame;

/// A line of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    item: String,
    color: PathBuf,
    depth: Option<PathBuf>,
    depth_unit_m: Option<f64>,
    camera: Option<[f64; 4]>,
    background: Option<(PathBuf, PathBuf)>,
    #[serde(default)]
    one_item: bool,
    /// Pristine pictures of the product, for `intact pairs` and `intact booth inject`.
    #[serde(default)]
    references: Vec<PathBuf>,
}

/// A capture, and where it has one of its own, the picture of its empty tray (colour, depth).
pub(super) struct Job {
    pub sample: Sample,
    pub background: Option<(PathBuf, PathBuf)>,
}

impl Job {
    /// Leaves colour alone.
    pub fn forget_depth(&mut self) {
        (self.sample.depth, self.background) = (None, None);
    }

    /// The capture and its own empty tray.
    pub fn load(&self) -> Result<(RgbdFrame, Option<EmptyTray>)> {
        let (sample, camera) = (&self.sample, self.sample.fx_fy_cx_cy);
        let depth = sample.depth.as_ref().map(|d| (d.path.as_path(), d.unit_m));
        let frame = load_rgbd(&sample.color, depth, camera)?;
        let own = match (&self.background, depth) {
            (Some((color, empty)), Some((_, unit_m))) => Some(EmptyTray::new(load_rgbd(color, Some((empty, unit_m)), camera)?)),
            _ => None,
        };
        Ok((frame, own))
    }
}

/// Reads a list.
pub(super) fn read(path: &Path) -> Result<Vec<Job>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = |(n, line): (usize, &str)| -> Result<Job> {
        let l: Listed = serde_json::from_str(line).with_context(|| format!("{}, line {}", path.display(), n + 1))?;
        let depth = match (l.depth, l.depth_unit_m) {
            (Some(path), Some(unit_m)) => Some(Depth { path, unit_m }),
            (None, _) => None,
            (Some(_), None) => bail!("{}, line {}: `depth` needs `depth_unit_m`", path.display(), n + 1),
        };
        let references = l.references.into_iter().map(|picture| Reference { picture, mask: None }).collect();
        let sample = Sample { depth, fx_fy_cx_cy: l.camera, one_item: l.one_item, references, ..Sample::bare(l.id, l.item, l.color) };
        Ok(Job { sample, background: l.background })
    };
    text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(line).collect()
}

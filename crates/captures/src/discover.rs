//! Which captures lie in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nalgebra::Isometry3;
use vision::Intrinsics;

use crate::CaptureError;
use crate::calibration::{self, Calibration, Pinhole};
use crate::load::same_size;
use crate::names::{Role, classify};
use crate::pattern::Pattern;

/// Folders below the given one that are still looked into.
const MAX_DEPTH: usize = 3;
/// Calibration files that hold for every capture of their folder and below, the first that is there.
const SHARED_CALIBRATION: [&str; 6] =
    ["camera.json", "camera_intrinsics.json", "camera_intrinsics.yaml", "camera_info.yaml", "camera.yaml", "cam.info.txt"];

/// What the caller knows better than the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Colour pictures, relative to the folder, for example `rgb/*.png`; what `*` stands for names the capture.
    pub color_glob: Option<String>,
    /// Depth pictures, with the same text for the `*`.
    pub depth_glob: Option<String>,
    /// Metres a count of the depth pictures; stands above names and calibration files.
    pub depth_unit_m: Option<f64>,
    /// `[fx, fy, cx, cy]` in pixels; stands above calibration files.
    pub fx_fy_cx_cy: Option<[f64; 4]>,
}

/// One capture: what all cameras saw of one item at one moment.
#[derive(Debug, Clone)]
pub struct CaptureRef {
    /// Unique in the folder; becomes the item's id.
    pub name: String,
    /// At least one, in the order of their labels.
    pub cameras: Vec<CameraRef>,
}

/// A capture without an empty view and one with it, when there are both: a replay would judge the one beside the other's tray.
pub fn mixed_backgrounds(captures: &[CaptureRef]) -> Option<(&CaptureRef, &CaptureRef)> {
    let bare = captures.iter().find(|c| c.cameras.iter().any(|c| c.background.is_none()))?;
    let backed = captures.iter().find(|c| c.cameras.iter().any(|c| c.background.is_some()))?;
    Some((bare, backed))
}

/// The files of one camera in one capture.
#[derive(Debug, Clone)]
pub struct CameraRef {
    /// Label in the file names (`0`, `1`); empty when there is one camera only.
    pub name: String,
    /// Colour picture.
    pub color: PathBuf,
    /// Depth picture aligned to it.
    pub depth: Option<DepthRef>,
    /// The view without the item.
    pub background: Option<BackgroundRef>,
    /// Pinhole model of both pictures.
    pub intrinsics: Option<Intrinsics>,
    /// Pose of the camera's optical frame in the captures' world frame.
    pub world_from_camera: Option<Isometry3<f64>>,
}

/// A depth picture and what its counts mean.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthRef {
    /// 16-bit grey PNG.
    pub path: PathBuf,
    /// Metres a count.
    pub unit_m: f64,
}

/// The same view without the item.
#[derive(Debug, Clone)]
pub struct BackgroundRef {
    /// Colour picture.
    pub color: PathBuf,
    /// Depth picture aligned to it.
    pub depth: Option<DepthRef>,
}

/// Lists the captures in `dir` and up to three levels below, ordered by folder, then name.
///
/// # Errors
/// When a folder or calibration file cannot be read, a colour picture lacks its depth (or the reverse), a unit or
/// pinhole model is missing, sizes contradict, two captures share a name, or nothing is found.
pub fn discover(dir: &Path, options: &Options) -> Result<Vec<CaptureRef>, CaptureError> {
    let finder = Finder { root: dir, options };
    let captures = match &options.color_glob {
        Some(glob) => finder.by_pattern(glob)?,
        None => finder.by_names(dir, 0)?,
    };
    if captures.is_empty() {
        return Err(CaptureError::NoCaptures { path: dir.to_path_buf() });
    }
    let mut seen = BTreeSet::new();
    match captures.iter().find(|c| !seen.insert(c.name.as_str())) {
        Some(twice) => Err(CaptureError::DuplicateName { name: twice.name.clone() }),
        None => Ok(captures),
    }
}

/// The pictures of one folder, by the name in front of `_color` and `_depth`.
#[derive(Default)]
struct Listing {
    color: BTreeMap<String, PathBuf>,
    depth: BTreeMap<String, (PathBuf, Option<f64>)>,
    folders: Vec<PathBuf>,
}

fn list(dir: &Path) -> Result<Listing, CaptureError> {
    let mut out = Listing::default();
    for path in sorted_entries(dir)? {
        let Some(file_name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if path.is_dir() {
            if !file_name.starts_with('.') {
                out.folders.push(path);
            }
            continue;
        }
        let (name, role, before) = match classify(file_name) {
            Some((name, Role::Color)) => (name.clone(), "colour", out.color.insert(name, path.clone())),
            Some((name, Role::Depth(unit_m))) => (name.clone(), "depth", out.depth.insert(name, (path.clone(), unit_m)).map(|(p, _)| p)),
            None => continue,
        };
        if let Some(first) = before {
            return Err(CaptureError::Ambiguous { name, role, first, second: path });
        }
    }
    Ok(out)
}

fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let entries = std::fs::read_dir(dir).map_err(CaptureError::io(dir))?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(CaptureError::io(dir))?;
    paths.sort();
    Ok(paths)
}

struct Finder<'a> {
    root: &'a Path,
    options: &'a Options,
}

impl Finder<'_> {
    fn by_names(&self, dir: &Path, level: usize) -> Result<Vec<CaptureRef>, CaptureError> {
        let listing = list(dir)?;
        let is_multi_camera = listing.color.keys().any(|name| name.starts_with("input-"));
        let mut captures = if is_multi_camera { vec![self.multi_camera(dir, &listing)?] } else { self.one_a_name(dir, &listing)? };
        if level < MAX_DEPTH {
            for folder in &listing.folders {
                captures.extend(self.by_names(folder, level + 1)?);
            }
        }
        Ok(captures)
    }

    /// `<name>_color.png` + `<name>_depth_mm.png`, one camera a capture.
    fn one_a_name(&self, dir: &Path, listing: &Listing) -> Result<Vec<CaptureRef>, CaptureError> {
        if listing.color.is_empty() && listing.depth.is_empty() {
            return Ok(Vec::new());
        }
        if let Some((_, (depth, _))) = listing.depth.iter().find(|(name, _)| !listing.color.contains_key(*name)) {
            return Err(CaptureError::MissingColor { depth: depth.clone() });
        }
        // Colour pictures alone are not captures here: a folder of plain photographs may lie anywhere.
        if listing.depth.is_empty() && self.options.depth_glob.is_none() {
            return match listing.color.values().next() {
                Some(color) => Err(missing_depth(color)),
                None => Ok(Vec::new()),
            };
        }
        let shared = self.shared_calibration(dir)?;
        let one = |(name, color): (&String, &PathBuf)| {
            let own = own_calibration(dir, name)?;
            let calibration = own.as_ref().or(shared.as_ref());
            let (path, name_unit_m) = listing.depth.get(name).ok_or_else(|| missing_depth(color))?;
            let depth = self.depth_ref(path, *name_unit_m, calibration)?;
            let pinhole = calibration.and_then(|c| c.pinhole);
            let pose = calibration.and_then(|c| c.world_from_camera.get(name)).copied();
            let camera = self.camera("", color, Some(depth), pinhole, pose)?;
            Ok(CaptureRef { name: self.capture_name(dir, name), cameras: vec![camera] })
        };
        listing.color.iter().map(one).collect()
    }

    /// `input-K.color.png`, `background-K.color.png`, `camera-K.intrinsics.txt`: the folder is the capture.
    fn multi_camera(&self, dir: &Path, listing: &Listing) -> Result<CaptureRef, CaptureError> {
        let shared = self.shared_calibration(dir)?;
        let mut cameras = Vec::new();
        for (name, color) in &listing.color {
            let Some(label) = name.strip_prefix("input-") else { continue };
            let depth_of = |name: &str, color: &Path| {
                let (path, unit_m) = listing.depth.get(name).ok_or_else(|| missing_depth(color))?;
                self.depth_ref(path, *unit_m, shared.as_ref())
            };
            let depth = depth_of(name, color)?;
            let intrinsics = dir.join(format!("camera-{label}.intrinsics.txt"));
            let pinhole = match intrinsics.is_file() {
                true => Some(calibration::read_intrinsics_txt(&intrinsics)?),
                false => shared.as_ref().and_then(|c| c.pinhole),
            };
            let pose = dir.join(format!("camera-{label}.pose.txt"));
            let pose = pose.is_file().then(|| calibration::read_pose_txt(&pose)).transpose()?;
            let mut camera = self.camera(label, color, Some(depth), pinhole, pose)?;
            let empty = format!("background-{label}");
            if let Some(color) = listing.color.get(&empty) {
                let depth = Some(depth_of(&empty, color)?);
                camera.background = Some(BackgroundRef { color: color.clone(), depth });
            }
            cameras.push(camera);
        }
        Ok(CaptureRef { name: self.capture_name(dir, ""), cameras })
    }

    fn by_pattern(&self, color_glob: &str) -> Result<Vec<CaptureRef>, CaptureError> {
        let color = Pattern::new(color_glob)?;
        let depth = self.options.depth_glob.as_deref().map(Pattern::new).transpose()?;
        let files = files_below(self.root, self.root, 0)?;
        let mut depths = BTreeMap::new();
        for (relative, path) in &files {
            if let Some(key) = depth.as_ref().and_then(|p| p.key(relative)) {
                depths.insert(key, path);
            }
        }
        let shared = self.shared_calibration(self.root)?;
        let mut captures = Vec::new();
        for (relative, path) in &files {
            let Some(key) = color.key(relative) else { continue };
            let depth = match &depth {
                Some(pattern) => {
                    let expected = || pattern.with_key(&key);
                    let file = *depths.get(&key).ok_or_else(|| CaptureError::MissingDepth { color: path.clone(), expected: expected() })?;
                    let name_unit_m = file
                        .file_name()
                        .and_then(|n| n.to_str())
                        .and_then(classify)
                        .and_then(|(_, role)| if let Role::Depth(unit_m) = role { unit_m } else { None });
                    Some(self.depth_ref(file, name_unit_m, shared.as_ref())?)
                }
                None => None,
            };
            let camera = self.camera("", path, depth, shared.as_ref().and_then(|c| c.pinhole), None)?;
            captures.push(CaptureRef { name: key, cameras: vec![camera] });
        }
        Ok(captures)
    }

    fn camera(
        &self,
        label: &str,
        color: &Path,
        depth: Option<DepthRef>,
        pinhole: Option<Pinhole>,
        world_from_camera: Option<Isometry3<f64>>,
    ) -> Result<CameraRef, CaptureError> {
        let given = self.options.fx_fy_cx_cy.map(|[fx, fy, cx, cy]| Pinhole { fx, fy, cx, cy, size: None });
        let pinhole = given.or(pinhole);
        if pinhole.is_none() && depth.is_some() {
            return Err(CaptureError::NoIntrinsics { color: color.to_path_buf() });
        }
        let (width, height) = dimensions(color)?;
        if let Some(size) = pinhole.and_then(|p| p.size) {
            same_size(color, (width, height), Path::new("its calibration file"), size)?;
        }
        if let Some(depth) = &depth {
            same_size(color, (width, height), &depth.path, dimensions(&depth.path)?)?;
        }
        let intrinsics = pinhole.map(|p| Intrinsics { fx: p.fx, fy: p.fy, cx: p.cx, cy: p.cy, width, height });
        if let Some(bad) = intrinsics.filter(|i| !i.is_valid()) {
            let reason = format!("intrinsics fx {}, fy {}, cx {}, cy {} are not usable", bad.fx, bad.fy, bad.cx, bad.cy);
            return Err(CaptureError::Calibration { path: color.to_path_buf(), reason });
        }
        Ok(CameraRef { name: label.to_string(), color: color.to_path_buf(), depth, background: None, intrinsics, world_from_camera })
    }

    /// The unit: as given, else by the file's name, else by the calibration, else by `depth_unit.json`.
    fn depth_ref(&self, path: &Path, name_unit_m: Option<f64>, calibration: Option<&Calibration>) -> Result<DepthRef, CaptureError> {
        let file_unit_m = match calibration.and_then(|c| c.depth_unit_m) {
            Some(unit_m) => Some(unit_m),
            None => self.unit_file(path)?,
        };
        let unit_m = match (self.options.depth_unit_m, name_unit_m, file_unit_m) {
            (Some(given), _, _) => given,
            (None, Some(name_unit_m), Some(file_unit_m)) if (name_unit_m / file_unit_m - 1.0).abs() > 1e-6 => {
                return Err(CaptureError::UnitConflict { path: path.to_path_buf(), name_unit_m, file_unit_m });
            }
            (None, Some(unit_m), _) | (None, None, Some(unit_m)) => unit_m,
            (None, None, None) => return Err(CaptureError::UnknownUnit { path: path.to_path_buf() }),
        };
        if !(unit_m.is_finite() && unit_m > 0.0) {
            return Err(CaptureError::BadUnit { unit_m });
        }
        Ok(DepthRef { path: path.to_path_buf(), unit_m })
    }

    /// `depth_unit.json` of the folder or of one above it, up to the one above the root.
    fn unit_file(&self, depth: &Path) -> Result<Option<f64>, CaptureError> {
        for dir in depth.ancestors().skip(1) {
            let file = dir.join("depth_unit.json");
            if file.is_file() {
                let unit_m = calibration::read(&file)?.depth_unit_m;
                let reason = || "needs the number `depth_unit_m`".to_string();
                return unit_m.map(Some).ok_or_else(|| CaptureError::Calibration { path: file.clone(), reason: reason() });
            }
            if !dir.starts_with(self.root) {
                break;
            }
        }
        Ok(None)
    }

    /// The calibration file of `dir` or of the nearest folder above it inside the root.
    fn shared_calibration(&self, dir: &Path) -> Result<Option<Calibration>, CaptureError> {
        let file = dir
            .ancestors()
            .take_while(|d| d.starts_with(self.root))
            .flat_map(|d| SHARED_CALIBRATION.iter().map(move |name| d.join(name)))
            .find(|file| file.is_file());
        file.map(|file| calibration::read(&file)).transpose()
    }

    /// `name` in front of which stand the folders between the root and `dir`; the folder's own name when there is none.
    fn capture_name(&self, dir: &Path, name: &str) -> String {
        let below = dir.strip_prefix(self.root).unwrap_or(Path::new(""));
        let mut parts: Vec<String> = below.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        if !name.is_empty() {
            parts.push(name.to_string());
        }
        if parts.is_empty() {
            let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
            parts.extend(absolute.file_name().map(|n| n.to_string_lossy().into_owned()));
        }
        parts.join("-")
    }
}

fn own_calibration(dir: &Path, name: &str) -> Result<Option<Calibration>, CaptureError> {
    let candidates = ["_", "-", "."].map(|separator| dir.join(format!("{name}{separator}camera.json")));
    candidates.iter().find(|f| f.is_file()).map(|f| calibration::read(f)).transpose()
}

fn missing_depth(color: &Path) -> CaptureError {
    let file = color.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
    let expected = match ["colour", "color", "rgb"].iter().find(|word| stem.contains(*word)) {
        Some(word) => format!("{}.png` or `…_mm.png", stem.replacen(word, "depth", 1)),
        None => "…_depth_mm.png".into(),
    };
    CaptureError::MissingDepth { color: color.to_path_buf(), expected }
}

/// Width and height from the header alone.
fn dimensions(path: &Path) -> Result<(u32, u32), CaptureError> {
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format).map_err(CaptureError::io(path))?;
    reader.into_dimensions().map_err(|e| CaptureError::Decode { path: path.to_path_buf(), reason: e.to_string() })
}

/// Files below `dir` with their path relative to `root`, `/` between the parts.
fn files_below(root: &Path, dir: &Path, level: usize) -> Result<Vec<(String, PathBuf)>, CaptureError> {
    let mut out = Vec::new();
    for path in sorted_entries(dir)? {
        if path.is_dir() {
            if level < MAX_DEPTH {
                out.extend(files_below(root, &path, level + 1)?);
            }
        } else if let Ok(below) = path.strip_prefix(root) {
            let parts: Vec<_> = below.iter().map(|p| p.to_string_lossy()).collect();
            out.push((parts.join("/"), path.clone()));
        }
    }
    Ok(out)
}

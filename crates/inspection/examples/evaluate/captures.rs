//! The real captures in `../shared/data` (or `$INTACT_DATA`) with the truth that comes with them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inspection::EmptyTray;
use vision::{ColorImage, DepthImage, Intrinsics, RgbdFrame};

pub type Fallible<T> = Result<T, Box<dyn Error>>;

/// One capture with its truth: the label of each pixel, 0 = background, [`IGNORE`] = not judged.
pub struct Case {
    pub name: String,
    pub frame: RgbdFrame,
    pub background: Option<EmptyTray>,
    pub truth: Vec<u16>,
}

/// A pixel that is not judged.
pub const IGNORE: u16 = u16::MAX;

/// Where the captures lie.
pub fn data_dir() -> PathBuf {
    std::env::var_os("INTACT_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from)
}

fn color(path: &Path) -> Fallible<ColorImage> {
    let picture = image::open(path)?.into_rgb8();
    Ok(ColorImage::new(picture.width(), picture.height(), picture.into_raw())?)
}

fn depth(path: &Path, unit_m: f32) -> Fallible<DepthImage> {
    let picture = image::open(path)?.into_luma16();
    let metres = picture.as_raw().iter().map(|d| f32::from(*d) * unit_m).collect();
    Ok(DepthImage::from_raw_m(picture.width(), picture.height(), metres)?)
}

fn frame(color: ColorImage, depth: DepthImage, [fx, fy, cx, cy]: [f64; 4]) -> RgbdFrame {
    let (width, height) = (color.width(), color.height());
    let intrinsics = Some(Intrinsics { fx, fy, cx, cy, width, height });
    RgbdFrame { color: Arc::new(color), depth: Some(Arc::new(depth)), intrinsics }
}

/// Files in `dir` that end in `suffix`, with the rest of their name, sorted.
fn stems(dir: &Path, suffix: &str) -> Fallible<Vec<String>> {
    let mut out: Vec<String> =
        std::fs::read_dir(dir)?.filter_map(|e| e.ok()?.file_name().into_string().ok()?.strip_suffix(suffix).map(str::to_owned)).collect();
    out.sort();
    Ok(out)
}

fn camera(path: &Path) -> Fallible<[f64; 4]> {
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let number = |key: &str| json[key].as_f64().ok_or_else(|| format!("{}: no `{key}`", path.display()));
    Ok([number("fx")?, number("fy")?, number("cx")?, number("cy")?])
}

/// The points of a little-endian `<f4` (n, 3) `.npy` file.
fn npy_points(path: &Path) -> Fallible<Vec<[f32; 3]>> {
    let bytes = std::fs::read(path)?;
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]);
    if !text.contains("'<f4'") || text.contains("'fortran_order': True") {
        return Err(format!("{}: not C-ordered <f4: {text}", path.display()).into());
    }
    let values: Vec<f32> = bytes[10 + header..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(values.as_chunks::<3>().0.to_vec())
}

/// Closes gaps of one pixel in a mask.
fn densify(mask: &[u16], w: usize) -> Vec<u16> {
    let h = mask.len() / w;
    let morph = |m: &[u16], grow: bool| -> Vec<u16> {
        (0..m.len())
            .map(|i| {
                let (x, y) = (i % w, i / w);
                let mut around = (y.saturating_sub(1)..=(y + 1).min(h - 1))
                    .flat_map(|yy| (x.saturating_sub(1)..=(x + 1).min(w - 1)).map(move |xx| m[yy * w + xx]));
                u16::from(if grow { around.any(|v| v > 0) } else { around.all(|v| v > 0) })
            })
            .collect()
    };
    morph(&morph(mask, true), false)
}

/// See `shared/data/README.md`.
pub fn single_items(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_single_item");
    stems(&dir, "_color.png")?
        .into_iter()
        .map(|name| {
            let k = camera(&dir.join(format!("{name}_camera.json")))?;
            let frame =
                frame(color(&dir.join(format!("{name}_color.png")))?, depth(&dir.join(format!("{name}_depth_0.1mm.png")), 1e-4)?, k);
            let (w, h) = (frame.color.width() as usize, frame.color.height() as usize);
            let mut truth = vec![0u16; w * h];
            for [x, y, z] in npy_points(&dir.join(format!("{name}_object_pc.npy")))? {
                let u = (f64::from(x) / f64::from(z) * k[0] + k[2]).round() as usize;
                let v = (f64::from(y) / f64::from(z) * k[1] + k[3]).round() as usize;
                if u < w && v < h {
                    truth[v * w + u] = 1;
                }
            }
            Ok(Case { name, frame, background: None, truth: densify(&truth, w) })
        })
        .collect()
}

/// See `shared/data/README.md`.
pub fn mosd(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_mosd");
    let k = camera(&dir.join("camera.json"))?;
    stems(&dir, "_label.png")?
        .into_iter()
        .map(|name| {
            let frame = frame(color(&dir.join(format!("{name}_color.png")))?, depth(&dir.join(format!("{name}_depth_mm.png")), 1e-3)?, k);
            let labels = image::open(dir.join(format!("{name}_label.png")))?.into_luma8();
            // Tens are items, units their parts; 1–9 is the table.
            let truth = labels.as_raw().iter().map(|l| if *l < 20 { 0 } else { u16::from(*l / 10) }).collect();
            Ok(Case { name, frame, background: None, truth })
        })
        .collect()
}

/// See `shared/data/README.md`.
pub fn tote(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_tote_bg/parallel_jaw");
    ["0", "1"]
        .into_iter()
        .map(|n| {
            let text = std::fs::read_to_string(dir.join(format!("camera-{n}.intrinsics.txt")))?;
            let k: Vec<f64> = text.split_whitespace().filter_map(|v| v.parse().ok()).collect();
            let k = [k[0], k[4], k[2], k[5]];
            let load = |kind: &str| -> Fallible<RgbdFrame> {
                Ok(frame(color(&dir.join(format!("{kind}-{n}.color.png")))?, depth(&dir.join(format!("{kind}-{n}.depth.png")), 1e-4)?, k))
            };
            Ok(Case {
                name: format!("tote-{n}"),
                frame: load("input")?,
                background: Some(EmptyTray::new(load("background")?)),
                truth: Vec::new(),
            })
        })
        .collect()
}

/// See `shared/data/README.md`.
pub fn transparent(data: &Path, kind: &str) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_transparent_d435");
    stems(&dir, "-mask.png")?
        .into_iter()
        .map(|name| {
            let frame = frame(
                color(&dir.join(format!("{name}-{kind}-rgb.jpg")))?,
                depth(&dir.join(format!("{name}-{kind}-depth_0.1mm.png")), 1e-4)?,
                [921.0, 921.0, 642.0, 359.0],
            );
            let mask = image::open(dir.join(format!("{name}-mask.png")))?.into_luma8();
            let w = mask.width() as usize;
            let set: Vec<bool> = mask.as_raw().iter().map(|v| *v > 127).collect();
            Ok(Case { name: format!("{name}-{kind}"), frame, background: None, truth: connected(&set, w) })
        })
        .collect()
}

/// Connected parts of a mask, by flood fill.
fn connected(set: &[bool], w: usize) -> Vec<u16> {
    let mut out = vec![0u16; set.len()];
    let mut next = 0;
    for start in 0..set.len() {
        if !set[start] || out[start] != 0 {
            continue;
        }
        next += 1;
        let mut stack = vec![start];
        out[start] = next;
        while let Some(i) = stack.pop() {
            for j in [i.wrapping_sub(1), i + 1, i.wrapping_sub(w), i + w] {
                if j < set.len() && set[j] && out[j] == 0 {
                    out[j] = next;
                    stack.push(j);
                }
            }
        }
    }
    out
}

//! What limits trust in a picture of an item.

use serde::{Deserialize, Serialize};
use vision::{CELL_DEPTH_M, RgbdFrame};

use crate::segment::{Instance, Segmentation};

/// Variance of the Laplacian below which an item's picture is blurred, grey levels squared.
const SHARPNESS_FLOOR: f32 = 6.0;
/// Share of saturated or black pixels above which exposure has failed.
const EXPOSURE_SHARE: f32 = 0.35;
/// Share of an item's pixels that must have depth.
const DEPTH_SHARE: f32 = 0.35;

/// Share of an item's outline before which something nearer stands, above which a part of it is hidden.
const HIDDEN_SHARE: f32 = 0.08;
/// How much nearer, metres: less is a flap, a fold, or noise.
const NEARER_M: f32 = 0.012;
/// Pixels to both sides of the outline where depth is compared: sensors mix near and far on the outline itself.
const BESIDE_PX: isize = 3;

/// Doubts about one item's inspection; fields as in `intact_msgs/QualityFlags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Sharpness below the floor.
    pub blurred: bool,
    /// The item touches the picture's border.
    pub clipped: bool,
    /// Something that stands nearer to the camera hides a part of the item; needs depth.
    pub occluded: bool,
    /// A large part of the item is saturated.
    pub overexposed: bool,
    /// A large part of the item is black.
    pub underexposed: bool,
    /// No depth image, or too little of the item's depth is valid.
    pub depth_missing: bool,
    /// Depth magnitudes do not fit a camera's range.
    pub depth_unit_suspect: bool,
    /// No empty-tray background was given.
    pub background_missing: bool,
    /// Share of the item's pixels with depth, [0, 1].
    pub depth_valid_fraction: f32,
    /// Variance of the Laplacian over the item, grey levels squared.
    pub sharpness: f32,
}

/// True when the typical depth of the frame is not one that a camera in a cell sees.
pub fn is_depth_unit_suspect(frame: &RgbdFrame) -> bool {
    frame.depth.as_ref().is_some_and(|d| {
        let mut some: Vec<f32> = d.data().iter().step_by(101).copied().filter(|z| *z > 0.0).collect();
        some.sort_unstable_by(f32::total_cmp);
        some.get(some.len() / 2).is_some_and(|z| !CELL_DEPTH_M.contains(z))
    })
}

/// Counts over the pixels of one item.
#[derive(Clone, Copy, Default)]
struct Counts {
    pixels: u32,
    bright: u32,
    dark: u32,
    valid: u32,
    inner: u32,
    laplace: f64,
    laplace_squares: f64,
}

/// Grey levels of one row's columns `from..to`, 0 to 255.
fn gray_row(rgb: &[u8], row: usize, width: usize, from: usize, to: usize, out: &mut Vec<i32>) {
    out.clear();
    let pixels = rgb[3 * (row * width + from)..3 * (row * width + to)].as_chunks::<3>().0;
    out.extend(pixels.iter().map(|[r, g, b]| (77 * i32::from(*r) + 150 * i32::from(*g) + 29 * i32::from(*b)) >> 8));
}

fn count(frame: &RgbdFrame, found: &Segmentation, item: &Instance) -> Counts {
    let (w, h) = (frame.color.width() as usize, frame.color.height() as usize);
    let rgb = frame.color.data();
    let depth = frame.depth.as_ref().map(|d| d.data());
    let b = item.bbox;
    let (x0, x1) = (b.x as usize, (b.x + b.w) as usize);
    // One more column on each side, for the Laplacian.
    let (from, to) = (x0.saturating_sub(1), (x1 + 1).min(w));
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    let mut counts = Counts::default();
    for y in b.y as usize..(b.y + b.h) as usize {
        if rows[1].is_empty() {
            gray_row(rgb, y.saturating_sub(1), w, from, to, &mut rows[0]);
            gray_row(rgb, y, w, from, to, &mut rows[1]);
        } else {
            rows.rotate_left(1);
        }
        gray_row(rgb, (y + 1).min(h - 1), w, from, to, &mut rows[2]);
        for x in (x0..x1).filter(|x| found.mask.data()[y * w + x] == item.id) {
            let (i, k) = (y * w + x, x - from);
            let v = rows[1][k];
            counts.pixels += 1;
            counts.bright += u32::from(v >= 252 && rgb[3 * i..3 * i + 3].iter().all(|c| *c >= 252));
            counts.dark += u32::from(v <= 8);
            counts.valid += u32::from(depth.is_some_and(|d| d[i] > 0.0));
            if x > 0 && y > 0 && x + 1 < w && y + 1 < h {
                let laplace = f64::from(4 * v - rows[1][k - 1] - rows[1][k + 1] - rows[0][k] - rows[2][k]);
                counts.laplace += laplace;
                counts.laplace_squares += laplace * laplace;
                counts.inner += 1;
            }
        }
    }
    counts
}

/// Share of the item's outline where what lies just outside is nearer to the camera than what lies just inside.
fn hidden_share(frame: &RgbdFrame, found: &Segmentation, item: &Instance) -> f32 {
    let Some(depth) = &frame.depth else { return 0.0 };
    let (w, h) = (frame.color.width() as isize, frame.color.height() as isize);
    let at = |x: isize, y: isize| (0..w).contains(&x).then(|| (0..h).contains(&y).then_some((y * w + x) as usize)).flatten();
    let is_item = |i: usize| found.mask.data()[i] == item.id;
    let b = item.bbox;
    let (mut outline, mut hidden) = (0u32, 0u32);
    for y in b.y as isize..(b.y + b.h) as isize {
        for x in b.x as isize..(b.x + b.w) as isize {
            if !at(x, y).is_some_and(is_item) {
                continue;
            }
            for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
                if at(x + dx, y + dy).is_none_or(is_item) {
                    continue;
                }
                outline += 1;
                let outside = at(x + dx * BESIDE_PX, y + dy * BESIDE_PX).filter(|i| !is_item(*i));
                let inside = at(x - dx * BESIDE_PX, y - dy * BESIDE_PX).filter(|i| is_item(*i));
                if let (Some(o), Some(i)) = (outside, inside) {
                    let (zo, zi) = (depth.data()[o], depth.data()[i]);
                    hidden += u32::from(zo > 0.0 && zi > 0.0 && zi - zo > NEARER_M);
                }
            }
        }
    }
    hidden as f32 / outline.max(1) as f32
}

/// Judges the picture of one item.
pub(crate) fn of_item(frame: &RgbdFrame, found: &Segmentation, item: &Instance, unit_suspect: bool) -> Quality {
    let counts = count(frame, found, item);
    let share = |k: u32| k as f32 / counts.pixels.max(1) as f32;
    let inner = f64::from(counts.inner.max(1));
    let mean = counts.laplace / inner;
    let sharpness = (counts.laplace_squares / inner - mean * mean) as f32;
    Quality {
        blurred: sharpness < SHARPNESS_FLOOR,
        clipped: item.clipped,
        occluded: hidden_share(frame, found, item) > HIDDEN_SHARE,
        overexposed: share(counts.bright) > EXPOSURE_SHARE,
        underexposed: share(counts.dark) > EXPOSURE_SHARE,
        // Depth that shows no ground tells nothing of the item either.
        depth_missing: share(counts.valid) < DEPTH_SHARE || !found.used_depth || item.see_through,
        depth_unit_suspect: unit_suspect,
        background_missing: !found.used_background,
        depth_valid_fraction: share(counts.valid),
        sharpness,
    }
}

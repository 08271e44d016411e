//! What limits trust in a picture of an item.

use serde::{Deserialize, Serialize};
use vision::RgbdFrame;

use crate::segment::{Instance, Segmentation};

/// Variance of the Laplacian below which an item's picture is blurred, grey levels squared.
const SHARPNESS_FLOOR: f32 = 6.0;
/// Share of saturated or black pixels above which exposure has failed.
const EXPOSURE_SHARE: f32 = 0.35;
/// Share of an item's pixels that must have depth.
const DEPTH_SHARE: f32 = 0.35;
/// A cell's cameras stand between these distances, metres; depth far outside is in the wrong unit.
const RANGE_M: (f32, f32) = (0.12, 6.0);

/// Doubts about one item's inspection; fields as in `intact_msgs/QualityFlags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Sharpness below the floor.
    pub blurred: bool,
    /// The item touches the picture's border.
    pub clipped: bool,
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
        some.get(some.len() / 2).is_some_and(|z| !(RANGE_M.0..=RANGE_M.1).contains(z))
    })
}

/// Judges the picture of one item.
pub(crate) fn of_item(frame: &RgbdFrame, found: &Segmentation, item: &Instance, unit_suspect: bool) -> Quality {
    let (w, h) = (frame.color.width() as usize, frame.color.height() as usize);
    let rgb = frame.color.data();
    let gray = |i: usize| (77 * i32::from(rgb[3 * i]) + 150 * i32::from(rgb[3 * i + 1]) + 29 * i32::from(rgb[3 * i + 2])) >> 8;
    let depth = frame.depth.as_ref().map(|d| d.data());
    let (mut n, mut bright, mut dark, mut valid) = (0u32, 0u32, 0u32, 0u32);
    let (mut sum, mut squares, mut inner) = (0.0f64, 0.0f64, 0u32);
    let b = item.bbox;
    for y in b.y as usize..(b.y + b.h) as usize {
        for x in b.x as usize..(b.x + b.w) as usize {
            let i = y * w + x;
            if found.mask.data()[i] != item.id {
                continue;
            }
            n += 1;
            let v = gray(i);
            bright += u32::from(rgb[3 * i..3 * i + 3].iter().all(|c| *c >= 252));
            dark += u32::from(v <= 8);
            valid += u32::from(depth.is_some_and(|d| d[i] > 0.0));
            if x > 0 && y > 0 && x + 1 < w && y + 1 < h {
                let laplace = f64::from(4 * v - gray(i - 1) - gray(i + 1) - gray(i - w) - gray(i + w));
                sum += laplace;
                squares += laplace * laplace;
                inner += 1;
            }
        }
    }
    let share = |k: u32| k as f32 / n.max(1) as f32;
    let mean = sum / f64::from(inner.max(1));
    let sharpness = (squares / f64::from(inner.max(1)) - mean * mean) as f32;
    Quality {
        blurred: sharpness < SHARPNESS_FLOOR,
        clipped: item.clipped,
        overexposed: share(bright) > EXPOSURE_SHARE,
        underexposed: share(dark) > EXPOSURE_SHARE,
        depth_missing: share(valid) < DEPTH_SHARE,
        depth_unit_suspect: unit_suspect,
        background_missing: !found.used_background,
        depth_valid_fraction: share(valid),
        sharpness,
    }
}

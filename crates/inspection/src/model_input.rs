//! What a model sees of one item: the crop around it, channel after channel. The contract is docs/model-contract.md.

use vision::{ColorImage, LabelMask, Rect, RgbdFrame};

use crate::InspectionError;
use crate::damage::{self, Relief, behind_hull_m};
use crate::finder::ItemFinder;
use crate::segment::{self, Cells, EmptyTray, Instance, SegmentationParams};

/// The crop keeps this share of the item's size around it: matter beside the item belongs to the picture of it.
const MARGIN: f32 = 0.15;
/// Metres behind the hull that the fourth channel shows as 1.
const RESIDUAL_RANGE_M: f32 = 0.05;
/// Metres above the support that the fifth channel shows as 1.
const HEIGHT_RANGE_M: f32 = 0.25;
/// What the sixth channel shows where the empty tray's colour changed beside the item.
const BESIDE: f32 = 0.5;

/// One item as a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// The item's value in the mask.
    pub id: u16,
    /// What was cut out, pixels of the colour image.
    pub crop: Rect,
    /// `[C, H, W]`, each in [0, 1].
    pub values: Vec<f32>,
    /// What the classical scorer says; `None` without depth.
    pub classical: Option<f32>,
}

/// What models see of every item of a frame, in six channels of `side` × `side`: what a network is trained on.
///
/// # Errors
/// When the pictures differ in size, or the finder fails.
pub fn model_inputs(
    frame: &RgbdFrame,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
    finder: Option<&ItemFinder>,
    side: usize,
) -> Result<Vec<ModelInput>, InspectionError> {
    let found = segment::analyse(frame, background, params, finder)?;
    let mask = &found.segmentation.mask;
    let of = |item: &Instance| {
        // As in an inspection: depth that sees through an item tells nothing of it.
        let relief = Relief::of(&found.cells, item.id).filter(|_| !item.see_through);
        let view = View { frame, mask, cells: &found.cells, relief: relief.as_ref() };
        let (crop, values) = view.of(item, [6, side, side]);
        let classical = relief.as_ref().map(|r| damage::assess(r, &found.cells).overall());
        ModelInput { id: item.id, crop, values, classical }
    };
    Ok(found.segmentation.instances.iter().map(of).collect())
}

/// What inputs are cut out of.
pub(crate) struct View<'a> {
    pub frame: &'a RgbdFrame,
    pub mask: &'a LabelMask,
    pub cells: &'a Cells,
    pub relief: Option<&'a Relief>,
}

impl View<'_> {
    /// The crop around the item, and it stretched to `[channels, height, width]`.
    pub fn of(&self, item: &Instance, [channels, h, w]: [usize; 3]) -> (Rect, Vec<f32>) {
        let color = &self.frame.color;
        let crop = item.bbox.with_margin(MARGIN, color.width(), color.height());
        let mut out = vec![0.0f32; channels * h * w];
        let (rgb, rest) = out.split_at_mut(3 * h * w);
        stretch(color, crop, [h, w], rgb);
        let mut planes = rest.chunks_exact_mut(h * w);
        if let (Some(plane), Some(relief)) = (planes.next(), self.relief) {
            self.raster(relief, &behind_hull_m(relief), RESIDUAL_RANGE_M, crop, w, plane);
        }
        if let (Some(plane), Some(relief)) = (planes.next(), self.relief) {
            self.raster(relief, &relief.height_m, HEIGHT_RANGE_M, crop, w, plane);
        }
        if let Some(plane) = planes.next() {
            self.place(item.id, crop, w, plane);
        }
        (crop, out)
    }

    /// Values of a relief's raster, bilinear, as shares of `range_m`.
    fn raster(&self, relief: &Relief, values_m: &[f32], range_m: f32, crop: Rect, w: usize, plane: &mut [f32]) {
        let h = plane.len() / w;
        let pitch = (self.cells.grid.step * relief.stride) as f32;
        let at = |i: usize, n: usize, from: u32, size: u32, origin: usize, len: usize| {
            let px = from as f32 + (i as f32 + 0.5) * size as f32 / n as f32;
            let cell = px / pitch - origin as f32 / relief.stride as f32 - 0.5;
            let inside = (-0.5..=len as f32 - 0.5).contains(&cell);
            let cell = cell.clamp(0.0, (len - 1) as f32);
            inside.then(|| (cell as usize, (cell as usize + 1).min(len - 1), cell.fract()))
        };
        for (y, line) in plane.chunks_exact_mut(w).enumerate() {
            let Some((y0, y1, fy)) = at(y, h, crop.y, crop.h, relief.origin.1, relief.h) else { continue };
            for (x, out) in line.iter_mut().enumerate() {
                let Some((x0, x1, fx)) = at(x, w, crop.x, crop.w, relief.origin.0, relief.w) else { continue };
                let v = |x: usize, y: usize| values_m[y * relief.w + x];
                let top = v(x0, y0) * (1.0 - fx) + v(x1, y0) * fx;
                let low = v(x0, y1) * (1.0 - fx) + v(x1, y1) * fx;
                *out = ((top * (1.0 - fy) + low * fy) / range_m).clamp(0.0, 1.0);
            }
        }
    }

    /// Where the item is (1) and where the tray changed beside it ([`BESIDE`]), nearest pixel.
    fn place(&self, id: u16, crop: Rect, w: usize, plane: &mut [f32]) {
        let h = plane.len() / w;
        let (width, step, grid) = (self.mask.width() as usize, self.cells.grid.step, &self.cells.grid);
        for (y, line) in plane.chunks_exact_mut(w).enumerate() {
            let row = crop.y as usize + (2 * y + 1) * crop.h as usize / (2 * h);
            for (x, out) in line.iter_mut().enumerate() {
                let column = crop.x as usize + (2 * x + 1) * crop.w as usize / (2 * w);
                let label = self.mask.data()[row * width + column];
                let cell = (row / step).min(grid.h - 1) * grid.w + (column / step).min(grid.w - 1);
                *out = match label {
                    0 if self.cells.stained[cell] => BESIDE,
                    l => f32::from(l == id),
                };
            }
        }
    }
}

/// Stretches the crop to `[h, w]` with a triangle filter that widens where it shrinks (bilinear with antialiasing, as
/// Pillow's and PyTorch's); RGB planes in [0, 1].
fn stretch(color: &ColorImage, crop: Rect, [h, w]: [usize; 2], out: &mut [f32]) {
    let columns = taps(crop.x, crop.w, w, color.width());
    let rows = taps(crop.y, crop.h, h, color.height());
    let stride = color.width() as usize * 3;
    let first = rows.first().map_or(0, |t| t.first);
    let last = rows.last().map_or(0, |t| t.first + t.weights.len());
    // Columns first: one line of RGB a row of the picture.
    let mut lines = vec![[0.0f32; 3]; (last - first) * w];
    for (line, row) in lines.chunks_exact_mut(w).zip(color.data()[first * stride..].chunks_exact(stride)) {
        let pixels = row.as_chunks::<3>().0;
        for (cell, tap) in line.iter_mut().zip(&columns) {
            for (weight, p) in tap.weights.iter().zip(&pixels[tap.first..]) {
                for (sum, v) in cell.iter_mut().zip(p) {
                    *sum += weight * f32::from(*v);
                }
            }
        }
    }
    for (y, tap) in rows.iter().enumerate() {
        for x in 0..w {
            let mut sum = [0.0f32; 3];
            for (k, weight) in tap.weights.iter().enumerate() {
                for (s, v) in sum.iter_mut().zip(lines[(tap.first - first + k) * w + x]) {
                    *s += weight * v;
                }
            }
            for (c, s) in sum.into_iter().enumerate() {
                out[(c * h + y) * w + x] = s / 255.0;
            }
        }
    }
}

/// Source pixels of one output pixel, with weights that sum to 1.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

/// The triangle filter of each of `n` outputs over `size` pixels from `from`, of a line of `len`.
fn taps(from: u32, size: u32, n: usize, len: u32) -> Vec<Tap> {
    let scale = size as f32 / n as f32;
    let reach = scale.max(1.0);
    (0..n)
        .map(|i| {
            let centre = from as f32 + (i as f32 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(len as usize).max(first + 1);
            let weight = |p: usize| (1.0 - ((p as f32 + 0.5 - centre) / reach).abs()).max(0.0);
            let mut weights: Vec<f32> = (first..end).map(weight).collect();
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|v| *v /= sum.max(1e-6));
            Tap { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(w: u32, h: u32) -> ColorImage {
        let data = (0..h).flat_map(|y| (0..w).flat_map(move |x| [(x * 5) as u8, (y * 5) as u8, 200])).collect();
        ColorImage::new(w, h, data).unwrap()
    }

    #[test]
    fn a_ramp_stays_a_ramp_when_it_grows_and_when_it_shrinks() {
        let picture = ramp(40, 30);
        let crop = Rect { x: 8, y: 6, w: 20, h: 16 };
        for (h, w) in [(32, 40), (4, 5)] {
            let mut out = vec![0.0; 3 * h * w];
            stretch(&picture, crop, [h, w], &mut out);
            for (x, value) in out[w..2 * w].iter().enumerate() {
                let source = 8.0 + (x as f32 + 0.5) * 20.0 / w as f32 - 0.5;
                assert!((value * 255.0 - 5.0 * source).abs() < 0.01, "{w}: {x}: {value}");
            }
            assert!(out[2 * h * w..].iter().all(|v| (v * 255.0 - 200.0).abs() < 0.01));
        }
    }

    #[test]
    fn shrinking_averages_what_lies_between() {
        let data = (0..64 * 8).flat_map(|i| [if (i % 64) % 2 == 0 { 0 } else { 255 }; 3]).collect();
        let stripes = ColorImage::new(64, 8, data).unwrap();
        let mut out = vec![0.0; 3 * 8 * 8];
        stretch(&stripes, Rect { x: 0, y: 0, w: 64, h: 8 }, [8, 8], &mut out);
        assert!(out.iter().all(|v| (v - 0.5).abs() < 0.08), "{out:?}");
    }
}

//! How a thing looks from afar: its colours in Lab and the proportions of its outline. It ranks what has no print.

use opencv::core::{Mat, MatTraitConstManual, Point, Vec3b, Vector};
use opencv::imgproc;

use crate::{Cutout, MatchError, cv};

/// Cells of the histogram: lightness, green to red, blue to yellow.
const CELLS: [usize; 3] = [4, 10, 10];
/// Length of what [`look`] returns.
pub const LOOK_LEN: usize = CELLS[0] * CELLS[1] * CELLS[2];
/// Width of a cell of colour, Lab units; the outermost cells hold what lies beyond.
const CELL_AB: f32 = 12.0;
/// Longer side at which a picture is looked at, pixels.
pub(crate) const LOOK_PX: u32 = 320;

/// Colours and proportions of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Appearance {
    /// Share of each cell, spread over its neighbours; sums to 1.
    histogram: Vec<f32>,
    /// Logarithm of length by width of the tightest rectangle.
    elongation: f32,
    /// Share of that rectangle that the thing fills, [0, 1].
    fill: f32,
}

impl Appearance {
    /// Of a cutout.
    pub fn of(cutout: &Cutout) -> Result<Self, MatchError> {
        let small = cutout.shrunk(LOOK_PX)?;
        let (width, height) = (small.color().width(), small.color().height());
        Self::of_mask(&lab(&cv::from_color(small.color())?)?, &cv::from_bytes(width, height, small.foreground())?)
    }

    /// Of what `mask` marks in a picture in 8-bit Lab.
    pub fn of_mask(lab: &Mat, mask: &Mat) -> Result<Self, MatchError> {
        let mut counts = vec![0f32; CELLS.iter().product()];
        for (p, _) in lab.data_typed::<Vec3b>()?.iter().zip(mask.data_bytes()?).filter(|(_, m)| **m > 0) {
            let color =
                |v: u8, cells: usize| ((f32::from(v) - 128.0) / CELL_AB + cells as f32 / 2.0).clamp(0.0, cells as f32 - 0.01) as usize;
            let cell = (usize::from(p[0]) * CELLS[0] / 256, color(p[1], CELLS[1]), color(p[2], CELLS[2]));
            counts[(cell.0 * CELLS[1] + cell.1) * CELLS[2] + cell.2] += 1.0;
        }
        let mut histogram = (0..CELLS.len()).fold(counts, |counts, axis| spread(&counts, axis));
        let sum = histogram.iter().sum::<f32>().max(1e-6);
        histogram.iter_mut().for_each(|v| *v /= sum);
        let (elongation, fill) = proportions(mask)?;
        Ok(Self { histogram, elongation, fill })
    }

    /// Bhattacharyya coefficient of the colours, [0, 1]: 1 the same spread.
    pub fn likeness(&self, other: &Self) -> f32 {
        self.histogram.iter().zip(&other.histogram).map(|(a, b)| (a * b).sqrt()).sum::<f32>().clamp(0.0, 1.0)
    }

    /// What [`look`] returns.
    pub fn look(&self) -> Vec<f32> {
        self.histogram.iter().map(|v| v.sqrt()).collect()
    }

    /// How far the outlines differ; 0: the same proportions.
    pub fn misfit(&self, other: &Self) -> f32 {
        (self.elongation - other.elongation).abs() + 2.0 * (self.fill - other.fill).abs()
    }
}

/// The colours of a cutout as numbers of unit length: the inner product of two is their likeness, [0, 1]. For databases that
/// search vectors; it tells red boxes from blue ones, not two designs of one brand.
///
/// # Errors
/// When OpenCV fails.
pub fn look(cutout: &Cutout) -> Result<Vec<f32>, MatchError> {
    Ok(Appearance::of(cutout)?.look())
}

/// A picture in 8-bit Lab.
pub(crate) fn lab(rgb: &Mat) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    imgproc::cvt_color_def(rgb, &mut out, imgproc::COLOR_RGB2Lab)?;
    Ok(out)
}

/// Gives half of each cell's weight to its neighbours along one axis: a little more light must not make another product.
fn spread(cells: &[f32], axis: usize) -> Vec<f32> {
    let stride: usize = CELLS.iter().skip(axis + 1).product();
    let at = |i: usize| cells.get(i).copied().unwrap_or(0.0);
    (0..cells.len())
        .map(|i| {
            let k = i / stride % CELLS[axis];
            let before = if k > 0 { at(i - stride) } else { 0.0 };
            let after = if k + 1 < CELLS[axis] { at(i + stride) } else { 0.0 };
            at(i) + 0.5 * (before + after)
        })
        .collect()
}

/// Elongation and fill of the largest part of a mask.
fn proportions(mask: &Mat) -> Result<(f32, f32), MatchError> {
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(mask, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let (mut best, mut found) = (0.0, (0.0, 1.0));
    for contour in &contours {
        let area = imgproc::contour_area_def(&contour)?;
        if area > best {
            let size = imgproc::min_area_rect(&contour)?.size;
            let (long, short) = (size.width.max(size.height).max(1.0), size.width.min(size.height).max(1.0));
            (best, found) = (area, ((long / short).ln(), (area as f32 / (long * short)).min(1.0)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::ColorImage;

    fn bar(width: u32, rgb: [u8; 3]) -> Appearance {
        let color = ColorImage::new(80, 80, rgb.repeat(80 * 80)).unwrap();
        Appearance::of(&Cutout::masked(color, (0..80 * 80u32).map(|i| i % 80 < width && i / 80 < 20)).unwrap()).unwrap()
    }

    #[test]
    fn colours_and_proportions_tell_things_apart() {
        let red = bar(60, [200, 40, 40]);
        assert!(red.likeness(&bar(60, [190, 50, 45])) > 0.8 && red.likeness(&bar(60, [40, 40, 200])) < 0.2);
        assert!(red.misfit(&bar(58, [200, 40, 40])) < 0.1 && red.misfit(&bar(20, [200, 40, 40])) > 0.8);
    }
}

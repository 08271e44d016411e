//! What stands in the middle of a picture, by colour alone: OpenCV's GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004), begun
//! from the border as ground and the middle as item.

use opencv::core::{CV_8UC1, CV_8UC3, Mat, MatTraitConstManual, MatTraitManual, Rect, Scalar, Size, set_rng_seed};
use opencv::imgproc;

use super::components::{dilate, erode};
use crate::InspectionError;

/// Longer side of the picture that is cut, pixels: a quarter of the time of twice that side, and no worse on real captures.
const SIDE: usize = 160;
/// The item is first sought within this share of the way from the middle to the border, an ellipse.
const MIDDLE: f32 = 0.6;
/// The border, ground for certain, is this part of the shorter side.
const BORDER: usize = 24;
const ROUNDS: i32 = 3;
/// Noise is blurred away over this, pixels.
const BLUR_PX: f64 = 0.75;

/// True for the cells of what stands before the ground; `cells` are RGB in [0, 255], `w` columns. The same cells give the same.
///
/// # Errors
/// A failure inside OpenCV.
pub(crate) fn middle(cells: &[[f32; 3]], w: usize) -> Result<Vec<bool>, InspectionError> {
    let h = cells.len() / w.max(1);
    let scale = (SIDE as f32 / w.max(h) as f32).min(1.0);
    let (columns, rows) = (((w as f32 * scale) as usize).max(1), ((h as f32 * scale) as usize).max(1));
    let border = (columns.min(rows) / BORDER).max(2);
    if columns.min(rows) < 4 * border {
        return Ok(vec![false; cells.len()]);
    }
    let picture = shrunk(cells, [w, h], [columns, rows])?;
    let mut mask = Mat::new_rows_cols_with_default(rows as i32, columns as i32, CV_8UC1, Scalar::all(0.0))?;
    let guesses = (0..columns * rows).map(|i| first_guess(i % columns, i / columns, columns, rows, border));
    mask.data_bytes_mut()?.iter_mut().zip(guesses).for_each(|(m, g)| *m = g);
    // Its clusters begin from random numbers: the same ones each time.
    set_rng_seed(0)?;
    let (mut ground, mut item) = (Mat::default(), Mat::default());
    imgproc::grab_cut(&picture, &mut mask, Rect::default(), &mut ground, &mut item, ROUNDS, imgproc::GC_INIT_WITH_MASK)?;
    let found: Vec<bool> = mask.data_bytes()?.iter().map(|m| [imgproc::GC_FGD, imgproc::GC_PR_FGD].contains(&i32::from(*m))).collect();
    let opened = dilate(&erode(&found, columns, 1), columns, 1);
    Ok((0..cells.len()).map(|i| opened[(i / w * rows / h) * columns + i % w * columns / w]).collect())
}

fn first_guess(x: usize, y: usize, columns: usize, rows: usize, border: usize) -> u8 {
    let off = |v: usize, n: usize| (v as f32 + 0.5 - n as f32 / 2.0) / (n as f32 / 2.0);
    let guess = if x < border || y < border || x + border >= columns || y + border >= rows {
        imgproc::GC_BGD
    } else if off(x, columns).hypot(off(y, rows)) < MIDDLE {
        imgproc::GC_PR_FGD
    } else {
        imgproc::GC_PR_BGD
    };
    guess as u8
}

/// The cells as a small blurred picture of bytes.
fn shrunk(cells: &[[f32; 3]], [w, h]: [usize; 2], [columns, rows]: [usize; 2]) -> Result<Mat, InspectionError> {
    let mut full = Mat::new_rows_cols_with_default(h as i32, w as i32, CV_8UC3, Scalar::all(0.0))?;
    let bytes = cells.iter().flatten().map(|v| v.round().clamp(0.0, 255.0) as u8);
    full.data_bytes_mut()?.iter_mut().zip(bytes).for_each(|(to, v)| *to = v);
    let (mut small, mut out) = (Mat::default(), Mat::default());
    imgproc::resize(&full, &mut small, Size::new(columns as i32, rows as i32), 0.0, 0.0, imgproc::INTER_AREA)?;
    imgproc::gaussian_blur_def(&small, &mut out, Size::new(0, 0), BLUR_PX)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A disc of stripes on a chequered ground, 160 × 120 cells.
    fn disc() -> (Vec<[f32; 3]>, Vec<bool>) {
        let inside = |i: usize| ((i % 160) as f32 - 70.0).hypot((i / 160) as f32 - 66.0) < 36.0;
        let color = |i: usize| {
            let (x, y) = (i % 160, i / 160);
            let odd = (x / 5 + y / 5) % 2 == 0;
            match (inside(i), odd) {
                (true, true) => [200.0, 40.0, 30.0],
                (true, false) => [120.0, 20.0, 90.0],
                (false, true) => [90.0, 150.0, 90.0],
                (false, false) => [60.0, 90.0, 120.0],
            }
        };
        ((0..160 * 120).map(color).collect(), (0..160 * 120).map(inside).collect())
    }

    #[test]
    fn a_thing_is_found_before_a_ground_that_is_not_plain() {
        let (cells, truth) = disc();
        let found = middle(&cells, 160).unwrap();
        let both = found.iter().zip(&truth).filter(|(f, t)| **f && **t).count();
        let any = found.iter().zip(&truth).filter(|(f, t)| **f || **t).count();
        assert!(both as f32 > 0.9 * any as f32, "{both} of {any}");
    }

    #[test]
    fn the_same_picture_is_cut_alike_whatever_was_cut_before_and_in_any_thread() {
        let (cells, _) = disc();
        let first = middle(&cells, 160).unwrap();
        let flipped: Vec<[f32; 3]> = cells.iter().rev().copied().collect();
        middle(&flipped, 160).unwrap();
        assert_eq!(first, middle(&cells, 160).unwrap());
        let other = std::thread::spawn(move || middle(&cells, 160).unwrap()).join().unwrap();
        assert_eq!(first, other);
    }

    #[test]
    fn pictures_too_small_to_have_a_middle_show_nothing() {
        assert_eq!(middle(&[[0.0; 3]; 12], 4).unwrap(), [false; 12]);
        assert!(middle(&[], 0).unwrap().is_empty());
    }
}

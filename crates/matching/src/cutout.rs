//! A picture of one thing, and which of its pixels are that thing.

use opencv::core::{MatTraitConstManual, Size};
use vision::{ColorImage, HeightMap, LabelMask, Rect};

use crate::{Extent, MatchError, cv, relief};

/// Largest difference from the border's colour, grey levels per channel, that still is background.
const BORDER_TOLERANCE: i32 = 14;
/// At least this share of the border must agree on one colour for it to be a background.
const BORDER_AGREEMENT: f32 = 0.85;
/// A thing smaller than this share of its picture is a mistake of the background rule, not a thing.
const MIN_FOREGROUND: f32 = 0.02;

/// A colour picture and the pixels in it that belong to the thing shown.
#[derive(Clone, Debug)]
pub struct Cutout {
    color: ColorImage,
    /// 255 where the thing is, 0 elsewhere; one byte a pixel.
    foreground: Vec<u8>,
    /// Where it was measured.
    extent: Option<Extent>,
    /// Height of each pixel over the support.
    heights: Option<HeightMap>,
}

impl Cutout {
    /// The whole picture is the thing.
    pub fn whole(color: ColorImage) -> Self {
        let foreground = vec![255; color.width() as usize * color.height() as usize];
        Self { color, foreground, extent: None, heights: None }
    }

    /// Takes the pixels where `mask` is not zero.
    ///
    /// # Errors
    /// When the mask is of another size than the picture, or marks nothing.
    pub fn masked(color: ColorImage, mask: impl IntoIterator<Item = bool>) -> Result<Self, MatchError> {
        let foreground: Vec<u8> = mask.into_iter().map(|inside| if inside { 255 } else { 0 }).collect();
        let expected = color.width() as usize * color.height() as usize;
        if foreground.len() != expected {
            return Err(MatchError::MaskSize { expected, actual: foreground.len() });
        }
        if foreground.iter().all(|f| *f == 0) {
            return Err(MatchError::Empty);
        }
        Ok(Self { color, foreground, extent: None, heights: None })
    }

    /// Cuts one labelled instance out of a whole frame; `rect` is the part of the frame to keep.
    ///
    /// # Errors
    /// [`MatchError::Empty`] when the label has no pixel inside `rect`, or `rect` lies outside the frame.
    pub fn of_label(frame: &ColorImage, mask: &LabelMask, label: u16, rect: Rect) -> Result<Self, MatchError> {
        let color = frame.crop(rect).ok_or(MatchError::Empty)?;
        let labels = mask.crop(rect).ok_or(MatchError::Empty)?;
        Self::masked(color, labels.data().iter().map(|l| *l == label))
    }

    /// Finds the background of a product picture: everything of the border's colour that is connected with the border,
    /// when the border is of nearly one colour. Otherwise the whole picture is the thing.
    pub fn without_plain_border(color: ColorImage) -> Self {
        match plain_background(&color) {
            Some(foreground) => Self { color, foreground, extent: None, heights: None },
            None => Self::whole(color),
        }
    }

    /// The same with the thing's size, as depth measured it.
    pub fn with_extent(self, extent: Option<Extent>) -> Self {
        Self { extent, ..self }
    }

    /// The thing's size; `None`: nobody measured it.
    pub fn extent(&self) -> Option<Extent> {
        self.extent
    }

    /// The same with the height of each pixel over the support.
    ///
    /// # Errors
    /// When they are of another size than the picture.
    pub fn with_heights(self, heights: Option<HeightMap>) -> Result<Self, MatchError> {
        let (expected, actual) = (self.foreground.len(), heights.as_ref().map_or(self.foreground.len(), |h| h.data().len()));
        if expected != actual || heights.as_ref().is_some_and(|h| h.width() != self.color.width()) {
            return Err(MatchError::HeightsSize { expected, actual });
        }
        Ok(Self { heights, ..self })
    }

    /// Height of each pixel over the support; `None`: nobody measured it.
    pub fn heights(&self) -> Option<&HeightMap> {
        self.heights.as_ref()
    }

    /// The colours.
    pub fn color(&self) -> &ColorImage {
        &self.color
    }

    /// 255 where the thing is, 0 elsewhere; row after row.
    pub fn foreground(&self) -> &[u8] {
        &self.foreground
    }

    /// True when part of the picture is known not to be the thing.
    pub fn is_cut_out(&self) -> bool {
        self.foreground.contains(&0)
    }

    /// The picture's longer side, pixels.
    pub fn longer_px(&self) -> u32 {
        self.color.width().max(self.color.height())
    }

    /// The same with a longer side of at most `longer_px` pixels.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn shrunk(&self, longer_px: u32) -> Result<Self, MatchError> {
        let (width, height) = (self.color.width(), self.color.height());
        if width.max(height) <= longer_px {
            return Ok(self.clone());
        }
        let scale = f64::from(longer_px) / f64::from(width.max(height));
        let (w, h) = (((f64::from(width) * scale).round() as i32).max(1), ((f64::from(height) * scale).round() as i32).max(1));
        let color = cv::to_color(&cv::resized(&cv::from_color(&self.color)?, w, h)?)?;
        let foreground = cv::resized_mask(&cv::from_bytes(width, height, &self.foreground)?, w, h)?;
        let heights = match relief::heights(self, Size::new(w, h))? {
            Some(mat) => Some(HeightMap::new(w as u32, h as u32, mat.data_typed::<u16>()?.to_vec())?),
            None => None,
        };
        Ok(Self { color, foreground: foreground.data_bytes()?.to_vec(), extent: self.extent, heights })
    }

    /// Pixels of the thing.
    pub fn area_px(&self) -> usize {
        self.foreground.iter().filter(|f| **f > 0).count()
    }

    /// The smallest part of the picture that holds the thing.
    pub fn trimmed(self) -> Self {
        self.trimmed_from().0
    }

    /// The same, and where that part lies in the picture.
    pub fn trimmed_from(self) -> (Self, Rect) {
        let whole = Rect { x: 0, y: 0, w: self.color.width(), h: self.color.height() };
        let (width, mut x0, mut y0, mut x1, mut y1) = (self.color.width(), u32::MAX, u32::MAX, 0, 0);
        for (y, row) in (0u32..).zip(self.foreground.chunks_exact(width as usize)) {
            for (x, _) in (0u32..).zip(row).filter(|(_, f)| **f > 0) {
                (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x), y1.max(y));
            }
        }
        if x0 > x1 {
            return (self, whole);
        }
        let rect = Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 };
        let rows = self.foreground.chunks_exact(width as usize).skip(y0 as usize).take(rect.h as usize);
        let foreground = rows.flat_map(|row| row.iter().skip(x0 as usize).take(rect.w as usize).copied()).collect();
        let heights = self.heights.as_ref().and_then(|all| all.crop(rect));
        match self.color.crop(rect) {
            Some(color) => (Self { color, foreground, extent: self.extent, heights }, rect),
            None => (self, whole),
        }
    }
}

fn close(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| (i32::from(*a) - i32::from(b)).abs() <= BORDER_TOLERANCE)
}

fn plain_background(color: &ColorImage) -> Option<Vec<u8>> {
    let (width, height) = (color.width() as usize, color.height() as usize);
    let rgb = |i: usize| color.data().get(3 * i..3 * i + 3).map_or([0; 3], |p| [p[0], p[1], p[2]]);
    let border: Vec<usize> = (0..width * height)
        .filter(|i| {
            let (x, y) = (i % width, i / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        })
        .collect();
    let median = |channel: usize| {
        let mut values: Vec<u8> = border.iter().map(|i| rgb(*i)[channel]).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let plain = [median(0), median(1), median(2)];
    let mut stack: Vec<usize> = border.iter().copied().filter(|i| close(rgb(*i), plain)).collect();
    if (stack.len() as f32) < BORDER_AGREEMENT * border.len() as f32 {
        return None;
    }
    let mut foreground = vec![255u8; width * height];
    while let Some(i) = stack.pop() {
        if std::mem::replace(&mut foreground[i], 0) == 0 {
            continue;
        }
        let (x, y) = (i % width, i / width);
        let steps = [(x > 0, i.wrapping_sub(1)), (x + 1 < width, i + 1), (y > 0, i.wrapping_sub(width)), (y + 1 < height, i + width)];
        stack.extend(
            steps.into_iter().filter(|(inside, _)| *inside).map(|(_, j)| j).filter(|j| foreground[*j] > 0 && close(rgb(*j), plain)),
        );
    }
    let kept = foreground.iter().filter(|f| **f > 0).count();
    (kept as f32 >= MIN_FOREGROUND * foreground.len() as f32).then_some(foreground)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn disc(background: [u8; 3], thing: [u8; 3]) -> ColorImage {
        let data =
            (0..64 * 64).flat_map(|i| if (i % 64 - 32i32).pow(2) + (i / 64 - 32).pow(2) < 300 { thing } else { background }).collect();
        ColorImage::new(64, 64, data).unwrap()
    }

    #[test]
    fn a_plain_border_is_background() {
        let cutout = Cutout::without_plain_border(disc([250; 3], [40, 90, 160]));
        let expected = cutout.color().data().chunks(3).filter(|p| p[0] == 40).count();
        assert_eq!(cutout.area_px(), expected);
        let trimmed = cutout.trimmed();
        assert!(trimmed.color().width() < 40 && trimmed.area_px() == expected);
    }

    #[test]
    fn a_plane_without_a_thing_stays_whole() {
        let cutout = Cutout::without_plain_border(disc([128; 3], [128; 3]));
        assert_eq!(cutout.area_px(), 64 * 64);
    }

    #[test]
    fn an_empty_mask_is_an_error() {
        let picture = disc([0; 3], [255; 3]);
        assert!(matches!(Cutout::masked(picture.clone(), std::iter::repeat_n(false, 64 * 64)), Err(MatchError::Empty)));
        assert!(matches!(Cutout::masked(picture.clone(), [true]), Err(MatchError::MaskSize { .. })));
        let mask = LabelMask::new(64, 64, vec![1; 64 * 64]).unwrap();
        let outside = Rect { x: 70, y: 0, w: 5, h: 5 };
        assert!(matches!(Cutout::of_label(&picture, &mask, 1, outside), Err(MatchError::Empty)));
        assert!(matches!(Cutout::of_label(&picture, &mask, 2, Rect { x: 0, y: 0, w: 9, h: 9 }), Err(MatchError::Empty)));
    }
}

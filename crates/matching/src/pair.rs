//! An item and its reference laid over it, side by side as a network looks at them.

use opencv::core::{CV_32FC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3b};
use opencv::imgproc;
use vision::{HeatMap, Rect};

use crate::MatchError;

/// Rows and columns of the input.
pub const PAIR_SIDE: usize = 256;
/// Channels of the input: the item's red, green, blue; the reference's, in the item's light; their difference; where the two could be
/// compared; and what perception says of the place.
pub const PAIR_CHANNELS: usize = 9;

/// An item beside the reference that shows most of it, at the working size.
#[derive(Clone, Debug)]
pub struct Pair {
    /// `[PAIR_CHANNELS - 1, PAIR_SIDE, PAIR_SIDE]`, bytes; the pictures stand in the middle, 0 around them.
    bytes: Vec<u8>,
    /// Left, top, width and height of the pictures in it.
    place: [usize; 4],
    /// Width and height of the item's cutout.
    cutout_px: (u32, u32),
}

impl Pair {
    /// `item` and `reference` are RGB pictures of one size, `difference` in [0, 1] and `compared` (255: yes) have a value a pixel;
    /// `cutout_px` is the size of the cutout that they were made of.
    pub(crate) fn of(item: &Mat, reference: &Mat, difference: &[f32], compared: &[u8], cutout_px: (u32, u32)) -> Result<Pair, MatchError> {
        let (width, height) = (item.cols().max(1), item.rows().max(1));
        let scale = (PAIR_SIDE as f64 / f64::from(width.max(height))).min(1.0);
        let fit = |length: i32| ((f64::from(length) * scale).round() as i32).clamp(1, PAIR_SIDE as i32);
        let (w, h) = (fit(width), fit(height));
        let place = [(PAIR_SIDE - w as usize) / 2, (PAIR_SIDE - h as usize) / 2, w as usize, h as usize];
        let mut pair = Pair { bytes: vec![0; (PAIR_CHANNELS - 1) * PAIR_SIDE * PAIR_SIDE], place, cutout_px };
        for (first, rgb) in [(0, item), (3, reference)] {
            let pixels = crate::cv::resized(rgb, w, h)?;
            let pixels = pixels.data_typed::<Vec3b>()?;
            (0..3).for_each(|c| pair.fill(first + c, pixels.iter().map(|p| p[c])));
        }
        let map = Mat::new_rows_cols_with_data(height, width, difference)?;
        let map = shrunk(&map, w, h)?;
        pair.fill(6, map.data_typed::<f32>()?.iter().map(|d| (d * 255.0).round() as u8));
        let compared = Mat::new_rows_cols_with_data(height, width, compared)?;
        let compared = crate::cv::resized_mask(&compared.try_clone()?, w, h)?;
        pair.fill(7, compared.data_bytes()?.iter().copied());
        Ok(pair)
    }

    fn fill(&mut self, channel: usize, values: impl Iterator<Item = u8>) {
        let [left, top, width, _] = self.place;
        for (i, value) in values.enumerate() {
            let (x, y) = (left + i % width, top + i / width);
            self.bytes[(channel * PAIR_SIDE + y) * PAIR_SIDE + x] = value;
        }
    }

    /// `[PAIR_CHANNELS, PAIR_SIDE, PAIR_SIDE]`, bytes. `heat` is what perception says of the item's cutout, [0, 1]; without it that
    /// channel is 0.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn bytes(&self, heat: Option<&HeatMap>) -> Result<Vec<u8>, MatchError> {
        let mut whole = self.clone();
        whole.bytes.resize(PAIR_CHANNELS * PAIR_SIDE * PAIR_SIDE, 0);
        if let Some(heat) = heat {
            let map = Mat::new_rows_cols_with_data(heat.height() as i32, heat.width() as i32, heat.data())?;
            let map = shrunk(&map, self.place[2] as i32, self.place[3] as i32)?;
            whole.fill(PAIR_CHANNELS - 1, map.data_typed::<f32>()?.iter().map(|d| (d * 255.0).round() as u8));
        }
        Ok(whole.bytes)
    }

    /// The highest value inside `bbox` (pixels of the item's cutout) of a map over the input.
    pub fn worst(&self, map: &HeatMap, bbox: Rect) -> f32 {
        let [left, top, width, height] = self.place;
        let cells = |from: u32, len: u32, of: u32, (start, length): (usize, usize), size: u32| {
            let at = |v: u32| (start as f32 + v as f32 / of.max(1) as f32 * length as f32) * size as f32 / PAIR_SIDE as f32;
            at(from).floor() as usize..(at(from.saturating_add(len)).ceil() as usize).min(size as usize)
        };
        let columns = cells(bbox.x, bbox.w, self.cutout_px.0, (left, width), map.width());
        let rows = cells(bbox.y, bbox.h, self.cutout_px.1, (top, height), map.height());
        let values = rows.flat_map(|y| columns.clone().map(move |x| y * map.width() as usize + x));
        values.filter_map(|i| map.data().get(i)).copied().fold(0.0, f32::max)
    }

    /// Left, top, width and height of the pictures in the input.
    pub fn place(&self) -> [usize; 4] {
        self.place
    }
}

/// A map of another size: averaged where it shrinks.
fn shrunk(map: &impl MatTraitConst, width: i32, height: i32) -> Result<Mat, MatchError> {
    let mut out = Mat::new_rows_cols_with_default(height, width, CV_32FC1, Scalar::all(0.0))?;
    if (map.cols(), map.rows()) == (width, height) {
        let whole = map.try_clone()?;
        out.data_typed_mut::<f32>()?.copy_from_slice(whole.data_typed::<f32>()?);
        return Ok(out);
    }
    let how = if width < map.cols() { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    imgproc::resize(&map.try_clone()?, &mut out, Size::new(width, height), 0.0, 0.0, how)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opencv::core::CV_8UC3;

    fn plain(width: i32, height: i32, rgb: [u8; 3]) -> Mat {
        let mut mat = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(0.0)).unwrap();
        mat.data_typed_mut::<Vec3b>().unwrap().iter_mut().for_each(|p| *p = Vec3b::from(rgb));
        mat
    }

    /// 200 × 100: in the middle of the input, 28 columns and 78 rows around it.
    fn pair() -> Pair {
        let (difference, compared) = (vec![0.5; 200 * 100], vec![255; 200 * 100]);
        Pair::of(&plain(200, 100, [10, 20, 30]), &plain(200, 100, [40, 50, 60]), &difference, &compared, (400, 200)).unwrap()
    }

    #[test]
    fn channels_stand_in_their_order_in_the_middle() {
        let heat = HeatMap::new(400, 200, vec![0.2; 400 * 200]).unwrap();
        let bytes = pair().bytes(Some(&heat)).unwrap();
        let at = |channel: usize, x: usize, y: usize| bytes[(channel * PAIR_SIDE + y) * PAIR_SIDE + x];
        assert_eq!(pair().place(), [28, 78, 200, 100]);
        assert_eq!(bytes.len(), PAIR_CHANNELS * PAIR_SIDE * PAIR_SIDE);
        assert_eq!((0..PAIR_CHANNELS).map(|c| at(c, 28, 78)).collect::<Vec<_>>(), [10, 20, 30, 40, 50, 60, 128, 255, 51]);
        assert!((0..PAIR_CHANNELS).all(|c| at(c, 27, 100) == 0 && at(c, 128, 178) == 0), "nothing around the pictures");
        let silent = pair().bytes(None).unwrap();
        assert!(silent[8 * PAIR_SIDE * PAIR_SIDE..].iter().all(|v| *v == 0) && silent[..1000] == bytes[..1000]);
    }

    #[test]
    fn a_large_picture_is_shrunk_to_fit() {
        let n = 512 * 300;
        let pair = Pair::of(&plain(512, 300, [9; 3]), &plain(512, 300, [8; 3]), &vec![0.0; n], &vec![0; n], (512, 300)).unwrap();
        assert_eq!(pair.place(), [0, 53, 256, 150]);
    }

    #[test]
    fn the_worst_of_a_box_is_looked_for_where_the_box_lies() {
        let mut map = vec![0.1; 64 * 64];
        // The cutout's point (300, 100) is the input's (178, 128), the map's (44, 32).
        map[32 * 64 + 44] = 0.9;
        let map = HeatMap::new(64, 64, map).unwrap();
        let bbox = |x: u32, y: u32| Rect { x, y, w: 20, h: 20 };
        assert_eq!(pair().worst(&map, bbox(290, 90)), 0.9);
        assert_eq!(pair().worst(&map, bbox(200, 90)), 0.1);
        assert_eq!(pair().worst(&map, bbox(u32::MAX - 30, 0)), 0.0, "a box outside holds nothing");
    }
}

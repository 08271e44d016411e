//! The part of a capture that an edit works on, as linear light and metres.

use vision::{ColorImage, DepthImage, LabelMask, Rect};

use crate::InjectionError;

/// Share of the item's size around it that an edit may reach.
const MARGIN: f32 = 0.4;

/// A window around the item.
pub(crate) struct Canvas {
    /// Where it lies in the picture.
    pub window: Rect,
    pub w: usize,
    pub h: usize,
    /// Linear light, [0, 1].
    pub rgb: Vec<[f32; 3]>,
    /// Metres, 0 where unknown.
    pub depth: Option<Vec<f32>>,
    pub item: Vec<bool>,
    /// Pixels to the item's outline: positive inside, negative outside.
    pub inside: Vec<f32>,
    /// Deviation of the picture's own noise, [0, 1] in the encoded picture.
    pub grain: f32,
    /// Deviation of the depth's own noise, metres.
    pub jitter_m: f32,
}

pub(crate) fn to_linear(v: u8) -> f32 {
    let v = f32::from(v) / 255.0;
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Encoded as a picture, [0, 1].
pub(crate) fn to_encoded(v: f32) -> f32 {
    let v = v.clamp(0.0, 1.0);
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

impl Canvas {
    pub fn of(color: &ColorImage, depth: Option<&DepthImage>, mask: &LabelMask, label: u16) -> Result<Canvas, InjectionError> {
        let size = (color.width(), color.height());
        if (mask.width(), mask.height()) != size || depth.is_some_and(|d| (d.width(), d.height()) != size) {
            return Err(InjectionError::Sizes);
        }
        let (bbox, area) = mask.extent(label).ok_or(InjectionError::NoItem(label))?;
        if area < crate::MIN_ITEM_PX {
            return Err(InjectionError::Small(area));
        }
        let window = bbox.with_margin(MARGIN, size.0, size.1);
        let missing = || InjectionError::NoItem(label);
        let cut = color.crop(window).ok_or_else(missing)?;
        let light: [f32; 256] = std::array::from_fn(|v| to_linear(v as u8));
        let rgb: Vec<[f32; 3]> = cut.data().as_chunks::<3>().0.iter().map(|p| p.map(|v| light[usize::from(v)])).collect();
        let item: Vec<bool> = mask.crop(window).ok_or_else(missing)?.data().iter().map(|l| *l == label).collect();
        let depth = depth.and_then(|d| d.crop(window)).map(DepthImage::into_data);
        let (w, h) = (window.w as usize, window.h as usize);
        let (to_out, to_in) = (distance(&item, w, false), distance(&item, w, true));
        let inside = to_out.iter().zip(&to_in).map(|(o, i)| if *o > 0.0 { *o } else { -*i }).collect();
        let gray: Vec<f32> =
            cut.data().as_chunks::<3>().0.iter().map(|[r, g, b]| (f32::from(*r) + 2.0 * f32::from(*g) + f32::from(*b)) / 1020.0).collect();
        let grain = noise_of(&gray, &item, w, |_| true).unwrap_or(0.01);
        let jitter_m = depth.as_ref().and_then(|d| noise_of(d, &item, w, |z| z > 0.0)).unwrap_or(0.0);
        Ok(Canvas { window, w, h, rgb, depth, item, inside, grain, jitter_m })
    }

    /// Index of the pixel that holds a place, cut to the window.
    pub fn index(&self, x: f32, y: f32) -> usize {
        let clip = |v: f32, n: usize| (v.round().max(0.0) as usize).min(n - 1);
        clip(y, self.h) * self.w + clip(x, self.w)
    }

    /// Light between pixels.
    pub fn light_at(&self, x: f32, y: f32) -> [f32; 3] {
        let (x, y) = (x.clamp(0.0, (self.w - 1) as f32), y.clamp(0.0, (self.h - 1) as f32));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.w - 1), (y0 + 1).min(self.h - 1));
        let (tx, ty) = (x - x0 as f32, y - y0 as f32);
        std::array::from_fn(|c| {
            let at = |i: usize, j: usize| self.rgb[j * self.w + i][c];
            let top = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * tx;
            let bottom = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * tx;
            top + (bottom - top) * ty
        })
    }

    /// Median depth of the item within `radius` of a place, metres.
    pub fn depth_near(&self, at: [f32; 2], radius: f32) -> Option<f32> {
        let depth = self.depth.as_ref()?;
        let near = |i: &usize| ((i % self.w) as f32 - at[0]).hypot((i / self.w) as f32 - at[1]) < radius.max(6.0);
        let mut found: Vec<f32> = (0..depth.len()).filter(|i| self.item[*i] && depth[*i] > 0.0).filter(near).map(|i| depth[i]).collect();
        found.sort_unstable_by(f32::total_cmp);
        found.get(found.len() / 2).copied()
    }

    /// Pixels of the item.
    pub fn area_px(&self) -> usize {
        self.item.iter().filter(|i| **i).count()
    }
}

/// Pixels to the nearest one that is `wanted`, by chamfer steps of 1 and √2; 0 on those.
fn distance(mask: &[bool], w: usize, wanted: bool) -> Vec<f32> {
    let h = mask.len() / w;
    let far = (w + h) as f32;
    let mut d: Vec<f32> = mask.iter().map(|m| if *m == wanted { 0.0 } else { far }).collect();
    let diagonal = std::f32::consts::SQRT_2;
    for turn in [false, true] {
        for k in 0..mask.len() {
            let i = if turn { mask.len() - 1 - k } else { k };
            let (x, y) = (i % w, i / w);
            let (back, up) = if turn { (x + 1 < w, y + 1 < h) } else { (x > 0, y > 0) };
            let ahead = if turn { x > 0 } else { x + 1 < w };
            let beside = |by: usize| if turn { d[i + by] } else { d[i - by] };
            let mut best = d[i];
            if back {
                best = best.min(beside(1) + 1.0);
            }
            if up {
                best = best.min(beside(w) + 1.0);
            }
            if up && back {
                best = best.min(beside(w + 1) + diagonal);
            }
            if up && ahead {
                best = best.min(beside(w - 1) + diagonal);
            }
            d[i] = best;
        }
    }
    d
}

/// Deviation of the noise on the item: median of second differences along rows, where three neighbours count.
fn noise_of(values: &[f32], item: &[bool], w: usize, counts: impl Fn(f32) -> bool) -> Option<f32> {
    let mut bends: Vec<f32> = (1..values.len().saturating_sub(1))
        .filter(|i| i % w > 0 && i % w + 1 < w && (i - 1..=i + 1).all(|k| item[k] && counts(values[k])))
        .map(|i| (values[i - 1] - 2.0 * values[i] + values[i + 1]).abs())
        .collect();
    bends.sort_unstable_by(f32::total_cmp);
    // 1.4826: median of absolutes to deviation; √6: a second difference of independent values.
    bends.get(bends.len() / 2).map(|m| 1.4826 * m / 6.0f32.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_grow_from_the_outline() {
        let (w, h) = (20, 16);
        let mask: Vec<bool> = (0..w * h).map(|i| (4..16).contains(&(i % w)) && (4..12).contains(&(i / w))).collect();
        let inside = distance(&mask, w, false);
        assert_eq!((inside[0], inside[4 * w + 4], inside[8 * w + 10]), (0.0, 1.0, 4.0));
        let outside = distance(&mask, w, true);
        assert_eq!((outside[8 * w + 10], outside[8 * w], outside[8 * w + 19]), (0.0, 4.0, 4.0));
    }

    #[test]
    fn encoding_is_undone() {
        for v in 0..=255u8 {
            assert_eq!((to_encoded(to_linear(v)) * 255.0).round() as u8, v);
        }
    }
}

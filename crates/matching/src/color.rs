//! Colour as a weak witness of identity.

use crate::Cutout;

const HUES: usize = 16;
const GRAYS: usize = 4;
/// Pixels of the picture, about, that are looked at.
const SAMPLES: usize = 20_000;

/// How the item's colour is spread: hues weighted by saturation, and grey levels of what has no hue. Sums to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColorSignature([f32; HUES + GRAYS]);

impl ColorSignature {
    pub fn of(cutout: &Cutout) -> Self {
        let mut bins = [0f32; HUES + GRAYS];
        // An odd step, so that it walks over all columns of pictures of every width.
        let step = (cutout.foreground().len() / SAMPLES).max(1) | 1;
        let pixels = cutout.color().data().chunks_exact(3).zip(cutout.foreground()).step_by(step);
        for (rgb, _) in pixels.filter(|(_, f)| **f > 0) {
            let (r, g, b) = (f32::from(rgb[0]), f32::from(rgb[1]), f32::from(rgb[2]));
            let (max, min) = (r.max(g).max(b), r.min(g).min(b));
            let chroma = max - min;
            let saturation = chroma / max.max(24.0);
            // Shared between the two nearest grey levels: a little more light must not make another product.
            let gray = (max / 256.0 * GRAYS as f32 - 0.5).clamp(0.0, GRAYS as f32 - 1.0);
            let (low, part) = (gray.floor(), gray.fract());
            bins[HUES + low as usize] += (1.0 - saturation) * (1.0 - part);
            bins[HUES + (low as usize + 1).min(GRAYS - 1)] += (1.0 - saturation) * part;
            if chroma > 0.0 {
                let hue = hue_turns(r, g, b, max, chroma) * HUES as f32;
                let (low, part) = (hue.floor(), hue.fract());
                bins[low as usize % HUES] += saturation * (1.0 - part);
                bins[(low as usize + 1) % HUES] += saturation * part;
            }
        }
        let sum = bins.iter().sum::<f32>().max(1e-6);
        bins.iter_mut().for_each(|b| *b /= sum);
        Self(bins)
    }

    /// Bhattacharyya coefficient, [0, 1]: 1 the same spread.
    pub fn likeness(&self, other: &Self) -> f32 {
        self.0.iter().zip(other.0).map(|(a, b)| (a * b).sqrt()).sum::<f32>().clamp(0.0, 1.0)
    }
}

/// Hue in turns, [0, 1).
fn hue_turns(r: f32, g: f32, b: f32, max: f32, chroma: f32) -> f32 {
    let sixths = if max == r {
        (g - b) / chroma
    } else if max == g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    (sixths / 6.0).rem_euclid(1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::ColorImage;

    fn plain(rgb: [u8; 3]) -> ColorSignature {
        ColorSignature::of(&Cutout::whole(ColorImage::new(8, 8, rgb.repeat(64)).unwrap()))
    }

    #[test]
    fn the_same_hue_in_other_light_is_alike() {
        let bright = plain([200, 60, 60]);
        assert!(bright.likeness(&plain([140, 42, 42])) > 0.8);
        assert!(bright.likeness(&plain([60, 60, 200])) < 0.5);
        assert!((bright.likeness(&bright) - 1.0).abs() < 1e-4);
    }
}

//! How large a thing is: what tells the small pack of a design from the large one.

use std::fmt;
use std::str::FromStr;

/// Two measures of one side differ by so much, metres, whatever its length: a flat thing's height is mostly noise.
const BLUR_M: f32 = 0.015;
/// Beyond that by no more than this, as a logarithm (15 %).
const SAME: f32 = 0.14;
/// Beyond that doubt grows with this deviation …
const DOUBT: f32 = 0.17;
/// … down to this share: a size may be measured wrong, a print hardly.
const LEAST: f32 = 0.2;

/// The sides of a thing, metres, longest first, whichever face it lies on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent([f32; 3]);

impl Extent {
    /// Of sides in any order; `None` where one is unknown (0).
    pub fn of_m(mut sides_m: [f32; 3]) -> Option<Self> {
        sides_m.sort_by(|a, b| b.total_cmp(a));
        sides_m.iter().all(|s| s.is_finite() && *s > 0.0).then_some(Self(sides_m))
    }

    /// Metres, longest first.
    pub fn sides_m(&self) -> [f32; 3] {
        self.0
    }

    /// The middle of several measures of one product, side by side.
    pub(crate) fn median(measures: &[Self]) -> Option<Self> {
        let side = |k: usize| {
            let mut sides: Vec<f32> = measures.iter().map(|m| m.0[k]).collect();
            sides.sort_by(f32::total_cmp);
            sides.get(sides.len() / 2).copied()
        };
        Self::of_m([side(0)?, side(1)?, side(2)?])
    }

    /// How well two measures can be of one thing: 1 within their error, less the more they differ, a fifth at least.
    pub(crate) fn agreement(&self, other: &Self) -> f32 {
        let ratio = |(a, b): (&f32, &f32)| (((a - b).abs() - BLUR_M).max(0.0) / a.min(*b)).ln_1p();
        let ratios = self.0.iter().zip(&other.0).map(ratio);
        let beyond = (ratios.fold(0.0, f32::max) - SAME).max(0.0) / DOUBT;
        (-beyond * beyond).exp().max(LEAST)
    }
}

/// Millimetres: `203.1x101.0x54.9`.
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0.map(|s| s * 1e3);
        write!(f, "{a:.1}x{b:.1}x{c:.1}")
    }
}

impl FromStr for Extent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides: Vec<f32> = text.split('x').map(str::trim).filter_map(|s| s.parse().ok()).collect();
        let sides = <[f32; 3]>::try_from(sides).ok().filter(|_| text.split('x').count() == 3);
        let extent = sides.and_then(|s| Self::of_m(s.map(|mm| mm / 1e3)));
        extent.ok_or_else(|| format!("`{text}` is no size; give three sides in millimetres, for example 203x101x55"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written_and_nothing_else_is() {
        let size = Extent::of_m([0.1, 0.2031, 0.0549]).unwrap();
        assert_eq!(size.to_string(), "203.1x100.0x54.9");
        let back: Extent = size.to_string().parse().unwrap();
        assert!(back.sides_m().iter().zip(size.sides_m()).all(|(a, b)| (a - b).abs() < 1e-4));
        for odd in ["", "1x2", "1x2x3x4", "axbxc", "0x0x5", "203x101x0", "1x-2x3", "1xNaNx3", "1x2x3mm"] {
            assert!(odd.parse::<Extent>().is_err(), "{odd}");
        }
        assert_eq!(Extent::of_m([0.0; 3]), None);
    }

    #[test]
    fn another_face_agrees_and_another_size_does_not() {
        let of = |sides| Extent::of_m(sides).unwrap();
        let (pack, turned) = (of([0.20, 0.10, 0.05]), of([0.052, 0.21, 0.097]));
        assert!(pack.agreement(&turned) > 0.99 && pack.agreement(&pack) == 1.0);
        assert!(pack.agreement(&of([0.30, 0.15, 0.075])) < 0.3);
        // A sheet of 3 mm measured as 9 is the same sheet.
        assert!(of([0.3, 0.2, 0.003]).agreement(&of([0.3, 0.2, 0.009])) == 1.0);
    }
}

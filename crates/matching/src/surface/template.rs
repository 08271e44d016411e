//! The usual look of each place, for products that always lie alike: how far a picture departs from it, in units of how far
//! pristine pictures do. Where they do not lie alike, all places are as varied as the surface, and it says little.

use opencv::imgproc;

use super::Rgb;
use super::bank::lab;
use super::plane::Plane;
use crate::MatchError;

/// Places across and down.
const PLACES: usize = 96;
/// Widths over which places are compared, of places.
const WIDTHS: [f64; 2] = [0.8, 2.4];
/// Lightness and two of colour, at each width.
const LOOKS: usize = 3 * WIDTHS.len();
/// A smaller spread is noise, CIELAB over 100.
const LEAST_SPREAD: f32 = 0.01;

/// Sums over pristine pictures of the look of each place.
pub(super) struct Template {
    sums: Vec<Plane>,
    squares: Vec<Plane>,
    count: f32,
}

impl Template {
    /// `None` of no pictures.
    pub fn of(pictures: &[Vec<Plane>]) -> Option<Template> {
        let first = pictures.first()?;
        let none: Vec<Plane> = first.iter().map(|p| p.map(|_| 0.0)).collect();
        let mut all = Template { sums: none.clone(), squares: none, count: pictures.len() as f32 };
        for looks in pictures {
            for ((sum, square), look) in all.sums.iter_mut().zip(&mut all.squares).zip(looks) {
                *sum = sum.with(look, |s, v| s + v);
                *square = square.with(look, |s, v| s + v * v);
            }
        }
        Some(all)
    }

    /// How far each place departs from the others' mean there, in their spreads, and the spread itself, each as large as the
    /// picture. `of_these`: the picture is one of those that the template is made of, and is left out.
    pub fn departures(&self, looks: &[Plane], of_these: bool, width: usize, height: usize) -> Result<Vec<Plane>, MatchError> {
        let own = if of_these { 1.0 } else { 0.0 };
        let n = (self.count - own).max(1.0);
        let mut out = Vec::with_capacity(LOOKS + WIDTHS.len());
        for (k, look) in looks.iter().enumerate() {
            let mean = self.sums[k].with(look, |s, v| (s - own * v) / n);
            let square = self.squares[k].with(look, |s, v| (s - own * v * v) / n);
            let spread = square.with(&mean, |q, m| (q - m * m).max(0.0).sqrt() + LEAST_SPREAD);
            let departure = look.with(&mean, |v, m| v - m).with(&spread, |d, s| d / s);
            out.push(departure.resized(width, height, imgproc::INTER_LINEAR)?);
            if k % 3 == 0 {
                out.push(spread.resized(width, height, imgproc::INTER_LINEAR)?);
            }
        }
        Ok(out)
    }
}

/// The look of each place of a picture.
pub(super) fn looks(picture: &Rgb) -> Result<Vec<Plane>, MatchError> {
    let small: Result<Vec<Plane>, MatchError> = lab(picture)?.iter().map(|p| p.resized(PLACES, PLACES, imgproc::INTER_AREA)).collect();
    let small = small?;
    let mut out = Vec::with_capacity(LOOKS);
    for width in WIDTHS {
        for plane in &small {
            out.push(plane.blurred(width)?);
        }
    }
    Ok(out)
}

//! Pictures of one thing before an even ground, brought into one pose: cut out, and turned along its length.
//!
//! What lies where then tells, and a thing that is photographed in any turn needs no picture of each.

use opencv::core::{Mat, MatTraitConstManual, Scalar, Size};
use opencv::imgproc;
use rayon::prelude::*;
use vision::HeatMap;

mod thing;

use crate::{Cutout, MatchError, cv};
pub(crate) use thing::Loose;
use thing::{Thing, smallest, unit_px};

/// Share of the pictures that must show such a thing.
const MOST: f64 = 0.95;
/// Lengths and widths may differ by this share of their median, at nine things of ten.
const ALIKE: f64 = 0.15;
/// Longer than wide by this factor, a thing has a length to be turned along.
const LONG: f64 = 1.5;
/// Ground that is kept around a thing, share of its length.
const MARGIN: f64 = 0.06;

/// The cutouts hold this share of the things whole; what is larger loses a little at its ends, which shows.
pub(crate) const NEARLY_ALL: f64 = 0.95;

/// How a product's pictures are brought into one pose.
#[derive(Clone, Debug)]
pub(crate) struct Pose {
    /// Of what is brought, in units of the pictures ([`unit_px`]).
    width: f64,
    height: f64,
    is_long: bool,
    /// Of the things, horizontally and vertically, in units: the median.
    sides: [f64; 2],
    /// The pictures are cut out of their background; of others, lengths mean something else.
    is_cut_out: bool,
    /// The unit of the median picture: all are brought at its resolution, or they could not be compared.
    unit_px: f64,
}

/// A picture in its product's pose, and how to come back.
pub(crate) struct Brought {
    pub cutout: Cutout,
    /// What differs from the ground and does not hang together with the thing, 255 a pixel, at [`LOOKED_AT_PX`].
    pub loose: Loose,
    /// False where no such thing was found: then it is the middle of the picture, or all of one of another kind.
    pub shows_thing: bool,
    /// Pixels of the picture from those of the cutout.
    picture_from_cutout: Mat,
}

impl Pose {
    /// `None` when the pictures do not show one thing of one size before an even ground, or are cut out in part.
    pub fn of(pictures: &[Cutout]) -> Result<Option<Pose>, MatchError> {
        let is_cut_out = pictures.first().is_some_and(Cutout::is_cut_out);
        if pictures.iter().any(|p| p.is_cut_out() != is_cut_out) {
            return Ok(None);
        }
        let found: Result<Vec<Option<(Thing, Loose)>>, MatchError> = pictures.par_iter().map(Thing::of).collect();
        let found: Vec<(Thing, f64)> = found?.into_iter().zip(pictures).filter_map(|(f, p)| Some((f?.0, unit_px(p)))).collect();
        if found.is_empty() || (found.len() as f64) < MOST * pictures.len() as f64 {
            return Ok(None);
        }
        let (things, units): (Vec<Thing>, Vec<f64>) = found.into_iter().unzip();
        let is_long = quantile(things.iter().map(|t| t.elongation).collect(), 0.5) > LONG;
        let (mut sides, mut most) = ([0.0; 2], [0.0; 2]);
        for side in 0..2 {
            let length = |share: f64| quantile(things.iter().map(|t| t.sides(is_long)[side]).collect(), share);
            let (low, middle, high) = (length(0.05), length(0.5), length(NEARLY_ALL));
            if middle < smallest(is_cut_out) || high - middle > ALIKE * middle || middle - low > ALIKE * middle {
                return Ok(None);
            }
            (sides[side], most[side]) = (middle, high);
        }
        let [width, height] = most;
        let margin = 2.0 * MARGIN * width.max(height);
        Ok(Some(Pose { width: width + margin, height: height + margin, is_long, sides, is_cut_out, unit_px: quantile(units, 0.5) }))
    }

    /// Brings a picture into the pose; where it shows no such thing, its middle is taken, and all of one that is cut out where the
    /// others are not, or the other way round.
    pub fn bring(&self, picture: &Cutout) -> Result<Brought, MatchError> {
        let is_alike = picture.is_cut_out() == self.is_cut_out;
        let found = if is_alike { Thing::of(picture)? } else { None };
        // A speck of a mask is no thing that could be enlarged to the others' size.
        let found = found.filter(|(thing, _)| thing.sides(self.is_long).into_iter().any(|s| s >= smallest(self.is_cut_out)));
        let shows_thing = found.is_some();
        let px = if is_alike { unit_px(picture) } else { f64::from(picture.longer_px()) / self.width.max(self.height) };
        let (thing, loose) = found.unwrap_or_else(|| (Thing::nothing(picture, px), Loose::default()));
        let larger = if shows_thing { self.larger(&thing) } else { 1.0 };
        let middle = |of: [f64; 2]| (of[0] + of[1]) / 2.0;
        let (u, v) = (middle(thing.horizontally(self.is_long)), middle(thing.vertically(self.is_long)));
        let [ax, ay] = if self.is_long { thing.axis } else { [1.0, 0.0] };
        let (x, y) = (u - larger * self.width / 2.0, v - larger * self.height / 2.0);
        let corner = [thing.centre[0] + ax * x - ay * y, thing.centre[1] + ay * x + ax * y].map(|c| c * px);
        // Pixels of the picture for one of what is brought.
        let scale = larger * px / self.unit_px;
        let placed = |by: f64| {
            Mat::from_slice_2d(&[[ax * scale / by, -ay * scale / by, corner[0] / by], [ay * scale / by, ax * scale / by, corner[1] / by]])
        };
        let side = |units: f64| ((units * self.unit_px).round() as i32).max(1);
        let size = Size::new(side(self.width), side(self.height));
        let [r, g, b] = thing.ground;
        // Every pixel of a larger picture counts, as in the others.
        let shrunk_by = scale.max(1.0);
        let source = thing.before_its_ground(picture, shrunk_by)?;
        let mut out = Mat::default();
        let how = imgproc::INTER_LINEAR | imgproc::WARP_INVERSE_MAP;
        imgproc::warp_affine(&source, &mut out, &placed(shrunk_by)?, size, how, opencv::core::BORDER_CONSTANT, Scalar::new(r, g, b, 0.0))?;
        let picture_from_cutout = placed(1.0)?;
        Ok(Brought { cutout: Cutout::whole(cv::to_color(&out)?), loose, shows_thing, picture_from_cutout })
    }

    /// How much larger a thing is than the others: of cutouts, whose resolution nothing tells, when it is far from theirs; 1 otherwise.
    /// The larger of its sides tells: a thing that has lost an end is no smaller one, and nothing of one with more to it is cut off.
    fn larger(&self, thing: &Thing) -> f64 {
        let sides = thing.sides(self.is_long);
        let larger = (sides[0] / self.sides[0]).max(sides[1] / self.sides[1]);
        if self.is_cut_out && (larger - 1.0).abs() > ALIKE { larger } else { 1.0 }
    }
}

impl Brought {
    /// A map of the cutout as one of the picture; 0 beyond the cutout.
    pub fn map_of_picture(&self, map: &HeatMap, width: u32, height: u32) -> Result<HeatMap, MatchError> {
        let values = Mat::new_rows_cols_with_data(map.height() as i32, map.width() as i32, map.data())?;
        let mut out = Mat::default();
        let size = Size::new(width as i32, height as i32);
        let how = imgproc::INTER_LINEAR;
        imgproc::warp_affine(&values, &mut out, &self.picture_from_cutout, size, how, opencv::core::BORDER_CONSTANT, Scalar::all(0.0))?;
        Ok(HeatMap::new(width, height, out.data_typed::<f32>()?.to_vec())?)
    }
}

/// The value below which `share` of them lie.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;

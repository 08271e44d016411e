//! Pictures of one thing before an even ground, brought into one pose: cut out, and turned along its length.
//!
//! What lies where then tells, and a thing that is photographed in any turn needs no picture of each.

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Scalar, Size, Vec3b};
use opencv::imgproc;
use vision::{ColorImage, HeatMap};

use crate::{Cutout, MatchError, cv};

/// Things are looked for at this length of the longer side, pixels.
const LOOKED_AT_PX: u32 = 512;
/// Ring along the picture's border whose colour is the ground's, share of the shorter side.
const RING: f64 = 0.02;
/// Difference from the ground, grey levels, that is none.
const NOTHING: f64 = 12.0;
/// Share of the picture that a thing covers.
const SHARE: std::ops::RangeInclusive<f64> = 0.01..=0.6;
/// Share of the border that a thing may touch.
const TOUCHES: f64 = 0.05;
/// Share of the pictures that must show such a thing.
const MOST: f64 = 0.95;
/// Lengths and widths may differ by this share of their median, at nine things of ten.
const ALIKE: f64 = 0.15;
/// Longer than wide by this factor, a thing has a length to be turned along.
const LONG: f64 = 1.5;
/// Ground that is kept around a thing, share of its length.
const MARGIN: f64 = 0.06;

/// How a product's pictures are brought into one pose.
#[derive(Clone, Debug)]
pub(crate) struct Pose {
    width_px: f64,
    height_px: f64,
    is_long: bool,
}

/// A picture in its product's pose, and how to come back.
pub(crate) struct Brought {
    pub cutout: Cutout,
    /// Pixels of the picture from those of the cutout.
    picture_from_cutout: Mat,
}

/// One thing before an even ground, in pixels of the picture.
struct Thing {
    centre: [f64; 2],
    /// Along its length, towards its thin end; of length one.
    axis: [f64; 2],
    /// From the centre, along the axis and across it.
    along: [f64; 2],
    across: [f64; 2],
    /// The same without turning.
    columns: [f64; 2],
    rows: [f64; 2],
    elongation: f64,
    ground: [f64; 3],
}

impl Pose {
    /// `None` when the pictures do not show one thing of one size before an even ground.
    pub fn of(pictures: &[Cutout]) -> Result<Option<Pose>, MatchError> {
        let found: Result<Vec<Option<Thing>>, MatchError> = pictures.iter().map(|p| Thing::of(p.color())).collect();
        let things: Vec<Thing> = found?.into_iter().flatten().collect();
        if things.is_empty() || (things.len() as f64) < MOST * pictures.len() as f64 {
            return Ok(None);
        }
        let is_long = share_of(&things, |t| t.elongation, 0.5) > LONG;
        let length = |t: &Thing, of: fn(&Thing, bool) -> [f64; 2]| of(t, is_long)[1] - of(t, is_long)[0];
        for of in [Thing::horizontally, Thing::vertically] {
            let middle = share_of(&things, |t| length(t, of), 0.5);
            let (low, high) = (share_of(&things, |t| length(t, of), 0.05), share_of(&things, |t| length(t, of), 0.95));
            if middle < 8.0 || high - middle > ALIKE * middle || middle - low > ALIKE * middle {
                return Ok(None);
            }
        }
        let most = |of: fn(&Thing, bool) -> [f64; 2]| share_of(&things, |t| length(t, of), 1.0);
        let (width, height) = (most(Thing::horizontally), most(Thing::vertically));
        let margin = 2.0 * MARGIN * width.max(height);
        Ok(Some(Pose { width_px: width + margin, height_px: height + margin, is_long }))
    }

    /// Brings a picture into the pose; where it shows no such thing, its middle is taken.
    pub fn bring(&self, color: &ColorImage) -> Result<Brought, MatchError> {
        let thing = Thing::of(color)?.unwrap_or_else(|| Thing::nothing(color));
        let middle = |of: [f64; 2]| (of[0] + of[1]) / 2.0;
        let (u, v) = (middle(thing.horizontally(self.is_long)), middle(thing.vertically(self.is_long)));
        let [ax, ay] = if self.is_long { thing.axis } else { [1.0, 0.0] };
        let (x, y) = (u - self.width_px / 2.0, v - self.height_px / 2.0);
        let rows = [[ax, -ay, thing.centre[0] + ax * x - ay * y], [ay, ax, thing.centre[1] + ay * x + ax * y]];
        let picture_from_cutout = Mat::from_slice_2d(&rows)?;
        let size = Size::new((self.width_px.round() as i32).max(1), (self.height_px.round() as i32).max(1));
        let mut out = Mat::default();
        let how = imgproc::INTER_LINEAR | imgproc::WARP_INVERSE_MAP;
        let [r, g, b] = thing.ground;
        let ground = Scalar::new(r, g, b, 0.0);
        imgproc::warp_affine(&cv::from_color(color)?, &mut out, &picture_from_cutout, size, how, opencv::core::BORDER_CONSTANT, ground)?;
        Ok(Brought { cutout: Cutout::whole(cv::to_color(&out)?), picture_from_cutout })
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

impl Thing {
    /// The largest thing that differs from the ground; `None` where the ground is not even or the thing goes on beyond the picture.
    fn of(color: &ColorImage) -> Result<Option<Thing>, MatchError> {
        let scale = (f64::from(LOOKED_AT_PX) / f64::from(color.width().max(color.height()))).min(1.0);
        let size = |n: u32| ((f64::from(n) * scale).round() as i32).max(1);
        let small = cv::resized(&cv::from_color(color)?, size(color.width()), size(color.height()))?;
        let (w, h) = (small.cols() as usize, small.rows() as usize);
        let pixels = small.data_typed::<Vec3b>()?;
        let ring = ((w.min(h) as f64 * RING) as usize).max(2);
        let on_border = |i: usize| i % w < ring || i % w + ring >= w || i / w < ring || i / w + ring >= h;
        let border: Vec<[u8; 3]> = (0..w * h).filter(|i| on_border(*i)).map(|i| pixels[i].0).collect();
        let ground: [f64; 3] = std::array::from_fn(|k| median(border.iter().map(|p| p[k]).collect()));
        let difference: Vec<u8> =
            pixels.iter().map(|p| (0..3).map(|k| (f64::from(p.0[k]) - ground[k]).abs()).fold(0.0, f64::max) as u8).collect();
        let Some(thing) = largest(&difference, w, h)? else { return Ok(None) };
        let share = thing.len() as f64 / (w * h) as f64;
        let touches = thing.iter().filter(|i| on_border(**i)).count() as f64 / border.len().max(1) as f64;
        if !SHARE.contains(&share) || touches > TOUCHES {
            return Ok(None);
        }
        Ok(Some(Thing::around(&thing, w, ground).scaled(1.0 / scale)))
    }

    /// Where there is none: the middle of the picture.
    fn nothing(color: &ColorImage) -> Thing {
        let none = [0.0; 2];
        let centre = [f64::from(color.width()) / 2.0, f64::from(color.height()) / 2.0];
        Thing { centre, axis: [1.0, 0.0], along: none, across: none, columns: none, rows: none, elongation: 1.0, ground: [0.0; 3] }
    }

    /// Its moments and extents; `pixels` of a picture `w` wide.
    fn around(pixels: &[usize], w: usize, ground: [f64; 3]) -> Thing {
        let n = pixels.len().max(1) as f64;
        let at = |i: &usize| [(i % w) as f64, (i / w) as f64];
        let sum = pixels.iter().map(at).fold([0.0; 2], |s, p| [s[0] + p[0], s[1] + p[1]]);
        let centre = sum.map(|s| s / n);
        let offset = |i: &usize| {
            let [x, y] = at(i);
            [x - centre[0], y - centre[1]]
        };
        let mut moments = nalgebra::Matrix2::<f64>::zeros();
        for [x, y] in pixels.iter().map(offset) {
            moments += nalgebra::Matrix2::new(x * x, x * y, x * y, y * y) / n;
        }
        let own = moments.symmetric_eigen();
        let (long, wide) = if own.eigenvalues[0] >= own.eigenvalues[1] { (0, 1) } else { (1, 0) };
        let mut axis = [own.eigenvectors[(0, long)], own.eigenvectors[(1, long)]];
        let third: f64 = pixels.iter().map(offset).map(|[x, y]| (x * axis[0] + y * axis[1]).powi(3)).sum();
        // The far end is the thin one.
        if third < 0.0 {
            axis = axis.map(|v| -v);
        }
        let between = |of: &dyn Fn([f64; 2]) -> f64| {
            let values = pixels.iter().map(offset).map(of);
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
            [low, high]
        };
        Thing {
            centre,
            axis,
            along: between(&|[x, y]| x * axis[0] + y * axis[1]),
            across: between(&|[x, y]| y * axis[0] - x * axis[1]),
            columns: between(&|[x, _]| x),
            rows: between(&|[_, y]| y),
            elongation: (own.eigenvalues[long] / own.eigenvalues[wide].max(1e-9)).sqrt(),
            ground,
        }
    }

    fn scaled(self, by: f64) -> Thing {
        let scale = |v: [f64; 2]| v.map(|v| v * by);
        Thing {
            centre: scale(self.centre),
            along: scale(self.along),
            across: scale(self.across),
            columns: scale(self.columns),
            rows: scale(self.rows),
            ..self
        }
    }

    fn horizontally(&self, turned: bool) -> [f64; 2] {
        if turned { self.along } else { self.columns }
    }

    fn vertically(&self, turned: bool) -> [f64; 2] {
        if turned { self.across } else { self.rows }
    }
}

/// Pixels of the largest connected part that differs from the ground.
fn largest(difference: &[u8], w: usize, h: usize) -> Result<Option<Vec<usize>>, MatchError> {
    let mut soft = Mat::default();
    let sigma = (h as f64 / 300.0).max(1.0);
    imgproc::gaussian_blur_def(&cv::from_bytes(w as u32, h as u32, difference)?, &mut soft, Size::new(0, 0), sigma)?;
    let mut split = Mat::default();
    let otsu = imgproc::threshold(&soft, &mut split, 0.0, 255.0, imgproc::THRESH_BINARY | imgproc::THRESH_OTSU)?;
    imgproc::threshold(&soft, &mut split, otsu.max(NOTHING), 255.0, imgproc::THRESH_BINARY)?;
    let mut labels = Mat::default();
    let count = imgproc::connected_components_def(&split, &mut labels)?;
    let labels = labels.data_typed::<i32>()?;
    let mut areas = vec![0usize; count.max(1) as usize];
    labels.iter().for_each(|l| areas[*l as usize] += 1);
    let most = (1..areas.len()).max_by_key(|l| areas[*l]);
    Ok(most.map(|most| (0..w * h).filter(|i| labels[*i] as usize == most).collect()))
}

fn median(mut values: Vec<u8>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { f64::from(*values.select_nth_unstable(middle).1) }
}

/// The value below which `share` of the things lie.
fn share_of(things: &[Thing], value: impl Fn(&Thing) -> f64, share: f64) -> f64 {
    let mut values: Vec<f64> = things.iter().map(value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A dark wedge before a light ground, its thick end at `turn` from the middle, and a bright spot near its thin end.
    fn wedge(turn: f64, at: [f64; 2]) -> Cutout {
        let (c, s) = (turn.cos(), turn.sin());
        let data = (0..200 * 160)
            .flat_map(|i| {
                let (x, y) = (f64::from(i % 200) - at[0], f64::from(i / 200) - at[1]);
                let (u, v) = (x * c + y * s, y * c - x * s);
                let inside = (-40.0..40.0).contains(&u) && v.abs() < 8.0 + u / 8.0;
                let spot = (u + 30.0).hypot(v) < 3.0;
                [if spot {
                    250
                } else if inside {
                    60
                } else {
                    200
                }; 3]
            })
            .collect();
        Cutout::whole(ColorImage::new(200, 160, data).unwrap())
    }

    #[test]
    fn a_thing_in_any_turn_comes_into_one_pose() {
        let pictures: Vec<Cutout> = (0..10).map(|n| wedge(f64::from(n) * 0.7, [95.0 + f64::from(n), 84.0 - f64::from(n)])).collect();
        let pose = Pose::of(&pictures).unwrap().unwrap();
        let brought: Vec<Brought> = pictures.iter().map(|p| pose.bring(p.color()).unwrap()).collect();
        let bright = |b: &Brought| {
            let color = b.cutout.color();
            let spot: Vec<usize> = (0..color.data().len() / 3).filter(|i| color.data()[3 * i] > 230).collect();
            let w = color.width() as usize;
            let mean = |of: &dyn Fn(usize) -> usize| spot.iter().map(|i| of(*i) as f64).sum::<f64>() / spot.len() as f64;
            [mean(&|i| i % w), mean(&|i| i / w)]
        };
        let first = bright(&brought[0]);
        for b in &brought {
            let here = bright(b);
            assert!((here[0] - first[0]).hypot(here[1] - first[1]) < 2.5, "{here:?} is not {first:?}");
        }
        // And back: what is marked in the pose lies on the spot in the picture.
        let (w, h) = (brought[3].cutout.color().width(), brought[3].cutout.color().height());
        let at = bright(&brought[3]);
        let marked = (0..w * h).map(|i| f32::from(u8::from((f64::from(i % w) - at[0]).hypot(f64::from(i / w) - at[1]) < 3.0))).collect();
        let back = brought[3].map_of_picture(&HeatMap::new(w, h, marked).unwrap(), 200, 160).unwrap();
        let most = (0..back.data().len()).max_by(|a, b| back.data()[*a].total_cmp(&back.data()[*b])).unwrap();
        assert!(pictures[3].color().data()[3 * most] > 230, "the mark lies at {} {}", most % 200, most / 200);
    }

    #[test]
    fn grain_and_things_of_many_sizes_have_no_pose() {
        let grain = |seed: u32| {
            let data = (0..120 * 90u32).flat_map(|i| [(i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 13) as u8; 3]).collect();
            Cutout::whole(ColorImage::new(120, 90, data).unwrap())
        };
        assert!(Pose::of(&(0..10).map(grain).collect::<Vec<_>>()).unwrap().is_none());
        assert!(Pose::of(&[]).unwrap().is_none());
    }
}

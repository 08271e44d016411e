//! Pictures of one thing before an even ground, brought into one pose: cut out, and turned along its length.
//!
//! What lies where then tells, and a thing that is photographed in any turn needs no picture of each.

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3b};
use opencv::imgproc;
use rayon::prelude::*;
use vision::HeatMap;

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
/// Share of the border that may differ from the ground elsewhere: more is no even ground.
const UNEVEN: f64 = 0.2;
/// Share of the pictures that must show such a thing.
const MOST: f64 = 0.95;
/// Lengths and widths may differ by this share of their median, at nine things of ten.
const ALIKE: f64 = 0.15;
/// Longer than wide by this factor, a thing has a length to be turned along.
const LONG: f64 = 1.5;
/// Ground that is kept around a thing, share of its length.
const MARGIN: f64 = 0.06;

/// The least length of a thing: of a whole picture a share of its longer side, of a cutout pixels.
const SMALLEST: f64 = 0.02;
const SMALLEST_PX: f64 = 8.0;
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

/// Matter beside the thing: fragments, dirt, another thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loose {
    width: u32,
    height: u32,
    /// 255 where it is.
    mask: Vec<u8>,
    /// Share of the picture.
    pub share: f32,
}

impl Loose {
    /// True at a pixel of a picture of `width` by `height`.
    pub fn is_at(&self, x: u32, y: u32, width: u32, height: u32) -> bool {
        let (x, y) = (u64::from(x) * u64::from(self.width) / u64::from(width), u64::from(y) * u64::from(self.height) / u64::from(height));
        self.mask.get((y * u64::from(self.width) + x) as usize).is_some_and(|m| *m > 0)
    }
}

/// One thing before an even ground, in units of its picture ([`unit_px`]).
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

impl Thing {
    /// What a cutout shows, or the largest thing that differs from the ground of a whole picture, and what lies beside it; `None` where
    /// the ground is not even, the thing goes on beyond the picture, or nothing is left of it at [`LOOKED_AT_PX`].
    fn of(picture: &Cutout) -> Result<Option<(Thing, Loose)>, MatchError> {
        let small = picture.shrunk(LOOKED_AT_PX)?;
        let (w, h) = (small.color().width() as usize, small.color().height() as usize);
        let pixels = small.color().data().as_chunks::<3>().0;
        let ring = ((w.min(h) as f64 * RING) as usize).max(2);
        let on_border = |i: usize| i % w < ring || i % w + ring >= w || i / w < ring || i / w + ring >= h;
        let is_cut_out = picture.is_cut_out();
        let around: Vec<[u8; 3]> = if is_cut_out {
            // Of the picture itself: a little ground may be lost where it is shrunk.
            let all = picture.color().data().as_chunks::<3>().0.iter().zip(picture.foreground());
            all.filter(|(_, f)| **f == 0).map(|(p, _)| *p).collect()
        } else {
            (0..w * h).filter(|i| on_border(*i)).map(|i| pixels[i]).collect()
        };
        let ground: [f64; 3] = std::array::from_fn(|k| median(around.iter().map(|p| p[k]).collect()));
        let share = |n: usize| n as f64 / (w * h) as f64;
        let (thing, others) = if is_cut_out {
            let thing: Pixels = (0..w * h).filter(|i| small.foreground()[*i] > 0).collect();
            if thing.is_empty() {
                return Ok(None);
            }
            (thing, Vec::new())
        } else {
            let difference: Vec<u8> =
                pixels.iter().map(|p| (0..3).map(|k| (f64::from(p[k]) - ground[k]).abs()).fold(0.0, f64::max) as u8).collect();
            let Some((thing, others)) = largest(&difference, w, h)? else { return Ok(None) };
            let border = |of: &[usize]| of.iter().filter(|i| on_border(**i)).count() as f64 / around.len().max(1) as f64;
            if !SHARE.contains(&share(thing.len())) || border(&thing) > TOUCHES || border(&others) > UNEVEN {
                return Ok(None);
            }
            (thing, others)
        };
        let mut mask = vec![0; w * h];
        others.iter().for_each(|i| mask[*i] = 255);
        let loose = Loose { width: w as u32, height: h as u32, mask, share: share(others.len()) as f32 };
        let small_px = unit_px(picture) * w as f64 / f64::from(picture.color().width());
        Ok(Some((Thing::around(&thing, w, ground).scaled(1.0 / small_px), loose)))
    }

    /// The picture shrunk by a factor; what is known not to be the thing has the ground's colour: whatever lay there once is gone.
    fn before_its_ground(&self, picture: &Cutout, shrunk_by: f64) -> Result<Mat, MatchError> {
        let mut source = cv::from_color(picture.color())?;
        if picture.is_cut_out() {
            let ground = self.ground.map(|v| v as u8);
            let pixels = source.data_typed_mut::<Vec3b>()?.iter_mut();
            pixels.zip(picture.foreground()).filter(|(_, f)| **f == 0).for_each(|(p, _)| p.0 = ground);
        }
        let side = |n: i32| ((f64::from(n) / shrunk_by).round() as i32).max(1);
        cv::resized(&source, side(source.cols()), side(source.rows()))
    }

    /// Where there is none: the middle of the picture.
    fn nothing(picture: &Cutout, unit_px: f64) -> Thing {
        let none = [0.0; 2];
        let centre = [picture.color().width(), picture.color().height()].map(|v| f64::from(v) / 2.0 / unit_px);
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

    /// Its extents, horizontally and vertically.
    fn sides(&self, turned: bool) -> [f64; 2] {
        [self.horizontally(turned), self.vertically(turned)].map(|[from, to]| to - from)
    }

    fn horizontally(&self, turned: bool) -> [f64; 2] {
        if turned { self.along } else { self.columns }
    }

    fn vertically(&self, turned: bool) -> [f64; 2] {
        if turned { self.across } else { self.rows }
    }
}

/// What lengths are measured in, pixels: the longer side of whole pictures, which show the same in any resolution; a pixel of those that
/// are cut out, whose size follows the thing.
fn unit_px(picture: &Cutout) -> f64 {
    if picture.is_cut_out() { 1.0 } else { f64::from(picture.longer_px()) }
}

/// The least length of a thing, in units of its picture.
fn smallest(is_cut_out: bool) -> f64 {
    if is_cut_out { SMALLEST_PX } else { SMALLEST }
}

/// Places of pixels, row after row.
type Pixels = Vec<usize>;

/// Pixels of the largest connected part that differs from the ground, and of all others.
fn largest(difference: &[u8], w: usize, h: usize) -> Result<Option<(Pixels, Pixels)>, MatchError> {
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
    Ok(most.map(|most| (0..w * h).filter(|i| labels[*i] != 0).partition(|i| labels[*i] as usize == most)))
}

fn median(mut values: Vec<u8>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { f64::from(*values.select_nth_unstable(middle).1) }
}

/// The value below which `share` of them lie.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use vision::ColorImage;

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

    /// The same wedge cut out tightly; the ground is dark, like the thing, which reaches every side: only the mask tells them apart.
    fn cut(turn: f64, ground: [u8; 3]) -> Cutout {
        let whole = wedge(turn, [95.0, 84.0]);
        let pixels = whole.color().data().as_chunks::<3>().0;
        let inside: Vec<bool> = pixels.iter().map(|p| p[0] != 200).collect();
        let data = pixels.iter().zip(&inside).flat_map(|(p, inside)| if *inside { *p } else { ground });
        Cutout::masked(ColorImage::new(200, 160, data.collect()).unwrap(), inside).unwrap().trimmed()
    }

    fn resized(color: &ColorImage, by: f64) -> ColorImage {
        let [w, h] = [color.width(), color.height()].map(|v| (f64::from(v) * by).round().max(2.0) as i32);
        cv::to_color(&cv::resized(&cv::from_color(color).unwrap(), w, h).unwrap()).unwrap()
    }

    /// A cutout in another resolution.
    fn enlarged(cutout: &Cutout, by: f64) -> Cutout {
        let color = resized(cutout.color(), by);
        let mask = cv::from_bytes(cutout.color().width(), cutout.color().height(), cutout.foreground()).unwrap();
        let mask = cv::resized_mask(&mask, color.width() as i32, color.height() as i32).unwrap();
        Cutout::masked(color, mask.data_bytes().unwrap().iter().map(|m| *m > 0)).unwrap()
    }

    fn size(cutout: &Cutout) -> (u32, u32) {
        (cutout.color().width(), cutout.color().height())
    }

    /// Mean difference of two pictures of one size, grey levels.
    fn unlike(a: &Cutout, b: &Cutout) -> f64 {
        assert_eq!(size(a), size(b));
        let sum: u64 = a.color().data().iter().zip(b.color().data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.color().data().len() as f64
    }

    #[test]
    fn a_thing_in_any_turn_comes_into_one_pose() {
        let pictures: Vec<Cutout> = (0..10).map(|n| wedge(f64::from(n) * 0.7, [95.0 + f64::from(n), 84.0 - f64::from(n)])).collect();
        let pose = Pose::of(&pictures).unwrap().unwrap();
        let brought: Vec<Brought> = pictures.iter().map(|p| pose.bring(p).unwrap()).collect();
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
    fn a_fragment_beside_the_thing_is_loose_and_a_larger_picture_shows_the_same() {
        let whole: Vec<Cutout> = (0..10).map(|n| wedge(f64::from(n) * 0.7, [95.0, 84.0])).collect();
        let pose = Pose::of(&whole).unwrap().unwrap();
        let brought = pose.bring(&whole[0]).unwrap();
        assert!(brought.shows_thing && brought.loose.share == 0.0, "{}", brought.loose.share);
        let broken = |i: usize| if (10..18).contains(&(i % 200)) && (10..16).contains(&(i / 200)) { [60; 3] } else { [200; 3] };
        let data = whole[0].color().data().as_chunks::<3>().0.iter().enumerate();
        let data: Vec<u8> = data.flat_map(|(i, p)| std::array::from_fn::<u8, 3, _>(|k| p[k].min(broken(i)[k]))).collect();
        let picture = ColorImage::new(200, 160, data).unwrap();
        let loose = pose.bring(&Cutout::whole(picture.clone())).unwrap().loose;
        assert!((loose.share - 48.0 / 32_000.0).abs() < 5e-4, "{}", loose.share);
        assert!(loose.is_at(13, 12, 200, 160) && loose.is_at(26, 24, 400, 320) && !loose.is_at(95, 84, 200, 160));
        for by in [0.5, 2.0, 3.0] {
            let other = Cutout::whole(resized(whole[3].color(), by));
            let [one, other] = [&whole[3], &other].map(|p| pose.bring(p).unwrap().cutout);
            let far = unlike(&one, &other);
            assert!(far < 8.0, "{by}: {far} grey levels apart");
        }
        let plain = pose.bring(&Cutout::whole(ColorImage::new(200, 160, vec![120; 96_000]).unwrap())).unwrap();
        assert!(!plain.shows_thing);
    }

    #[test]
    fn what_is_cut_out_is_the_thing_however_tight_the_cut() {
        let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
        let pose = Pose::of(&cuts).unwrap().unwrap();
        let brought: Vec<Brought> = cuts.iter().map(|c| pose.bring(c).unwrap()).collect();
        assert!(brought.iter().all(|b| b.shows_thing && b.loose.share == 0.0));
        let sizes: Vec<(u32, u32)> = brought.iter().map(|b| (b.cutout.color().width(), b.cutout.color().height())).collect();
        assert!(sizes.iter().all(|s| *s == sizes[0]) && sizes[0].0 > sizes[0].1, "{sizes:?}");
        let w = sizes[0].0 as usize;
        let spot = |b: &Brought| (0..b.cutout.foreground().len()).find(|i| b.cutout.color().data()[3 * i] > 235).unwrap() % w;
        let first = spot(&brought[0]);
        assert!(brought.iter().all(|b| spot(b).abs_diff(first) < 6), "the bright spot lies at one end");
    }

    #[test]
    fn what_lies_behind_a_cutout_is_left_behind() {
        let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
        let pose = Pose::of(&cuts).unwrap().unwrap();
        // A third of what lies behind it is bright.
        let behind = cuts[3].foreground().iter().enumerate().map(|(i, f)| *f == 0 && i % 3 == 0);
        let data = cuts[3].color().data().as_chunks::<3>().0.iter().zip(behind).flat_map(|(p, b)| if b { [255; 3] } else { *p });
        let color = ColorImage::new(cuts[3].color().width(), cuts[3].color().height(), data.collect()).unwrap();
        let littered = Cutout::masked(color, cuts[3].foreground().iter().map(|f| *f > 0)).unwrap();
        let far = unlike(&pose.bring(&cuts[3]).unwrap().cutout, &pose.bring(&littered).unwrap().cutout);
        assert!(far == 0.0, "{far} grey levels apart");
    }

    #[test]
    fn a_cutout_of_another_resolution_shows_all_of_the_thing() {
        let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [200; 3])).collect();
        let pose = Pose::of(&cuts).unwrap().unwrap();
        for by in [0.5, 2.0, 5.0] {
            let far = unlike(&pose.bring(&cuts[3]).unwrap().cutout, &pose.bring(&enlarged(&cuts[3], by)).unwrap().cutout);
            assert!(far < 12.0, "{by}: {far} grey levels apart");
        }
        // What has lost half of its length, the thin one, is no smaller thing: it stays as wide as it was.
        let keeps = |i: usize| i % (cuts[0].color().width() as usize) > cuts[0].color().width() as usize / 2;
        let half = cuts[0].foreground().iter().enumerate().map(|(i, f)| *f > 0 && keeps(i));
        let half = Cutout::masked(cuts[0].color().clone(), half).unwrap().trimmed();
        let thing = Thing::of(&half).unwrap().unwrap().0;
        assert_eq!(pose.larger(&thing), 1.0);
    }

    #[test]
    fn pictures_of_another_kind_show_no_thing_and_have_no_pose() {
        let whole: Vec<Cutout> = (0..20).map(|n| wedge(f64::from(n) * 0.7, [95.0, 84.0])).collect();
        let cuts: Vec<Cutout> = (0..20).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
        for (some, other) in [(&whole, &cuts[0]), (&cuts, &whole[0])] {
            // One of twenty: a quantile would pass over it.
            let mixed: Vec<Cutout> = some[1..].iter().chain([other]).cloned().collect();
            assert!(Pose::of(&mixed).unwrap().is_none());
            let pose = Pose::of(some).unwrap().unwrap();
            let (known, brought) = (pose.bring(&some[0]).unwrap(), pose.bring(other).unwrap());
            assert!(known.shows_thing && !brought.shows_thing);
            assert_eq!(size(&known.cutout), size(&brought.cutout));
        }
    }

    #[test]
    fn a_speck_of_a_mask_is_no_thing() {
        // The only pixel of the mask is passed over where the picture is shrunk.
        let speck = |w: u32, h: u32, at: usize| {
            let color = ColorImage::new(w, h, vec![90; 3 * w as usize * h as usize]).unwrap();
            Cutout::masked(color, (0..w as usize * h as usize).map(|i| i == at)).unwrap()
        };
        let lost = speck(1200, 900, 1201);
        assert!(lost.shrunk(LOOKED_AT_PX).unwrap().area_px() == 0 && Thing::of(&lost).unwrap().is_none());
        let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
        let pose = Pose::of(&cuts).unwrap().unwrap();
        for picture in [lost, speck(30, 20, 99)] {
            assert!(!pose.bring(&picture).unwrap().shows_thing);
            assert!(Pose::of(&vec![picture; 10]).unwrap().is_none());
        }
        let tiny: Vec<Cutout> = cuts.iter().map(|c| enlarged(c, 0.08)).collect();
        assert!(Pose::of(&tiny).unwrap().is_none(), "things of a few pixels say nothing");
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

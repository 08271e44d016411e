//! Pictures of one thing before an even ground, brought into one pose: cut out, and turned along its length.
//!
//! What lies where then tells, and a thing that is photographed in any turn needs no picture of each.

use opencv::core::{Mat, MatTraitConstManual, Scalar, Size};
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

/// The least length of a thing, in units of its picture.
const SMALLEST: f64 = 0.02;
/// The cutouts hold this share of the things whole; what is larger loses a little at its ends, which shows.
const NEARLY_ALL: f64 = 0.95;

/// How a product's pictures are brought into one pose.
#[derive(Clone, Debug)]
pub(crate) struct Pose {
    /// Of the cutouts, in units of the pictures ([`unit_px`]).
    width: f64,
    height: f64,
    is_long: bool,
}

/// A picture in its product's pose, and how to come back.
pub(crate) struct Brought {
    pub cutout: Cutout,
    /// What differs from the ground and does not hang together with the thing, 255 a pixel, at [`LOOKED_AT_PX`].
    pub loose: Loose,
    /// False where no such thing was found: then it is the middle of the picture.
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
    /// `None` when the pictures do not show one thing of one size before an even ground.
    pub fn of(pictures: &[Cutout]) -> Result<Option<Pose>, MatchError> {
        let found: Result<Vec<Option<(Thing, Loose)>>, MatchError> = pictures.par_iter().map(Thing::of).collect();
        let things: Vec<Thing> = found?.into_iter().flatten().map(|(thing, _)| thing).collect();
        if things.is_empty() || (things.len() as f64) < MOST * pictures.len() as f64 {
            return Ok(None);
        }
        let is_long = share_of(&things, |t| t.elongation, 0.5) > LONG;
        let length = |t: &Thing, of: fn(&Thing, bool) -> [f64; 2]| of(t, is_long)[1] - of(t, is_long)[0];
        let mut sides = [0.0; 2];
        for (side, of) in sides.iter_mut().zip([Thing::horizontally, Thing::vertically]) {
            let middle = share_of(&things, |t| length(t, of), 0.5);
            let (low, high) = (share_of(&things, |t| length(t, of), 0.05), share_of(&things, |t| length(t, of), NEARLY_ALL));
            if middle < SMALLEST || high - middle > ALIKE * middle || middle - low > ALIKE * middle {
                return Ok(None);
            }
            *side = high;
        }
        let [width, height] = sides;
        let margin = 2.0 * MARGIN * width.max(height);
        Ok(Some(Pose { width: width + margin, height: height + margin, is_long }))
    }

    /// Brings a picture into the pose; where it shows no such thing, its middle is taken.
    pub fn bring(&self, picture: &Cutout) -> Result<Brought, MatchError> {
        let found = Thing::of(picture)?;
        let shows_thing = found.is_some();
        let (thing, loose) = found.unwrap_or_else(|| (Thing::nothing(picture), Loose::default()));
        let color = picture.color();
        let middle = |of: [f64; 2]| (of[0] + of[1]) / 2.0;
        let (u, v) = (middle(thing.horizontally(self.is_long)), middle(thing.vertically(self.is_long)));
        let [ax, ay] = if self.is_long { thing.axis } else { [1.0, 0.0] };
        let (x, y) = (u - self.width / 2.0, v - self.height / 2.0);
        let px = unit_px(picture);
        let corner = [thing.centre[0] + ax * x - ay * y, thing.centre[1] + ay * x + ax * y].map(|c| c * px);
        let picture_from_cutout = Mat::from_slice_2d(&[[ax, -ay, corner[0]], [ay, ax, corner[1]]])?;
        let side = |share: f64| ((share * px).round() as i32).max(1);
        let mut out = Mat::default();
        let how = imgproc::INTER_LINEAR | imgproc::WARP_INVERSE_MAP;
        let [r, g, b] = thing.ground;
        let (size, ground) = (Size::new(side(self.width), side(self.height)), Scalar::new(r, g, b, 0.0));
        imgproc::warp_affine(&cv::from_color(color)?, &mut out, &picture_from_cutout, size, how, opencv::core::BORDER_CONSTANT, ground)?;
        Ok(Brought { cutout: Cutout::whole(cv::to_color(&out)?), loose, shows_thing, picture_from_cutout })
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
    /// the ground is not even or the thing goes on beyond the picture.
    fn of(picture: &Cutout) -> Result<Option<(Thing, Loose)>, MatchError> {
        let small = picture.shrunk(LOOKED_AT_PX)?;
        let (w, h) = (small.color().width() as usize, small.color().height() as usize);
        let pixels = small.color().data().as_chunks::<3>().0;
        let ring = ((w.min(h) as f64 * RING) as usize).max(2);
        let on_border = |i: usize| i % w < ring || i % w + ring >= w || i / w < ring || i / w + ring >= h;
        let is_cut_out = picture.is_cut_out();
        let is_ground = |i: &usize| if is_cut_out { small.foreground()[*i] == 0 } else { on_border(*i) };
        let around: Vec<[u8; 3]> = (0..w * h).filter(is_ground).map(|i| pixels[i]).collect();
        let ground: [f64; 3] = std::array::from_fn(|k| median(around.iter().map(|p| p[k]).collect()));
        let share = |n: usize| n as f64 / (w * h) as f64;
        let (thing, others) = if is_cut_out {
            ((0..w * h).filter(|i| small.foreground()[*i] > 0).collect(), Vec::new())
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

    /// Where there is none: the middle of the picture.
    fn nothing(picture: &Cutout) -> Thing {
        let none = [0.0; 2];
        let centre = [picture.color().width(), picture.color().height()].map(|v| f64::from(v) / 2.0 / unit_px(picture));
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

/// What lengths are measured in, pixels: the longer side of whole pictures, which show the same in any resolution; a pixel of those that
/// are cut out, whose size follows the thing.
fn unit_px(picture: &Cutout) -> f64 {
    if picture.is_cut_out() { 1.0 } else { f64::from(picture.longer_px()) }
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

/// The value below which `share` of the things lie.
fn share_of(things: &[Thing], value: impl Fn(&Thing) -> f64, share: f64) -> f64 {
    let mut values: Vec<f64> = things.iter().map(value).collect();
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
        let large = cv::to_color(&cv::resized(&cv::from_color(whole[3].color()).unwrap(), 400, 320).unwrap()).unwrap();
        let (small, large) = (pose.bring(&whole[3]).unwrap().cutout, pose.bring(&Cutout::whole(large)).unwrap().cutout);
        assert!(large.color().width().abs_diff(2 * small.color().width()) <= 1, "{} {}", large.color().width(), small.color().width());
        let plain = pose.bring(&Cutout::whole(ColorImage::new(200, 160, vec![120; 96_000]).unwrap())).unwrap();
        assert!(!plain.shows_thing);
    }

    #[test]
    fn what_is_cut_out_is_the_thing_however_tight_the_cut() {
        // The ground is dark, like the thing, and the thing reaches every side: only the mask tells them apart.
        let cut = |turn: f64| {
            let whole = wedge(turn, [95.0, 84.0]);
            let inside: Vec<bool> = whole.color().data().as_chunks::<3>().0.iter().map(|p| p[0] != 200).collect();
            Cutout::masked(whole.color().clone(), inside).unwrap().trimmed()
        };
        let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7)).collect();
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
    fn grain_and_things_of_many_sizes_have_no_pose() {
        let grain = |seed: u32| {
            let data = (0..120 * 90u32).flat_map(|i| [(i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 13) as u8; 3]).collect();
            Cutout::whole(ColorImage::new(120, 90, data).unwrap())
        };
        assert!(Pose::of(&(0..10).map(grain).collect::<Vec<_>>()).unwrap().is_none());
        assert!(Pose::of(&[]).unwrap().is_none());
    }
}

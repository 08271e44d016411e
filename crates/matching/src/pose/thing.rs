//! One thing before an even ground: where it lies, and how it is turned.

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Size, Vec3b};
use opencv::imgproc;

use crate::{Cutout, MatchError, cv};

/// Things are looked for at this length of the longer side, pixels.
pub(super) const LOOKED_AT_PX: u32 = 512;
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
/// The least length of a thing: of a whole picture a share of its longer side, of a cutout pixels.
const SMALLEST: f64 = 0.02;
const SMALLEST_PX: f64 = 8.0;

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
pub(super) struct Thing {
    pub centre: [f64; 2],
    /// Along its length, towards its thin end; of length one.
    pub axis: [f64; 2],
    /// From the centre, along the axis and across it.
    along: [f64; 2],
    across: [f64; 2],
    /// The same without turning.
    columns: [f64; 2],
    rows: [f64; 2],
    pub elongation: f64,
    pub ground: [f64; 3],
}

impl Thing {
    /// What a cutout shows, or the largest thing that differs from the ground of a whole picture, and what lies beside it; `None` where
    /// the ground is not even, the thing goes on beyond the picture, or nothing is left of it at [`LOOKED_AT_PX`].
    pub fn of(picture: &Cutout) -> Result<Option<(Thing, Loose)>, MatchError> {
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
    pub fn before_its_ground(&self, picture: &Cutout, shrunk_by: f64) -> Result<Mat, MatchError> {
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
    pub fn nothing(picture: &Cutout, unit_px: f64) -> Thing {
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
    pub fn sides(&self, turned: bool) -> [f64; 2] {
        [self.horizontally(turned), self.vertically(turned)].map(|[from, to]| to - from)
    }

    pub fn horizontally(&self, turned: bool) -> [f64; 2] {
        if turned { self.along } else { self.columns }
    }

    pub fn vertically(&self, turned: bool) -> [f64; 2] {
        if turned { self.across } else { self.rows }
    }
}

/// What lengths are measured in, pixels: the longer side of whole pictures, which show the same in any resolution; a pixel of those that
/// are cut out, whose size follows the thing.
pub(super) fn unit_px(picture: &Cutout) -> f64 {
    if picture.is_cut_out() { 1.0 } else { f64::from(picture.longer_px()) }
}

/// The least length of a thing, in units of its picture.
pub(super) fn smallest(is_cut_out: bool) -> f64 {
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

//! How unusual each patch of a picture is among those of many pristine pictures.
//!
//! What cannot be registered (grain, fabric, round and loose things) has no place-by-place comparison. With enough
//! pristine pictures a memory of their patches takes its place: a patch is as odd as its distance to the nearest
//! remembered one (PatchCore, Roth et al., CVPR 2022), here over colour and gradient statistics in place of a network.
//! Where the pictures lie alike (the nearest patches come from the same places), the place is part of a patch, as in PaDiM
//! (Defard et al., ICPR 2021).

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;
use vision::{ColorImage, HeatMap, Rect};

use crate::Cutout;

/// Fewer pictures do not show what varies.
pub const MIN_PICTURES: usize = 8;
/// Longer side of the pictures that patches are taken from, pixels.
const WORKING_PX: u32 = 320;
/// Distance between patches, pixels.
const STRIDE: usize = 8;
/// Half sides of the windows that describe a patch, pixels.
const WINDOWS: [usize; 2] = [5, 14];
/// Directions of gradients.
const DIRECTIONS: usize = 6;
/// Channels: brightness, its square, two of colour, gradients.
const CHANNELS: usize = 4 + DIRECTIONS;
/// Which value is the spread of brightness, in the larger window.
const SPREAD: usize = CHANNELS + 1;
/// Values that describe a patch's look.
const LOOK: usize = CHANNELS * WINDOWS.len();
/// … and where it lies: across and down, shares of the picture.
const VALUES: usize = LOOK + 2;
/// Patches remembered. With fewer the rarer pristine ones are forgotten, and found odd.
const MEMORY: usize = 40_000;
/// Pictures that are held out one after another to learn what is usual.
const HELD_OUT: usize = 16;
/// Share of the patches whose mean oddness is a picture's.
const WORST_SHARE: f32 = 0.006;
/// Where the places of nearest patches lie no farther apart than this share of what chance gives, places tell, too.
const ALIGNED: f32 = 0.5;
/// Then a patch that lies one step away counts as different by this many spreads of one value.
const STEP_COUNTS: f32 = 0.5;
/// Mean distance of two random places of a unit square.
const CHANCE: f32 = 0.5214;
/// The least spread of pristine pictures' oddness, as a share of their mean.
const LEAST_SPREAD: f32 = 0.04;
/// Patches that are looked up at once.
const AT_ONCE: usize = 64;

type Patch = [f32; VALUES];

/// Patches of pristine pictures of one product.
#[derive(Clone, Debug)]
pub struct PatchMemory {
    /// A row a patch: its values, scaled.
    patches: DMatrix<f32>,
    /// Half the square of each row's length.
    half_squares: DVector<f32>,
    /// The picture that each comes from.
    pictures: Vec<u32>,
    /// Where each lies, across and down, shares of the picture.
    places: Vec<[f32; 2]>,
    /// The mean of each value, which is taken off: sums of large squares would cancel.
    middle: Patch,
    /// One over the spread of each value of the look; of the places what they count.
    scale: Patch,
    /// How far apart the places of nearest patches lie, as a share of what chance gives.
    disorder: f32,
    /// The oddness that a pristine picture has at most, as held-out ones show, and the spread.
    usual: (f32, f32),
    /// The same of a picture's oddest patch.
    usual_patch: (f32, f32),
}

/// What a memory says of a picture.
#[derive(Clone, Debug)]
pub struct PatchVerdict {
    /// [0, 1]; one half is the oddest that a pristine picture was.
    pub score: f32,
    /// The same a pixel, size of the picture.
    pub map: HeatMap,
}

/// Log-odds beyond this are told apart less and less: one judge that is very sure must not silence the other.
const SURE: f32 = 6.0;

/// [0, 1], one half at the `usual` most, for a value in spreads of pristine pictures.
pub(crate) fn level(value: f32, usual: (f32, f32)) -> f32 {
    let sure = SURE * ((value - usual.0) / usual.1 / SURE).tanh();
    1.0 / (1.0 + (-sure).exp())
}

impl PatchVerdict {
    /// The box around the connected odd pixels that hold the oddest one; `None` when nothing is odder than usual.
    pub fn worst_region(&self) -> Option<Rect> {
        let (w, values) = (self.map.width() as usize, self.map.data());
        let worst = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b])).filter(|i| values[*i] > 0.5)?;
        let mut seen = vec![false; values.len()];
        let mut stack = vec![worst];
        seen[worst] = true;
        let (mut x0, mut y0, mut x1, mut y1) = (worst % w, worst / w, worst % w, worst / w);
        while let Some(i) = stack.pop() {
            let (x, y) = (i % w, i / w);
            (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x), y1.max(y));
            let around = [(x > 0).then(|| i - 1), (x + 1 < w).then(|| i + 1), i.checked_sub(w), Some(i + w)];
            for j in around.into_iter().flatten().filter(|j| *j < values.len()) {
                if values[j] > 0.5 && !seen[j] {
                    seen[j] = true;
                    stack.push(j);
                }
            }
        }
        Some(Rect { x: x0 as u32, y: y0 as u32, w: (x1 - x0 + 1) as u32, h: (y1 - y0 + 1) as u32 })
    }
}

impl PatchMemory {
    /// Remembers pictures; `None` of fewer than [`MIN_PICTURES`], or pictures without a patch.
    pub fn of(pictures: &[Cutout]) -> Option<PatchMemory> {
        if pictures.len() < MIN_PICTURES {
            return None;
        }
        let described: Vec<Described> = pictures.par_iter().map(|p| Described::of(p.color())).collect();
        let all: Vec<(Patch, u32)> =
            described.iter().enumerate().flat_map(|(n, d)| d.patches.iter().map(move |p| (*p, n as u32))).collect();
        let kept: Vec<(Patch, u32)> = thinned(all.len(), MEMORY).map(|i| all[i]).collect();
        let step = described.len().div_ceil(HELD_OUT);
        let held_out: Vec<(u32, &Described)> = described.iter().enumerate().step_by(step).map(|(n, d)| (n as u32, d)).collect();
        let (middle, scale) = spread(&kept)?;
        let memory = PatchMemory::new(&kept, middle, scale);
        let disorder = memory.disorder_of(&held_out);
        let memory = if disorder > ALIGNED { memory } else { memory.with_places(&kept, described.first()?) };
        Some(PatchMemory { disorder, ..memory }.calibrated(&held_out))
    }

    fn new(kept: &[(Patch, u32)], middle: Patch, scale: Patch) -> PatchMemory {
        let patches = DMatrix::from_fn(kept.len(), VALUES, |row, k| (kept[row].0[k] - middle[k]) * scale[k]);
        let half_squares = DVector::from_iterator(kept.len(), patches.row_iter().map(|r| r.norm_squared() / 2.0));
        let pictures = kept.iter().map(|(_, n)| *n).collect();
        let places = kept.iter().map(|(p, _)| [p[LOOK], p[LOOK + 1]]).collect();
        let (usual, usual_patch) = ((0.0, 1.0), (0.0, 1.0));
        PatchMemory { patches, half_squares, pictures, places, middle, scale, disorder: 1.0, usual, usual_patch }
    }

    /// The same patches, told apart by where they lie, too.
    fn with_places(&self, kept: &[(Patch, u32)], like: &Described) -> PatchMemory {
        let mut scale = self.scale;
        scale[LOOK] = STEP_COUNTS * like.columns as f32;
        scale[LOOK + 1] = STEP_COUNTS * like.rows as f32;
        PatchMemory::new(kept, self.middle, scale)
    }

    /// How alike the pictures lie: 1 where chance decides what lies where, 0 where everything has its place.
    pub(crate) fn disorder(&self) -> f32 {
        self.disorder
    }

    /// True where the places of patches count.
    pub(crate) fn knows_places(&self) -> bool {
        self.scale[LOOK] > 0.0
    }

    /// Of the half of each picture's patches that show most: plain ground is alike anywhere, and the more of it there is the
    /// less would be seen of how things lie.
    fn disorder_of(&self, held_out: &[(u32, &Described)]) -> f32 {
        let (mut sum, mut n) = (0.0, 0);
        for (picture, described) in held_out {
            let shown = described.showing_most();
            let found = described.patches.iter().zip(self.nearest(described, Some(*picture))).zip(shown);
            for ((patch, (_, row)), _) in found.filter(|(_, shown)| *shown) {
                let place = |k: usize| self.places[row][k];
                sum += (patch[LOOK] - place(0)).hypot(patch[LOOK + 1] - place(1));
                n += 1;
            }
        }
        sum / n.max(1) as f32 / CHANCE
    }

    /// Learns what is usual from pictures that are left out one after another.
    fn calibrated(mut self, held_out: &[(u32, &Described)]) -> PatchMemory {
        let oddness: Vec<Vec<f32>> = held_out.iter().map(|(n, d)| self.oddness(d, Some(*n))).collect();
        let scores: Vec<f32> = oddness.iter().map(|o| worst(o)).collect();
        self.usual = usual(&scores);
        let oddest: Vec<f32> = oddness.iter().map(|o| o.iter().copied().fold(0.0, f32::max)).collect();
        self.usual_patch = usual(&oddest);
        self
    }

    /// Judges a picture; `None` of one without pixels.
    pub fn judge(&self, picture: &Cutout) -> Option<PatchVerdict> {
        let color = picture.color();
        let described = Described::of(color);
        let oddness = self.oddness(&described, None);
        let (width, height) = (color.width() as usize, color.height() as usize);
        let at = |x: usize, y: usize| {
            let column = (x * described.columns / width.max(1)).min(described.columns.saturating_sub(1));
            let row = (y * described.rows / height.max(1)).min(described.rows.saturating_sub(1));
            oddness.get(row * described.columns + column).copied().map_or(0.0, |d| level(d, self.usual_patch))
        };
        let map = (0..width * height).map(|i| at(i % width, i / width)).collect();
        Some(PatchVerdict { score: level(worst(&oddness), self.usual), map: HeatMap::new(color.width(), color.height(), map).ok()? })
    }

    /// Distance of each patch to the nearest remembered one; those of picture `without` are left out.
    fn oddness(&self, described: &Described, without: Option<u32>) -> Vec<f32> {
        self.nearest(described, without).into_iter().map(|(squared, _)| squared.sqrt()).collect()
    }

    /// The squared distance to the nearest remembered patch, and which one it is, for each patch.
    fn nearest(&self, described: &Described, without: Option<u32>) -> Vec<(f32, usize)> {
        let of_some = |patches: &[Patch]| {
            let asked = DMatrix::from_fn(VALUES, patches.len(), |k, column| (patches[column][k] - self.middle[k]) * self.scale[k]);
            let alike = &self.patches * &asked;
            let nearest = |(column, of): (usize, nalgebra::DVectorView<'_, f32>)| {
                let mut best = (f32::MAX, 0);
                for (row, (dot, half)) in of.iter().zip(&self.half_squares).enumerate() {
                    if half - dot < best.0 && without != Some(self.pictures[row]) {
                        best = (half - dot, row);
                    }
                }
                ((2.0 * best.0 + asked.column(column).norm_squared()).max(0.0), best.1)
            };
            alike.column_iter().enumerate().map(nearest).collect::<Vec<_>>()
        };
        described.patches.par_chunks(AT_ONCE).flat_map_iter(of_some).collect()
    }
}

/// The most of pristine pictures, and their spread.
fn usual(scores: &[f32]) -> (f32, f32) {
    let n = scores.len().max(1) as f32;
    let mean = scores.iter().sum::<f32>() / n;
    let spread = (scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>() / n).sqrt();
    (scores.iter().copied().fold(0.0, f32::max), spread.max(LEAST_SPREAD * mean).max(1e-3))
}

/// The mean of each value, and one over the standard deviation of each of the look; places count nothing.
fn spread(patches: &[(Patch, u32)]) -> Option<(Patch, Patch)> {
    let n = patches.len() as f64;
    let mean = |of: &dyn Fn(&Patch) -> f64| patches.iter().map(|(p, _)| of(p)).sum::<f64>() / n;
    (n > 0.0).then(|| {
        let middle: [f64; VALUES] = std::array::from_fn(|k| mean(&|p| f64::from(p[k])));
        let scale = |k: usize| (1.0 / mean(&|p| (f64::from(p[k]) - middle[k]).powi(2)).sqrt().max(1e-3)) as f32;
        (middle.map(|v| v as f32), std::array::from_fn(|k| if k < LOOK { scale(k) } else { 0.0 }))
    })
}

/// Which `most` of `count` neighbours are kept: one of each equal stretch, at places in it that do not repeat, so that no column of
/// the pictures is left out. The same choice each time.
fn thinned(count: usize, most: usize) -> impl Iterator<Item = usize> {
    /// The golden ratio's fractions of whole multiples lie as evenly as can be.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let keep = count.min(most);
    (0..keep).map(move |k| {
        // Whole numbers: stretches neither overlap nor leave anything between them, so nothing is taken twice.
        let (from, to) = (k * count / keep, (k + 1) * count / keep);
        from + ((to - from) as f64 * (k as f64 * GOLDEN).fract()) as usize
    })
}

fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

/// Mean of the oddest patches.
fn worst(oddness: &[f32]) -> f32 {
    let mut sorted = oddness.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let n = ((oddness.len() as f32 * WORST_SHARE).ceil() as usize).clamp(1, oddness.len().max(1));
    sorted.iter().take(n).sum::<f32>() / n as f32
}

/// The patches of one picture, row after row.
struct Described {
    columns: usize,
    rows: usize,
    patches: Vec<Patch>,
}

impl Described {
    fn of(color: &ColorImage) -> Described {
        let (w, h, rgb) = shrunk(color, WORKING_PX);
        let channels = channels(w, h, &rgb);
        let (columns, rows) = (w.div_ceil(STRIDE), h.div_ceil(STRIDE));
        let sums: Vec<Vec<f64>> = channels.iter().map(|c| integral(c, w)).collect();
        let mut patches = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = ((column * STRIDE + STRIDE / 2).min(w - 1), (row * STRIDE + STRIDE / 2).min(h - 1));
                let mut patch = [0.0; VALUES];
                (patch[LOOK], patch[LOOK + 1]) = ((column as f32 + 0.5) / columns as f32, (row as f32 + 0.5) / rows as f32);
                for (k, r) in WINDOWS.into_iter().enumerate() {
                    let values = &mut patch[k * CHANNELS..(k + 1) * CHANNELS];
                    for (value, sum) in values.iter_mut().zip(&sums) {
                        *value = mean(sum, w, h, x, y, r);
                    }
                    // The mean square becomes the spread of brightness.
                    values[1] = (values[1] - values[0] * values[0]).max(0.0).sqrt();
                }
                patches.push(patch);
            }
        }
        Described { columns, rows, patches }
    }

    /// True for the half of the patches that show most. The patches of an exactly even ground show nothing at all, and chance decides
    /// which of them are nearest: they count only where there are no others.
    fn showing_most(&self) -> Vec<bool> {
        let spreads = || self.patches.iter().map(|p| p[SPREAD]);
        let (middle, least) = (median(spreads().collect()), spreads().fold(f32::MAX, f32::min));
        let most: Vec<bool> = spreads().map(|s| s > least && s >= middle).collect();
        if most.contains(&true) { most } else { vec![true; most.len()] }
    }
}

/// The picture with its longer side at most `longer_px`, by means of whole pixels; colours in [0, 1].
pub(crate) fn shrunk(color: &ColorImage, longer_px: u32) -> (usize, usize, Vec<[f32; 3]>) {
    let (width, height) = (color.width() as usize, color.height() as usize);
    let longer = color.width().max(color.height());
    let scale = f64::from(longer.min(longer_px)) / f64::from(longer.max(1));
    let size = |n: usize| ((n as f64 * scale).round() as usize).max(1);
    let (w, h) = (size(width), size(height));
    let range = |k: usize, n: usize, of: usize| (k * of / n, ((k + 1) * of / n).max(k * of / n + 1).min(of));
    let mut out = Vec::with_capacity(w * h);
    for y in 0..h {
        let (y0, y1) = range(y, h, height);
        for x in 0..w {
            let (x0, x1) = range(x, w, width);
            let mut sum = [0.0f32; 3];
            for row in y0..y1 {
                for p in color.data()[3 * (row * width + x0)..3 * (row * width + x1)].as_chunks::<3>().0 {
                    for (s, v) in sum.iter_mut().zip(p) {
                        *s += f32::from(*v);
                    }
                }
            }
            let n = 255.0 * ((y1 - y0) * (x1 - x0)).max(1) as f32;
            out.push(sum.map(|s| s / n));
        }
    }
    (w, h, out)
}

/// Brightness, its square, red–green, blue–yellow, and gradients by direction.
fn channels(w: usize, h: usize, rgb: &[[f32; 3]]) -> Vec<Vec<f32>> {
    let gray: Vec<f32> = rgb.iter().map(|[r, g, b]| 0.3 * r + 0.59 * g + 0.11 * b).collect();
    let mut out = vec![
        gray.clone(),
        gray.iter().map(|v| v * v).collect(),
        rgb.iter().map(|[r, g, _]| r - g).collect(),
        rgb.iter().map(|[r, g, b]| b - 0.5 * (r + g)).collect(),
    ];
    let mut directions = vec![vec![0.0f32; w * h]; DIRECTIONS];
    for y in 0..h {
        for x in 0..w {
            let at = |x: usize, y: usize| gray[y.min(h - 1) * w + x.min(w - 1)];
            let (dx, dy) = (at(x + 1, y) - at(x.saturating_sub(1), y), at(x, y + 1) - at(x, y.saturating_sub(1)));
            let strength = dx.hypot(dy);
            // Half a turn: an edge and its negative are one direction; shared between the two nearest.
            let turn = (dy.atan2(dx).rem_euclid(std::f32::consts::PI) / std::f32::consts::PI) * DIRECTIONS as f32;
            let (first, share) = (turn as usize % DIRECTIONS, turn.fract());
            directions[first][y * w + x] += strength * (1.0 - share);
            directions[(first + 1) % DIRECTIONS][y * w + x] += strength * share;
        }
    }
    out.extend(directions);
    out
}

/// Sums over everything above and left, one row and column larger.
fn integral(values: &[f32], w: usize) -> Vec<f64> {
    let h = values.len() / w;
    let mut out = vec![0.0; (w + 1) * (h + 1)];
    for y in 0..h {
        let mut row = 0.0;
        for x in 0..w {
            row += f64::from(values[y * w + x]);
            out[(y + 1) * (w + 1) + x + 1] = out[y * (w + 1) + x + 1] + row;
        }
    }
    out
}

/// Mean over the window of half side `r` around a pixel, as far as it lies in the picture.
fn mean(sums: &[f64], w: usize, h: usize, x: usize, y: usize, r: usize) -> f32 {
    let (x0, x1, y0, y1) = (x.saturating_sub(r), (x + r + 1).min(w), y.saturating_sub(r), (y + r + 1).min(h));
    let at = |x: usize, y: usize| sums[y * (w + 1) + x];
    ((at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)) / ((x1 - x0) * (y1 - y0)) as f64) as f32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Grain that differs from picture to picture; `blot` darkens a corner of it.
    fn grain(seed: u32, blot: bool) -> Cutout {
        let data = (0..160 * 120u32)
            .flat_map(|i| {
                let (x, y) = (i % 160, i / 160);
                let mut v = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
                v ^= v >> 15;
                let level = 120 + (v % 60) as u8;
                let level = if blot && x < 30 && y < 30 { level / 3 } else { level };
                [level, level / 2, 40]
            })
            .collect();
        Cutout::whole(ColorImage::new(160, 120, data).unwrap())
    }

    #[test]
    fn thinning_leaves_no_column_out() {
        // 40 columns, and three patches of which one is kept: every second or third column would be the same ones in each row.
        for (columns, most) in [(40, 1000), (39, 1000), (42, 1001), (32, 800)] {
            let kept: Vec<usize> = thinned(3 * 1000, most).collect();
            let seen: std::collections::BTreeSet<usize> = kept.iter().map(|i| i % columns).collect();
            assert_eq!((kept.len(), seen.len()), (most, columns), "{columns}");
            assert!(kept.windows(2).all(|w| w[0] < w[1]) && kept.last() < Some(&3000));
        }
        assert_eq!(thinned(5, 9).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(thinned(0, 9).count(), 0);
    }

    #[test]
    fn thinning_takes_nothing_twice() {
        for (count, most) in [(1250, 1000), (1001, 1000), (1617, 1000), (1619, 1000), (1999, 1000), (41_000, MEMORY), (3, 2), (2, 1)] {
            let kept: Vec<usize> = thinned(count, most).collect();
            assert_eq!(kept.len(), most, "{count}");
            assert!(kept.windows(2).all(|w| w[0] < w[1]) && kept.last() < Some(&count), "{most} of {count}");
        }
    }

    /// A thing of grain in its place before an exactly white ground, which covers most of the picture.
    fn on_white(seed: u32) -> Cutout {
        let thing = grain(seed, false);
        let data = thing.color().data().as_chunks::<3>().0.iter().enumerate().flat_map(|(i, p)| {
            let (x, y) = (i % 160, i / 160);
            // Dark to the left, bright to the right: each part of it has its place.
            let shade = |v: u8| (u32::from(v) * x as u32 / 160) as u8;
            if (50..110).contains(&x) && (40..80).contains(&y) { p.map(shade) } else { [255; 3] }
        });
        Cutout::whole(ColorImage::new(160, 120, data.collect()).unwrap())
    }

    #[test]
    fn an_exactly_even_ground_does_not_hide_how_the_thing_lies() {
        let pictures: Vec<Cutout> = (0..10).map(on_white).collect();
        let described = Described::of(pictures[0].color());
        let even = described.patches.iter().filter(|p| p[SPREAD] == 0.0).count();
        assert!(2 * even > described.patches.len(), "{even} of {}", described.patches.len());
        let memory = PatchMemory::of(&pictures).unwrap();
        assert!(memory.disorder() < 0.15 && memory.knows_places(), "{}", memory.disorder());
        let plain: Vec<Cutout> = (0..10).map(|_| Cutout::whole(ColorImage::new(160, 120, vec![255; 57_600]).unwrap())).collect();
        assert!(PatchMemory::of(&plain).unwrap().disorder().is_finite(), "where nothing else is shown, all patches count");
    }

    #[test]
    fn a_blot_is_odd_and_other_grain_is_not() {
        let good: Vec<Cutout> = (0..10).map(|n| grain(n, false)).collect();
        let memory = PatchMemory::of(&good).unwrap();
        let (other, blotted) = (memory.judge(&grain(99, false)).unwrap(), memory.judge(&grain(99, true)).unwrap());
        assert!(other.score < 0.65 && blotted.score > 0.9, "{} {}", other.score, blotted.score);
        let at = |x: usize, y: usize| blotted.map.data()[y * 160 + x];
        assert!(at(12, 12) > 0.9 && at(120, 90) < 0.6, "{} {}", at(12, 12), at(120, 90));
        let region = blotted.worst_region().unwrap();
        assert!(region.x < 16 && region.y < 16 && (16..64).contains(&region.w) && (16..64).contains(&region.h), "{region:?}");
        assert!(PatchMemory::of(&good[..5]).is_none(), "five pictures do not show what varies");
    }
}

//! What a product's surface usually looks like, learnt from pristine pictures alone.
//!
//! ```text
//! pristine pictures ─▶ filter bank + template ─┐
//! the same with made-up blemishes ─▶ the same ─┴▶ a small network: the odds of a blemish, a pixel
//! pristine pictures kept back ─▶ how high those odds come where nothing is amiss
//! ```
//!
//! For pictures of things that are always taken alike but cannot be registered place by place: grain, fabric, metal, nuts.

mod bank;
mod blemish;
mod perceptron;
mod plane;
mod template;

use rand::Rng;
use rand::SeedableRng;
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vision::{ColorImage, HeatMap};

use crate::patches::{PatchVerdict, level, shrunk};
use crate::{Cutout, MatchError};
use bank::Bank;
use blemish::blemished;
use perceptron::Perceptron;
use plane::Plane;
use template::{Template, looks};

/// Longer side of the pictures that are looked at, pixels.
const WORKING_PX: u32 = 256;
/// Every so many pixels is judged, in both directions.
const STRIDE: usize = 2;
/// Pictures learnt from; more take time and teach little.
const LEARNT: usize = 160;
/// Every so many pictures one is kept back to learn what is usual.
const KEEP_EVERY: usize = 5;
/// Pictures kept back at most.
const KEPT_BACK: usize = 40;
/// Blemished pictures made in all, at least; each picture has [`BLEMISHES`] at least.
const BLEMISHED: usize = 640;
const BLEMISHES: usize = 4;
/// Pixels taken of a pristine picture, of a blemish and of what lies around it.
const PIXELS: (usize, usize) = (250, 80);
/// What is this near to a blemish is neither, pixels.
const NEAR_PX: usize = 7;
/// Odds are averaged over this, in judged pixels.
const SMOOTH: f64 = 1.5;
/// Share of the judged pixels whose mean is a picture's.
const WORST_SHARE: f32 = 0.005;

/// Colours in [0, 1].
#[derive(Clone, Debug)]
struct Rgb {
    planes: [Plane; 3],
}

/// A network that knows a product's surface.
pub struct Surface {
    bank: Bank,
    template: Template,
    network: Perceptron,
    /// A pristine picture's worst, as those kept back show: the highest, and the spread.
    usual: (f32, f32),
    /// The same of a picture's worst pixel.
    usual_pixel: (f32, f32),
}

/// A picture, and the looks of its places.
struct Seen {
    picture: Rgb,
    looks: Vec<Plane>,
}

impl Surface {
    /// Learns from pristine pictures; `None` of fewer than [`crate::MIN_PICTURES`]. The same pictures teach the same.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn learn(pictures: &[Cutout]) -> Result<Option<Surface>, MatchError> {
        if pictures.len() < crate::MIN_PICTURES {
            return Ok(None);
        }
        let step = pictures.len().div_ceil(LEARNT + KEPT_BACK).max(1);
        let seen: Result<Vec<Seen>, MatchError> = pictures.par_iter().step_by(step).map(|p| Seen::of(p.color())).collect();
        let (kept_back, learnt): (Vec<_>, Vec<_>) = seen?.into_iter().enumerate().partition(|(n, _)| n % KEEP_EVERY == 1);
        let strip = |all: Vec<(usize, Seen)>| all.into_iter().map(|(_, s)| s).collect::<Vec<_>>();
        let (kept_back, learnt) = (strip(kept_back), strip(learnt));
        let all_looks: Vec<Vec<Plane>> = learnt.iter().map(|s| s.looks.clone()).collect();
        let Some(template) = Template::of(&all_looks) else { return Ok(None) };
        let bank = Bank::new();
        let lessons: Result<Vec<Lesson>, MatchError> =
            (0..learnt.len()).into_par_iter().map(|n| lesson(n, &learnt, &bank, &template)).collect();
        let all = lessons?.into_iter().fold(Lesson::default(), Lesson::and);
        let width = all.examples.len() / all.labels.len().max(1);
        let network = Perceptron::learn(width, &all.examples, &all.labels, &mut ChaCha8Rng::seed_from_u64(0));
        let mut surface = Surface { bank, template, network, usual: (0.0, 1.0), usual_pixel: (0.0, 1.0) };
        let odds: Result<Vec<Plane>, MatchError> = kept_back.par_iter().map(|s| surface.odds(s)).collect();
        surface.calibrate(&odds?);
        Ok(Some(surface))
    }

    /// Judges a picture: one half is the oddest that a pristine picture was.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn judge(&self, picture: &Cutout) -> Result<PatchVerdict, MatchError> {
        let color = picture.color();
        let odds = self.odds(&Seen::of(color)?)?;
        let (width, height) = (color.width() as usize, color.height() as usize);
        let at = |x: usize, y: usize| odds.data[(y * odds.height / height) * odds.width + x * odds.width / width];
        let map = (0..width * height).map(|i| level(at(i % width, i / width), self.usual_pixel)).collect();
        let map = HeatMap::new(color.width(), color.height(), map)?;
        Ok(PatchVerdict { score: level(worst(&odds.data), self.usual), map })
    }

    /// Logarithms of the odds of a blemish, smoothed, every [`STRIDE`] pixels.
    fn odds(&self, seen: &Seen) -> Result<Plane, MatchError> {
        let channels = channels(seen, false, &self.bank, &self.template)?;
        let (width, height) = seen.picture.size();
        let (columns, rows) = (width.div_ceil(STRIDE), height.div_ceil(STRIDE));
        let judged = (0..rows).flat_map(|y| (0..columns).map(move |x| y * STRIDE * width + x * STRIDE));
        let mut examples = Vec::with_capacity(columns * rows * channels.len());
        judged.for_each(|i| examples.extend(channels.iter().map(|c| c.data[i])));
        Plane { width: columns, height: rows, data: self.network.logits(&examples) }.blurred(SMOOTH)
    }

    fn calibrate(&mut self, pristine: &[Plane]) {
        self.usual = usual(pristine.iter().map(|p| worst(&p.data)).collect());
        self.usual_pixel = usual(pristine.iter().map(|p| p.data.iter().copied().fold(f32::MIN, f32::max)).collect());
    }
}

/// The most of pristine pictures' log-odds, and their spread.
fn usual(values: Vec<f32>) -> (f32, f32) {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    let spread = (values.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>() / n).sqrt();
    (values.into_iter().fold(f32::MIN, f32::max), spread.max(0.3))
}

impl Seen {
    fn of(color: &ColorImage) -> Result<Seen, MatchError> {
        let (width, height, pixels) = shrunk(color, WORKING_PX);
        let plane = |k: usize| Plane { width, height, data: pixels.iter().map(|p| p[k]).collect() };
        let picture = Rgb { planes: [plane(0), plane(1), plane(2)] };
        Ok(Seen { looks: looks(&picture)?, picture })
    }
}

/// Pixels to learn from.
#[derive(Default)]
struct Lesson {
    examples: Vec<f32>,
    labels: Vec<bool>,
}

impl Lesson {
    fn and(mut self, other: Lesson) -> Lesson {
        self.examples.extend(other.examples);
        self.labels.extend(other.labels);
        self
    }

    fn take(&mut self, channels: &[Plane], pixels: impl IntoIterator<Item = usize>, label: bool) {
        for i in pixels {
            self.examples.extend(channels.iter().map(|c| c.data[i]));
            self.labels.push(label);
        }
    }
}

/// What one pristine picture teaches, as it is and blemished.
fn lesson(n: usize, learnt: &[Seen], bank: &Bank, template: &Template) -> Result<Lesson, MatchError> {
    let mut random = ChaCha8Rng::seed_from_u64(1 + n as u64);
    let mut out = Lesson::default();
    let pristine = channels(&learnt[n], true, bank, template)?;
    let pixels = learnt[n].picture.planes[0].data.len();
    out.take(&pristine, (0..PIXELS.0).map(|_| random.random_range(0..pixels)).collect::<Vec<_>>(), false);
    for _ in 0..BLEMISHES.max(BLEMISHED.div_ceil(learnt.len())) {
        let other = &learnt[random.random_range(0..learnt.len())].picture;
        let made = blemished(&learnt[n].picture, other, &mut random)?;
        let seen = Seen { looks: looks(&made.picture)?, picture: made.picture };
        let channels = channels(&seen, true, bank, template)?;
        let near = dilated(&made.changed, seen.picture.size().0);
        let spots = made.changed.iter().enumerate().filter(|(_, c)| **c).map(|(i, _)| i);
        out.take(&channels, spots.choose_multiple(&mut random, PIXELS.1), true);
        let beside = near.iter().enumerate().filter(|(_, n)| !**n).map(|(i, _)| i);
        out.take(&channels, beside.choose_multiple(&mut random, PIXELS.1), false);
    }
    Ok(out)
}

fn channels(seen: &Seen, of_these: bool, bank: &Bank, template: &Template) -> Result<Vec<Plane>, MatchError> {
    let (width, height) = seen.picture.size();
    let mut out = bank.responses(&seen.picture)?;
    out.extend(template.departures(&seen.looks, of_these, width, height)?);
    Ok(out)
}

/// Mean of the worst pixels.
fn worst(odds: &[f32]) -> f32 {
    let n = ((odds.len() as f32 * WORST_SHARE).ceil() as usize).clamp(1, odds.len().max(1));
    let mut sorted = odds.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.iter().take(n).sum::<f32>() / n as f32
}

/// True within [`NEAR_PX`] of what is true, along rows and columns.
fn dilated(set: &[bool], width: usize) -> Vec<bool> {
    let height = set.len() / width.max(1);
    let any = |values: &[bool], at: &dyn Fn(usize) -> usize, n: usize, k: usize| {
        (k.saturating_sub(NEAR_PX)..(k + NEAR_PX + 1).min(n)).any(|j| values[at(j)])
    };
    let rows: Vec<bool> = (0..set.len()).map(|i| any(set, &|j| i / width * width + j, width, i % width)).collect();
    (0..set.len()).map(|i| any(&rows, &|j| j * width + i % width, height, i / width)).collect()
}

impl Rgb {
    /// Each plane made anew.
    fn each(&self, f: impl Fn(&Plane) -> Result<Plane, MatchError>) -> Result<Rgb, MatchError> {
        let [r, g, b] = &self.planes;
        Ok(Rgb { planes: [f(r)?, f(g)?, f(b)?] })
    }

    fn size(&self) -> (usize, usize) {
        (self.planes[0].width, self.planes[0].height)
    }

    fn map(&self, f: impl Fn(usize, f32) -> f32) -> Rgb {
        Rgb { planes: std::array::from_fn(|k| self.planes[k].map(|v| f(k, v))) }
    }

    fn mean(&self, channel: usize) -> f32 {
        let data = &self.planes[channel].data;
        data.iter().sum::<f32>() / data.len().max(1) as f32
    }

    /// Standard deviation of all values.
    fn spread(&self) -> f32 {
        let all = || self.planes.iter().flat_map(|p| &p.data);
        let n = all().count().max(1) as f32;
        let mean = all().sum::<f32>() / n;
        (all().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt()
    }

    /// Whether the channels differ anywhere by more than noise.
    fn is_colored(&self) -> bool {
        let [r, g, b] = &self.planes;
        r.data.iter().zip(&g.data).zip(&b.data).any(|((r, g), b)| (r - g).abs().max((g - b).abs()) > 8.0 / 255.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Brushed metal: grain along the columns that differs from picture to picture, under a lamp; `scratched` has a thin
    /// line across.
    fn metal(seed: u64, scratched: bool) -> Cutout {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let columns: Vec<f32> = (0..96).map(|_| random.random_range(-12.0..12.0)).collect();
        let lamp = random.random_range(90.0..150.0f32);
        let data = (0..96 * 80usize)
            .flat_map(|i| {
                let (x, y) = (i % 96, i / 96);
                let line = scratched && (20..70).contains(&x) && y == 30 + x / 5;
                let level = lamp + columns[x] + 0.2 * y as f32 + random.random_range(-4.0..4.0) - if line { 45.0 } else { 0.0 };
                [level as u8; 3]
            })
            .collect();
        Cutout::whole(ColorImage::new(96, 80, data).unwrap())
    }

    #[test]
    fn a_scratch_is_odd_where_it_is_and_other_grain_is_not() {
        let good: Vec<Cutout> = (0..12).map(|n| metal(n, false)).collect();
        let surface = Surface::learn(&good).unwrap().unwrap();
        let other: Vec<f32> = (50..56).map(|n| surface.judge(&metal(n, false)).unwrap().score).collect();
        let scratched: Vec<PatchVerdict> = (60..66).map(|n| surface.judge(&metal(n, true)).unwrap()).collect();
        let worst_good = other.iter().copied().fold(0.0, f32::max);
        assert!(
            scratched.iter().all(|v| v.score > worst_good && v.score > 0.6),
            "{other:?} {:?}",
            scratched.iter().map(|v| v.score).collect::<Vec<_>>()
        );
        let at = |v: &PatchVerdict, x: usize, y: usize| v.map.data()[y * 96 + x];
        assert!(scratched.iter().all(|v| at(v, 45, 39) > 0.5 && at(v, 80, 70) < 0.5), "the map shows the scratch");
        let again = Surface::learn(&good).unwrap().unwrap();
        assert_eq!(again.judge(&metal(60, true)).unwrap().score, scratched[0].score, "the same pictures teach the same");
        assert!(Surface::learn(&good[..5]).unwrap().is_none(), "five pictures do not show what varies");
    }
}

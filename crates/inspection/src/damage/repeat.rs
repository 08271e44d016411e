//! Packs of many alike units look like themselves moved by one unit; a unit that is missing, open or crushed does not.
//!
//! The unit's step is the strongest peak of the relief's autocorrelation (Lin, Wang, Yang, "Extracting periodicity of a
//! regular texture based on autocorrelation functions", Pattern Recognition Letters 18, 1997).

use super::relief::Relief;

/// Rows and columns that are compared at most.
const MAX_SIDE: usize = 48;
/// Shortest and longest step between units, cells of the reduced raster.
const STEP: (f32, f32) = (4.0, 24.0);
/// Share of the item that must meet itself after the move.
const OVERLAP: f32 = 0.35;
/// Reach of the mean that is taken off the relief, cells: what is left are domes, rims and gaps, not the item's shape.
const REACH: usize = 4;

/// How an item repeats itself.
pub(crate) struct Repetition {
    /// Correlation of the relief with itself moved by the best step, -1 to 1.
    pub correlation: f32,
    /// How far that correlation rises above the one at half the step: 0 where nothing repeats.
    pub peak: f32,
    /// Ninth decile of the difference to the nearer neighbour unit: relief, metres.
    pub relief_m: f32,
    /// The same in colour, levels of 255.
    pub color: f32,
    /// Ninth decile of the relief without its mean: how pronounced the units are, metres.
    pub depth_m: f32,
}

/// The item on a raster of at most [`MAX_SIDE`].
struct Raster {
    w: usize,
    h: usize,
    inside: Vec<bool>,
    relief_m: Vec<f32>,
    color: Vec<[f32; 3]>,
}

impl Raster {
    fn of(relief: &Relief, behind_hull_m: &[f32]) -> Raster {
        let k = relief.w.max(relief.h).div_ceil(MAX_SIDE);
        let (w, h) = (relief.w / k, relief.h / k);
        let mut raster = Raster { w, h, inside: vec![false; w * h], relief_m: vec![0.0; w * h], color: vec![[0.0; 3]; w * h] };
        for i in 0..w * h {
            let (x, y) = (k * (i % w), k * (i / w));
            let cells = (0..k * k).map(|c| (y + c / k) * relief.w + x + c % k);
            let mut n = 0.0f32;
            for c in cells.filter(|c| relief.inside[*c]) {
                n += 1.0;
                raster.relief_m[i] += behind_hull_m[c];
                for (sum, v) in raster.color[i].iter_mut().zip(relief.color[c]) {
                    *sum += v;
                }
            }
            raster.inside[i] = n == (k * k) as f32;
            raster.relief_m[i] /= n.max(1.0);
            raster.color[i] = raster.color[i].map(|c| c / n.max(1.0));
        }
        raster.inside = crate::segment::erode(&raster.inside, w, 1);
        raster.level();
        raster
    }

    /// Takes the mean of the surroundings off the relief.
    fn level(&mut self) {
        let (w, h) = (self.w, self.h);
        // Sums over rectangles by an integral image of relief and of count.
        let mut sums = vec![(0.0f64, 0.0f64); (w + 1) * (h + 1)];
        for y in 0..h {
            for x in 0..w {
                let (on, i) = (f64::from(u8::from(self.inside[y * w + x])), (y + 1) * (w + 1) + x + 1);
                let (a, b, c) = (sums[i - 1], sums[i - w - 1], sums[i - w - 2]);
                sums[i] = (a.0 + b.0 - c.0 + on * f64::from(self.relief_m[y * w + x]), a.1 + b.1 - c.1 + on);
            }
        }
        for i in 0..w * h {
            if !self.inside[i] {
                self.relief_m[i] = 0.0;
                continue;
            }
            let (x, y) = (i % w, i / w);
            let (x0, y0) = (x.saturating_sub(REACH), y.saturating_sub(REACH));
            let (x1, y1) = ((x + REACH + 1).min(w), (y + REACH + 1).min(h));
            let at = |x: usize, y: usize| sums[y * (w + 1) + x];
            let (a, b, c, d) = (at(x1, y1), at(x0, y1), at(x1, y0), at(x0, y0));
            self.relief_m[i] -= ((a.0 - b.0 - c.0 + d.0) / (a.1 - b.1 - c.1 + d.1).max(1.0)) as f32;
        }
    }

    /// Index of the cell `step` from cell `i`, where it is on the item too.
    fn moved(&self, i: usize, (dx, dy): (i32, i32)) -> Option<usize> {
        let (x, y) = ((i % self.w) as i32 + dx, (i / self.w) as i32 + dy);
        let there = x >= 0 && y >= 0 && x < self.w as i32 && y < self.h as i32;
        there.then(|| y as usize * self.w + x as usize).filter(|j| self.inside[*j])
    }

    /// Correlation of the relief with itself after a move, and how many cells met.
    fn correlation(&self, cells: &[usize], step: (i32, i32)) -> (f32, usize) {
        let (mut both, mut here, mut there, mut n) = (0.0f32, 0.0f32, 0.0f32, 0);
        for i in cells {
            if let Some(j) = self.moved(*i, step) {
                let (a, b) = (self.relief_m[*i], self.relief_m[j]);
                both += a * b;
                here += a * a;
                there += b * b;
                n += 1;
            }
        }
        (both / (here * there).sqrt().max(1e-12), n)
    }
}

/// Finds the item's step, if any, and compares every cell with its neighbours one step away.
pub(crate) fn repetition(relief: &Relief, behind_hull_m: &[f32]) -> Repetition {
    let raster = Raster::of(relief, behind_hull_m);
    let cells: Vec<usize> = (0..raster.inside.len()).filter(|i| raster.inside[*i]).collect();
    let mut depths: Vec<f32> = cells.iter().map(|i| raster.relief_m[*i].abs()).collect();
    let none = Repetition { correlation: 0.0, peak: 0.0, relief_m: 0.0, color: 0.0, depth_m: decile(&mut depths) };
    let Some((step, correlation, peak)) = best_step(&raster, &cells) else { return none };
    let (mut reliefs, mut colors) = (Vec::new(), Vec::new());
    for i in &cells {
        let neighbours = [step, (-step.0, -step.1)].into_iter().filter_map(|s| raster.moved(*i, s));
        let pairs = neighbours.map(|j| {
            let color: f32 = raster.color[*i].iter().zip(raster.color[j]).map(|(a, b)| (a - b).abs()).sum();
            ((raster.relief_m[*i] - raster.relief_m[j]).abs(), color / 3.0)
        });
        if let Some((r, c)) = pairs.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))) {
            reliefs.push(r);
            colors.push(c);
        }
    }
    Repetition { correlation, peak, relief_m: decile(&mut reliefs), color: decile(&mut colors), ..none }
}

/// The step with the highest peak, its correlation, and by how much it rises above the way there.
fn best_step(raster: &Raster, cells: &[usize]) -> Option<((i32, i32), f32, f32)> {
    let reach = STEP.1 as i32;
    let wide = (2 * reach + 1) as usize;
    let mut table = vec![f32::NAN; wide * (reach + 1) as usize];
    let place = |(dx, dy): (i32, i32)| (dy as usize) * wide + (dx + reach) as usize;
    let mut best: Option<((i32, i32), f32, f32)> = None;
    // Half a plane: the correlation at a step is that at its opposite. Nearer steps first, so that the half way is known.
    let mut steps: Vec<(i32, i32)> =
        (0..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy))).filter(|(dx, dy)| *dy > 0 || *dx > 0).collect();
    steps.retain(|s| length(*s) <= STEP.1);
    steps.sort_by(|a, b| length(*a).total_cmp(&length(*b)));
    for step in steps {
        let (value, met) = raster.correlation(cells, step);
        table[place(step)] = value;
        if length(step) < STEP.0 || (met as f32) < OVERLAP * cells.len() as f32 {
            continue;
        }
        let half = ((step.0 as f32 / 2.0).round() as i32, (step.1 as f32 / 2.0).round() as i32);
        // Rounding may lead to the other half of the plane.
        let half = if half.1 > 0 || half.0 > 0 { half } else { (-half.0, -half.1) };
        let peak = value - table[place(half)].max(-0.2);
        if best.is_none_or(|(_, c, p)| value + peak > c + p) {
            best = Some((step, value, peak));
        }
    }
    best
}

fn length((dx, dy): (i32, i32)) -> f32 {
    (dx as f32).hypot(dy as f32)
}

fn decile(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get((values.len() as f32 * 0.9) as usize).copied().unwrap_or(0.0)
}

//! Seeded numbers and smooth noise. Of this room's own: the exam shares no code with what training uses.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// The generator behind every choice.
pub(crate) type Dice = ChaCha12Rng;

/// The generator of one purpose of one seed.
pub(crate) fn dice(seed: u64, purpose: u64) -> Dice {
    let mut dice = ChaCha12Rng::seed_from_u64(seed);
    dice.set_stream(purpose);
    dice
}

/// Uniform in [a, b].
pub(crate) fn between(dice: &mut Dice, a: f32, b: f32) -> f32 {
    a + (b - a) * dice.random::<f32>()
}

/// One of a list that is written out (so it cannot be empty).
pub(crate) fn one_of<T: Copy, const N: usize>(dice: &mut Dice, list: [T; N]) -> T {
    list[dice.random_range(0..N)]
}

/// Roughly normal, mean 0, deviation 1.
pub(crate) fn gauss(dice: &mut Dice) -> f32 {
    let sum: f32 = (0..6).map(|_| dice.random::<f32>()).sum();
    (sum - 3.0) * std::f32::consts::SQRT_2
}

/// 0 up to `a`, 1 from `b` on, smooth between.
pub(crate) fn ramp(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Knots a side of the noise's table; a power of two.
const KNOTS: usize = 64;

/// Smooth noise over the plane, period [`KNOTS`] units, a bump a unit.
pub(crate) struct Noise {
    knots: Vec<f32>,
}

impl Noise {
    pub fn new(dice: &mut Dice) -> Noise {
        Noise { knots: (0..KNOTS * KNOTS).map(|_| gauss(dice)).collect() }
    }

    /// About mean 0, deviation ⅔.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let knot = |dx: i32, dy: i32| {
            let (i, j) = ((fx as i32).wrapping_add(dx) as usize % KNOTS, (fy as i32).wrapping_add(dy) as usize % KNOTS);
            self.knots[j * KNOTS + i]
        };
        let (tx, ty) = (ramp(0.0, 1.0, x - fx), ramp(0.0, 1.0, y - fy));
        let top = knot(0, 0) + (knot(1, 0) - knot(0, 0)) * tx;
        let bottom = knot(0, 1) + (knot(1, 1) - knot(0, 1)) * tx;
        top + (bottom - top) * ty
    }

    /// Sum of octaves, about mean 0, deviation ½.
    pub fn layers(&self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut scale, mut weight, mut all) = (0.0, 1.0, 1.0, 0.0);
        for octave in 0..octaves {
            sum += weight * self.at(x * scale + 17.3 * octave as f32, y * scale + 5.9 * octave as f32);
            all += weight;
            scale *= 2.1;
            weight *= 0.5;
        }
        sum / all
    }

    /// 1 along folds, falling to 0 between them.
    pub fn folds(&self, x: f32, y: f32) -> f32 {
        (1.0 - 1.6 * self.layers(x, y, 2).abs()).max(0.0)
    }
}

//! Seeded random numbers: one ChaCha stream per purpose and index, and hash noise for pixels.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator behind every choice.
pub(crate) type Random = ChaCha8Rng;

/// What a stream is for; streams of one seed never overlap.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Station = 1,
    Product = 2,
    Item = 3,
    Background = 4,
    Reference = 5,
    Camera = 6,
    View = 7,
}

/// The stream for `purpose` number `index` of a seed.
pub(crate) fn stream(seed: u64, purpose: Stream, index: u64) -> Random {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 56) | (index & 0x00ff_ffff_ffff_ffff));
    rng
}

/// Uniform in [a, b].
pub(crate) fn uniform(rng: &mut Random, a: f32, b: f32) -> f32 {
    a + (b - a) * rng.random::<f32>()
}

/// True with probability `p`.
pub(crate) fn chance(rng: &mut Random, p: f32) -> bool {
    rng.random::<f32>() < p
}

/// Whole number in [a, b].
pub(crate) fn integer(rng: &mut Random, a: u32, b: u32) -> u32 {
    rng.random_range(a..=b.max(a))
}

/// Roughly normal, mean 0, standard deviation 1 (sum of four uniforms: no tails beyond 3.5).
pub(crate) fn normal(rng: &mut Random) -> f32 {
    let sum: f32 = (0..4).map(|_| rng.random::<f32>()).sum();
    (sum - 2.0) * 1.732
}

/// One of a list that is written out (so it cannot be empty).
pub(crate) fn pick<T: Copy, const N: usize>(rng: &mut Random, list: [T; N]) -> T {
    list[rng.random_range(0..N)]
}

/// A well-mixed 32-bit hash.
pub(crate) fn hash(x: u32, y: u32, seed: u32) -> u32 {
    let mut h = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// Hash as a number in [0, 1).
pub(crate) fn hash01(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x as u32, y as u32, seed) >> 8) as f32 / 16_777_216.0
}

/// Hash as a roughly normal number: mean 0, standard deviation 1.
pub(crate) fn hash_normal(x: u32, y: u32, seed: u32) -> f32 {
    let h = hash(x, y, seed);
    let sum = (h & 255) + ((h >> 8) & 255) + ((h >> 16) & 255) + (h >> 24);
    (sum as f32 - 510.0) * (1.0 / 147.8)
}

/// Floor without a library call (baseline x86-64 has no instruction for it).
fn floor(x: f32) -> i32 {
    let whole = x as i32;
    whole - i32::from(x < whole as f32)
}

/// Smooth value noise in [-1, 1], period about one unit.
pub(crate) fn noise2(x: f32, y: f32, seed: u32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let (tx, ty) = (x - ix as f32, y - iy as f32);
    let (sx, sy) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let a = hash01(ix, iy, seed);
    let b = hash01(ix.wrapping_add(1), iy, seed);
    let c = hash01(ix, iy.wrapping_add(1), seed);
    let d = hash01(ix.wrapping_add(1), iy.wrapping_add(1), seed);
    let top = a + (b - a) * sx;
    let bottom = c + (d - c) * sx;
    (top + (bottom - top) * sy) * 2.0 - 1.0
}

/// Fractal sum of `octaves` of [`noise2`], about [-1, 1].
pub(crate) fn fractal(x: f32, y: f32, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut amplitude, mut scale, mut norm) = (0.0, 1.0, 1.0, 0.0);
    for octave in 0..octaves {
        sum += amplitude * noise2(x * scale, y * scale, seed.wrapping_add(octave * 131));
        norm += amplitude;
        amplitude *= 0.5;
        scale *= 2.03;
    }
    sum / norm
}

/// Ridged noise in [0, 1]: sharp creases where it is 1.
pub(crate) fn ridged(x: f32, y: f32, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut amplitude, mut scale, mut norm) = (0.0, 1.0, 1.0, 0.0);
    for octave in 0..octaves {
        let n = 1.0 - noise2(x * scale, y * scale, seed.wrapping_add(octave * 97)).abs();
        sum += amplitude * n * n;
        norm += amplitude;
        amplitude *= 0.5;
        scale *= 2.1;
    }
    sum / norm
}

/// 0 below `a`, 1 above `b`, smooth between.
pub(crate) fn smoothstep(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

//! The surface that items lie on: a plane found by RANSAC, refined, with the lens' slow depth error taken out.

use nalgebra::{Matrix3, SMatrix, SVector, SymmetricEigen};
use serde::{Deserialize, Serialize};

use crate::bands::bands;
use crate::grid::{Grid, V3};

/// Planes tried; with a third of the points on the plane one in 27 samples is good, so 300 leave no doubt.
const TRIALS: usize = 300;
/// Points judged per trial.
const SAMPLES: usize = 2500;
/// Points that refine a plane.
const REFINING: usize = 30_000;
/// Share of the valid points that a support plane must hold.
const MIN_SHARE: f32 = 0.08;

/// Plane that carries the items, in the camera frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SupportPlane {
    /// Unit normal, towards the camera.
    pub normal: [f32; 3],
    /// Height of the camera above the plane, metres.
    pub camera_height_m: f32,
    /// Standard deviation of depth-borne height noise on the plane at one metre; it grows with the square of depth.
    pub noise_m: f32,
    /// Share of the valid depth that lies on the plane, [0, 1].
    pub share: f32,
    /// Slow error of the heights: quadratic in the picture's coordinates, metres.
    pub(crate) warp: [f32; 6],
    /// Walls stand around it: what lies beyond its outline is wall.
    pub(crate) walled: bool,
}

/// Tolerated distance of an inlier: sensor noise of structured-light and stereo cameras grows with z².
fn tolerance_m(z_m: f32) -> f32 {
    0.004 + 0.004 * z_m * z_m
}

/// Terms of the slow error at cell `i`.
fn warp_terms(grid: &Grid, i: usize) -> [f32; 6] {
    let u = (i % grid.w) as f32 / grid.w as f32 - 0.5;
    let v = (i / grid.w) as f32 / grid.h as f32 - 0.5;
    [1.0, u, v, u * u, u * v, v * v]
}

impl SupportPlane {
    fn raw_height(&self, p: &V3) -> f32 {
        V3::from(self.normal).dot(p) + self.camera_height_m
    }

    /// Height of cell `i` above the plane in metres; `None` without depth.
    pub(crate) fn height_m(&self, grid: &Grid, i: usize) -> Option<f32> {
        (grid.z[i] > 0.0).then(|| {
            let terms = warp_terms(grid, i);
            let slow: f32 = terms.iter().zip(&self.warp).map(|(t, w)| t * w).sum();
            let limit = tolerance_m(grid.z[i]);
            self.raw_height(&grid.point(i)) - slow.clamp(-limit, limit)
        })
    }

    /// Heights of all cells above the plane, metres; 0 without depth.
    pub(crate) fn heights_m(&self, grid: &Grid) -> Vec<f32> {
        let [c, cu, cv, cuu, cuv, cvv] = self.warp;
        let (up, w, h) = (self.up(), grid.w, grid.h);
        let mut heights = vec![0.0; grid.len()];
        bands(&mut heights, w, |rows, out| {
            for (y, line) in rows.zip(out.chunks_exact_mut(w)) {
                let v = y as f32 / h as f32 - 0.5;
                for (x, height) in line.iter_mut().enumerate() {
                    let (u, p) = (x as f32 / w as f32 - 0.5, grid.point(y * w + x));
                    let slow = c + cu * u + cv * v + cuu * u * u + cuv * u * v + cvv * v * v;
                    let limit = tolerance_m(p.z);
                    let own = up.dot(&p) + self.camera_height_m - slow.clamp(-limit, limit);
                    *height = if p.z > 0.0 { own } else { 0.0 };
                }
            }
        });
        heights
    }

    /// Depth noise seen as height at depth `z_m`, one standard deviation, metres.
    pub(crate) fn noise_at_m(&self, z_m: f32) -> f32 {
        self.noise_m * z_m * z_m
    }

    /// The normal as a vector.
    pub(crate) fn up(&self) -> V3 {
        V3::from(self.normal)
    }
}

/// A small deterministic generator: the same picture gives the same plane everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % n.max(1) as u64) as usize
    }
}

/// Finds the support plane; `None` when depth holds no surface that could be one.
pub(crate) fn find(grid: &Grid) -> Option<SupportPlane> {
    let valid: Vec<usize> = (0..grid.len()).filter(|i| grid.z[*i] > 0.0).collect();
    if valid.len() < 200 {
        return None;
    }
    let stride = (valid.len() / SAMPLES).max(1);
    let sample: Vec<V3> = valid.iter().step_by(stride).map(|i| grid.point(*i)).collect();
    let mut free: Vec<bool> = vec![true; sample.len()];
    let mut found: Vec<(V3, f32, f32)> = Vec::new();
    // The largest planes one after another: table, floor, walls, large faces of items.
    for round in 0..3 {
        let Some((n, d, score)) = ransac(&sample, &free, round) else { break };
        let mut inliers = 0;
        for (p, f) in sample.iter().zip(&mut free) {
            if *f && (n.dot(p) + d).abs() < tolerance_m(p.z) {
                *f = false;
                inliers += 1;
            }
        }
        if (inliers as f32) < MIN_SHARE * sample.len() as f32 {
            break;
        }
        found.push((n, d, score));
    }
    let best = choose(&found)?;
    refine(grid, &valid, best.0, best.1)
}

/// How much a plane's orientation suits a support, with the camera upright: floors and trays face up or the camera.
fn orientation_weight(n: &V3) -> f32 {
    let facing_down = (n.y - 0.1).max(0.0);
    let sideways = (n.x.abs() - 0.5).max(0.0);
    (1.0 - 0.6 * facing_down - 0.6 * sideways).max(0.2)
}

/// How well `points` (with their tolerances) lie on the plane `n·p + d = 0`; `None` as soon as it cannot exceed `best`.
///
/// Sums run in eight lanes, so that the compiler can use vector instructions.
fn score(points: &[(V3, f32)], n: &V3, d: f32, best: f32) -> Option<f32> {
    const CHUNK: usize = 256;
    let weight = orientation_weight(n);
    let mut sums = [0.0f32; 8];
    for (k, chunk) in points.chunks(CHUNK).enumerate() {
        for eight in chunk.chunks(8) {
            for (sum, (p, t)) in sums.iter_mut().zip(eight) {
                let h = n.dot(p) + d;
                let off = h.abs() / t;
                // What lies behind a support is seen past its border only; a face of an item has the whole table behind it.
                *sum += if off < 1.0 { 1.0 - 0.5 * off } else { 0.0 } - if h < -3.0 * t { 0.25 } else { 0.0 };
            }
        }
        let left = points.len().saturating_sub((k + 1) * CHUNK) as f32;
        if (sums.iter().sum::<f32>() + left) * weight <= best {
            return None;
        }
    }
    Some(sums.iter().sum::<f32>() * weight)
}

fn ransac(sample: &[V3], free: &[bool], round: u64) -> Option<(V3, f32, f32)> {
    let candidates: Vec<(V3, f32)> = sample.iter().zip(free).filter(|(_, f)| **f).map(|(p, _)| (*p, tolerance_m(p.z))).collect();
    if candidates.len() < 100 {
        return None;
    }
    let mut rng = SplitMix(0x0017_AC7D ^ (round << 32));
    let mut best: Option<(V3, f32, f32)> = None;
    for _ in 0..TRIALS {
        let [a, b, c] = [(); 3].map(|()| candidates[rng.below(candidates.len())].0);
        let cross = (b - a).cross(&(c - a));
        let norm = cross.norm();
        if norm < 1e-5 {
            continue;
        }
        let mut n = cross / norm;
        let mut d = -n.dot(&a);
        if d < 0.0 {
            (n, d) = (-n, -d);
        }
        if let Some(score) = score(&candidates, &n, d, best.map_or(f32::MIN, |b| b.2)) {
            best = Some((n, d, score));
        }
    }
    best
}

/// The support among the largest planes: the best one, unless a large parallel one lies above it (a table over a floor).
fn choose(found: &[(V3, f32, f32)]) -> Option<(V3, f32)> {
    let best = found.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
    let upper = found.iter().find(|p| {
        let parallel = p.0.dot(&best.0) > 0.985;
        // Nearer to the camera by more than any item is high, and no mere shelf edge.
        parallel && best.1 - p.1 > 0.35 && p.2 > 0.6 * best.2
    });
    let chosen = upper.unwrap_or(best);
    Some((chosen.0, chosen.1))
}

/// Least squares over the inliers, three times with a narrowing gate, then the slow error and the noise.
pub(crate) fn refine(grid: &Grid, valid: &[usize], mut n: V3, mut d: f32) -> Option<SupportPlane> {
    let mut inliers: Vec<usize> = Vec::new();
    let valid: Vec<usize> = valid.iter().copied().step_by((valid.len() / REFINING).max(1)).collect();
    for gate in [1.0f32, 0.8, 0.6] {
        inliers = valid
            .iter()
            .copied()
            .filter(|i| {
                let p = grid.point(*i);
                (n.dot(&p) + d).abs() < gate * tolerance_m(p.z)
            })
            .collect();
        if inliers.len() < 100 {
            return None;
        }
        (n, d) = fit(grid, &inliers)?;
    }
    let share = inliers.len() as f32 / valid.len() as f32;
    let mut plane = SupportPlane { normal: n.into(), camera_height_m: d, noise_m: 0.002, share, warp: [0.0; 6], walled: false };
    if share > 0.25 {
        plane.warp = fit_warp(grid, &inliers, &plane).unwrap_or([0.0; 6]);
    }
    let mut residuals: Vec<f32> = inliers
        .iter()
        .step_by((inliers.len() / 4000).max(1))
        .filter_map(|i| plane.height_m(grid, *i).map(|h| h.abs() / (grid.z[*i] * grid.z[*i])))
        .collect();
    residuals.sort_unstable_by(f32::total_cmp);
    // Median absolute deviation to standard deviation of a normal distribution.
    plane.noise_m = (1.4826 * residuals.get(residuals.len() / 2)?).clamp(0.0004, 0.01);
    Some(plane)
}

/// Total least squares plane through the cells, normal towards the camera.
fn fit(grid: &Grid, cells: &[usize]) -> Option<(V3, f32)> {
    let mut mean = nalgebra::Vector3::<f64>::zeros();
    for i in cells {
        mean += grid.point(*i).cast::<f64>();
    }
    mean /= cells.len() as f64;
    let mut cov = Matrix3::<f64>::zeros();
    for i in cells {
        let q = grid.point(*i).cast::<f64>() - mean;
        cov += q * q.transpose();
    }
    let eigen = SymmetricEigen::new(cov);
    let least = eigen.eigenvalues.imin();
    let mut n = eigen.eigenvectors.column(least).into_owned();
    let mut d = -n.dot(&mean);
    if d < 0.0 {
        (n, d) = (-n, -d);
    }
    (n.norm() > 0.5).then(|| (n.cast::<f32>(), d as f32))
}

/// The quadratic that best explains the plane's residual heights.
fn fit_warp(grid: &Grid, inliers: &[usize], plane: &SupportPlane) -> Option<[f32; 6]> {
    let mut ata = SMatrix::<f64, 6, 6>::identity() * 1e-3;
    let mut atb = SVector::<f64, 6>::zeros();
    for i in inliers.iter().step_by((inliers.len() / 8000).max(1)) {
        let t = SVector::<f64, 6>::from(warp_terms(grid, *i).map(f64::from));
        ata += t * t.transpose();
        atb += t * f64::from(plane.raw_height(&grid.point(*i)));
    }
    let x = ata.cholesky()?.solve(&atb);
    let x: [f64; 6] = x.into();
    Some(x.map(|v| v as f32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::{DepthImage, Intrinsics};

    /// A table 0.8 m away seen at 35° from above with a box of 10 cm on it, and noise.
    fn scene() -> Grid {
        let camera = Intrinsics { fx: 300.0, fy: 300.0, cx: 160.0, cy: 120.0, width: 320, height: 240 };
        let n = V3::new(0.0, -0.82, -0.572_4);
        let mut rng = SplitMix(7);
        let data = (0..320 * 240)
            .map(|i| {
                let (u, v) = ((i % 320) as f32, (i / 320) as f32);
                let ray = V3::new((u - 160.0) / 300.0, (v - 120.0) / 300.0, 1.0);
                let on_box = (130.0..190.0).contains(&u) && (90.0..140.0).contains(&v);
                let d = if on_box { 0.4 } else { 0.5 };
                let z = -d / n.dot(&ray);
                if z > 0.0 && z < 3.0 { z + (rng.below(200) as f32 - 100.0) * 1e-5 } else { 0.0 }
            })
            .collect();
        Grid::new(&DepthImage::from_raw_m(320, 240, data).unwrap(), &camera)
    }

    #[test]
    fn a_table_is_found_under_a_box_and_noise() {
        let plane = find(&scene()).unwrap();
        assert!(plane.up().dot(&V3::new(0.0, -0.82, -0.5724)) > 0.9995, "{plane:?}");
        assert!((plane.camera_height_m - 0.5).abs() < 0.003, "{plane:?}");
        let grid = scene();
        let on_box = plane.height_m(&grid, 115 * 320 + 160).unwrap();
        assert!((on_box - 0.1).abs() < 0.005, "{on_box}");
    }

    #[test]
    fn no_depth_has_no_plane() {
        let mut grid = scene();
        grid.z.fill(0.0);
        assert!(find(&grid).is_none());
    }
}

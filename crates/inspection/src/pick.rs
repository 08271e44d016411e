//! Where a suction cup may hold an item, and how large the item is.

use nalgebra::{Matrix2, SymmetricEigen};

use crate::damage::{Relief, flatness_m};
use crate::grid::V3;
use crate::segment::{Cells, SupportPlane};

/// Radius of the suction cup's rim with its tolerance, metres.
const CUP_RADIUS_M: f32 = 0.012;
/// Roughness that a cup's lip still seals, metres.
const SEAL_M: f32 = 0.0015;

/// A place to hold an item, camera frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickPoint {
    /// Point on the surface, metres.
    pub point_m: [f32; 3],
    /// Unit outward normal.
    pub normal: [f32; 3],
}

/// The middle of the item's largest flat part; `None` when depth shows no place for a cup.
pub(crate) fn pick_point(cells: &Cells, relief: &Relief, support: Option<&SupportPlane>) -> Option<PickPoint> {
    let rough = flatness_m(relief);
    let flat: Vec<bool> = (0..relief.inside.len()).map(|i| relief.inside[i] && relief.valid[i] > 0.5 && rough[i] < SEAL_M).collect();
    let distance = distance_to_edge(&flat, relief.w);
    // High parts are easier to reach: a centimetre of height outweighs a step of distance.
    let value = |i: usize| distance[i] as f32 * relief.pitch_m + 0.1 * relief.height_m[i];
    let best = (0..flat.len()).filter(|i| distance[*i] > 0).max_by(|a, b| value(*a).total_cmp(&value(*b)))?;
    let reach = ((CUP_RADIUS_M / relief.pitch_m).ceil() as i32).max(1);
    let (bx, by) = ((best % relief.w) as i32, (best / relief.w) as i32);
    let mut around: Vec<V3> = Vec::new();
    for y in by - reach..=by + reach {
        for x in bx - reach..=bx + reach {
            if x < 0 || y < 0 || x >= relief.w as i32 || y >= relief.h as i32 {
                continue;
            }
            let i = y as usize * relief.w + x as usize;
            if relief.inside[i] && relief.z_m[i] > 0.0 {
                around.push(point(cells, relief, i));
            }
        }
    }
    if around.len() < 6 {
        return None;
    }
    let mean = around.iter().sum::<V3>() / around.len() as f32;
    let mut cov = nalgebra::Matrix3::<f32>::zeros();
    for p in &around {
        cov += (p - mean) * (p - mean).transpose();
    }
    let eigen = SymmetricEigen::new(cov);
    let mut normal = eigen.eigenvectors.column(eigen.eigenvalues.imin()).into_owned();
    if normal.dot(&mean) > 0.0 {
        normal = -normal;
    }
    let normal = normal.try_normalize(1e-6)?;
    // A cup that comes from the side would meet the tray.
    if support.is_some_and(|s| normal.dot(&s.up()) < 0.3) {
        return None;
    }
    let own = point(cells, relief, best);
    let on_plane = own - normal * normal.dot(&(own - mean));
    Some(PickPoint { point_m: on_plane.into(), normal: normal.into() })
}

/// Point of a step of the relief, camera frame, metres.
fn point(cells: &Cells, relief: &Relief, i: usize) -> V3 {
    let half = (relief.stride / 2) as f32;
    let u = (relief.origin.0 + i % relief.w * relief.stride) as f32 + half;
    let v = (relief.origin.1 + i / relief.w * relief.stride) as f32 + half;
    let k = &cells.grid.camera;
    let z = relief.z_m[i];
    V3::new((u - k.cx as f32) / k.fx as f32 * z, (v - k.cy as f32) / k.fy as f32 * z, z)
}

/// City-block distance of set cells to the nearest unset one or the border, in steps.
fn distance_to_edge(set: &[bool], w: usize) -> Vec<u32> {
    let h = set.len() / w;
    let mut out = vec![0u32; set.len()];
    for y in 0..h {
        for x in 0..w {
            let i = y * w + x;
            if set[i] {
                let left = if x > 0 { out[i - 1] } else { 0 };
                let up = if y > 0 { out[i - w] } else { 0 };
                out[i] = left.min(up) + 1;
            }
        }
    }
    for y in (0..h).rev() {
        for x in (0..w).rev() {
            let i = y * w + x;
            if set[i] {
                let right = if x + 1 < w { out[i + 1] } else { 0 };
                let down = if y + 1 < h { out[i + w] } else { 0 };
                out[i] = out[i].min(right.min(down) + 1);
            }
        }
    }
    out
}

/// Extent along the item's principal axes in the support's plane and above it, metres; zeros when unknown.
pub(crate) fn size_m(cells: &Cells, relief: &Relief, support: Option<&SupportPlane>) -> [f32; 3] {
    let Some(support) = support else { return [0.0; 3] };
    let up = support.up();
    let along = up.cross(&V3::y()).try_normalize(1e-3).unwrap_or_else(V3::x);
    let across = up.cross(&along);
    let mut flat: Vec<(f32, f32)> = Vec::new();
    let mut heights: Vec<f32> = Vec::new();
    for i in relief.solid() {
        let p = point(cells, relief, i);
        flat.push((along.dot(&p), across.dot(&p)));
        heights.push(relief.height_m[i]);
    }
    let n = flat.len().max(1) as f32;
    let (mx, my) = flat.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let mut cov = Matrix2::<f32>::zeros();
    for (x, y) in &flat {
        let d = nalgebra::Vector2::new(x - mx, y - my);
        cov += d * d.transpose();
    }
    let eigen = SymmetricEigen::new(cov);
    let major = eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned();
    let extent = |dx: f32, dy: f32| {
        let mut t: Vec<f32> = flat.iter().map(|(x, y)| (x - mx) * dx + (y - my) * dy).collect();
        t.sort_unstable_by(f32::total_cmp);
        let at = |q: f32| t.get(((t.len() as f32 - 1.0) * q).max(0.0) as usize).copied().unwrap_or(0.0);
        at(0.99) - at(0.01) + relief.pitch_m
    };
    heights.sort_unstable_by(f32::total_cmp);
    let top = heights.get(heights.len() * 98 / 100).copied().unwrap_or(0.0);
    [extent(major.x, major.y), extent(-major.y, major.x), top.max(0.0)]
}

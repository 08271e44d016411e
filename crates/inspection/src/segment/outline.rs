//! Where the support ends: what stands beside it is no item.

use super::components::parts;
use super::foreground::threshold_m;
use super::plane::SupportPlane;
use crate::grid::{Grid, V3};

/// Items stand on the support: their foot may overhang what was seen of it by this much, metres.
const OVERHANG_M: f32 = 0.03;
/// Walls of a tray begin this far inside the outline of its floor, where depth rounds the corner, metres.
const WALL_M: f32 = 0.005;

/// Outline of the support that was seen, in coordinates of the plane.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    along: V3,
    across: V3,
    /// Unit normals and offsets of the outline's sides, `a·x + b·y + c` ≥ 0 inside; empty when nothing is known.
    sides: Vec<(f32, f32, f32)>,
    /// How far out a foot may lie, metres.
    overhang_m: f32,
}

impl Outline {
    /// The outline of the cells that lie on `plane`, as far as they are connected.
    pub fn of(grid: &Grid, plane: &SupportPlane, height_m: &[f32]) -> Self {
        let up = plane.up();
        let along = up.cross(&V3::new(0.0, 0.0, 1.0)).try_normalize(1e-3).unwrap_or_else(|| V3::new(1.0, 0.0, 0.0));
        let across = up.cross(&along);
        // Every second cell tells an outline that is three centimetres wide.
        let (w, h) = (grid.w / 2, grid.h / 2);
        let cell = |k: usize| 2 * (k / w * grid.w + k % w);
        let on: Vec<bool> = (0..w * h).map(cell).map(|i| grid.z[i] > 0.0 && height_m[i].abs() < threshold_m(plane, grid.z[i])).collect();
        // Only the large connected parts: single far points on the same plane must not widen the outline.
        let connected = parts(&on, w, |a, b| {
            let (a, b) = (grid.z[cell(a)], grid.z[cell(b)]);
            (a - b).abs() < 0.02 + 0.02 * a
        });
        let largest = connected.sizes.iter().copied().max().unwrap_or(0);
        let large: Vec<bool> = connected.sizes.iter().enumerate().map(|(part, size)| part != 0 && size * 10 > largest).collect();
        let is_on = |k: &usize| large[connected.of[*k] as usize];
        let mut points = Vec::with_capacity(2 * h);
        for row in 0..h {
            // The picture of a convex outline is convex: its corners are ends of rows.
            let line = row * w..(row + 1) * w;
            for k in [line.clone().find(is_on), line.rev().find(is_on)].into_iter().flatten() {
                let p = grid.point(cell(k));
                points.push((along.dot(&p), across.dot(&p)));
            }
        }
        let overhang_m = if plane.walled { -WALL_M } else { OVERHANG_M };
        Self { along, across, sides: sides(&hull(&mut points)), overhang_m }
    }

    /// True when the foot of the point on the plane lies inside, or out by no more than the overhang.
    pub fn contains(&self, p: &V3) -> bool {
        let (x, y) = (self.along.dot(p), self.across.dot(p));
        self.sides.iter().all(|(a, b, c)| a * x + b * y + c > -self.overhang_m)
    }
}

/// Sides of a counter-clockwise outline; none when it has no area.
pub(crate) fn sides(hull: &[(f32, f32)]) -> Vec<(f32, f32, f32)> {
    if hull.len() < 3 {
        return Vec::new();
    }
    let next = hull.iter().cycle().skip(1);
    hull.iter()
        .zip(next)
        .map(|(a, b)| {
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = dx.hypot(dy).max(1e-6);
            (-dy / length, dx / length, (dy * a.0 - dx * a.1) / length)
        })
        .collect()
}

/// Convex hull, counter-clockwise (monotone chain).
pub(crate) fn hull(points: &mut [(f32, f32)]) -> Vec<(f32, f32)> {
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let turn = |a: (f32, f32), b: (f32, f32), c: (f32, f32)| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
    let chain = |points: &mut dyn Iterator<Item = (f32, f32)>| {
        let mut out: Vec<(f32, f32)> = Vec::new();
        for p in points {
            while let [.., a, b] = out[..]
                && turn(a, b, p) <= 0.0
            {
                out.pop();
            }
            out.push(p);
        }
        out.pop();
        out
    };
    let mut all = chain(&mut points.iter().copied());
    all.extend(chain(&mut points.iter().rev().copied()));
    all
}

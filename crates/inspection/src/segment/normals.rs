//! Surface normals of the foreground, kept sharp at creases.
//!
//! Inverse depth is linear in the picture over any plane, so a plane fit in a window is a 3×3 system in (1/z) with no
//! bias from perspective. A second, reweighted pass lets the surface of the window's centre win at creases and steps.

use crate::grid::{Grid, V3};

/// Half width of the window on the surface: smaller follows noise, larger rounds the edges of small boxes.
const RADIUS_M: f32 = 0.011;
/// Samples along half the window.
const TAPS: i32 = 3;

/// Normals towards the camera for the cells in `mask`; `None` elsewhere and where the surface is too thin to tell.
///
/// Computed on every second cell and shared by its block of 2 × 2.
pub(crate) fn normals(grid: &Grid, mask: &[bool]) -> Vec<Option<V3>> {
    let mut out = vec![None; grid.len()];
    for y in (0..grid.h).step_by(2) {
        for x in (0..grid.w).step_by(2) {
            let block = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(dx, dy)| (x + dx, y + dy))
                .map(|(bx, by)| (bx < grid.w && by < grid.h).then(|| by * grid.w + bx))
                .map(|i| i.filter(|i| mask[*i]));
            let Some(centre) = block.iter().flatten().next().copied() else { continue };
            let normal = normal_at(grid, mask, centre);
            for i in block.into_iter().flatten() {
                out[i] = normal;
            }
        }
    }
    out
}

/// One sample of the window: offset in cells and inverse depth.
type Tap = (f32, f32, f32);

fn normal_at(grid: &Grid, mask: &[bool], centre: usize) -> Option<V3> {
    let z = grid.z[centre];
    let (cx, cy) = ((centre % grid.w) as i32, (centre / grid.w) as i32);
    let stride = (grid.cells(RADIUS_M, z) / TAPS as f32).round().clamp(1.0, 6.0) as i32;
    let reach = RADIUS_M * 2.2 + 0.004 * z * z;
    let mut taps: [Tap; 49] = [(0.0, 0.0, 0.0); 49];
    let mut n = 0;
    for dy in -TAPS..=TAPS {
        for dx in -TAPS..=TAPS {
            let (x, y) = (cx + dx * stride, cy + dy * stride);
            if x < 0 || y < 0 || x >= grid.w as i32 || y >= grid.h as i32 {
                continue;
            }
            let i = y as usize * grid.w + x as usize;
            if mask[i] && (grid.z[i] - z).abs() < reach {
                taps[n] = ((x - cx) as f32, (y - cy) as f32, 1.0 / grid.z[i]);
                n += 1;
            }
        }
    }
    let taps = &taps[..n];
    if n < 8 {
        return None;
    }
    let mut plane = solve(taps, |_| 1.0)?;
    // Noise of 1/z is constant over z for both stereo and structured light.
    let scale = 0.0025f32;
    for _ in 0..2 {
        let [a, b, c] = plane;
        let centre_pull = (c - 1.0 / z).abs() * 0.5;
        let t = scale + centre_pull;
        plane = solve(taps, |(x, y, w)| {
            let r = (a * x + b * y + c - w) / t;
            1.0 / (1.0 + r * r)
        })?;
    }
    let [a, b, c] = plane;
    let k = &grid.camera;
    let (u, v) = (cx as f32 - k.cx as f32, cy as f32 - k.cy as f32);
    let normal = V3::new(a * k.fx as f32, b * k.fy as f32, c - a * u - b * v);
    let normal = normal.try_normalize(1e-6)?;
    Some(if normal.dot(&grid.ray(centre)) > 0.0 { -normal } else { normal })
}

/// Weighted least squares of `w = a·x + b·y + c`.
fn solve(taps: &[Tap], weight: impl Fn(Tap) -> f32) -> Option<[f32; 3]> {
    let (mut s, mut sx, mut sy, mut sxx, mut sxy, mut syy) = (0.0f32, 0.0f32, 0.0f32, 0.0f32, 0.0f32, 0.0f32);
    let (mut r, mut rx, mut ry) = (0.0f32, 0.0f32, 0.0f32);
    for tap in taps {
        let (x, y, w) = *tap;
        let g = weight(*tap);
        s += g;
        sx += g * x;
        sy += g * y;
        sxx += g * x * x;
        sxy += g * x * y;
        syy += g * y * y;
        r += g * w;
        rx += g * x * w;
        ry += g * y * w;
    }
    if s < 1e-6 {
        return None;
    }
    let (mx, my, mw) = (sx / s, sy / s, r / s);
    let (cxx, cxy, cyy) = (sxx - s * mx * mx, sxy - s * mx * my, syy - s * my * my);
    let (cxw, cyw) = (rx - s * mx * mw, ry - s * my * mw);
    let det = cxx * cyy - cxy * cxy;
    if det < 1e-3 * (cxx + cyy + 1e-6) {
        return None;
    }
    let a = (cyy * cxw - cxy * cyw) / det;
    let b = (cxx * cyw - cxy * cxw) / det;
    Some([a, b, mw - a * mx - b * my])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::{DepthImage, Intrinsics};

    #[test]
    fn planes_meeting_in_a_ridge_keep_their_normals() {
        let camera = Intrinsics { fx: 500.0, fy: 500.0, cx: 100.0, cy: 80.0, width: 200, height: 160 };
        let (left, right) = (V3::new(-0.6, 0.0, -0.8), V3::new(0.6, 0.0, -0.8));
        let data = (0..200 * 160)
            .map(|i| {
                let u = (i % 200) as f32;
                let ray = V3::new((u - 100.0) / 500.0, ((i / 200) as f32 - 80.0) / 500.0, 1.0);
                let n = if u < 100.0 { left } else { right };
                -0.4 / n.dot(&ray)
            })
            .collect();
        let grid = Grid::new(&DepthImage::from_raw_m(200, 160, data).unwrap(), &camera);
        let all = normals(&grid, &vec![true; grid.len()]);
        for (x, expected) in [(60, left), (90, left), (110, right), (150, right)] {
            let n = all[80 * 200 + x].unwrap();
            assert!(n.dot(&expected) > 0.985, "column {x}: {n:?}");
        }
    }
}

//! Maps over a relief that show where matter is missing, pushed in or standing out.

use super::relief::Relief;

/// How far the surface lies behind the convex hull of the item, metres, as the camera sees it; 0 outside.
///
/// A projection maps convex bodies to convex bodies in (column, row, 1/depth), so the hull is the upper concave
/// envelope of 1/depth over the picture, whatever the camera's angle. Envelopes along rows, columns and both diagonals,
/// repeated, come within a fraction of a millimetre of it.
pub(crate) fn behind_hull_m(relief: &Relief) -> Vec<f32> {
    let n = relief.w * relief.h;
    let solid: Vec<bool> = (0..n).map(|i| relief.inside[i] && relief.z_m[i] > 0.0).collect();
    // Speckle would spread the hull: it stands on the second nearest of each neighbourhood.
    let inverse: Vec<f32> = (0..n).map(|i| if solid[i] { 1.0 / relief.z_m[i] } else { 0.0 }).collect();
    let mut envelope: Vec<f32> = (0..n)
        .map(|i| {
            if !solid[i] {
                return f32::MIN;
            }
            let mut near: Vec<f32> = relief.around(i).filter(|j| solid[*j]).map(|j| inverse[j]).collect();
            near.push(inverse[i]);
            near.sort_unstable_by(|a, b| b.total_cmp(a));
            inverse[i].min(near.get(2).copied().unwrap_or(inverse[i]))
        })
        .collect();
    let lines = lines(relief.w, relief.h);
    for _ in 0..2 {
        for line in &lines {
            raise_to_envelope(&mut envelope, line);
        }
    }
    (0..n)
        .map(|i| {
            if solid[i] {
                let z = relief.z_m[i];
                ((envelope[i] - inverse[i]) * z * z).max(0.0)
            } else {
                0.0
            }
        })
        .collect()
}

/// Rows, columns and diagonals of a raster as lists of indices.
fn lines(w: usize, h: usize) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    out.extend((0..h).map(|y| (0..w).map(|x| y * w + x).collect()));
    out.extend((0..w).map(|x| (0..h).map(|y| y * w + x).collect()));
    let walk = |x: usize, y: usize, left: bool| {
        let mut line = Vec::new();
        let (mut x, mut y) = (x as isize, y as isize);
        while x >= 0 && (x as usize) < w && (y as usize) < h {
            line.push(y as usize * w + x as usize);
            x += if left { -1 } else { 1 };
            y += 1;
        }
        line
    };
    for left in [false, true] {
        out.extend((0..w).map(|x| walk(x, 0, left)));
        out.extend((1..h).map(|y| walk(if left { w - 1 } else { 0 }, y, left)));
    }
    out
}

/// Raises the values along a line to their upper concave envelope; `f32::MIN` marks gaps, which stay.
fn raise_to_envelope(values: &mut [f32], line: &[usize]) {
    let mut hull: Vec<(f32, f32)> = Vec::with_capacity(line.len());
    for (t, i) in line.iter().enumerate() {
        let v = values[*i];
        if v == f32::MIN {
            continue;
        }
        let p = (t as f32, v);
        while let [.., a, b] = hull[..]
            && (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0) >= 0.0
        {
            hull.pop();
        }
        hull.push(p);
    }
    let mut segment = 0;
    for (t, i) in line.iter().enumerate() {
        if values[*i] == f32::MIN {
            continue;
        }
        let t = t as f32;
        while segment + 1 < hull.len() && hull[segment + 1].0 < t {
            segment += 1;
        }
        if let (Some(a), Some(b)) = (hull.get(segment), hull.get(segment + 1))
            && b.0 > a.0
        {
            let v = a.1 + (b.1 - a.1) * (t - a.0) / (b.0 - a.0);
            values[*i] = values[*i].max(v);
        }
    }
}

/// Depth of hollows narrower than about `2 × radius_m` in the heights (closing minus height), metres.
pub(crate) fn hollows_m(relief: &Relief, radius_m: f32) -> Vec<f32> {
    let r = ((radius_m / relief.pitch_m).round() as usize).clamp(1, relief.w.min(relief.h) / 2);
    let closed = extreme(&extreme(&masked(relief, f32::MIN), relief.w, r, f32::MIN, f32::max), relief.w, r, f32::MAX, f32::min);
    residual(relief, |i| closed[i] - relief.height_m[i])
}

/// Height of bumps narrower than about `2 × radius_m` (height minus opening), metres.
pub(crate) fn bumps_m(relief: &Relief, radius_m: f32) -> Vec<f32> {
    let r = ((radius_m / relief.pitch_m).round() as usize).clamp(1, relief.w.min(relief.h) / 2);
    let opened = extreme(&extreme(&masked(relief, f32::MAX), relief.w, r, f32::MAX, f32::min), relief.w, r, f32::MIN, f32::max);
    residual(relief, |i| relief.height_m[i] - opened[i])
}

fn masked(relief: &Relief, outside: f32) -> Vec<f32> {
    (0..relief.inside.len()).map(|i| if relief.inside[i] && relief.z_m[i] > 0.0 { relief.height_m[i] } else { outside }).collect()
}

fn residual(relief: &Relief, f: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..relief.inside.len()).map(|i| if relief.inside[i] && relief.z_m[i] > 0.0 { f(i).clamp(0.0, 0.5) } else { 0.0 }).collect()
}

/// Maximum or minimum over a square of half width `r`; values outside the raster or unset do not count. `neutral` is what
/// `pick` never prefers.
fn extreme(values: &[f32], w: usize, r: usize, neutral: f32, pick: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let h = values.len() / w;
    let mut rows = vec![neutral; values.len()];
    // A row with `r` neutral values at both ends: each offset is then one pass without a border to look after.
    let mut padded = vec![neutral; w + 2 * r];
    for (row, out) in values.chunks_exact(w).zip(rows.chunks_exact_mut(w)) {
        for (p, v) in padded[r..r + w].iter_mut().zip(row) {
            *p = if *v == f32::MIN || *v == f32::MAX { neutral } else { *v };
        }
        for offset in 0..=2 * r {
            out.iter_mut().zip(&padded[offset..]).for_each(|(o, v)| *o = pick(*o, *v));
        }
    }
    let mut all = vec![neutral; values.len()];
    for (y, out) in all.chunks_exact_mut(w).enumerate() {
        for row in rows[y.saturating_sub(r) * w..(y + r + 1).min(h) * w].chunks_exact(w) {
            out.iter_mut().zip(row).for_each(|(o, v)| *o = pick(*o, *v));
        }
    }
    all
}

/// How the item differs from its mirror images about its principal axes and from itself turned by half a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asymmetry {
    /// Mean and 95th percentile of the height difference, metres, for the axis that fits best.
    pub mean_m: f32,
    pub p95_m: f32,
    /// Share of the outline that does not meet its image.
    pub outline: f32,
}

/// Measures symmetry as seen; means something when the camera looks down on the item.
pub(crate) fn asymmetry(relief: &Relief) -> Asymmetry {
    let cells: Vec<usize> = relief.solid().collect();
    let n = cells.len().max(1) as f32;
    let at = |i: usize| ((i % relief.w) as f32, (i / relief.w) as f32);
    let (cx, cy) = cells.iter().map(|i| at(*i)).fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let (mut xx, mut xy, mut yy) = (0.0f32, 0.0f32, 0.0f32);
    for (x, y) in cells.iter().map(|i| at(*i)) {
        xx += (x - cx) * (x - cx);
        xy += (x - cx) * (y - cy);
        yy += (y - cy) * (y - cy);
    }
    let angle = 0.5 * (2.0 * xy).atan2(xx - yy);
    let (c, s) = (angle.cos(), angle.sin());
    // In the frame of the axes: (1,−1) mirrors about the long one, (−1,1) about the short one, (−1,−1) turns.
    [(1.0f32, -1.0f32), (-1.0, 1.0), (-1.0, -1.0)]
        .into_iter()
        .map(|(sa, sb)| {
            let mut differences = Vec::with_capacity(cells.len());
            let mut missed = 0.0f32;
            for i in &cells {
                let (x, y) = at(*i);
                let (a, b) = (sa * ((x - cx) * c + (y - cy) * s), sb * (-(x - cx) * s + (y - cy) * c));
                let (mx, my) = ((cx + a * c - b * s).round(), (cy + a * s + b * c).round());
                let inside = mx >= 0.0 && my >= 0.0 && mx < relief.w as f32 && my < relief.h as f32;
                let j = if inside { my as usize * relief.w + mx as usize } else { 0 };
                if inside && relief.inside[j] && relief.z_m[j] > 0.0 {
                    differences.push((relief.height_m[*i] - relief.height_m[j]).abs());
                } else {
                    missed += 1.0;
                }
            }
            differences.sort_unstable_by(f32::total_cmp);
            let mean = differences.iter().sum::<f32>() / differences.len().max(1) as f32;
            let p95 = differences.get(differences.len() * 95 / 100).copied().unwrap_or(0.0);
            Asymmetry { mean_m: mean, p95_m: p95, outline: missed / n }
        })
        .min_by(|a, b| (a.mean_m + 0.02 * a.outline).total_cmp(&(b.mean_m + 0.02 * b.outline)))
        .unwrap_or_default()
}

/// Distance of each step from the plane through its neighbours within about `radius_m`, metres: roughness.
pub(crate) fn roughness_m(relief: &Relief, radius_m: f32) -> Vec<f32> {
    let r = ((radius_m / relief.pitch_m).round() as i32).clamp(1, 4);
    let mut out = vec![0.0; relief.inside.len()];
    for i in relief.solid() {
        let (x, y) = ((i % relief.w) as i32, (i / relief.w) as i32);
        // Opposite pairs: a plane has no mean difference, whatever its slope.
        let (mut sum, mut n) = (0.0f32, 0.0f32);
        for dy in -r..=r {
            for dx in 0..=r {
                if dx == 0 && dy <= 0 {
                    continue;
                }
                if let (Some(a), Some(b)) = (solid_at(relief, x + dx, y + dy), solid_at(relief, x - dx, y - dy)) {
                    sum += 0.5 * (relief.height_m[a] + relief.height_m[b]) - relief.height_m[i];
                    n += 1.0;
                }
            }
        }
        if n > 0.0 {
            out[i] = (sum / n).abs();
        }
    }
    out
}

fn solid_at(relief: &Relief, x: i32, y: i32) -> Option<usize> {
    (x >= 0 && y >= 0 && x < relief.w as i32 && y < relief.h as i32)
        .then(|| y as usize * relief.w + x as usize)
        .filter(|i| relief.inside[*i] && relief.z_m[*i] > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of the square, looked at one by one.
    fn by_force(values: &[f32], w: usize, r: usize, pick: fn(f32, f32) -> f32) -> Vec<Option<f32>> {
        let h = values.len() / w;
        let around = |i: usize| {
            let (x, y) = (i % w, i / w);
            let rows = y.saturating_sub(r)..(y + r + 1).min(h);
            rows.flat_map(move |yy| (x.saturating_sub(r)..(x + r + 1).min(w)).map(move |xx| yy * w + xx))
        };
        (0..values.len()).map(|i| around(i).map(|j| values[j]).filter(|v| *v != f32::MIN).reduce(pick)).collect()
    }

    #[test]
    fn extremes_are_those_of_the_square_and_gaps_do_not_count() {
        for (w, h, r) in [(1, 1, 1), (7, 5, 1), (13, 9, 3), (4, 6, 5)] {
            let values: Vec<f32> = (0..w * h).map(|i| if i % 5 == 2 { f32::MIN } else { ((i * 7919) % 31) as f32 }).collect();
            let most: Vec<Option<f32>> =
                extreme(&values, w, r, f32::MIN, f32::max).into_iter().map(|v| (v != f32::MIN).then_some(v)).collect();
            let least: Vec<Option<f32>> =
                extreme(&values, w, r, f32::MAX, f32::min).into_iter().map(|v| (v != f32::MAX).then_some(v)).collect();
            assert_eq!(most, by_force(&values, w, r, f32::max), "{w} x {h}, {r}");
            assert_eq!(least, by_force(&values, w, r, f32::min), "{w} x {h}, {r}");
        }
    }
}

//! What colour says of a frame: where it differs from the empty tray, or from the picture's border.

use vision::ColorImage;

use super::components::smooth;
use crate::bands::bands;

/// Sensor noise and rounding of dark pixels, grey levels: keeps ratios of small numbers quiet.
const FLOOR: f32 = 16.0;

/// Mean colours of the grid's cells, RGB in [0, 255], smoothed over 3 × 3 cells.
pub(crate) fn cell_colors(color: &ColorImage, step: usize) -> (usize, usize, Vec<[f32; 3]>) {
    let (w, h) = (color.width() as usize / step, color.height() as usize / step);
    let row_len = color.width() as usize * 3;
    let inv = 1.0 / (step * step) as f32;
    let mut cells = vec![[0.0f32; 3]; w * h];
    bands(&mut cells, w, |rows, out| {
        for (y, line) in rows.zip(out.chunks_exact_mut(w)) {
            for row in color.data()[y * step * row_len..(y + 1) * step * row_len].chunks_exact(row_len) {
                if step == 2 {
                    // The common case, without an inner loop.
                    for (cell, [r, g, b, r2, g2, b2]) in line.iter_mut().zip(row.as_chunks::<6>().0) {
                        let sum = |a: &u8, b: &u8| f32::from(u16::from(*a) + u16::from(*b));
                        *cell = [cell[0] + sum(r, r2), cell[1] + sum(g, g2), cell[2] + sum(b, b2)];
                    }
                    continue;
                }
                for (cell, block) in line.iter_mut().zip(row.chunks_exact(3 * step)) {
                    for p in block.as_chunks::<3>().0 {
                        for (sum, v) in cell.iter_mut().zip(p) {
                            *sum += f32::from(*v);
                        }
                    }
                }
            }
            line.iter_mut().for_each(|cell| *cell = cell.map(|sum| sum * inv));
        }
    });
    (w, h, blur3(&cells, w))
}

fn mean3(a: [f32; 3], b: [f32; 3], c: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|k| (a[k] + b[k] + c[k]) * (1.0 / 3.0))
}

fn blur3(cells: &[[f32; 3]], w: usize) -> Vec<[f32; 3]> {
    let h = cells.len() / w;
    let mut rows = vec![[0.0f32; 3]; cells.len()];
    bands(&mut rows, w, |own, out| {
        for (y, line) in own.zip(out.chunks_exact_mut(w)) {
            let row = &cells[y * w..(y + 1) * w];
            for (x, cell) in line.iter_mut().enumerate() {
                *cell = mean3(row[x.saturating_sub(1)], row[x], row[(x + 1).min(w - 1)]);
            }
        }
    });
    let mut blurred = vec![[0.0f32; 3]; cells.len()];
    bands(&mut blurred, w, |own, out| {
        for (y, line) in own.zip(out.chunks_exact_mut(w)) {
            let at = |y: usize| &rows[y * w..(y + 1) * w];
            let around = at(y.saturating_sub(1)).iter().zip(at(y)).zip(at((y + 1).min(h - 1)));
            for (cell, ((above, own), below)) in line.iter_mut().zip(around) {
                *cell = mean3(*above, *own, *below);
            }
        }
    });
    blurred
}

/// Deviation of brightness below which a picture is a plain surface, grey levels: uneven light on an empty table is no item.
const PLAIN: f32 = 14.0;

/// True when the picture shows more than a plain surface.
pub(crate) fn is_structured(colors: &[[f32; 3]]) -> bool {
    let grey = |c: &[f32; 3]| (c[0] + c[1] + c[2]) / 3.0;
    let n = colors.len().max(1) as f32;
    let mean = colors.iter().map(grey).sum::<f32>() / n;
    let variance = colors.iter().map(|c| (grey(c) - mean).powi(2)).sum::<f32>() / n;
    variance.sqrt() > PLAIN
}

/// Cells whose colour differs from the empty tray's by more than light and shadow explain.
///
/// Brightness may fall to half (shadow) or rise by a third (reflection); hue may move by the picture's own noise only.
pub(crate) fn changed_colors(now: &[[f32; 3]], empty: &[[f32; 3]], w: usize) -> Vec<bool> {
    let gain = median_gains(now, empty);
    let h = now.len() / w;
    let (now, empty) = (logarithms(now, &[1.0; 3], w), logarithms(empty, &gain, w));
    let mut sample: Vec<f32> = (0..now.len()).step_by(13).map(|i| shift(&now[i], &empty[i]).0).collect();
    // Most of the picture is tray: its median tells the noise, eight times that is no noise.
    let hue_limit = (8.0 * upper_median(&mut sample).unwrap_or(0.0)).clamp(0.06, 0.2);
    let differs = |a: &[f32; 3], b: &[f32; 3]| {
        let (hue, brightness) = shift(a, b);
        hue > hue_limit || !(-0.75..=0.25).contains(&brightness)
    };
    let mut mask = vec![false; now.len()];
    bands(&mut mask, w, |rows, out| {
        for (i, changed) in (rows.start * w..).zip(out) {
            // The tray may have moved by a cell: the best match of the neighbourhood counts.
            let (x, y) = (i % w, i / w);
            *changed = differs(&now[i], &empty[i])
                && (y.saturating_sub(1)..=(y + 1).min(h - 1))
                    .all(|yy| (x.saturating_sub(1)..=(x + 1).min(w - 1)).all(|xx| differs(&now[i], &empty[yy * w + xx])));
        }
    });
    smooth(&mut mask, w);
    mask
}

/// Logarithms of colours under a gain: each cell's once, as it is compared with up to nine others.
fn logarithms(cells: &[[f32; 3]], gain: &[f32; 3], w: usize) -> Vec<[f32; 3]> {
    let mut out = vec![[0.0f32; 3]; cells.len()];
    bands(&mut out, w, |rows, out| {
        for (out, cell) in out.iter_mut().zip(&cells[rows.start * w..]) {
            *out = [0, 1, 2].map(|k| ln(cell[k] * gain[k] + FLOOR));
        }
    });
    out
}

/// How far a colour moved, of logarithms: largest departure of a channel from the common brightness, and that brightness.
fn shift(a: &[f32; 3], b: &[f32; 3]) -> (f32, f32) {
    let ratio = [0, 1, 2].map(|k| a[k] - b[k]);
    let mean = (ratio[0] + ratio[1] + ratio[2]) / 3.0;
    (ratio.iter().map(|r| (r - mean).abs()).fold(0.0, f32::max), mean)
}

/// Natural logarithm of a positive normal number to 2e-5, some five times as fast as the exact one: exponent, and a polynomial
/// (least squares at Chebyshev nodes) of the mantissa.
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let u = m - 1.0;
    let mantissa = [0.031_377_6, -0.134_135_4, 0.287_826_3, -0.491_348, 0.999_435].iter().fold(0.0, |sum, c| (sum + c) * u);
    exponent as f32 * std::f32::consts::LN_2 + mantissa
}

/// Exposure and white balance between two pictures: the median ratio of each channel.
fn median_gains(now: &[[f32; 3]], empty: &[[f32; 3]]) -> [f32; 3] {
    [0, 1, 2].map(|k| {
        let mut ratios: Vec<f32> = now.iter().zip(empty).step_by(17).map(|(a, b)| (a[k] + 1.0) / (b[k] + 1.0)).collect();
        upper_median(&mut ratios).unwrap_or(1.0).clamp(0.5, 2.0)
    })
}

/// The value with as many above it as below, the upper of the two in the middle; reorders, and does not sort.
fn upper_median(values: &mut [f32]) -> Option<f32> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// Colours nearer than this to the border's are ground, grey levels.
const LIKE_BORDER: f32 = 22.0;
/// Share of the border of one colour that makes it plain: an item may reach it.
const PLAIN_BORDER: f32 = 0.7;

/// Cells that differ from the picture's border in colour: the last resort without depth and background.
pub(crate) fn unlike_border(cells: &[[f32; 3]], w: usize) -> Vec<bool> {
    let models = clusters(&border_of(cells, w));
    let mut mask: Vec<bool> =
        cells.iter().map(|c| models.iter().all(|(mean, spread)| distance(c, mean) > (3.0 * spread).max(LIKE_BORDER))).collect();
    smooth(&mut mask, w);
    mask
}

/// Every fifth cell of the picture's border.
fn border_of(cells: &[[f32; 3]], w: usize) -> Vec<[f32; 3]> {
    let h = cells.len() / w;
    let margin = (w.min(h) / 24).max(2);
    let is_border = |i: &usize| {
        let (x, y) = (i % w, i / w);
        x < margin || y < margin || x + margin >= w || y + margin >= h
    };
    (0..cells.len()).filter(is_border).step_by(5).map(|i| cells[i]).collect()
}

/// True when most of the picture's border has one colour.
pub(crate) fn is_border_plain(cells: &[[f32; 3]], w: usize) -> bool {
    let border = border_of(cells, w);
    let median = [0, 1, 2].map(|k| upper_median(&mut border.iter().map(|c| c[k]).collect::<Vec<_>>()).unwrap_or(0.0));
    let alike = border.iter().filter(|c| distance(c, &median) < LIKE_BORDER).count();
    alike as f32 > PLAIN_BORDER * border.len() as f32
}

/// Distance of two colours: brightness counts half, since light falls off over a tray.
fn distance(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let mean = (d[0] + d[1] + d[2]) / 3.0;
    let hue = d.map(|v| v - mean);
    (0.75 * mean * mean + hue.iter().map(|v| v * v).sum::<f32>()).sqrt()
}

/// Four colours that describe the border (k-means from evenly spread starts), with their spread; rare ones are dropped.
fn clusters(border: &[[f32; 3]]) -> Vec<([f32; 3], f32)> {
    const K: usize = 4;
    let mut sorted: Vec<[f32; 3]> = border.to_vec();
    sorted.sort_unstable_by(|a, b| (a[0] + a[1] + a[2]).total_cmp(&(b[0] + b[1] + b[2])));
    let mut means: Vec<[f32; 3]> = (0..K).filter_map(|k| sorted.get((2 * k + 1) * sorted.len() / (2 * K)).copied()).collect();
    let nearest = |means: &[[f32; 3]], c: &[f32; 3]| {
        (0..means.len()).min_by(|a, b| distance(c, &means[*a]).total_cmp(&distance(c, &means[*b]))).unwrap_or(0)
    };
    let mut out = Vec::new();
    for _ in 0..6 {
        let mut sums = vec![([0.0f32; 3], 0.0f32, 0.0f32); means.len()];
        for c in border {
            let k = nearest(&means, c);
            let s = &mut sums[k];
            for (t, v) in s.0.iter_mut().zip(c) {
                *t += v;
            }
            s.1 += 1.0;
            s.2 += distance(c, &means[k]);
        }
        for (mean, s) in means.iter_mut().zip(&sums).filter(|(_, s)| s.1 > 0.0) {
            *mean = s.0.map(|t| t / s.1);
        }
        out = means.iter().zip(&sums).filter(|(_, s)| s.1 > 0.06 * border.len() as f32).map(|(m, s)| (*m, s.2 / s.1)).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_logarithm_is_close_to_the_exact_one() {
        for k in 0..20_000 {
            let x = 0.02 * 1.0005f32.powi(k);
            assert!((ln(x) - x.ln()).abs() < 2e-5, "{x}");
        }
    }

    #[test]
    fn uneven_light_is_plain_and_print_is_structure() {
        let falling: Vec<[f32; 3]> = (0..400).map(|i| [120.0 + 20.0 * (i % 20) as f32 / 20.0; 3]).collect();
        let print: Vec<[f32; 3]> = (0..400).map(|i| [if (i / 3) % 2 == 0 { 60.0 } else { 190.0 }, 120.0, 100.0]).collect();
        assert!(!is_structured(&falling) && is_structured(&print));
    }
}

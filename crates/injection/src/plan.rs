//! What an edit does to each pixel, and the one way by which damage and sham alike go into a capture.

use rand::Rng;

use crate::canvas::{Canvas, to_encoded};
use crate::noise::{Dice, gauss};
use crate::place::Place;

/// Light that comes from everywhere, share.
const AMBIENT: f32 = 0.42;

/// What happens to one pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    /// The surface moves away from the camera, millimetres; its slopes are seen as light and shade.
    pub relief_mm: f32,
    /// What is seen lies farther away, millimetres; no slope.
    pub sink_mm: f32,
    /// The picture is taken from here, pixels beside.
    pub shift: [f32; 2],
    /// Linear light, laid over.
    pub paint: [f32; 3],
    pub alpha: f32,
    /// Factor on the light.
    pub gain: f32,
    /// Light added.
    pub gloss: f32,
    /// Chance that the depth is lost.
    pub drop: f32,
    /// Depth of a sheet that lies over all, metres.
    pub sheet_m: Option<f32>,
    /// A labeller would mark it.
    pub damaged: bool,
}

impl Default for Touch {
    fn default() -> Touch {
        Touch {
            relief_mm: 0.0,
            sink_mm: 0.0,
            shift: [0.0; 2],
            paint: [0.0; 3],
            alpha: 0.0,
            gain: 1.0,
            gloss: 0.0,
            drop: 0.0,
            sheet_m: None,
            damaged: false,
        }
    }
}

impl Touch {
    /// Lays more paint over what is there.
    pub fn cover(&mut self, rgb: [f32; 3], alpha: f32) {
        let alpha = alpha.clamp(0.0, 1.0);
        let all = alpha + self.alpha * (1.0 - alpha);
        if all > 1e-4 {
            self.paint = std::array::from_fn(|c| (rgb[c] * alpha + self.paint[c] * self.alpha * (1.0 - alpha)) / all);
        }
        self.alpha = all;
    }
}

/// An edit of a whole canvas.
pub(crate) struct Plan {
    pub w: usize,
    pub touches: Vec<Touch>,
    /// Relief stops at the item's outline; spilt matter does not.
    pub on_item: bool,
}

impl Plan {
    pub fn new(canvas: &Canvas) -> Plan {
        Plan { w: canvas.w, touches: vec![Touch::default(); canvas.w * canvas.h], on_item: true }
    }

    /// Asks `of` at each pixel: index, column, row.
    pub fn draw(&mut self, mut of: impl FnMut(usize, f32, f32, &mut Touch)) {
        for (i, touch) in self.touches.iter_mut().enumerate() {
            of(i, (i % self.w) as f32, (i / self.w) as f32, touch);
        }
    }

    /// Slopes of the relief, millimetres a pixel.
    fn slope(&self, i: usize) -> [f32; 2] {
        let (w, n) = (self.w, self.touches.len());
        let at = |k: usize| self.touches[k].relief_mm;
        let (x, y) = (i % w, i / w);
        let (left, right) = (if x > 0 { i - 1 } else { i }, if x + 1 < w { i + 1 } else { i });
        let (up, down) = (if y > 0 { i - w } else { i }, if i + w < n { i + w } else { i });
        [(at(right) - at(left)) / 2.0, (at(down) - at(up)) / 2.0]
    }

    /// Brightness of the slope at a pixel, 1 where it is level.
    pub fn shade_at(&self, i: usize, place: &Place) -> f32 {
        shading(self.slope(i), place)
    }

    /// Lets the print follow the relief: it moves along its slopes, `most` pixels where they are steepest.
    pub fn warp_along_relief(&mut self, most: f32) {
        let slopes: Vec<[f32; 2]> = (0..self.touches.len()).map(|i| self.slope(i)).collect();
        let steepest = slopes.iter().map(|s| s[0].hypot(s[1])).fold(1e-6, f32::max);
        for (touch, slope) in self.touches.iter_mut().zip(&slopes) {
            touch.shift = [0, 1].map(|k| touch.shift[k] + most * slope[k] / steepest);
        }
    }
}

/// The canvas after an edit.
pub(crate) struct Edited {
    pub rgb: Vec<[u8; 3]>,
    pub depth: Option<Vec<f32>>,
}

/// Warps, paints, lights and re-noises the canvas; pixels that nothing touches stay as they are. `bytes` is the picture of the
/// canvas, `step_m` the step of its depth.
pub(crate) fn apply(canvas: &Canvas, plan: &Plan, place: &Place, bytes: &[[u8; 3]], step_m: f32, dice: &mut Dice) -> Edited {
    let (w, h) = (canvas.w, canvas.h);
    let mut change = vec![[0.0f32; 3]; w * h];
    let mut grain = vec![0.0f32; w * h];
    let mut depth = canvas.depth.clone();
    for (i, touch) in plan.touches.iter().enumerate() {
        let from = [(i % w) as f32 + touch.shift[0], (i / w) as f32 + touch.shift[1]];
        let moved = touch.shift[0].hypot(touch.shift[1]);
        let source = if moved > 0.02 { canvas.index(from[0], from[1]) } else { i };
        let gated = !plan.on_item || canvas.item[source];
        let before = canvas.rgb[i];
        let mut light = if moved > 0.02 { canvas.light_at(from[0], from[1]) } else { before };
        let shade = if gated { plan.shade_at(i, place) } else { 1.0 };
        for (c, value) in light.iter_mut().enumerate() {
            *value += (touch.paint[c] - *value) * touch.alpha;
            *value = *value * shade * touch.gain + touch.gloss;
        }
        change[i] = std::array::from_fn(|c| to_encoded(light[c]) - to_encoded(before[c]));
        // Mixing and moving take the picture's own noise away.
        grain[i] = (touch.alpha + (0.7 * moved).min(0.5)).min(1.0).sqrt() * canvas.grain;
        if let Some(depth) = &mut depth {
            depth[i] = deepen(canvas, touch, source, gated, step_m, dice);
        }
    }
    let blurred = soften(&change, w, h);
    let rgb = (0..w * h)
        .map(|i| {
            let noise = if grain[i] > 0.0 { gauss(dice) * grain[i] } else { 0.0 };
            std::array::from_fn(|c| {
                let by = 255.0 * (blurred[i][c] + noise);
                (f32::from(bytes[i][c]) + by).round().clamp(0.0, 255.0) as u8
            })
        })
        .collect();
    Edited { rgb, depth }
}

/// Brightness of a slope under the lamp, 1 where it is level.
fn shading(slope_mm: [f32; 2], place: &Place) -> f32 {
    // The relief counts away from the camera, so its normal leans along the slope.
    let n = slope_mm.map(|s| s / place.mm_per_px);
    let length = (1.0 + n[0] * n[0] + n[1] * n[1]).sqrt();
    let facing = (n[0] * place.light[0] + n[1] * place.light[1] + place.light[2]) / length;
    (AMBIENT + (1.0 - AMBIENT) * facing.max(0.0) / place.light[2]).clamp(0.2, 1.7)
}

fn deepen(canvas: &Canvas, touch: &Touch, source: usize, gated: bool, step_m: f32, dice: &mut Dice) -> f32 {
    let mut z = canvas.depth.as_ref().map_or(0.0, |d| d[source]);
    let by_mm = touch.relief_mm + touch.sink_mm;
    if z > 0.0 && gated {
        z += by_mm / 1000.0;
    }
    if let Some(sheet) = touch.sheet_m {
        z = sheet + canvas.jitter_m * gauss(dice);
    }
    if touch.drop > 0.0 && dice.random::<f32>() < touch.drop {
        z = 0.0;
    }
    if z > 0.0 { (z / step_m).round() * step_m } else { 0.0 }
}

/// As soft as a lens draws: 1-2-1 both ways.
fn soften(values: &[[f32; 3]], w: usize, h: usize) -> Vec<[f32; 3]> {
    let pass = |from: &[[f32; 3]], along: bool| -> Vec<[f32; 3]> {
        (0..w * h)
            .map(|i| {
                let (x, y) = (i % w, i / w);
                let (a, b) = if along {
                    (if x > 0 { i - 1 } else { i }, if x + 1 < w { i + 1 } else { i })
                } else {
                    (if y > 0 { i - w } else { i }, if y + 1 < h { i + w } else { i })
                };
                std::array::from_fn(|c| 0.25 * from[a][c] + 0.5 * from[i][c] + 0.25 * from[b][c])
            })
            .collect()
    };
    pass(&pass(values, true), false)
}

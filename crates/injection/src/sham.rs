//! The benign twin of a damage: the same strength of warp, paint, light and depth, with content that is no damage.

use rand::Rng;

use crate::Operator;
use crate::canvas::Canvas;
use crate::noise::{Dice, Noise, between, ramp};
use crate::place::Place;
use crate::plan::Plan;

/// How strong an edit is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strength {
    /// Root mean square over the canvas, pixels.
    pub shift_px: f32,
    /// Root mean square over the item, millimetres; what lies deeper counts too.
    pub depth_mm: f32,
    /// Sum of the paint's opacity, pixels.
    pub paint_px: f32,
    /// Mean opacity where there is paint.
    pub alpha: f32,
    /// Dark, middle and bright of the paint, linear light.
    pub tones: [[f32; 3]; 3],
    /// Sum of the logarithm of the gain.
    pub gain: f32,
    /// Pixels that it darkens.
    pub gain_px: f32,
    /// Sum of the light added.
    pub gloss: f32,
    /// Depths lost, pixels.
    pub drop_px: f32,
    /// Root of the sum of squares of the logarithm of light and shade on slopes.
    pub shade: f32,
}

impl Strength {
    pub fn of(canvas: &Canvas, plan: &Plan, place: &Place) -> Strength {
        let all = || plan.touches.iter();
        let squares = |of: &dyn Fn(usize) -> f32| (0..plan.touches.len()).map(|i| of(i) * of(i)).sum::<f32>();
        let n = plan.touches.len() as f32;
        let shift = squares(&|i| plan.touches[i].shift[0].hypot(plan.touches[i].shift[1]));
        let depth = squares(&|i| if canvas.item[i] { plan.touches[i].relief_mm + plan.touches[i].sink_mm } else { 0.0 });
        let painted = all().filter(|t| t.alpha > 0.05).count();
        let paint_px: f32 = all().map(|t| t.alpha).sum();
        let dark = all().filter(|t| t.gain < 0.98);
        Strength {
            shift_px: (shift / n).sqrt(),
            depth_mm: (depth / canvas.area_px().max(1) as f32).sqrt(),
            paint_px,
            alpha: if painted > 0 { (paint_px / painted as f32).clamp(0.2, 1.0) } else { 0.0 },
            tones: tones(plan),
            gain: dark.clone().map(|t| t.gain.max(0.05).ln()).sum(),
            gain_px: dark.count() as f32,
            gloss: all().map(|t| t.gloss).sum(),
            drop_px: all().map(|t| t.drop).sum(),
            shade: squares(&|i| if canvas.item[i] || !plan.on_item { plan.shade_at(i, place).ln() } else { 0.0 }).sqrt(),
        }
    }
}

/// Of the relief on the item alone, root mean square, millimetres.
fn relief_on_item(canvas: &Canvas, plan: &Plan) -> f32 {
    let on_item = canvas.item.iter().zip(&plan.touches).filter(|(i, _)| **i).map(|(_, t)| t.relief_mm * t.relief_mm);
    (on_item.sum::<f32>() / canvas.area_px().max(1) as f32).sqrt()
}

/// Of the painted pixels in the order of their brightness: those at a tenth, a half and nine tenths.
fn tones(plan: &Plan) -> [[f32; 3]; 3] {
    let mut seen: Vec<[f32; 3]> = plan.touches.iter().filter(|t| t.alpha > 0.3).map(|t| t.paint).collect();
    if seen.is_empty() {
        seen = plan.touches.iter().filter(|t| t.alpha > 0.02).map(|t| t.paint).collect();
    }
    seen.sort_unstable_by(|a, b| a.iter().sum::<f32>().total_cmp(&b.iter().sum()));
    [0.1, 0.5, 0.9].map(|share| seen.get((share * seen.len() as f32) as usize).copied().unwrap_or([0.4; 3]))
}

/// Things that are printed, stuck on or cast, and no damage.
#[derive(Clone, Copy, PartialEq)]
enum Motif {
    /// A rectangle with a border and lines of text.
    Label,
    /// A strip with straight sides.
    Tape,
    /// A filled ellipse or rounded shape with an outline, as logos have it.
    Print,
    /// Bars, as of a code.
    Bars,
}

/// The benign twin.
pub(crate) fn draw(operator: Operator, canvas: &Canvas, place: &Place, like: &Strength, dice: &mut Dice) -> Plan {
    let mut plan = Plan::new(canvas);
    bend(&mut plan, canvas, place, like, dice);
    if like.shade > 0.5 {
        cast(&mut plan, canvas, place, like, dice);
    }
    if like.paint_px > 1.0 {
        let motif = match (operator, dice.random_range(0..4)) {
            (Operator::Scuff, 0..=2) | (_, 3) => Motif::Bars,
            (_, 0) => Motif::Label,
            (_, 1) => Motif::Tape,
            _ => Motif::Print,
        };
        let at = home(canvas, place, operator);
        paint(&mut plan, canvas, place, like, (motif, at), dice);
    }
    if like.gain_px > 1.0 {
        shadow(&mut plan, place, like, dice);
    }
    if like.gloss > 0.1 {
        glare(&mut plan, place, like, dice);
    }
    plan
}

/// Where a motif has room: farther in for what lies across the outline.
fn home(canvas: &Canvas, place: &Place, operator: Operator) -> [f32; 2] {
    if !operator.is_at_outline() {
        return place.at;
    }
    let to = [0, 1].map(|k| place.at[k] + place.inward[k] * 1.1 * place.radius);
    if canvas.item[canvas.index(to[0], to[1])] { to } else { place.at }
}

/// The print slides a little where the damage is, and the item lies askew and bulges softly by the same mean depth.
fn bend(plan: &mut Plan, canvas: &Canvas, place: &Place, like: &Strength, dice: &mut Dice) {
    let [way, turn]: [f32; 2] = std::array::from_fn(|_| between(dice, 0.0, std::f32::consts::TAU));
    let (bulge, reach) = (between(dice, 0.2, 0.6), 0.8 * place.radius);
    let (w, h) = (canvas.w as f32, canvas.h as f32);
    plan.draw(|_, x, y, touch| {
        let d = (x - place.at[0]).hypot(y - place.at[1]) / reach;
        let there = (-d * d).exp() * (1.0 - ramp(1.8, 2.2, d));
        touch.shift = [there * way.cos(), there * way.sin()];
        let (dx, dy) = ((x - 0.5 * w) / place.item_px, (y - 0.5 * h) / place.item_px);
        touch.relief_mm = dx * turn.cos() + dy * turn.sin() - bulge * (-(dx * dx + dy * dy)).exp();
    });
    let now = Strength::of(canvas, plan, place);
    let relief = like.depth_mm.min(12.0) / relief_on_item(canvas, plan).max(1e-6);
    // What slides farther than a fifth of its size would be seen as a fault of its own.
    let shift = (like.shift_px / now.shift_px.max(1e-6)).min(0.2 * place.radius);
    for touch in &mut plan.touches {
        touch.shift = touch.shift.map(|s| s * shift);
        touch.relief_mm *= relief;
    }
}

/// Light or shade with straight, soft sides, as strong as the damage's slopes are lit and shaded.
fn cast(plan: &mut Plan, canvas: &Canvas, place: &Place, like: &Strength, dice: &mut Dice) {
    let aspect = between(dice, 1.0, 3.0);
    let (half_w, half_h) = (place.radius * aspect.sqrt(), place.radius / aspect.sqrt());
    let soft = half_h * between(dice, 0.1, 0.4);
    let (sin, cos) = place.angle.sin_cos();
    let there = |x: f32, y: f32| {
        let (dx, dy) = (x - place.at[0], y - place.at[1]);
        ramp(-soft, soft, (half_w - (dx * cos + dy * sin).abs()).min(half_h - (dy * cos - dx * sin).abs()))
    };
    let squares: f32 =
        (0..plan.touches.len()).filter(|i| canvas.item[*i]).map(|i| there((i % canvas.w) as f32, (i / canvas.w) as f32).powi(2)).sum();
    let strength = (like.shade / squares.sqrt().max(1.0)).min(0.5) * if between(dice, 0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
    plan.draw(|i, x, y, touch| {
        if canvas.item[i] {
            touch.gain *= (strength * there(x, y)).exp();
        }
    });
}

fn paint(plan: &mut Plan, canvas: &Canvas, place: &Place, like: &Strength, (motif, at): (Motif, [f32; 2]), dice: &mut Dice) {
    // Bars leave half of their field bare.
    let area = like.paint_px / like.alpha * if motif == Motif::Bars { 2.0 } else { 1.0 };
    let aspect = match motif {
        Motif::Tape => between(dice, 3.5, 7.0),
        Motif::Print => between(dice, 1.0, 1.6),
        Motif::Label | Motif::Bars => between(dice, 1.1, 2.2),
    };
    let round = if motif == Motif::Print { std::f32::consts::PI / 4.0 } else { 1.0 };
    let (half_w, half_h) = ((area * aspect / round).sqrt() / 2.0, (area / aspect / round).sqrt() / 2.0);
    let [dark, middle, bright] = like.tones;
    let (sin, cos) = place.angle.sin_cos();
    let (pitch, seed) = ((half_h / between(dice, 2.0, 4.0)).max(2.5), Noise::new(dice));
    let light_ground = between(dice, 0.0, 1.0) < 0.5;
    let lost = like.drop_px / area.max(1.0);
    plan.draw(|i, x, y, touch| {
        let (dx, dy) = (x - at[0], y - at[1]);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        let edge = match motif {
            Motif::Print => (1.0 - (u / half_w).hypot(v / half_h)) * half_h,
            _ => (half_w - u.abs()).min(half_h - v.abs()),
        };
        let on_item = ramp(0.0, 1.5, canvas.inside[i]);
        let there = ramp(-0.6, 0.6, edge) * on_item;
        if there <= 0.0 {
            return;
        }
        let inner = edge / half_h;
        let (rgb, alpha) = match motif {
            Motif::Tape => (middle, 1.0),
            Motif::Print => (
                if inner < 0.18 {
                    bright
                } else if inner > 0.5 && light_ground {
                    dark
                } else {
                    middle
                },
                1.0,
            ),
            Motif::Label => {
                let (row, word) = ((v / pitch).floor(), seed.layers(u / (1.4 * pitch), 7.0 * (v / pitch).floor(), 1));
                let text = inner > 0.2 && (v / pitch - row) < 0.45 && word > -0.25;
                (
                    if text == light_ground {
                        dark
                    } else if inner < 0.1 {
                        bright
                    } else {
                        middle
                    },
                    1.0,
                )
            }
            Motif::Bars => (
                if seed.layers(u / 2.2, 3.0, 1) > 0.35 { bright } else { middle },
                f32::from(u8::from(seed.layers(u / 1.8, 40.0, 1) > 0.0)),
            ),
        };
        touch.cover(rgb, alpha * there * like.alpha);
        touch.drop = (lost * there).min(0.95);
    });
}

/// The shadow of something straight, as dark and as large as the damage darkens.
fn shadow(plan: &mut Plan, place: &Place, like: &Strength, dice: &mut Dice) {
    let strength = like.gain / like.gain_px;
    let aspect = between(dice, 1.0, 3.0);
    let (half_w, half_h) = ((like.gain_px * aspect).sqrt() / 2.0, (like.gain_px / aspect).sqrt() / 2.0);
    let soft = half_h * between(dice, 0.15, 0.5);
    let (sin, cos) = (place.angle + between(dice, 0.0, 3.0)).sin_cos();
    plan.draw(|_, x, y, touch| {
        let (dx, dy) = (x - place.at[0], y - place.at[1]);
        let edge = (half_w - (dx * cos + dy * sin).abs()).min(half_h - (dy * cos - dx * sin).abs());
        touch.gain *= (strength * ramp(-soft, soft, edge)).exp();
    });
}

/// A soft streak of mirrored light.
fn glare(plan: &mut Plan, place: &Place, like: &Strength, dice: &mut Dice) {
    let size = place.radius * between(dice, 0.4, 0.9);
    let stretch = between(dice, 1.5, 4.0);
    let spot = |x: f32, y: f32| {
        let (u, v) = place.local(x, y, stretch);
        (-(u * u + v * v) * (place.radius / size).powi(2)).exp()
    };
    let w = plan.w;
    let sum: f32 = (0..plan.touches.len()).map(|i| spot((i % w) as f32, (i / w) as f32)).sum();
    let peak = (like.gloss / sum.max(1.0)).min(0.8);
    plan.draw(|_, x, y, touch| touch.gloss += peak * spot(x, y));
}

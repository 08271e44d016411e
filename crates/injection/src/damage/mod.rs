//! Kinds of damage as edits.

mod bend;
mod matter;
mod opening;
mod surface;

use crate::Operator;
use crate::canvas::Canvas;
use crate::noise::Dice;
use crate::place::Place;
use crate::plan::Plan;

/// Below it a pixel of a soft mark is not counted as damaged.
const SEEN: f32 = 0.12;

/// The edit of an operator.
pub(crate) fn draw(operator: Operator, canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    match operator {
        Operator::Dent => bend::dent(canvas, place, dice),
        Operator::Crush => bend::crush(canvas, place, dice),
        Operator::Tear => opening::opening(canvas, place, true, dice),
        Operator::Hole => opening::opening(canvas, place, false, dice),
        Operator::Scuff => surface::scuff(canvas, place, dice),
        Operator::Stain => surface::stain(canvas, place, dice),
        Operator::WetPatch => surface::wet_patch(canvas, place, dice),
        Operator::OpenedFlap => opening::flap(canvas, place, dice),
        Operator::Spill => matter::spill(canvas, place, dice),
    }
}

/// Light times a factor.
fn times(rgb: [f32; 3], by: f32) -> [f32; 3] {
    rgb.map(|v| (v * by).clamp(0.0, 1.0))
}

//! Loose units: pieces of one colour and size that lie elsewhere in every view. They are counted one by one; pieces that touch, by the
//! area that they cover together.

use opencv::core::{MatTraitConst, Point, Vector, count_non_zero};
use opencv::imgproc;
use vision::Rect;

use super::UnitCount;
use super::layout::{IN_PLACE, Layout, SAME_AREA, alike, lay};
use super::scene::{Patch, Scene, apart};
use crate::{MatchError, cv};

/// Two views agree about the places when at least this share of one's lies at the other's.
const AGREES: f32 = 0.8;
/// Less of a unit than this share of its area may be shine, or print; as much is a unit of which a part is seen.
const LEAST: f32 = 0.25;
/// What touches covers whole units when its area is off by no more than this share of one.
const WHOLE: f32 = 0.25;
/// How sure a count is that a unit is missing: of pieces that lie apart, and of such as touch.
const APART: f32 = 0.9;
const TOUCHING: f32 = 0.6;

/// True when the views show the same number of units in other places. Of two units any two places are laid over any others: they
/// count as fixed.
pub(super) fn are_loose(layouts: &[Layout]) -> bool {
    let (mut pairs, mut agreeing) = (0u32, 0u32);
    for (k, a) in layouts.iter().enumerate() {
        for b in layouts.iter().skip(k + 1) {
            pairs += 1;
            let radius = (b.area_share / std::f32::consts::PI).sqrt();
            let patches: Vec<Patch> = b.places.iter().map(|at| Patch { at: *at, area: b.area_share }).collect();
            let laid = lay(&a.places, &patches, IN_PLACE * radius).unwrap_or_default();
            let hits = laid.iter().filter(|v| patches.iter().any(|p| apart(p.at, **v) <= IN_PLACE * radius)).count();
            agreeing += u32::from(hits as f32 >= AGREES * b.places.len() as f32);
        }
    }
    2 * agreeing < pairs
}

/// Counts the units of an item whose layout the references do not agree about. `None`: it shows none that are of the units' size.
pub(super) fn count(layouts: &[Layout], scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let mut best: Option<UnitCount> = None;
    for layout in layouts {
        let Some(count) = of_color(layout, scene)? else { continue };
        if best.as_ref().is_none_or(|b| count.seen > b.seen) {
            best = Some(count);
        }
    }
    Ok(best)
}

fn of_color(layout: &Layout, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let units = alike(&scene.patches(layout.color)?);
    let mut areas: Vec<f32> = units.iter().map(|p| p.area).collect();
    areas.sort_by(f32::total_cmp);
    let Some(unit) = areas.get(areas.len() / 2).copied() else { return Ok(None) };
    let expected = layout.places.len() as u32;
    // In a bag a unit keeps its share of the item; of pieces without one the item is what there is of them.
    let (of_bag, of_pieces) = (unit / scene.area / layout.area_share, unit * areas.len() as f32 / scene.area);
    let of_pieces = of_pieces / (layout.area_share * expected as f32);
    let is_alike = |ratio: f32| ratio <= SAME_AREA && ratio * SAME_AREA >= 1.0;
    if !is_alike(of_bag) && !is_alike(of_pieces) {
        return Ok(None);
    }
    let (mut seen, mut touching, mut uneven) = (0u32, false, 0u32);
    for area in blobs(layout, scene, LEAST * unit)? {
        let units = area / unit;
        seen += (units.round() as u32).max(1);
        touching |= units > 1.0 + WHOLE;
        // A piece may lie on another one.
        uneven += u32::from(units > 1.0 + WHOLE && (units - units.round()).abs() > WHOLE);
    }
    let paper = count_non_zero(&scene.paper(layout, unit)?)? as f32 / unit;
    let hidden = (paper as u32 + uneven).min(expected.saturating_sub(seen));
    let missing = expected.saturating_sub(seen + hidden);
    let whole = Rect { x: 0, y: 0, w: scene.length_px(scene.mask.cols()), h: scene.length_px(scene.mask.rows()) };
    let score = match (missing, touching) {
        (0, _) => 0.0,
        (_, false) => APART,
        (_, true) => TOUCHING,
    };
    // Where a loose unit should lie nobody knows: anywhere in the item.
    Ok(Some(UnitCount { expected, seen, hidden, missing: vec![whole; missing as usize], score }))
}

/// Areas of what has the units' colour, in one piece each, whatever its shape.
fn blobs(layout: &Layout, scene: &Scene, least: f32) -> Result<Vec<f32>, MatchError> {
    let mut opened = opencv::core::Mat::default();
    imgproc::morphology_ex_def(&scene.of_color(layout.color)?, &mut opened, imgproc::MORPH_OPEN, &cv::disc(2)?)?;
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(&opened, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let areas = contours.iter().map(|c| Ok(imgproc::contour_area_def(&c)? as f32)).collect::<Result<Vec<f32>, MatchError>>()?;
    Ok(areas.into_iter().filter(|a| *a >= least).collect())
}

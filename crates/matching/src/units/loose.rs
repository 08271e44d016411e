//! Loose units: pieces of one colour and size that lie elsewhere in every view. They are counted one by one; pieces that touch, by the
//! area that they cover together.

use opencv::core::{MatTraitConst, Point, Vector, count_non_zero};
use opencv::imgproc;
use vision::Rect;

use super::UnitCount;
use super::layout::{IN_PLACE, Layout, SAME_AREA, lay};
use super::scene::{Patch, SAME_COLOR, Scene, apart};
use crate::{MatchError, cv};

/// Two views agree about the places when at least this share of one's lies at the other's.
const AGREES: f32 = 0.8;
/// So many views must show the same number elsewhere: of two, print on two faces may do so by chance.
const VIEWS: usize = 3;
/// So many units; trying all pairs of more takes too long.
const COUNT: std::ops::RangeInclusive<usize> = 4..=15;
/// Units that cover more of the item have nothing around them.
const MOST_OF_THE_ITEM: f32 = 0.8;
/// Less of a unit than this share of its area may be shine, or print; as much is a unit of which a part is seen.
const LEAST: f32 = 0.25;
/// What is larger than this many units is several that touch; …
const TOUCHES: f32 = 1.1;
/// … and where its area is off by more than this share of one, a piece may lie on another.
const UNEVEN: f32 = 0.25;
/// How sure a count is that a unit is missing: of pieces that lie apart, and of such as touch.
const APART: f32 = 0.9;
const TOUCHING: f32 = 0.6;

/// True when three views and more show the same number of units, of one colour and size, and no two of them agree about the places. Few
/// units are no evidence of that: any two places can be laid over any others, and print shows two or three alike patches often.
pub(super) fn are_loose(layouts: &[Layout]) -> bool {
    let Some(first) = layouts.first().filter(|l| layouts.len() >= VIEWS && COUNT.contains(&l.places.len())) else { return false };
    let are_alike = layouts.iter().all(|l| is_near(l.color, first.color) && is_alike(l.area_share / first.area_share));
    let agree = |a: &Layout, b: &Layout| {
        let radius = (b.area_share / std::f32::consts::PI).sqrt();
        let patches: Vec<Patch> = b.places.iter().map(|at| Patch { at: *at, area: b.area_share }).collect();
        let laid = lay(&a.places, &patches, IN_PLACE * radius).unwrap_or_default();
        let hits = laid.iter().filter(|v| patches.iter().any(|p| apart(p.at, **v) <= IN_PLACE * radius)).count();
        hits as f32 >= AGREES * b.places.len() as f32
    };
    are_alike && !layouts.iter().enumerate().any(|(k, a)| layouts.iter().skip(k + 1).any(|b| agree(a, b)))
}

fn is_near(a: [f32; 3], b: [f32; 3]) -> bool {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt() < SAME_COLOR
}

fn is_alike(ratio: f32) -> bool {
    ratio <= SAME_AREA && ratio * SAME_AREA >= 1.0
}

/// Counts the units of an item whose layout the references do not agree about. `None`: it shows less than half of them, or is not seen as the
/// references were.
pub(super) fn count(layouts: &[Layout], scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let mut best: Option<UnitCount> = None;
    for layout in layouts {
        let Some(count) = of_color(layout, scene)? else { continue };
        if best.as_ref().is_none_or(|b| (count.seen, b.missing.len()) > (b.seen, count.missing.len())) {
            best = Some(count);
        }
    }
    Ok(best)
}

fn of_color(layout: &Layout, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let (expected, of_bag) = (layout.places.len() as u32, layout.area_share * scene.area);
    // Pieces without anything around them: when some are gone, so is part of the item, and no size is left to go by.
    if layout.area_share * expected as f32 > MOST_OF_THE_ITEM {
        return Ok(None);
    }
    let mut areas: Vec<f32> = scene.patches(layout.color)?.iter().map(|p| p.area).filter(|a| is_alike(a / of_bag)).collect();
    areas.sort_by(f32::total_cmp);
    let Some(unit) = areas.get(areas.len() / 2).copied() else { return Ok(None) };
    let (mut seen, mut total, mut touching, mut uneven) = (0u32, 0.0, false, 0u32);
    for area in blobs(layout, scene, LEAST * unit)? {
        let units = area / unit;
        seen += (units.round() as u32).max(1);
        total += units;
        touching |= units > TOUCHES;
        // A piece may lie on another one.
        uneven += u32::from(units > TOUCHES && (units - units.round()).abs() > UNEVEN);
    }
    if 2 * seen < expected {
        return Ok(None);
    }
    let paper = count_non_zero(&scene.paper(layout, unit)?)? as f32 / unit;
    let mut hidden = (paper as u32 + uneven).min(expected.saturating_sub(seen));
    if total + 0.5 >= expected as f32 {
        // As much of the colour as there should be: pieces lie close, none is gone.
        hidden = expected.saturating_sub(seen);
    }
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

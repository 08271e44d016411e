//! Loose units: pieces of one colour and size that lie elsewhere in every view. They are counted one by one; pieces that touch, by the
//! area that they cover together.

use opencv::core::{MatTraitConst, count_non_zero};
use vision::Rect;

use super::UnitCount;
use super::layout::{Layout, MOST_TRIED, SAME_AREA};
use super::scene::{SAME_COLOR, Scene, distance};
use crate::MatchError;

/// So many views must show the same number elsewhere: of two, print on two faces may do so by chance.
const VIEWS: usize = 3;
/// So many units; of fewer any places can be laid over any others, of more it is not tried.
const COUNT: std::ops::RangeInclusive<usize> = 4..=MOST_TRIED;
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

/// What views say of loose units: layouts of one colour and one size, and how many units there are. `None`: they are not loose. They are
/// when three views and more show the same number, touching ones counted by their area, and most pairs of those that show each of them apart
/// do not agree about the places. Few units are no evidence of that: any two places can be laid over any others, and print shows two or
/// three alike patches often.
pub(super) fn agreed(layouts: &[Layout]) -> Option<(Vec<Layout>, u32)> {
    let alike = |a: &&Layout, b: &Layout| is_near(a.color, b.color) && is_alike(a.area_share / b.area_share);
    let group = |b: &Layout| layouts.iter().filter(|a| alike(a, b)).cloned().collect::<Vec<Layout>>();
    let views = layouts.iter().map(group).max_by_key(Vec::len).filter(|views| views.len() >= VIEWS)?;
    let mut areas: Vec<f32> = views.iter().map(|l| l.area_share).collect();
    areas.sort_by(f32::total_cmp);
    let unit = areas[areas.len() / 2];
    let counts: Vec<u32> = views.iter().map(|l| tally(&l.blobs, unit).seen).collect();
    let votes = |n: u32| counts.iter().filter(|c| **c == n).count();
    let expected = counts.iter().copied().max_by_key(|n| (votes(*n), *n))?;
    let is_agreed = votes(expected) >= VIEWS && 2 * votes(expected) > layouts.len() && COUNT.contains(&(expected as usize));
    let (apart, touching): (Vec<_>, Vec<_>) = views
        .into_iter()
        .zip(counts)
        .filter(|(_, n)| *n == expected)
        .map(|(view, _)| view)
        .partition(|view| view.places.len() == expected as usize);
    (is_agreed && !lie_alike(&apart)).then(|| ([apart, touching].concat(), expected))
}

/// True when at least half of the pairs of views agree about the places, of few units some do by chance; and where there is no pair to tell.
fn lie_alike(views: &[Layout]) -> bool {
    let asked = || views.iter().take(super::ASKED);
    let pairs = || asked().enumerate().flat_map(|(k, a)| asked().skip(k + 1).map(move |b| (a, b)));
    2 * pairs().filter(|(a, b)| a.lies_as(b)).count() >= pairs().count()
}

/// Pieces told by their areas.
#[derive(Default)]
struct Tally {
    seen: u32,
    /// Areas together, in units.
    total: f32,
    /// Of several that touch: are there any, and how many of them have an area that is no whole number of units.
    touching: bool,
    uneven: u32,
}

fn tally(areas: &[f32], unit: f32) -> Tally {
    let mut tally = Tally::default();
    for units in areas.iter().map(|area| area / unit).filter(|units| *units >= LEAST) {
        tally.seen += (units.round() as u32).max(1);
        tally.total += units;
        tally.touching |= units > TOUCHES;
        // A piece may lie on another one.
        tally.uneven += u32::from(units > TOUCHES && (units - units.round()).abs() > UNEVEN);
    }
    tally
}

fn is_near(a: [f32; 3], b: [f32; 3]) -> bool {
    distance(&a, b) < SAME_COLOR
}

fn is_alike(ratio: f32) -> bool {
    ratio <= SAME_AREA && ratio * SAME_AREA >= 1.0
}

/// Counts the units of an item whose layout the references do not agree about. `None`: it shows less than half of them, or is not seen as the
/// references were.
pub(super) fn count(layouts: &[Layout], expected: u32, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let mut best: Option<UnitCount> = None;
    for layout in layouts {
        let Some(count) = of_color(layout, expected, scene)? else { continue };
        if best.as_ref().is_none_or(|b| (count.seen, b.missing.len()) > (b.seen, count.missing.len())) {
            best = Some(count);
        }
    }
    Ok(best)
}

fn of_color(layout: &Layout, expected: u32, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
    let of_bag = layout.area_share * scene.area;
    // Pieces without anything around them: when some are gone, so is part of the item, and no size is left to go by.
    if layout.area_share * expected as f32 > MOST_OF_THE_ITEM {
        return Ok(None);
    }
    let mut areas: Vec<f32> = scene.patches(layout.color)?.iter().map(|p| p.area).filter(|a| is_alike(a / of_bag)).collect();
    areas.sort_by(f32::total_cmp);
    let Some(unit) = areas.get(areas.len() / 2).copied() else { return Ok(None) };
    let Tally { seen, total, touching, uneven } = tally(&scene.blobs(layout.color)?, unit);
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

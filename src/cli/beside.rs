//! An item's damage judged again beside its reference, as the gallery node does it.

use anyhow::Result;
use inspection::{Comparer, InspectedItem, Inspection};
use matching::{Judgement, Perceived};
use vision::Rect;

/// Damage of `item`, which was cut out at `cutout`, beside the reference that was laid over it; `None` where none was.
pub(crate) fn rejudge(
    judgement: &mut Judgement,
    comparer: &Comparer,
    inspection: &Inspection,
    item: &InspectedItem,
    cutout: Rect,
) -> Result<Option<f32>> {
    let perceived = Perceived { score: item.damage_score, threshold: inspection.damage_threshold, map: inspection.heatmap.crop(cutout) };
    let Some(pair) = judgement.pair(&perceived)? else { return Ok(None) };
    let verdict = comparer.judge(&pair, perceived.told())?;
    Ok(Some(judgement.settle(&perceived, verdict.score, &verdict.map)))
}

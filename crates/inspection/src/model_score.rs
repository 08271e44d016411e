//! Scores from an ONNX model: shows it the item, reads the output back.

use vision::Rect;

use crate::InspectionError;
use crate::damage::{Assessment, EvidenceMap};
use crate::defect::DefectType;
use crate::engine::{Contract, Engine, Output};
use crate::model_input::View;
use crate::segment::Instance;

/// Share of a map's pixels whose mean is the item's score: one pixel may err, a region may not.
const TOP_SHARE: f32 = 0.01;

/// Runs the model on one item; `beside` other work, which keeps the other cores busy.
pub(crate) fn assess(engine: &dyn Engine, view: &View<'_>, item: &Instance, beside: bool) -> Result<Assessment, InspectionError> {
    let contract = engine.contract();
    let (crop, input) = view.of(item, [contract.channels, contract.height, contract.width]);
    let output = if beside { engine.run_on_one_core(&input) } else { engine.run(&input) }?;
    Ok(read(contract, crop, &output))
}

/// Scores and places from the output. One class stands for damage of any type and is reported as `superficial`, the
/// type that claims least.
fn read(contract: &Contract, crop: Rect, output: &Output) -> Assessment {
    let mut assessment = Assessment::unknown();
    let size = contract.map.map_or(1, |(h, w)| h * w);
    for (class, values) in output.values.chunks_exact(size.max(1)).enumerate() {
        let slot = slot(contract, class);
        assessment.scores[slot] = top_mean(values);
        assessment.places[slot] = contract.map.map(|(h, w)| EvidenceMap {
            w,
            origin_px: (crop.x as f32, crop.y as f32),
            pitch_px: (crop.w as f32 / w as f32, crop.h as f32 / h as f32),
            values: values.to_vec(),
        });
    }
    if let Some([overall, types @ ..]) = output.scores.as_deref() {
        // The calibrated score is the item's; the types divide it. Where no type claims it, it stands with the one that claims least.
        let most = types.iter().copied().fold(0.0, f32::max);
        if most < 1e-6 {
            let least = DefectType::ALL.iter().position(|k| *k == DefectType::Superficial).unwrap_or(0);
            assessment.scores = Default::default();
            assessment.scores[least] = *overall;
            return assessment;
        }
        for (class, value) in types.iter().enumerate() {
            assessment.scores[slot(contract, class)] = overall * value / most;
        }
    }
    assessment
}

/// Where a class of the model stands among the types.
fn slot(contract: &Contract, class: usize) -> usize {
    let kind = if contract.classes == 1 { DefectType::Superficial } else { DefectType::ALL[class % DefectType::ALL.len()] };
    DefectType::ALL.iter().position(|k| *k == kind).unwrap_or(0)
}

/// Mean of the largest [`TOP_SHARE`] of the values, at least one.
fn top_mean(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let k = ((values.len() as f32 * TOP_SHARE).ceil() as usize).clamp(1, values.len().max(1));
    sorted.iter().take(k).sum::<f32>() / k as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Gives;

    #[test]
    fn maps_pool_to_their_strongest_region() {
        let mut values = vec![0.1; 400];
        values[..4].fill(0.9);
        assert!((top_mean(&values) - 0.9).abs() < 1e-6);
        assert_eq!(top_mean(&[0.4]), 0.4);
    }

    #[test]
    fn the_overall_score_stands_also_where_no_type_claims_it() {
        let contract = Contract { gives: Gives::Damage, channels: 3, height: 8, width: 8, classes: 7, map: None, scores: true };
        let crop = Rect { x: 0, y: 0, w: 8, h: 8 };
        let said = |scores: [f32; 8]| {
            let output = Output { values: vec![0.0; 7], scores: Some(scores.to_vec()) };
            read(&contract, crop, &output).overall()
        };
        assert_eq!(said([0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 0.9);
        assert!((said([0.9, 0.0, 0.2, 0.0, 0.0, 0.1, 0.0, 0.0]) - 0.9).abs() < 1e-6);
        assert_eq!(said([0.0; 8]), 0.0);
    }
}

//! Scores from an ONNX model: cuts the item out as the contract wants it, reads the output back.

use vision::{Rect, RgbdFrame};

use crate::InspectionError;
use crate::damage::{Assessment, EvidenceMap, Relief, behind_hull_m};
use crate::defect::DefectType;
use crate::engine::{Contract, Engine};
use crate::segment::Instance;

/// The crop keeps this share of the item's size around it: matter beside the item belongs to the picture of it.
const MARGIN: f32 = 0.15;
/// Metres behind the hull that the fourth channel shows as 1.
const RESIDUAL_RANGE_M: f32 = 0.05;
/// Share of a map's pixels whose mean is the item's score: one pixel may err, a region may not.
const TOP_SHARE: f32 = 0.01;

/// Runs the model on one item.
pub(crate) fn assess(
    engine: &dyn Engine,
    frame: &RgbdFrame,
    item: &Instance,
    relief: Option<&Relief>,
) -> Result<Assessment, InspectionError> {
    let contract = engine.contract();
    let crop = item.bbox.with_margin(MARGIN, frame.color.width(), frame.color.height());
    let output = engine.run(&input(contract, frame, crop, relief))?;
    Ok(read(contract, crop, &output))
}

/// The crop stretched to the model's size: RGB in [0, 1] (bilinear), then depth behind the hull in [0, 1].
fn input(contract: &Contract, frame: &RgbdFrame, crop: Rect, relief: Option<&Relief>) -> Vec<f32> {
    let (w, h) = (contract.width, contract.height);
    let mut out = vec![0.0f32; contract.channels * w * h];
    let (sx, sy) = (crop.w as f32 / w as f32, crop.h as f32 / h as f32);
    let color = &frame.color;
    let stride = color.width() as usize;
    let (right, low) = ((color.width() - 1) as f32, (color.height() - 1) as f32);
    let residual = relief.filter(|_| contract.channels > 3).map(|r| (r, behind_hull_m(r)));
    let thinning = crate::grid::step_for(color.width()) as f32;
    for y in 0..h {
        let v = (crop.y as f32 + (y as f32 + 0.5) * sy - 0.5).clamp(0.0, low);
        let (y0, fy) = (v as usize, v.fract());
        let y1 = (y0 + 1).min(low as usize);
        for x in 0..w {
            let u = (crop.x as f32 + (x as f32 + 0.5) * sx - 0.5).clamp(0.0, right);
            let (x0, fx) = (u as usize, u.fract());
            let x1 = (x0 + 1).min(right as usize);
            for c in 0..3 {
                let at = |x: usize, y: usize| f32::from(color.data()[(y * stride + x) * 3 + c]) / 255.0;
                let top = at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx;
                let bottom = at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx;
                out[(c * h + y) * w + x] = top * (1.0 - fy) + bottom * fy;
            }
            if let Some((relief, behind)) = &residual {
                let rx = (u / thinning - relief.origin.0 as f32) / relief.stride as f32;
                let ry = (v / thinning - relief.origin.1 as f32) / relief.stride as f32;
                if rx >= 0.0 && ry >= 0.0 && (rx as usize) < relief.w && (ry as usize) < relief.h {
                    let value = behind[ry as usize * relief.w + rx as usize] / RESIDUAL_RANGE_M;
                    out[(3 * h + y) * w + x] = value.clamp(0.0, 1.0);
                }
            }
        }
    }
    out
}

/// Scores and places from the output. One class stands for damage of any type and is reported as `superficial`, the
/// type that claims least.
fn read(contract: &Contract, crop: Rect, output: &[f32]) -> Assessment {
    let mut assessment = Assessment::unknown();
    let size = contract.map.map_or(1, |(h, w)| h * w);
    for (class, values) in output.chunks_exact(size.max(1)).enumerate() {
        let kind = if contract.classes == 1 { DefectType::Superficial } else { DefectType::ALL[class % DefectType::ALL.len()] };
        let slot = DefectType::ALL.iter().position(|k| *k == kind).unwrap_or(0);
        assessment.scores[slot] = top_mean(values);
        assessment.places[slot] = contract.map.map(|(h, w)| EvidenceMap {
            w,
            origin_px: (crop.x as f32, crop.y as f32),
            pitch_px: (crop.w as f32 / w as f32, crop.h as f32 / h as f32),
            values: values.to_vec(),
        });
    }
    assessment
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

    #[test]
    fn maps_pool_to_their_strongest_region() {
        let mut values = vec![0.1; 400];
        values[..4].fill(0.9);
        assert!((top_mean(&values) - 0.9).abs() < 1e-6);
        assert_eq!(top_mean(&[0.4]), 0.4);
    }
}

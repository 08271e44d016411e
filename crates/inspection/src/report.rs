//! The result of an inspection as JSON, as `intact inspect --json` prints it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inspect::Inspection;

/// One inspection for scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Items in decreasing area.
    pub items: Vec<ReportItem>,
    /// Milliseconds per stage.
    pub timings_ms: BTreeMap<String, f32>,
    /// `classical`, or the model file's name and short sha256.
    pub model: String,
    /// What ran it: `none`, `tract` or `ort`.
    pub engine: String,
    /// Above it an item is not sorted.
    pub damage_threshold: f32,
}

/// One item.
#[derive(Clone, Debug, Serialize)]
pub struct ReportItem {
    /// `[x, y, w, h]`, pixels.
    pub bbox: [u32; 4],
    /// Pixels covered.
    pub area_px: u32,
    /// [0, 1].
    pub damage_score: f32,
    /// One entry a type, in the order of Kaputt's types.
    pub defects: Vec<ReportDefect>,
    /// What limits trust.
    pub quality: crate::Quality,
}

/// One defect type of one item.
#[derive(Clone, Debug, Serialize)]
pub struct ReportDefect {
    /// Kaputt's spelling.
    #[serde(rename = "type")]
    pub kind: String,
    /// [0, 1].
    pub score: f32,
    /// `none`, `minor`, `major`.
    pub severity: crate::Severity,
    /// `[x, y, w, h]`, pixels; `null` when the type has no place.
    pub bbox: Option<[u32; 4]>,
}

impl Report {
    /// Puts an inspection and its stage times (milliseconds) into the form for scripts.
    pub fn new(inspection: &Inspection, timings_ms: &[(&str, f32)]) -> Report {
        let rect = |r: vision::Rect| [r.x, r.y, r.w, r.h];
        Report {
            items: inspection
                .items
                .iter()
                .map(|item| ReportItem {
                    bbox: rect(item.bbox),
                    area_px: item.area_px,
                    damage_score: item.damage_score,
                    defects: item
                        .defects
                        .iter()
                        .map(|d| ReportDefect {
                            kind: d.kind.name().to_owned(),
                            score: d.score,
                            severity: d.severity,
                            bbox: d.bbox.map(rect),
                        })
                        .collect(),
                    quality: item.quality,
                })
                .collect(),
            timings_ms: timings_ms.iter().map(|(s, ms)| ((*s).to_owned(), *ms)).collect(),
            model: inspection.model.clone(),
            engine: inspection.engine.to_owned(),
            damage_threshold: inspection.damage_threshold,
        }
    }
}

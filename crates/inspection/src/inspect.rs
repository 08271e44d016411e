//! One frame in, one inspection out.

use vision::{HeatMap, HeightMap, LabelMask, Rect, RgbdFrame};

use crate::InspectionError;
use crate::damage::{self, Assessment, Relief};
use crate::defect::{DEFAULT_DAMAGE_THRESHOLD, Defect};
use crate::embedding::EmbeddingNet;
use crate::finder::ItemFinder;
use crate::heights;
use crate::model_input::View;
use crate::pick::{PickPoint, pick_point, size_m};
use crate::quality::{self, Quality};
use crate::scorer::Models;
use crate::segment::{self, Analysis, EmptyTray, Instance, SegmentationParams, SupportPlane};

/// Settings of an inspection.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectionParams {
    /// How items are found.
    pub segmentation: SegmentationParams,
    /// Above it an item is not sorted; also sets the severities. [0, 1].
    pub damage_threshold: f32,
}

impl Default for InspectionParams {
    fn default() -> Self {
        Self { segmentation: SegmentationParams::default(), damage_threshold: DEFAULT_DAMAGE_THRESHOLD }
    }
}

/// What was seen of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectedItem {
    /// The value of its pixels in the mask.
    pub id: u16,
    /// Bounding box, pixels of the colour image.
    pub bbox: Rect,
    /// Pixels covered.
    pub area_px: u32,
    /// [0, 1]: the largest score of its defects.
    pub damage_score: f32,
    /// One entry a type, in the order of [`crate::DefectType::ALL`].
    pub defects: Vec<Defect>,
    /// What limits trust.
    pub quality: Quality,
    /// Where a suction cup may hold it, camera frame.
    pub pick: Option<PickPoint>,
    /// Extent along its principal axes and above the support, metres; zeros when unknown.
    pub size_m: [f32; 3],
    /// Heights over the support of its box, where depth, support and the camera's intrinsics are known.
    pub heights: Option<HeightMap>,
    /// A vector of unit length by which products are told apart; empty without a network for it.
    pub embedding: Vec<f32>,
}

/// What was seen of one frame.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Items in decreasing area.
    pub items: Vec<InspectedItem>,
    /// Instances, size of the colour image.
    pub mask: LabelMask,
    /// Damage a pixel, [0, 1], size of the colour image.
    pub heatmap: HeatMap,
    /// The largest score of all items; 0 without items.
    pub damage_score: f32,
    /// In force: above it an item is not sorted.
    pub damage_threshold: f32,
    /// Who scored an item at least, as [`Scorer::name`](crate::Scorer::name) says it.
    pub model: String,
    /// `none`, `tract` or `ort`.
    pub engine: &'static str,
    /// The surface under the items.
    pub support: Option<SupportPlane>,
}

/// Inspects frames with one set of parameters and, when given, models that score beside or in place of the classical cues.
#[derive(Clone, Default)]
pub struct Inspector {
    /// Settings.
    pub params: InspectionParams,
    /// What scores beside or in place of classical cues.
    pub models: Models,
    /// What says how items look.
    pub embedding: Option<EmbeddingNet>,
    /// What finds items where there is neither depth nor a picture of the empty tray.
    pub finder: Option<ItemFinder>,
}

/// Inspects one frame with classical cues.
///
/// `background` is the empty tray through the same camera; items are found better with it, and matter beside an item
/// only with it.
///
/// # Errors
/// When the pictures differ in size.
pub fn inspect(frame: &RgbdFrame, background: Option<&EmptyTray>, params: &InspectionParams) -> Result<Inspection, InspectionError> {
    Inspector { params: params.clone(), ..Inspector::default() }.inspect(frame, background, &mut |_| ())
}

impl Inspector {
    /// Inspects one frame; `on_stage` is told the name of each stage as it ends (`segment`, `score`, `finish`), so that
    /// callers with a clock can time them.
    ///
    /// # Errors
    /// When the pictures differ in size, or the model fails.
    pub fn inspect(
        &self,
        frame: &RgbdFrame,
        background: Option<&EmptyTray>,
        on_stage: &mut dyn FnMut(&'static str),
    ) -> Result<Inspection, InspectionError> {
        let found = segment::analyse(frame, background, &self.params.segmentation, self.finder.as_ref())?;
        on_stage("segment");
        let (width, height) = (frame.color.width(), frame.color.height());
        let mut heatmap = HeatMap::new(width, height, vec![0.0; width as usize * height as usize]).map_err(|_| InspectionError::Empty)?;
        let suspect = quality::is_depth_unit_suspect(frame);
        let mut items = Vec::with_capacity(found.segmentation.instances.len());
        // Of a frame without items too it is said who would have scored them.
        let mut scorer = self.models.of(found.segmentation.used_depth);
        for instance in &found.segmentation.instances {
            let quality_of = || quality::of_item(frame, &found.segmentation, instance, suspect);
            // What takes longest is begun first.
            let ((relief, assessment), (embedding, quality)) = rayon::join(
                || self.assess(frame, &found, instance),
                || rayon::join(|| self.embed(frame, &found.segmentation.mask, instance), quality_of),
            );
            let assessment = assessment?;
            if scorer.network().is_none() {
                scorer = self.models.of(relief.is_some());
            }
            assessment.draw(&mut heatmap);
            let support = found.segmentation.support.as_ref();
            // Without intrinsics metres are a guess, and a robot must not act on guesses.
            let measured = relief.as_ref().filter(|_| frame.intrinsics.is_some());
            items.push(InspectedItem {
                id: instance.id,
                bbox: instance.bbox,
                area_px: instance.area_px,
                damage_score: assessment.overall(),
                defects: assessment.defects(self.params.damage_threshold),
                quality,
                pick: measured.and_then(|r| pick_point(&found.cells, r, support)),
                size_m: measured.map_or([0.0; 3], |r| size_m(&found.cells, r, support)),
                heights: measured.and(support).and_then(|_| heights::of_item(&found.cells, instance)),
                embedding: embedding?,
            });
        }
        on_stage("score");
        let inspection = Inspection {
            damage_score: items.iter().map(|i| i.damage_score).fold(0.0, f32::max),
            items,
            mask: found.segmentation.mask,
            heatmap,
            damage_threshold: self.params.damage_threshold,
            model: scorer.name(),
            engine: scorer.engine(),
            support: found.segmentation.support,
        };
        on_stage("finish");
        Ok(inspection)
    }
}

impl Inspector {
    fn embed(&self, frame: &RgbdFrame, mask: &LabelMask, instance: &Instance) -> Result<Vec<f32>, InspectionError> {
        let (Some(net), Some(color), Some(labels)) = (&self.embedding, frame.color.crop(instance.bbox), mask.crop(instance.bbox)) else {
            return Ok(Vec::new());
        };
        let foreground: Vec<u8> = labels.data().iter().map(|l| u8::from(*l == instance.id)).collect();
        net.embed(&color, &foreground)
    }
    /// The relief of one item, when it has depth, and its scores.
    fn assess(&self, frame: &RgbdFrame, found: &Analysis, item: &Instance) -> (Option<Relief>, Result<Assessment, InspectionError>) {
        let relief = Relief::of(&found.cells, item.id).filter(|_| !item.see_through);
        let view = View { frame, mask: &found.segmentation.mask, cells: &found.cells, relief: relief.as_ref() };
        let assessment = self.models.of(relief.is_some()).assess(&view, item);
        (relief, assessment)
    }
}

/// The cues ([`crate::CUE_NAMES`]) of every item with depth, with its label in the mask: what the trees of the classical
/// scorer are fitted to.
///
/// # Errors
/// When the pictures differ in size.
pub fn measure_cues(
    frame: &RgbdFrame,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
) -> Result<Vec<(u16, Vec<f32>)>, InspectionError> {
    let found = segment::analyse(frame, background, params, None)?;
    Ok(found
        .segmentation
        .instances
        .iter()
        .filter(|i| !i.see_through)
        .filter_map(|i| Some((i.id, damage::measure(&Relief::of(&found.cells, i.id)?).to_vec())))
        .collect())
}

//! Where an item differs from the references of its product.

use std::sync::Arc;

use nalgebra::Matrix3;
use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Scalar, Size, Vector};
use opencv::imgproc;
use vision::{ColorImage, HeatMap, Rect};

use crate::additions::labels;
use crate::consensus::Consensus;
use crate::difference::difference;
use crate::findings::{Finding, FindingKind, findings};
use crate::gallery::Reference;
use crate::identify::{LookAt, glance, match_view};
use crate::light::relit;
use crate::pair::Pair;
use crate::register::{Displacement, MIN_AGREEING, homography, warped};
use crate::relief::{Relief, heights, relief};
use crate::shape::{Outline, outline};
use crate::{Gallery, Item, MatchError, cv};

/// Anomaly scores above it are not what intact items show; chosen on `examples/booth_exam.rs` (see the README).
pub const ANOMALY_THRESHOLD: f32 = 0.5;
/// Misalignment that is forgiven, pixels at the working size.
const TOLERANCE_PX: i32 = 2;
/// Rim of the item that is not compared, pixels at the working size: masks and registration are least sure there.
const RIM_PX: i32 = 6;
/// A reference is trusted this far beyond its agreeing features, as a share of the item's longer side.
const REACH: f32 = 0.06;
/// The score is the mean difference over the worst part of this share of the item …
const WORST_SHARE: f32 = 0.025;
/// … but never of fewer pixels, at the working size.
const WORST_MIN_PX: usize = 60;
/// Mean difference of the worst part at which the score is one half.
const HALF_SCORE: f32 = 0.5;
/// What a label that the reference lacks raises the score to: seen, and not alarming by itself.
const LABEL_SCORE: f32 = 0.4;
/// What another outline raises the score to at most: walls come into view, and masks are not sure.
const OUTLINE_SCORE: f32 = 0.4;
/// What other heights raise the score to at most.
const RELIEF_SCORE: f32 = 1.0;
/// Heights are compared where the reference shows so much of the item.
const MOST_ALIKE: f32 = 0.5;
/// A placement is trusted when this share of its features lies on one plane, a face, …
const FLAT: f32 = 0.8;
/// … and this share of all features in view agrees.
const AGREED: f32 = 0.09;
/// What is less flat is trusted when this share of all features in view agrees, and it is not round ([`MIN_FLAT`]):
/// a bottle that lies on another side shows other print, which no warp brings to the reference.
const WELL_AGREED: f32 = 0.2;
const MIN_FLAT: f32 = 0.6;
/// Less of the item compared than this says nothing about it.
const MIN_COVERAGE: f32 = 0.35;
/// When so much of the item was compared with its best view, and the score is no more than this, the other views, which
/// could only lower it, are not tried.
const FINE_COVERAGE: f32 = 0.55;
const FINE_SCORE: f32 = 0.25;

/// How an item differs from the references of one product.
#[derive(Clone, Debug)]
pub struct Discrepancy {
    /// Difference a pixel of the item's cutout, [0, 1]; 0 also where nothing could be compared.
    pub map: HeatMap,
    /// 255 where the item could be compared, 0 elsewhere; a byte a pixel of the cutout. Under a label it could not.
    pub compared: Vec<u8>,
    /// [0, 1]; above [`ANOMALY_THRESHOLD`] the item is not what intact ones look like.
    pub score: f32,
    /// [0, 1]: how far its heights over the support are from the reference's; `None`: one of the two has none, or too few meet.
    pub shape_score: Option<f32>,
    /// Share of the item that could be compared, [0, 1]. What was not compared is not fine, it is unknown.
    pub coverage: f32,
    /// Of the item's features inside the compared region, the share that lies where the reference has it, [0, 1].
    pub agreement: f32,
    /// Share of the agreeing features that lie on one plane, [0, 1].
    pub flatness: f32,
    /// How far that reference is turned in the item's view, radians, clockwise in the picture.
    pub turn_rad: f32,
    /// Where it differs, largest first.
    pub findings: Vec<Finding>,
    /// The reference that shows the item best, `<product>/<picture>`.
    pub reference: String,
    /// That reference in the item's view and size, in its own light; black where it shows nothing.
    pub registered: ColorImage,
    /// The item beside it, for a network to look at.
    pub pair: Pair,
}

/// Where the highest damage in the box of a change is no more than this, the change is harmless.
const HARMLESS: f32 = 0.3;
/// A region is explained by the reference when at least this share of it could be compared …
const EXPLAINED_COMPARED: f32 = 0.5;
/// … and differs by no more than this there on average.
const EXPLAINED_DIFFERENCE: f32 = 0.15;

impl Discrepancy {
    /// Calls changes additions where `damage` (of the item beside its reference, over the input of [`Pair`]) is low: tape, a label, writing.
    pub fn settle(&mut self, damage: &HeatMap) {
        let changed = self.findings.iter_mut().filter(|f| f.kind == FindingKind::ChangedRegion);
        changed.filter(|f| self.pair.worst(damage, f.bbox) <= HARMLESS).for_each(|f| f.kind = FindingKind::Addition);
    }

    /// The share, by weight, of where `damage` (a value a pixel of the cutout) is at least half its highest that stands beside the reference:
    /// compared, or a label that the reference lacks (the map shows it). [0, 1]; 0 of a map that is nowhere above 0.
    pub fn beside_reference(&self, damage: &HeatMap) -> f32 {
        if damage.data().len() != self.compared.len() {
            return 0.0;
        }
        let half = damage.data().iter().copied().fold(0.0, f32::max) / 2.0;
        let places = damage.data().iter().zip(&self.compared).zip(self.map.data());
        let (mut beside, mut all) = (0.0, 0.0);
        for ((d, compared), difference) in places.filter(|((d, _), _)| **d > 0.0 && **d >= half) {
            all += d;
            beside += if *compared > 0 || *difference > 0.0 { *d } else { 0.0 };
        }
        if all > 0.0 { beside / all } else { 0.0 }
    }

    /// Whether the item shows in `region` what its reference shows there: what perception took for damage is on the pristine
    /// print too. Both rectangles are pixels of the picture; `cutout` says where the item was cut out of it.
    pub fn explains(&self, region: Rect, cutout: Rect) -> bool {
        let width = self.map.width();
        // The part of a side of the region that lies in the cutout, from the cutout's own corner. Regions come from other nodes.
        let part = |from: u32, len: u32, corner: u32, size: u32| {
            from.saturating_sub(corner).min(size)..from.saturating_add(len).saturating_sub(corner).min(size)
        };
        let columns = part(region.x, region.w, cutout.x, width);
        let rows = part(region.y, region.h, cutout.y, self.map.height());
        let (mut compared, mut sum) = (0u32, 0f32);
        for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
            let at = (y * width + x) as usize;
            if self.compared.get(at).is_some_and(|c| *c > 0) {
                compared += 1;
                sum += self.map.data().get(at).copied().unwrap_or(0.0);
            }
        }
        let area = region.w as f32 * region.h as f32;
        area > 0.0 && compared as f32 >= EXPLAINED_COMPARED * area && sum <= EXPLAINED_DIFFERENCE * compared as f32
    }
}

/// One reference laid over the item, at the working size.
struct Comparison {
    map: Mat,
    compared: Mat,
    registered: Mat,
    /// The same in the item's light.
    relit: Mat,
    compared_px: usize,
    agreement: f32,
    flatness: f32,
    turn_rad: f32,
    /// `None`: the reference was seen from another side.
    outline: Option<Outline>,
    /// `None`: that, or one of the two has no heights.
    relief: Option<Relief>,
}

impl Comparison {
    /// A face that lies where its features say, or something soft most of whose features agree.
    fn is_trusted(&self) -> bool {
        (self.flatness >= FLAT && self.agreement >= AGREED) || (self.flatness >= MIN_FLAT && self.agreement >= WELL_AGREED)
    }
}

/// The item at the working size.
struct Scaled {
    rgb: Mat,
    gray: Mat,
    mask: Mat,
    /// Millimetres over the support; 0 unknown.
    heights: Option<Mat>,
    /// Working pixels per cutout pixel.
    scale: f64,
    area_px: usize,
}

impl Gallery {
    /// Compares the item with the references of `product`. `None` when the product is not enrolled, or none of its
    /// references could be laid over the item: then nothing is known, and nothing is fine.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn compare(&self, item: &Item, product: &str) -> Result<Option<Discrepancy>, MatchError> {
        let views = self.views(item, product);
        let scaled = Scaled::of(item, self.options().compare_px)?;
        let mut merged = Merged::new(&scaled);
        let (first, rest) = views.split_at(views.len().min(1));
        for reference in first {
            merged.add(compare_view(item, &scaled, reference)?, reference)?;
        }
        let has_heights = |r: &&Reference| r.cutout.heights().is_some() && !r.is_partial;
        // A picture may be fine, and the thing pressed in all the same; heights of round things are never compared.
        let is_open_yet = first.iter().any(|r| !has_heights(r)) || merged.best.as_ref().is_none_or(|(best, _)| best.flatness >= FLAT);
        let is_shape_open = scaled.heights.is_some() && merged.relief.is_none() && is_open_yet && rest.iter().any(has_heights);
        if is_shape_open || !merged.is_fine(&scaled)? {
            for compared in side_by_side(rest, |reference| compare_view(item, &scaled, reference)) {
                let (comparison, reference) = compared?;
                merged.add(comparison, reference)?;
            }
        }
        merged.finish(item, &scaled)
    }

    /// The views of `product` that resemble the item most at first look, best first.
    fn views(&self, item: &Item, product: &str) -> Vec<&Reference> {
        let asked = self.references.iter().map(Arc::as_ref).filter(|r| r.product == product);
        let mut views: Vec<(f32, &Reference)> = asked.map(|r| (glance(item, r, self.options()), r)).collect();
        views.sort_by(|(a, ra), (b, rb)| b.total_cmp(a).then(ra.name.cmp(&rb.name)));
        views.truncate(self.options().compared_references);
        views.into_iter().map(|(_, r)| r).collect()
    }
}

/// Applies `work` to all of `inputs`, each on its own thread; the order of the results is that of the inputs.
fn side_by_side<I: Sync, O: Send>(inputs: &[I], work: impl Fn(&I) -> Result<O, MatchError> + Sync) -> Vec<Result<(O, &I), MatchError>> {
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = inputs.iter().map(|input| (input, scope.spawn(move || work(input)))).collect();
        running
            .into_iter()
            .map(|(input, thread)| match thread.join() {
                Ok(result) => result.map(|output| (output, input)),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

impl Scaled {
    fn of(item: &Item, compare_px: u32) -> Result<Self, MatchError> {
        let (width, height) = (item.cutout.color().width(), item.cutout.color().height());
        let scale = (f64::from(compare_px) / f64::from(width.max(height))).min(1.0);
        let (w, h) = (((f64::from(width) * scale).round() as i32).max(1), ((f64::from(height) * scale).round() as i32).max(1));
        let rgb = cv::resized(&cv::from_color(item.cutout.color())?, w, h)?;
        let mask = cv::resized_mask(&cv::from_bytes(width, height, item.cutout.foreground())?, w, h)?;
        let area_px = opencv::core::count_non_zero(&mask)? as usize;
        let heights = heights(&item.cutout, Size::new(w, h))?;
        Ok(Self { gray: cv::gray(&rgb)?, rgb, mask, heights, scale, area_px })
    }

    fn size(&self) -> Size {
        Size::new(self.rgb.cols(), self.rgb.rows())
    }
}

/// Lays one reference over the item and takes the difference where both show the same part. `None`: it cannot be laid.
fn compare_view(item: &Item, scaled: &Scaled, reference: &Reference) -> Result<Option<Comparison>, MatchError> {
    let found = match_view(item, reference, LookAt::All).filter(|c| c.pairs.len() >= MIN_AGREEING);
    let Some(consensus) = &found else { return Ok(None) };
    let tolerance_px = 3.0 / scaled.scale;
    let (cutout_from_reference, flatness) = homography(consensus, &item.features, &reference.features, tolerance_px)?;
    let work_from_cutout = Matrix3::new_scaling(scaled.scale);
    let work_from_reference = work_from_cutout * cutout_from_reference;
    // A reference that is part of a thing, or a picture without a mask, has no outline of its own.
    let has_outline = item.cutout.is_cut_out() && reference.cutout.is_cut_out() && !reference.is_partial;
    let outline = if has_outline { outline(&scaled.mask, &reference.cutout, &work_from_reference)? } else { None };
    let (rgb, mask) = laid_over(reference, &work_from_reference, scaled.size())?;
    let trusted = trusted_region(item, scaled, consensus)?;
    let inside = both(&[&scaled.mask, &mask, &trusted])?;

    let refined = Displacement::between(&scaled.gray, &cv::gray(&rgb)?, &inside)?;
    let registered = refined.apply(&rgb, imgproc::INTER_LINEAR)?;
    let mask = refined.apply(&mask, imgproc::INTER_NEAREST)?;
    let rim = both(&[&cv::eroded_mask(&scaled.mask, RIM_PX)?, &cv::eroded_mask(&mask, RIM_PX)?, &trusted])?;

    let in_its_light = relit(&scaled.rgb, &registered, &rim)?;
    let mut map = difference(&scaled.rgb, &in_its_light, TOLERANCE_PX)?;
    for (d, m) in map.data_typed_mut::<f32>()?.iter_mut().zip(rim.data_bytes()?) {
        if *m == 0 {
            *d = 0.0;
        }
    }
    let compared_px = opencv::core::count_non_zero(&rim)? as usize;
    let relief = match &scaled.heights {
        // Of a round thing that lies turned only a part shows the same print, and the rest is not where it says.
        Some(heights) if has_outline && flatness >= FLAT && compared_px as f32 >= MOST_ALIKE * scaled.area_px as f32 => {
            relief(heights, &scaled.mask, &reference.cutout, &work_from_reference)?
        }
        _ => None,
    };
    let agreement = agreement(item, scaled, consensus, &rim)?;
    let turn_rad = cutout_from_reference[(1, 0)].atan2(cutout_from_reference[(0, 0)]) as f32;
    Ok(Some(Comparison {
        map,
        compared: rim,
        registered,
        relit: in_its_light,
        compared_px,
        agreement,
        flatness,
        turn_rad,
        outline,
        relief,
    }))
}

/// The reference's colours and mask in the item's view; shrunk by area first, so that fine print does not alias.
fn laid_over(reference: &Reference, work_from_reference: &Matrix3<f64>, size: Size) -> Result<(Mat, Mat), MatchError> {
    let (width, height) = (reference.cutout.color().width(), reference.cutout.color().height());
    let linear = work_from_reference.fixed_view::<2, 2>(0, 0).determinant().abs().sqrt();
    let shrink = linear.clamp(0.05, 1.0);
    let (w, h) = (((f64::from(width) * shrink).round() as i32).max(1), ((f64::from(height) * shrink).round() as i32).max(1));
    let source = if w.max(h) <= reference.small.longer_px() as i32 { &reference.small } else { &reference.cutout };
    let rgb = cv::resized(&cv::from_color(source.color())?, w, h)?;
    let mask = cv::resized_mask(&cv::from_bytes(source.color().width(), source.color().height(), source.foreground())?, w, h)?;
    let reference_from_shrunk =
        Matrix3::new_nonuniform_scaling(&nalgebra::Vector2::new(f64::from(width) / f64::from(w), f64::from(height) / f64::from(h)));
    let work_from_shrunk = work_from_reference * reference_from_shrunk;
    Ok((warped(&rgb, &work_from_shrunk, size, imgproc::INTER_LINEAR)?, warped(&mask, &work_from_shrunk, size, imgproc::INTER_NEAREST)?))
}

/// The convex hull of the agreeing features, grown by [`REACH`]: beyond it another face may begin.
fn trusted_region(item: &Item, scaled: &Scaled, consensus: &Consensus) -> Result<Mat, MatchError> {
    let at = |v: f32| (f64::from(v) * scaled.scale).round() as i32;
    let places = consensus.pairs.iter().filter_map(|p| item.features.places.get(p.item as usize));
    let points: Vector<Point> = places.map(|p| Point::new(at(p.x), at(p.y))).collect();
    let mut hull = Vector::<Point>::new();
    imgproc::convex_hull_def(&points, &mut hull)?;
    let mut region = Mat::new_rows_cols_with_default(scaled.rgb.rows(), scaled.rgb.cols(), CV_8UC1, Scalar::all(0.0))?;
    imgproc::fill_convex_poly_def(&mut region, &hull, Scalar::all(255.0))?;
    let reach_px = (REACH * scaled.rgb.cols().max(scaled.rgb.rows()) as f32) as i32;
    let mut grown = Mat::default();
    // A square grows at a cost that does not depend on its size.
    let square = imgproc::get_structuring_element_def(imgproc::MORPH_RECT, Size::new(2 * reach_px + 1, 2 * reach_px + 1))?;
    imgproc::dilate_def(&region, &mut grown, &square)?;
    Ok(grown)
}

/// Share of the item's features inside `region` that are part of the consensus.
fn agreement(item: &Item, scaled: &Scaled, consensus: &Consensus, region: &Mat) -> Result<f32, MatchError> {
    let (pixels, size) = (region.data_bytes()?, scaled.size());
    let inside = |x: f32, y: f32| {
        let at = |v: f32, end: i32| ((f64::from(v) * scaled.scale) as i32).clamp(0, end - 1);
        pixels.get((at(y, size.height) * size.width + at(x, size.width)) as usize).is_some_and(|m| *m > 0)
    };
    let all = item.features.places.iter().filter(|p| inside(p.x, p.y)).count();
    let agreeing = consensus.pairs.iter().filter_map(|p| item.features.places.get(p.item as usize)).filter(|p| inside(p.x, p.y)).count();
    Ok(agreeing as f32 / all.max(1) as f32)
}

fn both(masks: &[&Mat]) -> Result<Mat, MatchError> {
    let Some((first, rest)) = masks.split_first() else { return Ok(Mat::default()) };
    let mut out = (*first).clone();
    for mask in rest {
        let mut and = Mat::default();
        opencv::core::bitwise_and_def(&out, *mask, &mut and)?;
        out = and;
    }
    Ok(out)
}

/// What the comparisons so far say together: a pixel is as different as from the reference that resembles it most; it is
/// compared when any reference shows it.
struct Merged {
    map: Vec<f32>,
    compared: Vec<u8>,
    /// The comparison that shows most of the item.
    best: Option<(Comparison, String)>,
    /// The outline of the reference that fits best.
    outline: Option<Outline>,
    /// The heights of the reference that fits best.
    relief: Option<Relief>,
}

/// What is left of the item once labels are taken out, and how far it differs.
struct Judgement {
    compared: Vec<u8>,
    /// 255 under labels.
    labels: Vec<u8>,
    coverage: f32,
    score: f32,
}

impl Merged {
    fn new(scaled: &Scaled) -> Self {
        let n = (scaled.size().width * scaled.size().height) as usize;
        Self { map: vec![f32::INFINITY; n], compared: vec![0; n], best: None, outline: None, relief: None }
    }

    fn add(&mut self, comparison: Option<Comparison>, reference: &Reference) -> Result<(), MatchError> {
        let Some(comparison) = comparison.filter(Comparison::is_trusted) else { return Ok(()) };
        let values = comparison.map.data_typed::<f32>()?.iter().zip(comparison.compared.data_bytes()?);
        for ((m, c), (d, inside)) in self.map.iter_mut().zip(&mut self.compared).zip(values) {
            if *inside > 0 {
                (*m, *c) = (m.min(*d), 255);
            }
        }
        if let Some(outline) = &comparison.outline
            && self.outline.as_ref().is_none_or(|best| outline.share() < best.share())
        {
            self.outline = Some(outline.clone());
        }
        if let Some(relief) = &comparison.relief
            && self.relief.as_ref().is_none_or(|best| relief.score() < best.score())
        {
            self.relief = Some(relief.clone());
        }
        if self.best.as_ref().is_none_or(|(best, _)| comparison.compared_px > best.compared_px) {
            self.best = Some((comparison, reference.full_name()));
        }
        Ok(())
    }

    /// True when more views would not matter: most of the item was compared, and it differs nowhere.
    fn is_fine(&self, scaled: &Scaled) -> Result<bool, MatchError> {
        if self.best.is_none() {
            return Ok(false);
        }
        let (_, judgement) = self.judge(scaled)?;
        Ok(judgement.coverage >= FINE_COVERAGE && judgement.score <= FINE_SCORE)
    }

    /// The map with 0 where nothing was compared, and what it says.
    fn judge(&self, scaled: &Scaled) -> Result<(Vec<f32>, Judgement), MatchError> {
        let map: Vec<f32> = self.map.iter().map(|m| if m.is_finite() { *m } else { 0.0 }).collect();
        let mut compared = self.compared.clone();
        let labels = take_out_labels(scaled, &map, &mut compared)?;
        let labelled = labels.iter().any(|l| *l > 0);
        let compared_px = compared.iter().filter(|c| **c > 0).count();
        let coverage = compared_px as f32 / scaled.area_px.max(1) as f32;
        let outline = self.outline.as_ref().map_or(0.0, Outline::score).min(OUTLINE_SCORE);
        let relief = self.relief.as_ref().map_or(0.0, Relief::score).min(RELIEF_SCORE);
        let score = score(&map, &compared, compared_px).max(if labelled { LABEL_SCORE } else { 0.0 }).max(outline).max(relief);
        Ok((map, Judgement { compared, labels, coverage, score }))
    }

    fn finish(self, item: &Item, scaled: &Scaled) -> Result<Option<Discrepancy>, MatchError> {
        let (map, Judgement { compared, labels, coverage, score }) = self.judge(scaled)?;
        let (outline, shape_score) = (self.outline.unwrap_or_default(), self.relief.as_ref().map(Relief::score));
        let relief = self.relief.unwrap_or_default();
        let Some((best, reference)) = self.best.filter(|_| coverage >= MIN_COVERAGE) else { return Ok(None) };
        let (width, height) = (item.cutout.color().width(), item.cutout.color().height());
        let (rows, cols) = (scaled.size().height, scaled.size().width);
        let mut grown = Mat::default();
        let at_work = Mat::new_rows_cols_with_data(rows, cols, &map)?;
        imgproc::resize(&at_work, &mut grown, Size::new(width as i32, height as i32), 0.0, 0.0, imgproc::INTER_LINEAR)?;
        let mut found = findings(&map, &labels, scaled.size(), scaled.scale, (width, height))?;
        found.extend(outline.findings(scaled.scale, (width, height)));
        found.extend(relief.findings(scaled.scale, (width, height)));
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let pair = Pair::of(&scaled.rgb, &best.relit, &map, &compared, (width, height))?;
        let compared = cv::resized_mask(&cv::from_bytes(cols as u32, rows as u32, &compared)?, width as i32, height as i32)?;
        Ok(Some(Discrepancy {
            map: HeatMap::new(width, height, grown.data_typed::<f32>()?.to_vec())?,
            compared: compared.data_bytes()?.to_vec(),
            score,
            shape_score,
            coverage: coverage.min(1.0),
            findings: found,
            agreement: best.agreement,
            flatness: best.flatness,
            turn_rad: best.turn_rad,
            reference,
            registered: cv::to_color(&cv::resized(&best.registered, width as i32, height as i32)?)?,
            pair,
        }))
    }
}

/// What lies under a label that the reference lacks was not compared; 255 there in the answer. The map keeps it.
fn take_out_labels(scaled: &Scaled, map: &[f32], compared: &mut [u8]) -> Result<Vec<u8>, MatchError> {
    let (rows, cols) = (scaled.size().height, scaled.size().width);
    let map = Mat::new_rows_cols_with_data(rows, cols, map)?.try_clone()?;
    let labels = labels(&scaled.rgb, &map, &scaled.mask, scaled.area_px)?.data_bytes()?.to_vec();
    compared.iter_mut().zip(&labels).filter(|(_, l)| **l > 0).for_each(|(c, _)| *c = 0);
    Ok(labels)
}

/// The mean over the worst part, through a curve that is one half at [`HALF_SCORE`]: one dent on a large carton counts as
/// much as on a small one, a few noisy pixels do not.
fn score(map: &[f32], compared: &[u8], compared_px: usize) -> f32 {
    let mut values: Vec<f32> = map.iter().zip(compared).filter(|(_, c)| **c > 0).map(|(m, _)| *m).collect();
    let worst = ((compared_px as f32 * WORST_SHARE) as usize).max(WORST_MIN_PX).min(values.len());
    if worst == 0 {
        return 0.0;
    }
    let (top, ..) = values.select_nth_unstable_by(worst - 1, |a, b| b.total_cmp(a));
    let mean = top.iter().sum::<f32>() / worst as f32;
    mean * mean / (mean * mean + HALF_SCORE * HALF_SCORE)
}

//! One sample in, its scores out: the same inspection and judgement as in the cell. Its product is given, not recognised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use captures::{load_color, load_rgbd};
use datasets::{Format, Reference, Sample, Shared, SharedCamera};
use disposition::Policy;
use evaluation::{Localisation, LocalisationScore};
use inspection::{Comparer, EmptyTray, InspectedItem, Inspection, Inspector, overlay};
use matching::{ANOMALY_THRESHOLD, CUTOUT_MARGIN, Cutout, Gallery, GalleryOptions, Picture, Posed};
use vision::{ColorImage, HeatMap, Rect, RgbdFrame};

use super::super::beside::rejudge;
use super::super::crops::empty_trays;

/// The product under which a sample's references are enrolled.
pub(crate) const PRODUCT: &str = "item";

/// What was found in one sample.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// What the policy acts on, [0, 1]: above the threshold the item is not sorted.
    pub score: f32,
    /// What scored the damage and what ran it, `classical`, `damage.onnx@0123abcd (tract)`.
    pub scorer: String,
    /// False: no item was found in the picture.
    pub found: bool,
    /// Of the scorer, [0, 1].
    pub damage: f32,
    /// Of the comparison with references, [0, 1]; `None` when nothing could be compared.
    pub anomaly: Option<f32>,
    /// The scorer's damage judged again beside the reference, [0, 1]; `None` when nothing could be compared.
    pub rejudged: Option<f32>,
    /// Share of the item that could be compared, [0, 1].
    pub coverage: f32,
    /// Intersection over union of the found item with the true one; `None` without truth.
    pub item_iou: Option<f32>,
    /// Inspection and comparison, milliseconds.
    pub ms: f32,
}

/// Judges samples one after another.
pub(crate) struct Judge {
    inspector: Inspector,
    /// `None`: nothing is compared.
    comparer: Option<Comparer>,
    /// Of a sample's references so many are used, as [`chosen`] says which.
    most_references: usize,
    format: Format,
    /// Of each camera of the set.
    trays: Vec<EmptyTray>,
    cameras: Vec<[f64; 4]>,
    /// The references of the last sample, which the next one often shares.
    gallery: Option<Enrolled>,
    localisation: Localisation,
    localised: bool,
}

/// What a sample differs in from its references.
struct Anomaly {
    /// [0, 1].
    score: f32,
    /// Share of the item that was compared, [0, 1].
    coverage: f32,
    /// Damage beside the reference, [0, 1]; `None` when none was laid over the sample.
    rejudged: Option<f32>,
    /// Where, [0, 1]; `None` when nothing was registered nor judged by patches.
    map: Option<HeatMap>,
    /// The part of the picture that the map covers.
    rect: Rect,
}

/// The references of a sample, enrolled.
struct Enrolled {
    references: Arc<[Reference]>,
    gallery: Gallery,
    /// Pictures that are taken alike, as MVTec's are; `None` of a few references.
    posed: Option<Judges>,
}

/// What judges pictures that are taken alike.
struct Judges {
    posed: Posed,
    usual: Usual,
}

/// The most that the others say of pristine pictures that were kept back: what they say beyond it counts.
#[derive(Default)]
struct Usual {
    /// How far they differ from the references; `None` when most could not be compared, and chance decides which can.
    differs: Option<f32>,
    damage: f32,
}

/// References enrolled of a folder of pictures that are taken alike; more take memory and time, and add little.
const MOST_POSED: usize = 240;
/// References kept back to learn what is usual, when there are twice as many and more.
const KEPT_BACK: usize = 12;

impl Judge {
    pub fn new(root: &Path, format: Format, shared: Option<Shared>, inspector: Inspector, comparer: Option<Comparer>) -> Result<Judge> {
        let most_references = usize::MAX;
        let trays = shared.as_ref().map_or_else(|| Ok(Vec::new()), |s| empty_trays(root, s))?;
        let cameras = shared.iter().flat_map(|s| &s.cameras).map(SharedCamera::fx_fy_cx_cy).collect();
        Ok(Judge {
            inspector,
            comparer,
            most_references,
            format,
            trays,
            cameras,
            gallery: None,
            localisation: Localisation::default(),
            localised: false,
        })
    }

    /// Uses no more than `most` references of a sample.
    pub fn with_most_references(self, most: usize) -> Judge {
        Judge { most_references: most, ..self }
    }

    /// Figures of the maps so far; `None` without true masks.
    pub fn localisation(&self) -> Option<LocalisationScore> {
        self.localised.then(|| self.localisation.score())
    }

    /// Reads one sample's pictures.
    pub fn load(&self, sample: &Sample) -> Result<RgbdFrame> {
        let depth = sample.depth.as_ref().map(|d| (d.path.as_path(), d.unit_m));
        Ok(load_rgbd(&sample.color, depth, sample.fx_fy_cx_cy.or(self.cameras.get(sample.camera).copied()))?)
    }

    fn inspect(&mut self, sample: &Sample, frame: &RgbdFrame) -> Result<Inspection> {
        self.inspector.params.segmentation.one_item = sample.one_item;
        Ok(self.inspector.inspect(frame, self.trays.get(sample.camera), &mut |_| ())?)
    }

    /// Judges one sample by the pictures that [`Judge::load`] read.
    pub fn judge(&mut self, sample: &Sample, frame: &RgbdFrame) -> Result<Verdict> {
        self.enrol(sample)?;
        let from = Instant::now();
        let inspection = self.inspect(sample, frame)?;
        let own = own_item(sample, &inspection)?.or_else(|| inspection.items.iter().max_by_key(|i| i.area_px));
        let compared = self.compare(frame, &inspection, own)?;
        let ms = from.elapsed().as_secs_f32() * 1e3;
        let damage = damage_of(sample, &inspection)?;
        let posed = self.gallery.as_ref().and_then(|e| e.posed.as_ref());
        // Of pictures that are taken alike others know more: the scorer counts where it alarms, and does so on no pristine one.
        let counts = posed.is_none_or(|judges| damage > judges.usual.damage.max(self.inspector.params.damage_threshold));
        let anomaly = compared.as_ref().map(|a| a.score);
        // A higher score elsewhere in the picture is not the item's to explain, as in the cell.
        let is_its_own = own.is_some_and(|item| damage <= item.damage_score + 1e-4);
        let rejudged = compared.as_ref().and_then(|a| a.rejudged).filter(|_| is_its_own);
        // What was judged again beside the reference has been weighed: only an anomaly that decides by itself adds to it.
        let decides = anomaly.filter(|a| rejudged.is_none() || *a > Policy::default().anomaly_threshold);
        self.localise(sample, &inspection, compared.as_ref())?;
        Ok(Verdict {
            score: policy_score(if counts { rejudged.unwrap_or(damage) } else { 0.0 }, decides, self.inspector.params.damage_threshold),
            scorer: if inspection.engine == "none" {
                inspection.model.clone()
            } else {
                format!("{} ({})", inspection.model, inspection.engine)
            },
            found: !inspection.items.is_empty(),
            damage,
            anomaly,
            rejudged,
            coverage: compared.as_ref().map_or(0.0, |a| a.coverage),
            item_iou: item_iou(sample, &inspection, own)?,
            ms,
        })
    }

    /// Makes the gallery of the sample's references, when it is not that of the last sample.
    fn enrol(&mut self, sample: &Sample) -> Result<()> {
        if sample.references.is_empty() {
            // Another sample's references say nothing of this one.
            self.gallery = None;
        }
        if self.comparer.is_none()
            || sample.references.is_empty()
            || self.gallery.as_ref().is_some_and(|e| e.references == sample.references)
        {
            return Ok(());
        }
        let is_posed = self.format == Format::Mvtec;
        let chosen = chosen(sample.references.len(), self.most_references, self.format).filter_map(|k| sample.references.get(k));
        let pictures: Vec<Picture> = chosen.enumerate().map(|(n, r)| pristine(n, r, is_posed)).collect::<Result<_>>()?;
        let cutouts: Vec<Cutout> = if is_posed { pictures.iter().map(|p| p.cutout.clone()).collect() } else { Vec::new() };
        // The cell compares as it finds its items; pictures that are taken alike are judged by their surface, too.
        let posed = Posed::learn(&cutouts)?;
        let every = if posed.is_some() && pictures.len() >= 2 * KEPT_BACK { pictures.len() / KEPT_BACK } else { usize::MAX };
        let (kept_back, enrolled): (Vec<_>, Vec<_>) = pictures.into_iter().enumerate().partition(|(n, _)| n % every == every - 1);
        let enrolled: Vec<Picture> = enrolled.into_iter().map(|(_, p)| p).collect();
        let (gallery, _) = Gallery::new(enrolled, GalleryOptions::default());
        let usual = self.usual(&gallery, kept_back.into_iter().map(|(_, p)| p.cutout))?;
        let posed = posed.map(|posed| Judges { posed, usual });
        self.gallery = Some(Enrolled { references: sample.references.clone(), gallery, posed });
        Ok(())
    }

    /// The most that the comparison and the scorer say of pristine pictures.
    fn usual(&self, gallery: &Gallery, pristine: impl Iterator<Item = Cutout>) -> Result<Usual> {
        let mut damage = 0.0f32;
        let (mut asked, mut differs) = (0, Vec::new());
        for cutout in pristine {
            let frame = RgbdFrame { color: Arc::new(cutout.color().clone()), depth: None, intrinsics: None };
            damage = damage.max(self.inspector.inspect(&frame, None, &mut |_| ())?.damage_score);
            let judgement = gallery.judge(&gallery.prepare(cutout)?, PRODUCT)?;
            asked += 1;
            differs.extend(judgement.discrepancy.map(|d| d.score));
        }
        let most = differs.iter().copied().fold(ANOMALY_THRESHOLD, f32::max);
        Ok(Usual { differs: (2 * differs.len() > asked).then_some(most), damage })
    }

    /// `None`: nothing could be compared.
    fn compare(&self, frame: &RgbdFrame, inspection: &Inspection, own: Option<&InspectedItem>) -> Result<Option<Anomaly>> {
        let Some(enrolled) = &self.gallery else { return Ok(None) };
        let (width, height) = (frame.color.width(), frame.color.height());
        let (cutout, rect) = match own.filter(|_| self.format != Format::Mvtec) {
            Some(item) => {
                let rect = item.bbox.with_margin(CUTOUT_MARGIN, width, height);
                (Cutout::of_label(&frame.color, &inspection.mask, item.id, rect)?, rect)
            }
            // The whole picture is the item: posed pictures, or nothing stands out of them.
            None => (Cutout::whole((*frame.color).clone()), Rect { x: 0, y: 0, w: width, h: height }),
        };
        let odd = enrolled.posed.as_ref().map(|p| p.posed.judge(&cutout)).transpose()?.flatten();
        let item = enrolled.gallery.prepare(cutout)?;
        let mut judgement = enrolled.gallery.judge(&item, PRODUCT)?;
        // In a picture that is no cutout, anything may look like a unit.
        judgement.units = judgement.units.filter(|_| self.format != Format::Mvtec);
        let differs = match &enrolled.posed {
            Some(judges) => judgement.anomaly_score().zip(judges.usual.differs).and_then(|(score, usual)| beyond(score, usual)),
            None => judgement.anomaly_score(),
        };
        // Whatever either of them sees.
        let score = differs.into_iter().chain(odd.as_ref().map(|o| o.score)).reduce(f32::max);
        // Pictures that are taken alike have judges of their own.
        let rejudged = match (&self.comparer, own) {
            (Some(comparer), Some(item)) if enrolled.posed.is_none() => rejudge(&mut judgement, comparer, inspection, item, rect)?,
            _ => None,
        };
        // What is judged by its surface is judged whole.
        let coverage = if odd.is_some() { 1.0 } else { judgement.coverage() };
        let map = match (judgement.discrepancy.map(|d| d.map), odd.map(|o| o.map)) {
            (Some(a), Some(b)) => {
                let map = a.data().iter().zip(b.data()).map(|(a, b)| a.max(*b)).collect();
                Some(HeatMap::new(a.width(), a.height(), map)?)
            }
            (a, b) => a.or(b),
        };
        Ok(score.map(|score| Anomaly { score, coverage, rejudged, map, rect }))
    }

    fn localise(&mut self, sample: &Sample, inspection: &Inspection, anomaly: Option<&Anomaly>) -> Result<()> {
        let truth = match &sample.damage_mask {
            Some(path) => read_mask(path)?.2,
            // Where the data set marks damage, a whole item has none.
            None if !sample.damaged => vec![false; inspection.heatmap.data().len()],
            None => return Ok(()),
        };
        if truth.len() != inspection.heatmap.data().len() {
            return Ok(());
        }
        self.localised |= sample.damage_mask.is_some();
        let mut map = inspection.heatmap.data().to_vec();
        if let Some(Anomaly { map: Some(anomaly), rect, .. }) = anomaly {
            let rows = map.chunks_exact_mut(inspection.heatmap.width() as usize).skip(rect.y as usize);
            for (row, values) in rows.zip(anomaly.data().chunks_exact(anomaly.width() as usize)) {
                row.iter_mut().skip(rect.x as usize).zip(values).for_each(|(m, a)| *m = m.max(*a));
            }
        }
        self.localisation.add(&map, &truth, inspection.heatmap.width() as usize);
        Ok(())
    }

    /// The sample with what was found drawn over it.
    pub fn picture(&mut self, sample: &Sample) -> Result<ColorImage> {
        let frame = self.load(sample)?;
        let inspection = self.inspect(sample, &frame)?;
        Ok(overlay(&frame.color, &inspection.mask, &inspection.heatmap))
    }
}

/// Which of `count` references are enrolled, `most` of them: the first, as the other counts of references have them, too; of many that
/// are taken alike an even choice.
pub(super) fn chosen(count: usize, most: usize, format: Format) -> impl ExactSizeIterator<Item = usize> {
    let is_posed = format == Format::Mvtec;
    let taken = count.min(most).min(if is_posed { MOST_POSED } else { usize::MAX });
    (0..taken).map(move |k| if is_posed { k * count / taken } else { k })
}

/// A reference as the gallery takes it; of pictures that are taken alike the whole counts.
pub(crate) fn pristine(n: usize, reference: &Reference, is_posed: bool) -> Result<Picture> {
    let color = load_color(&reference.picture)?;
    let mask = match &reference.mask {
        Some(path) => Some(read_mask(path)?).filter(|(w, h, _)| (*w, *h) == (color.width(), color.height())),
        None => None,
    };
    let cutout = match mask {
        Some((_, _, set)) => Cutout::masked(color, set)?,
        None if is_posed => Cutout::whole(color),
        None => Cutout::without_plain_border(color),
    };
    Ok(Picture { product: PRODUCT.to_owned(), name: n.to_string(), cutout })
}

/// A score against the most that pristine pictures have: above one half beyond that, `None` up to it.
fn beyond(score: f32, usual: f32) -> Option<f32> {
    (score > usual).then(|| score * score / (score * score + usual * usual))
}

/// Damage, or an anomaly that decides by itself under the default policy, whichever is worse; both limits stand at the threshold.
fn policy_score(damage: f32, anomaly: Option<f32>, threshold: f32) -> f32 {
    let limit = Policy::default().anomaly_threshold;
    let moved = anomaly.map_or(0.0, |a| {
        let above = a - limit;
        if above <= 0.0 { threshold * a / limit } else { threshold + (1.0 - threshold) * above / (1.0 - limit) }
    });
    damage.max(moved)
}

/// Of a capture that shows one item, whatever is seen; of one that shows several, the item that the sample is about: what lies beside it
/// is another sample. An item that was not found counts as the worst in view.
fn damage_of(sample: &Sample, inspection: &Inspection) -> Result<f32> {
    Ok(own_item(sample, inspection)?.map_or(inspection.damage_score, |item| item.damage_score))
}

/// The item that a sample of several in view is about, by its true mask; `None` where one item is expected, or it was not found.
fn own_item<'a>(sample: &Sample, inspection: &'a Inspection) -> Result<Option<&'a InspectedItem>> {
    let Some(path) = sample.mask.as_ref().filter(|_| !sample.one_item) else { return Ok(None) };
    let (width, height, truth) = read_mask(path)?;
    if (width, height) != (inspection.mask.width(), inspection.mask.height()) {
        return Ok(None);
    }
    let mut shared = BTreeMap::<u16, u32>::new();
    for (_, label) in truth.iter().zip(inspection.mask.data()).filter(|(t, l)| **t && **l != 0) {
        *shared.entry(*label).or_default() += 1;
    }
    let own = shared.into_iter().max_by_key(|(_, px)| *px).map(|(label, _)| label);
    Ok(own.and_then(|label| inspection.items.iter().find(|item| item.id == label)))
}

/// Of the item that the sample is about; 0 where none was found.
fn item_iou(sample: &Sample, inspection: &Inspection, own: Option<&InspectedItem>) -> Result<Option<f32>> {
    let Some(path) = &sample.mask else { return Ok(None) };
    let (width, height, truth) = read_mask(path)?;
    if (width, height) != (inspection.mask.width(), inspection.mask.height()) {
        return Ok(None);
    }
    let id = own.map_or(0, |item| item.id);
    let (mut both, mut any) = (0u32, 0u32);
    for (t, l) in truth.iter().zip(inspection.mask.data()) {
        let found = id != 0 && *l == id;
        both += u32::from(*t && found);
        any += u32::from(*t || found);
    }
    Ok((any > 0).then(|| both as f32 / any as f32))
}

/// Size and set pixels of a mask of 8 or 16 bits.
fn read_mask(path: &PathBuf) -> Result<(u32, u32, Vec<bool>)> {
    let mask = image::open(path).with_context(|| path.display().to_string())?.into_luma16();
    Ok((mask.width(), mask.height(), mask.as_raw().iter().map(|v| *v > 0).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspection::Quality;
    use vision::LabelMask;

    #[test]
    fn a_sample_of_a_clutter_is_scored_by_its_own_item() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let item = |id: u16, damage_score: f32| InspectedItem {
            id,
            bbox: Rect { x: 0, y: 0, w: 2, h: 4 },
            area_px: 8,
            damage_score,
            defects: Vec::new(),
            quality: Quality::default(),
            pick: None,
            size_m: [0.0; 3],
            heights: None,
            embedding: Vec::new(),
        };
        let inspection = Inspection {
            items: vec![item(1, 0.9), item(2, 0.1)],
            mask: LabelMask::new(4, 4, (0..16).map(|i| if i % 4 < 2 { 1 } else { 2 }).collect())?,
            heatmap: HeatMap::new(4, 4, vec![0.0; 16])?,
            damage_score: 0.9,
            damage_threshold: 0.5,
            model: "classical".into(),
            engine: "none",
            support: None,
        };
        let mask = dir.path().join("mask.png");
        let save = |inside: fn(u32) -> bool| image::GrayImage::from_fn(4, 4, |x, _| image::Luma([u8::from(inside(x))])).save(&mask);
        let sample = |one_item: bool| Sample { mask: Some(mask.clone()), one_item, ..Sample::bare("a", "a", "a.png".into()) };
        save(|x| x > 0)?;
        assert_eq!(damage_of(&sample(false), &inspection)?, 0.1, "most of it lies under the second");
        assert_eq!(damage_of(&sample(true), &inspection)?, 0.9, "what shows one item is that item");
        assert_eq!(item_iou(&sample(false), &inspection, own_item(&sample(false), &inspection)?)?, Some(2.0 / 3.0));
        save(|_| false)?;
        assert_eq!(damage_of(&sample(false), &inspection)?, 0.9, "an item that was not found is no whole item");
        Ok(())
    }

    #[test]
    fn as_many_references_are_taken_as_are_asked_for() {
        for (count, most, format, taken, last) in [
            (391, 240, Format::Mvtec, 240, 389),
            (391, 200, Format::Mvtec, 200, 389),
            (391, usize::MAX, Format::Mvtec, MOST_POSED, 389),
            (241, usize::MAX, Format::Mvtec, MOST_POSED, 239),
            (100, 99, Format::Mvtec, 99, 98),
            (20, 8, Format::Mvtec, 8, 17),
            (7, usize::MAX, Format::Mvtec, 7, 6),
            (391, usize::MAX, Format::Kaputt, 391, 390),
            (10, 4, Format::Booth, 4, 3),
        ] {
            let places: Vec<usize> = chosen(count, most, format).collect();
            assert_eq!((places.len(), places.first(), places.last()), (taken, Some(&0), Some(&last)), "{most} of {count}");
            assert!(places.windows(2).all(|w| w[0] < w[1]), "{places:?}");
        }
        assert_eq!(chosen(0, 5, Format::Mvtec).len(), 0);
    }

    #[test]
    fn both_limits_of_the_policy_stand_at_the_threshold() {
        for (damage, anomaly, threshold, expected) in [
            (0.3, None, 0.5, 0.3),
            (0.1, Some(0.8), 0.5, 0.5),
            (0.1, Some(1.0), 0.5, 1.0),
            (0.7, Some(0.2), 0.5, 0.7),
            (0.0, Some(0.4), 0.5, 0.25),
            (0.0, Some(0.8), 0.2, 0.2),
            (0.0, Some(1.0), 0.2, 1.0),
            (0.1, Some(0.4), 0.2, 0.1),
        ] {
            assert!((policy_score(damage, anomaly, threshold) - expected).abs() < 1e-6, "{damage} {anomaly:?} {threshold}");
        }
    }
}

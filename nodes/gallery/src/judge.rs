//! From an inspection to its reports. No ports here: messages in, messages out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use inspection::Comparer;
use intact_msgs::msg::{DefectScore, GalleryFinding, GalleryReport, Inspection, ItemArrival, ItemInstance, ProductScore, StageTiming};
use matching::learning::{Damage, Sighting};
use matching::{CUTOUT_MARGIN, Candidate, Cutout, Discrepancy, Embedding, Extent, Gallery, Identification, Item, Judgement, Perceived};
use ros_interfaces::sensor_msgs::msg::{Image, RegionOfInterest};
use ros_interfaces::std_msgs::msg::Header;
use vision::ros::{color_from_ros, color_to_ros, heatmap_from_ros, heatmap_to_ros, heights_from_ros, mask_from_ros};
use vision::{ColorImage, HeatMap, HeightMap, LabelMask, Rect};

use crate::catalogue::Catalogue;
use crate::school::{NEW_DESIGN, School};

/// Everything that a judgement rests on.
pub(crate) struct Case<'a> {
    pub gallery: &'a Gallery,
    /// Judges items beside their references; `None` where nothing is compared.
    pub comparer: Option<&'a Comparer>,
    pub inspection: &'a Inspection,
    pub arrival: Option<&'a ItemArrival>,
    /// The picture that perception judged; only needed when there is something to compare with.
    pub frame: Option<Arc<Image>>,
    pub barcodes: &'a HashMap<String, String>,
    pub ranking_limit: usize,
    /// Where items are learned from; `None`: learning is off.
    pub class: Option<Class<'a>>,
    /// Suspected new designs that are not settled, by product.
    pub open_designs: &'a BTreeMap<String, u32>,
}

/// Where items are learned from.
#[derive(Clone, Copy)]
pub(crate) struct Class<'a> {
    pub school: &'a Mutex<School>,
    pub catalogue: &'a Catalogue,
}

/// The pictures of a case, decoded once for all its instances.
struct Pictures {
    color: ColorImage,
    mask: LabelMask,
}

impl Case<'_> {
    /// One report for the item, or one for each instance in clutter. There always is at least one: decision waits for it.
    pub fn reports(&self) -> Vec<GalleryReport> {
        if !self.inspection.ok {
            return self.all_failed(&format!("nothing was compared because the inspection failed: {}", self.inspection.error));
        }
        if self.judged().next().is_none() {
            return self.all_failed("nothing was compared because no item is in view");
        }
        if !self.has_reference() {
            return self.judged().map(|(item_id, _)| GalleryReport { ok: true, ..self.blank(item_id) }).collect();
        }
        match self.pictures() {
            Ok(pictures) => self.judged().map(|(item_id, instance)| self.judge(item_id, instance, &pictures)).collect(),
            Err(error) => self.all_failed(&error),
        }
    }

    /// A failed report for each that decision waits for.
    fn all_failed(&self, error: &str) -> Vec<GalleryReport> {
        let mut ids: Vec<String> = self.judged().map(|(item_id, _)| item_id).collect();
        if ids.is_empty() {
            ids.push(self.inspection.item_id.clone());
        }
        ids.into_iter().map(|item_id| self.failed(item_id, error.to_owned())).collect()
    }

    /// What is judged, with the id that its report carries: each instance of a clutter, else the item. Perception sends instances in
    /// decreasing area; an arrival of one item is about the largest.
    fn judged(&self) -> impl Iterator<Item = (String, &ItemInstance)> {
        let clutter = self.arrival.is_some_and(|a| a.clutter);
        let most = match (self.inspection.ok, clutter) {
            (false, _) => 0,
            (true, true) => usize::MAX,
            (true, false) => 1,
        };
        self.inspection.instances.iter().take(most).map(move |instance| {
            let id = &self.inspection.item_id;
            (if clutter { format!("{id}#{}", instance.instance_id) } else { id.clone() }, instance)
        })
    }

    /// Whether any product that the item can be is enrolled.
    fn has_reference(&self) -> bool {
        match self.candidates() {
            Some(candidates) => self.gallery.products().keys().any(|p| candidates.iter().any(|c| c == p)),
            None => !self.gallery.is_empty(),
        }
    }

    /// The manifest, and the scanned product even when the manifest lacks it: that is a finding for decision, and only
    /// a picture that was looked for can be found.
    fn candidates(&self) -> Option<Vec<String>> {
        let arrival = self.arrival.filter(|a| !a.candidate_products.is_empty())?;
        let scanned = self.scanned().into_iter().map(str::to_owned);
        Some(arrival.candidate_products.iter().cloned().chain(scanned).collect())
    }

    /// The product that the barcode names.
    fn scanned(&self) -> Option<&str> {
        let barcode = self.arrival.map(|a| a.barcode.as_str()).filter(|b| !b.is_empty())?;
        Some(self.barcodes.get(barcode).map_or(barcode, String::as_str))
    }

    fn pictures(&self) -> Result<Pictures, String> {
        let stamp = self.inspection.header.stamp.nanos();
        let frame = self.frame.as_ref().ok_or_else(|| {
            format!("the picture of camera `{}` at {stamp} ns, which was inspected, did not reach the gallery; check `cameras` and `frame_buffer`", self.inspection.camera)
        })?;
        let color = color_from_ros(frame).map_err(|e| format!("colour image: {e}"))?;
        let mask = mask_from_ros(&self.inspection.mask).map_err(|e| format!("mask of the inspection: {e}"))?;
        if (mask.width(), mask.height()) != (color.width(), color.height()) {
            return Err(format!(
                "the inspection's mask is {}x{} but the picture is {}x{}",
                mask.width(),
                mask.height(),
                color.width(),
                color.height()
            ));
        }
        Ok(Pictures { color, mask })
    }

    fn judge(&self, item_id: String, instance: &ItemInstance, pictures: &Pictures) -> GalleryReport {
        match self.try_judge(&item_id, instance, pictures) {
            Ok(report) => report,
            Err(error) => self.failed(item_id, error),
        }
    }

    fn try_judge(&self, item_id: &str, instance: &ItemInstance, pictures: &Pictures) -> Result<GalleryReport, String> {
        let started = Instant::now();
        let region = &instance.region;
        let rect = Rect { x: region.x_offset, y: region.y_offset, w: region.width, h: region.height };
        let rect = Rect {
            w: rect.w.min(pictures.color.width().saturating_sub(rect.x)),
            h: rect.h.min(pictures.color.height().saturating_sub(rect.y)),
            ..rect
        };
        let rect = rect.with_margin(CUTOUT_MARGIN, pictures.color.width(), pictures.color.height());
        let cutout = Cutout::of_label(&pictures.color, &pictures.mask, instance.instance_id, rect).map_err(|e| e.to_string())?;
        let cutout = cutout.with_extent(extent_of(instance)).with_heights(heights_of(instance, rect)?).map_err(|e| e.to_string())?;
        let item = self.gallery.prepare_embedded(cutout, embedding_of(instance)).map_err(|e| e.to_string())?;
        let candidates = self.candidates();
        let found = self.gallery.identify_claimed(&item, candidates.as_deref(), self.scanned()).confirmed_by(self.scanned());
        let identified = started.elapsed();

        let mut report = GalleryReport { ok: true, has_reference: true, ..self.blank(item_id.to_owned()) };
        self.tell_identity(&mut report, &found);
        if let Some(product) = found.product() {
            let mut judgement = self.gallery.judge(&item, &product.product).map_err(|e| e.to_string())?;
            self.rejudge(&mut report, instance, &mut judgement, rect)?;
            tell(&mut report, &judgement, rect);
            if let Some(discrepancy) = judgement.discrepancy {
                show(&mut report, discrepancy, rect, pictures)?;
            }
            report.learned = self.learn(item_id, instance, &item, product, rect, report.units_missing > 0);
            let is_open = self.open_designs.contains_key(&product.product) || report.learned.starts_with(NEW_DESIGN);
            // Another print explains an anomaly; a unit that is not there stays missing.
            report.design_change = is_open && report.units_missing == 0;
        }
        let ms = |d: std::time::Duration| d.as_secs_f32() * 1e3;
        report.timings = vec![
            StageTiming { stage: "gallery.identify".into(), ms: ms(identified) },
            StageTiming { stage: "gallery.compare".into(), ms: ms(started.elapsed() - identified) },
        ];
        Ok(report)
    }

    /// Perception's map of the item's cutout; `None` when the inspection brought none.
    fn heat(&self, rect: Rect) -> Option<HeatMap> {
        heatmap_from_ros(&self.inspection.heatmap).ok()?.crop(rect).filter(|map| (map.width(), map.height()) == (rect.w, rect.h))
    }

    /// Perception's damage once more, beside the reference: what is on the pristine print too is explained away, and so is what is put on
    /// goods every day; what is neither is confirmed.
    fn rejudge(&self, report: &mut GalleryReport, instance: &ItemInstance, judgement: &mut Judgement, rect: Rect) -> Result<(), String> {
        let Some(found) = &judgement.discrepancy else { return Ok(()) };
        report.explained_away = explained_away(instance, found, rect, self.inspection.damage_threshold);
        let Some(comparer) = self.comparer else { return Ok(()) };
        let perceived = Perceived { score: instance.damage_score, threshold: self.inspection.damage_threshold, map: self.heat(rect) };
        let Some(pair) = judgement.pair(&perceived).map_err(|e| e.to_string())? else { return Ok(()) };
        let verdict = comparer.judge(&pair, perceived.told()).map_err(|e| e.to_string())?;
        report.damage_rejudged = judgement.settle(&perceived, verdict.score, &verdict.map);
        (report.is_rejudged, report.model) = (true, comparer.model().to_owned());
        Ok(())
    }

    /// What learning does with the item, in words. A failure there is no failure of the judgement.
    fn learn(&self, item_id: &str, instance: &ItemInstance, item: &Item, product: &Candidate, rect: Rect, is_incomplete: bool) -> String {
        let Some(class) = self.class else { return String::new() };
        let heat = self.heat(rect);
        let sighting = Sighting {
            item: item_id,
            capture: &format!("{}@{}", self.inspection.camera, self.inspection.header.stamp.nanos()),
            identity: product.score,
            picture: item,
            doubt: if is_incomplete { Some("a unit is missing") } else { self.doubt(instance, &product.product) },
            damage: Damage {
                score: instance.damage_score.max(self.inspection.damage_score),
                threshold: self.inspection.damage_threshold,
                model: &self.inspection.model,
                map: heat.as_ref().map_or(&[], HeatMap::data),
            },
        };
        let mut school = class.school.lock().unwrap_or_else(PoisonError::into_inner);
        school.see(class.catalogue, &product.product, &sighting).unwrap_or_else(|error| {
            tracing::warn!(item_id, %error, "nothing is learned from the item");
            format!("nothing is learned: {error}")
        })
    }

    /// What speaks against learning from the item, beside its picture.
    fn doubt(&self, instance: &ItemInstance, product: &str) -> Option<&'static str> {
        let quality = &instance.quality;
        if quality.blurred || quality.clipped || quality.overexposed || quality.underexposed {
            return Some("its picture is poor");
        }
        let off_manifest = self
            .arrival
            .is_some_and(|a| !a.candidate_products.is_empty() && !a.candidate_products.iter().any(|candidate| candidate == product));
        // A code that is in no table may be a product's name; what names nothing that is known says nothing.
        let names = |scanned: &str| self.gallery.products().contains_key(scanned) || self.barcodes.values().any(|p| p == scanned);
        let other_code = self.scanned().is_some_and(|scanned| scanned != product && names(scanned));
        (off_manifest || other_code).then_some("barcode or manifest name another product")
    }

    /// The picture's verdict, never the barcode's: the scanned product stays in the ranking so that both can be seen.
    fn tell_identity(&self, report: &mut GalleryReport, found: &Identification) {
        let best = found.product();
        report.product = best.map(|c| c.product.clone()).unwrap_or_default();
        report.identity_score = found.ranking.first().map_or(0.0, |c| c.score);
        let scanned = self.scanned();
        let shown = found.ranking.iter().enumerate().filter(|(rank, c)| *rank < self.ranking_limit || Some(c.product.as_str()) == scanned);
        report.ranking = shown.map(|(_, c)| ProductScore { product: c.product.clone(), score: c.score }).collect();
    }

    fn blank(&self, item_id: String) -> GalleryReport {
        GalleryReport {
            header: self.inspection.header.clone(),
            item_id,
            gallery_version: self.gallery.version().to_owned(),
            damage_rejudged: f32::NAN,
            ..GalleryReport::default()
        }
    }

    fn failed(&self, item_id: String, error: String) -> GalleryReport {
        GalleryReport { ok: false, error, has_reference: !self.gallery.is_empty(), ..self.blank(item_id) }
    }
}

/// The instance's size, where depth measured all of it.
fn extent_of(instance: &ItemInstance) -> Option<Extent> {
    let (size, quality) = (&instance.size_m, &instance.quality);
    let is_partial = quality.clipped || quality.occluded || quality.depth_missing || quality.depth_unit_suspect;
    Extent::of_m([size.x, size.y, size.z].map(|side| side as f32)).filter(|_| !is_partial)
}

/// The instance's heights over the support where its cutout `rect` shows it; `None` where perception has none, or their unit is in doubt.
fn heights_of(instance: &ItemInstance, rect: Rect) -> Result<Option<HeightMap>, String> {
    if instance.height.data.is_empty() || instance.quality.depth_unit_suspect {
        return Ok(None);
    }
    let heights = heights_from_ros(&instance.height).map_err(|e| format!("heights of the inspection: {e}"))?;
    let region = &instance.region;
    let region = Rect { x: region.x_offset, y: region.y_offset, w: region.width, h: region.height };
    if (heights.width(), heights.height()) != (region.w, region.h) {
        let (w, h) = (heights.width(), heights.height());
        return Err(format!("the inspection's heights are {w}x{h} but the item's region is {}x{}", region.w, region.h));
    }
    heights.placed(region, rect).map(Some).map_err(|e| e.to_string())
}

/// What perception's network says of the instance.
fn embedding_of(instance: &ItemInstance) -> Option<Embedding> {
    let is_one = !instance.embedding.is_empty() && instance.embedding.iter().all(|v| v.is_finite());
    is_one.then(|| Embedding { model: instance.embedding_model.clone(), vector: instance.embedding.clone() })
}

/// Failed reports for an inspection that was never judged; of a clutter one for each instance, where its arrival is known.
pub(crate) fn given_up(inspection: &Inspection, arrival: Option<&ItemArrival>, gallery: &Gallery, error: &str) -> Vec<GalleryReport> {
    let case = Case {
        gallery,
        comparer: None,
        inspection,
        arrival,
        frame: None,
        barcodes: &HashMap::new(),
        ranking_limit: 0,
        class: None,
        open_designs: &BTreeMap::new(),
    };
    case.all_failed(error)
}

/// What differs, in numbers and places. Nothing registered leaves coverage 0: nothing is known of the item, which is not the same as fine.
fn tell(report: &mut GalleryReport, judgement: &Judgement, rect: Rect) {
    report.anomaly_score = judgement.anomaly_score().unwrap_or(0.0);
    report.coverage = judgement.coverage();
    report.findings = judgement.findings().map(|f| finding(f.kind.name(), &f.bbox, rect, f.score)).collect();
    if let Some(units) = &judgement.units {
        report.units_expected = units.expected;
        report.units_seen = units.seen;
        report.units_missing = units.missing.len() as u32;
    }
}

/// A finding whose box lies in the item's cutout.
fn finding(kind: &str, b: &Rect, cutout: Rect, score: f32) -> GalleryFinding {
    let region = RegionOfInterest { x_offset: cutout.x + b.x, y_offset: cutout.y + b.y, width: b.w, height: b.h, do_rectify: false };
    GalleryFinding { kind: kind.to_owned(), region, score }
}

/// How many of perception's findings above its threshold show what the pristine print shows in the same place. A type without a region
/// explains nothing away.
fn explained_away(instance: &ItemInstance, found: &Discrepancy, cutout: Rect, threshold: f32) -> u32 {
    let is_explained = |d: &&DefectScore| {
        let r = &d.region;
        r.width > 0 && found.explains(Rect { x: r.x_offset, y: r.y_offset, w: r.width, h: r.height }, cutout)
    };
    instance.defects.iter().filter(|d| d.score > threshold).filter(is_explained).count() as u32
}

/// What differs, as pictures.
fn show(report: &mut GalleryReport, found: Discrepancy, rect: Rect, pictures: &Pictures) -> Result<(), String> {
    let header: Header = report.header.clone();
    let (width, height) = (pictures.color.width(), pictures.color.height());
    let mut whole = vec![0f32; width as usize * height as usize];
    let rows = whole.chunks_exact_mut(width as usize).skip(rect.y as usize);
    for (row, values) in rows.zip(found.map.data().chunks_exact(found.map.width() as usize)) {
        row.iter_mut().skip(rect.x as usize).zip(values).for_each(|(out, v)| *out = *v);
    }
    let whole = HeatMap::new(width, height, whole).map_err(|e| e.to_string())?;
    report.discrepancy = heatmap_to_ros(&whole, header.clone());
    report.reference_image = color_to_ros(&found.registered, header);
    report.reference = found.reference;
    Ok(())
}

//! What is looked at: one item's picture beside its references, or beside another item's.

use opencv::core::MatTraitConstManual;
use opencv::imgproc;

use super::{Damage, Rules, Screened, Shelf, Sighting};
use crate::findings::DIFFERENT;
use crate::gallery::Enrolled;
use crate::{Cutout, Discrepancy, Gallery, Item, MatchError, Picture, cv};

/// A change reaches inside when its pixels lie, on average, this far from the outline, as a share of the largest distance
/// that any pixel of the item has.
const INSIDE: f32 = 0.25;
/// Nothing nearer to the outline is learned, as a share of the same distance.
const RIM: f32 = 0.15;
/// Perception sees the change when this share of it lies above its threshold.
const SEEN_SHARE: f32 = 0.2;
/// Another picture shows the same thing in the place of a change when it covers this share of it …
const COVERED: f32 = 0.6;
/// … and differs there by no more than this on average …
const SAME: f32 = 0.2;
/// … of what the references differ there.
const SAME_SHARE: f32 = 0.45;
/// Changed pixels this near each other, pixels of the cutout, are one place.
const BRIDGE_PX: i32 = 2;
/// Places looked at, an item.
const MAX_PLACES: usize = 3;
/// Changes smaller than this share of the item are noise.
const CHANGED_SHARE: f32 = 0.01;

/// One item beside the pristine references of the design that it fits best.
pub(super) struct Seen<'a> {
    pub item: &'a str,
    pub picture: &'a Item,
    pub damage: Damage<'a>,
    pub version: u32,
    pub difference: Discrepancy,
    /// How each design fits; `None`: it could not be compared.
    pub fits: Vec<(u32, Option<f32>)>,
}

impl<'a> Seen<'a> {
    /// `None` when no design could be laid over the item.
    pub fn of(product: &str, shelf: &Shelf, sighting: &Sighting<'a>) -> Result<Option<Self>, MatchError> {
        let (mut best, mut fits): (Option<(u32, Discrepancy)>, _) = (None, Vec::new());
        for (version, gallery) in shelf {
            let found = gallery.compare(sighting.picture, product)?;
            fits.push((*version, found.as_ref().map(|d| d.score)));
            if let Some(d) = found.filter(|d| best.as_ref().is_none_or(|(_, b)| d.score < b.score)) {
                best = Some((*version, d));
            }
        }
        Ok(best.map(|(version, difference)| Self {
            item: sighting.item,
            picture: sighting.picture,
            damage: sighting.damage,
            version,
            difference,
            fits,
        }))
    }

    /// Why it cannot be proposed; its damage score may be `most_damage`.
    pub fn screened(&self, most_damage: f32, rules: &Rules) -> Option<Screened> {
        if self.damage.score.is_nan() || self.damage.score > most_damage {
            return Some(Screened::Damaged(self.damage.score, most_damage));
        }
        if self.difference.score > rules.max_score {
            return Some(Screened::Differs(self.difference.score));
        }
        self.difference.findings.first().map(|f| Screened::DiffersInPlace(f.score))
    }

    /// The part of the picture that was compared, and does not lie near the outline: the rest may hide anything, and
    /// corners and edges give way first. It is not learned.
    pub fn learnable(&self) -> Result<Cutout, MatchError> {
        let cutout = self.picture.cutout();
        let (distance, deepest) = self.distance_from_outline()?;
        let pixels = cutout.foreground().iter().zip(&self.difference.compared).zip(&distance);
        let inside = pixels.map(|((f, c), d)| *f > 0 && *c > 0 && *d >= RIM * deepest);
        Ok(Cutout::masked(cutout.color().clone(), inside)?.trimmed())
    }

    /// The places where it differs like print, a flag a pixel of the cutout, largest first: large enough, with no sign of
    /// damage, reaching inside. None when perception calls the item damaged.
    pub fn print_like_changes(&self) -> Result<Vec<Vec<bool>>, MatchError> {
        if self.damage.score.is_nan() || self.damage.score > self.damage.threshold {
            return Ok(Vec::new());
        }
        let least = (CHANGED_SHARE * self.picture.cutout().area_px() as f32) as usize;
        let mut places = self.changed_places(least.max(1))?;
        places.retain(|place| {
            let alarming = self.damage.map.iter().zip(place).filter(|(d, c)| **c && **d > self.damage.threshold).count();
            (alarming as f32) < SEEN_SHARE * count(place) as f32
        });
        let mut inside = Vec::new();
        for place in places {
            if self.depth_inside(&place)? >= INSIDE {
                inside.push(place);
            }
        }
        inside.sort_by_key(|place| std::cmp::Reverse(count(place)));
        inside.truncate(MAX_PLACES);
        Ok(inside)
    }

    /// Connected places that differ, of at least `least` pixels.
    fn changed_places(&self, least: usize) -> Result<Vec<Vec<bool>>, MatchError> {
        let cutout = self.picture.cutout();
        let difference = self.difference.map.data().iter().zip(&self.difference.compared);
        let high: Vec<u8> = difference.map(|(d, c)| if *c > 0 && *d > DIFFERENT { 255 } else { 0 }).collect();
        let high = cv::from_bytes(cutout.color().width(), cutout.color().height(), &high)?;
        let (mut closed, mut labels) = (opencv::core::Mat::default(), opencv::core::Mat::default());
        imgproc::morphology_ex_def(&high, &mut closed, imgproc::MORPH_CLOSE, &cv::disc(BRIDGE_PX)?)?;
        let n = imgproc::connected_components_def(&closed, &mut labels)?;
        let labels = labels.data_typed::<i32>()?;
        let mut sizes = vec![0usize; n.max(1) as usize];
        labels.iter().for_each(|l| sizes[*l as usize] += 1);
        let large = (1..n).filter(|l| sizes[*l as usize] >= least);
        Ok(large.map(|l| labels.iter().map(|at| *at == l).collect()).collect())
    }

    /// Mean distance of the changed pixels from the outline, as a share of the largest that any pixel has.
    fn depth_inside(&self, changed: &[bool]) -> Result<f32, MatchError> {
        let (distance, deepest) = self.distance_from_outline()?;
        let sum: f32 = distance.iter().zip(changed).filter(|(_, c)| **c).map(|(d, _)| d).sum();
        Ok(sum / count(changed).max(1) as f32 / deepest)
    }

    /// Each pixel's distance from the item's outline, and the largest one; pixels of the cutout.
    fn distance_from_outline(&self) -> Result<(Vec<f32>, f32), MatchError> {
        let cutout = self.picture.cutout();
        let (width, height) = (cutout.color().width(), cutout.color().height());
        // A picture without a border has its outline at the picture's edge: one pixel of nothing around it.
        let framed = cv::framed(&cv::from_bytes(width, height, cutout.foreground())?)?;
        let mut distance = opencv::core::Mat::default();
        imgproc::distance_transform_def(&framed, &mut distance, imgproc::DIST_L2, imgproc::DIST_MASK_3)?;
        let rows = distance.data_typed::<f32>()?.chunks_exact(width as usize + 2).skip(1).take(height as usize);
        let inner: Vec<f32> = rows.flat_map(|row| row.get(1..=width as usize).unwrap_or_default()).copied().collect();
        let deepest = inner.iter().copied().fold(1.0, f32::max);
        Ok((inner, deepest))
    }
}

/// An item's picture that others are compared with.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The item that it shows.
    pub item: String,
    /// The design that it shows.
    pub version: u32,
    gallery: Gallery,
    prepared: Item,
    /// The part of it that may be learned.
    learned: Cutout,
}

impl Sample {
    /// A picture as it was kept; `like` gives the options.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn new(item: &str, version: u32, product: &str, cutout: Cutout, like: &Gallery) -> Result<Self, MatchError> {
        Self::of_item(item, version, product, like.prepare(cutout.clone())?, cutout, like)
    }

    /// An item as it is seen: all of it is compared with others, and the compared part is learned.
    pub(super) fn of_seen(seen: &Seen, version: u32, product: &str, like: &Gallery) -> Result<Self, MatchError> {
        Self::of_item(seen.item, version, product, seen.picture.clone(), seen.learnable()?, like)
    }

    fn of_item(item: &str, version: u32, product: &str, prepared: Item, learned: Cutout, like: &Gallery) -> Result<Self, MatchError> {
        let picture = Picture { product: product.to_owned(), name: item.to_owned(), cutout: prepared.cutout().clone() };
        let enrolled =
            Enrolled { picture, features: Some(prepared.features().clone()), embedding: prepared.embedding().cloned(), is_partial: true };
        let (gallery, rejected) = Gallery::new([enrolled], *like.options());
        if rejected.is_empty() { Ok(Self { item: item.to_owned(), version, gallery, prepared, learned }) } else { Err(MatchError::Empty) }
    }

    /// The part of its picture that may be learned.
    pub fn learned(&self) -> &Cutout {
        &self.learned
    }

    pub(super) fn prepared(&self) -> &Item {
        &self.prepared
    }

    /// How `item` differs from this one.
    pub(super) fn compare(&self, product: &str, item: &Item) -> Result<Option<Discrepancy>, MatchError> {
        self.gallery.compare(item, product)
    }

    /// Whether this picture shows in one of the changed places of `item` what the item shows there; by how much the two are
    /// turned. `was` is how the item differs from its references.
    pub(super) fn shows_the_same(&self, product: &str, item: &Item, was: &[f32], places: &[Vec<bool>]) -> Result<Option<f32>, MatchError> {
        let Some(d) = self.compare(product, item)? else {
            return Ok(None);
        };
        let same = |place: &Vec<bool>| {
            let (mut all, mut covered, mut sum, mut before) = (0usize, 0usize, 0.0f32, 0.0f32);
            let pixels = place.iter().zip(d.map.data()).zip(&d.compared).zip(was);
            for (((_, now), compared), was) in pixels.filter(|(((c, _), _), _)| **c) {
                all += 1;
                if *compared > 0 {
                    (covered, sum, before) = (covered + 1, sum + now, before + was);
                }
            }
            let (mean, before) = (sum / covered.max(1) as f32, before / covered.max(1) as f32);
            covered as f32 >= COVERED * all as f32 && mean <= SAME && mean <= SAME_SHARE * before
        };
        Ok(places.iter().any(same).then_some(d.turn_rad))
    }
}

fn count(place: &[bool]) -> usize {
    place.iter().filter(|c| **c).count()
}

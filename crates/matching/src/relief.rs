//! The item's heights beside those of a reference laid over it: what is pressed in, stands up or is gone, whatever is printed on it.
//!
//! Heights are over the support, so they do not depend on where under the camera a thing lies; what does, walls that come into view,
//! lies at the outline, which is left out. A thing may lie a little higher or more tilted than its reference did: so much is forgiven,
//! and no more, since a pressed pack is lower as a whole. Tape, labels and light change nothing here.

use nalgebra::{Matrix3, Vector3};
use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size};
use opencv::imgproc;

use crate::findings::{Finding, FindingKind, in_cutout};
use crate::register::warped;
use crate::shape::{MAX_SHEAR, shear};
use crate::{Cutout, MatchError, cv};

/// So near to the outline nothing is compared, as a share of the item's size (root of its area).
const RIM: f32 = 0.07;
/// Less of the item with heights on both sides says nothing.
const LEAST_KNOWN: f32 = 0.3;
/// A thing may lie so much higher or lower than its reference, millimetres …
const SETTLED_MM: f64 = 4.0;
/// … and be tilted by so much from side to side.
const TILTED_MM: f64 = 6.0;
/// Differences below are noise of any camera, millimetres …
const LEAST_MM: f32 = 4.0;
/// … and of this one below so many of its standard deviations.
const SIGMAS: f32 = 5.0;
/// What is more is a change of shape, however noisy the camera.
const MOST_MM: f32 = 12.0;
/// Heights are averaged over so many working pixels: single ones are noise.
const BLUR_PX: i32 = 7;
/// A step may be displaced by so much, as a share of the item's size: registration, and walls seen from elsewhere.
const MISPLACED: f32 = 0.03;
/// Where the reference itself rises by so much nearby, as between the units of a pack, walls hide or show what lies low, depending on where
/// under the camera it lies: nothing is compared there.
const STEEP_MM: f32 = 10.0;
/// Changes of less of the item say nothing.
const MIN_PART: f32 = 0.008;
/// Changes of so much of the item, each as deep as twice the limit, give a score of one half.
const HALF_SHARE: f32 = 0.05;
/// Rounds of the robust fit of how the thing lies.
const ROUNDS: usize = 6;

/// One place that is higher or lower than on the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// Pixels at the working size.
    bbox: opencv::core::Rect,
    /// Its area as a share of the item's.
    share: f32,
    /// Mean difference, millimetres: below 0 it is lower than it should be.
    by_mm: f32,
}

/// What the heights say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Relief {
    places: Vec<Place>,
    limit_mm: f32,
}

impl Relief {
    /// [0, 1]: how far the shape is from the reference's.
    pub fn score(&self) -> f32 {
        let weight = |p: &Place| p.share * (p.by_mm.abs() / (2.0 * self.limit_mm)).min(2.0);
        let changed = self.places.iter().map(weight).fold(0.0, |sum, w| sum + w);
        changed / (changed + HALF_SHARE)
    }

    /// Findings, in pixels of a cutout of this size with `scale` working pixels a pixel.
    pub fn findings(&self, scale: f64, cutout: (u32, u32)) -> impl Iterator<Item = Finding> + use<'_> {
        let score = self.score();
        self.places.iter().map(move |p| Finding { kind: FindingKind::ChangedShape, bbox: in_cutout(p.bbox, scale, cutout), score })
    }
}

/// A cutout's heights at another size, millimetres; 0 unknown.
pub(crate) fn heights(cutout: &Cutout, size: Size) -> Result<Option<Mat>, MatchError> {
    let Some(mm) = cutout.heights() else { return Ok(None) };
    let own = Mat::new_rows_cols_with_data(cutout.color().height() as i32, cutout.color().width() as i32, mm.data())?;
    let mut out = Mat::default();
    imgproc::resize(&own, &mut out, size, 0.0, 0.0, imgproc::INTER_NEAREST)?;
    Ok(Some(out))
}

/// Compares heights; `None` where one side has none, too few meet, or the reference was seen from another side. `item` are the item's at the
/// working size, `mask` its pixels.
pub(crate) fn relief(item: &Mat, mask: &Mat, reference: &Cutout, work_from_reference: &Matrix3<f64>) -> Result<Option<Relief>, MatchError> {
    let own_size = Size::new(reference.color().width() as i32, reference.color().height() as i32);
    let Some(theirs) = heights(reference, own_size)?.filter(|_| shear(work_from_reference, reference) <= MAX_SHEAR) else {
        return Ok(None);
    };
    let size = mask.size()?;
    let theirs = warped(&theirs, work_from_reference, size, imgproc::INTER_NEAREST)?;
    let their_mask = cv::from_bytes(reference.color().width(), reference.color().height(), reference.foreground())?;
    let their_mask = warped(&their_mask, work_from_reference, size, imgproc::INTER_NEAREST)?;
    let area_px = opencv::core::count_non_zero(mask)?.max(1) as f32;
    let rim_px = ((area_px.sqrt() * RIM) as i32).max(2);
    let (inner, their_inner) = (cv::eroded_mask(mask, rim_px)?, cv::eroded_mask(&their_mask, rim_px)?);
    let inside: Vec<bool> = inner.data_bytes()?.iter().zip(their_inner.data_bytes()?).map(|(a, b)| *a > 0 && *b > 0).collect();
    let ours = Smooth::of(item, &inside)?;
    let theirs = Smooth::of(&theirs, &inside)?;
    let radius = ((area_px.sqrt() * MISPLACED) as i32).max(1);
    let differ = differences(&ours, &theirs, radius, size)?;
    if (differ.iter().flatten().count() as f32) < LEAST_KNOWN * area_px {
        return Ok(None);
    }
    let rest = settled(&differ, size.width as usize);
    let limit_mm = LEAST_MM.max(SIGMAS * noise_mm(&rest, size.width as usize)).min(MOST_MM);
    let mut places = changed(&rest, size, limit_mm, area_px, true)?;
    places.extend(changed(&rest, size, limit_mm, area_px, false)?);
    places.sort_by(|a, b| b.share.total_cmp(&a.share).then((a.bbox.x, a.bbox.y).cmp(&(b.bbox.x, b.bbox.y))));
    Ok(Some(Relief { places, limit_mm }))
}

/// Without what the thing as a whole lies higher or more tilted than its reference, as far as that is forgiven: a plane through the differences
/// that most of them agree on (Tukey's biweight).
fn settled(differ: &[Option<f32>], w: usize) -> Vec<Option<f32>> {
    let h = differ.len() / w.max(1);
    let half = [w as f64 / 2.0, h as f64 / 2.0];
    let at = |i: usize| Vector3::new(((i % w) as f64 - half[0]) / half[0], ((i / w) as f64 - half[1]) / half[1], 1.0);
    let known: Vec<(usize, f64)> = differ.iter().enumerate().filter_map(|(i, d)| Some((i, f64::from((*d)?)))).collect();
    let mut lies = Vector3::new(0.0, 0.0, f64::from(median(known.iter().map(|(_, d)| *d as f32))));
    // From the middle to a side it is half of what it is from side to side.
    let forgiven = |v: Vector3<f64>| {
        let side = TILTED_MM / 2.0;
        Vector3::new(v.x.clamp(-side, side), v.y.clamp(-side, side), v.z.clamp(-SETTLED_MM, SETTLED_MM))
    };
    lies = forgiven(lies);
    for _ in 0..ROUNDS {
        let spread = f64::from(deviation(known.iter().map(|(i, d)| (*d - lies.dot(&at(*i))) as f32))).max(1.0) * 4.7;
        let (mut left, mut right) = (Matrix3::<f64>::identity() * 1e-6, Vector3::zeros());
        for (i, d) in &known {
            let (x, off) = (at(*i), (d - lies.dot(&at(*i))) / spread);
            let weight = (1.0 - off * off).max(0.0).powi(2);
            left += x * x.transpose() * weight;
            right += x * (*d * weight);
        }
        match left.lu().solve(&right) {
            Some(better) => lies = forgiven(better),
            None => break,
        }
    }
    differ.iter().enumerate().map(|(i, d)| d.map(|d| d - lies.dot(&at(i)) as f32)).collect()
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut all: Vec<f32> = values.collect();
    let middle = all.len() / 2;
    if all.is_empty() { 0.0 } else { *all.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

/// A standard deviation that a minority cannot move: from the median of what is left.
fn deviation(values: impl Iterator<Item = f32>) -> f32 {
    1.4826 * median(values.map(f32::abs))
}

/// Noise of the differences, one standard deviation: of places so far apart that their averages share no pixel. A step between them moves
/// few of them, and what the whole thing is off none.
fn noise_mm(rest: &[Option<f32>], w: usize) -> f32 {
    let apart = BLUR_PX as usize;
    let pairs = (0..rest.len()).filter(|i| i % w + apart < w).filter_map(|i| Some(rest[i]? - rest[i + apart]?));
    deviation(pairs) / std::f32::consts::SQRT_2
}

/// Heights averaged over a few pixels, where they are known and compared.
struct Smooth {
    mm: Vec<f32>,
    known: Vec<bool>,
}

impl Smooth {
    fn of(heights: &Mat, inside: &[bool]) -> Result<Self, MatchError> {
        let known: Vec<bool> = heights.data_typed::<u16>()?.iter().zip(inside).map(|(mm, inside)| *inside && *mm > 0).collect();
        let blurred = |values: Vec<f32>| -> Result<Mat, MatchError> {
            let mut out = Mat::default();
            let plane = Mat::new_rows_cols_with_data(heights.rows(), heights.cols(), &values)?;
            imgproc::blur_def(&plane, &mut out, Size::new(BLUR_PX, BLUR_PX))?;
            Ok(out)
        };
        let own = heights.data_typed::<u16>()?.iter().zip(&known).map(|(mm, k)| if *k { f32::from(*mm) } else { 0.0 });
        let (sum, n) = (blurred(own.collect())?, blurred(known.iter().map(|k| f32::from(u8::from(*k))).collect())?);
        let mean = sum.data_typed::<f32>()?.iter().zip(n.data_typed::<f32>()?).map(|(s, n)| s / n.max(1e-3));
        Ok(Self { mm: mean.collect(), known })
    }

    /// The highest or lowest of the known heights within `radius` pixels of each place.
    fn extreme(&self, highest: bool, radius: i32, size: Size) -> Result<Vec<f32>, MatchError> {
        let sign = if highest { 1.0 } else { -1.0 };
        let values: Vec<f32> = self.mm.iter().zip(&self.known).map(|(mm, k)| if *k { sign * mm } else { f32::MIN }).collect();
        let mut out = Mat::default();
        imgproc::dilate_def(&Mat::new_rows_cols_with_data(size.height, size.width, &values)?, &mut out, &cv::disc(radius)?)?;
        Ok(out.data_typed::<f32>()?.iter().map(|v| sign * v).collect())
    }
}

/// How far the item's heights lie outside those that the reference has nearby, and the other way round, whichever is more, millimetres: a step
/// that is displaced by less than `radius` differs nowhere.
fn differences(item: &Smooth, reference: &Smooth, radius: i32, size: Size) -> Result<Vec<Option<f32>>, MatchError> {
    let outside = |a: &Smooth, b: &Smooth| -> Result<Vec<f32>, MatchError> {
        let (high, low) = (b.extreme(true, radius, size)?, b.extreme(false, radius, size)?);
        Ok(a.mm.iter().zip(high.iter().zip(&low)).map(|(mm, (high, low))| (mm - high).max(0.0) + (mm - low).min(0.0)).collect())
    };
    let (ours, theirs) = (outside(item, reference)?, outside(reference, item)?);
    let (high, low) = (reference.extreme(true, 2 * radius, size)?, reference.extreme(false, 2 * radius, size)?);
    let is_level = high.iter().zip(&low).map(|(high, low)| high - low < STEEP_MM);
    let known = item.known.iter().zip(&reference.known).zip(is_level).map(|((a, b), level)| *a && *b && level);
    Ok(ours.iter().zip(&theirs).zip(known).map(|((a, b), k)| k.then(|| if a.abs() >= b.abs() { *a } else { -b })).collect())
}

/// Places beyond the limit, above or below.
fn changed(rest: &[Option<f32>], size: Size, limit_mm: f32, area_px: f32, above: bool) -> Result<Vec<Place>, MatchError> {
    let is_far = |d: &Option<f32>| d.is_some_and(|d| if above { d > limit_mm } else { d < -limit_mm });
    let mut far = Mat::new_rows_cols_with_default(size.height, size.width, CV_8UC1, Scalar::all(0.0))?;
    for (out, d) in far.data_bytes_mut()?.iter_mut().zip(rest) {
        *out = if is_far(d) { 255 } else { 0 };
    }
    let (mut parts, mut stats, mut middles) = (Mat::default(), Mat::default(), Mat::default());
    let count = imgproc::connected_components_with_stats_def(&far, &mut parts, &mut stats, &mut middles)?;
    let mut sums = vec![0.0f32; count.max(1) as usize];
    for (part, d) in parts.data_typed::<i32>()?.iter().zip(rest) {
        sums[*part as usize] += d.unwrap_or(0.0);
    }
    let mut places = Vec::new();
    for part in 1..count {
        let of = |what: i32| stats.at_2d::<i32>(part, what).copied();
        let n = of(imgproc::CC_STAT_AREA)? as f32;
        if n >= MIN_PART * area_px {
            let bbox = opencv::core::Rect::new(
                of(imgproc::CC_STAT_LEFT)?,
                of(imgproc::CC_STAT_TOP)?,
                of(imgproc::CC_STAT_WIDTH)?,
                of(imgproc::CC_STAT_HEIGHT)?,
            );
            places.push(Place { bbox, share: n / area_px, by_mm: sums[part as usize] / n });
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::{ColorImage, HeightMap};

    const SIDE: u32 = 120;

    /// A thing of 100 × 100 pixels whose height over the support, millimetres, is `mm(x, y)`; 0 unknown.
    fn thing(mm: impl Fn(u32, u32) -> u16) -> Cutout {
        let inside = |i: u32| (10..110).contains(&(i % SIDE)) && (10..110).contains(&(i / SIDE));
        let color = ColorImage::new(SIDE, SIDE, vec![90; 3 * (SIDE * SIDE) as usize]).unwrap();
        let mm = (0..SIDE * SIDE).map(|i| if inside(i) { mm(i % SIDE, i / SIDE) } else { 0 }).collect();
        let heights = HeightMap::new(SIDE, SIDE, mm).unwrap();
        Cutout::masked(color, (0..SIDE * SIDE).map(inside)).unwrap().with_heights(Some(heights)).unwrap()
    }

    fn compared(item: &Cutout, reference: &Cutout) -> Option<Relief> {
        let size = Size::new(SIDE as i32, SIDE as i32);
        let mask = cv::from_bytes(SIDE, SIDE, item.foreground()).unwrap().try_clone().unwrap();
        let heights = heights(item, size).unwrap()?;
        relief(&heights, &mask, reference, &Matrix3::identity()).unwrap()
    }

    /// Noise of a camera, -1 … 1 mm.
    fn noise(x: u32, y: u32) -> i32 {
        ((x * 7 + y * 13) % 3) as i32 - 1
    }

    fn flat(x: u32, y: u32) -> u16 {
        (50 + noise(y, x)) as u16
    }

    #[test]
    fn noise_tilt_and_holes_are_no_change_of_shape() {
        let reference = thing(flat);
        for (what, item) in [
            ("noise", thing(|x, y| (50 + noise(x, y)) as u16)),
            ("it lies higher", thing(|x, y| (53 + noise(x, y)) as u16)),
            ("it is tilted", thing(|x, y| (47.0 + 0.055 * x as f32) as u16 + (y % 2) as u16)),
            ("holes", thing(|x, y| if (x / 4 + y / 4) % 3 == 0 { 0 } else { 51 })),
        ] {
            let found = compared(&item, &reference).unwrap();
            assert!(found.score() < 0.05, "{what}: {found:?}");
        }
    }

    #[test]
    fn a_dent_a_bulge_and_a_pack_that_is_pressed_flat_are() {
        let reference = thing(flat);
        let dent = |x: u32, y: u32| if (30..60).contains(&x) && (40..70).contains(&y) { 38 } else { flat(x, y) };
        let found = compared(&thing(dent), &reference).unwrap();
        let finding = found.findings(1.0, (SIDE, SIDE)).next().unwrap();
        assert!(finding.kind == FindingKind::ChangedShape && finding.score > 0.5, "{found:?}");
        assert!(finding.bbox.x.abs_diff(30) < 5 && finding.bbox.w.abs_diff(30) < 8, "{finding:?}");
        assert!(found.places[0].by_mm < -7.0);
        let bulge = thing(|x, y| if x > 60 { 75 } else { flat(x, y) });
        assert!(compared(&bulge, &reference).unwrap().places[0].by_mm > 8.0);
        let pressed = compared(&thing(|_, _| 30), &reference).unwrap();
        assert!(pressed.score() > 0.8, "{pressed:?}");
        // Forgiven as a whole, found where it is more.
        let higher = |x: u32, y: u32| if (30..65).contains(&x) && (40..75).contains(&y) { 47 } else { flat(x, y) + 4 };
        let found = compared(&thing(higher), &reference).unwrap();
        assert!(found.score() > 0.4 && found.places[0].by_mm < -5.0, "{found:?}");
        let tilted =
            |x: u32, y: u32| (47.0 + 0.055 * x as f32) as u16 - if (40..75).contains(&x) && (40..75).contains(&y) { 10 } else { 0 };
        assert!(compared(&thing(tilted), &reference).unwrap().score() > 0.4);
    }

    #[test]
    fn without_heights_on_both_sides_nothing_is_said() {
        let bare = Cutout::whole(ColorImage::new(SIDE, SIDE, vec![9; 3 * (SIDE * SIDE) as usize]).unwrap());
        assert_eq!(compared(&thing(flat), &bare), None);
        assert_eq!(compared(&thing(|x, _| u16::from(x < 30) * 50), &thing(flat)), None, "too few");
        assert!(bare.with_heights(HeightMap::new(3, 1, vec![0; 3]).ok()).is_err());
    }
}

//! What a picture shows of units: patches of one colour.

use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Scalar, Vec3b, Vector};
use opencv::imgproc;
use vision::Rect;

use super::Layout;
use crate::appearance::lab;
use crate::{Cutout, MatchError, cv};

/// Longer side at which units are looked for, pixels.
const WORK_PX: u32 = 360;
/// Lightness counts for less than colour: domes and lids shine.
const LIGHTNESS_WEIGHT: f32 = 0.35;
/// Pixels within this distance are of the unit's colour, 8-bit Lab.
pub(super) const SAME_COLOR: f32 = 13.0;
/// Colours of an item that are tried, most frequent first.
const COLORS: usize = 10;
/// A unit's area as a share of the item's.
const AREA_SHARE: std::ops::RangeInclusive<f32> = 0.008..=0.4;
/// A unit fills its tightest rectangle at least so far, and is no longer than this many widths.
const MIN_FILL: f32 = 0.65;
const MAX_ELONGATION: f32 = 2.2;
/// Paper is this bright and this colourless, 8-bit Lab.
const PAPER_LIGHTNESS: u8 = 190;
const PAPER_CHROMA: i32 = 12;
/// A label is larger than a unit by at least this factor.
const SHEET: f32 = 1.6;

/// A patch of one colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch {
    pub at: [f32; 2],
    pub area: f32,
}

/// A picture at the working size.
pub(super) struct Scene {
    pub lab: Mat,
    pub mask: Mat,
    pub area: f32,
    /// Working pixels a pixel of the cutout.
    scale: f32,
}

impl Scene {
    pub fn of(cutout: &Cutout) -> Result<Self, MatchError> {
        let small = cutout.shrunk(WORK_PX)?;
        let (width, height) = (small.color().width(), small.color().height());
        let mut soft = Mat::default();
        imgproc::median_blur(&cv::from_color(small.color())?, &mut soft, 5)?;
        let mask = cv::from_bytes(width, height, small.foreground())?;
        let area = opencv::core::count_non_zero(&mask)?.max(1) as f32;
        Ok(Self { lab: lab(&soft)?, mask, area, scale: width as f32 / cutout.color().width().max(1) as f32 })
    }

    /// The square around a disc, pixels of the cutout, no farther than its borders.
    pub fn rect_around(&self, at: [f32; 2], radius: f32) -> Rect {
        let side = |at: f32, size: i32| {
            let within = |v: f32| (v.clamp(0.0, size as f32) / self.scale) as u32;
            let from = within(at - radius);
            (from, within(at + radius) - from)
        };
        let ((x, w), (y, h)) = (side(at[0], self.mask.cols()), side(at[1], self.mask.rows()));
        Rect { x, y, w, h }
    }

    /// A length at the working size as pixels of the cutout.
    pub fn length_px(&self, working: i32) -> u32 {
        (working as f32 / self.scale) as u32
    }

    /// 255 where the item has a colour.
    pub fn of_color(&self, color: [f32; 3]) -> Result<Mat, MatchError> {
        let mut out = Mat::new_rows_cols_with_default(self.lab.rows(), self.lab.cols(), CV_8UC1, Scalar::all(0.0))?;
        for ((out, p), m) in out.data_bytes_mut()?.iter_mut().zip(self.lab.data_typed::<Vec3b>()?).zip(self.mask.data_bytes()?) {
            *out = if *m > 0 && distance_of(p, color) < SAME_COLOR { 255 } else { 0 };
        }
        Ok(out)
    }

    /// The patches of a colour, shine filled.
    pub fn patches(&self, color: [f32; 3]) -> Result<Vec<Patch>, MatchError> {
        let mut opened = Mat::default();
        imgproc::morphology_ex_def(&self.of_color(color)?, &mut opened, imgproc::MORPH_OPEN, &cv::disc(3)?)?;
        let mut contours = Vector::<Vector<Point>>::new();
        imgproc::find_contours_def(&opened, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
        let mut found = Vec::new();
        for contour in &contours {
            let area = imgproc::contour_area_def(&contour)? as f32;
            if !AREA_SHARE.contains(&(area / self.area)) {
                continue;
            }
            let rect = imgproc::min_area_rect(&contour)?;
            let (long, short) = (rect.size.width.max(rect.size.height), rect.size.width.min(rect.size.height).max(1.0));
            if area >= MIN_FILL * long * short && long <= MAX_ELONGATION * short {
                let moments = imgproc::moments_def(&contour)?;
                let at = [(moments.m10 / moments.m00.max(1.0)) as f32, (moments.m01 / moments.m00.max(1.0)) as f32];
                found.push(Patch { at, area });
            }
        }
        Ok(found)
    }

    /// Areas of what has a colour, in one piece each, whatever its shape; specks left out.
    pub fn blobs(&self, color: [f32; 3]) -> Result<Vec<f32>, MatchError> {
        let mut opened = Mat::default();
        imgproc::morphology_ex_def(&self.of_color(color)?, &mut opened, imgproc::MORPH_OPEN, &cv::disc(2)?)?;
        let mut contours = Vector::<Vector<Point>>::new();
        imgproc::find_contours_def(&opened, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
        contours.iter().map(|c| Ok(imgproc::contour_area_def(&c)? as f32)).collect()
    }

    /// The most frequent colours, in cells of 8-bit Lab.
    pub fn colors(&self) -> Result<Vec<[f32; 3]>, MatchError> {
        let mut cells = std::collections::BTreeMap::<[u8; 3], (u32, [f32; 3])>::new();
        for (p, _) in self.lab.data_typed::<Vec3b>()?.iter().zip(self.mask.data_bytes()?).filter(|(_, m)| **m > 0) {
            let cell = cells.entry([p[0] / 48, p[1] / 12, p[2] / 12]).or_default();
            cell.0 += 1;
            (0..3).for_each(|c| cell.1[c] += f32::from(p[c]));
        }
        let mut cells: Vec<_> = cells.into_values().collect();
        cells.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
        Ok(cells.into_iter().take(COLORS).map(|(n, sum)| sum.map(|v| v / n as f32)).collect())
    }

    /// Middle of the item's outline, and the direction of its longer side in radians.
    pub fn outline(&self) -> Result<([f32; 2], f32), MatchError> {
        let mut points = Vector::<Point>::new();
        opencv::core::find_non_zero(&self.mask, &mut points)?;
        let rect = imgproc::min_area_rect(&points)?;
        let across = if rect.size.width >= rect.size.height { 0.0 } else { 90.0 };
        Ok(([rect.center.x, rect.center.y], (rect.angle + across).to_radians()))
    }

    /// Median colour of the item within two radii of any of the places and not of their colour.
    pub fn around(&self, places: &[Patch], radius: f32, color: [f32; 3]) -> Result<[f32; 3], MatchError> {
        let mut seen: [Vec<u8>; 3] = Default::default();
        let (width, pixels) = (self.lab.cols() as usize, self.lab.data_typed::<Vec3b>()?);
        for (i, (p, m)) in pixels.iter().zip(self.mask.data_bytes()?).enumerate() {
            let at = [(i % width) as f32, (i / width) as f32];
            let near = *m > 0 && places.iter().any(|u| apart(u.at, at) < 2.0 * radius);
            if near && distance_of(p, color) >= SAME_COLOR {
                (0..3).for_each(|c| seen[c].push(p[c]));
            }
        }
        Ok(seen.map(|mut values| {
            values.sort_unstable();
            values.get(values.len() / 2).copied().map_or(128.0, f32::from)
        }))
    }

    /// 255 on sheets of paper that are larger than a unit: bright, colourless, and not of the colour of the card. An empty pocket
    /// may be as pale, but it is no larger than a unit.
    pub fn paper(&self, layout: &Layout, unit_area: f32) -> Result<Mat, MatchError> {
        let mut pale = Mat::new_rows_cols_with_default(self.lab.rows(), self.lab.cols(), CV_8UC1, Scalar::all(0.0))?;
        for ((out, p), m) in pale.data_bytes_mut()?.iter_mut().zip(self.lab.data_typed::<Vec3b>()?).zip(self.mask.data_bytes()?) {
            let chroma = (i32::from(p[1]) - 128).abs().max((i32::from(p[2]) - 128).abs());
            let is_paper = *m > 0 && p[0] >= PAPER_LIGHTNESS && chroma <= PAPER_CHROMA && distance_of(p, layout.ground) >= SAME_COLOR;
            *out = if is_paper { 255 } else { 0 };
        }
        let mut closed = Mat::default();
        imgproc::morphology_ex_def(&pale, &mut closed, imgproc::MORPH_CLOSE, &cv::disc(2)?)?;
        let mut contours = Vector::<Vector<Point>>::new();
        imgproc::find_contours_def(&closed, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
        let mut sheets = Mat::new_rows_cols_with_default(self.lab.rows(), self.lab.cols(), CV_8UC1, Scalar::all(0.0))?;
        for contour in &contours {
            if imgproc::contour_area_def(&contour)? as f32 >= SHEET * unit_area {
                imgproc::fill_poly_def(&mut sheets, &Vector::<Vector<Point>>::from_iter([contour]), Scalar::all(255.0))?;
            }
        }
        Ok(sheets)
    }

    /// Of a disc: share inside the item, share of the units' colour, share under `paper`.
    pub fn disc(&self, at: [f32; 2], radius: f32, layout: &Layout, paper: &Mat) -> Result<[f32; 3], MatchError> {
        let (mut n, mut inside, mut same, mut covered) = (0u32, 0u32, 0u32, 0u32);
        let r = radius.ceil() as i32;
        for (dx, dy) in (-r..=r).flat_map(|dy| (-r..=r).map(move |dx| (dx, dy))).filter(|(x, y)| x * x + y * y <= r * r) {
            n += 1;
            let (x, y) = (at[0].round() as i32 + dx, at[1].round() as i32 + dy);
            if x < 0 || y < 0 || x >= self.lab.cols() || y >= self.lab.rows() || *self.mask.at_2d::<u8>(y, x)? == 0 {
                continue;
            }
            inside += 1;
            let p = self.lab.at_2d::<Vec3b>(y, x)?;
            same += u32::from(distance_of(p, layout.color) < SAME_COLOR);
            covered += u32::from(*paper.at_2d::<u8>(y, x)? > 0);
        }
        let share = |k: u32, of: u32| k as f32 / of.max(1) as f32;
        Ok([share(inside, n), share(same, inside), share(covered, inside)])
    }
}

/// Of two colours in 8-bit Lab.
pub(super) fn distance(a: &[f32; 3], b: [f32; 3]) -> f32 {
    let d = [0, 1, 2].map(|c| a[c] - b[c]);
    (LIGHTNESS_WEIGHT * d[0] * d[0] * LIGHTNESS_WEIGHT + d[1] * d[1] + d[2] * d[2]).sqrt()
}

fn distance_of(p: &Vec3b, color: [f32; 3]) -> f32 {
    distance(&[0, 1, 2].map(|c| f32::from(p[c])), color)
}

pub(super) fn apart(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

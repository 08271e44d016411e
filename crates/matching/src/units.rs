//! Countable units: the tablets of a blister, the cans of a tray.
//!
//! References show how many there should be: patches of one colour and one size, in the same number in every view that shows
//! them. On the item, patches of that colour and size are counted; the reference's layout is laid over them, and a place of it
//! that shows no unit is *missing* when it can be seen, *hidden* when paper lies on it or it lies outside the item.

use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Scalar, Vec3b, Vector};
use opencv::imgproc;
use vision::Rect;

use crate::appearance::lab;
use crate::{Cutout, Gallery, Item, MatchError, cv};

/// Longer side at which units are looked for, pixels.
const WORK_PX: u32 = 360;
/// Lightness counts for less than colour: domes and lids shine.
const LIGHTNESS_WEIGHT: f32 = 0.35;
/// Pixels within this distance are of the unit's colour, 8-bit Lab.
const SAME_COLOR: f32 = 13.0;
/// Colours of an item that are tried, most frequent first.
const COLORS: usize = 10;
/// A unit's area as a share of the item's.
const AREA_SHARE: std::ops::RangeInclusive<f32> = 0.008..=0.4;
/// Units of one kind differ in area by no more than this factor from their median.
const SAME_AREA: f32 = 1.5;
/// A unit fills its tightest rectangle at least so far, and is no longer than this many widths.
const MIN_FILL: f32 = 0.65;
const MAX_ELONGATION: f32 = 2.2;
/// Units of a set; more are texture.
const COUNT: std::ops::RangeInclusive<usize> = 2..=40;
/// Sets of so many may show one unit only; of larger ones, one that shows one is not understood.
const FEW: usize = 3;
/// A unit lies where the layout says when it is no farther off than this share of its own radius.
const IN_PLACE: f32 = 0.6;
/// A place whose disc lies in the item by less than this share is hidden.
const IN_VIEW: f32 = 0.8;
/// Paper is this bright and this colourless, 8-bit Lab.
const PAPER_LIGHTNESS: u8 = 190;
const PAPER_CHROMA: i32 = 12;
/// A label is larger than a unit by at least this factor.
const SHEET: f32 = 1.6;
/// A place with so much paper on it is hidden.
const COVERED: f32 = 0.3;

/// What the references of one product say of its units.
#[derive(Clone, Debug, Default)]
pub struct Units {
    layouts: Vec<Layout>,
}

/// The units of one reference.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// 8-bit Lab.
    color: [f32; 3],
    /// Middles, in units of the square root of the item's area.
    places: Vec<[f32; 2]>,
    /// Median area of a unit as a share of the item's.
    area_share: f32,
    /// What lies around the units, 8-bit Lab.
    ground: [f32; 3],
    /// How the item lies in the reference: middle in the same units as the places, direction of its longer side in radians.
    outline: ([f32; 2], f32),
}

/// How many units an item shows.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitCount {
    /// How many the references show.
    pub expected: u32,
    /// How many the item shows.
    pub seen: u32,
    /// Places that cannot be seen; they count neither as there nor as missing.
    pub hidden: u32,
    /// Where units are missing, pixels of the cutout.
    pub missing: Vec<Rect>,
    /// How sure it is that a unit is missing, [0, 1]; 0 when none is.
    pub score: f32,
}

impl UnitCount {
    /// Share of the places that could be seen, [0, 1].
    pub fn coverage(&self) -> f32 {
        1.0 - self.hidden as f32 / self.expected.max(1) as f32
    }
}

/// A patch of one colour.
#[derive(Clone, Copy, Debug)]
struct Patch {
    at: [f32; 2],
    area: f32,
}

/// A picture at the working size.
struct Scene {
    lab: Mat,
    mask: Mat,
    area: f32,
    /// Working pixels a pixel of the cutout.
    scale: f32,
}

impl Units {
    /// Looks for units in the references of a product. Empty when no two views agree about their number.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a Cutout>) -> Result<Self, MatchError> {
        let mut layouts = Vec::new();
        for cutout in references {
            layouts.extend(Layout::of(&Scene::of(cutout)?)?);
        }
        Ok(Self::agreed(layouts))
    }

    fn agreed(mut layouts: Vec<Layout>) -> Self {
        // The number that most views show; a view from the side shows fewer, or something else.
        let votes = |n: usize| layouts.iter().filter(|l| l.places.len() == n).count();
        let best = layouts.iter().map(|l| l.places.len()).max_by_key(|n| (votes(*n), *n));
        // One view may show print that looks like units: two must agree.
        let agreed = best.filter(|n| votes(*n) >= 2);
        layouts.retain(|l| Some(l.places.len()) == agreed);
        Self { layouts }
    }

    /// How many units the product has; `None`: none were found.
    pub fn expected(&self) -> Option<u32> {
        self.layouts.first().map(|l| l.places.len() as u32)
    }

    /// Counts the units of an item. `None` when the product has none, or the item shows none at all: then it lies on another
    /// side, and nothing is known.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn count(&self, item: &Cutout) -> Result<Option<UnitCount>, MatchError> {
        if self.layouts.is_empty() {
            return Ok(None);
        }
        let scene = Scene::of(item)?;
        let mut best: Option<UnitCount> = None;
        for layout in &self.layouts {
            let Some(count) = layout.count(&scene)? else { continue };
            // The view in which most places are explained speaks.
            if best.as_ref().is_none_or(|b| (count.seen, b.missing.len()) > (b.seen, count.missing.len())) {
                best = Some(count);
            }
        }
        Ok(best)
    }
}

impl Gallery {
    /// Counts the units of an item of `product`. `None` when the product has none that its references agree about, or the item
    /// shows none. References are looked at once, when their product is first asked for; those that show a part are passed over.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn count_units(&self, item: &Item, product: &str) -> Result<Option<UnitCount>, MatchError> {
        let mut layouts = Vec::new();
        for reference in self.references.iter().filter(|r| r.product == product && !r.is_partial) {
            let layout = match reference.units.get() {
                Some(known) => known.clone(),
                None => {
                    let found = Layout::of(&Scene::of(&reference.small)?)?;
                    reference.units.get_or_init(|| found).clone()
                }
            };
            layouts.extend(layout);
        }
        Units::agreed(layouts).count(&item.cutout)
    }
}

impl Scene {
    fn of(cutout: &Cutout) -> Result<Self, MatchError> {
        let small = cutout.shrunk(WORK_PX)?;
        let (width, height) = (small.color().width(), small.color().height());
        let mut soft = Mat::default();
        imgproc::median_blur(&cv::from_color(small.color())?, &mut soft, 5)?;
        let mask = cv::from_bytes(width, height, small.foreground())?;
        let area = opencv::core::count_non_zero(&mask)?.max(1) as f32;
        Ok(Self { lab: lab(&soft)?, mask, area, scale: width as f32 / cutout.color().width().max(1) as f32 })
    }

    /// The square around a disc, pixels of the cutout, no farther than its borders.
    fn rect_around(&self, at: [f32; 2], radius: f32) -> Rect {
        let side = |at: f32, size: i32| {
            let within = |v: f32| (v.clamp(0.0, size as f32) / self.scale) as u32;
            let from = within(at - radius);
            (from, within(at + radius) - from)
        };
        let ((x, w), (y, h)) = (side(at[0], self.mask.cols()), side(at[1], self.mask.rows()));
        Rect { x, y, w, h }
    }

    /// 255 where the item has a colour.
    fn of_color(&self, color: [f32; 3]) -> Result<Mat, MatchError> {
        let mut out = Mat::new_rows_cols_with_default(self.lab.rows(), self.lab.cols(), CV_8UC1, Scalar::all(0.0))?;
        for ((out, p), m) in out.data_bytes_mut()?.iter_mut().zip(self.lab.data_typed::<Vec3b>()?).zip(self.mask.data_bytes()?) {
            *out = if *m > 0 && distance(p, color) < SAME_COLOR { 255 } else { 0 };
        }
        Ok(out)
    }

    /// The patches of a colour, shine filled.
    fn patches(&self, color: [f32; 3]) -> Result<Vec<Patch>, MatchError> {
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

    /// The most frequent colours, in cells of 8-bit Lab.
    fn colors(&self) -> Result<Vec<[f32; 3]>, MatchError> {
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
    fn outline(&self) -> Result<([f32; 2], f32), MatchError> {
        let mut points = Vector::<Point>::new();
        opencv::core::find_non_zero(&self.mask, &mut points)?;
        let rect = imgproc::min_area_rect(&points)?;
        let across = if rect.size.width >= rect.size.height { 0.0 } else { 90.0 };
        Ok(([rect.center.x, rect.center.y], (rect.angle + across).to_radians()))
    }

    /// Median colour of the item within two radii of any of the places and not of their colour.
    fn around(&self, places: &[Patch], radius: f32, color: [f32; 3]) -> Result<[f32; 3], MatchError> {
        let mut seen: [Vec<u8>; 3] = Default::default();
        let (width, pixels) = (self.lab.cols() as usize, self.lab.data_typed::<Vec3b>()?);
        for (i, (p, m)) in pixels.iter().zip(self.mask.data_bytes()?).enumerate() {
            let at = [(i % width) as f32, (i / width) as f32];
            let near = *m > 0 && places.iter().any(|u| apart(u.at, at) < 2.0 * radius);
            if near && distance(p, color) >= SAME_COLOR {
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
    fn paper(&self, layout: &Layout, unit_area: f32) -> Result<Mat, MatchError> {
        let mut pale = Mat::new_rows_cols_with_default(self.lab.rows(), self.lab.cols(), CV_8UC1, Scalar::all(0.0))?;
        for ((out, p), m) in pale.data_bytes_mut()?.iter_mut().zip(self.lab.data_typed::<Vec3b>()?).zip(self.mask.data_bytes()?) {
            let chroma = (i32::from(p[1]) - 128).abs().max((i32::from(p[2]) - 128).abs());
            let is_paper = *m > 0 && p[0] >= PAPER_LIGHTNESS && chroma <= PAPER_CHROMA && distance(p, layout.ground) >= SAME_COLOR;
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
    fn disc(&self, at: [f32; 2], radius: f32, layout: &Layout, paper: &Mat) -> Result<[f32; 3], MatchError> {
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
            same += u32::from(distance(p, layout.color) < SAME_COLOR);
            covered += u32::from(*paper.at_2d::<u8>(y, x)? > 0);
        }
        let share = |k: u32, of: u32| k as f32 / of.max(1) as f32;
        Ok([share(inside, n), share(same, inside), share(covered, inside)])
    }
}

fn distance(p: &Vec3b, color: [f32; 3]) -> f32 {
    let d = [0, 1, 2].map(|c| f32::from(p[c]) - color[c]);
    (LIGHTNESS_WEIGHT * d[0] * d[0] * LIGHTNESS_WEIGHT + d[1] * d[1] + d[2] * d[2]).sqrt()
}

/// The patches whose areas are alike, around the median of the larger ones.
fn alike(patches: &[Patch]) -> Vec<Patch> {
    let mut best = Vec::new();
    for seed in patches {
        let group: Vec<Patch> =
            patches.iter().copied().filter(|p| p.area <= seed.area * SAME_AREA && p.area * SAME_AREA >= seed.area).collect();
        let weight = |g: &[Patch]| g.iter().map(|p| p.area).sum::<f32>();
        if weight(&group) > weight(&best) {
            best = group;
        }
    }
    best
}

impl Layout {
    /// The group of alike patches that covers most of the reference.
    fn of(scene: &Scene) -> Result<Option<Self>, MatchError> {
        let mut best: Option<(f32, Self)> = None;
        for color in scene.colors()? {
            let group = alike(&scene.patches(color)?);
            let total: f32 = group.iter().map(|p| p.area).sum();
            if !COUNT.contains(&group.len()) || best.as_ref().is_some_and(|(area, _)| *area >= total) {
                continue;
            }
            let mut areas: Vec<f32> = group.iter().map(|p| p.area).collect();
            areas.sort_by(f32::total_cmp);
            let unit = scene.area.sqrt();
            let places = group.iter().map(|p| p.at.map(|v| v / unit)).collect();
            let median = areas[areas.len() / 2];
            let ground = scene.around(&group, (median / std::f32::consts::PI).sqrt(), color)?;
            let (middle, turn) = scene.outline()?;
            let outline = (middle.map(|v| v / unit), turn);
            best = Some((total, Self { color, places, area_share: median / scene.area, ground, outline }));
        }
        Ok(best.map(|(_, layout)| layout))
    }

    fn count(&self, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
        let (unit, unit_area) = (scene.area.sqrt(), self.area_share * scene.area);
        let patches: Vec<Patch> =
            scene.patches(self.color)?.into_iter().filter(|p| p.area <= unit_area * SAME_AREA && p.area * SAME_AREA >= unit_area).collect();
        if patches.is_empty() {
            return Ok(None);
        }
        let (expected, radius) = (self.places.len() as u32, (unit_area / std::f32::consts::PI).sqrt());
        let places: Vec<[f32; 2]> = self.places.iter().map(|p| p.map(|v| v * unit)).collect();
        let by_units = lay(&places, &patches, IN_PLACE * radius);
        // One unit has no direction: the outline of the item does.
        let by_outline =
            || -> Result<_, MatchError> { Ok(self.lay_by_outline(&places, &patches, IN_PLACE * radius, scene.outline()?, unit)) };
        let few = self.places.len() <= FEW;
        let Some(laid) = by_units.map_or_else(|| if few { by_outline() } else { Ok(None) }, |laid| Ok(Some(laid)))? else {
            return Ok(None);
        };
        let paper = scene.paper(self, unit_area)?;
        let mut by_color = 0;
        let mut count = UnitCount { expected, seen: 0, hidden: 0, missing: Vec::new(), score: 0.0 };
        for place in laid {
            if patches.iter().any(|p| apart(p.at, place) <= IN_PLACE * radius) {
                count.seen += 1;
                continue;
            }
            let [inside, same, paper] = scene.disc(place, 0.7 * radius, self, &paper)?;
            if same > 0.6 {
                // A unit that runs into something of its colour.
                (count.seen, by_color) = (count.seen + 1, by_color + 1);
            } else if inside < IN_VIEW || paper > COVERED {
                count.hidden += 1;
            } else {
                count.score = count.score.max(1.0 - same);
                count.missing.push(scene.rect_around(place, radius));
            }
        }
        // A colour that lies everywhere is not that of units.
        Ok((2 * by_color <= count.seen).then_some(count))
    }
}

impl Layout {
    /// The places laid over the item by its outline, in the direction in which its units lie in place best. `None`: in neither.
    fn lay_by_outline(
        &self,
        places: &[[f32; 2]],
        patches: &[Patch],
        tolerance: f32,
        (middle, turn): ([f32; 2], f32),
        unit: f32,
    ) -> Option<Vec<[f32; 2]>> {
        let from = self.outline.0.map(|v| v * unit);
        let ways = [0.0, std::f32::consts::PI].map(|way| {
            let (s, c) = (turn - self.outline.1 + way).sin_cos();
            let laid = places.iter().map(|v| [v[0] - from[0], v[1] - from[1]]);
            laid.map(|d| [middle[0] + c * d[0] - s * d[1], middle[1] + s * d[0] + c * d[1]]).collect::<Vec<_>>()
        });
        let off = |laid: &Vec<[f32; 2]>| {
            let apart_least = |p: &Patch| laid.iter().map(|v| apart(p.at, *v)).fold(f32::INFINITY, f32::min);
            patches.iter().map(apart_least).fold(0.0, f32::max)
        };
        let [a, b] = ways;
        let (off_a, off_b) = (off(&a), off(&b));
        match (off_a <= tolerance, off_b <= tolerance) {
            (true, false) => Some(a),
            (false, true) => Some(b),
            // Both fit where the layout is the same in either direction.
            (true, true) => Some(if off_a <= off_b { a } else { b }),
            (false, false) => None,
        }
    }
}

fn apart(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Part of the tolerance: a layout whose every place lies nearer to a patch on average is not improved any further.
const GOOD_ENOUGH: f32 = 0.25;

/// How many places lie at a patch, and how far off they are together; `None` when fewer than `needed` can be.
fn in_place(laid: &[[f32; 2]], patches: &[Patch], tolerance: f32, needed: usize) -> Option<(usize, f32)> {
    let (mut n, mut sum) = (0, 0.0);
    for (k, v) in laid.iter().enumerate() {
        let off = patches.iter().map(|p| apart(p.at, *v)).fold(f32::INFINITY, f32::min);
        if off <= tolerance {
            n += 1;
            sum += off;
        }
        if n + laid.len() - k - 1 < needed {
            return None;
        }
    }
    Some((n, sum))
}

/// The places of the layout in the item: the turn, shift and small change of size under which most patches lie in place. All pairs
/// are tried, so that the answer is the same on every run. `None`: less than two patches.
fn lay(places: &[[f32; 2]], patches: &[Patch], tolerance: f32) -> Option<Vec<[f32; 2]>> {
    let mut best: Option<(usize, f32, Vec<[f32; 2]>)> = None;
    let most = places.len().min(patches.len());
    for (i, a) in places.iter().enumerate() {
        for b in places.iter().skip(i + 1) {
            for (k, p) in patches.iter().enumerate() {
                for q in patches.iter().enumerate().filter(|(l, _)| *l != k).map(|(_, q)| q) {
                    let (from, to) = ([b[0] - a[0], b[1] - a[1]], [q.at[0] - p.at[0], q.at[1] - p.at[1]]);
                    let length = from[0].hypot(from[1]).max(1e-3);
                    let scale = to[0].hypot(to[1]) / length;
                    if !(0.8..=1.25).contains(&scale) {
                        continue;
                    }
                    // Complex quotient: turn and scale in one.
                    let (c, s) =
                        ((to[0] * from[0] + to[1] * from[1]) / (length * length), (to[1] * from[0] - to[0] * from[1]) / (length * length));
                    let laid: Vec<[f32; 2]> = places
                        .iter()
                        .map(|v| {
                            let d = [v[0] - a[0], v[1] - a[1]];
                            [p.at[0] + c * d[0] - s * d[1], p.at[1] + s * d[0] + c * d[1]]
                        })
                        .collect();
                    let needed = best.as_ref().map_or(0, |(n, ..)| *n);
                    let Some((n, sum)) = in_place(&laid, patches, tolerance, needed) else { continue };
                    if n == most && sum < GOOD_ENOUGH * tolerance * n as f32 {
                        return Some(laid);
                    }
                    if best.as_ref().is_none_or(|(m, s, _)| n > *m || (n == *m && sum < *s)) {
                        best = Some((n, sum, laid));
                    }
                }
            }
        }
    }
    best.map(|(_, _, laid)| laid)
}

//! The numbers that tell damaged items from whole ones.

use super::relief::Relief;
use super::repeat::repetition;
use super::shape::{asymmetry, behind_hull_m, bumps_m, hollows_m, roughness_m};

/// Names of the cues, in the order of [`Cues::values`].
pub const CUE_NAMES: [&str; 44] = [
    "hull_mean_mm",
    "hull_p95_mm",
    "hull_area_3mm",
    "hull_area_8mm",
    "hull_share_4mm",
    "hollow_p99_mm",
    "hollow_area_4mm",
    "hollow_area_8mm",
    "hollow_share_3mm",
    "small_hollow_p99_mm",
    "small_hollow_area_3mm",
    "bump_p99_mm",
    "bump_area_5mm",
    "bump_share_4mm",
    "asym_mean_mm",
    "asym_p95_mm",
    "asym_outline",
    "solidity",
    "boxness",
    "rough_p50_mm",
    "rough_p95_mm",
    "rough_p99_mm",
    "rough_area_2mm",
    "gap_share",
    "gap_largest_mm2",
    "dark_deep_mm2",
    "dark_mm2",
    "stain_mm2",
    "stain_share",
    "stain_radius_mm",
    "stain_beyond_mm2",
    "height_p90_mm",
    "area_cm2",
    "height_p50_mm",
    "foreign_share",
    "odd_color_mm2",
    "low_mm2",
    "low_radius_mm",
    "low_odd_mm2",
    "repeat_share",
    "repeat_peak",
    "repeat_relief_mm",
    "repeat_color",
    "repeat_depth_mm",
];

/// Matter lower than this over the tray is flat, metres.
const LOW_M: f32 = 0.005;

/// Cues of one item and the maps that they come from.
pub(crate) struct Cues {
    /// One number a name of [`CUE_NAMES`].
    pub values: [f32; CUE_NAMES.len()],
    /// Metres behind the hull, per step of the relief.
    pub behind_hull_m: Vec<f32>,
    /// Metres of hollow, per step.
    pub hollow_m: Vec<f32>,
    /// Metres of bump, per step.
    pub bump_m: Vec<f32>,
    /// Metres of roughness, per step.
    pub rough_m: Vec<f32>,
    /// Dark and lower than its surroundings, per step.
    pub dark_deep: Vec<bool>,
}

/// Value at quantile `q` of a list, 0 when it is empty.
fn quantile(values: &mut [f32], q: f32) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get(((values.len() as f32 - 1.0) * q).max(0.0) as usize).copied().unwrap_or(0.0)
}

/// Percentiles and areas of one map over the item.
struct Spread<'a> {
    relief: &'a Relief,
    values: Vec<f32>,
}

impl<'a> Spread<'a> {
    fn new(relief: &'a Relief, map: &[f32], core: &[bool]) -> Self {
        Self { relief, values: relief.solid().filter(|i| core[*i]).map(|i| map[i]).collect() }
    }

    fn mean_mm(&self) -> f32 {
        1e3 * self.values.iter().sum::<f32>() / self.values.len().max(1) as f32
    }

    fn quantile_mm(&mut self, q: f32) -> f32 {
        1e3 * quantile(&mut self.values, q)
    }

    fn share(&self, above_m: f32) -> f32 {
        self.values.iter().filter(|v| **v > above_m).count() as f32 / self.values.len().max(1) as f32
    }

    fn area_mm2(&self, above_m: f32) -> f32 {
        self.relief.area_mm2(self.values.iter().filter(|v| **v > above_m).count() as f32)
    }
}

/// Steps of the item that are not on its border, where depth bleeds.
fn core(relief: &Relief) -> Vec<bool> {
    (0..relief.inside.len()).map(|i| relief.inside[i] && relief.around(i).all(|j| relief.inside[j])).collect()
}

/// Measures the item.
pub(crate) fn measure(relief: &Relief) -> Cues {
    let core = core(relief);
    let behind_hull = behind_hull_m(relief);
    let hollow = hollows_m(relief, 0.025);
    let small_hollow = hollows_m(relief, 0.010);
    let bump = bumps_m(relief, 0.020);
    let rough = roughness_m(relief, 0.006);
    let dark_deep = dark_deep(relief, &small_hollow, &hollow);
    let asym = asymmetry(relief);
    let (solidity, boxness) = outline(relief);
    let (gap_share, gap_largest) = gaps(relief);
    let item = relief.inside.iter().filter(|m| **m).count() as f32;
    let stain = stain(relief);
    let (odd, low) = (odd_color(relief), low_matter(relief));
    let mut heights: Vec<f32> = relief.solid().map(|i| relief.height_m[i]).collect();
    let repeat = repetition(relief, &behind_hull);
    let mut hull = Spread::new(relief, &behind_hull, &core);
    let mut hollows = Spread::new(relief, &hollow, &core);
    let mut small = Spread::new(relief, &small_hollow, &core);
    let mut bumps = Spread::new(relief, &bump, &core);
    let mut roughs = Spread::new(relief, &rough, &core);
    let values = [
        hull.mean_mm(),
        hull.quantile_mm(0.95),
        hull.area_mm2(0.003),
        hull.area_mm2(0.008),
        hull.share(0.004),
        hollows.quantile_mm(0.99),
        hollows.area_mm2(0.004),
        hollows.area_mm2(0.008),
        hollows.share(0.003),
        small.quantile_mm(0.99),
        small.area_mm2(0.003),
        bumps.quantile_mm(0.99),
        bumps.area_mm2(0.005),
        bumps.share(0.004),
        1e3 * asym.mean_m,
        1e3 * asym.p95_m,
        asym.outline,
        solidity,
        boxness,
        roughs.quantile_mm(0.5),
        roughs.quantile_mm(0.95),
        roughs.quantile_mm(0.99),
        roughs.area_mm2(0.002),
        gap_share,
        gap_largest,
        relief.area_mm2(dark_deep.iter().filter(|d| **d).count() as f32),
        relief.area_mm2(dark(relief)),
        relief.area_mm2(stain.cells),
        stain.cells / item.max(1.0),
        1e3 * stain.radius_m,
        relief.area_mm2(stain.beyond),
        1e3 * quantile(&mut heights, 0.9),
        relief.area_mm2(item) * 1e-2,
        1e3 * quantile(&mut heights, 0.5),
        relief.foreign.iter().filter(|f| **f).count() as f32 / item.max(1.0),
        relief.area_mm2(count(&odd)),
        relief.area_mm2(count(&low)),
        1e3 * largest_radius_m(relief, &low),
        relief.area_mm2((0..odd.len()).filter(|i| low[*i] && (odd[*i] || !relief.inside[*i])).count() as f32),
        repeat.correlation,
        repeat.peak,
        1e3 * repeat.relief_m,
        repeat.color,
        1e3 * repeat.depth_m,
    ];
    Cues { values, behind_hull_m: behind_hull, hollow_m: hollow, bump_m: bump, rough_m: rough, dark_deep }
}

/// Steps that are much darker than the item and lie in a hollow: openings through the skin.
fn dark_deep(relief: &Relief, small_hollow: &[f32], hollow: &[f32]) -> Vec<bool> {
    let gray = |i: usize| relief.color[i].iter().sum::<f32>() / 3.0;
    let mut all: Vec<f32> = (0..relief.inside.len()).filter(|i| relief.inside[*i]).map(gray).collect();
    let limit = 0.55 * quantile(&mut all, 0.5);
    (0..relief.inside.len())
        .map(|i| {
            let deep = small_hollow[i] > 0.003 || hollow[i] > 0.006 || relief.valid[i] < 0.5;
            relief.inside[i] && deep && gray(i) < limit
        })
        .collect()
}

/// Share of the outline's convex hull, and of its smallest upright or diagonal box, that the item fills.
fn outline(relief: &Relief) -> (f32, f32) {
    let cells: Vec<(f32, f32)> =
        (0..relief.inside.len()).filter(|i| relief.inside[*i]).map(|i| ((i % relief.w) as f32, (i / relief.w) as f32)).collect();
    let n = cells.len() as f32;
    // Support widths over half a turn give the smallest box, and the hull's area by integration.
    const TURNS: usize = 36;
    let support: Vec<f32> = (0..2 * TURNS)
        .map(|k| {
            let a = k as f32 * std::f32::consts::PI / TURNS as f32;
            let (c, s) = (a.cos(), a.sin());
            0.5 + cells.iter().map(|(x, y)| x * c + y * s).fold(f32::MIN, f32::max)
        })
        .collect();
    let width = |k: usize| support[k] + support[(k + TURNS) % (2 * TURNS)];
    let boxed = (0..TURNS).map(|k| width(k) * width((k + TURNS / 2) % (2 * TURNS))).fold(f32::MAX, f32::min);
    (n / crate::segment::convex_area(&cells).max(1.0), n / boxed.max(1.0))
}

/// Share of the item without depth, and its largest connected part in square millimetres.
fn gaps(relief: &Relief) -> (f32, f32) {
    let open: Vec<bool> = (0..relief.inside.len()).map(|i| relief.inside[i] && relief.valid[i] < 0.5).collect();
    let parts = crate::segment::parts(&open, relief.w, |_, _| true);
    let largest = parts.sizes.iter().copied().max().unwrap_or(0) as f32;
    let item = relief.inside.iter().filter(|m| **m).count().max(1) as f32;
    (open.iter().filter(|o| **o).count() as f32 / item, relief.area_mm2(largest))
}

/// Flat matter beside the item, its own border ring left out.
struct Stain {
    /// Steps covered.
    cells: f32,
    /// Radius of the largest square that fits in: a puddle is a blob, the thin edge of a mailer is not.
    radius_m: f32,
    /// Steps that lie outside the item's convex outline.
    beyond: f32,
}

fn stain(relief: &Relief) -> Stain {
    let (w, n) = (relief.w, relief.inside.len());
    let wide = crate::segment::dilate(&relief.inside, w, 1);
    let left: Vec<bool> = (0..n).map(|i| !wide[i] && !relief.foreign[i] && relief.stained[i] >= 0.5).collect();
    let lines = convex_outline(relief);
    let cells = count(&left);
    let beyond =
        (0..n).filter(|i| left[*i] && lines.iter().any(|(c, s, d)| (i % w) as f32 * c + (i / w) as f32 * s > d + 2.0)).count() as f32;
    Stain { cells, radius_m: largest_radius_m(relief, &left), beyond }
}

fn count(mask: &[bool]) -> f32 {
    mask.iter().filter(|m| **m).count() as f32
}

/// Half the side of the largest square that fits into a mask, metres: a puddle is a blob, a seam is not.
fn largest_radius_m(relief: &Relief, mask: &[bool]) -> f32 {
    let mut left = mask.to_vec();
    let mut radius = 0.0f32;
    while left.contains(&true) {
        radius += 1.0;
        left = crate::segment::erode(&left, relief.w, 1);
    }
    radius * relief.pitch_m
}

/// Matter that hardly rises over the tray, on the item or beside it: puddles, powder, film.
fn low_matter(relief: &Relief) -> Vec<bool> {
    (0..relief.inside.len())
        .map(|i| (relief.inside[i] && relief.height_m[i] < LOW_M) || (!relief.foreign[i] && relief.stained[i] > 0.5))
        .collect()
}

/// Support lines of the item's outline, `(cos, sin, distance)` every ten degrees.
fn convex_outline(relief: &Relief) -> Vec<(f32, f32, f32)> {
    let cells: Vec<(f32, f32)> =
        (0..relief.inside.len()).filter(|i| relief.inside[*i]).map(|i| ((i % relief.w) as f32, (i / relief.w) as f32)).collect();
    (0..36)
        .map(|k| {
            let (s, c) = (k as f32 * std::f32::consts::PI / 18.0).sin_cos();
            (c, s, cells.iter().map(|(x, y)| x * c + y * s).fold(f32::MIN, f32::max))
        })
        .collect()
}

/// Steps of the item that are nearly black beside the rest of it.
fn dark(relief: &Relief) -> f32 {
    let gray = |i: usize| relief.color[i].iter().sum::<f32>() / 3.0;
    let mut all: Vec<f32> = (0..relief.inside.len()).filter(|i| relief.inside[*i]).map(gray).collect();
    let limit = 0.4 * quantile(&mut all, 0.5);
    all.iter().filter(|v| **v < limit).count() as f32
}

/// Steps of the item whose colour is rare on its high parts: what sticks to it or comes out of it.
fn odd_color(relief: &Relief) -> Vec<bool> {
    // Colours in bins of 32 levels; what covers less than one in sixty of the item's body is rare.
    let bin = |c: &[f32; 3]| ((c[0] as usize / 32) * 64 + (c[1] as usize / 32) * 8 + c[2] as usize / 32).min(511);
    let mut histogram = vec![0u32; 512];
    let mut body = 0;
    for i in (0..relief.inside.len()).filter(|i| relief.inside[*i] && relief.height_m[*i] >= LOW_M) {
        histogram[bin(&relief.color[i])] += 1;
        body += 1;
    }
    (0..relief.inside.len()).map(|i| relief.inside[i] && histogram[bin(&relief.color[i])] <= body / 60).collect()
}

//! Items in a frame: where they are, how many, and on what they lie.
//!
//! 1. The **support** is a plane found in the frame's own depth or, better, the empty tray's ([`SupportPlane`]).
//! 2. **Foreground** rises over the support or differs from the empty tray; without depth colour decides, and without either what stands in the middle of the picture.
//! 3. **Items**: foreground is cut into small patches at creases and steps, and patches are joined over convex borders
//!    by a signed graph; rules of physics (what hangs in the air belongs to what it hangs on, an inside belongs to its
//!    outside) join the rest.

mod by_color;
mod by_network;
mod color;
mod components;
mod foreground;
mod grab;
mod graph;
mod items;
mod normals;
mod outline;
mod pieces;
mod plane;
mod refine;
mod see_through;
mod supervoxels;
mod tray;
mod tray_floor;

pub use plane::SupportPlane;
pub use tray::EmptyTray;
use vision::{DepthImage, LabelMask, Rect, RgbdFrame};

pub(crate) use components::{dilate, erode, parts};
use foreground::Foreground;
use graph::Votes;
use outline::Outline;
pub(crate) use pieces::convex_area;

use crate::InspectionError;
use crate::finder::ItemFinder;
use crate::grid::{Grid, assumed_camera, step_for};

/// What segmentation may assume.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentationParams {
    /// Concave bend between neighbouring patches (about 12 mm apart) that still counts as one smooth surface, degrees.
    pub smooth_bend_deg: f32,
    /// Concave bend that separates items, degrees.
    pub crease_bend_deg: f32,
    /// Items that cover less are ignored, square metres.
    pub min_item_area_m2: f32,
    /// One item is expected: small pieces at its side (cans of a pack, lids, loose parts) are parts of it. Things of
    /// like size, and what lies apart, stay items of their own.
    pub one_item: bool,
}

impl Default for SegmentationParams {
    fn default() -> Self {
        Self { smooth_bend_deg: 12.0, crease_bend_deg: 32.0, min_item_area_m2: 4.0e-4, one_item: false }
    }
}

/// One item of a segmentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The value of its pixels in the mask, 1.. in decreasing area.
    pub id: u16,
    /// Bounding box, pixels of the colour image.
    pub bbox: Rect,
    /// Pixels covered.
    pub area_px: u32,
    /// True when it touches the picture's border.
    pub clipped: bool,
    /// True when depth sees through most of it: what depth shows is fragments, and says nothing of its shape.
    pub see_through: bool,
}

/// Items of one frame.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// Instances, size of the colour image.
    pub mask: LabelMask,
    /// Instances in decreasing area.
    pub instances: Vec<Instance>,
    /// The surface under the items; `None` when depth shows none.
    pub support: Option<SupportPlane>,
    /// True where the picture differs from the empty tray without rising over it (flat matter, stains), size of the
    /// colour image; empty without a background.
    pub beside: Vec<bool>,
    /// True when an empty-tray background was used.
    pub used_background: bool,
    /// True when depth was used.
    pub used_depth: bool,
}

/// What segmentation knows of the cells of its grid, for those who measure the items next.
pub(crate) struct Cells {
    pub grid: Grid,
    /// Item of each cell as in the mask, 0 = none.
    pub labels: Vec<u16>,
    /// Height above the support, metres; 0 without depth or support.
    pub height_m: Vec<f32>,
    /// Height of the empty tray above the support, metres, where its picture has depth: what items lie on.
    pub floor_m: Option<Vec<Option<f32>>>,
    /// Flat matter on the tray: colour differs from the empty tray, depth does not.
    pub stained: Vec<bool>,
    /// Mean colours, RGB.
    pub colors: Vec<[f32; 3]>,
}

/// A segmentation with its cells.
pub(crate) struct Analysis {
    pub segmentation: Segmentation,
    pub cells: Cells,
}

/// Visible area above which something that the border cuts off is surroundings, square metres.
const SURROUNDINGS_M2: f32 = 0.12;
/// Length of the border that it runs along, metres.
const SURROUNDINGS_BORDER_M: f32 = 0.3;
/// Width of the ring of cells that counts as the border.
const BORDER_CELLS: usize = 8;

/// Finds the items in `frame`, with the empty tray's picture from the same camera when there is one, and with a network for what neither
/// depth nor that picture tells.
///
/// # Errors
/// When depth or background differ in size from the colour image, or the network fails.
pub fn segment(
    frame: &RgbdFrame,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
    finder: Option<&ItemFinder>,
) -> Result<Segmentation, InspectionError> {
    analyse(frame, background, params, finder).map(|a| a.segmentation)
}

/// As [`segment`], with the cells.
pub(crate) fn analyse(
    frame: &RgbdFrame,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
    finder: Option<&ItemFinder>,
) -> Result<Analysis, InspectionError> {
    check_sizes(frame, background)?;
    match frame.depth.as_ref().filter(|d| has_depth(d)) {
        Some(depth) => from_depth(frame, depth, background, params, finder),
        None => by_color::analyse(frame, background, params, finder),
    }
}

/// True when two of a hundred pixels have depth; most pictures show it in their first rows.
fn has_depth(depth: &DepthImage) -> bool {
    let data = depth.data();
    data.iter().filter(|z| **z > 0.0).nth(data.len() / 50).is_some()
}

fn check_sizes(frame: &RgbdFrame, background: Option<&EmptyTray>) -> Result<(), InspectionError> {
    let size = (frame.color.width(), frame.color.height());
    let other = |what: &'static str, (width, height): (u32, u32)| {
        if (width, height) == size {
            Ok(())
        } else {
            Err(InspectionError::Size { what, width, height, color_width: size.0, color_height: size.1 })
        }
    };
    if let Some(d) = &frame.depth {
        other("depth", (d.width(), d.height()))?;
    }
    if let Some(b) = background.map(EmptyTray::frame) {
        other("the background's colour", (b.color.width(), b.color.height()))?;
        if let Some(d) = &b.depth {
            other("the background's depth", (d.width(), d.height()))?;
        }
    }
    Ok(())
}

fn from_depth(
    frame: &RgbdFrame,
    depth: &DepthImage,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
    finder: Option<&ItemFinder>,
) -> Result<Analysis, InspectionError> {
    let camera = frame.intrinsics.unwrap_or_else(|| assumed_camera(depth.width(), depth.height()));
    let tray = background.map(|b| b.known_for(frame));
    let ((w, _, colors), (grid, support)) = rayon::join(
        || color::cell_colors(&frame.color, step_for(frame.color.width())),
        || {
            let grid = Grid::new(depth, &camera);
            // A tray pictured without depth leaves the plane to the frame.
            let support = match &tray {
                Some(known) if known.z_m.is_some() => known.support,
                _ => plane::find(&grid).map(|table| tray_floor::find(&grid, &table).unwrap_or(table)),
            };
            (grid, support)
        },
    );
    let mut found = match (&support, &tray) {
        (_, Some(known)) => {
            let changed = color::changed_colors(&colors, &known.colors, w);
            foreground::against_background(&grid, support.as_ref(), known, &changed)
        }
        (Some(plane), None) => foreground::above_plane(&grid, plane),
        (None, None) => return by_color::analyse(frame, background, params, finder),
    };
    let asked = finder.filter(|_| found.is_in_doubt);
    let (mut labels, maps) =
        rayon::join(|| split(&grid, &mut found, params), || asked.map(|f| f.look(&frame.color, Some(depth))).transpose());
    let mut see_through = seen_through(&labels, &found, &grid);
    if let (Some(maps), Some(plane)) = (maps?, &support) {
        let mut seen = by_network::items(&maps, [grid.w, grid.h], grid.step);
        by_network::keep_over(&mut seen, &grid, plane, &Outline::of(&grid, plane, &found.height_m), params.min_item_area_m2);
        see_through.extend(by_network::add_unseen(&mut labels, &seen, &grid, params.one_item));
    }
    let mask = refine::to_picture(&labels, &grid, depth).ok_or(InspectionError::Empty)?;
    // Where the tray's picture has no depth nobody knows its floor.
    let floor_m = tray.as_ref().and_then(|known| {
        let (heights, z) = (known.height_m.as_ref()?, known.z_m.as_ref()?);
        Some(heights.iter().zip(z).map(|(h, z)| (*z > 0.0).then_some(*h)).collect())
    });
    let cells = Cells { grid, labels, height_m: found.height_m, floor_m, stained: found.stained, colors };
    Ok(finish(mask, support, cells, (background.is_some(), true), &see_through))
}

/// Labels of the items that were found by a hole in the depth, and of which depth misses most.
fn seen_through(labels: &[u16], found: &Foreground, grid: &Grid) -> Vec<u16> {
    let of = |cells: &Vec<usize>| cells.iter().map(|i| labels[*i]).find(|l| *l != 0);
    let is_missed = |label: &u16| {
        let own = || labels.iter().zip(&grid.z).filter(|(l, _)| *l == label);
        2 * own().filter(|(_, z)| **z <= 0.0).count() > own().count()
    };
    found.see_through.iter().filter_map(of).filter(is_missed).collect()
}

/// Items of the foreground, per cell.
fn split(grid: &Grid, found: &mut Foreground, params: &SegmentationParams) -> Vec<u16> {
    let solid: Vec<bool> = found.mask.iter().zip(&grid.z).map(|(m, z)| *m && *z > 0.0).collect();
    let (patches, normals) = supervoxels::build(grid, &solid, &found.height_m);
    let votes = Votes { smooth_deg: params.smooth_bend_deg, crease_deg: params.crease_bend_deg, cut: 1.5, step: 1.0 };
    let clusters = graph::build(grid, &normals, &patches, &votes).contract();
    let mut labels = items::from_clusters(grid, &normals, &patches, &clusters);
    refine::spread(&mut labels, &found.mask, grid.w);
    refine::fill_holes(&mut labels, grid);
    refine::smooth(&mut labels, grid.w);
    for cells in &found.see_through {
        let known = cells.iter().map(|i| labels[*i]).find(|l| *l != 0);
        let label = known.unwrap_or_else(|| labels.iter().copied().max().unwrap_or(0).saturating_add(1));
        for i in cells {
            labels[*i] = label;
        }
    }
    if params.one_item {
        pieces::gather_on_card(&mut labels, &mut found.stained, grid.w);
        pieces::gather_units(&mut labels, grid);
        pieces::gather_pieces(&mut labels, grid);
    }
    drop_small(&mut labels, grid, &found.see_through, params.min_item_area_m2);
    drop_surroundings(&mut labels, grid);
    labels
}

/// Clears walls and furniture: what is larger than anything that a cell handles and runs on along the picture's border.
fn drop_surroundings(labels: &mut [u16], grid: &Grid) {
    let most = usize::from(labels.iter().copied().max().unwrap_or(0));
    let (mut area_m2, mut border_m) = (vec![0.0f32; most + 1], vec![0.0f32; most + 1]);
    for (i, label) in labels.iter().enumerate().filter(|(_, l)| **l != 0) {
        let (x, y) = (i % grid.w, i / grid.w);
        let area = grid.cell_area_m2(i);
        area_m2[usize::from(*label)] += area;
        if x < BORDER_CELLS || y < BORDER_CELLS || x + BORDER_CELLS >= grid.w || y + BORDER_CELLS >= grid.h {
            // A ring several cells wide bridges gaps in the depth at the very border.
            border_m[usize::from(*label)] += area.sqrt() / BORDER_CELLS as f32;
        }
    }
    for label in labels.iter_mut() {
        let l = usize::from(*label);
        if area_m2[l] > SURROUNDINGS_M2 && border_m[l] > SURROUNDINGS_BORDER_M {
            *label = 0;
        }
    }
}

/// Clears items whose visible area is below the limit.
fn drop_small(labels: &mut [u16], grid: &Grid, see_through: &[Vec<usize>], min_area_m2: f32) {
    let most = labels.iter().copied().max().unwrap_or(0);
    let mut area = vec![0.0f32; usize::from(most) + 1];
    for (i, l) in labels.iter().enumerate().filter(|(_, l)| **l != 0) {
        area[usize::from(*l)] += grid.cell_area_m2(i);
    }
    for cells in see_through {
        // What has no depth has no area here; its own limit was kept.
        if let Some(i) = cells.first() {
            area[usize::from(labels[*i])] = f32::MAX;
        }
    }
    for l in labels.iter_mut() {
        if area[usize::from(*l)] < min_area_m2 {
            *l = 0;
        }
    }
}

/// Numbers the items by area and measures them; `see_through` are the labels of those that depth sees through.
fn finish(
    mut mask: LabelMask,
    support: Option<SupportPlane>,
    mut cells: Cells,
    (used_background, used_depth): (bool, bool),
    see_through: &[u16],
) -> Analysis {
    let (mut instances, renamed) = number_by_area(&mut mask);
    for label in see_through.iter().map(|l| renamed[usize::from(*l)]).filter(|l| *l != 0) {
        instances[usize::from(label) - 1].see_through = true;
    }
    for l in &mut cells.labels {
        *l = renamed[usize::from(*l)];
    }
    let (width, grid) = (mask.width() as usize, &cells.grid);
    let mut beside = vec![false; if used_background { mask.data().len() } else { 0 }];
    for (y, (line, row)) in beside.chunks_exact_mut(width).zip(mask.data().chunks_exact(width)).enumerate() {
        let stained = &cells.stained[(y / grid.step).min(grid.h - 1) * grid.w..][..grid.w];
        if !stained.contains(&true) {
            continue;
        }
        for (x, (beside, label)) in line.iter_mut().zip(row).enumerate() {
            *beside = *label == 0 && stained[(x / grid.step).min(grid.w - 1)];
        }
    }
    let segmentation = Segmentation { mask, instances, support, beside, used_background, used_depth };
    Analysis { segmentation, cells }
}

/// Renumbers the labels 1.. in decreasing area; gives the instances in that order and the new label of each old one.
fn number_by_area(mask: &mut LabelMask) -> (Vec<Instance>, Vec<u16>) {
    let (width, height) = (mask.width(), mask.height());
    let mut found: Vec<(u16, Rect, u32)> = extents(mask);
    found.sort_by_key(|(label, _, area)| (std::cmp::Reverse(*area), *label));
    let mut new = vec![0u16; usize::from(u16::MAX) + 1];
    for (rank, (label, ..)) in found.iter().enumerate() {
        new[usize::from(*label)] = rank as u16 + 1;
    }
    if found.iter().zip(1..).any(|((label, ..), rank)| *label != rank) {
        for l in mask.data_mut() {
            *l = new[usize::from(*l)];
        }
    }
    let instances = found
        .into_iter()
        .enumerate()
        .map(|(rank, (_, bbox, area_px))| Instance {
            id: rank as u16 + 1,
            bbox,
            area_px,
            clipped: bbox.x == 0 || bbox.y == 0 || bbox.x + bbox.w == width || bbox.y + bbox.h == height,
            see_through: false,
        })
        .collect();
    (instances, new)
}

/// Label, box and area of all labels in one pass over the runs of each row.
fn extents(mask: &LabelMask) -> Vec<(u16, Rect, u32)> {
    let mut all: std::collections::BTreeMap<u16, (u32, u32, u32, u32, u32)> = std::collections::BTreeMap::new();
    for (y, row) in mask.data().chunks_exact(mask.width() as usize).enumerate() {
        let mut x = 0u32;
        for run in row.chunk_by(|a, b| a == b) {
            let (y, n) = (y as u32, run.len() as u32);
            if let Some(label) = run.first().filter(|l| **l != 0) {
                let e = all.entry(*label).or_insert((x, y, x, y, 0));
                *e = (e.0.min(x), e.1, e.2.max(x + n - 1), y, e.4 + n);
            }
            x += n;
        }
    }
    all.into_iter().map(|(l, (x0, y0, x1, y1, n))| (l, Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 }, n)).collect()
}

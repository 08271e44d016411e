//! Items by colour alone: against the empty tray when there is its picture, else by what stands in the middle and differs from the border.

use vision::{ColorImage, LabelMask, RgbdFrame};

use super::components::{dilate, erode, parts};
use super::{Analysis, Cells, EmptyTray, SegmentationParams, by_network, color, finish, grab, refine};
use crate::InspectionError;
use crate::finder::ItemFinder;
use crate::grid::{Grid, assumed_camera, step_for};

/// Without depth there are no metres: an item covers at least this share of the picture.
const LEAST_SHARE: f32 = 1.0 / 300.0;
/// A piece belongs to a larger one when so much of its box lies in the larger one's box …
const INSIDE_SHARE: f32 = 0.6;
/// … grown by this share of its size on each side.
const GROWN: f32 = 0.1;

/// What covers this share of the picture and reaches its border may be a tray or a table.
const SHEET_SHARE: f32 = 0.25;
/// What comes so near to the border reaches it, cells.
const EDGE: f32 = 3.0;
/// A speck inside a larger piece's box is no item of its own; larger than this share of it, it may be.
const SPECK_SHARE: f32 = 0.05;

/// Finds items by colour: what differs from the empty tray or, without its picture, what the network finds; where it finds nothing or is
/// not there, what stands in the middle of a picture that is not plain; where nothing does, one item fills it. Where one item is expected, what lies inside a larger piece's box is part
/// of that piece: a face in the colour of the ground must not cut an item apart. Otherwise every piece counts: two items are two.
pub(crate) fn analyse(
    frame: &RgbdFrame,
    background: Option<&EmptyTray>,
    params: &SegmentationParams,
    finder: Option<&ItemFinder>,
) -> Result<Analysis, InspectionError> {
    let picture: &ColorImage = &frame.color;
    let step = step_for(picture.width());
    let (w, h, colors) = color::cell_colors(picture, step);
    if w == 0 || h == 0 {
        return Err(InspectionError::Empty);
    }
    let mut labels = match (background, finder) {
        (Some(b), _) => pieces(&cleaned(&color::changed_colors(&colors, &b.known_for(frame).colors, w), w), w),
        (None, None) => by_contrast(&colors, w)?,
        (None, Some(finder)) => {
            let mut found = by_network::items(&finder.look(picture, None)?, [w, h], step);
            drop_specks(&mut found);
            if found.iter().any(|l| *l != 0) { found } else { by_contrast(&colors, w)? }
        }
    };
    if background.is_none() {
        join_inside(&mut labels, w, if params.one_item { 1.0 } else { SPECK_SHARE });
    }
    if background.is_none() && labels.iter().all(|l| *l == 0) && color::is_structured(&colors) {
        labels.fill(1);
    }
    let camera = frame.intrinsics.unwrap_or_else(|| assumed_camera(picture.width(), picture.height()));
    let grid = Grid::new_flat(picture.width(), picture.height(), &camera);
    refine::fill_holes(&mut labels, &grid);
    refine::smooth(&mut labels, w);
    let width = picture.width() as usize;
    let data =
        (0..width * picture.height() as usize).map(|i| labels[(i / width / step).min(h - 1) * w + (i % width / step).min(w - 1)]).collect();
    let mask = LabelMask::new(picture.width(), picture.height(), data).map_err(|_| InspectionError::Empty)?;
    let cells = Cells { grid, labels, height_m: vec![0.0; w * h], floor_m: None, stained: vec![false; w * h], colors };
    Ok(finish(mask, None, cells, (background.is_some(), false), &[]))
}

/// Clears what covers less of the picture than an item does.
fn drop_specks(labels: &mut [u16]) {
    let mut sizes = vec![0usize; usize::from(labels.iter().copied().max().unwrap_or(0)) + 1];
    labels.iter().for_each(|l| sizes[usize::from(*l)] += 1);
    let least = labels.len() as f32 * LEAST_SHARE;
    labels.iter_mut().filter(|l| (sizes[usize::from(**l)] as f32) < least).for_each(|l| *l = 0);
}

/// What differs from the border, and what stands in the middle of a picture that is not plain.
fn by_contrast(colors: &[[f32; 3]], w: usize) -> Result<Vec<u16>, InspectionError> {
    let unlike = pieces(&cleaned(&color::unlike_border(colors, w), w), w);
    let is_plain = unlike.iter().all(|l| *l == 0) && !color::is_structured(colors);
    let cut = if is_plain { Vec::new() } else { pieces(&grab::middle(colors, w)?, w) };
    Ok(before_the_ground(cut, &unlike, color::is_border_plain(colors, w), w))
}

/// What stands in the middle, and beside it what GrabCut takes for ground because it lies near the border or reaches it: where
/// most of the border is of one colour, what differs from it is no ground.
fn before_the_ground(cut: Vec<u16>, unlike: &[u16], is_ground_plain: bool, w: usize) -> Vec<u16> {
    if cut.iter().all(|l| *l == 0) {
        return unlike.to_vec();
    }
    let mut labels = cut;
    if !is_ground_plain {
        return labels;
    }
    let h = labels.len() / w;
    for piece in boxes(unlike, w) {
        let cells: Vec<usize> = (0..unlike.len()).filter(|i| unlike[*i] == piece.label).collect();
        let mut shared: Vec<(u16, usize)> = Vec::new();
        for label in cells.iter().map(|i| labels[*i]).filter(|l| *l != 0) {
            match shared.iter_mut().find(|(l, _)| *l == label) {
                Some((_, n)) => *n += 1,
                None => shared.push((label, 1)),
            }
        }
        let reaches = piece.low[0] < EDGE || piece.low[1] < EDGE || piece.high[0] + EDGE >= w as f32 || piece.high[1] + EDGE >= h as f32;
        let is_small = (piece.cells as f32) < SHEET_SHARE * labels.len() as f32;
        let label = match shared.iter().max_by_key(|(_, n)| *n) {
            // Cut off by the border: the rest of what was cut out.
            Some((label, _)) if reaches && is_small => *label,
            None => labels.iter().copied().max().unwrap_or(0).saturating_add(1),
            _ => continue,
        };
        for i in cells {
            if labels[i] == 0 {
                labels[i] = label;
            }
        }
    }
    labels
}

/// Gaps closed, then specks removed.
fn cleaned(changed: &[bool], w: usize) -> Vec<bool> {
    let closed = erode(&dilate(changed, w, 2), w, 2);
    dilate(&erode(&closed, w, 2), w, 2)
}

/// Connected pieces that are large enough, numbered; 0 elsewhere.
fn pieces(found: &[bool], w: usize) -> Vec<u16> {
    let found = parts(found, w, |_, _| true);
    let least = found.of.len() as f32 * LEAST_SHARE;
    let label = |p: &u32| if *p != 0 && found.sizes[*p as usize] as f32 >= least { (*p).min(u32::from(u16::MAX)) as u16 } else { 0 };
    found.of.iter().map(label).collect()
}

/// A piece and its box, both ends included.
struct Piece {
    label: u16,
    cells: u32,
    low: [f32; 2],
    high: [f32; 2],
}

/// The pieces, the largest first.
fn boxes(labels: &[u16], w: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (i, label) in labels.iter().enumerate().filter(|(_, l)| **l != 0) {
        let at = [(i % w) as f32, (i / w) as f32];
        match pieces.iter_mut().find(|p| p.label == *label) {
            Some(p) => {
                p.cells += 1;
                (p.low, p.high) = ([0, 1].map(|k| p.low[k].min(at[k])), [0, 1].map(|k| p.high[k].max(at[k])));
            }
            None => pieces.push(Piece { label: *label, cells: 1, low: at, high: at }),
        }
    }
    pieces.sort_by_key(|p| (std::cmp::Reverse(p.cells), p.label));
    pieces
}

/// Gives pieces that lie inside a larger one's box, and have at most `most` of its size, that one's label.
fn join_inside(labels: &mut [u16], w: usize, most: f32) {
    let pieces = boxes(labels, w);
    let mut owners: Vec<(u16, u16)> = Vec::new();
    for (n, small) in pieces.iter().enumerate() {
        if let Some(large) =
            pieces[..n].iter().find(|large| small.cells as f32 <= most * large.cells as f32 && share_inside(small, large) >= INSIDE_SHARE)
        {
            // The larger one may be part of another itself.
            let owner = owners.iter().find(|(part, _)| *part == large.label).map_or(large.label, |(_, owner)| *owner);
            owners.push((small.label, owner));
        }
    }
    for label in labels.iter_mut().filter(|l| **l != 0) {
        *label = owners.iter().find(|(part, _)| part == label).map_or(*label, |(_, owner)| *owner);
    }
}

/// Share of the smaller one's box that lies in the larger one's grown box.
fn share_inside(small: &Piece, large: &Piece) -> f32 {
    [0, 1]
        .map(|k| {
            let grown = GROWN * (large.high[k] - large.low[k] + 1.0);
            let shared = small.high[k].min(large.high[k] + grown) - small.low[k].max(large.low[k] - grown) + 1.0;
            shared.max(0.0) / (small.high[k] - small.low[k] + 1.0)
        })
        .into_iter()
        .product()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::segment::Segmentation;

    /// A picture of boxes (x, y, w, h, grey) on white.
    fn picture(boxes: &[(u32, u32, u32, u32, u8)]) -> RgbdFrame {
        let mut data = vec![250u8; 320 * 240 * 3];
        for (x, y, w, h, grey) in boxes {
            for (row, column) in (*y..y + h).flat_map(|r| (*x..x + w).map(move |c| (r, c))) {
                let at = 3 * (row * 320 + column) as usize;
                data[at..at + 3].fill(*grey);
            }
        }
        let color = ColorImage::new(320, 240, data).unwrap();
        RgbdFrame { color: std::sync::Arc::new(color), depth: None, intrinsics: None }
    }

    fn found(boxes: &[(u32, u32, u32, u32, u8)], one_item: bool) -> Segmentation {
        let params = SegmentationParams { one_item, ..SegmentationParams::default() };
        analyse(&picture(boxes), None, &params, None).unwrap().segmentation
    }

    #[test]
    fn a_white_face_does_not_cut_a_box_apart_and_neighbours_stay_apart() {
        let count = |boxes: &[_]| found(boxes, true).instances.len();
        // A frame's left side and foot, and a label inside that touches neither.
        let cut = [(60, 40, 30, 140, 120), (60, 160, 160, 20, 90), (140, 70, 50, 40, 60)];
        assert_eq!(count(&cut), 1, "a white face lies between its parts");
        assert_eq!(count(&[(30, 60, 80, 100, 120), (180, 60, 80, 100, 90)]), 2, "two boxes side by side");
        assert_eq!(count(&[]), 0, "an empty ground is no item");
    }

    #[test]
    fn what_stands_near_the_border_counts_beside_what_stands_in_the_middle() {
        let count = |boxes: &[_]| found(boxes, false).instances.len();
        assert_eq!(count(&[(16, 80, 50, 80, 120), (135, 80, 50, 80, 90), (255, 80, 50, 80, 120)]), 3, "three in a row");
        assert_eq!(count(&[(130, 90, 60, 60, 120), (16, 16, 60, 50, 40)]), 2, "one in the middle, one in the corner");
        assert_eq!(count(&[(60, 40, 40, 160, 120), (60, 160, 180, 40, 120), (150, 70, 50, 50, 90)]), 2, "one in another's notch");
    }

    #[test]
    fn what_the_border_cuts_off_is_clipped_and_whole() {
        let all = found(&[(0, 95, 120, 50, 120)], false).instances;
        assert!(all.len() == 1 && all[0].clipped && all[0].bbox.w.abs_diff(120) < 12 && all[0].bbox.h.abs_diff(50) < 12, "{all:?}");
        let all = found(&[(110, 100, 90, 140, 90)], false).instances;
        assert!(all.len() == 1 && all[0].clipped, "its colour is the border's, too: {all:?}");
    }

    #[test]
    fn a_box_with_a_hole_is_the_box() {
        let (w, h) =
            found(&[(60, 30, 200, 180, 150), (90, 150, 40, 36, 20)], false).instances.first().map(|i| (i.bbox.w, i.bbox.h)).unwrap();
        assert!(w > 180 && h > 160, "{w}x{h}");
    }

    #[test]
    fn pictures_too_small_for_cells_are_refused() {
        let color = ColorImage::new(2000, 2, vec![0; 2000 * 2 * 3]).unwrap();
        let frame = RgbdFrame { color: std::sync::Arc::new(color), depth: None, intrinsics: None };
        assert!(matches!(analyse(&frame, None, &SegmentationParams::default(), None), Err(InspectionError::Empty)));
    }

    #[test]
    fn a_hole_in_an_item_belongs_to_it() {
        let found = found(&[(60, 40, 200, 160, 120), (110, 90, 90, 60, 250)], false);
        let area = found.instances[0].area_px;
        assert!(area.abs_diff(200 * 160) < 3000, "{area}");
    }
}

//! Items by colour alone: against the empty tray when there is its picture, else against the picture's border.

use vision::{ColorImage, LabelMask, RgbdFrame};

use super::components::{dilate, erode, parts};
use super::{Analysis, Cells, EmptyTray, color, finish, grab, refine};
use crate::InspectionError;
use crate::grid::{Grid, assumed_camera, step_for};

/// Without depth there are no metres: an item covers at least this share of the picture.
const LEAST_SHARE: f32 = 1.0 / 300.0;
/// A piece belongs to a larger one when so much of its box lies in the larger one's box …
const INSIDE_SHARE: f32 = 0.6;
/// … grown by this share of its size on each side.
const GROWN: f32 = 0.1;

/// A tray's floor or a table covers at least this share of the picture, …
const SHEET_SHARE: f32 = 0.25;
/// … and this share of its own box; …
const SHEET_FILLS: f32 = 0.75;
/// … what is this near to its box's sides, a share of it, may be a wall.
const RIM: f32 = 0.08;

/// Finds items by colour: what differs from the empty tray or, without its picture, what stands in the middle of a picture that is
/// not plain; where nothing does, one item fills it. There, what lies inside a larger piece's box is part of that piece: a face in
/// the colour of the ground must not cut an item apart. Beside the empty tray's picture every piece counts: two items are two.
pub(crate) fn analyse(frame: &RgbdFrame, background: Option<&EmptyTray>) -> Result<Analysis, InspectionError> {
    let picture: &ColorImage = &frame.color;
    let step = step_for(picture.width());
    let (w, h, colors) = color::cell_colors(picture, step);
    let mut labels = match background {
        Some(b) => pieces(&cleaned(&color::changed_colors(&colors, &b.known_for(frame).colors, w), w), w),
        None => {
            let unlike = pieces(&cleaned(&color::unlike_border(&colors, w), w), w);
            let is_plain = unlike.iter().all(|l| *l == 0) && !color::is_structured(&colors);
            let cut = if is_plain { Vec::new() } else { pieces(&grab::middle(&colors, w)?, w) };
            let mut labels = if cut.iter().any(|l| *l != 0) { cut } else { unlike };
            join_inside(&mut labels, w);
            if let Some(on_it) = on_a_sheet(&labels, &colors, w) { on_it } else { labels }
        }
    };
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
    let cells = Cells { grid, labels, height_m: vec![0.0; w * h], stained: vec![false; w * h], colors };
    Ok(finish(mask, None, cells, background.is_some(), false))
}

/// What lies on the largest piece, when that is a plain sheet over a good part of the picture: a tray's floor, or a table. `None`: it is no
/// sheet, or nothing lies on it.
fn on_a_sheet(labels: &[u16], colors: &[[f32; 3]], w: usize) -> Option<Vec<u16>> {
    let all = boxes(labels, w);
    let sheet = all.first().filter(|p| p.cells as f32 > SHEET_SHARE * labels.len() as f32)?;
    let [columns, rows] = [0, 1].map(|k| sheet.high[k] - sheet.low[k] + 1.0);
    let [dx, dy] = [columns, rows].map(|n| (RIM * n) as usize);
    let (left, top) = (sheet.low[0] as usize + dx, sheet.low[1] as usize + dy);
    let (width, height) = ((columns as usize).checked_sub(2 * dx)?, (rows as usize).checked_sub(2 * dy)?);
    if (sheet.cells as f32) < SHEET_FILLS * columns * rows || width.min(height) < 16 {
        return None;
    }
    let inner: Vec<[f32; 3]> = (0..width * height).map(|i| colors[(top + i / width) * w + left + i % width]).collect();
    let around = |i: &usize| i % width < 2 || i / width < 2 || i % width + 2 >= width || i / width + 2 >= height;
    let edge: Vec<[f32; 3]> = (0..inner.len()).filter(around).map(|i| inner[i]).collect();
    if color::is_structured(&edge) {
        return None;
    }
    let found = color::unlike_border(&inner, width);
    let mut out = vec![false; labels.len()];
    for (i, _) in found.iter().enumerate().filter(|(_, f)| **f) {
        let at = (top + i / width) * w + left + i % width;
        // A window through which the ground is seen is nothing on the sheet.
        out[at] = labels[at] == sheet.label;
    }
    let mut on_it = pieces(&cleaned(&out, w), w);
    join_inside(&mut on_it, w);
    on_it.iter().any(|l| *l != 0).then_some(on_it)
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

/// Gives pieces that lie inside a larger one's box that one's label.
fn join_inside(labels: &mut [u16], w: usize) {
    let pieces = boxes(labels, w);
    let mut owners: Vec<(u16, u16)> = Vec::new();
    for (n, small) in pieces.iter().enumerate() {
        if let Some(large) = pieces[..n].iter().find(|large| share_inside(small, large) >= INSIDE_SHARE) {
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

    #[test]
    fn a_white_face_does_not_cut_a_box_apart_and_neighbours_stay_apart() {
        let count = |boxes: &[_]| analyse(&picture(boxes), None).unwrap().segmentation.instances.len();
        // A frame's left side and foot, and a label inside that touches neither.
        let cut = [(60, 40, 30, 140, 120), (60, 160, 160, 20, 90), (140, 70, 50, 40, 60)];
        assert_eq!(count(&cut), 1, "a white face lies between its parts");
        assert_eq!(count(&[(30, 60, 80, 100, 120), (180, 60, 80, 100, 90)]), 2, "two boxes side by side");
        assert_eq!(count(&[]), 0, "an empty ground is no item");
    }

    #[test]
    fn what_lies_in_a_tray_is_the_item_and_not_the_tray() {
        let tray = (40, 30, 240, 180, 120);
        let box_of = |boxes: &[_]| analyse(&picture(boxes), None).unwrap().segmentation.instances.first().map(|i| (i.bbox.w, i.bbox.h));
        let (w, h) = box_of(&[tray, (180, 120, 60, 50, 30)]).unwrap();
        assert!(w.abs_diff(60) < 12 && h.abs_diff(50) < 12, "{w}x{h}: the item lies off the middle");
        let (w, h) = box_of(&[tray]).unwrap();
        assert!(w > 200 && h > 150, "{w}x{h}: a plain thing with nothing on it is the item");
    }

    #[test]
    fn a_hole_in_an_item_belongs_to_it() {
        let found = analyse(&picture(&[(60, 40, 200, 160, 120), (110, 90, 90, 60, 250)]), None).unwrap().segmentation;
        let area = found.instances[0].area_px;
        assert!(area.abs_diff(200 * 160) < 3000, "{area}");
    }
}

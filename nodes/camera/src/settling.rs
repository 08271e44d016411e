//! Sees items settle in the tray, where no trigger announces them.
//!
//! A frame is reduced to a coarse grid. The empty tray is learnt from the first quiet frames (or given). An item has
//! settled when enough cells differ from the empty tray and nothing has moved for some frames; it is announced once. The
//! next one may come after the tray was seen empty, or after it moved and then looks different.

use vision::{ColorImage, DepthImage};

/// Cells of the grid, columns and rows.
const GRID: (usize, usize) = (64, 48);
/// Change of brightness that counts, grey levels; below it is noise and flicker.
const GREY_STEP: f32 = 14.0;
/// How fast the picture of the empty tray follows slow changes of light.
const BACKGROUND_GAIN: f32 = 0.05;
/// Part of the cells that may change between two quiet frames: borders of depth flicker.
const QUIET_FRACTION: f32 = 0.004;

/// Settings of a [`Settling`].
#[derive(Clone, Debug, PartialEq)]
pub struct SettlingOptions {
    /// Quiet frames before an item counts as settled, at least 1.
    pub quiet_frames: u32,
    /// Least part of the picture that an item covers, (0, 1].
    pub min_fraction: f32,
    /// Change of depth that counts, metres.
    pub depth_step_m: f32,
}

impl Default for SettlingOptions {
    fn default() -> Self {
        Self { quiet_frames: 5, min_fraction: 0.004, depth_step_m: 0.008 }
    }
}

/// A frame as the detector sees it: one value a cell, NaN where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    cells: Vec<f32>,
    /// Change of a cell that counts.
    step: f32,
}

impl Glance {
    /// Depth, metres: robust against light and shadow.
    pub fn of_depth(depth: &DepthImage, options: &SettlingOptions) -> Self {
        let width = depth.width() as usize;
        let value = |x: usize, y: usize| depth.data().get(y * width + x).copied().filter(|d| *d > 0.0);
        Self { cells: means(width, depth.height() as usize, value), step: options.depth_step_m }
    }

    /// Brightness, for cameras without depth.
    pub fn of_color(color: &ColorImage) -> Self {
        let width = color.width() as usize;
        let value = |x: usize, y: usize| {
            let at = (y * width + x) * 3;
            let rgb = color.data().get(at..at + 3)?;
            Some(rgb.iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0)
        };
        Self { cells: means(width, color.height() as usize, value), step: GREY_STEP }
    }

    /// Part of the cells that differ. A cell that only one of the two can see differs not: depth has holes that flicker.
    fn difference(&self, other: &Self) -> f32 {
        let differs = |(a, b): &(&f32, &f32)| (**a - **b).abs() > self.step;
        self.cells.iter().zip(&other.cells).filter(differs).count() as f32 / self.cells.len().max(1) as f32
    }

    fn follow(&mut self, newer: &Self) {
        for (old, new) in self.cells.iter_mut().zip(&newer.cells) {
            if old.is_nan() {
                *old = *new;
            } else if !new.is_nan() {
                *old += (*new - *old) * BACKGROUND_GAIN;
            }
        }
    }
}

/// Mean of up to 16 samples of every cell.
fn means(width: usize, height: usize, value: impl Fn(usize, usize) -> Option<f32>) -> Vec<f32> {
    let (columns, rows) = (GRID.0.min(width.max(1)), GRID.1.min(height.max(1)));
    let mut cells = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            let (x0, x1) = (column * width / columns, (column + 1) * width / columns);
            let (y0, y1) = (row * height / rows, (row + 1) * height / rows);
            let (dx, dy) = (((x1 - x0) / 4).max(1), ((y1 - y0) / 4).max(1));
            let (mut sum, mut n) = (0.0, 0u32);
            for v in (y0..y1).step_by(dy).flat_map(|y| (x0..x1).step_by(dx).map(move |x| (x, y))).filter_map(|(x, y)| value(x, y)) {
                sum += v;
                n += 1;
            }
            cells.push(if n == 0 { f32::NAN } else { sum / n as f32 });
        }
    }
    cells
}

/// What is in the tray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tray {
    Empty,
    /// Something came or moves.
    Changing,
    /// An item that has been announced.
    Settled,
}

/// The detector. Feed it all frames of one camera in order.
#[derive(Clone, Debug)]
pub struct Settling {
    options: SettlingOptions,
    empty: Option<Glance>,
    last: Option<Glance>,
    announced: Option<Glance>,
    tray: Tray,
    quiet: u32,
}

impl Settling {
    /// A detector that takes the first quiet frames for the empty tray.
    pub fn new(options: SettlingOptions) -> Self {
        Self { options, empty: None, last: None, announced: None, tray: Tray::Empty, quiet: 0 }
    }

    /// Tells it what the empty tray looks like; better than learning it when the cell may start with an item inside.
    pub fn set_empty(&mut self, empty: Glance) {
        self.empty = Some(empty);
    }

    /// Settings.
    pub fn options(&self) -> &SettlingOptions {
        &self.options
    }

    /// Takes the next frame: true when an item has settled with it.
    pub fn see(&mut self, glance: Glance) -> bool {
        let comparable = |other: &Glance| other.cells.len() == glance.cells.len() && other.step == glance.step;
        // Another resolution, or depth instead of colour: everything learnt is void.
        if self.last.as_ref().is_some_and(|last| !comparable(last)) {
            (self.last, self.announced, self.quiet) = (None, None, 0);
        }
        if self.empty.as_ref().is_some_and(|empty| !comparable(empty)) {
            self.empty = None;
        }
        let moved = self.last.as_ref().is_none_or(|last| glance.difference(last) > QUIET_FRACTION);
        self.quiet = if moved { 0 } else { self.quiet.saturating_add(1) };
        let settled = self.judge(&glance, moved);
        self.last = Some(glance);
        settled
    }

    fn judge(&mut self, glance: &Glance, moved: bool) -> bool {
        let is_quiet = self.quiet >= self.options.quiet_frames;
        let Some(empty) = self.empty.as_mut() else {
            if is_quiet {
                self.empty = Some(glance.clone());
            }
            return false;
        };
        let occupied = glance.difference(empty) >= self.options.min_fraction;
        if !occupied {
            if !moved {
                empty.follow(glance);
                self.tray = Tray::Empty;
                self.announced = None;
            }
            return false;
        }
        if moved || self.tray == Tray::Empty {
            self.tray = Tray::Changing;
        }
        if self.tray != Tray::Changing || !is_quiet {
            return false;
        }
        self.tray = Tray::Settled;
        let is_new = self.announced.as_ref().is_none_or(|before| glance.difference(before) >= self.options.min_fraction);
        if is_new {
            self.announced = Some(glance.clone());
        }
        is_new
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FLOOR_M: f32 = 1.0;

    /// A tray seen from above, with a box of 0.1 m height at column `x` (`None`: empty), and sensor noise.
    fn depth(x: Option<u32>, noise: u32) -> DepthImage {
        let (width, height) = (160, 120);
        let data = (0..height)
            .flat_map(|row| (0..width).map(move |column| (column, row)))
            .map(|(column, row)| {
                let inside = x.is_some_and(|x| (x..x + 30).contains(&column) && (40..80).contains(&row));
                let wobble = ((column * 7 + row * 13 + noise * 31) % 5) as f32 * 0.0005;
                let hole = (column + row * 3 + noise).is_multiple_of(17);
                if hole { 0.0 } else { FLOOR_M - if inside { 0.1 } else { 0.0 } + wobble }
            })
            .collect();
        DepthImage::new(width, height, data).unwrap()
    }

    /// Frame numbers at which an item was announced.
    fn announced(scenes: &[(Option<u32>, usize)]) -> Vec<usize> {
        let options = SettlingOptions { quiet_frames: 3, ..Default::default() };
        let mut settling = Settling::new(options.clone());
        let frames = scenes.iter().flat_map(|(x, n)| std::iter::repeat_n(*x, *n));
        let see = |(k, x): (usize, Option<u32>)| settling.see(Glance::of_depth(&depth(x, k as u32), &options)).then_some(k);
        frames.enumerate().filter_map(see).collect()
    }

    #[test]
    fn an_item_is_announced_once_when_it_lies_still() {
        let slide = |from: u32, to: u32| (from..to).step_by(6).map(|x| (Some(x), 1)).collect::<Vec<_>>();
        assert_eq!(announced(&[(None, 30)]), [0usize; 0], "an empty tray announces nothing");
        let one = [vec![(None, 10)], slide(0, 60), vec![(Some(60), 20)]].concat();
        assert_eq!(announced(&one), [23], "10 empty, 10 moving, first still one is 20, then 3 quiet frames");
        let two = [vec![(None, 10), (Some(40), 10), (None, 10), (Some(40), 10)]].concat();
        assert_eq!(announced(&two).len(), 2, "the same place again after the tray was empty");
        let replaced = [vec![(None, 10), (Some(10), 10)], slide(10, 100), vec![(Some(100), 10)]].concat();
        assert_eq!(announced(&replaced).len(), 2, "replaced without the tray ever empty");
        let restless: Vec<_> = vec![(None, 10)].into_iter().chain((0..40).map(|k| (Some(20 + (k % 2) * 20), 1))).collect();
        assert_eq!(announced(&restless), [0usize; 0], "what never lies still never arrives");
    }

    #[test]
    fn a_hand_over_a_settled_item_does_not_make_it_new() {
        let disturbed = [(None, 10), (Some(40), 10), (Some(90), 2), (Some(40), 20)];
        assert_eq!(announced(&disturbed).len(), 1);
    }

    #[test]
    fn a_given_background_sees_the_item_that_was_there_from_the_start() {
        let options = SettlingOptions { quiet_frames: 2, ..Default::default() };
        let mut settling = Settling::new(options.clone());
        settling.set_empty(Glance::of_depth(&depth(None, 0), &options));
        let seen: Vec<bool> = (0..6).map(|k| settling.see(Glance::of_depth(&depth(Some(50), k), &options))).collect();
        assert_eq!(seen.iter().filter(|s| **s).count(), 1);
    }

    #[test]
    fn colour_alone_works_and_slow_light_does_not_matter() {
        let picture = |level: u8, item: bool| {
            let inside = |i: usize| item && (20..40).contains(&(i % 80)) && (20..40).contains(&(i / 80));
            let data = (0..80 * 60).flat_map(|i| [if inside(i) { 220 } else { level }; 3]).collect();
            ColorImage::new(80, 60, data).unwrap()
        };
        let mut settling = Settling::new(SettlingOptions { quiet_frames: 2, ..Default::default() });
        let frames = (0..200u32).map(|k| picture(60 + (k / 8) as u8, k >= 180));
        let announced: Vec<usize> = frames.enumerate().filter(|(_, f)| settling.see(Glance::of_color(f))).map(|(k, _)| k).collect();
        assert_eq!(announced, [182]);
    }

    #[test]
    fn a_change_of_resolution_starts_anew() {
        let options = SettlingOptions { quiet_frames: 1, ..Default::default() };
        let mut settling = Settling::new(options.clone());
        let small = DepthImage::new(8, 6, vec![1.0; 48]).unwrap();
        for k in 0..4 {
            assert!(!settling.see(Glance::of_depth(&depth(None, k), &options)));
            assert!(!settling.see(Glance::of_depth(&small, &options)));
        }
    }
}

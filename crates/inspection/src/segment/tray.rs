//! The empty tray, measured once.

use std::sync::OnceLock;

use vision::{Intrinsics, RgbdFrame};

use super::color;
use super::outline::Outline;
use super::plane::{self, SupportPlane};
use crate::grid::{Grid, assumed_camera, step_for};

/// Picture of the empty tray through the camera that sees the items: what is not in it is an item, or matter beside one.
///
/// What segmentation needs of it is measured when the first frame comes, then kept.
#[derive(Debug)]
pub struct EmptyTray {
    frame: RgbdFrame,
    known: OnceLock<Known>,
}

/// What segmentation needs of an empty tray.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Pinhole model of the frames that it was measured for.
    camera: Intrinsics,
    /// Its surface; `None` when depth shows none.
    pub support: Option<SupportPlane>,
    /// Depth of the cells, metres, 0 = invalid; `None` without depth.
    pub z_m: Option<Vec<f32>>,
    /// Heights of the cells over its own surface, metres; `None` without a surface.
    pub height_m: Option<Vec<f32>>,
    /// Where its surface ends; `None` without one.
    pub outline: Option<Outline>,
    /// Mean colours of the cells, RGB.
    pub colors: Vec<[f32; 3]>,
}

impl EmptyTray {
    /// Keeps the picture.
    pub fn new(frame: RgbdFrame) -> Self {
        Self { frame, known: OnceLock::new() }
    }

    /// The picture.
    pub fn frame(&self) -> &RgbdFrame {
        &self.frame
    }

    /// What there is to know of it for frames of the camera that took `frame`.
    pub(crate) fn known_for(&self, frame: &RgbdFrame) -> std::borrow::Cow<'_, Known> {
        let camera = frame.intrinsics.unwrap_or_else(|| assumed_camera(frame.color.width(), frame.color.height()));
        let known = self.known.get_or_init(|| self.measure(&camera));
        if known.camera == camera {
            std::borrow::Cow::Borrowed(known)
        } else {
            // Another camera model than at first: rare enough to measure anew each time.
            std::borrow::Cow::Owned(self.measure(&camera))
        }
    }

    fn measure(&self, camera: &Intrinsics) -> Known {
        let picture = &self.frame.color;
        let (colors, depth) = rayon::join(
            || color::cell_colors(picture, step_for(picture.width())).2,
            || {
                self.frame.depth.as_ref().map(|d| {
                    let grid = Grid::new(d, camera);
                    let support = plane::find(&grid);
                    let height_m = support.as_ref().map(|p| p.heights_m(&grid));
                    let outline = support.as_ref().zip(height_m.as_ref()).map(|(p, h)| Outline::of(&grid, p, h));
                    (support, grid.z, height_m, outline)
                })
            },
        );
        match depth {
            Some((support, z_m, height_m, outline)) => Known { camera: *camera, support, z_m: Some(z_m), height_m, outline, colors },
            None => Known { camera: *camera, support: None, z_m: None, height_m: None, outline: None, colors },
        }
    }
}

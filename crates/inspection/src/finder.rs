//! The network that finds items: where there is no depth, and where a depth camera sees through them.

use std::sync::Arc;

use opencv::core::{self, BORDER_REFLECT_101, Mat, MatTraitConstManual, Scalar, Size, Vec3b};
use opencv::imgproc::{self, INTER_AREA, INTER_LINEAR, INTER_NEAREST};
use vision::{ColorImage, DepthImage};

use crate::InspectionError;
use crate::engine::{Engine, EngineKind, built_in};

/// The weights that this version brings (models/items/README.md is their card).
pub(crate) const BUILT_IN: &[u8] = include_bytes!("../../../models/items/items.onnx");
/// What messages call them.
pub(crate) const BUILT_IN_NAME: &str = "items.onnx";

/// Says of each place of a picture whether it is an item's.
#[derive(Clone)]
pub struct ItemFinder {
    engine: Arc<dyn Engine>,
}

impl std::fmt::Debug for ItemFinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ItemFinder").field(&self.model()).finish()
    }
}

/// What the network says of a picture, on its own raster.
#[derive(Clone, Debug)]
pub(crate) struct ItemMaps {
    /// Columns of the raster.
    pub w: usize,
    /// Rows.
    pub h: usize,
    /// Chance that a place is an item's, [0, 1].
    pub item: Vec<f32>,
    /// Chance that another item is near.
    pub border: Vec<f32>,
    /// Places of the raster a pixel of the picture, along both axes.
    pub scale: f32,
    /// Where the picture's corner lies on the raster: around it the raster shows the picture mirrored.
    pub corner: [f32; 2],
}

impl ItemFinder {
    /// The network that this version brings.
    ///
    /// # Errors
    /// [`InspectionError::Engine`] when ONNX Runtime is asked for and not there.
    pub fn load(kind: EngineKind) -> Result<ItemFinder, InspectionError> {
        Ok(ItemFinder { engine: built_in(kind, BUILT_IN_NAME, BUILT_IN)? })
    }

    /// File name and short sha256 of the weights.
    pub fn model(&self) -> &str {
        self.engine.model()
    }

    /// The maps of a network input, `[4, H, W]` bytes (red, green, blue, and 255 where a depth camera missed): `[2, h, w]` in [0, 1],
    /// the chance that a place is an item's and that another item is near.
    ///
    /// # Errors
    /// When there are more or fewer bytes, or the engine fails.
    pub fn run(&self, input: &[u8]) -> Result<Vec<f32>, InspectionError> {
        let input: Vec<f32> = input.iter().map(|v| f32::from(*v) / 255.0).collect();
        Ok(self.engine.run(&input)?.values)
    }

    /// Looks at a picture, and at what a depth camera missed in it.
    ///
    /// # Errors
    /// When the engine or OpenCV fails.
    pub(crate) fn look(&self, color: &ColorImage, depth: Option<&DepthImage>) -> Result<ItemMaps, InspectionError> {
        let contract = self.engine.contract();
        let (h, w) = contract.map.unwrap_or((contract.height, contract.width));
        let frame = Letterbox::of([color.width(), color.height()], [contract.width, contract.height]);
        let maps = self.run(&frame.input(color, depth)?)?;
        let (item, border) = maps.split_at(w * h);
        let share = w as f32 / contract.width as f32;
        Ok(ItemMaps {
            w,
            h,
            item: item.to_vec(),
            border: border.to_vec(),
            scale: frame.scale * share,
            corner: frame.corner.map(|v| v as f32 * share),
        })
    }
}

/// A picture inside the network's input: as large as it fits, in the middle, mirrored beyond its border.
struct Letterbox {
    side: [usize; 2],
    scaled: [usize; 2],
    corner: [usize; 2],
    scale: f32,
}

impl Letterbox {
    fn of(picture: [u32; 2], side: [usize; 2]) -> Letterbox {
        let scale = (side[0] as f32 / picture[0] as f32).min(side[1] as f32 / picture[1] as f32);
        let scaled = [0, 1].map(|k| ((picture[k] as f32 * scale).round() as usize).clamp(1, side[k]));
        Letterbox { side, scaled, corner: [0, 1].map(|k| (side[k] - scaled[k]) / 2), scale }
    }

    fn input(&self, color: &ColorImage, depth: Option<&DepthImage>) -> Result<Vec<u8>, InspectionError> {
        let [w, h] = self.side;
        let pixels: Vec<Vec3b> = color.data().as_chunks::<3>().0.iter().map(|p| Vec3b::from(*p)).collect();
        let picture = Mat::new_rows_cols_with_data(color.height() as i32, color.width() as i32, &pixels)?;
        let shrinks = self.scale < 1.0;
        let shown = self.framed(&picture, if shrinks { INTER_AREA } else { INTER_LINEAR })?;
        let mut out = vec![0u8; 4 * w * h];
        for (i, p) in shown.data_typed::<Vec3b>()?.iter().enumerate() {
            for (c, v) in p.0.iter().enumerate() {
                out[c * w * h + i] = *v;
            }
        }
        if let Some(depth) = depth {
            let missed: Vec<u8> = depth.data().iter().map(|z| if *z > 0.0 { 0 } else { 255 }).collect();
            let missed = Mat::new_rows_cols_with_data(depth.height() as i32, depth.width() as i32, &missed)?;
            let missed = self.framed(&missed, INTER_NEAREST)?;
            out[3 * w * h..].copy_from_slice(missed.data_bytes()?);
        }
        Ok(out)
    }

    fn framed(&self, picture: &impl core::ToInputArray, how: i32) -> Result<Mat, InspectionError> {
        let (mut small, mut out) = (Mat::default(), Mat::default());
        let [left, top] = self.corner;
        let [right, low] = [0, 1].map(|k| (self.side[k] - self.scaled[k] - self.corner[k]) as i32);
        imgproc::resize(picture, &mut small, Size::new(self.scaled[0] as i32, self.scaled[1] as i32), 0.0, 0.0, how)?;
        core::copy_make_border(&small, &mut out, top as i32, low, left as i32, right, BORDER_REFLECT_101, Scalar::default())?;
        Ok(out)
    }
}

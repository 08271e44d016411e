//! The embedding network: vectors by which products are told apart.

use std::sync::Arc;

use opencv::core::{Mat, MatTraitConstManual, Size, Vec3b};
use opencv::imgproc::{self, INTER_AREA, INTER_CUBIC, INTER_NEAREST};
use vision::{ColorImage, Rect};

use crate::InspectionError;
use crate::engine::{Engine, EngineKind, built_in};

/// The weights that this version brings (models/embedding/README.md is their card).
pub(crate) const BUILT_IN: &[u8] = include_bytes!("../../../models/embedding/embedding.onnx");
/// What messages call them.
pub(crate) const BUILT_IN_NAME: &str = "embedding.onnx";

/// Channels that the network sees: red, green, blue, and where the thing is.
pub const EMBEDDING_CHANNELS: usize = 4;
/// Side of what it sees, pixels.
const SIDE: usize = 128;
/// What is not the thing has this level in the colours.
const GROUND: u8 = 128;

/// Turns an item's cutout into a vector: of one product's items near one another, whatever their turn and light.
#[derive(Clone)]
pub struct EmbeddingNet {
    engine: Arc<dyn Engine>,
}

impl std::fmt::Debug for EmbeddingNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EmbeddingNet").field(&self.model()).finish()
    }
}

impl EmbeddingNet {
    /// The network that this version brings.
    ///
    /// # Errors
    /// [`InspectionError::Engine`] when ONNX Runtime is asked for and not there.
    pub fn load(kind: EngineKind) -> Result<EmbeddingNet, InspectionError> {
        Ok(EmbeddingNet { engine: built_in(kind, BUILT_IN_NAME, BUILT_IN)? })
    }

    /// File name and short sha256 of the weights: vectors of other weights cannot be compared with these.
    pub fn model(&self) -> &str {
        self.engine.model()
    }

    /// The vector, of unit length, of the thing in a picture; `foreground` is not 0 where it is, row after row.
    ///
    /// # Errors
    /// When nothing of the thing is in the picture, or the engine fails.
    pub fn embed(&self, color: &ColorImage, foreground: &[u8]) -> Result<Vec<f32>, InspectionError> {
        self.embed_input(&embedding_input(color, foreground, SIDE)?)
    }

    /// The vector of what [`embedding_input`] gives, `[4, 128, 128]` bytes.
    ///
    /// # Errors
    /// When there are more or fewer, or the engine fails.
    pub fn embed_input(&self, input: &[u8]) -> Result<Vec<f32>, InspectionError> {
        let input: Vec<f32> = input.iter().map(|v| f32::from(*v) / 255.0).collect();
        let vector = self.engine.run_on_one_core(&input)?.values;
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        // A thing without any look has no direction: all are equally unlike it.
        Ok(vector.iter().map(|v| v / length.max(1e-6)).collect())
    }
}

/// What the network sees of a thing: `[4, side, side]` bytes, red, green, blue, and 255 where the thing is. Its tightest upright box
/// stands in the middle, the longer side at seven eighths of `side` (area averaged, cubic where it grows); the ground is grey.
///
/// # Errors
/// When picture and foreground differ in size, nothing of the thing is in the picture, or OpenCV fails.
pub fn embedding_input(color: &ColorImage, foreground: &[u8], side: usize) -> Result<Vec<u8>, InspectionError> {
    let width = color.width();
    let b = bounds(foreground, width).filter(|_| foreground.len() == width as usize * color.height() as usize);
    let Some((b, thing)) = b.and_then(|b| Some((b, color.crop(b)?))) else {
        return Err(InspectionError::ModelRun("nothing of the item is in its picture".to_owned()));
    };
    let rows = foreground.chunks_exact(width as usize).skip(b.y as usize).take(b.h as usize);
    let mask: Vec<u8> = rows.flat_map(|r| r[b.x as usize..(b.x + b.w) as usize].iter().map(|f| if *f > 0 { 255 } else { 0 })).collect();
    let colors = thing.data().as_chunks::<3>().0.iter().zip(&mask).map(|(p, m)| Vec3b::from(if *m > 0 { *p } else { [GROUND; 3] }));
    let colors: Vec<Vec3b> = colors.collect();
    let longer = (side * 7 / 8).max(1) as f32;
    let scaled = |length: u32| ((length as f32 * longer / b.w.max(b.h) as f32).round() as usize).clamp(1, side);
    let (w, h) = (scaled(b.w), scaled(b.h));
    let size = Size::new(w as i32, h as i32);
    let how = if (w as u32) < b.w { INTER_AREA } else { INTER_CUBIC };
    let (mut small, mut place) = (Mat::default(), Mat::default());
    imgproc::resize(&Mat::new_rows_cols_with_data(b.h as i32, b.w as i32, &colors)?, &mut small, size, 0.0, 0.0, how)?;
    imgproc::resize(&Mat::new_rows_cols_with_data(b.h as i32, b.w as i32, &mask)?, &mut place, size, 0.0, 0.0, INTER_NEAREST)?;
    let (left, top) = ((side - w) / 2, (side - h) / 2);
    let mut out = vec![GROUND; EMBEDDING_CHANNELS * side * side];
    out[3 * side * side..].fill(0);
    for (i, (p, m)) in small.data_typed::<Vec3b>()?.iter().zip(place.data_bytes()?).enumerate() {
        let at = (top + i / w) * side + left + i % w;
        for (c, v) in p.0.iter().chain([m]).enumerate() {
            out[c * side * side + at] = *v;
        }
    }
    Ok(out)
}

/// The smallest box that holds the thing.
fn bounds(foreground: &[u8], width: u32) -> Option<Rect> {
    let places = (0u32..).zip(foreground).filter(|(_, f)| **f > 0).map(|(i, _)| (i % width, i / width));
    let (x0, y0, x1, y1) = places.fold((u32::MAX, u32::MAX, 0, 0), |(x0, y0, x1, y1), (x, y)| (x0.min(x), y0.min(y), x1.max(x), y1.max(y)));
    (x0 <= x1).then(|| Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red thing of 60 × 30 pixels somewhere in a blue picture.
    fn thing(left: u32, top: u32) -> (ColorImage, Vec<u8>) {
        let is_thing = |i: u32| (left..left + 60).contains(&(i % 100)) && (top..top + 30).contains(&(i / 100));
        let colors = (0..8000).flat_map(|i| if is_thing(i) { [200, 10, 20] } else { [0, 0, 250] }).collect();
        (ColorImage::new(100, 80, colors).unwrap(), (0..8000).map(|i| u8::from(is_thing(i))).collect())
    }

    #[test]
    fn the_thing_stands_in_the_middle_before_grey_wherever_it_was() {
        let seen = |(color, foreground): (ColorImage, Vec<u8>)| embedding_input(&color, &foreground, 128).unwrap();
        let input = seen(thing(5, 7));
        assert_eq!(input, seen(thing(31, 44)));
        let at = |c: usize, x: usize, y: usize| input[(c * 128 + y) * 128 + x];
        assert_eq!([at(0, 64, 64), at(1, 64, 64), at(2, 64, 64), at(3, 64, 64)], [200, 10, 20, 255]);
        assert_eq!([at(0, 64, 20), at(2, 64, 20), at(3, 64, 20)], [128, 128, 0]);
        // 112 of 128 pixels long, half as high.
        let row: Vec<usize> = (0..128).filter(|x| at(3, *x, 64) > 0).collect();
        let column = (0..128).filter(|y| at(3, 64, *y) > 0).count();
        assert_eq!((row.first(), row.len(), column), (Some(&8), 112, 56));
    }

    #[test]
    fn a_thing_of_one_row_is_seen_and_nothing_is_refused() {
        let line = ColorImage::new(300, 1, vec![9; 900]).unwrap();
        let seen = embedding_input(&line, &[1; 300], 128).unwrap();
        assert!(seen[3 * 128 * 128..].iter().any(|m| *m > 0));
        for foreground in [vec![0; 300], vec![1; 299], Vec::new()] {
            assert!(embedding_input(&line, &foreground, 128).is_err());
        }
    }
}

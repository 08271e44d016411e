//! Pictures as they are kept: PNG, and a digest that finds what rots.

use matching::Cutout;
use sha2::{Digest, Sha256};
use vision::HeightMap;

/// SHA-256 of picture and mask, in hex.
pub(crate) fn digest(picture: &[u8], mask: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [picture, mask] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn png(image: image::DynamicImage) -> Result<Vec<u8>, String> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}

/// Heights as PNG of 16 bits, millimetres, 0 where unknown.
///
/// # Errors
/// When PNG cannot be written.
pub fn encode_heights(heights: &HeightMap) -> Result<Vec<u8>, String> {
    let odd = || "the heights' size does not fit their number".to_owned();
    let image = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(heights.width(), heights.height(), heights.data().to_vec());
    png(image.ok_or_else(odd)?.into())
}

/// Heights from PNG of 16 bits, millimetres.
///
/// # Errors
/// When the bytes are no such PNG.
pub fn decode_heights(bytes: &[u8]) -> Result<HeightMap, String> {
    match image::load_from_memory_with_format(bytes, image::ImageFormat::Png).map_err(|e| e.to_string())? {
        image::DynamicImage::ImageLuma16(image) => {
            HeightMap::new(image.width(), image.height(), image.into_raw()).map_err(|e| e.to_string())
        }
        _ => Err("heights are no PNG of 16 bits".to_owned()),
    }
}

/// Picture and mask as PNG.
pub(crate) fn encode(cutout: &Cutout) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (width, height) = (cutout.color().width(), cutout.color().height());
    let odd = || "the picture's size does not fit its pixels".to_owned();
    let color = image::RgbImage::from_raw(width, height, cutout.color().data().to_vec()).ok_or_else(odd)?;
    let mask = image::GrayImage::from_raw(width, height, cutout.foreground().to_vec()).ok_or_else(odd)?;
    Ok((png(color.into())?, png(mask.into())?))
}

pub(crate) fn decode(picture: &[u8], mask: &[u8]) -> Result<Cutout, String> {
    let png = |bytes: &[u8]| image::load_from_memory_with_format(bytes, image::ImageFormat::Png).map_err(|e| e.to_string());
    let (color, mask) = (png(picture)?.into_rgb8(), png(mask)?.into_luma8());
    let color = vision::ColorImage::new(color.width(), color.height(), color.into_raw()).map_err(|e| e.to_string())?;
    Cutout::masked(color, mask.pixels().map(|p| p.0[0] > 0)).map_err(|e| e.to_string())
}

/// Picture, mask and, where they are kept, heights.
pub(crate) fn whole(picture: &[u8], mask: &[u8], heights: Option<&[u8]>) -> Result<Cutout, String> {
    let heights = heights.map(decode_heights).transpose()?;
    decode(picture, mask)?.with_heights(heights).map_err(|e| e.to_string())
}

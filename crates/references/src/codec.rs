//! Pictures as they are kept: PNG, and a digest that finds what rots.

use matching::Cutout;
use sha2::{Digest, Sha256};

/// SHA-256 of picture and mask, in hex.
pub(crate) fn digest(picture: &[u8], mask: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [picture, mask] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Picture and mask as PNG.
pub(crate) fn encode(cutout: &Cutout) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (width, height) = (cutout.color().width(), cutout.color().height());
    let png = |image: image::DynamicImage| -> Result<Vec<u8>, String> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())?;
        Ok(bytes.into_inner())
    };
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

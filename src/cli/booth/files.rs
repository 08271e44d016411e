//! Pictures as files.

use std::path::Path;

use anyhow::{Context as _, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageBuffer, Luma};
use vision::{ColorImage, DepthImage};

/// Colour.
pub(super) fn jpeg(path: &Path, color: &ColorImage, quality: u8) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut file = std::io::BufWriter::new(file);
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(color.data(), color.width(), color.height(), image::ExtendedColorType::Rgb8)
        .with_context(|| path.display().to_string())
}

/// Sixteen bits.
pub(super) fn gray16(path: &Path, width: u32, height: u32, data: Vec<u16>) -> Result<()> {
    let picture: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(width, height, data).context("a picture has an impossible size")?;
    picture.save(path).with_context(|| path.display().to_string())
}

/// Depth in steps of `unit_m`; what does not fit is invalid.
pub(super) fn depth_png(path: &Path, depth: &DepthImage, unit_m: f64) -> Result<()> {
    let step = |z: &f32| (f64::from(*z) / unit_m).round();
    let steps = depth.data().iter().map(|z| if step(z) <= f64::from(u16::MAX) { step(z) as u16 } else { 0 });
    gray16(path, depth.width(), depth.height(), steps.collect())
}

/// Bit `bit` where the mask is set, of as many masks as there are.
pub(super) fn damage_png<'a>(path: &Path, (width, height): (u32, u32), masks: impl Iterator<Item = (usize, &'a [u16])>) -> Result<usize> {
    let mut bits = vec![0u8; width as usize * height as usize];
    for (bit, mask) in masks {
        for (out, _) in bits.iter_mut().zip(mask).filter(|(_, set)| **set != 0) {
            *out |= 1 << bit;
        }
    }
    let set = bits.iter().filter(|b| **b != 0).count();
    let picture = GrayImage::from_raw(width, height, bits).context("a mask has an impossible size")?;
    picture.save(path).with_context(|| path.display().to_string())?;
    Ok(set)
}

/// The bit of a type of damage in such pictures.
pub(super) fn bit_of(kaputt: &str) -> usize {
    inspection::DefectType::ALL.iter().position(|t| t.name() == kaputt).unwrap_or(0)
}

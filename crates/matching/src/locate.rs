//! Where the item lies in a picture that was taken before an unknown background.

use opencv::core::{MatTraitConstManual, Size};
use opencv::imgproc;
use vision::Rect;

use crate::consensus::consensus;
use crate::features::pairs;
use crate::identify::MAX_RATIO;
use crate::register::{MIN_AGREEING, homography, warped};
use crate::scene::{Scene, bounds};
use crate::{Cutout, Gallery, MatchError, cv};

/// Part of its box that is kept around the item, so that its outline is inside.
const MARGIN: f32 = 0.04;

/// The item's longer side is about this share of the picture's: sets how far features may be out of place.
const ITEM_SHARE: f32 = 0.5;

/// The part of a picture that shows the item.
#[derive(Clone, Debug)]
pub struct Located {
    /// The item cut out.
    pub cutout: Cutout,
    /// Where the cutout lies in the picture, pixels.
    pub rect: Rect,
}

impl Gallery {
    /// Cuts the item out of a picture by laying the outline of the best view of `product` over it. `None` when no view of
    /// the product can be laid over the picture.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn locate(&self, scene: &Scene, product: &str) -> Result<Option<Located>, MatchError> {
        let extent_px = scene.picture.longer_px() as f32;
        let of_product = self.references.iter().filter(|r| r.product == product);
        let found = of_product.filter_map(|r| {
            let pairs = pairs(&scene.features, &r.features, usize::MAX, usize::MAX, MAX_RATIO);
            Some((consensus(&scene.features, &r.features, &pairs, ITEM_SHARE * extent_px)?, r))
        });
        let best = found.filter(|(c, _)| c.pairs.len() >= MIN_AGREEING).max_by_key(|(c, _)| c.pairs.len());
        let Some((consensus, reference)) = best else { return Ok(None) };
        let tolerance_px = f64::from(extent_px) / 100.0;
        let (picture_from_reference, _) = homography(&consensus, &scene.features, &reference.features, tolerance_px)?;
        let (color, outline) = (scene.picture.color(), &reference.cutout);
        let (width, height) = (color.width(), color.height());
        let mask = cv::from_bytes(outline.color().width(), outline.color().height(), outline.foreground())?;
        let laid = warped(&mask, &picture_from_reference, Size::new(width as i32, height as i32), imgproc::INTER_NEAREST)?;
        let inside: Vec<bool> = laid.data_bytes()?.iter().zip(scene.picture.foreground()).map(|(l, f)| *l > 0 && *f > 0).collect();
        let Some(rect) = bounds(&inside, width) else { return Ok(None) };
        let rect = rect.with_margin(MARGIN, width, height);
        let Some(part) = color.crop(rect) else { return Ok(None) };
        let rows = inside.chunks_exact(width as usize).skip(rect.y as usize).take(rect.h as usize);
        let mask: Vec<bool> = rows.flat_map(|row| row.iter().skip(rect.x as usize).take(rect.w as usize).copied()).collect();
        Ok(Some(Located { cutout: Cutout::masked(part, mask)?, rect }))
    }
}

//! Where the item lies in a picture that was taken before an unknown background.

use opencv::core::{MatTraitConstManual, Size};
use opencv::imgproc;
use vision::Rect;

use crate::gallery::{LookAt, match_view};
use crate::register::{MIN_AGREEING, homography, warped};
use crate::{Cutout, Gallery, Item, MatchError, cv};

/// Part of its box that is kept around the item, so that its outline is inside.
const MARGIN: f32 = 0.04;

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
    pub fn locate(&self, picture: &Item, product: &str) -> Result<Option<Located>, MatchError> {
        let of_product = self.references.iter().filter(|r| r.product == product);
        let found = of_product.filter_map(|r| Some((match_view(picture, r, LookAt::All)?, r)));
        let best = found.filter(|(c, _)| c.pairs.len() >= MIN_AGREEING).max_by_key(|(c, _)| c.pairs.len());
        let Some((consensus, reference)) = best else { return Ok(None) };
        let tolerance_px = f64::from(picture.extent_px()) / 100.0;
        let (picture_from_reference, _) = homography(&consensus, &picture.features, &reference.features, tolerance_px)?;
        let (color, outline) = (picture.cutout.color(), &reference.cutout);
        let (width, height) = (color.width(), color.height());
        let mask = cv::from_bytes(outline.color().width(), outline.color().height(), outline.foreground())?;
        let laid = warped(&mask, &picture_from_reference, Size::new(width as i32, height as i32), imgproc::INTER_NEAREST)?;
        let inside: Vec<bool> = laid.data_bytes()?.iter().zip(picture.cutout.foreground()).map(|(l, f)| *l > 0 && *f > 0).collect();
        let Some(rect) = bounds(&inside, width) else { return Ok(None) };
        let rect = rect.with_margin(MARGIN, width, height);
        let Some(part) = color.crop(rect) else { return Ok(None) };
        let rows = inside.chunks_exact(width as usize).skip(rect.y as usize).take(rect.h as usize);
        let mask: Vec<bool> = rows.flat_map(|row| row.iter().skip(rect.x as usize).take(rect.w as usize).copied()).collect();
        Ok(Some(Located { cutout: Cutout::masked(part, mask)?, rect }))
    }
}

fn bounds(inside: &[bool], width: u32) -> Option<Rect> {
    let places = (0u32..).zip(inside).filter(|(_, inside)| **inside).map(|(i, _)| (i % width, i / width));
    let (x0, y0, x1, y1) = places.fold((u32::MAX, u32::MAX, 0, 0), |(x0, y0, x1, y1), (x, y)| (x0.min(x), y0.min(y), x1.max(x), y1.max(y)));
    (x0 <= x1).then(|| Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 })
}

//! Pictures made small: cut, shrunk, tinted, encoded as JPEG.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageBuffer, Rgb, RgbImage, imageops};
use vision::{ColorImage, HeatMap, LabelMask, Rect};

use crate::error::SceneError;

/// The width and height that a picture is shown in: shrunk to `max_width`, never enlarged.
pub(crate) fn shown_size(width: u32, height: u32, max_width: u32) -> (u32, u32) {
    if width <= max_width {
        return (width, height);
    }
    let height = (u64::from(height) * u64::from(max_width) / u64::from(width)).max(1);
    // Not above the height that came in, so it fits.
    (max_width, height as u32)
}

/// A colour picture, shrunk to `max_width`.
pub(crate) fn shrink(color: &ColorImage, max_width: u32) -> RgbImage {
    let (width, height) = shown_size(color.width(), color.height(), max_width);
    let whole: Option<ImageBuffer<Rgb<u8>, &[u8]>> = ImageBuffer::from_raw(color.width(), color.height(), color.data());
    // The buffer always fits: that is what a `ColorImage` is. An empty picture stands for what cannot be.
    whole.map(|whole| imageops::thumbnail(&whole, width, height)).unwrap_or_default()
}

/// A picture in the middle of a dark square of `side` pixels, as large as fits.
pub(crate) fn on_square(picture: &RgbImage, side: u32) -> RgbImage {
    let mut square = RgbImage::from_pixel(side, side, Rgb([18, 18, 20]));
    let longest = picture.width().max(picture.height());
    if longest == 0 {
        return square;
    }
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)).clamp(1, u64::from(side)) as u32;
    let fitted = imageops::resize(picture, scaled(picture.width()), scaled(picture.height()), imageops::FilterType::Triangle);
    let (x, y) = ((side - fitted.width()) / 2, (side - fitted.height()) / 2);
    imageops::replace(&mut square, &fitted, i64::from(x), i64::from(y));
    square
}

/// JPEG bytes of a picture.
pub(crate) fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, SceneError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// Labels at `width` × `height`, nearest neighbour; labels above 255 share the last value.
pub(crate) fn shrink_mask(mask: &LabelMask, width: u32, height: u32) -> Vec<u8> {
    resample(mask.width(), mask.height(), mask.data(), width, height).map(|label| u8::try_from(label).unwrap_or(u8::MAX)).collect()
}

fn resample<'a, T: Copy + Default>(
    from_width: u32,
    from_height: u32,
    data: &'a [T],
    width: u32,
    height: u32,
) -> impl Iterator<Item = T> + use<'a, T> {
    let column = move |x: u32| (u64::from(x) * u64::from(from_width) / u64::from(width.max(1))) as usize;
    let row = move |y: u32| (u64::from(y) * u64::from(from_height) / u64::from(height.max(1))) as usize;
    (0..height).flat_map(move |y| (0..width).map(move |x| data.get(row(y) * from_width as usize + column(x)).copied().unwrap_or_default()))
}

/// A greyed picture with the heat over it: nothing where it is cold, yellow to red where it is hot.
pub(crate) fn heat_over(picture: &RgbImage, heat: &HeatMap) -> RgbImage {
    let mut tinted = picture.clone();
    let scores = resample(heat.width(), heat.height(), heat.data(), picture.width(), picture.height());
    for (pixel, score) in tinted.pixels_mut().zip(scores) {
        let grey = (u32::from(pixel[0]) * 77 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 29) as f32 / 256.0;
        let score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
        // Weak scores stay faint, so that the eye goes where it matters.
        let weight = (score * 1.6).min(0.85);
        for (channel, hot) in pixel.0.iter_mut().zip(heat_color(score)) {
            *channel = (grey * 0.85 * (1.0 - weight) + hot * weight) as u8;
        }
    }
    tinted
}

/// Blue (0) over yellow (0.5) to red (1).
fn heat_color(score: f32) -> [f32; 3] {
    let (low, high, t) = if score < 0.5 {
        ([40.0, 90.0, 255.0], [255.0, 215.0, 0.0], score * 2.0)
    } else {
        ([255.0, 215.0, 0.0], [255.0, 20.0, 20.0], score * 2.0 - 1.0)
    };
    std::array::from_fn(|i| low[i] + (high[i] - low[i]) * t)
}

/// What is shown of an item: its box with a margin, the whole picture without one.
pub(crate) fn item_region(boxes: impl IntoIterator<Item = Rect>, width: u32, height: u32) -> Rect {
    let union = boxes.into_iter().filter(|r| r.w > 0 && r.h > 0).reduce(|a, b| {
        let (x, y) = (a.x.min(b.x), a.y.min(b.y));
        let right = a.x.saturating_add(a.w).max(b.x.saturating_add(b.w));
        let bottom = a.y.saturating_add(a.h).max(b.y.saturating_add(b.h));
        Rect { x, y, w: right - x, h: bottom - y }
    });
    let whole = Rect { x: 0, y: 0, w: width, h: height };
    let inside = union.filter(|r| r.x.saturating_add(r.w) <= width && r.y.saturating_add(r.h) <= height);
    inside.map_or(whole, |r| r.with_margin(0.15, width, height))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_shrunk_but_never_enlarged() {
        assert_eq!(shown_size(1280, 720, 640), (640, 360));
        assert_eq!(shown_size(320, 240, 640), (320, 240));
        assert_eq!(shown_size(10_000, 1, 640), (640, 1));
    }

    #[test]
    fn shrinking_keeps_the_colours() {
        let color = ColorImage::new(8, 4, [200, 100, 50].repeat(32)).unwrap();
        let small = shrink(&color, 4);
        assert_eq!((small.width(), small.height()), (4, 2));
        assert!(small.pixels().all(|p| p.0 == [200, 100, 50]));
        assert_eq!(jpeg(&small, 80).unwrap()[..2], [0xFF, 0xD8]);
    }

    #[test]
    fn masks_keep_their_labels() {
        let mask = LabelMask::new(4, 2, vec![0, 0, 1, 1, 0, 0, 300, 300]).unwrap();
        assert_eq!(shrink_mask(&mask, 2, 2), [0, 1, 0, 255]);
    }

    #[test]
    fn heat_reddens_only_where_it_is_hot() {
        let picture = RgbImage::from_pixel(2, 1, Rgb([100, 100, 100]));
        let heat = HeatMap::new(2, 1, vec![0.0, 1.0]).unwrap();
        let tinted = heat_over(&picture, &heat);
        let (cold, hot) = (tinted.get_pixel(0, 0).0, tinted.get_pixel(1, 0).0);
        assert!(cold[0] == cold[1] && cold[1] == cold[2], "{cold:?}");
        assert!(hot[0] > 180 && hot[1] < 60, "{hot:?}");
        let nan = HeatMap::new(2, 1, vec![f32::NAN, 2.0]).unwrap();
        assert_eq!(heat_over(&picture, &nan).get_pixel(0, 0).0, cold);
    }

    #[test]
    fn the_region_covers_all_boxes_and_stays_inside() {
        let boxes = [Rect { x: 10, y: 10, w: 20, h: 20 }, Rect { x: 60, y: 5, w: 40, h: 10 }];
        assert_eq!(item_region(boxes, 100, 50), Rect { x: 0, y: 1, w: 100, h: 33 });
        assert_eq!(item_region([], 100, 50), Rect { x: 0, y: 0, w: 100, h: 50 });
        let outside = [Rect { x: 90, y: 0, w: 20, h: 10 }];
        assert_eq!(item_region(outside, 100, 50), Rect { x: 0, y: 0, w: 100, h: 50 });
    }
}

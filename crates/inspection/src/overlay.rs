//! A picture that a person understands: items outlined and boxed, damage glowing.

use vision::{ColorImage, HeatMap, LabelMask, Rect};

/// Outline colours, told apart by colour-blind people too (Okabe and Ito); items take turns.
const COLORS: [[u8; 3]; 6] = [[86, 180, 233], [0, 158, 115], [240, 228, 66], [230, 159, 0], [204, 121, 167], [0, 114, 178]];
/// Colour of certain damage.
const DAMAGE: [f32; 3] = [255.0, 30.0, 20.0];
/// Scores below this are not drawn: the picture stays readable.
const FAINT: f32 = 0.15;

/// Draws items and damage over the picture. Maps of another size than the picture are left out.
pub fn overlay(color: &ColorImage, mask: &LabelMask, heat: &HeatMap) -> ColorImage {
    let (w, h) = (color.width() as usize, color.height() as usize);
    let mut out = color.clone();
    let same_size = |a: u32, b: u32| (a, b) == (color.width(), color.height());
    if same_size(heat.width(), heat.height()) {
        for (p, s) in out.data_mut().as_chunks_mut::<3>().0.iter_mut().zip(heat.data()) {
            let share = if *s > FAINT { 0.75 * s.min(1.0) } else { 0.0 };
            for (v, d) in p.iter_mut().zip(DAMAGE) {
                *v = (f32::from(*v) * (1.0 - share) + d * share) as u8;
            }
        }
    }
    if !same_size(mask.width(), mask.height()) {
        return out;
    }
    let labels = mask.data();
    for y in 0..h {
        for x in 0..w {
            let i = y * w + x;
            let edge = (x + 1 < w && labels[i] != labels[i + 1]) || (y + 1 < h && labels[i] != labels[i + w]);
            if edge {
                let label = if labels[i] != 0 { labels[i] } else { labels[if x + 1 < w { i + 1 } else { i }] };
                paint(&mut out, x, y, color_of(label));
            }
        }
    }
    for label in mask.labels() {
        if let Some((bbox, _)) = mask.extent(label) {
            frame(&mut out, bbox, color_of(label));
        }
    }
    out
}

fn color_of(label: u16) -> [u8; 3] {
    COLORS[usize::from(label.saturating_sub(1)) % COLORS.len()]
}

fn paint(image: &mut ColorImage, x: usize, y: usize, rgb: [u8; 3]) {
    let at = (y * image.width() as usize + x) * 3;
    if let Some(p) = image.data_mut().get_mut(at..at + 3) {
        p.copy_from_slice(&rgb);
    }
}

/// A box of two pixels' width.
fn frame(image: &mut ColorImage, b: Rect, rgb: [u8; 3]) {
    let (x1, y1) = ((b.x + b.w) as usize - 1, (b.y + b.h) as usize - 1);
    for t in 0..2usize {
        for x in b.x as usize..=x1 {
            paint(image, x, (b.y as usize + t).min(y1), rgb);
            paint(image, x, y1.saturating_sub(t), rgb);
        }
        for y in b.y as usize..=y1 {
            paint(image, (b.x as usize + t).min(x1), y, rgb);
            paint(image, x1.saturating_sub(t), y, rgb);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn items_are_boxed_and_damage_glows() {
        let color = ColorImage::new(20, 20, vec![100; 1200]).unwrap();
        let mut mask = LabelMask::new(20, 20, vec![0; 400]).unwrap();
        let mut heat = HeatMap::new(20, 20, vec![0.0; 400]).unwrap();
        for y in 5..15 {
            for x in 5..15 {
                mask.data_mut()[y * 20 + x] = 1;
            }
        }
        heat.data_mut()[10 * 20 + 10] = 1.0;
        let drawn = overlay(&color, &mask, &heat);
        assert_eq!(drawn.pixel(5, 5), Some(COLORS[0]));
        assert!(drawn.pixel(10, 10).unwrap()[0] > 200);
        assert_eq!(drawn.pixel(9, 9), Some([100; 3]));
        assert_eq!(drawn.pixel(0, 0), Some([100; 3]));
    }
}

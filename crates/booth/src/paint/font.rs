//! A small stroke font (capitals and digits), drawn on a 4 × 6 grid, and a barcode.

use super::texture::{Rgb, Texture};

/// Polylines of a glyph: digit pairs are grid points, `|` lifts the pen.
fn glyph(c: char) -> &'static str {
    match c.to_ascii_uppercase() {
        'A' => "06 20 46|14 34",
        'B' => "00 06 36 45 44 33 03|33 42 41 30 00",
        'C' => "41 30 10 01 05 16 36 45",
        'D' => "00 06 26 44 42 20 00",
        'E' => "40 00 06 46|03 33",
        'F' => "40 00 06|03 33",
        'G' => "41 30 10 01 05 16 36 45 43 23",
        'H' => "00 06|40 46|03 43",
        'I' => "20 26",
        'J' => "40 45 36 16 05",
        'K' => "00 06|40 03 46",
        'L' => "00 06 46",
        'M' => "06 00 23 40 46",
        'N' => "06 00 46 40",
        'O' => "10 30 41 45 36 16 05 01 10",
        'P' => "06 00 30 41 42 33 03",
        'Q' => "10 30 41 45 36 16 05 01 10|34 46",
        'R' => "06 00 30 41 42 33 03|23 46",
        'S' => "41 30 10 01 02 13 33 44 45 36 16 05",
        'T' => "00 40|20 26",
        'U' => "00 05 16 36 45 40",
        'V' => "00 26 40",
        'W' => "00 16 23 36 40",
        'X' => "00 46|40 06",
        'Y' => "00 23 40|23 26",
        'Z' => "00 40 06 46",
        '0' => "10 30 41 45 36 16 05 01 10|41 05",
        '1' => "11 20 26",
        '2' => "01 10 30 41 42 06 46",
        '3' => "01 10 30 41 42 33 13|33 44 45 36 16 05",
        '4' => "30 04 44|30 36",
        '5' => "40 00 03 33 44 45 36 16 05",
        '6' => "40 10 02 05 16 36 45 44 33 03",
        '7' => "00 40 16",
        '8' => "10 30 41 42 33 13 02 01 10|13 04 05 16 36 45 44 33",
        '9' => "43 13 02 01 10 30 41 44 36 06",
        '-' => "13 33",
        '.' => "26 26",
        _ => "",
    }
}

/// How text is set.
#[derive(Clone, Copy)]
pub(crate) struct Type {
    /// Height of a capital, mm.
    pub height_mm: f32,
    /// Stroke width as a share of the height.
    pub weight: f32,
    /// Slant: columns a row.
    pub slant: f32,
    pub rgb: Rgb,
}

/// Width of a line of text, mm.
pub(crate) fn text_width(text: &str, height_mm: f32) -> f32 {
    text.chars().count() as f32 * height_mm * 0.88
}

/// Draws a line of text with its top-left corner at (`x`, `y`).
pub(crate) fn text(texture: &mut Texture, line: &str, x: f32, y: f32, style: Type) {
    let unit = style.height_mm / 6.0;
    for (i, c) in line.chars().enumerate() {
        let left = x + i as f32 * style.height_mm * 0.88;
        for polyline in glyph(c).split('|') {
            let points: Vec<[f32; 2]> = polyline
                .split(' ')
                .filter_map(|pair| {
                    let mut digits = pair.chars().filter_map(|d| d.to_digit(10));
                    let (gx, gy) = (digits.next()? as f32, digits.next()? as f32);
                    Some([left + (gx + (6.0 - gy) * style.slant) * unit, y + gy * unit])
                })
                .collect();
            texture.stroke(&points, style.height_mm * style.weight, style.rgb);
        }
    }
}

/// A barcode field with quiet zone; `digits` decide the bars (two-of-five-like widths).
pub(crate) fn barcode(texture: &mut Texture, digits: &str, x: f32, y: f32, w: f32, h: f32) {
    texture.rect(x, y, w, h, [246, 246, 244]);
    let bits: Vec<bool> = std::iter::repeat_n(true, 1)
        .chain(digits.bytes().flat_map(|d| {
            let v = d.wrapping_mul(37).wrapping_add(11);
            (0..6).map(move |bit| (v >> bit) & 1 == 1)
        }))
        .chain([false, true])
        .collect();
    let bar = w * 0.86 / bits.len() as f32;
    for (i, _) in bits.iter().enumerate().filter(|(_, black)| **black) {
        texture.rect(x + w * 0.07 + i as f32 * bar, y + h * 0.08, bar, h * 0.66, [22, 22, 24]);
    }
    let height_mm = h * 0.14;
    let style = Type { height_mm, weight: 0.16, slant: 0.0, rgb: [30, 30, 32] };
    text(texture, digits, x + (w - text_width(digits, height_mm)) / 2.0, y + h * 0.8, style);
}

//! The print of a product: one design language per product, one picture per face.

use super::font::{Type, barcode, text, text_width};
use super::lookalike;
use super::texture::{Rgb, Texture, mix, scale};
use crate::random::{Random, chance, fractal, integer, pick, uniform};
use crate::types::LookAlike;
use rand::SeedableRng;

/// How the faces of a product are laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Style {
    /// Brown board with one-colour print.
    Kraft,
    /// One ground colour.
    Solid,
    /// Two areas of colour.
    TwoTone,
    /// Stripes.
    Stripes,
    /// A large picture.
    Photo,
}

/// The look that all faces of a product share.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub seed: u64,
    pub brand: String,
    pub line: String,
    /// Ground, second colour, accent, ink.
    pub palette: [Rgb; 4],
    pub style: Style,
    pub logo: u32,
    pub gloss: u8,
    pub barcode: String,
    pub lookalike: Option<LookAlike>,
}

/// Which face is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Main picture.
    Front,
    /// Text, table and barcode.
    Back,
    /// Brand and small print.
    Side,
    /// Small face.
    End,
}

impl Identity {
    /// Draws a design. `kraft_p` is the chance of brown board.
    pub fn new(rng: &mut Random, seed: u64, kraft_p: f32, gloss: u8, lookalike: Option<LookAlike>) -> Identity {
        let style = if chance(rng, kraft_p) {
            Style::Kraft
        } else {
            pick(rng, [Style::Solid, Style::TwoTone, Style::Stripes, Style::Photo, Style::Photo])
        };
        let digits: String = (0..13).map(|_| char::from(b'0' + integer(rng, 0, 9) as u8)).collect();
        Identity {
            seed,
            brand: pseudo_word(rng, 2),
            line: format!("{} {}", pseudo_word(rng, 2), pseudo_word(rng, 1)),
            palette: palette(rng, style),
            style,
            logo: integer(rng, 0, 5),
            gloss: if style == Style::Kraft { 10 } else { gloss },
            barcode: digits,
            lookalike,
        }
    }

    /// A generator for face number `face`: the same on every item of the product.
    pub fn face_rng(&self, face: u64) -> Random {
        let mut rng = Random::seed_from_u64(self.seed);
        rng.set_stream(face + 1);
        rng
    }
}

fn pseudo_word(rng: &mut Random, syllables: u32) -> String {
    (0..syllables)
        .map(|_| {
            let head = pick(rng, ["B", "K", "L", "M", "N", "T", "V", "S", "R", "Z", "P", "D"]);
            let vowel = pick(rng, ["A", "E", "I", "O", "U"]);
            let tail = pick(rng, ["", "", "N", "R", "X", "L"]);
            format!("{head}{vowel}{tail}")
        })
        .collect()
}

/// A colour from hue (turns), saturation and value.
pub(crate) fn hsv(h: f32, s: f32, v: f32) -> Rgb {
    let channel = |offset: f32| {
        let k = (offset + h.rem_euclid(1.0) * 6.0).rem_euclid(6.0);
        ((v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)) * 255.0) as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

fn palette(rng: &mut Random, style: Style) -> [Rgb; 4] {
    let hue = uniform(rng, 0.0, 1.0);
    let ink = pick(rng, [[28, 28, 32], [30, 40, 80], [90, 20, 24], [20, 60, 40]]);
    if style == Style::Kraft {
        let board = pick(rng, [[176, 136, 96], [188, 150, 108], [164, 124, 84], [226, 222, 214]]);
        return [board, scale(board, 0.9), scale(board, 0.75), ink];
    }
    let ground = match integer(rng, 0, 4) {
        0 => [236, 234, 228],
        1 => [34, 35, 40],
        _ => hsv(hue, uniform(rng, 0.35, 0.9), uniform(rng, 0.35, 0.95)),
    };
    let second = hsv(hue + uniform(rng, 0.25, 0.6), uniform(rng, 0.3, 0.9), uniform(rng, 0.4, 0.95));
    let accent = hsv(hue + uniform(rng, 0.05, 0.95), 0.85, 0.9);
    [ground, second, accent, contrast(ground, ink)]
}

fn luma(c: Rgb) -> f32 {
    0.3 * f32::from(c[0]) + 0.59 * f32::from(c[1]) + 0.11 * f32::from(c[2])
}

/// Ink that is legible on `ground`.
fn contrast(ground: Rgb, ink: Rgb) -> Rgb {
    if luma(ground) > 105.0 { ink } else { [240, 238, 230] }
}

/// A face without print: board, film or paper in the ground colour, with its fibres.
pub(crate) fn plain(rgb: Rgb, size_mm: [f32; 2], texel_mm: f32, gloss: u8, seed: u32) -> Texture {
    let mut texture = Texture::new(size_mm[0], size_mm[1], texel_mm, rgb, gloss);
    grain(&mut texture, 0.05, seed);
    texture
}

/// Fibres and mottling of board.
fn grain(texture: &mut Texture, strength: f32, seed: u32) {
    texture.paint_all(|x, y, texel| {
        let n = 0.7 * fractal(x * 0.06, y * 0.06, 2, seed) + 0.5 * fractal(x * 0.25, y * 1.1, 1, seed ^ 77);
        texel.rgb = scale(texel.rgb, 1.0 + strength * n);
    });
}

/// Paints one face of `size_mm` (width, height).
pub(crate) fn face(id: &Identity, role: Role, index: u64, size_mm: [f32; 2], texel_mm: f32) -> Texture {
    let mut rng = id.face_rng(index);
    let mut texture = Texture::new(size_mm[0], size_mm[1], texel_mm, id.palette[0], id.gloss);
    ground(&mut texture, id, &mut rng);
    match role {
        Role::Front => front(&mut texture, id, &mut rng),
        Role::Back => back(&mut texture, id, &mut rng),
        Role::Side => side(&mut texture, id, &mut rng),
        Role::End => end(&mut texture, id, &mut rng),
    }
    grain(&mut texture, if id.style == Style::Kraft { 0.07 } else { 0.02 }, id.seed as u32 ^ index as u32);
    texture
}

fn ground(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    match id.style {
        Style::Kraft | Style::Solid => {}
        Style::TwoTone | Style::Photo => {
            let share = uniform(rng, 0.3, 0.5);
            let wave = uniform(rng, 0.0, 0.08) * h;
            texture.fill([0.0, 0.0, w, h], id.palette[1], |x, y| h * (1.0 - share) + wave * (x / w * 6.0).sin() - y);
        }
        Style::Stripes => {
            let pitch = (w.max(h) / 9.0).max(6.0);
            let lean = id.logo as f32 * 0.3;
            texture.fill([0.0, 0.0, w, h], mix(id.palette[0], id.palette[1], 0.6), |x, y| {
                ((x + lean * y).rem_euclid(pitch) - pitch * 0.5).abs() - pitch * 0.2
            });
        }
    }
}

fn front(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    if id.style == Style::Kraft && id.lookalike.is_none() {
        kraft_marks(texture, id, rng);
        return;
    }
    let panel = [w * uniform(rng, 0.08, 0.2), h * uniform(rng, 0.36, 0.42), w * 0.7, h * 0.4];
    match id.lookalike {
        Some(kind) => lookalike::paint(texture, kind, panel, rng),
        None => picture(texture, id, panel, rng),
    }
    title(texture, id, [w * 0.08, h * 0.07], w * 0.62, h * 0.2);
    logo(texture, id, w * 0.84, h * 0.16, (w.min(h) * 0.1).min(24.0));
    small_print(texture, id, [w * 0.08, h * 0.86, w * 0.5, h * 0.1], rng);
    if chance(rng, 0.6) {
        let r = w.min(h) * uniform(rng, 0.08, 0.13);
        let (x, y) = (w * uniform(rng, 0.75, 0.88), h * uniform(rng, 0.72, 0.85));
        burst(texture, x, y, r, id.palette[2]);
        let style = Type { height_mm: r * 0.6, weight: 0.16, slant: 0.0, rgb: contrast(id.palette[2], [25, 25, 25]) };
        text(texture, pick(rng, ["NEW", "2X", "50", "100", "BIO", "XL"]), x - r * 0.75, y - r * 0.3, style);
    }
}

fn back(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    title(texture, id, [w * 0.08, h * 0.06], w * 0.5, h * 0.1);
    for column in 0..2 {
        let x = w * (0.08 + 0.44 * column as f32);
        small_print(texture, id, [x, h * 0.22, w * 0.38, h * 0.36], rng);
    }
    let (tx, ty, tw, th) = (w * 0.08, h * 0.64, w * 0.36, h * 0.28);
    texture.rect(tx, ty, tw, th, [238, 238, 234]);
    for row in 0..6 {
        let y = ty + th * (row as f32 + 0.5) / 6.0;
        texture.rect(tx + tw * 0.06, y, tw * uniform(rng, 0.3, 0.6), th * 0.06, [50, 50, 52]);
        texture.rect(tx + tw * 0.8, y, tw * 0.12, th * 0.06, [50, 50, 52]);
    }
    let bw = (w * 0.4).min(46.0);
    barcode(texture, &id.barcode, w * 0.92 - bw, h * 0.66, bw, (h * 0.26).min(28.0));
}

fn side(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    title(texture, id, [w * 0.06, h * 0.2], w * 0.6, h * 0.4);
    if w > 90.0 {
        let bw = (w * 0.25).min(40.0);
        barcode(texture, &id.barcode, w * 0.95 - bw, h * 0.2, bw, (h * 0.6).min(24.0));
    }
    small_print(texture, id, [w * 0.06, h * 0.7, w * 0.5, h * 0.2], rng);
}

fn end(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    logo(texture, id, w * 0.5, h * 0.4, w.min(h) * 0.22);
    title(texture, id, [w * 0.15, h * 0.7], w * 0.7, h * 0.15);
    if chance(rng, 0.5) {
        burst(texture, w * 0.85, h * 0.15, w.min(h) * 0.07, id.palette[2]);
    }
}

/// Brand and product line, as large as fits into `width` × `height`.
fn title(texture: &mut Texture, id: &Identity, at: [f32; 2], width: f32, height: f32) {
    let letters = id.brand.chars().count().max(1) as f32;
    let size = (width / letters / 0.9).min(height * 0.6).max(2.0);
    let on = texture.nearest(at[0] / texture.width_mm(), at[1] / texture.height_mm()).rgb;
    let slant = if id.logo.is_multiple_of(2) { 0.0 } else { 0.25 };
    let weight = 0.12 + 0.03 * (id.logo % 4) as f32;
    text(texture, &id.brand, at[0], at[1], Type { height_mm: size, weight, slant, rgb: contrast(on, id.palette[3]) });
    let line_size = (size * 0.45).min(width / (text_width(&id.line, 1.0).max(1.0)));
    let style = Type { height_mm: line_size, weight: 0.13, slant: 0.0, rgb: contrast(on, id.palette[3]) };
    text(texture, &id.line, at[0], at[1] + size * 1.25, style);
}

/// Lines too small to read, as strokes of uneven length.
fn small_print(texture: &mut Texture, id: &Identity, area: [f32; 4], rng: &mut Random) {
    let pitch = 3.4;
    let lines = ((area[3] / pitch) as u32).min(14);
    let on = texture.nearest((area[0] + 1.0) / texture.width_mm(), (area[1] + 1.0) / texture.height_mm()).rgb;
    let ink = mix(contrast(on, id.palette[3]), on, 0.25);
    for line in 0..lines {
        let y = area[1] + line as f32 * pitch;
        let mut x = area[0];
        let end = area[0] + area[2] * if line + 1 == lines { 0.5 } else { uniform(rng, 0.85, 1.0) };
        while x < end {
            let word = uniform(rng, 2.5, 9.0);
            texture.rect(x, y, word.min(end - x), 1.3, ink);
            x += word + 1.5;
        }
    }
}

/// Signs of a shipping carton: arrows, glass, text, a frame.
fn kraft_marks(texture: &mut Texture, id: &Identity, rng: &mut Random) {
    let (w, h) = (texture.width_mm(), texture.height_mm());
    let ink = id.palette[3];
    if chance(rng, 0.8) {
        title(texture, id, [w * uniform(rng, 0.06, 0.3), h * uniform(rng, 0.1, 0.5)], w * 0.5, h * 0.3);
    }
    if chance(rng, 0.7) {
        let (x, y, s) = (w * uniform(rng, 0.1, 0.8), h * 0.8, (h * 0.16).min(26.0));
        for offset in [0.0, s * 0.7] {
            let cx = x + offset;
            texture.polygon(&[[cx, y - s], [cx + s * 0.28, y - s * 0.55], [cx - s * 0.28, y - s * 0.55]], ink);
            texture.rect(cx - s * 0.09, y - s * 0.6, s * 0.18, s * 0.6, ink);
        }
        texture.rect(x - s * 0.4, y + s * 0.1, s * 1.5, s * 0.1, ink);
    }
    if chance(rng, 0.6) {
        let bw = (w * 0.3).min(48.0);
        barcode(texture, &id.barcode, w * uniform(rng, 0.5, 0.66), h * uniform(rng, 0.6, 0.75), bw, (h * 0.2).min(24.0));
    }
    if chance(rng, 0.4) {
        logo(texture, id, w * uniform(rng, 0.6, 0.85), h * uniform(rng, 0.2, 0.4), w.min(h) * 0.12);
    }
}

/// The logo shape of the product.
fn logo(texture: &mut Texture, id: &Identity, x: f32, y: f32, r: f32) {
    let (accent, ink) = (id.palette[2], id.palette[3]);
    match id.logo {
        0 => {
            texture.ellipse(x, y, r, r, accent);
            texture.ellipse(x, y, r * 0.6, r * 0.6, id.palette[0]);
        }
        1 => burst(texture, x, y, r, accent),
        2 => {
            texture.rect(x - r, y - r * 0.7, 2.0 * r, 1.4 * r, accent);
            texture.polygon(&[[x - r * 0.6, y + r * 0.5], [x, y - r * 0.5], [x + r * 0.6, y + r * 0.5]], ink);
        }
        3 => {
            texture.ellipse(x - r * 0.35, y, r * 0.6, r * 0.6, accent);
            texture.ellipse(x + r * 0.35, y, r * 0.6, r * 0.6, ink);
        }
        4 => {
            let hexagon: Vec<[f32; 2]> =
                (0..6).map(|i| (i as f32 * std::f32::consts::FRAC_PI_3).sin_cos()).map(|(s, c)| [x + r * c, y + r * s]).collect();
            texture.polygon(&hexagon, accent);
            texture.rect(x - r * 0.5, y - r * 0.12, r, r * 0.24, ink);
        }
        _ => {
            let leaf = [[x, y - r], [x + r * 0.7, y], [x, y + r], [x - r * 0.7, y]];
            texture.polygon(&leaf, accent);
            texture.stroke(&[[x, y - r], [x, y + r]], r * 0.12, ink);
        }
    }
}

/// A star-shaped badge.
fn burst(texture: &mut Texture, x: f32, y: f32, r: f32, rgb: Rgb) {
    let points: Vec<[f32; 2]> = (0..24)
        .map(|i| {
            let (s, c) = (i as f32 * std::f32::consts::TAU / 24.0).sin_cos();
            let radius = if i % 2 == 0 { r } else { r * 0.82 };
            [x + radius * c, y + radius * s]
        })
        .collect();
    texture.polygon(&points, rgb);
}

/// The product picture: a photograph-like scene, or shapes.
fn picture(texture: &mut Texture, id: &Identity, panel: [f32; 4], rng: &mut Random) {
    let [x, y, w, h] = panel;
    let (sky, land) = (mix(id.palette[2], [255, 255, 255], 0.5), scale(id.palette[1], 0.7));
    let seed = id.seed as u32;
    if id.style == Style::Photo {
        texture.paint([x, y, x + w, y + h], |px, py, texel| {
            let (u, v) = ((px - x) / w, (py - y) / h);
            let hill = 0.55 + 0.25 * fractal(u * 3.0, 0.5, 3, seed);
            let tone = fractal(px * 0.09, py * 0.09, 4, seed ^ 5);
            let base = if v > hill { scale(land, 1.0 + 0.5 * tone) } else { mix(sky, [250, 248, 240], v) };
            texel.rgb = scale(base, 1.0 + 0.12 * tone);
        });
    } else {
        texture.rect(x, y, w, h, mix(id.palette[0], [255, 255, 255], 0.35));
    }
    for _ in 0..integer(rng, 2, 5) {
        let (cx, cy) = (x + w * uniform(rng, 0.2, 0.8), y + h * uniform(rng, 0.3, 0.75));
        let r = w.min(h) * uniform(rng, 0.1, 0.28);
        let rgb = hsv(uniform(rng, 0.0, 1.0), 0.7, uniform(rng, 0.4, 0.95));
        texture.ellipse(cx + r * 0.15, cy + r * 0.2, r, r * 0.9, scale(rgb, 0.5));
        texture.ellipse(cx, cy, r, r * 0.9, rgb);
        texture.ellipse(cx - r * 0.3, cy - r * 0.3, r * 0.3, r * 0.22, mix(rgb, [255, 255, 255], 0.6));
    }
}

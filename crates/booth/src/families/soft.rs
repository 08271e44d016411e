//! Mailers and pouches: a pillow with sealed edges, wrinkled according to its material.

use std::sync::Arc;

use super::{cells, skin};
use crate::mesh::{Mesh, Part, V3};
use crate::paint::{Role, Texture, face};
use crate::product::Product;
use crate::random::{Random, fractal, ridged, smoothstep, uniform};
use crate::types::Family;
use rand::Rng;

/// Upper and lower side.
pub(super) fn faces(product: &Product, texel_mm: f32) -> Vec<Texture> {
    let [l, w, _] = product.size_m.map(|m| m * 1000.0);
    let sides = [(Role::Front, 0), (Role::Back, 1)];
    sides
        .into_iter()
        .map(|(role, index)| {
            let mut texture = face(&product.identity, role, index, [l, w], texel_mm);
            match product.family {
                Family::Pouch => crimp(&mut texture, l),
                Family::BubbleWrap => frost(&mut texture),
                _ => {}
            }
            texture
        })
        .collect()
}

/// Bubble wrap lets the print below through only faintly.
fn frost(texture: &mut Texture) {
    texture.paint_all(|x, y, texel| {
        let [u, v] = bubble(x / 1000.0, y / 1000.0);
        let rim = smoothstep(0.75, 0.95, u.hypot(v));
        texel.rgb = crate::paint::mix(texel.rgb, [206, 212, 216], 0.55 + 0.2 * rim);
    });
}

/// Distance between bubbles, metres.
const BUBBLE_M: f32 = 0.0125;

/// Position inside the bubble at (x, y) metres, as shares of its radius: a hexagonal lattice.
fn bubble(x: f32, y: f32) -> [f32; 2] {
    let row = (y / (BUBBLE_M * 0.866)).round();
    let shift = if row.rem_euclid(2.0) < 0.5 { 0.0 } else { 0.5 };
    let column = (x / BUBBLE_M - shift).round() + shift;
    let radius = BUBBLE_M * 0.46;
    [(x - column * BUBBLE_M) / radius, (y - row * BUBBLE_M * 0.866) / radius]
}

/// The ribbed seals of a pouch.
fn crimp(texture: &mut Texture, length_mm: f32) {
    texture.paint_all(|x, _, texel| {
        if x < 9.0 || x > length_mm - 9.0 {
            let rib = 0.86 + 0.14 * (x * 4.2).sin();
            texel.rgb = crate::paint::scale(texel.rgb, rib);
        }
    });
}

/// How a material wrinkles.
struct Cloth {
    /// Height of creases, metres.
    crease_m: f32,
    /// Creases a metre.
    density: f32,
    /// Width of the flat sealed edge, metres.
    seal_m: f32,
    /// Slope of fine film wrinkles.
    film: f32,
    /// Height of bubbles, metres.
    bubble_m: f32,
    /// 1: round pillow; 0: the flat-topped lump of a box inside.
    round: f32,
}

fn cloth(family: Family) -> Cloth {
    match family {
        Family::PolyMailer => Cloth { crease_m: 0.006, density: 16.0, seal_m: 0.014, film: 0.5, bubble_m: 0.0, round: 0.25 },
        Family::Pouch => Cloth { crease_m: 0.0035, density: 22.0, seal_m: 0.011, film: 0.25, bubble_m: 0.0, round: 1.0 },
        Family::BubbleWrap => Cloth { crease_m: 0.003, density: 11.0, seal_m: 0.006, film: 0.12, bubble_m: 0.0035, round: 0.2 },
        _ => Cloth { crease_m: 0.002, density: 12.0, seal_m: 0.016, film: 0.06, bubble_m: 0.0, round: 0.7 },
    }
}

/// Height of the filling at (s, t) as a share of the item's height.
fn filling(cloth: &Cloth, lump: [f32; 4], s: f32, t: f32, edge: f32) -> f32 {
    let pillow = ((1.0 - (2.0 * s - 1.0).powi(4)).max(0.0) * (1.0 - (2.0 * t - 1.0).powi(4)).max(0.0)).powf(0.45);
    let away = |v: f32, centre: f32, half: f32| smoothstep(half + 0.17, half, (v - centre).abs());
    let block = away(s, lump[0], lump[2]) * away(t, lump[1], lump[3]);
    edge * (cloth.round * pillow + (1.0 - cloth.round) * (0.18 * pillow + 0.82 * block))
}

/// The upper side carries the shape; the lower one lies flat.
pub(super) fn pillow(product: &Product, faces: &[Arc<Texture>], rng: &mut Random) -> Mesh {
    let [l, w, h] = product.size_m;
    let cloth = cloth(product.family);
    let seed = rng.random::<u32>();
    let lump = [uniform(rng, 0.42, 0.58), uniform(rng, 0.42, 0.58), uniform(rng, 0.2, 0.3), uniform(rng, 0.2, 0.3)];
    let height = |s: f32, t: f32| {
        let border = (s * l).min((1.0 - s) * l).min((t * w).min((1.0 - t) * w));
        let edge = smoothstep(cloth.seal_m * 0.6, cloth.seal_m + 0.03, border);
        let (x, y) = (s * l * cloth.density, t * w * cloth.density);
        let warp = 1.3 * fractal(x * 0.5, y * 0.5, 2, seed ^ 1);
        let crease = ridged(x + warp, y * 0.7 - warp, 3, seed) - 0.5;
        let slack = 0.35 + 0.65 * edge;
        let [u, v] = bubble(s * l, t * w);
        let dome = cloth.bubble_m * (1.0 - u * u - v * v).max(0.0).sqrt();
        (filling(&cloth, lump, s, t, edge) * h + crease * cloth.crease_m * slack).max(0.0) + dome + 0.0015
    };
    // Film pulls in where it is creased: the outline is not a ruler's.
    let sway = cloth.crease_m * 0.7;
    let outline = |s: f32, t: f32| {
        let pull = V3::new(sway * fractal(t * w * 20.0, 3.0 + s, 2, seed ^ 5), sway * fractal(s * l * 20.0, 9.0 + t, 2, seed ^ 6), 0.0);
        V3::new((s - 0.5) * l, (0.5 - t) * w, 0.0) + pull
    };
    let inner = if product.family == Family::PaddedMailer { [170, 150, 124] } else { [120, 122, 126] };
    let mut mesh = Mesh::default();
    let mut top = skin(faces, 0, inner, Part::Skin);
    top.film = cloth.film;
    // Bubbles need a finer grid than creases.
    let fine = if cloth.bubble_m > 0.0 { 2 } else { 1 };
    mesh.grid([cells(l) * fine, cells(w) * fine], top, |s, t| outline(s, t) + V3::z() * height(s, t));
    let mut bottom = skin(faces, 1, inner, Part::Skin);
    bottom.film = cloth.film;
    mesh.grid([cells(l), cells(w)], bottom, |s, t| {
        let p = outline(1.0 - s, t);
        V3::new(p.x, p.y, 0.0006)
    });
    mesh
}

//! Packs with countable units: blister cards and trays of cans.

use std::sync::Arc;

use super::{cells, round, skin};
use crate::mesh::{Mesh, Part, Skin, V3};
use crate::paint::{Role, Texture, face, plain};
use crate::product::Product;
use crate::random::{Random, uniform};
use crate::types::Family;

/// Blister: front, back, unit. Multi-pack: wall, floor, unit wall, unit lid.
pub(super) fn faces(product: &Product, texel_mm: f32) -> Vec<Texture> {
    let [l, w, h] = product.size_m.map(|m| m * 1000.0);
    let id = &product.identity;
    if product.family == Family::Blister {
        let unit = plain(id.palette[2], [40.0, 40.0], texel_mm, 200, 6);
        return vec![face(id, Role::Front, 0, [l, w], texel_mm), face(id, Role::Back, 1, [l, w], texel_mm), unit];
    }
    let round = product.unit_radius_m() * 2000.0 * std::f32::consts::PI;
    vec![
        face(id, Role::Side, 0, [l.max(w), h * 0.4], texel_mm),
        plain([168, 130, 92], [l, w], texel_mm, 8, 7),
        if product.shuffled { plain(id.palette[2], [40.0, 20.0], texel_mm, 60, 9) } else { face(id, Role::Front, 1, [round, h], texel_mm) },
        if product.shuffled {
            plain(id.palette[2], [40.0, 20.0], texel_mm, 60, 10)
        } else {
            plain([176, 178, 182], [40.0, 20.0], texel_mm, 160, 8)
        },
    ]
}

/// Centre of unit number `index` in the plane of the pack, and the half size of its cell.
fn cell(product: &Product, index: u16, area: [f32; 4]) -> ([f32; 2], [f32; 2]) {
    let [columns, rows] = product.units;
    let (i, j) = (u32::from(index) % columns, u32::from(index) / columns);
    let (cw, ch) = (area[2] / columns as f32, area[3] / rows as f32);
    ([area[0] + (i as f32 + 0.5) * cw, area[1] - (j as f32 + 0.5) * ch], [cw / 2.0, ch / 2.0])
}

/// A card with domes; an absent unit leaves a sunken, clear pocket.
pub(super) fn blister(product: &Product, faces: &[Arc<Texture>], absent: &[u16]) -> Mesh {
    let [l, w, h] = product.size_m;
    let card = 0.0025;
    let mut mesh = Mesh::default();
    let corner = V3::new(-l / 2.0, -w / 2.0, 0.0);
    let (x, y, z) = (V3::x() * l, V3::y() * w, V3::z() * card);
    let inside = [180, 170, 150];
    mesh.sheet([cells(l), cells(w)], skin(faces, 0, inside, Part::Skin), corner + y + z, x, -y);
    mesh.sheet([cells(l), cells(w)], skin(faces, 1, inside, Part::Skin), corner, x, y);
    let edge = || skin(faces, 1, inside, Part::Trim);
    mesh.sheet([4, 1], edge(), corner + z, x, -z);
    mesh.sheet([4, 1], edge(), corner + x + y + z, -x, -z);
    mesh.sheet([4, 1], edge(), corner + y + z, -y, -z);
    mesh.sheet([4, 1], edge(), corner + x + z, y, -z);
    let area = [-l * 0.44, w * 0.12, l * 0.88, w * 0.56];
    for unit in 0..product.unit_count() as u16 {
        let (centre, half) = cell(product, unit, area);
        let gone = absent.contains(&unit);
        let height = (h - card) * if gone { 0.3 } else { 1.0 };
        let look = if gone { pocket(&mesh, centre, [l, w]) } else { skin(faces, 2, inside, Part::Unit(unit)) };
        let (rx, ry) = (half[0] * 0.8, half[1] * 0.8);
        let at = V3::new(centre[0], centre[1], card);
        mesh.grid([16, 16], look, |s, t| {
            let (u, v) = (2.0 * s - 1.0, 1.0 - 2.0 * t);
            let d = u.powi(4) + v.powi(4);
            at + V3::new(u * rx, v * ry, height * (1.0 - d).max(0.0).powf(0.4))
        });
    }
    mesh
}

/// Clear film over the card: the colour of the card below it, shinier.
fn pocket(mesh: &Mesh, centre: [f32; 2], size: [f32; 2]) -> Skin {
    let card = &mesh.patches[0].texture;
    let below = card.nearest((centre[0] / size[0] + 0.5).clamp(0.0, 1.0), (0.5 - centre[1] / size[1]).clamp(0.0, 1.0));
    let film = plain(crate::paint::mix(below.rgb, [205, 208, 210], 0.35), [30.0, 30.0], 1.0, 220, 9);
    Skin { texture: Arc::new(film), inner_rgb: below.rgb, part: Part::Trim, film: 0.7 }
}

/// A loose piece's radius and height, of those of a can that fills its cell.
const LOOSE: f32 = 0.55;
const LOOSE_HEIGHT: f32 = 0.25;

/// Places of the loose pieces of one item, anywhere on the floor, none on another; some touch. Where chance finds no room they lie closer.
fn scattered(product: &Product, radius: f32, rng: &mut Random) -> Vec<[f32; 2]> {
    let half = [0, 1].map(|k| product.size_m[k] / 2.0 - 1.05 * radius);
    let mut places: Vec<[f32; 2]> = Vec::new();
    let mut apart = 2.02 * radius;
    while places.len() < product.unit_count() as usize {
        let found = (0..60).find_map(|_| {
            let at = half.map(|h| uniform(rng, -h, h));
            places.iter().all(|p| (p[0] - at[0]).hypot(p[1] - at[1]) >= apart).then_some(at)
        });
        match found {
            Some(at) => places.push(at),
            None => apart *= 0.97,
        }
    }
    places
}

/// A low board tray with cans, or with loose pieces; where a unit is absent the floor shows.
pub(super) fn multi_pack(product: &Product, faces: &[Arc<Texture>], absent: &[u16], rng: &mut Random) -> Mesh {
    let [l, w, h] = product.size_m;
    let wall = h * 0.4;
    let mut mesh = Mesh::default();
    let corner = V3::new(-l / 2.0, -w / 2.0, 0.0);
    let (x, y, z) = (V3::x() * l, V3::y() * w, V3::z() * wall);
    let inside = [160, 124, 88];
    let board = || skin(faces, 0, inside, Part::Skin);
    mesh.sheet([cells(l), cells(w)], skin(faces, 1, inside, Part::Trim), corner + y + V3::z() * 0.002, x, -y);
    mesh.sheet([cells(l), cells(wall)], board(), corner + z, x, -z);
    mesh.sheet([cells(l), cells(wall)], board(), corner + x + y + z, -x, -z);
    mesh.sheet([cells(w), cells(wall)], board(), corner + y + z, -y, -z);
    mesh.sheet([cells(w), cells(wall)], board(), corner + x + z, y, -z);
    if product.shuffled {
        // All places are drawn, whoever is absent: the item before the accident has the same ones.
        let radius = product.unit_radius_m() * LOOSE;
        for (unit, at) in (0u16..).zip(scattered(product, radius, rng)).filter(|(unit, _)| !absent.contains(unit)) {
            round::unit_can(&mut mesh, faces, unit, V3::new(at[0], at[1], 0.002), radius, h * LOOSE_HEIGHT);
        }
        return mesh;
    }
    let area = [-l / 2.0, w / 2.0, l, w];
    for unit in (0..product.unit_count() as u16).filter(|u| !absent.contains(u)) {
        let (centre, half) = cell(product, unit, area);
        let radius = half[0].min(half[1]) * 0.97;
        round::unit_can(&mut mesh, faces, unit, V3::new(centre[0], centre[1], 0.002), radius, h - 0.002);
    }
    mesh
}

//! Cartons and books.

use std::sync::Arc;

use super::{cells, skin};
use crate::mesh::{Mesh, Part, V3};
use crate::paint::{Role, Texture, face, plain, scale};
use crate::product::Product;
use crate::random::{Random, fractal, uniform};
use crate::types::Family;
use rand::Rng;

const BOARD_INSIDE: [u8; 3] = [150, 118, 86];

/// top, bottom, front, back, left, right; for books: cover, back, spine, pages.
pub(super) fn faces(product: &Product, texel_mm: f32) -> Vec<Texture> {
    let [l, w, h] = product.size_m.map(|m| m * 1000.0);
    let id = &product.identity;
    let face = |role, index, size| face(id, role, index, size, texel_mm);
    if product.family == Family::Book {
        let mut pages = plain([232, 226, 210], [l, h], texel_mm, 0, 3);
        pages.paint_all(|x, y, texel| {
            texel.rgb = scale(texel.rgb, 0.92 + 0.1 * fractal(x * 0.01, y * 2.3, 1, 9));
        });
        return vec![face(Role::Front, 0, [l, w]), face(Role::Back, 1, [l, w]), face(Role::Side, 2, [w, h]), pages];
    }
    let mut list = vec![
        face(Role::Front, 0, [l, w]),
        face(Role::Back, 1, [l, w]),
        face(Role::Side, 2, [l, h]),
        face(Role::Side, 3, [l, h]),
        face(Role::End, 4, [w, h]),
        face(Role::End, 5, [w, h]),
    ];
    if product.seamed {
        for texture in list.iter_mut().take(2) {
            texture.rect(0.0, w / 2.0 - 0.6, l, 1.2, [60, 46, 34]);
        }
    }
    list
}

/// Six faces, each slightly bulged.
pub(super) fn carton(product: &Product, faces: &[Arc<Texture>], rng: &mut Random) -> Mesh {
    let [l, w, h] = product.size_m;
    let mut mesh = Mesh::default();
    let bulge = uniform(rng, -0.0015, 0.003);
    let seed = rng.random::<u32>();
    let (x, y, z) = (V3::x() * l, V3::y() * w, V3::z() * h);
    let corner = V3::new(-l / 2.0, -w / 2.0, 0.0);
    // corner, edge along columns, edge along rows (down the picture)
    let sides = [
        (corner + y + z, x, -y),
        (corner, x, y),
        (corner + z, x, -z),
        (corner + x + y + z, -x, -z),
        (corner + y + z, -y, -z),
        (corner + x + z, y, -z),
    ];
    for (index, (origin, along_s, along_t)) in sides.into_iter().enumerate() {
        let outward = along_t.cross(&along_s).normalize();
        let look = skin(faces, index, BOARD_INSIDE, Part::Skin);
        mesh.grid([cells(along_s.norm()), cells(along_t.norm())], look, |s, t| {
            let middle = 16.0 * s * (1.0 - s) * t * (1.0 - t);
            let uneven = 0.5 + 0.5 * fractal(s * 2.0, t * 2.0 + index as f32 * 9.0, 2, seed);
            origin + along_s * s + along_t * t + outward * (bulge * middle * uneven)
        });
    }
    mesh
}

/// Two covers, a spine and a block of pages set back by 3 mm.
pub(super) fn book(product: &Product, faces: &[Arc<Texture>]) -> Mesh {
    let [l, w, h] = product.size_m;
    let mut mesh = Mesh::default();
    let (x, y, z) = (V3::x() * l, V3::y() * w, V3::z() * h);
    let corner = V3::new(-l / 2.0, -w / 2.0, 0.0);
    let inside = [226, 222, 210];
    let cover = |index| skin(faces, index, inside, Part::Skin);
    let bow = h * 0.06;
    mesh.grid([cells(l), cells(w)], cover(0), |s, t| corner + y + z + x * s - y * t + V3::z() * (bow * (s - 1.0) * s * 4.0 * 0.3));
    mesh.sheet([cells(l), cells(w)], cover(1), corner, x, y);
    // The spine bulges outwards on the left.
    mesh.grid([cells(w), cells(h)], cover(2), |s, t| {
        corner + y + z - y * s - z * t - V3::x() * (h * 0.2 * (1.0 - (2.0 * t - 1.0).powi(2)))
    });
    let inset = 0.003f32.min(w * 0.05);
    let page = |_| skin(faces, 3, inside, Part::Trim);
    let (px, py) = (x * (1.0 - inset / l), y * (1.0 - 2.0 * inset / w));
    let base = corner + V3::y() * inset;
    mesh.sheet([cells(l), 3], page(0), base + z, px, -z);
    mesh.sheet([cells(l), 3], page(1), base + px + py + z, -px, -z);
    mesh.sheet([cells(w), 3], page(2), base + px + z, py, -z);
    mesh
}

//! Bottles, cans and tubes.

use std::f32::consts::TAU;
use std::sync::Arc;

use super::{cells, skin};
use crate::mesh::{Mesh, Part, Skin, V3};
use crate::paint::{Role, Texture, face, plain, scale};
use crate::product::Product;
use crate::random::smoothstep;
use crate::types::Family;

/// Wall, then cap or lid, then base.
pub(super) fn faces(product: &Product, texel_mm: f32) -> Vec<Texture> {
    let [a, b, _] = product.size_m.map(|m| m * 1000.0);
    let id = &product.identity;
    // Bottles and cans stand (diameter, diameter, height); tubes lie (length, width, height).
    let (around, along) = match product.family {
        Family::Tube => (b * std::f32::consts::PI, a),
        _ => (a * std::f32::consts::PI, product.size_m[2] * 1000.0),
    };
    let wall = wrap(product, around, along, texel_mm);
    let metal = product.family == Family::Can;
    let cap_rgb = if metal { [170, 172, 176] } else { id.palette[2] };
    let cap = plain(cap_rgb, [60.0, 30.0], texel_mm, if metal { 150 } else { 90 }, 4);
    let base = plain(scale(if metal { cap_rgb } else { id.palette[0] }, 0.8), [60.0, 30.0], texel_mm, 90, 5);
    vec![wall, cap, base]
}

/// The printed wall: the front picture repeated on opposite sides, the back between.
fn wrap(product: &Product, around: f32, along: f32, texel_mm: f32) -> Texture {
    let id = &product.identity;
    let mut wall = Texture::new(around, along, texel_mm, id.palette[0], id.gloss);
    let half = around / 2.0;
    for (role, index, left) in [(Role::Front, 0, 0.0), (Role::Back, 1, half)] {
        let part = face(id, role, index, [half, along], texel_mm);
        wall.paint([left, 0.0, left + half, along], |x, y, texel| {
            *texel = *part.nearest((x - left) / half, y / along);
        });
    }
    wall
}

/// A surface of revolution about z from `top` to `bottom` radius profile; `profile(t)` gives radius and height.
fn revolve(mesh: &mut Mesh, skin: Skin, around: usize, along: usize, profile: impl Fn(f32) -> [f32; 2]) -> usize {
    mesh.grid([around, along], skin, |s, t| {
        let [radius, z] = profile(t);
        let (sin, cos) = (s * TAU).sin_cos();
        V3::new(radius * cos, radius * sin, z)
    })
}

/// A disc facing up (`up`) or down.
fn disc(mesh: &mut Mesh, skin: Skin, radius: f32, z: f32, up: bool, dip: f32) -> usize {
    mesh.grid([24, 4], skin, |s, t| {
        let turn = if up { s } else { 1.0 - s } * TAU;
        let r = radius * t;
        V3::new(r * turn.cos(), r * turn.sin(), z + dip * (1.0 - smoothstep(0.7, 0.95, t)))
    })
}

/// Standing can with recessed lids and a rim.
pub(super) fn can(product: &Product, faces: &[Arc<Texture>]) -> Mesh {
    let [d, _, h] = product.size_m;
    let mut mesh = Mesh::default();
    let r = d / 2.0;
    let around = cells(d * std::f32::consts::PI).max(32);
    revolve(&mut mesh, skin(faces, 0, [150, 150, 152], Part::Skin), around, cells(h), |t| {
        let edge = smoothstep(0.0, 0.05, t) * smoothstep(1.0, 0.95, t);
        [r * (0.955 + 0.045 * edge), h * (1.0 - t)]
    });
    disc(&mut mesh, skin(faces, 1, [150, 150, 152], Part::Trim), r * 0.955, h, true, -0.003);
    disc(&mut mesh, skin(faces, 2, [150, 150, 152], Part::Trim), r * 0.955, 0.0, false, 0.003);
    mesh
}

/// Standing bottle: body, shoulder, neck, cap.
pub(super) fn bottle(product: &Product, faces: &[Arc<Texture>]) -> Mesh {
    let [d, _, h] = product.size_m;
    let mut mesh = Mesh::default();
    let r = d / 2.0;
    let neck = r * product.neck;
    let shoulder = 0.62 + 0.12 * product.neck;
    let body_top = h * 0.86;
    let around = cells(d * std::f32::consts::PI).max(32);
    revolve(&mut mesh, skin(faces, 0, [190, 190, 188], Part::Skin), around, cells(body_top), |t| {
        let z = body_top * (1.0 - t);
        let narrow = smoothstep(shoulder * h, body_top * 0.99, z);
        let foot = 0.93 + 0.07 * smoothstep(0.0, 0.04 * h, z);
        [(r * (1.0 - narrow) + neck * narrow) * foot, z]
    });
    let cap_r = neck * 1.12;
    revolve(&mut mesh, skin(faces, 1, [90, 90, 92], Part::Trim), 28, 4, |t| [cap_r, h - (h - body_top) * t]);
    disc(&mut mesh, skin(faces, 1, [90, 90, 92], Part::Trim), cap_r, h, true, 0.0);
    disc(&mut mesh, skin(faces, 2, [90, 90, 92], Part::Trim), r * 0.93, 0.0, false, 0.002);
    mesh
}

/// Lying tube: round at the cap, flat at the crimp.
pub(super) fn tube(product: &Product, faces: &[Arc<Texture>]) -> Mesh {
    let [l, w, h] = product.size_m;
    let mut mesh = Mesh::default();
    let cap = l * 0.13;
    let body = l - cap;
    let section = |u: f32| {
        let flat = smoothstep(0.1, 1.0, u);
        let half_width = (h / 2.0) * (1.0 - flat) + (w / 2.0) * flat;
        let half_height = (h / 2.0) * (1.0 - flat).max(0.04);
        (half_width, half_height)
    };
    mesh.grid([cells(w * 3.0).max(32), cells(body)], skin(faces, 0, [200, 200, 198], Part::Skin), |s, t| {
        let (half_width, half_height) = section(1.0 - t);
        // The middle of the front picture, s = 0.25, lies on top.
        let (sin, cos) = ((0.25 - s) * TAU).sin_cos();
        V3::new(-l / 2.0 + body * (1.0 - t), half_width * sin, half_height * (1.0 + cos))
    });
    // The crimp end of the grid is t = 0 at +x of the body; the cap closes the round end.
    let r = h / 2.0 * 0.92;
    let x0 = -l / 2.0;
    mesh.grid([24, 3], skin(faces, 1, [90, 90, 92], Part::Trim), |s, t| {
        let (sin, cos) = (-s * TAU).sin_cos();
        V3::new(x0 - cap * t, r * sin, h / 2.0 + r * cos)
    });
    mesh.grid([24, 2], skin(faces, 1, [90, 90, 92], Part::Trim), |s, t| {
        let (sin, cos) = (-s * TAU).sin_cos();
        V3::new(x0 - cap, r * (1.0 - t) * sin, h / 2.0 + r * (1.0 - t) * cos)
    });
    mesh
}

/// A standing unit (jar or can) for multi-packs at (x, y) on z0; its patches are marked as that unit.
pub(super) fn unit_can(mesh: &mut Mesh, faces: &[Arc<Texture>], unit: u16, centre: V3, radius: f32, height: f32) {
    let first = mesh.patches.len();
    let mut own = Mesh::default();
    revolve(&mut own, skin(faces, 2, [150, 150, 152], Part::Unit(unit)), 28, 8, |t| {
        let edge = smoothstep(0.0, 0.08, t);
        [radius * (0.94 + 0.06 * edge), height * (1.0 - t)]
    });
    disc(&mut own, skin(faces, 3, [150, 150, 152], Part::Unit(unit)), radius * 0.94, height, true, -0.002);
    own.transform(|p| p + centre);
    mesh.append(own);
    for patch in &mut mesh.patches[first..] {
        patch.part = Part::Unit(unit);
    }
}

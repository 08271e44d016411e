//! Tear, hole, opened flap: the skin opens and the inside shows.

use std::sync::Arc;

use rand::Rng;

use super::{Spot, Wound};
use crate::mesh::{Part, Skin, V3};
use crate::paint::{Cut, Rgb, Texture, plain, scale};
use crate::random::{chance, fractal, pick, uniform};
use crate::types::Family;

/// A piece of skin that turns about a hinge; all positions in mm on the face's texture.
struct Flap {
    patch: usize,
    hinge: [[f32; 2]; 2],
    /// Where the far end of the flap lay, for hinge parameter 0 and 1.
    tip: [[f32; 2]; 2],
    /// Lift at the hinge and further curl towards the tip, radians.
    lift: f32,
    curl: f32,
}

/// Colour of torn fibres; film has none.
fn fibre(family: Family) -> Option<Rgb> {
    match family {
        Family::Carton | Family::Blister | Family::MultiPack => Some([206, 182, 150]),
        Family::PaddedMailer | Family::Book => Some([232, 226, 214]),
        Family::PolyMailer | Family::Pouch | Family::BubbleWrap => Some([214, 216, 218]),
        _ => None,
    }
}

/// Irregular outline about a spot, mm.
fn outline(wound: &mut Wound<'_>, centre: [f32; 2], radius: f32, stretch: f32) -> Vec<[f32; 2]> {
    let (turn, seed) = (uniform(wound.rng, 0.0, std::f32::consts::TAU), wound.rng.random::<u32>());
    let (sin, cos) = turn.sin_cos();
    (0..18)
        .map(|i| {
            let a = i as f32 / 18.0 * std::f32::consts::TAU;
            let r = radius * (1.0 + 0.45 * fractal(a.cos() * 2.0, a.sin() * 2.0, 3, seed));
            let (x, y) = (r * a.cos() * stretch, r * a.sin() / stretch);
            [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos]
        })
        .collect()
}

/// Cuts a face; returns its texture as it was before, for flaps.
pub(super) fn cut_face(wound: &mut Wound<'_>, patch: usize, outline: Vec<[f32; 2]>, frayed: bool) -> Arc<Texture> {
    let fibre_rgb = fibre(wound.product.family).filter(|_| frayed);
    let cut = Cut { outline, fibre_rgb, seed: wound.rng.random() };
    let target = &mut wound.mesh.patches[patch];
    let before = Arc::clone(&target.texture);
    cut.apply(Arc::make_mut(&mut target.texture), wound.bit);
    target.cut = true;
    before
}

/// What is inside: packing paper, foam, or the goods.
fn contents(wound: &mut Wound<'_>) -> Texture {
    let rgb = match wound.product.family {
        Family::Book => [234, 230, 220],
        Family::Pouch => pick(wound.rng, [[70, 44, 28], [198, 160, 96], [226, 222, 214]]),
        Family::Bottle | Family::Tube | Family::Can => [46, 42, 40],
        _ => pick(wound.rng, [[172, 140, 104], [222, 220, 214], [52, 54, 60], [128, 60, 52], [70, 96, 120]]),
    };
    let mut texture = plain(rgb, [120.0, 120.0], wound.texel_mm, 10, wound.rng.random());
    let seed = wound.rng.random::<u32>();
    texture.paint_all(|x, y, texel| {
        texel.rgb = scale(texel.rgb, 0.9 + 0.25 * fractal(x * 0.09, y * 0.09, 3, seed));
    });
    texture
}

/// Lays contents below a part of a face: `[s0, t0, s1, t1]`, `depth_m` under the skin.
pub(super) fn fill_below(wound: &mut Wound<'_>, patch: usize, area: [f32; 4], depth_m: f32) {
    let skin = Skin { film: 0.3, ..Skin::new(contents(wound), [60, 50, 40], Part::Inside) };
    let [s0, t0, s1, t1] = area;
    let seed = wound.rng.random::<u32>();
    let mesh = &*wound.mesh;
    let points: Vec<V3> = (0..17 * 17)
        .map(|i| {
            let (s, t) = (s0 + (s1 - s0) * (i % 17) as f32 / 16.0, t0 + (t1 - t0) * (i / 17) as f32 / 16.0);
            let p = mesh.point(patch, s, t);
            let uneven = 1.0 + 0.35 * fractal(p.x * 28.0, p.y * 28.0, 2, seed);
            // Thin and round goods have little room inside.
            let normal = mesh.normal(patch, s, t);
            let room = (0.45 * p.z * normal.z.max(0.15)).max(0.0006);
            let below = p - normal * (depth_m * uneven).min(room);
            V3::new(below.x, below.y, below.z.max(0.0005))
        })
        .collect();
    let at = |s: f32, t: f32| points[((t * 16.0).round() as usize * 17 + (s * 16.0).round() as usize).min(points.len() - 1)];
    wound.mesh.grid([16, 16], skin, at);
}

/// How far the contents lie below the skin, metres.
fn settle_depth(wound: &mut Wound<'_>) -> f32 {
    let share = uniform(wound.rng, 0.15, 0.6);
    match wound.product.family {
        Family::Book => 0.002,
        _ => (wound.height_m() * share).clamp(0.003, 0.08),
    }
}

/// `[s0, t0, s1, t1]` around an outline with a margin, clamped to the face.
pub(super) fn area_of(outline: &[[f32; 2]], face_mm: [f32; 2], margin_mm: f32) -> [f32; 4] {
    let [x0, y0, x1, y1] = crate::paint::bounds(outline);
    [
        ((x0 - margin_mm) / face_mm[0]).clamp(0.01, 0.97),
        ((y0 - margin_mm) / face_mm[1]).clamp(0.01, 0.97),
        ((x1 + margin_mm) / face_mm[0]).clamp(0.03, 0.99),
        ((y1 + margin_mm) / face_mm[1]).clamp(0.03, 0.99),
    ]
}

/// A ragged opening.
pub(super) fn hole(wound: &mut Wound<'_>) {
    let Some(spot) = wound.spot(0.15) else { return };
    let face_mm = wound.face_mm(spot.patch);
    let radius = (4.0 + 24.0 * wound.size).min(face_mm[0].min(face_mm[1]) * 0.35);
    let centre = [spot.s * face_mm[0], spot.t * face_mm[1]];
    let stretch = uniform(wound.rng, 0.8, 1.4);
    let edge = outline(wound, centre, radius, stretch);
    let area = area_of(&edge, face_mm, 12.0);
    let depth = settle_depth(wound);
    fill_below(wound, spot.patch, area, depth);
    cut_face(wound, spot.patch, edge, true);
    press_rim(wound, spot, radius * 0.001);
}

/// Whatever made the hole pressed its rim in a little.
fn press_rim(wound: &mut Wound<'_>, spot: Spot, radius_m: f32) {
    let centre = wound.mesh.point(spot.patch, spot.s, spot.t);
    let normal = wound.mesh.normal(spot.patch, spot.s, spot.t);
    let depth = (radius_m * 0.3).min(0.006);
    for v in wound.mesh.patches[spot.patch].vertices.clone() {
        let d = (wound.mesh.positions[v] - centre).norm() / (radius_m * 2.0);
        if d < 1.0 {
            wound.mesh.positions[v] -= normal * (depth * (1.0 - d * d));
        }
    }
}

/// A three-cornered rip whose skin stands up.
pub(super) fn tear(wound: &mut Wound<'_>) {
    let Some(spot) = wound.spot(0.2) else { return };
    let face_mm = wound.face_mm(spot.patch);
    let limit = face_mm[0].min(face_mm[1]) * 0.55;
    let length = (14.0 + 75.0 * wound.size).min(limit);
    let width = length * uniform(wound.rng, 0.4, 0.9);
    let turn = uniform(wound.rng, 0.0, std::f32::consts::TAU);
    let (sin, cos) = turn.sin_cos();
    let centre = [spot.s * face_mm[0], spot.t * face_mm[1]];
    let at = |along: f32, across: f32| {
        [
            (centre[0] + along * cos - across * sin).clamp(1.0, face_mm[0] - 1.0),
            (centre[1] + along * sin + across * cos).clamp(1.0, face_mm[1] - 1.0),
        ]
    };
    let blunt = width * uniform(wound.rng, 0.05, 0.25);
    let hinge = [at(-length / 2.0, -width / 2.0), at(-length / 2.0, width / 2.0)];
    let tip = [at(length / 2.0, -blunt), at(length / 2.0, blunt)];
    let edge = vec![hinge[0], tip[0], tip[1], hinge[1]];
    let area = area_of(&edge, face_mm, 10.0);
    let depth = settle_depth(wound);
    fill_below(wound, spot.patch, area, depth);
    let before = cut_face(wound, spot.patch, edge, true);
    let (lift, curl) = (uniform(wound.rng, 0.3, 1.6), uniform(wound.rng, 0.3, 1.8));
    raise(wound, before, Flap { patch: spot.patch, hinge, tip, lift, curl });
}

/// Builds the raised skin: both sides are seen.
fn raise(wound: &mut Wound<'_>, texture: Arc<Texture>, flap: Flap) {
    let size = [texture.width_mm(), texture.height_mm()];
    let inner = scale(wound.mesh.patches[flap.patch].inner_rgb, 1.1);
    let lerp = |a: [f32; 2], b: [f32; 2], t: f32| [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t];
    let position = |a: f32, b: f32| {
        let mm = lerp(lerp(flap.hinge[0], flap.hinge[1], a), lerp(flap.tip[0], flap.tip[1], a), b);
        (mm, wound.mesh.point(flap.patch, mm[0] / size[0], mm[1] / size[1]))
    };
    const N: usize = 14;
    let (mut points, mut uvs) = (Vec::new(), Vec::new());
    for j in 0..=N {
        let b = j as f32 / N as f32;
        for i in 0..=N {
            let a = i as f32 / N as f32;
            let (mm, flat) = position(a, b);
            let foot = position(a, 0.0).1;
            let outward = wound.mesh.normal(flap.patch, mm[0] / size[0], mm[1] / size[1]);
            let along = (flat - foot).try_normalize(1e-9).unwrap_or_else(V3::x);
            let length = (flat - foot).norm();
            // Mean direction of an arc that starts at `lift` and turns by `curl` up to the tip.
            let angle = (flap.lift + flap.curl * b * 0.5).min(2.9);
            let mut p = foot + (along * angle.cos() + outward * angle.sin()) * length;
            p.z = p.z.max(0.0008);
            points.push(p);
            uvs.push([mm[0] / size[0], mm[1] / size[1]]);
        }
    }
    let skin = Skin { texture, inner_rgb: inner, part: Part::Trim, film: 0.1 };
    let index = |v: f32| (v * N as f32).round() as usize;
    let patch = wound.mesh.grid([N, N], skin, |s, t| points[(index(t) * (N + 1) + index(s)).min(points.len() - 1)]);
    let vertices = wound.mesh.patches[patch].vertices.clone();
    wound.mesh.uvs[vertices].copy_from_slice(&uvs);
    wound.mesh.mark(patch, wound.bit);
}

/// A closing flap, mailer tongue or book cover stands open.
pub(super) fn open_flap(wound: &mut Wound<'_>) {
    let Some(patch) = wound.mesh.visible_skin().first().map(|f| f.0) else { return };
    let [w, h] = wound.face_mm(patch);
    let book = wound.product.family == Family::Book;
    let carton = wound.product.family == Family::Carton;
    let (hinge, tip) = if book {
        ([[0.5, h - 0.5], [0.5, 0.5]], [[w - 0.5, h - 0.5], [w - 0.5, 0.5]])
    } else if carton {
        // The seam runs along the columns: each half opens about its own long edge.
        let (edge, seam) = if wound.rng.random::<bool>() { (0.5, h / 2.0) } else { (h - 0.5, h / 2.0) };
        ([[0.5, edge], [w - 0.5, edge]], [[0.5, seam], [w - 0.5, seam]])
    } else {
        let (edge, inner) = if wound.rng.random::<bool>() { (0.5, w * 0.2) } else { (w - 0.5, w * 0.8) };
        ([[edge, 0.5], [edge, h - 0.5]], [[inner, 0.5], [inner, h - 0.5]])
    };
    let outline = vec![hinge[0], hinge[1], tip[1], tip[0]];
    let area = area_of(&outline, [w, h], 0.0);
    let depth = settle_depth(wound);
    fill_below(wound, patch, area, depth);
    let before = cut_face(wound, patch, outline, false);
    let lift = (0.25 + 1.6 * wound.size) * if book { 0.6 } else { 1.0 };
    let curl = if carton && chance(wound.rng, 0.7) { uniform(wound.rng, 0.0, 0.3) } else { uniform(wound.rng, 0.2, 0.8) };
    raise(wound, before, Flap { patch, hinge, tip, lift, curl });
}

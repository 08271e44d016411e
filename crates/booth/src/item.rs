//! One item of a product: pose, wear, tape and label, damage.

use std::f32::consts::{FRAC_PI_2, PI, TAU};
use std::sync::Arc;

use nalgebra::Rotation3;
use rand::{Rng, SeedableRng};

use crate::damage::{Plan, Wound, inflict};
use crate::families;
use crate::mesh::{Mesh, Part, V3};
use crate::paint::{scuff, shipping_label, straps, tape};
use crate::product::Product;
use crate::random::{Random, chance, integer, ridged, uniform};
use crate::types::{DamageKind, Family};

/// All that makes an item; the same recipe without its damage is the item before the accident.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub product: usize,
    /// Which way up, as a rotation of the drawing pose.
    pub resting: Rotation3<f32>,
    pub yaw: f32,
    pub at_m: [f32; 2],
    /// Seeds everything in which good items differ.
    pub seed: u64,
    /// Tape, labels, handling marks.
    pub handled: bool,
    pub damage: Vec<Plan>,
    /// Absent units, when a unit is missing.
    pub absent: Vec<u16>,
}

/// The poses in which items of a family come to rest, the commonest first.
pub(crate) fn resting_poses(family: Family) -> Vec<Rotation3<f32>> {
    let turn = |roll: f32, pitch: f32| Rotation3::from_euler_angles(roll, pitch, 0.0);
    match family {
        Family::Carton => {
            vec![turn(0.0, 0.0), turn(PI, 0.0), turn(FRAC_PI_2, 0.0), turn(-FRAC_PI_2, 0.0), turn(0.0, FRAC_PI_2), turn(0.0, -FRAC_PI_2)]
        }
        Family::Bottle | Family::Can => {
            let lying = |roll: f32| Rotation3::from_euler_angles(0.0, FRAC_PI_2, 0.0) * Rotation3::from_euler_angles(0.0, 0.0, roll);
            vec![lying(0.0), lying(FRAC_PI_2), lying(PI), lying(-FRAC_PI_2), turn(0.0, 0.0)]
        }
        Family::Tube => (0..3).map(|i| turn(i as f32 * PI, 0.0)).take(2).collect(),
        Family::Book => vec![turn(0.0, 0.0), turn(PI, 0.0)],
        // Their underside is flat: they are drawn face up, and lie that way.
        Family::PaddedMailer | Family::PolyMailer | Family::Pouch | Family::BubbleWrap => vec![turn(0.0, 0.0)],
        Family::Blister | Family::MultiPack => vec![turn(0.0, 0.0)],
    }
}

/// Draws how an item lies.
pub(crate) fn draw_resting(family: Family, rng: &mut Random) -> Rotation3<f32> {
    let poses = resting_poses(family);
    let round = matches!(family, Family::Bottle | Family::Can);
    let upright = round && chance(rng, 0.3);
    let chosen = if upright {
        poses.len() - 1
    } else if round {
        rng.random_range(0..poses.len() - 1)
    } else if chance(rng, 0.55) {
        0
    } else {
        rng.random_range(0..poses.len())
    };
    let roll = if round && !upright { uniform(rng, -0.7, 0.7) } else { 0.0 };
    poses.get(chosen).copied().unwrap_or_else(Rotation3::identity) * Rotation3::from_euler_angles(0.0, 0.0, roll)
}

/// Which units are absent when one is missing: one, rarely two.
pub(crate) fn draw_absent(product: &Product, rng: &mut Random) -> Vec<u16> {
    let count = product.unit_count();
    let mut absent: Vec<u16> = vec![integer(rng, 0, count - 1) as u16];
    if count > 4 && chance(rng, 0.3) {
        let second = integer(rng, 0, count - 1) as u16;
        if !absent.contains(&second) {
            absent.push(second);
        }
    }
    absent
}

/// Builds the item in the cell frame; with `damaged` false as it was before anything happened to it.
/// Damage number `i` of the recipe sets [`damage_bit`] `i`.
pub(crate) fn assemble(recipe: &Recipe, product: &Product, instance: u16, damaged: bool, texel_mm: f32) -> Mesh {
    let mut rng = Random::seed_from_u64(recipe.seed);
    let absent: &[u16] = if damaged { &recipe.absent } else { &[] };
    let mut mesh = families::build(product, product.faces(texel_mm), absent, &mut rng);
    mesh.transform(|p| recipe.resting * p);
    mesh.settle();
    if recipe.handled {
        handle(&mut mesh, product, texel_mm, &mut rng);
    }
    if damaged {
        for (number, plan) in recipe.damage.iter().enumerate() {
            let mut rng = Random::seed_from_u64(plan.seed);
            let bit = damage_bit(instance, number);
            let inwards = Rotation3::from_axis_angle(&V3::z_axis(), -recipe.yaw) * V3::new(-recipe.at_m[0], -recipe.at_m[1], 0.0);
            let inwards_m = [inwards.x, inwards.y];
            let mut wound = Wound { mesh: &mut mesh, product, bit, size: plan.size, rng: &mut rng, texel_mm, inwards_m };
            inflict(plan.kind, &mut wound);
        }
    }
    place(&mut mesh, recipe);
    mesh.set_instance(instance);
    mesh.compute_normals();
    mesh
}

/// The bit of damage number `number` (0–2) of an instance (1–5): no two in a scene share one.
pub(crate) fn damage_bit(instance: u16, number: usize) -> u16 {
    1u16 << ((instance.saturating_sub(1) * 3 + number as u16) % 16)
}

/// Turns and moves the item onto the tray.
fn place(mesh: &mut Mesh, recipe: &Recipe) {
    let turn = Rotation3::from_axis_angle(&V3::z_axis(), recipe.yaw);
    let shift = V3::new(recipe.at_m[0], recipe.at_m[1], 0.0006);
    mesh.transform(|p| turn * p + shift);
}

/// What a good item goes through: tape, a label, soft corners, a few hairline marks.
fn handle(mesh: &mut Mesh, product: &Product, texel_mm: f32, rng: &mut Random) {
    let boxed = product.family == Family::Carton;
    let mailer = matches!(product.family, Family::PaddedMailer | Family::PolyMailer | Family::BubbleWrap);
    let faces = mesh.visible_skin();
    let Some(&(top, _)) = faces.first() else { return };
    let texture = Arc::make_mut(&mut mesh.patches[top].texture);
    if boxed && product.seamed && chance(rng, 0.6) {
        tape(texture, texel_mm, true, rng);
    }
    if boxed && chance(rng, 0.15) {
        straps(texture, texel_mm, rng);
    }
    if (boxed && chance(rng, 0.35)) || (mailer && chance(rng, 0.8)) {
        shipping_label(texture, texel_mm, rng);
    }
    for _ in 0..integer(rng, 0, 3) {
        let at = [uniform(rng, 0.05, 0.95) * texture.width_mm(), uniform(rng, 0.05, 0.95) * texture.height_mm()];
        let size_mm = uniform(rng, 2.0, 7.0);
        scuff(texture, at, size_mm, 0, rng);
    }
    soften(mesh, rng);
}

/// Corners and edges of goods that have travelled: up to two millimetres.
fn soften(mesh: &mut Mesh, rng: &mut Random) {
    let (lo, hi) = mesh.bounds();
    let amount = uniform(rng, 0.0, 0.0018);
    let seed = rng.random::<u32>();
    let middle = (lo + hi) / 2.0;
    let half = ((hi - lo) / 2.0).map(|v| v.max(1e-3));
    for patch in &mesh.patches {
        if matches!(patch.part, Part::Unit(_)) {
            continue;
        }
        for v in patch.vertices.clone() {
            let p = mesh.positions[v];
            let r = (p - middle).component_div(&half);
            let corner = (r.x.abs() * r.y.abs()).powi(6);
            let uneven = ridged(p.x * 20.0, p.y * 20.0 + p.z * 11.0, 2, seed);
            mesh.positions[v] -= V3::new(r.x, r.y, r.z * 0.5) * (amount * corner * uneven);
        }
    }
    let sag = mesh.bounds().0.z;
    mesh.transform(|p| p - V3::z() * sag);
}

/// A random turn about the vertical.
pub(crate) fn draw_yaw(rng: &mut Random) -> f32 {
    uniform(rng, 0.0, TAU)
}

/// True when the recipe says that a unit is missing.
pub(crate) fn wants_missing_unit(damage: &[Plan]) -> bool {
    damage.iter().any(|d| d.kind == DamageKind::MissingUnit)
}

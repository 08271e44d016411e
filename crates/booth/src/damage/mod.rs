//! Damage as geometry: what happens to an item after it was made.

mod bend;
mod cut;
mod loose;
mod marks;

use crate::mesh::Mesh;
use crate::product::Product;
use crate::random::{Random, chance, uniform};
use crate::types::{DamageKind, Family};
use rand::Rng;

/// A damage that an item is to get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub kind: DamageKind,
    /// 0 barely visible … 1 wrecked.
    pub size: f32,
    pub seed: u64,
}

/// An item under treatment, in its resting frame (z up, centred).
pub(crate) struct Wound<'a> {
    pub mesh: &'a mut Mesh,
    pub product: &'a Product,
    pub bit: u16,
    pub size: f32,
    pub rng: &'a mut Random,
    pub texel_mm: f32,
    /// Towards the middle of the tray in the item's frame, metres: matter that comes out has room there.
    pub inwards_m: [f32; 2],
}

/// Whether a kind of damage can happen to a family.
pub(crate) fn applies(kind: DamageKind, family: Family) -> bool {
    let soft = matches!(family, Family::PaddedMailer | Family::PolyMailer | Family::Pouch | Family::BubbleWrap);
    match kind {
        DamageKind::Crush | DamageKind::Scuff | DamageKind::Stain | DamageKind::Spillage => true,
        DamageKind::Dent => family != Family::Blister,
        DamageKind::Tear | DamageKind::Hole => !matches!(family, Family::MultiPack),
        DamageKind::Deconstruction => family != Family::Can,
        DamageKind::OpenedFlap => soft || matches!(family, Family::Carton | Family::Book),
        DamageKind::WetPatch => matches!(family, Family::Carton | Family::PaddedMailer | Family::Book | Family::Blister),
        DamageKind::MissingUnit => matches!(family, Family::Blister | Family::MultiPack),
    }
}

/// Draws what happens to a damaged item: mostly one thing, sometimes two or three.
pub(crate) fn plan(kinds: &[DamageKind], family: Family, rng: &mut Random) -> Vec<Plan> {
    let mut possible: Vec<DamageKind> = kinds.iter().copied().filter(|k| applies(*k, family)).collect();
    let count = if chance(rng, 0.75) { 1 } else { 2 + usize::from(chance(rng, 0.25)) };
    let mut plans = Vec::new();
    while plans.len() < count && !possible.is_empty() {
        // A missing unit is what happens to packs of units.
        let favourite = possible.iter().position(|k| *k == DamageKind::MissingUnit).filter(|_| chance(rng, 0.3));
        let at = favourite.unwrap_or_else(|| rng.random_range(0..possible.len()));
        let kind = possible.swap_remove(at);
        plans.push(Plan { kind, size: uniform(rng, 0.0, 1.0).powf(1.2), seed: rng.random() });
    }
    // The skin bends before it opens: contents laid under a cut must not come up through a later dent.
    plans.sort_by_key(|plan| plan.kind);
    plans
}

/// Does it.
pub(crate) fn inflict(kind: DamageKind, wound: &mut Wound<'_>) {
    match kind {
        DamageKind::Crush => bend::crush(wound),
        DamageKind::Dent => bend::dent(wound),
        DamageKind::Tear => cut::tear(wound),
        DamageKind::Hole => cut::hole(wound),
        DamageKind::OpenedFlap => cut::open_flap(wound),
        DamageKind::Deconstruction => loose::deconstruct(wound),
        DamageKind::Spillage => loose::spill(wound),
        DamageKind::Scuff | DamageKind::Stain | DamageKind::WetPatch => marks::mark(kind, wound),
        // The unit was left out when the item was built.
        DamageKind::MissingUnit => {}
    }
}

/// A place on a visible face.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub patch: usize,
    pub s: f32,
    pub t: f32,
}

impl Wound<'_> {
    /// A place on a face that the camera sees, at least `margin` (share of the face) from its edge.
    pub fn spot(&mut self, margin: f32) -> Option<Spot> {
        let faces = self.mesh.visible_skin();
        let total: f32 = faces.iter().map(|f| f.1).sum();
        let mut at = uniform(self.rng, 0.0, total);
        let patch = faces.iter().find(|f| {
            at -= f.1;
            at <= 0.0
        })?;
        // Round faces look up only in part: keep the highest of a few tries.
        let patch = patch.0;
        let mut tries = Vec::new();
        for _ in 0..6 {
            let (s, t) = (uniform(self.rng, margin, 1.0 - margin), uniform(self.rng, margin, 1.0 - margin));
            tries.push(Spot { patch, s, t });
        }
        tries.into_iter().max_by(|a, b| self.upward(a).total_cmp(&self.upward(b)))
    }

    fn upward(&self, spot: &Spot) -> f32 {
        let lift = self.mesh.normal(spot.patch, spot.s, spot.t).z;
        if lift > 0.7 { 1.0 + (spot.s * 7919.0).fract() } else { lift }
    }

    /// A direction (radians) in which there is room beside the item.
    pub fn free_direction(&mut self) -> f32 {
        let [x, y] = self.inwards_m;
        let off_centre = x.hypot(y) > 0.06;
        let spread = if off_centre { 1.0 } else { std::f32::consts::PI };
        y.atan2(x) + uniform(self.rng, -spread, spread)
    }

    /// Size of a face's texture, mm.
    pub fn face_mm(&self, patch: usize) -> [f32; 2] {
        let texture = &self.mesh.patches[patch].texture;
        [texture.width_mm(), texture.height_mm()]
    }

    /// Height of the item, metres.
    pub fn height_m(&self) -> f32 {
        let (lo, hi) = self.mesh.bounds();
        hi.z - lo.z
    }
}

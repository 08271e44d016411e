//! Scuff, stain and wet patch: only the look of the surface changes.

use std::sync::Arc;

use super::Wound;
use crate::paint::{scuff, stain, wet_patch};
use crate::types::DamageKind;

/// Paints the mark onto one visible face.
pub(super) fn mark(kind: DamageKind, wound: &mut Wound<'_>) {
    let Some(spot) = wound.spot(0.12) else { return };
    let [w, h] = wound.face_mm(spot.patch);
    let centre = [spot.s * w, spot.t * h];
    let limit = w.min(h);
    let texture = Arc::make_mut(&mut wound.mesh.patches[spot.patch].texture);
    let (size, bit, rng) = (wound.size, wound.bit, &mut *wound.rng);
    match kind {
        DamageKind::Scuff => scuff(texture, centre, (10.0 + 70.0 * size).min(limit * 0.8), bit, rng),
        DamageKind::Stain => stain(texture, centre, (6.0 + 40.0 * size).min(limit * 0.4), bit, rng),
        _ => wet_patch(texture, centre, (10.0 + 60.0 * size).min(limit * 0.45), bit, rng),
    }
}

//! What training sees of the booth, and what only the exam shows.

use crate::types::{BoothSpec, DamageKind, Family, LookAlike, Surface};

/// Part of a data set. The same seed gives other products, trays and light in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// To choose thresholds on: made like training.
    Validation,
    /// To report: everything, also what the other parts never show.
    Test,
}

impl Part {
    /// Families that training never sees: one stiff, one soft.
    pub const HELD_OUT_FAMILIES: [Family; 2] = [Family::Book, Family::Tube];
    /// Printed look-alikes that training never sees.
    pub const HELD_OUT_LOOKALIKES: [LookAlike; 2] = [LookAlike::TornEdge, LookAlike::Puddle];
    /// One way of damaging a defect type, where it has several, that training never sees.
    pub const HELD_OUT_DAMAGE: [DamageKind; 3] = [DamageKind::Dent, DamageKind::Hole, DamageKind::WetPatch];
    /// What items lie on in the test only.
    pub const HELD_OUT_SURFACE: Surface = Surface::Conveyor;

    /// The booth of a seed in this part, with the defaults of [`BoothSpec`] for the rest.
    pub fn spec(self, seed: u64) -> BoothSpec {
        let all = BoothSpec { seed: seed.wrapping_mul(4).wrapping_add(self.number()), ..BoothSpec::default() };
        if self == Part::Test {
            let surface = [Surface::Conveyor, Surface::Tray, Surface::Tote][(seed % 3) as usize];
            return BoothSpec { surface, ..all };
        }
        BoothSpec {
            surface: [Surface::Tote, Surface::Tray][(seed % 2) as usize],
            families: without(&Family::ALL, &Self::HELD_OUT_FAMILIES),
            lookalikes: without(&LookAlike::ALL, &Self::HELD_OUT_LOOKALIKES),
            damage_kinds: without(&DamageKind::ALL, &Self::HELD_OUT_DAMAGE),
            ..all
        }
    }

    /// No two seeds or parts share a product.
    fn number(self) -> u64 {
        match self {
            Part::Train => 1,
            Part::Validation => 2,
            Part::Test => 3,
        }
    }
}

fn without<T: Copy + PartialEq>(all: &[T], held_out: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| !held_out.contains(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_shows_nothing_of_what_is_held_out() {
        for seed in 0..12 {
            for part in [Part::Train, Part::Validation] {
                let spec = part.spec(seed);
                assert!(Part::HELD_OUT_FAMILIES.iter().all(|f| !spec.families.contains(f)));
                assert!(Part::HELD_OUT_LOOKALIKES.iter().all(|l| !spec.lookalikes.contains(l)));
                assert!(Part::HELD_OUT_DAMAGE.iter().all(|d| !spec.damage_kinds.contains(d)));
                assert_ne!(spec.surface, Part::HELD_OUT_SURFACE);
            }
            let test = Part::Test.spec(seed);
            assert_eq!((test.families.len(), test.lookalikes.len(), test.damage_kinds.len()), (11, 6, 11));
        }
    }

    #[test]
    fn every_type_of_damage_stays_in_training() {
        let learnt: Vec<_> = Part::Train.spec(1).damage_kinds.iter().map(|k| k.kaputt_type()).collect();
        assert!(DamageKind::ALL.iter().all(|k| learnt.contains(&k.kaputt_type())));
    }

    #[test]
    fn no_two_parts_share_a_seed() {
        let mut seeds: Vec<u64> = (0..20).flat_map(|s| [Part::Train, Part::Validation, Part::Test].map(|p| p.spec(s).seed)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 60);
    }
}

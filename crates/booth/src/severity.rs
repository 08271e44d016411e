//! The one rule that turns visible area and depth into a severity.
//!
//! | type | visible at all | major |
//! |---|---|---|
//! | deformation | ≥ 80 mm² and ≥ 3 mm deep | ≥ 1200 mm² and ≥ 10 mm deep |
//! | penetration | ≥ 60 mm² | ≥ 500 mm² |
//! | actuation | ≥ 200 mm² | ≥ 1500 mm² and ≥ 15 mm of movement |
//! | deconstruction | ≥ 150 mm² | ≥ 600 mm² |
//! | spillage | ≥ 150 mm² | ≥ 1500 mm² |
//! | superficial | ≥ 60 mm² | ≥ 2500 mm² and a sixth of the item's visible area |
//! | missing unit | ≥ 100 mm² | always |
//!
//! Damage below the first column is not labelled: nobody could see it.

use crate::types::{KaputtType, Severity};

/// What is measured of a damage in the truth picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Visible damaged area, mm².
    pub area_mm2: f32,
    /// Movement of the surface along the view ray, mm.
    pub depth_mm: f32,
    /// Visible area of the whole item, mm².
    pub item_area_mm2: f32,
}

/// The severity of a damage, `None` when it is too small to be seen.
pub fn severity(kaputt: KaputtType, extent: Extent) -> Option<Severity> {
    let Extent { area_mm2, depth_mm, item_area_mm2 } = extent;
    let (visible, major) = match kaputt {
        KaputtType::Deformation => (area_mm2 >= 80.0 && depth_mm >= 3.0, area_mm2 >= 1200.0 && depth_mm >= 10.0),
        KaputtType::Penetration => (area_mm2 >= 60.0, area_mm2 >= 500.0),
        KaputtType::Actuation => (area_mm2 >= 200.0, area_mm2 >= 1500.0 && depth_mm >= 15.0),
        KaputtType::Deconstruction => (area_mm2 >= 150.0, area_mm2 >= 600.0),
        KaputtType::Spillage => (area_mm2 >= 150.0, area_mm2 >= 1500.0),
        KaputtType::Superficial => (area_mm2 >= 60.0, area_mm2 >= 2500.0 && area_mm2 * 6.0 >= item_area_mm2),
        KaputtType::MissingUnit => (area_mm2 >= 100.0, true),
    };
    visible.then_some(if major { Severity::Major } else { Severity::Minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_at_its_edges() {
        let cases = [
            (KaputtType::Deformation, 79.0, 20.0, None),
            (KaputtType::Deformation, 5000.0, 2.9, None),
            (KaputtType::Deformation, 5000.0, 9.9, Some(Severity::Minor)),
            (KaputtType::Deformation, 1199.0, 30.0, Some(Severity::Minor)),
            (KaputtType::Deformation, 1200.0, 10.0, Some(Severity::Major)),
            (KaputtType::Penetration, 59.0, 50.0, None),
            (KaputtType::Penetration, 499.0, 50.0, Some(Severity::Minor)),
            (KaputtType::Penetration, 500.0, 0.0, Some(Severity::Major)),
            (KaputtType::Actuation, 4000.0, 14.0, Some(Severity::Minor)),
            (KaputtType::Actuation, 4000.0, 15.0, Some(Severity::Major)),
            (KaputtType::Deconstruction, 600.0, 0.0, Some(Severity::Major)),
            (KaputtType::Spillage, 1499.0, 0.0, Some(Severity::Minor)),
            (KaputtType::Spillage, 1500.0, 0.0, Some(Severity::Major)),
            (KaputtType::Superficial, 3000.0, 0.0, Some(Severity::Minor)),
            (KaputtType::Superficial, 6000.0, 0.0, Some(Severity::Major)),
            (KaputtType::MissingUnit, 100.0, 0.0, Some(Severity::Major)),
        ];
        for (kaputt, area_mm2, depth_mm, expected) in cases {
            let extent = Extent { area_mm2, depth_mm, item_area_mm2: 30_000.0 };
            assert_eq!(severity(kaputt, extent), expected, "{kaputt:?} {area_mm2} mm² {depth_mm} mm");
        }
    }
}

//! Shapes of the product families. Each builder gives an undamaged item at rest, centred, its main face up.

mod boxes;
mod packs;
mod round;
mod soft;

use std::sync::Arc;

use crate::mesh::{Mesh, Part, Skin};
use crate::paint::{Rgb, Texture};
use crate::product::Product;
use crate::random::Random;
use crate::types::Family;

/// Vertex spacing of deformable surfaces, metres.
pub(crate) const PITCH_M: f32 = 0.0045;

/// Cells for an edge of that length.
pub(crate) fn cells(length_m: f32) -> usize {
    ((length_m / PITCH_M).ceil() as usize).clamp(2, 90)
}

/// The faces that are painted once per product, in the order in which the family's builder uses them.
pub(crate) fn faces(product: &Product, texel_mm: f32) -> Vec<Arc<Texture>> {
    let list = match product.family {
        Family::Carton | Family::Book => boxes::faces(product, texel_mm),
        Family::PaddedMailer | Family::PolyMailer | Family::Pouch | Family::BubbleWrap => soft::faces(product, texel_mm),
        Family::Bottle | Family::Can | Family::Tube => round::faces(product, texel_mm),
        Family::Blister | Family::MultiPack => packs::faces(product, texel_mm),
    };
    list.into_iter().map(Arc::new).collect()
}

/// An item of the product; `absent` units are left out; `rng` varies what differs between items of a product.
pub(crate) fn build(product: &Product, faces: &[Arc<Texture>], absent: &[u16], rng: &mut Random) -> Mesh {
    match product.family {
        Family::Carton => boxes::carton(product, faces, rng),
        Family::Book => boxes::book(product, faces),
        Family::PaddedMailer | Family::PolyMailer | Family::Pouch | Family::BubbleWrap => soft::pillow(product, faces, rng),
        Family::Bottle => round::bottle(product, faces),
        Family::Can => round::can(product, faces),
        Family::Tube => round::tube(product, faces),
        Family::Blister => packs::blister(product, faces, absent),
        Family::MultiPack => packs::multi_pack(product, faces, absent, rng),
    }
}

/// A skin with that painted face.
fn skin(faces: &[Arc<Texture>], index: usize, inner_rgb: Rgb, part: Part) -> Skin {
    let texture = faces.get(index).or(faces.first()).cloned().unwrap_or_else(|| Arc::new(Texture::new(2.0, 2.0, 1.0, inner_rgb, 0)));
    Skin { texture, inner_rgb, part, film: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::V3;
    use crate::random::{Stream, stream};
    use crate::types::BoothSpec;

    /// Volume under the surface by the divergence theorem: positive only if faces look outwards.
    fn volume_m3(mesh: &Mesh) -> f32 {
        let corner = |i: u32| mesh.positions[i as usize];
        mesh.triangles.iter().map(|&[a, b, c]| corner(a).dot(&corner(b).cross(&corner(c))) / 6.0).sum()
    }

    fn plain(seed: u64, family: Family) -> BoothSpec {
        BoothSpec { seed, families: vec![family], lookalike_fraction: 0.0, ..BoothSpec::default() }
    }

    #[test]
    fn every_family_is_built_right_side_out_and_of_its_size() {
        for (index, family) in Family::ALL.into_iter().enumerate() {
            let product = Product::new(&plain(5, family), index);
            let faces = faces(&product, 2.0);
            let mut mesh = build(&product, &faces, &[], &mut stream(5, Stream::Item, 0));
            mesh.settle();
            let (lo, hi) = mesh.bounds();
            let extent: V3 = hi - lo;
            let hull = extent.x * extent.y * extent.z;
            let share = volume_m3(&mesh) / hull;
            assert!((0.1..1.1).contains(&share), "{family}: {share} of its box");
            for axis in 0..2 {
                let ratio = extent[axis] / product.size_m[axis];
                assert!((0.85..1.25).contains(&ratio), "{family}: {ratio} of its size along {axis}");
            }
        }
    }

    #[test]
    fn shuffled_units_lie_elsewhere_in_every_item_and_where_they_lay_when_one_is_gone() {
        let spec = BoothSpec { shuffled_units: true, ..plain(8, Family::MultiPack) };
        let product = Product::new(&spec, 0);
        let places = |item: u64, absent: &[u16]| -> Vec<(u16, [f32; 2])> {
            let mesh = build(&product, &faces(&product, 2.0), absent, &mut stream(8, Stream::Item, item));
            let unit = |p: &crate::mesh::Patch| if let Part::Unit(n) = p.part { Some((n, p.vertices.start)) } else { None };
            let mut found: Vec<_> = mesh.patches.iter().filter_map(unit).collect();
            found.dedup_by_key(|(n, _)| *n);
            found.into_iter().map(|(n, at)| (n, [mesh.positions[at].x, mesh.positions[at].y])).collect()
        };
        let whole = places(1, &[]);
        assert_eq!(whole.len() as u32, product.unit_count());
        assert!(whole.iter().zip(places(2, &[])).all(|(a, b)| a.1 != b.1), "another item, other places");
        assert_eq!(places(1, &[2]), whole.into_iter().filter(|(unit, _)| *unit != 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_absent_unit_leaves_the_others() {
        for family in [Family::Blister, Family::MultiPack] {
            let product = Product::new(&plain(8, family), 0);
            let units = |absent: &[u16]| {
                let mesh = build(&product, &faces(&product, 2.0), absent, &mut stream(8, Stream::Item, 0));
                let mut found: Vec<u16> =
                    mesh.patches.iter().filter_map(|p| if let Part::Unit(n) = p.part { Some(n) } else { None }).collect();
                found.dedup();
                found
            };
            let all = units(&[]);
            assert_eq!(all.len() as u32, product.unit_count());
            assert_eq!(units(&[1]), all.into_iter().filter(|u| *u != 1).collect::<Vec<_>>());
        }
    }
}

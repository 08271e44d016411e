//! Large galleries: which products are worth a closer look. Local features are matched with a reference one by one, which
//! takes too long where there are thousands; then the item's looks propose products from an index, and only those go on.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::appearance::{Appearance, LOOK_LEN};
use crate::gallery::Reference;
use crate::index::{Index, IndexOptions};
use crate::{Gallery, Item, MatchError, Scene};

impl Gallery {
    /// The products that look most like the item, at most `count`, most alike first. By colours alone: red boxes before blue
    /// ones. Whatever the gallery's size; [`Gallery::identify`] asks only above [`crate::GalleryOptions::proposals_above`].
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn propose(&self, item: &Item, candidates: Option<&[String]>, count: usize) -> Result<Vec<&str>, MatchError> {
        Ok(self.alike(&[Appearance::of(&item.cutout)?.look()], candidates, count))
    }

    /// The same for a picture with an unknown background: by the looks of each of its regions, and by those of the whole picture.
    /// Too weak to be relied on: [`Gallery::search`] looks at every reference.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn propose_in(&self, scene: &Scene, candidates: Option<&[String]>, count: usize) -> Result<Vec<&str>, MatchError> {
        let mut looks = vec![Appearance::of(&scene.picture)?.look()];
        looks.extend(scene.regions.iter().map(|r| r.appearance.look()));
        Ok(self.alike(&looks, candidates, count))
    }

    /// Those of the `asked` references that are matched in full: all of a small gallery, else those of the proposed products
    /// and of the one that is claimed.
    pub(crate) fn worth_a_look<'a>(
        &'a self,
        candidates: Option<&[String]>,
        claimed: Option<&str>,
        propose: impl FnOnce(usize) -> Result<Vec<&'a str>, MatchError>,
    ) -> Result<Vec<&'a Reference>, MatchError> {
        let asked: Vec<&Reference> = self.asked(candidates).collect();
        if asked.len() <= self.options().proposals_above {
            return Ok(asked);
        }
        let proposed: BTreeSet<&str> = propose(self.options().proposed_products)?.into_iter().collect();
        Ok(asked.into_iter().filter(|r| proposed.contains(r.product.as_str()) || claimed == Some(&r.product)).collect())
    }

    /// An index of all references' looks, in their order.
    pub(crate) fn index_of_looks(&self) -> Index {
        let looks: Vec<f32> = self.references.iter().flat_map(|r| r.appearance.look()).collect();
        Index::build(&looks, LOOK_LEN, &IndexOptions::default())
    }

    fn alike(&self, looks: &[Vec<f32>], candidates: Option<&[String]>, count: usize) -> Vec<&str> {
        let built;
        let index = match &self.looks {
            Some(index) => index.as_ref(),
            None => {
                built = self.index_of_looks();
                &built
            }
        };
        let is_asked: Option<Vec<bool>> = candidates.map(|names| self.references.iter().map(|r| names.contains(&r.product)).collect());
        let mut best = BTreeMap::<&str, f32>::new();
        for look in looks {
            for (product, likeness) in self.nearest_products(index, look, is_asked.as_deref(), count) {
                let seen = best.entry(product).or_insert(likeness);
                *seen = seen.max(likeness);
            }
        }
        let mut products: Vec<(&str, f32)> = best.into_iter().collect();
        products.sort_by(most_alike);
        products.into_iter().take(count).map(|(product, _)| product).collect()
    }

    /// The nearest `count` products by their best view. As many views are fetched as that needs.
    fn nearest_products(&self, index: &Index, look: &[f32], is_asked: Option<&[bool]>, count: usize) -> Vec<(&str, f32)> {
        let mut views = 2 * count;
        loop {
            let found = match is_asked {
                Some(is_asked) => index.nearest_among(look, views, |id| is_asked[id as usize]),
                None => index.nearest(look, views),
            };
            let mut products = BTreeMap::<&str, f32>::new();
            for neighbour in &found {
                // Nearest first: a product's first view is its best.
                products.entry(&self.references[neighbour.id as usize].product).or_insert(neighbour.likeness);
            }
            if products.len() >= count || found.len() < views {
                let mut products: Vec<(&str, f32)> = products.into_iter().collect();
                products.sort_by(most_alike);
                products.truncate(count);
                return products;
            }
            views *= 2;
        }
    }
}

fn most_alike(a: &(&str, f32), b: &(&str, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(b.0))
}

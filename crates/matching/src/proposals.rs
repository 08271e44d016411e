//! Large galleries: which products are worth a closer look. Local features are matched with a reference one by one, which
//! takes too long where there are thousands; then the item's looks propose products from an index, and only those go on.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::appearance::{Appearance, LOOK_LEN};
use crate::gallery::Reference;
use crate::index::{Index, IndexOptions};
use crate::{Gallery, Item, MatchError, Scene};

impl Gallery {
    /// The products that look most like the item, at most `count`, most alike first. By embeddings, or where the gallery has no network
    /// for them by colours alone: red boxes before blue ones. Whatever the gallery's size; [`Gallery::identify`] asks only above [`crate::GalleryOptions::proposals_above`].
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn propose(&self, item: &Item, candidates: Option<&[String]>, count: usize) -> Result<Vec<&str>, MatchError> {
        let is_embedded = self.embedding_len().is_some();
        if let Some(embedding) = item.embedding.as_ref().filter(|_| is_embedded) {
            return Ok(self.alike(&self.looks(), std::slice::from_ref(&embedding.vector), candidates, count));
        }
        // An item that was prepared for another gallery has colours only.
        let index = if is_embedded { Arc::new(self.index_of_colors()) } else { self.looks() };
        Ok(self.alike(&index, &[Appearance::of(&item.cutout)?.look()], candidates, count))
    }

    /// The same for a picture with an unknown background: by the colours of each of its regions, and by those of the whole picture.
    /// Too weak to be relied on: [`Gallery::search`] looks at every reference.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn propose_in(&self, scene: &Scene, candidates: Option<&[String]>, count: usize) -> Result<Vec<&str>, MatchError> {
        let mut looks = vec![Appearance::of(&scene.picture)?.look()];
        looks.extend(scene.regions.iter().map(|r| r.appearance.look()));
        Ok(self.alike(&self.index_of_colors(), &looks, candidates, count))
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

    fn looks(&self) -> Arc<Index> {
        self.looks.clone().unwrap_or_else(|| Arc::new(self.index_of_looks()))
    }

    /// An index of all references' embeddings, or without a network of their colours, in their order.
    pub(crate) fn index_of_looks(&self) -> Index {
        let Some(len) = self.embedding_len() else { return self.index_of_colors() };
        // What could not be embedded is like nothing.
        let nothing = vec![0.0; len];
        let vector = |r: &Reference| r.embedding().filter(|e| e.vector.len() == len).map_or_else(|| nothing.clone(), |e| e.vector.clone());
        let looks: Vec<f32> = self.references.iter().flat_map(|r| vector(r)).collect();
        Index::build(&looks, len, &IndexOptions::default())
    }

    fn index_of_colors(&self) -> Index {
        let looks: Vec<f32> = self.references.iter().flat_map(|r| r.appearance.look()).collect();
        Index::build(&looks, LOOK_LEN, &IndexOptions::default())
    }

    /// Numbers in an embedding; `None` without any.
    fn embedding_len(&self) -> Option<usize> {
        self.embedder()?;
        self.references.iter().find_map(|r| r.embedding()).map(|e| e.vector.len())
    }

    fn alike(&self, index: &Index, looks: &[Vec<f32>], candidates: Option<&[String]>, count: usize) -> Vec<&str> {
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
        let mut views = count.saturating_mul(2);
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
            views = views.saturating_mul(2);
        }
    }
}

fn most_alike(a: &(&str, f32), b: &(&str, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(b.0))
}

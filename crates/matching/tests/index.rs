//! The index of looks, and what a large gallery does with it.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../examples/million_exam/clustered.rs"]
mod clustered;

use clustered::Spread;
use matching::{Cutout, Embedder, Gallery, GalleryOptions, Index, IndexOptions, Picture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vision::ColorImage;

const ALL: usize = usize::MAX;

/// Vectors of whole numbers with the same largest one: the index holds them without rounding.
fn whole(count: usize, len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut vectors: Vec<f32> = (0..count * len).map(|_| f32::from(rng.random_range(-9i8..=9))).collect();
    vectors.iter_mut().step_by(len).for_each(|v| *v = 127.0);
    vectors
}

fn exact(vectors: &[f32], len: usize, query: &[f32], count: usize) -> Vec<(u32, f32)> {
    let product = |v: &[f32]| v.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut all: Vec<(u32, f32)> = (0..).zip(vectors.chunks_exact(len).map(product)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(count);
    all
}

fn found(index: &Index, query: &[f32], count: usize) -> Vec<(u32, f32)> {
    index.nearest(query, count).iter().map(|n| (n.id, n.likeness)).collect()
}

#[test]
fn with_all_cells_asked_the_answer_is_that_of_exact_search() {
    for (count, len, cells) in [(1, 4, 1), (9, 3, 20), (500, 24, 1), (700, 24, 13), (700, 1, 7), (2000, 33, 44)] {
        let vectors = whole(count, len, 7);
        let index = Index::build(&vectors, len, &IndexOptions { cells, probes: ALL });
        assert_eq!(index.len(), count);
        assert!(index.cells() <= cells.min(count), "{} cells", index.cells());
        for query in whole(20, len, 8).chunks_exact(len) {
            assert_eq!(found(&index, query, 10), exact(&vectors, len, query, 10), "{count} x {len} in {cells} cells");
            let even: Vec<(u32, f32)> = exact(&vectors, len, query, ALL).into_iter().filter(|n| n.0 % 2 == 0).take(5).collect();
            let among: Vec<(u32, f32)> = index.nearest_among(query, 5, |id| id % 2 == 0).iter().map(|n| (n.id, n.likeness)).collect();
            assert_eq!(among, even);
        }
    }
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let (vectors, queries) = (whole(3000, 32, 1), whole(30, 32, 2));
    let options = IndexOptions { cells: 60, probes: 5 };
    let answers = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let index = pool.install(|| Index::build(&vectors, 32, &options));
        queries.chunks_exact(32).map(|q| index.nearest(q, 10)).collect::<Vec<_>>()
    };
    let first = answers(1);
    assert!(first.iter().all(|found| found.len() == 10));
    assert_eq!(first, answers(1));
    assert_eq!(first, answers(3));
}

#[test]
fn nothing_and_duplicates_and_what_is_not_a_number() {
    let empty = Index::build(&[], 8, &IndexOptions::default());
    assert!(empty.is_empty() && empty.nearest(&[1.0; 8], 3).is_empty());
    assert!(Index::default().nearest(&[], 3).is_empty() && Index::build(&[1.0; 8], 0, &IndexOptions::default()).is_empty());
    // Fifty of one kind and one of another, in more cells than there are kinds.
    let vectors: Vec<f32> = (0..51).flat_map(|i| if i == 30 { [0.0, 1.0] } else { [1.0, 0.0] }).collect();
    let index = Index::build(&vectors, 2, &IndexOptions { cells: 8, probes: ALL });
    let ids = |query: [f32; 2], count| index.nearest(&query, count).iter().map(|n| n.id).collect::<Vec<_>>();
    assert_eq!(ids([1.0, 0.1], 4), [0, 1, 2, 3], "ties go to the lower id");
    assert_eq!(ids([0.1, 1.0], 1), [30]);
    assert_eq!(ids([1.0, 0.0], 100).len(), 51);
    assert!(index.nearest(&[1.0], 3).is_empty() && ids([1.0, 0.0], 0).is_empty());
    let odd = Index::build(&[f32::NAN, 1.0, f32::INFINITY, 0.5, 0.0, 0.0], 2, &IndexOptions::default());
    let best = odd.nearest(&[0.0, 1.0], 3);
    assert_eq!((best[0].id, best[0].likeness, best[2].likeness), (0, 1.0, 0.0));
}

#[test]
fn few_cells_find_nearly_all_of_what_is_clustered() {
    // Three families of four products with five views, as the exam draws them from the booth's.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut vector = |scale: f32, around: &[f32]| around.iter().map(|v| v + scale * rng.random::<f32>()).collect::<Vec<f32>>();
    let mut samples = Vec::new();
    for family in 0..3 {
        let middle = vector(1.0, &[0.0; 64]);
        for product in 0..4 {
            let mean = vector(0.6, &middle);
            samples.extend((0..5).map(|_| (family, product, vector(0.4, &mean))));
        }
    }
    let spread = Spread::of(&samples, 3);
    let views: Vec<Vec<Vec<f32>>> = (0..600).map(|p| spread.views(p, 6)).collect();
    assert_eq!(views[7], spread.views(7, 6));
    let enrolled: Vec<f32> = views.iter().flat_map(|v| v[..5].concat()).collect();
    let index = Index::build(&enrolled, 64, &IndexOptions { cells: 50, probes: 12 });
    let mut hits = 0;
    for query in views.iter().step_by(10).map(|v| &v[5]) {
        let exact: Vec<u32> = exact(&enrolled, 64, query, 10).iter().map(|n| n.0).collect();
        hits += index.nearest(query, 10).iter().filter(|n| exact.contains(&n.id)).count();
    }
    assert!(hits >= 570, "{hits} of 600");
}

/// A print of stripes in the product's colours.
fn striped(product: u32) -> Cutout {
    let colors = [[40 + product * 53 % 200, 30 + product * 101 % 220, 20 + product * 29 % 230], [230, 230 - product * 17 % 200, 60]];
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(product));
    let blocks: Vec<usize> = (0..144).map(|_| rng.random_range(0..2)).collect();
    let pixel = |i: u32| colors[blocks[(i / 96 / 8 * 12 + i % 96 / 8) as usize]].map(|v| v as u8);
    Cutout::whole(ColorImage::new(96, 96, (0..96 * 96).flat_map(pixel).collect()).unwrap())
}

fn gallery(products: u32, options: GalleryOptions) -> Gallery {
    let view = |product: u32, n: u32| Picture { product: format!("p{product:02}"), name: format!("{n}.png"), cutout: striped(product) };
    Gallery::new((0..products).flat_map(|p| (0..2).map(move |n| view(p, n))), options).0
}

#[test]
fn a_large_gallery_looks_closer_at_proposed_products_only() {
    let small = GalleryOptions::default();
    let large = GalleryOptions { proposals_above: 39, proposed_products: 5, ..small };
    let (whole, proposing) = (gallery(20, small), gallery(20, large));
    // At the limit nothing changes; above it what is left is ranked as it was.
    let at_limit = gallery(20, GalleryOptions { proposals_above: 40, ..large });
    for product in 0..20 {
        let name = format!("p{product:02}");
        let item = whole.prepare(striped(product)).unwrap();
        let all = whole.identify(&item, None);
        assert_eq!(all.ranking.len(), 20);
        assert_eq!(at_limit.identify(&item, None), all);
        let few = proposing.identify(&item, None);
        assert_eq!(few.ranking.len(), 5);
        assert_eq!((few.product(), few.ranking.first()), (all.product(), all.ranking.first()));
        assert_eq!(proposing.propose(&item, None, 5).unwrap().first(), Some(&name.as_str()));
        // A short list of candidates is looked at whole, and so is what a barcode claims.
        let asked = ["p03".to_owned(), "p11".to_owned()];
        assert_eq!(proposing.identify(&item, Some(&asked)), whole.identify(&item, Some(&asked)));
        let claimed = all.ranking.last().unwrap().product.clone();
        let ranking = proposing.identify_claimed(&item, None, Some(&claimed)).ranking;
        assert!(ranking.len() == 6 && ranking.iter().any(|c| c.product == claimed));
    }
    // A network that sees only where the thing is dark proposes by that, and items carry what it says.
    let network = Embedder::new("dark", |color, _| {
        let dark: Vec<f32> = color.data().chunks(color.data().len() / 64).map(|c| c.iter().map(|v| f32::from(255 - v)).sum()).collect();
        let length = dark.iter().map(|v| v * v).sum::<f32>().sqrt();
        Ok(dark.iter().map(|v| v / length).collect())
    });
    let embedded = gallery(20, large).with_embedder(network);
    for product in 0..20 {
        let item = embedded.prepare(striped(product)).unwrap();
        assert_eq!(item.embedding().map(|e| (e.model.as_str(), e.vector.len())), Some(("dark", 64)));
        assert_eq!(embedded.propose(&item, None, 5).unwrap().first(), Some(&format!("p{product:02}").as_str()));
        assert_eq!(embedded.identify(&item, None).ranking.first().map(|c| c.product.clone()), Some(format!("p{product:02}")));
        // One that was prepared elsewhere is proposed by its colours.
        assert!(embedded.propose(&whole.prepare(striped(product)).unwrap(), None, 5).unwrap().len() == 5);
        assert_eq!(embedded.propose(&item, None, usize::MAX).unwrap().len(), 20);
    }
    // One product left of a large gallery: no index is needed any more.
    let item = whole.prepare(striped(4)).unwrap();
    let one = proposing.only(|product, _| product == "p04");
    assert_eq!(one.identify(&item, None).ranking.len(), 1);
}

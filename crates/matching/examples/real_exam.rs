//! Measures identification on the real captures in `../shared/data` (or `$INTACT_DATA`):
//! `cargo run -p matching --example real_exam`. What it last printed is in the crate's README.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use matching::{Cutout, FeatureOptions, Gallery, GalleryOptions, IDENTITY_THRESHOLD, Identification, Item, Picture, store};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use vision::Rect;

/// A picture whose product is known.
struct Query {
    product: String,
    item: Item,
}

fn main() -> Result<()> {
    let data = std::env::var_os("INTACT_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let which = std::env::args().nth(1).unwrap_or_else(|| "all".into());
    if which != "grocery" {
        let (gallery, queries) = arc2017(&data.join("retail_arc2017"))?;
        report("retail_arc2017: top.jpg -> capture_*, central 60 % of the frame, no background model", &gallery, &queries);
    }
    if which != "arc" {
        let (gallery, queries) = grocery(&data.join("retail_grocery"))?;
        report("retail_grocery: packshot -> photo before a shelf, whole photo", &gallery, &queries);
    }
    Ok(())
}

/// Items lie small on a table: more working pixels than the booth needs.
fn options(work_px: u32) -> GalleryOptions {
    GalleryOptions {
        features: FeatureOptions { work_px, max_upscale: 2.5, max_features: 1500 },
        matched_references: 64,
        ..GalleryOptions::default()
    }
}

fn arc2017(dir: &Path) -> Result<(Gallery, Vec<Query>)> {
    let (mut pictures, mut queries) = (Vec::new(), Vec::new());
    let reference = FeatureOptions { work_px: 500, ..options(1000).features };
    let mut products: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.is_dir())
        .collect();
    products.sort();
    for folder in products {
        let product = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        pictures.push(Picture { product: product.clone(), name: "top.jpg".into(), cutout: read(&folder.join("top.jpg"))? });
        for n in 0..3 {
            let path = folder.join(format!("capture_{n}.jpg"));
            if !path.exists() {
                continue;
            }
            let frame = image::open(&path)?.into_rgb8();
            let frame = vision::ColorImage::new(frame.width(), frame.height(), frame.into_raw())?;
            let middle = Rect { x: frame.width() / 5, y: frame.height() / 5, w: frame.width() * 3 / 5, h: frame.height() * 3 / 5 };
            let crop = frame.crop(middle).context("the frame has a middle")?;
            queries.push(Query { product: product.clone(), item: Item::prepare(Cutout::whole(crop), &options(1000).features)? });
        }
    }
    let (gallery, _) = Gallery::new(pictures, GalleryOptions { features: reference, ..options(1000) });
    Ok((gallery, queries))
}

fn grocery(dir: &Path) -> Result<(Gallery, Vec<Query>)> {
    let rows = |name: &str| -> Result<Vec<Vec<String>>> {
        let text = std::fs::read_to_string(dir.join(name)).with_context(|| name.to_string())?;
        Ok(text.lines().skip(1).map(|l| l.split(',').map(str::to_string).collect()).collect())
    };
    let mut pictures = Vec::new();
    for row in rows("gallery.csv")? {
        let [image, _, class, ..] = row.as_slice() else { continue };
        pictures.push(Picture { product: class.clone(), name: image.clone(), cutout: read(&dir.join("gallery").join(image))? });
    }
    let (gallery, _) = Gallery::new(pictures, options(700));
    let mut queries = Vec::new();
    for row in rows("labels.csv")? {
        let [image, _, class, ..] = row.as_slice() else { continue };
        let photo = image::open(dir.join("query").join(image))?.into_rgb8();
        let photo = vision::ColorImage::new(photo.width(), photo.height(), photo.into_raw())?;
        queries.push(Query { product: class.clone(), item: Item::prepare(Cutout::whole(photo), &options(700).features)? });
    }
    Ok((gallery, queries))
}

fn read(path: &Path) -> Result<Cutout> {
    store::read(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

/// Share of queries for which `hit` holds, first averaged within each product.
fn per_product(queries: &[Query], hits: &[bool]) -> f64 {
    let mut sums = std::collections::BTreeMap::<&str, (f64, f64)>::new();
    for (query, hit) in queries.iter().zip(hits) {
        let sum = sums.entry(&query.product).or_default();
        *sum = (sum.0 + f64::from(u8::from(*hit)), sum.1 + 1.0);
    }
    sums.values().map(|(hits, n)| hits / n).sum::<f64>() / sums.len().max(1) as f64
}

fn report(title: &str, gallery: &Gallery, queries: &[Query]) {
    let started = Instant::now();
    let found: Vec<Identification> = queries.iter().map(|q| gallery.identify(&q.item, None)).collect();
    let ms = started.elapsed().as_secs_f64() * 1e3 / queries.len().max(1) as f64;
    let rank = |n: usize| -> Vec<bool> {
        found.iter().zip(queries).map(|(f, q)| f.ranking.iter().take(n).any(|c| c.product == q.product)).collect()
    };
    let matched: Vec<bool> = found.iter().zip(queries).map(|(f, q)| f.product().is_some_and(|c| c.product == q.product)).collect();
    let wrong = found.iter().zip(queries).filter(|(f, q)| f.product().is_some_and(|c| c.product != q.product)).count();
    println!("{title}\n  {} products, {} queries, features given: {ms:.1} ms a query", gallery.products().len(), queries.len());
    println!("  recall@1 {:.3}  recall@5 {:.3}  (product-averaged)", per_product(queries, &rank(1)), per_product(queries, &rank(5)));
    println!(
        "  at threshold {IDENTITY_THRESHOLD}: matched rightly {:.3}, wrongly {:.3}",
        per_product(queries, &matched),
        wrong as f64 / queries.len().max(1) as f64
    );
    unknowns(gallery, queries);
}

/// Enrols a random half, twenty times: how often an unenrolled product is taken for another one.
fn unknowns(gallery: &Gallery, queries: &[Query]) {
    let names: Vec<String> = gallery.products().keys().map(|n| n.to_string()).collect();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2026);
    let (mut strangers, mut enrolled) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut half = names.clone();
        half.shuffle(&mut rng);
        half.truncate(names.len() / 2);
        for query in queries {
            let found = gallery.identify(&query.item, Some(&half));
            let best = found.ranking.first().map_or(0.0, |c| c.score);
            let right = found.ranking.first().is_some_and(|c| c.product == query.product);
            if half.contains(&query.product) {
                enrolled.push((best, right, found.is_match));
            } else {
                strangers.push((best, found.is_match));
            }
        }
    }
    let matched = strangers.iter().filter(|s| s.1).count() as f64 / strangers.len().max(1) as f64;
    let identified = enrolled.iter().filter(|e| e.1 && e.2).count() as f64 / enrolled.len().max(1) as f64;
    let mut scores: Vec<f32> = strangers.iter().map(|s| s.0).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let at_1_percent = scores.get(scores.len() / 100).copied().unwrap_or(1.0);
    let reachable = enrolled.iter().filter(|e| e.1 && e.0 > at_1_percent).count() as f64 / enrolled.len().max(1) as f64;
    println!(
        "  random halves x 20, {} strangers: {:.4} taken for another product, enrolled identified {identified:.3}",
        strangers.len(),
        matched
    );
    println!("  threshold for 1 % of strangers would be {at_1_percent:.3}, enrolled identified {reachable:.3}");
}

//! Measures identification on the real captures in `../shared/data` (or `$INTACT_DATA`), as `intact gallery identify` does
//! it: `cargo run -p matching --example real_exam [arc|grocery] [distractors=N] [without-network] [verbose]`. With distractors so many products of the
//! booth, which no query shows, are enrolled beside the real ones. What it last printed is in the crate's README.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec};
use inspection::{EmbeddingNet, EngineKind};
use matching::{Cutout, Embedder, FeatureOptions, Gallery, GalleryOptions, IDENTITY_THRESHOLD, Identification, Picture, Scene};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use references::folder;

/// A picture whose product is known, and what is said of it with everything enrolled.
struct Query {
    picture: PathBuf,
    product: String,
    found: Identification,
}

fn main() -> Result<()> {
    let data = std::env::var_os("INTACT_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let which = std::env::args().nth(1).unwrap_or_else(|| "all".into());
    if which != "grocery" {
        let (references, queries) = arc2017(&data.join("retail_arc2017"))?;
        report("retail_arc2017: top.jpg -> capture_*, whole frame, no background model", &references, queries)?;
    }
    if which != "arc" {
        let (references, queries) = grocery(&data.join("retail_grocery"))?;
        report("retail_grocery: packshot -> photo before a shelf, whole photo", &references, queries)?;
    }
    Ok(())
}

/// Product and picture.
type Listed = Vec<(String, PathBuf)>;

fn arc2017(dir: &Path) -> Result<(Listed, Listed)> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    let (mut references, mut queries) = (Vec::new(), Vec::new());
    for folder in folders {
        let product = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        references.push((product.clone(), folder.join("top.jpg")));
        let captures = (0..10).map(|n| folder.join(format!("capture_{n}.jpg"))).filter(|p| p.exists());
        queries.extend(captures.map(|path| (product.clone(), path)));
    }
    Ok((references, queries))
}

fn grocery(dir: &Path) -> Result<(Listed, Listed)> {
    let rows = |name: &str, folder: &str| -> Result<Listed> {
        let text = std::fs::read_to_string(dir.join(name)).with_context(|| name.to_string())?;
        let fields = text.lines().skip(1).map(|l| l.split(',').collect::<Vec<_>>());
        Ok(fields.filter(|f| f.len() > 2).map(|f| (f[2].to_string(), dir.join(folder).join(f[0]))).collect())
    };
    Ok((rows("gallery.csv", "gallery")?, rows("labels.csv", "query")?))
}

fn report(title: &str, references: &Listed, listed: Listed) -> Result<()> {
    let read = |path: &Path| folder::read(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()));
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let pictures = references.iter().map(|(product, path)| Ok(Picture { product: product.clone(), name: name(path), cutout: read(path)? }));
    let asked = asked_distractors()?;
    let pictures = pictures.collect::<Result<Vec<_>>>()?.into_iter().chain(distractors(asked)?);
    let (gallery, rejected) = Gallery::new(pictures, GalleryOptions::default());
    let gallery = if std::env::args().any(|a| a == "without-network") { gallery } else { gallery.with_embedder(embedder()?) };
    rejected.iter().for_each(|r| println!("{} is left out: {}", r.picture, r.reason));
    let started = Instant::now();
    let search = |(product, picture): (String, PathBuf)| -> Result<Query> {
        let scene = Scene::of(read(&picture)?, &FeatureOptions::of_a_scene())?;
        let found = gallery.search(&scene, None)?;
        if std::env::args().any(|a| a == "verbose") {
            let best: Vec<String> = found.ranking.iter().take(4).map(|c| format!("{} {:.2}/{}", c.product, c.score, c.agreeing)).collect();
            let rank = found.ranking.iter().position(|c| c.product == product);
            println!(
                "{product} {} rank {rank:?} regions {} match {}: {}",
                name(&picture),
                scene.regions(),
                found.is_match,
                best.join(", ")
            );
        }
        Ok(Query { picture, product, found })
    };
    let queries: Vec<Query> = listed.into_par_iter().map(search).collect::<Result<_>>()?;
    // On all cores: no query takes wall time by itself.
    let wall_s = started.elapsed().as_secs_f64();
    println!(
        "{title}\n  {} products, {} references, {} queries side by side in {wall_s:.1} s of wall time",
        gallery.products().len(),
        gallery.len(),
        queries.len()
    );
    let within = |n: usize| queries.iter().map(|q| q.found.ranking.iter().take(n).any(|c| c.product == q.product)).collect::<Vec<_>>();
    line("recall@1", &queries, &within(1));
    line("recall@5", &queries, &within(5));
    let unseen = unseen()?;
    let hits = within(1);
    let (new, hits): (Vec<&Query>, Vec<bool>) = queries.iter().zip(hits).filter(|(q, _)| unseen.contains(&q.product)).unzip();
    line(&format!("recall@1 of {} queries of products that no network learned from", new.len()), &new, &hits);
    line(
        "matched rightly",
        &queries,
        &queries.iter().map(|q| q.found.product().is_some_and(|c| c.product == q.product)).collect::<Vec<_>>(),
    );
    line(
        "matched wrongly",
        &queries,
        &queries.iter().map(|q| q.found.product().is_some_and(|c| c.product != q.product)).collect::<Vec<_>>(),
    );
    let names: Vec<String> = gallery.products().keys().map(|n| n.to_string()).collect();
    // With products that no query shows, lists and halves would be drawn of others.
    if asked == 0 {
        candidate_lists(&queries, &names);
        unknowns(&queries, &names);
    }
    Ok(())
}

/// The argument `distractors=N`.
fn asked_distractors() -> Result<usize> {
    Ok(std::env::args().find_map(|a| a.strip_prefix("distractors=").map(str::parse)).transpose()?.unwrap_or(0))
}

/// Products that `training/splits.csv` keeps from training.
fn unseen() -> Result<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training/splits.csv");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let rows = text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(',').map(str::trim).collect::<Vec<_>>());
    let kept = rows.filter(|r| r.get(1).is_some_and(|part| ["tune", "test"].contains(part)));
    Ok(kept.filter_map(|r| Some(r[0].split_once('/')?.1.to_owned())).collect())
}

/// The network that intact brings.
fn embedder() -> Result<Embedder> {
    let net = EmbeddingNet::load(EngineKind::default())?;
    let model = net.model().to_owned();
    Ok(Embedder::new(model, move |color, foreground| net.embed(color, foreground).map_err(|e| e.to_string())))
}

/// Pictures of as many products of the booth as are asked for, cut out, from every side on which they come to rest.
fn distractors(asked: usize) -> Result<Vec<Picture>> {
    if asked == 0 {
        return Ok(Vec::new());
    }
    let booth = Booth::new(BoothSpec { seed: 4300, width: 640, height: 480, products: asked, ..BoothSpec::default() })?;
    let of_product = |product: &booth::ProductInfo| -> Result<Vec<Picture>> {
        let views = booth.references(&product.name, 0)?.into_iter().enumerate();
        let picture = |(n, view): (usize, booth::Reference)| {
            let cutout = Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed();
            Ok(Picture { product: product.name.clone(), name: format!("{n}.png"), cutout })
        };
        views.map(picture).collect()
    };
    Ok(booth.products().par_iter().map(of_product).collect::<Result<Vec<_>>>()?.concat())
}

/// One figure with its 95 % interval, by drawing products anew.
fn line<Q: Borrow<Query>>(what: &str, queries: &[Q], hits: &[bool]) {
    let mut products = BTreeMap::<&str, (f64, f64)>::new();
    for (query, hit) in queries.iter().zip(hits) {
        let sum = products.entry(&query.borrow().product).or_default();
        *sum = (sum.0 + f64::from(u8::from(*hit)), sum.1 + 1.0);
    }
    let rates: Vec<f64> = products.values().map(|(hits, n)| hits / n).collect();
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(95);
    let mut drawn: Vec<f64> =
        (0..2000).map(|_| mean(&(0..rates.len()).map(|_| rates[rng.random_range(0..rates.len())]).collect::<Vec<_>>())).collect();
    drawn.sort_by(f64::total_cmp);
    println!("  {what} {:.3} [{:.2}, {:.2}], averaged over products", mean(&rates), drawn[50], drawn[1949]);
}

/// The product and nine others, drawn ten times for each query.
fn candidate_lists(queries: &[Query], names: &[String]) {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut hits = Vec::new();
    for query in queries {
        let others: Vec<String> = names.iter().filter(|n| **n != query.product).cloned().collect();
        for _ in 0..10 {
            let mut list: Vec<String> = others.choose_multiple(&mut rng, 9).cloned().collect();
            list.push(query.product.clone());
            hits.push(query.found.among(&list).ranking.first().is_some_and(|c| c.product == query.product));
        }
    }
    let repeated: Vec<Query> = queries
        .iter()
        .flat_map(|q| (0..10).map(|_| Query { picture: q.picture.clone(), product: q.product.clone(), found: Identification::default() }))
        .collect();
    line("recall@1 with lists of 10", &repeated, &hits);
}

/// Enrols a random half, forty times: how often an unenrolled product is taken for another one.
fn unknowns(queries: &[Query], names: &[String]) {
    let mut rng = ChaCha8Rng::seed_from_u64(2026);
    let (mut strangers, mut enrolled) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let mut half = names.to_vec();
        half.shuffle(&mut rng);
        half.truncate(names.len() / 2);
        for query in queries {
            let found = query.found.among(&half);
            let best = found.ranking.first().map_or(0.0, |c| c.score);
            if half.contains(&query.product) {
                enrolled.push((best, found.ranking.first().is_some_and(|c| c.product == query.product), found.is_match));
            } else {
                strangers.push((best, found.is_match));
            }
        }
    }
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let matched = share(strangers.iter().filter(|s| s.1).count(), strangers.len());
    let identified = share(enrolled.iter().filter(|e| e.1 && e.2).count(), enrolled.len());
    let mut scores: Vec<f32> = strangers.iter().map(|s| s.0).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let limit = scores.get(scores.len() / 100).copied().unwrap_or(1.0);
    let reachable = share(enrolled.iter().filter(|e| e.1 && e.0 > limit).count(), enrolled.len());
    println!(
        "  random halves x 40, {} strangers: {matched:.4} matched at {IDENTITY_THRESHOLD}, enrolled identified {identified:.3}",
        strangers.len()
    );
    println!("  by score alone, 1 % of strangers lie above {limit:.3}; enrolled identified there {reachable:.3}");
}

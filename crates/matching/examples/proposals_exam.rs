//! Measures what proposals by looks lose: `cargo run -p matching --example proposals_exam [PRODUCTS] [CAPTURES]` enrols the booth's
//! products beside those of `retail_arc2017` in `../shared/data` (or `$INTACT_DATA`) and says how often the right product is
//! among the nearest few. What it last printed is in the README.

use std::path::PathBuf;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec};
use evaluation::wilson;
use matching::{Cutout, Enrolled, FeatureOptions, Features, Gallery, GalleryOptions, Picture, Scene};
use rayon::prelude::*;
use references::folder;

/// So many products are proposed.
const PROPOSED: [usize; 6] = [1, 10, 20, 50, 100, 200];

fn main() -> Result<()> {
    let argument = |n: usize, or: usize| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (products, captures) = (argument(1, 50), argument(2, 100));
    let booth = Booth::new(BoothSpec { seed: 4200, width: 320, height: 240, products, ..BoothSpec::default() })?;
    let rendered: Vec<Vec<Enrolled>> = booth.products().par_iter().map(|p| references(&booth, &p.name)).collect::<Result<_>>()?;
    let (real, queries) = arc2017()?;
    let options = GalleryOptions { proposals_above: 0, ..GalleryOptions::default() };
    let (gallery, _) = Gallery::new(rendered.into_iter().flatten().chain(real), options);
    println!("{} products, {} references", gallery.products().len(), gallery.len());
    let most = PROPOSED.iter().copied().max().unwrap_or(0);

    let of_booth = |i: usize| -> Result<Option<usize>> {
        let capture = booth.capture(i);
        let (color, mask) = (&capture.frame.color, &capture.truth.mask);
        let (rect, _) = mask.extent(1).context("a capture shows its item")?;
        let cutout = Cutout::of_label(color, mask, 1, rect.with_margin(0.05, color.width(), color.height()))?;
        Ok(gallery.propose(&gallery.prepare(cutout)?, None, most)?.iter().position(|p| *p == capture.product))
    };
    report("booth captures, true masks", &(0..captures).into_par_iter().map(of_booth).collect::<Result<Vec<_>>>()?);
    // Regions are found in colours; of features there need only be one.
    let few = FeatureOptions { work_px: 64, max_upscale: 1.0, max_features: 1 };
    let of_arc = |(product, path): &(String, PathBuf)| -> Result<Option<usize>> {
        let scene = Scene::of(folder::read(path).map_err(anyhow::Error::msg)?, &few)?;
        Ok(gallery.propose_in(&scene, None, most)?.iter().position(|p| p == product))
    };
    report("retail_arc2017 captures, by their regions", &queries.par_iter().map(of_arc).collect::<Result<Vec<_>>>()?);
    Ok(())
}

/// Features are not asked for, and not taken.
fn references(booth: &Booth, product: &str) -> Result<Vec<Enrolled>> {
    let views = booth.references(product, 0)?.into_iter().enumerate().map(|(n, view)| {
        let cutout = Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed();
        Ok(enrolled(product, format!("{n}.png"), cutout))
    });
    views.collect()
}

fn enrolled(product: &str, name: String, cutout: Cutout) -> Enrolled {
    Enrolled {
        picture: Picture { product: product.to_owned(), name, cutout },
        features: Some(Features::default()),
        embedding: None,
        is_partial: false,
    }
}

/// A capture and the product that it shows.
type Query = (String, PathBuf);

/// What is enrolled, and captures with their products.
fn arc2017() -> Result<(Vec<Enrolled>, Vec<Query>)> {
    let data = std::env::var_os("INTACT_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let dir = data.join("retail_arc2017");
    let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_dir()).collect();
    folders.sort();
    let (mut references, mut queries) = (Vec::new(), Vec::new());
    for folder in folders {
        let product = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        references.push(enrolled(&product, "top.jpg".into(), folder::read(&folder.join("top.jpg")).map_err(anyhow::Error::msg)?));
        let captures = (0..10).map(|n| folder.join(format!("capture_{n}.jpg"))).filter(|p| p.exists());
        queries.extend(captures.map(|path| (product.clone(), path)));
    }
    Ok((references, queries))
}

fn report(title: &str, ranks: &[Option<usize>]) {
    println!("  {title}: the right product is among the first");
    for count in PROPOSED {
        let hits = ranks.iter().filter(|rank| rank.is_some_and(|r| r < count)).count();
        let interval = wilson(hits, ranks.len());
        println!("    {count:3}: {hits}/{} [{:.2}, {:.2}]", ranks.len(), interval.low, interval.high);
    }
}

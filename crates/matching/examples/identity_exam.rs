//! Measures identification of cut-out items with and without the embedding network, on booths that it never learned from:
//! `cargo run -p matching --example identity_exam [PRODUCTS] [CAPTURES] [SEED] [dump=FILE]`. Masks are the truth's; every
//! other capture is shown in another light. Each item is also asked for where its product is not enrolled. What it last printed is in the README.

use std::io::Write as _;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec, Capture};
use evaluation::wilson;
use inspection::{EmbeddingNet, EngineKind};
use matching::{Cutout, Embedder, Gallery, GalleryOptions, Identification, Picture};
use rayon::prelude::*;
use vision::ColorImage;

/// What is said of one capture.
struct Asked {
    product: String,
    relit: bool,
    /// Place of the right product among what looks propose.
    proposed: Option<usize>,
    found: Identification,
    /// Where its product is not enrolled.
    stranger: Identification,
}

fn main() -> Result<()> {
    let argument = |n: usize, or: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (products, captures, seed) = (argument(1, 60) as usize, argument(2, 120) as usize, argument(3, 4600));
    let booth = Booth::new(BoothSpec { seed, width: 640, height: 480, products, ..BoothSpec::default() })?;
    let plain = enrol(&booth)?;
    let net = EmbeddingNet::load(EngineKind::default())?;
    let model = net.model().to_owned();
    let embedder = Embedder::new(model, move |color, foreground| net.embed(color, foreground).map_err(|e| e.to_string()));
    let seeing = plain.clone().with_embedder(embedder);
    println!("{} products, {} references, {captures} captures, seed {seed}", plain.products().len(), plain.len());
    let items: Vec<(Capture, Cutout)> = (0..captures).into_par_iter().map(|i| item(&booth, i)).collect::<Result<_>>()?;
    for (name, gallery) in [("features and colours", &plain), ("with the network", &seeing)] {
        let asked = items.par_iter().enumerate().map(|(i, (capture, cutout))| ask(gallery, capture, cutout, i % 2 == 1));
        let asked: Vec<Asked> = asked.collect::<Result<_>>()?;
        println!("{name}");
        report("as lit as the references", &asked.iter().filter(|a| !a.relit).collect::<Vec<_>>());
        report("in another light", &asked.iter().filter(|a| a.relit).collect::<Vec<_>>());
        dump(&asked, name)?;
    }
    Ok(())
}

fn enrol(booth: &Booth) -> Result<Gallery> {
    let of_product = |product: &booth::ProductInfo| -> Result<Vec<Picture>> {
        let views = booth.references(&product.name, 0)?.into_iter().enumerate();
        let picture = |(n, view): (usize, booth::Reference)| {
            let cutout = Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed();
            Ok(Picture { product: product.name.clone(), name: format!("{n}.png"), cutout })
        };
        views.map(picture).collect()
    };
    let pictures = booth.products().par_iter().map(of_product).collect::<Result<Vec<_>>>()?;
    Ok(Gallery::new(pictures.concat(), GalleryOptions::default()).0)
}

/// A capture and the item cut out of it; every other one in warmer, darker light.
fn item(booth: &Booth, i: usize) -> Result<(Capture, Cutout)> {
    let capture = booth.capture(i);
    let (color, mask) = (&capture.frame.color, &capture.truth.mask);
    let (rect, _) = mask.extent(1).context("a capture shows its item")?;
    let cutout = Cutout::of_label(color, mask, 1, rect.with_margin(0.05, color.width(), color.height()))?;
    if i.is_multiple_of(2) {
        return Ok((capture, cutout));
    }
    let gains = [0.85f32, 0.7, 0.5];
    let data = cutout.color().data().iter().enumerate().map(|(k, v)| (f32::from(*v) * gains[k % 3]) as u8).collect();
    let color = ColorImage::new(cutout.color().width(), cutout.color().height(), data)?;
    let relit = Cutout::masked(color, cutout.foreground().iter().map(|f| *f > 0))?;
    Ok((capture, relit))
}

fn ask(gallery: &Gallery, capture: &Capture, cutout: &Cutout, relit: bool) -> Result<Asked> {
    let item = gallery.prepare(cutout.clone())?;
    let proposed = gallery.propose(&item, None, usize::MAX)?.iter().position(|p| *p == capture.product);
    let found = gallery.identify(&item, None);
    let others: Vec<String> = gallery.products().keys().filter(|p| **p != capture.product).map(ToString::to_string).collect();
    let stranger = gallery.identify(&item, Some(&others));
    Ok(Asked { product: capture.product.clone(), relit, proposed, found, stranger })
}

fn report(title: &str, asked: &[&Asked]) {
    let line = |what: &str, hit: &dyn Fn(&Asked) -> bool| {
        let (hits, n) = (asked.iter().filter(|a| hit(a)).count(), asked.len());
        let interval = wilson(hits, n);
        println!("    {what} {hits}/{n} = {:.3} [{:.3}, {:.3}]", hits as f64 / n.max(1) as f64, interval.low, interval.high);
    };
    println!("  {title}");
    line("proposed first", &|a| a.proposed == Some(0));
    line("among the first ten proposed", &|a| a.proposed.is_some_and(|p| p < 10));
    line("ranked first", &|a| a.found.ranking.first().is_some_and(|c| c.product == a.product));
    line("matched rightly", &|a| a.found.product().is_some_and(|c| c.product == a.product));
    line("matched wrongly", &|a| a.found.product().is_some_and(|c| c.product != a.product));
    line("matched though not enrolled", &|a| a.stranger.is_match);
}

/// Every candidate of every item, for fitting.
fn dump(asked: &[Asked], name: &str) -> Result<()> {
    let Some(path) = std::env::args().find_map(|a| a.strip_prefix("dump=").map(str::to_owned)) else { return Ok(()) };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    for (i, a) in asked.iter().enumerate() {
        for c in &a.found.ranking {
            let resemblance = c.resemblance.map_or_else(String::new, |r| r.to_string());
            writeln!(file, "{name},{i},{},{},{},{},{},{resemblance}", a.relit, a.product, c.product, c.score, c.agreeing)?;
        }
    }
    Ok(())
}

//! Measures what heights beside those of the references tell: `cargo run -p matching --example shape_exam [N] [SEED] [PRODUCTS]`.
//! Booth captures with depth at 640×480, masks of the truth; references are seen once, with depth. Prints, of the items that could be
//! compared, the AUROC of the difference in the picture, of the shape, and of both, by kind of damage, how many each finds (by the threshold; by a shape score above
//! every intact item's), and how intact items score.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec};
use evaluation::auroc;
use inspection::{EmptyTray, InspectionParams, inspect};
use matching::{ANOMALY_THRESHOLD, Cutout, Gallery, GalleryOptions, Picture};
use vision::{HeightMap, LabelMask, Rect, RgbdFrame};

struct Judged {
    family: &'static str,
    kinds: Vec<&'static str>,
    damaged: bool,
    gross: bool,
    /// Without heights, with them, and what they say alone.
    scores: [f64; 2],
    shape: Option<f64>,
}

fn main() -> Result<()> {
    let argument = |n: usize, or: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (count, seed, products) = (argument(1, 200) as usize, argument(2, 21), argument(3, 24) as usize);
    let spec = BoothSpec { seed, width: 640, height: 480, products, damage_fraction: 0.5, ..BoothSpec::default() };
    let booth = Booth::new(spec)?;
    let tray = EmptyTray::new(booth.background());
    let mut pictures = Vec::new();
    for product in booth.products() {
        for (n, view) in booth.references(&product.name, 0)?.into_iter().enumerate() {
            let mask = whole(&view.mask, view.rect, &view.frame)?;
            let cutout = cutout(&view.frame, &mask, view.rect, &tray)?.trimmed();
            pictures.push(Picture { product: product.name.clone(), name: format!("{n:04}.png"), cutout });
        }
    }
    let gallery = Gallery::new(pictures, GalleryOptions::default()).0;
    println!("{} references of {} products; {count} captures at 640x480, seed {seed}", gallery.len(), gallery.products().len());
    let mut judged = Vec::new();
    for i in 0..count {
        let capture = booth.capture(i);
        let color = &capture.frame.color;
        let (rect, _) = capture.truth.mask.extent(1).context("a capture shows its item")?;
        let rect = rect.with_margin(0.05, color.width(), color.height());
        let with = cutout(&capture.frame, &capture.truth.mask, rect, &tray)?;
        let without = with.clone().with_heights(None)?;
        let compare = |cutout: Cutout| -> Result<_> { Ok(gallery.compare(&gallery.prepare(cutout)?, &capture.product)?) };
        let (Some(with), Some(without)) = (compare(with)?, compare(without)?) else { continue };
        judged.push(Judged {
            family: booth.products().iter().find(|p| p.name == capture.product).map_or("?", |p| p.family.name()),
            kinds: capture.truth.damage.iter().map(|d| d.kind.name()).collect(),
            damaged: capture.truth.is_damaged,
            gross: capture.truth.is_gross,
            scores: [without.score, with.score].map(f64::from),
            shape: with.shape_score.map(f64::from),
        });
    }
    report(&judged);
    Ok(())
}

/// A crop's mask in the whole picture.
fn whole(mask: &LabelMask, rect: Rect, frame: &RgbdFrame) -> Result<LabelMask> {
    let (w, h) = (frame.color.width(), frame.color.height());
    let mut data = vec![0u16; (w * h) as usize];
    for (y, row) in (rect.y..).zip(mask.data().chunks_exact(mask.width() as usize)) {
        let at = (y * w + rect.x) as usize;
        data[at..at + row.len()].copy_from_slice(row);
    }
    Ok(LabelMask::new(w, h, data)?)
}

/// The item with the heights that perception measures, of whatever it finds.
fn cutout(frame: &RgbdFrame, mask: &LabelMask, rect: Rect, tray: &EmptyTray) -> Result<Cutout> {
    let found = inspect(frame, Some(tray), &InspectionParams::default())?;
    let mut heights = HeightMap::new(rect.w, rect.h, vec![0; (rect.w * rect.h) as usize])?;
    for item in &found.items {
        let Some(own) = &item.heights else { continue };
        for (all, own) in heights.data_mut().iter_mut().zip(own.placed(item.bbox, rect)?.data()) {
            *all = (*all).max(*own);
        }
    }
    Ok(Cutout::of_label(&frame.color, mask, 1, rect)?.with_heights(Some(heights))?)
}

fn report(all: &[Judged]) {
    let intact: Vec<&Judged> = all.iter().filter(|j| !j.damaged).collect();
    let known = all.iter().filter(|j| j.shape.is_some()).count();
    println!("{} items compared, {} of them intact; {known} with their heights", all.len(), intact.len());
    let above = |k: usize| intact.iter().filter(|j| j.scores[k] > f64::from(ANOMALY_THRESHOLD)).count();
    println!("intact above the threshold: {} without heights, {} with them", above(0), above(1));
    let mut shapes: Vec<f64> = intact.iter().filter_map(|j| j.shape).collect();
    shapes.sort_by(f64::total_cmp);
    let quantile = |q: f64| shapes.get((shapes.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "shape score of intact ones: p50 {:.2} p75 {:.2} p90 {:.2} p95 {:.2} p99 {:.2}",
        quantile(0.5),
        quantile(0.75),
        quantile(0.9),
        quantile(0.95),
        quantile(0.99)
    );
    // What is above every intact item's.
    let worst = shapes.last().copied().unwrap_or(0.0).max(0.0);
    let mut groups: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
    for j in all.iter().filter(|j| j.damaged) {
        groups.entry("any damage".to_owned()).or_default().push(j);
        if j.gross {
            groups.entry("gross".to_owned()).or_default().push(j);
        }
        j.kinds.iter().for_each(|k| groups.entry(format!("  {k}")).or_default().push(j));
    }
    println!("{:<22} {:>5} {:>9} {:>9} {:>9} {:>7} {:>9}", "AUROC against intact", "n", "picture", "shape", "both", "found", "by shape");
    for (name, damaged) in &groups {
        let told = |score: &dyn Fn(&Judged) -> f64| {
            auroc(intact.iter().map(|j| (score(j), false)).chain(damaged.iter().map(|j| (score(j), true)))).unwrap_or(f64::NAN)
        };
        let found = damaged.iter().filter(|j| j.scores[1] > f64::from(ANOMALY_THRESHOLD)).count();
        println!(
            "{name:<22} {:>5} {:>9.3} {:>9.3} {:>9.3} {:>7} {:>9}",
            damaged.len(),
            told(&|j| j.scores[0]),
            told(&|j| j.shape.unwrap_or(0.0)),
            told(&|j| j.scores[1]),
            found,
            damaged.iter().filter(|j| j.shape.is_some_and(|s| s > worst)).count()
        );
    }
    let mut families: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    intact.iter().filter_map(|j| Some((j.family, j.shape?))).for_each(|(f, s)| families.entry(f).or_default().push(s));
    for (family, mut scores) in families {
        scores.sort_by(f64::total_cmp);
        println!("  intact {family:<14} {:>3} highest shape scores {:.2?}", scores.len(), &scores[scores.len().saturating_sub(3)..]);
    }
}

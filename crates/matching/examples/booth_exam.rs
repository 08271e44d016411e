//! Measures identification and comparison on the generated booth: `cargo run -p matching --example booth_exam [N] [SEED] [PRODUCTS]`.
//! Masks are the truth's, so that this measures matching and nothing else. What it last printed is in the README.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec, Capture};
use matching::{ANOMALY_THRESHOLD, Cutout, Gallery, GalleryOptions, Picture};

/// One capture, judged.
struct Judged {
    family: &'static str,
    gross: bool,
    damaged: bool,
    kinds: String,
    identified: bool,
    mistaken: bool,
    /// Score and coverage against the true product's references.
    compared: Option<(f32, f32)>,
    identify_ms: f64,
    compare_ms: f64,
}

fn main() -> Result<()> {
    let argument = |n: usize, or: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (count, seed, products) = (argument(1, 100) as usize, argument(2, 11), argument(3, 20) as usize);
    let spec = BoothSpec { seed, width: 1280, height: 720, products, damage_fraction: 0.4, ..BoothSpec::default() };
    let booth = Booth::new(spec)?;
    let gallery = enrol(&booth)?;
    println!("{} references of {} products; {count} captures at 1280x720, seed {seed}", gallery.len(), gallery.products().len());
    let (booth_ms, started_ms) = (std::cell::Cell::new(0.0), cpu_ms());
    let capture = |i: usize| {
        let before_ms = cpu_ms();
        let capture = booth.capture(i);
        booth_ms.set(booth_ms.get() + cpu_ms() - before_ms);
        capture
    };
    let judged: Vec<Judged> = (0..count).map(|i| judge(&gallery, &booth, &capture(i))).collect::<Result<_>>()?;
    report(&judged);
    let used_ms = (cpu_ms() - started_ms - booth_ms.get()) / count.max(1) as f64;
    println!("CPU, mean of all: {used_ms:.1} ms an item, identify and compare together, over all threads");
    Ok(())
}

/// CPU time of this process so far, in steps of 10 ms: unlike wall time it says the same on a busy machine. 0 where there
/// is no `/proc`.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() * 10.0
}

fn enrol(booth: &Booth) -> Result<Gallery> {
    let mut pictures = Vec::new();
    for product in booth.products() {
        for (n, view) in booth.references(&product.name, 0)?.into_iter().enumerate() {
            let cutout = Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed();
            pictures.push(Picture { product: product.name.clone(), name: format!("{n:04}.png"), cutout });
        }
    }
    Ok(Gallery::new(pictures, GalleryOptions::default()).0)
}

fn judge(gallery: &Gallery, booth: &Booth, capture: &Capture) -> Result<Judged> {
    let color = &capture.frame.color;
    let (rect, _) = capture.truth.mask.extent(1).context("a capture shows its item")?;
    let cutout = Cutout::of_label(color, &capture.truth.mask, 1, rect.with_margin(0.05, color.width(), color.height()))?;
    let started = Instant::now();
    let item = gallery.prepare(cutout)?;
    let found = gallery.identify(&item, None);
    let identify_ms = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    let compared = gallery.compare(&item, &capture.product)?;
    let compare_ms = started.elapsed().as_secs_f64() * 1e3;
    if let (Some(dir), Some(d)) = (std::env::var_os("BOOTH_EXAM_OUT"), &compared) {
        save(std::path::Path::new(&dir), capture, item.cutout(), d)?;
    }
    let product = found.product().map(|c| c.product.as_str());
    if std::env::var_os("BOOTH_EXAM_VERBOSE").is_some() {
        let ranking: Vec<String> = found.ranking.iter().take(3).map(|c| format!("{} {:.2}/{}", c.product, c.score, c.agreeing)).collect();
        let seen = compared.as_ref().map(|d| {
            format!(
                "score {:.2} coverage {:.2} agreement {:.2} flatness {:.2} {}",
                d.score, d.coverage, d.agreement, d.flatness, d.reference
            )
        });
        println!(
            "{} {} {} damaged {} | {} | {}",
            capture.item_id,
            capture.truth.instances.first().map_or("", |i| i.family.name()),
            capture.product,
            capture.truth.is_damaged,
            ranking.join(", "),
            seen.unwrap_or_default()
        );
    }
    Ok(Judged {
        family: booth.products().iter().find(|p| p.name == capture.product).map_or("?", |p| p.family.name()),
        gross: capture.truth.is_gross,
        damaged: capture.truth.is_damaged,
        kinds: capture.truth.damage.iter().map(|d| d.kind.name()).collect::<Vec<_>>().join("+"),
        identified: product == Some(capture.product.as_str()),
        mistaken: product.is_some_and(|p| p != capture.product),
        compared: compared.map(|d| (d.score, d.coverage)),
        identify_ms,
        compare_ms,
    })
}

/// The item, its reference laid over it, and the heat map, side by side.
fn save(dir: &std::path::Path, capture: &Capture, cutout: &Cutout, found: &matching::Discrepancy) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let (w, h) = (cutout.color().width(), cutout.color().height());
    let heat: Vec<u8> =
        found.map.data().iter().zip(&found.compared).flat_map(|(d, c)| [(d * 255.0) as u8, if *c > 0 { 60 } else { 0 }, 0]).collect();
    let mut sheet = image::RgbImage::new(3 * w, h);
    for (n, data) in [cutout.color().data().to_vec(), found.registered.data().to_vec(), heat].into_iter().enumerate() {
        let tile = image::RgbImage::from_raw(w, h, data).context("sizes agree")?;
        image::imageops::replace(&mut sheet, &tile, i64::from(w) * n as i64, 0);
    }
    let label = if capture.truth.is_gross {
        "gross"
    } else if capture.truth.is_damaged {
        "minor"
    } else {
        "intact"
    };
    sheet.save(dir.join(format!("{label}-{:.2}-{}.png", found.score, capture.item_id)))?;
    Ok(())
}

fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

fn report(all: &[Judged]) {
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let intact: Vec<&Judged> = all.iter().filter(|j| !j.damaged).collect();
    let right = intact.iter().filter(|j| j.identified).count();
    println!(
        "identify, intact: {:.3} right, {:.3} mistaken, the rest unknown",
        share(right, intact.len()),
        share(intact.iter().filter(|j| j.mistaken).count(), intact.len())
    );
    println!(
        "ms p50 / p95: prepare + identify {:.1} / {:.1}, compare {:.1} / {:.1}",
        quantile(all.iter().map(|j| j.identify_ms), 0.5),
        quantile(all.iter().map(|j| j.identify_ms), 0.95),
        quantile(all.iter().map(|j| j.compare_ms), 0.5),
        quantile(all.iter().map(|j| j.compare_ms), 0.95)
    );
    let class = |j: &Judged| {
        if j.gross {
            "gross"
        } else if j.damaged {
            "minor"
        } else {
            "intact"
        }
    };
    for name in ["intact", "minor", "gross"] {
        let group: Vec<&Judged> = all.iter().filter(|j| class(j) == name).collect();
        let scores: Vec<f64> = group.iter().filter_map(|j| j.compared).map(|c| f64::from(c.0)).collect();
        let above = scores.iter().filter(|s| **s > f64::from(ANOMALY_THRESHOLD)).count();
        let coverage = quantile(group.iter().filter_map(|j| j.compared).map(|c| f64::from(c.1)), 0.5);
        print!(
            "{name:>7}: {} items, {} compared (coverage p50 {coverage:.2}), above threshold {:.3}; score",
            group.len(),
            scores.len(),
            share(above, group.len())
        );
        [0.05, 0.25, 0.5, 0.75, 0.9, 0.97].iter().for_each(|q| print!(" p{:.0} {:.2}", q * 100.0, quantile(scores.iter().copied(), *q)));
        println!();
    }
    let mut families = BTreeMap::<&str, Vec<&Judged>>::new();
    all.iter().for_each(|j| families.entry(j.family).or_default().push(j));
    for (family, items) in families {
        let whole: Vec<&&Judged> = items.iter().filter(|j| !j.damaged).collect();
        let hit = |j: &Judged| j.compared.is_some_and(|c| c.0 > ANOMALY_THRESHOLD);
        let gross: Vec<&&Judged> = items.iter().filter(|j| j.gross).collect();
        println!(
            "  {family:>13}: intact {} identified {} compared {} above {}; gross {} above {}",
            whole.len(),
            whole.iter().filter(|j| j.identified).count(),
            whole.iter().filter(|j| j.compared.is_some()).count(),
            whole.iter().filter(|j| hit(j)).count(),
            gross.len(),
            gross.iter().filter(|j| hit(j)).count()
        );
    }
    let missed: Vec<&str> =
        all.iter().filter(|j| j.gross && j.compared.is_none_or(|c| c.0 <= ANOMALY_THRESHOLD)).map(|j| j.kinds.as_str()).collect();
    println!("gross damage below the threshold: {}", missed.join(", "));
}

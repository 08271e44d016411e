//! Measures the index of looks: `cargo run -p matching --example million_exam [PRODUCTS] [--json]`, by default 100,000 products with
//! ten views each. Looks are not random vectors: the booth's products are rendered and looked at, and looks are drawn with
//! the covariance of their families' products and of their products' views. Queries are further views, not those in the
//! index. What it last printed is in the README.

mod clustered;

use std::time::Instant;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec};
use clustered::{Sample, Spread};
use matching::{Cutout, Index, IndexOptions, LOOK_LEN, look};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const VIEWS: usize = 10;
const FOUND: usize = 10;
const QUERIES: u64 = 200;
/// Products that the booth renders to measure the spread.
const RENDERED: usize = 80;
/// Cells that a query looks into; 0 stands for the default.
const PROBES: [usize; 5] = [0, 8, 16, 32, 64];

fn main() -> Result<()> {
    let products: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100_000);
    let is_json = std::env::args().any(|a| a == "--json");
    let samples = measured()?;
    let (within, between) = likenesses(&samples);
    let spread = Spread::of(&samples, 2026);
    let (mut looks, mut queries) = (Vec::with_capacity(products as usize * VIEWS * LOOK_LEN), Vec::new());
    let asked = QUERIES.min(products);
    // In batches: two copies of all would take twice the memory.
    for batch in (0..products).collect::<Vec<_>>().chunks(1000) {
        let drawn: Vec<Vec<Vec<f32>>> = batch.par_iter().map(|p| spread.views(*p, VIEWS + 1)).collect();
        for (product, mut views) in batch.iter().zip(drawn) {
            let further = views.pop().context("a view more than is enrolled")?;
            if product % (products / asked) == 0 && (queries.len() as u64) < asked {
                queries.push(further);
            }
            views.iter().for_each(|v| looks.extend_from_slice(v));
        }
    }
    let exact: Vec<Vec<u32>> = queries.iter().map(|q| nearest(&looks, q)).collect();
    let (started, cpu) = (Instant::now(), cpu_s());
    let mut index = Index::build(&looks, LOOK_LEN, &IndexOptions::default());
    let (build_s, build_cpu_s) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
    drop(looks);
    let rss_mib = rss_mib();
    let head = format!("{} looks of {products} products, {} queries", index.len(), queries.len());
    if is_json {
        println!(
            "{{\"vectors\":{},\"products\":{products},\"length\":{LOOK_LEN},\"cells\":{},\"build_s\":{build_s:.1},\"build_cpu_s\":{build_cpu_s:.1},\
             \"index_mib\":{},\"rss_mib\":{rss_mib},\"likeness_same_product\":{within:.3},\"likeness_same_family\":{between:.3}}}",
            index.len(),
            index.cells(),
            index.bytes() >> 20
        );
    } else {
        println!("{head}; measured likeness of two views of a product {within:.3}, of two products of a family {between:.3}");
        println!("  built in {build_s:.1} s ({build_cpu_s:.1} s of CPU), {} cells, {} MiB", index.cells(), index.bytes() >> 20);
        println!("  resident after the exact vectors were dropped: {rss_mib} MiB");
    }
    for probes in PROBES {
        let probes = if probes == 0 { IndexOptions::default().probes } else { probes };
        index = index.with_probes(probes);
        report(&index, probes, &queries, &exact, is_json);
    }
    Ok(())
}

/// Looks of the booth's products, in the views that are enrolled of them.
fn measured() -> Result<Vec<Sample>> {
    let spec = BoothSpec { seed: 4100, width: 320, height: 240, products: RENDERED, ..BoothSpec::default() };
    let booth = Booth::new(spec)?;
    let products = booth.products();
    let mut families: Vec<_> = products.iter().map(|p| p.family).collect();
    families.sort();
    families.dedup();
    let looks = |(n, product): (usize, &booth::ProductInfo)| -> Result<Vec<Sample>> {
        let family = families.iter().position(|f| *f == product.family).unwrap_or(0);
        let views = booth.references(&product.name, 0)?.into_iter();
        views.map(|v| Ok((family, n, look(&Cutout::masked(v.color, v.mask.data().iter().map(|l| *l > 0))?)?))).collect()
    };
    Ok(products.par_iter().enumerate().map(|(n, p)| looks((n, p))).collect::<Result<Vec<_>>>()?.concat())
}

/// Mean likeness of two views of one product, and of two products of one family.
fn likenesses(samples: &[Sample]) -> (f32, f32) {
    let mut sums = [(0.0, 0.0); 2];
    for (i, a) in samples.iter().enumerate() {
        for b in samples[..i].iter().filter(|b| a.0 == b.0) {
            let sum = &mut sums[usize::from(a.1 != b.1)];
            *sum = (sum.0 + dot(&a.2, &b.2), sum.1 + 1.0);
        }
    }
    let mean = |(sum, n): (f32, f32)| sum / n.max(1.0);
    (mean(sums[0]), mean(sums[1]))
}

/// Sixteen sums beside one another: the compiler makes vectors of them.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
    }
    sums.iter().sum()
}

/// Exact search.
fn nearest(looks: &[f32], query: &[f32]) -> Vec<u32> {
    let mut all: Vec<(f32, u32)> =
        looks.par_chunks_exact(LOOK_LEN).zip(0u32..looks.len() as u32).map(|(v, id)| (dot(v, query), id)).collect();
    let by_likeness = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let kept = FOUND.min(all.len() - 1);
    all.select_nth_unstable_by(kept, by_likeness);
    all.truncate(FOUND);
    all.into_iter().map(|(_, id)| id).collect()
}

fn report(index: &Index, probes: usize, queries: &[Vec<f32>], exact: &[Vec<u32>], is_json: bool) {
    let (mut wall_ms, mut recalls, cpu) = (Vec::new(), Vec::new(), thread_cpu_ms());
    for (query, exact) in queries.iter().zip(exact) {
        let started = Instant::now();
        let found = index.nearest(query, FOUND);
        wall_ms.push(started.elapsed().as_secs_f64() * 1e3);
        recalls.push(found.iter().filter(|n| exact.contains(&n.id)).count() as f64 / exact.len().max(1) as f64);
    }
    // The mean alone: the kernel counts a thread's time in steps longer than a query.
    let cpu_ms = (thread_cpu_ms() - cpu) / queries.len().max(1) as f64;
    let (recall, low, high) = interval(&recalls);
    let (p50, p99) = (quantile(&mut wall_ms, 0.5), quantile(&mut wall_ms, 0.99));
    if is_json {
        println!(
            "{{\"probes\":{probes},\"p50_ms\":{p50:.3},\"p99_ms\":{p99:.3},\"cpu_mean_ms\":{cpu_ms:.3},\
             \"recall\":{recall:.4},\"recall_low\":{low:.4},\"recall_high\":{high:.4}}}"
        );
    } else {
        println!(
            "  {probes} cells asked: top-{FOUND} p50 {p50:.2} p99 {p99:.2} ms (CPU, mean, {cpu_ms:.2}), recall {recall:.4} [{low:.4}, {high:.4}]"
        );
    }
}

/// Mean, and its 95 % interval by drawing queries anew.
fn interval(recalls: &[f64]) -> (f64, f64, f64) {
    let n = recalls.len().max(1);
    let mean = |sum: f64| sum / n as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(95);
    let mut drawn: Vec<f64> = (0..2000).map(|_| mean((0..n).map(|_| recalls[rng.random_range(0..n)]).sum())).collect();
    drawn.sort_by(f64::total_cmp);
    (mean(recalls.iter().sum()), drawn[50], drawn[1949])
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// CPU time of this process, seconds in steps of 0.01; 0 where there is no `/proc`.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// CPU time of this thread: unlike wall time it says the same on a busy machine.
fn thread_cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

/// Resident memory of this process, MiB.
fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next());
    line.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 10
}

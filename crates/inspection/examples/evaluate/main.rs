//! Measures segmentation on the real captures in `../shared/data` (or `$INTACT_DATA`).
//!
//! ```text
//! cargo run -p inspection --example evaluate [-- --out DIR] [--cues FILE] [--json FILE]
//! ```
//! Each data set with the network that finds items and without it. `--out` saves tinted pictures, a folder a row, `--json` the table, `--cues` as CSV the damage cues of every true item that was found (IoU above
//! one half), and of every item found where there is no truth, after the names of data set and capture.
//! One table row a data set: captures, true items, mean IoU over true items (matched one to one, misses count 0), its
//! 95 % bootstrap interval, items found, captures with the right number of items, found items above the damage threshold
//! (none of these goods is damaged), milliseconds a capture (p50).

mod captures;
mod iou;

use std::path::{Path, PathBuf};
use std::time::Instant;

use inspection::{CUE_NAMES, EngineKind, Inspector, ItemFinder, measure_cues};
use vision::{ColorImage, LabelMask};

use captures::{Case, Fallible, data_dir, mosd, single_items, tote, transparent};
use iou::ious;

/// What one capture gave.
struct Outcome {
    ious: Vec<f64>,
    found: usize,
    alarms: usize,
    milliseconds: f64,
    cues: Vec<Vec<f32>>,
}

/// 95 % interval of the mean over resampled items, from a fixed seed.
fn bootstrap(values: &[f64]) -> (f64, f64) {
    let mut state = 1u64;
    let mut means: Vec<f64> = (0..2000)
        .map(|_| {
            let sum: f64 = (0..values.len())
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    values[(state >> 33) as usize % values.len()]
                })
                .sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (means[50], means[1949])
}

fn judge(case: &Case, inspector: &Inspector, out: Option<&Path>) -> Fallible<Outcome> {
    let start = Instant::now();
    let found = inspector.inspect(&case.frame, case.background.as_ref(), &mut |_| ())?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    if let Some(dir) = out {
        save(&dir.join(format!("{}.png", case.name)), &case.frame.color, &found.mask)?;
    }
    let ious = if case.truth.is_empty() { Vec::new() } else { ious(&case.truth, &found.mask) };
    let above = |limit: f32| found.items.iter().filter(|i| i.damage_score > limit).count();
    println!(
        "  {:<24} found {:>2}  alarms {:>2}  IoU {}",
        case.name,
        found.items.len(),
        above(found.damage_threshold),
        ious.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(" ")
    );
    // Only the larger items: what is left over of a wrong split is not an item.
    let whole = if case.truth.is_empty() { usize::MAX } else { ious.iter().filter(|v| **v > 0.5).count() };
    let measured =
        if whole > 0 { measure_cues(&case.frame, case.background.as_ref(), &inspector.params.segmentation)? } else { Vec::new() };
    let cues = measured.into_iter().take(whole).map(|(_, cues)| cues).collect();
    Ok(Outcome { ious, found: found.items.len(), alarms: above(found.damage_threshold), milliseconds, cues })
}

/// The picture with each item tinted.
fn save(path: &Path, color: &ColorImage, mask: &LabelMask) -> Fallible<()> {
    const TINTS: [[u8; 3]; 8] =
        [[230, 25, 75], [60, 180, 75], [0, 130, 200], [245, 130, 48], [145, 30, 180], [70, 240, 240], [240, 50, 230], [210, 245, 60]];
    let pixels = color.data().as_chunks::<3>().0.iter().zip(mask.data()).flat_map(|(p, l)| match l {
        0 => *p,
        l => [0, 1, 2].map(|k| p[k] / 2 + TINTS[usize::from(*l - 1) % 8][k] / 2),
    });
    image::RgbImage::from_raw(color.width(), color.height(), pixels.collect()).ok_or("size")?.save(path)?;
    Ok(())
}

/// The same captures as a camera without depth sees them.
fn colour_alone(mut cases: Vec<Case>) -> Vec<Case> {
    cases.iter_mut().for_each(|case| case.frame.depth = None);
    cases
}

fn main() -> Fallible<()> {
    let data = data_dir();
    if !data.exists() {
        println!("SKIPPED: no captures at {} (set INTACT_DATA)", data.display());
        return Ok(());
    }
    let argument = |name: &str| std::env::args().skip_while(|a| a != name).nth(1).map(PathBuf::from);
    let out = argument("--out");
    if let Some(dir) = &out {
        std::fs::create_dir_all(dir)?;
    }
    let plain = Inspector::default();
    let network = Inspector { finder: Some(ItemFinder::load(EngineKind::default())?), ..Inspector::default() };
    let sets = [
        ("rgbd_single_item", single_items(&data)?),
        ("single, colour", colour_alone(single_items(&data)?)),
        ("rgbd_mosd", mosd(&data)?),
        ("mosd, colour", colour_alone(mosd(&data)?)),
        ("rgbd_tote_bg", tote(&data)?),
        ("transparent", transparent(&data, "transparent")?),
        ("its opaque twin", transparent(&data, "opaque")?),
        ("transparent, colour", colour_alone(transparent(&data, "transparent")?)),
        ("opaque, colour", colour_alone(transparent(&data, "opaque")?)),
    ];
    let tries: Vec<_> = sets
        .iter()
        .flat_map(|(name, cases)| [(name.to_string(), cases, &network), (format!("{name}, no network"), cases, &plain)])
        .collect();
    let mut rows = Vec::new();
    let mut figures = serde_json::Map::new();
    let mut table = format!("source,capture,{}\n", CUE_NAMES.join(","));
    for (name, cases, inspector) in &tries {
        println!("{name}");
        let folder = out.as_ref().map(|dir| dir.join(name.replace([',', ' '], "-")));
        if let Some(dir) = &folder {
            std::fs::create_dir_all(dir)?;
        }
        let outcomes = cases.iter().map(|c| judge(c, inspector, folder.as_deref())).collect::<Fallible<Vec<_>>>()?;
        let ious: Vec<f64> = outcomes.iter().flat_map(|o| o.ious.iter().copied()).collect();
        // What the trees are fitted to is measured without networks, once a set.
        let measured = if name.ends_with("no network") { outcomes.as_slice() } else { &[] };
        let source = name.split(',').next().unwrap_or(name);
        for (case, cues) in cases.iter().zip(measured).flat_map(|(c, o)| o.cues.iter().map(move |cues| (c, cues))) {
            table += &format!("{source},{},", case.name);
            table += &cues.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(",");
            table += "\n";
        }
        let exact = outcomes.iter().filter(|o| o.found == o.ious.len()).count();
        let mut times: Vec<f64> = outcomes.iter().map(|o| o.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        let mean_iou = (!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64);
        let counted = serde_json::json!({"captures": cases.len(), "items": ious.len(), "mean_iou": mean_iou,
            "ci95": mean_iou.map(|_| bootstrap(&ious)), "exact_counts": exact, "ms_p50": times[times.len() / 2]});
        figures.insert(name.clone(), counted);
        let (mean, interval) = if ious.is_empty() {
            ("-".to_owned(), "-".to_owned())
        } else {
            let (low, high) = bootstrap(&ious);
            (format!("{:.3}", ious.iter().sum::<f64>() / ious.len() as f64), format!("[{low:.3}, {high:.3}]"))
        };
        rows.push(format!(
            "{name:<32} {:>8} {:>6} {mean:>9} {interval:>16} {:>6} {exact:>12} {:>6} {:>8.1}",
            cases.len(),
            ious.len(),
            outcomes.iter().map(|o| o.found).sum::<usize>(),
            outcomes.iter().map(|o| o.alarms).sum::<usize>(),
            times[times.len() / 2],
        ));
    }
    println!("\ndata                             captures  items  mean IoU           95 % CI  found  exact counts alarms   ms p50");
    rows.iter().for_each(|r| println!("{r}"));
    if let Some(path) = argument("--cues") {
        std::fs::write(path, table)?;
    }
    if let Some(path) = argument("--json") {
        std::fs::write(path, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}

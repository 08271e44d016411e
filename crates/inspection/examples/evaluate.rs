//! Measures segmentation on the real captures in `../shared/data` (or `$INTACT_DATA`).
//!
//! ```text
//! cargo run -p inspection --example evaluate [-- --out DIR] [--cues FILE]
//! ```
//! `--out` saves tinted pictures, `--cues` the damage cues of every true item that was found (IoU above one half) as CSV.
//! One table row a data set: captures, true items, mean IoU over true items (matched one to one, misses count 0), its
//! 95 % bootstrap interval, items found, captures with the right number of items, found items above the damage threshold
//! (none of these goods is damaged), milliseconds a capture (p50).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use inspection::{CUE_NAMES, EmptyTray, InspectionParams, inspect, measure_cues};
use vision::{ColorImage, DepthImage, Intrinsics, LabelMask, RgbdFrame};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// One capture with its truth: the label of each pixel, 0 = background, [`IGNORE`] = not judged.
struct Case {
    name: String,
    frame: RgbdFrame,
    background: Option<EmptyTray>,
    truth: Vec<u16>,
}

const IGNORE: u16 = u16::MAX;

/// What one capture gave.
struct Outcome {
    ious: Vec<f64>,
    found: usize,
    alarms: usize,
    milliseconds: f64,
    cues: Vec<Vec<f32>>,
}

fn data_dir() -> PathBuf {
    std::env::var_os("INTACT_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from)
}

fn color(path: &Path) -> Fallible<ColorImage> {
    let picture = image::open(path)?.into_rgb8();
    Ok(ColorImage::new(picture.width(), picture.height(), picture.into_raw())?)
}

fn depth(path: &Path, unit_m: f32) -> Fallible<DepthImage> {
    let picture = image::open(path)?.into_luma16();
    let metres = picture.as_raw().iter().map(|d| f32::from(*d) * unit_m).collect();
    Ok(DepthImage::from_raw_m(picture.width(), picture.height(), metres)?)
}

fn frame(color: ColorImage, depth: DepthImage, [fx, fy, cx, cy]: [f64; 4]) -> RgbdFrame {
    let (width, height) = (color.width(), color.height());
    let intrinsics = Some(Intrinsics { fx, fy, cx, cy, width, height });
    RgbdFrame { color: Arc::new(color), depth: Some(Arc::new(depth)), intrinsics }
}

/// Files in `dir` that end in `suffix`, with the rest of their name, sorted.
fn stems(dir: &Path, suffix: &str) -> Fallible<Vec<String>> {
    let mut out: Vec<String> =
        std::fs::read_dir(dir)?.filter_map(|e| e.ok()?.file_name().into_string().ok()?.strip_suffix(suffix).map(str::to_owned)).collect();
    out.sort();
    Ok(out)
}

fn camera(path: &Path) -> Fallible<[f64; 4]> {
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let number = |key: &str| json[key].as_f64().ok_or_else(|| format!("{}: no `{key}`", path.display()));
    Ok([number("fx")?, number("fy")?, number("cx")?, number("cy")?])
}

/// The points of a little-endian `<f4` (n, 3) `.npy` file.
fn npy_points(path: &Path) -> Fallible<Vec<[f32; 3]>> {
    let bytes = std::fs::read(path)?;
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]);
    if !text.contains("'<f4'") || text.contains("'fortran_order': True") {
        return Err(format!("{}: not C-ordered <f4: {text}", path.display()).into());
    }
    let values: Vec<f32> = bytes[10 + header..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(values.as_chunks::<3>().0.to_vec())
}

/// Closes gaps of one pixel in a mask.
fn densify(mask: &[u16], w: usize) -> Vec<u16> {
    let h = mask.len() / w;
    let morph = |m: &[u16], grow: bool| -> Vec<u16> {
        (0..m.len())
            .map(|i| {
                let (x, y) = (i % w, i / w);
                let mut around = (y.saturating_sub(1)..=(y + 1).min(h - 1))
                    .flat_map(|yy| (x.saturating_sub(1)..=(x + 1).min(w - 1)).map(move |xx| m[yy * w + xx]));
                u16::from(if grow { around.any(|v| v > 0) } else { around.all(|v| v > 0) })
            })
            .collect()
    };
    morph(&morph(mask, true), false)
}

fn single_items(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_single_item");
    stems(&dir, "_color.png")?
        .into_iter()
        .map(|name| {
            let k = camera(&dir.join(format!("{name}_camera.json")))?;
            let frame =
                frame(color(&dir.join(format!("{name}_color.png")))?, depth(&dir.join(format!("{name}_depth_0.1mm.png")), 1e-4)?, k);
            let (w, h) = (frame.color.width() as usize, frame.color.height() as usize);
            let mut truth = vec![0u16; w * h];
            for [x, y, z] in npy_points(&dir.join(format!("{name}_object_pc.npy")))? {
                let u = (f64::from(x) / f64::from(z) * k[0] + k[2]).round() as usize;
                let v = (f64::from(y) / f64::from(z) * k[1] + k[3]).round() as usize;
                if u < w && v < h {
                    truth[v * w + u] = 1;
                }
            }
            Ok(Case { name, frame, background: None, truth: densify(&truth, w) })
        })
        .collect()
}

fn mosd(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_mosd");
    let k = camera(&dir.join("camera.json"))?;
    stems(&dir, "_label.png")?
        .into_iter()
        .map(|name| {
            let frame = frame(color(&dir.join(format!("{name}_color.png")))?, depth(&dir.join(format!("{name}_depth_mm.png")), 1e-3)?, k);
            let labels = image::open(dir.join(format!("{name}_label.png")))?.into_luma8();
            // Tens are items, units their parts; 1–9 is the table.
            let truth = labels.as_raw().iter().map(|l| if *l < 20 { 0 } else { u16::from(*l / 10) }).collect();
            Ok(Case { name, frame, background: None, truth })
        })
        .collect()
}

fn tote(data: &Path) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_tote_bg/parallel_jaw");
    ["0", "1"]
        .into_iter()
        .map(|n| {
            let text = std::fs::read_to_string(dir.join(format!("camera-{n}.intrinsics.txt")))?;
            let k: Vec<f64> = text.split_whitespace().filter_map(|v| v.parse().ok()).collect();
            let k = [k[0], k[4], k[2], k[5]];
            let load = |kind: &str| -> Fallible<RgbdFrame> {
                Ok(frame(color(&dir.join(format!("{kind}-{n}.color.png")))?, depth(&dir.join(format!("{kind}-{n}.depth.png")), 1e-4)?, k))
            };
            Ok(Case {
                name: format!("tote-{n}"),
                frame: load("input")?,
                background: Some(EmptyTray::new(load("background")?)),
                truth: Vec::new(),
            })
        })
        .collect()
}

fn transparent(data: &Path, kind: &str) -> Fallible<Vec<Case>> {
    let dir = data.join("rgbd_transparent_d435");
    stems(&dir, "-mask.png")?
        .into_iter()
        .map(|name| {
            let frame = frame(
                color(&dir.join(format!("{name}-{kind}-rgb.jpg")))?,
                depth(&dir.join(format!("{name}-{kind}-depth_0.1mm.png")), 1e-4)?,
                [921.0, 921.0, 642.0, 359.0],
            );
            let mask = image::open(dir.join(format!("{name}-mask.png")))?.into_luma8();
            let w = mask.width() as usize;
            let set: Vec<bool> = mask.as_raw().iter().map(|v| *v > 127).collect();
            Ok(Case { name: format!("{name}-{kind}"), frame, background: None, truth: connected(&set, w) })
        })
        .collect()
}

/// Connected parts of a mask, by flood fill.
fn connected(set: &[bool], w: usize) -> Vec<u16> {
    let mut out = vec![0u16; set.len()];
    let mut next = 0;
    for start in 0..set.len() {
        if !set[start] || out[start] != 0 {
            continue;
        }
        next += 1;
        let mut stack = vec![start];
        out[start] = next;
        while let Some(i) = stack.pop() {
            for j in [i.wrapping_sub(1), i + 1, i.wrapping_sub(w), i + w] {
                if j < set.len() && set[j] && out[j] == 0 {
                    out[j] = next;
                    stack.push(j);
                }
            }
        }
    }
    out
}

/// IoU of each true item with the item matched to it; a miss is 0.
fn ious(truth: &[u16], mask: &LabelMask) -> Vec<f64> {
    let mut labels: Vec<u16> = truth.iter().copied().filter(|l| *l != 0 && *l != IGNORE).collect();
    labels.sort_unstable();
    labels.dedup();
    let found = usize::from(mask.data().iter().copied().max().unwrap_or(0));
    let mut both = vec![vec![0u32; found + 1]; labels.len()];
    let (mut of_truth, mut of_found) = (vec![0u32; labels.len()], vec![0u32; found + 1]);
    for (t, m) in truth.iter().zip(mask.data()).filter(|(t, _)| **t != IGNORE) {
        of_found[usize::from(*m)] += 1;
        if let Ok(k) = labels.binary_search(t) {
            of_truth[k] += 1;
            both[k][usize::from(*m)] += 1;
        }
    }
    let table: Vec<Vec<f64>> = (0..labels.len())
        .map(|k| (1..=found).map(|m| f64::from(both[k][m]) / f64::from((of_truth[k] + of_found[m] - both[k][m]).max(1))).collect())
        .collect();
    assign(&table)
}

/// The one-to-one assignment of rows to columns with the largest sum (Hungarian method); the value of each row.
fn assign(value: &[Vec<f64>]) -> Vec<f64> {
    let rows = value.len();
    let n = rows.max(value.first().map_or(0, Vec::len));
    let cost = |i: usize, j: usize| -value.get(i).and_then(|r| r.get(j)).copied().unwrap_or(0.0);
    let (mut u, mut v) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_of = vec![0usize; n + 1];
    for i in 1..=n {
        row_of[0] = i;
        let mut j0 = 0;
        let mut least = vec![f64::INFINITY; n + 1];
        let mut used = vec![false; n + 1];
        let mut way = vec![0usize; n + 1];
        while row_of[j0] != 0 {
            used[j0] = true;
            let (i0, mut delta, mut j1) = (row_of[j0], f64::INFINITY, 0);
            for j in (1..=n).filter(|j| !used[*j]) {
                let reduced = cost(i0 - 1, j - 1) - u[i0] - v[j];
                if reduced < least[j] {
                    (least[j], way[j]) = (reduced, j0);
                }
                if least[j] < delta {
                    (delta, j1) = (least[j], j);
                }
            }
            for j in 0..=n {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            j0 = j1;
        }
        while j0 != 0 {
            row_of[j0] = row_of[way[j0]];
            j0 = way[j0];
        }
    }
    let mut out = vec![0.0; rows];
    for j in 1..=n {
        if (1..=rows).contains(&row_of[j]) {
            out[row_of[j] - 1] = -cost(row_of[j] - 1, j - 1);
        }
    }
    out
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

fn judge(case: &Case, out: Option<&Path>) -> Fallible<Outcome> {
    let start = Instant::now();
    let params = InspectionParams::default();
    let found = inspect(&case.frame, case.background.as_ref(), &params)?;
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
    let whole =
        if ious.iter().any(|v| *v > 0.5) { measure_cues(&case.frame, case.background.as_ref(), &params.segmentation)? } else { Vec::new() };
    // Only the larger items: what is left over of a wrong split is not an item.
    let cues = whole.into_iter().take(ious.iter().filter(|v| **v > 0.5).count()).map(|(_, cues)| cues).collect();
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
    let sets = [
        ("rgbd_single_item", single_items(&data)?),
        ("rgbd_mosd", mosd(&data)?),
        ("rgbd_tote_bg", tote(&data)?),
        ("transparent", transparent(&data, "transparent")?),
        ("its opaque twin", transparent(&data, "opaque")?),
    ];
    let mut rows = Vec::new();
    let mut table = format!("{}\n", CUE_NAMES.join(","));
    for (name, cases) in &sets {
        println!("{name}");
        let outcomes = cases.iter().map(|c| judge(c, out.as_deref())).collect::<Fallible<Vec<_>>>()?;
        let ious: Vec<f64> = outcomes.iter().flat_map(|o| o.ious.iter().copied()).collect();
        for cues in outcomes.iter().flat_map(|o| &o.cues) {
            table += &cues.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(",");
            table += "\n";
        }
        let exact = outcomes.iter().filter(|o| o.found == o.ious.len()).count();
        let mut times: Vec<f64> = outcomes.iter().map(|o| o.milliseconds).collect();
        times.sort_by(f64::total_cmp);
        let (mean, interval) = if ious.is_empty() {
            ("-".to_owned(), "-".to_owned())
        } else {
            let (low, high) = bootstrap(&ious);
            (format!("{:.3}", ious.iter().sum::<f64>() / ious.len() as f64), format!("[{low:.3}, {high:.3}]"))
        };
        rows.push(format!(
            "{name:<18} {:>8} {:>6} {mean:>9} {interval:>16} {:>6} {exact:>12} {:>6} {:>8.1}",
            cases.len(),
            ious.len(),
            outcomes.iter().map(|o| o.found).sum::<usize>(),
            outcomes.iter().map(|o| o.alarms).sum::<usize>(),
            times[times.len() / 2],
        ));
    }
    println!("\ndata               captures  items  mean IoU           95 % CI  found  exact counts alarms   ms p50");
    rows.iter().for_each(|r| println!("{r}"));
    if let Some(path) = argument("--cues") {
        std::fs::write(path, table)?;
    }
    Ok(())
}

//! One page with curves, figures, worst misses and worst false alarms.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use datasets::Sample;
use evaluation::Curve;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, RgbImage};

use super::EvalArgs;
use super::figures::Figures;
use super::judge::{Judge, Verdict};

/// Pictures of each kind on the page.
const PICTURES: usize = 12;
/// Width of a picture on the page, pixels.
const PICTURE_PX: u32 = 480;

const STYLE: &str = "\
:root{--ink:#1c2330;--dim:#667085;--line:#e4e7ec;--accent:#0072b2;--bad:#d55e00}\
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:1180px;margin:0 auto;padding:32px 24px}\
h1{font-size:26px;margin:0}h2{font-size:18px;margin:40px 0 12px}p.sub{color:var(--dim);margin:4px 0 24px}\
table{border-collapse:collapse;width:100%}th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:left}\
th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
.charts,.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:18px}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:14px}\
.tile{border:1px solid var(--line);border-radius:10px;padding:14px}.tile b{display:block;font-size:24px;font-variant-numeric:tabular-nums}\
.tile span,figcaption{color:var(--dim);font-size:13px}figure{margin:0}img{width:100%;border-radius:8px;background:#f2f4f7;display:block}\
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--line:#344054;--accent:#56b4e9}body{background:#101828}}";

/// Writes `index.html` and its pictures.
pub(crate) fn write(
    dir: &Path,
    args: &EvalArgs,
    samples: &[Sample],
    verdicts: &[Verdict],
    figures: &Figures,
    judge: &mut Judge,
) -> Result<()> {
    let pictures = dir.join("pictures");
    std::fs::create_dir_all(&pictures).with_context(|| pictures.display().to_string())?;
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by(|a, b| verdicts[*a].score.total_cmp(&verdicts[*b].score));
    let limit = figures.operation.threshold as f32;
    let misses: Vec<usize> = order.iter().copied().filter(|i| samples[*i].damaged && verdicts[*i].score <= limit).take(PICTURES).collect();
    let alarms: Vec<usize> =
        order.iter().rev().copied().filter(|i| !samples[*i].damaged && verdicts[*i].score > limit).take(PICTURES).collect();

    let mut page = String::new();
    let title =
        format!("intact eval · {}", escape(&args.dataset.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()));
    write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title><style>{STYLE}</style>"
    )?;
    write!(
        page,
        "<h1>{title}</h1><p class=sub>{} · {} samples, {} damaged · scored by {} · intact {}</p>",
        args.format.name(),
        figures.n,
        figures.n_defect,
        escape(&figures.scored_by()),
        env!("CARGO_PKG_VERSION")
    )?;
    tiles(&mut page, figures)?;
    charts(&mut page, samples, verdicts, figures)?;
    tables(&mut page, figures)?;
    gallery(&mut page, "Worst misses", "Damaged, and sorted.", &misses, (samples, verdicts), judge, &pictures)?;
    gallery(&mut page, "Worst false alarms", "Whole, and sidelined.", &alarms, (samples, verdicts), judge, &pictures)?;
    let path = dir.join("index.html");
    std::fs::write(&path, page).with_context(|| path.display().to_string())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

fn tiles(page: &mut String, figures: &Figures) -> Result<()> {
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
    let o = &figures.operation;
    write!(page, "<div class=tiles>")?;
    for (value, name) in [
        (number(figures.ranking.auroc), "AUROC".to_owned()),
        (number(figures.ranking.recall_at_1fpr), "recall at 1 % false alarms".to_owned()),
        (format!("{}/{}", o.found, o.damaged), format!("damaged items found at {:.2}", o.threshold)),
        (format!("{}/{}", o.false_alarms, o.whole), "whole items sidelined".to_owned()),
        (figures.ms.p50.map_or_else(|| "–".to_owned(), |v| format!("{v:.0} ms")), "an item, median".to_owned()),
    ] {
        write!(page, "<div class=tile><b>{value}</b><span>{name}</span></div>")?;
    }
    write!(page, "</div>")?;
    Ok(())
}

fn charts(page: &mut String, samples: &[Sample], verdicts: &[Verdict], figures: &Figures) -> Result<()> {
    let curve = Curve::of(samples.iter().zip(verdicts).map(|(s, v)| (f64::from(v.score), s.damaged)));
    let (p, n) = (curve.positives.max(1) as f64, curve.negatives.max(1) as f64);
    let roc: Vec<(f64, f64)> =
        std::iter::once((0.0, 0.0)).chain(curve.steps.iter().map(|(_, tp, fp)| (*fp as f64 / n, *tp as f64 / p))).collect();
    let precision: Vec<(f64, f64)> = curve.steps.iter().map(|(_, tp, fp)| (*tp as f64 / p, *tp as f64 / (tp + fp).max(1) as f64)).collect();
    let reliable: Vec<(f64, f64)> = figures.reliability.iter().map(|b| (b.score, b.damaged)).collect();
    write!(page, "<h2>Curves</h2><div class=charts>")?;
    chart(page, "ROC", "whole items sidelined", "damaged items found", &roc, true)?;
    chart(page, "Precision and recall", "recall", "precision", &precision, false)?;
    chart(page, "Reliability", "score", "share damaged", &reliable, true)?;
    let risk: Vec<(f64, f64)> = figures.risk_coverage.iter().map(|p| (p.coverage, p.risk)).collect();
    chart(page, "Risk and coverage", "share decided, the surest first", "share decided wrongly", &risk, false)?;
    histogram(page, samples, verdicts, figures.operation.threshold)?;
    write!(page, "</div>")?;
    Ok(())
}

/// A line in the unit square.
fn chart(page: &mut String, title: &str, across: &str, up: &str, points: &[(f64, f64)], diagonal: bool) -> Result<()> {
    let (x, y) = (|v: f64| 40.0 + 220.0 * v, |v: f64| 240.0 - 220.0 * v);
    frame(page, title, title, across, up)?;
    if diagonal {
        write!(page, "<path d='M{} {}L{} {}' stroke='var(--line)' stroke-dasharray='4 4'/>", x(0.0), y(0.0), x(1.0), y(1.0))?;
    }
    let path: String =
        points.iter().enumerate().map(|(k, (a, b))| format!("{}{:.1} {:.1}", if k == 0 { 'M' } else { 'L' }, x(*a), y(*b))).collect();
    write!(page, "<path d='{path}' fill=none stroke='var(--accent)' stroke-width=2 />")?;
    if points.len() <= 10 {
        for (a, b) in points {
            write!(page, "<circle cx='{:.1}' cy='{:.1}' r=3.5 fill='var(--accent)'/>", x(*a), y(*b))?;
        }
    }
    write!(page, "</svg></figure>")?;
    Ok(())
}

/// Axes of a chart; `caption` may hold markup.
fn frame(page: &mut String, title: &str, caption: &str, across: &str, up: &str) -> Result<()> {
    write!(
        page,
        "<figure><figcaption>{caption}</figcaption><svg viewBox='0 0 270 275' role=img aria-label='{title}'>\
         <path d='M40 20V240H260' fill=none stroke='var(--line)'/><text x=36 y=244 text-anchor=end>0</text>\
         <text x=36 y=26 text-anchor=end>1</text><text x=260 y=254 text-anchor=end>1</text>\
         <text x=150 y=270 text-anchor=middle>{across}</text>\
         <text x=14 y=130 text-anchor=middle transform='rotate(-90 14 130)'>{up}</text>"
    )?;
    Ok(())
}

/// Scores of whole and damaged items.
fn histogram(page: &mut String, samples: &[Sample], verdicts: &[Verdict], threshold: f64) -> Result<()> {
    const BINS: usize = 20;
    let count = |damaged: bool| {
        let mut bins = [0usize; BINS];
        for (_, v) in samples.iter().zip(verdicts).filter(|(s, _)| s.damaged == damaged) {
            bins[((v.score * BINS as f32) as usize).min(BINS - 1)] += 1;
        }
        let all = bins.iter().sum::<usize>().max(1) as f64;
        bins.map(|n| n as f64 / all)
    };
    let (whole, damaged) = (count(false), count(true));
    let most = whole.iter().chain(&damaged).copied().fold(1e-9, f64::max);
    frame(
        page,
        "Scores of whole and damaged items",
        "Scores: <span style='color:var(--accent)'>whole</span>, <span style='color:var(--bad)'>damaged</span>",
        "score",
        "share of items",
    )?;
    for (bins, color, shift) in [(whole, "var(--accent)", 0.5), (damaged, "var(--bad)", 5.5)] {
        for (k, share) in bins.iter().enumerate().filter(|(_, s)| **s > 0.0) {
            let height = 215.0 * share / most;
            write!(
                page,
                "<rect x='{:.1}' y='{:.1}' width=5 height='{height:.1}' fill='{color}'/>",
                40.0 + 11.0 * k as f64 + shift,
                240.0 - height
            )?;
        }
    }
    let x = 40.0 + 220.0 * threshold;
    write!(page, "<path d='M{x:.1} 20V240' stroke='var(--dim)' stroke-dasharray='3 3'/></svg></figure>")?;
    Ok(())
}

fn tables(page: &mut String, figures: &Figures) -> Result<()> {
    write!(page, "<h2>Figures</h2><table><tr><th>figure<th class=n>value<th class=n>95 % interval</tr>")?;
    for (name, value, interval) in figures.rows() {
        let between = interval.map_or_else(|| "–".to_owned(), |i| format!("{:.3} … {:.3}", i.low, i.high));
        write!(page, "<tr><td>{name}<td class=n>{value}<td class=n>{between}</tr>")?;
    }
    write!(
        page,
        "</table><h2>Groups</h2><table><tr><th>group<th class=n>n<th class=n>damaged<th class=n>AUROC<th class=n>false alarms<th class=n>found</tr>"
    )?;
    for (group, names) in figures.groups() {
        for (name, g) in names {
            write!(
                page,
                "<tr><td>{group}: {}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}/{}<td class=n>{}/{}</tr>",
                escape(name),
                g.n,
                g.n_defect,
                g.auroc.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}")),
                g.false_alarms,
                g.n - g.n_defect,
                g.found,
                g.n_defect
            )?;
        }
    }
    write!(page, "</table>")?;
    sizes(page, figures)
}

/// How small a damage is still found.
fn sizes(page: &mut String, figures: &Figures) -> Result<()> {
    if figures.sizes().iter().all(|(_, bins)| bins.is_empty()) {
        return Ok(());
    }
    write!(
        page,
        "<h2>Recall against size</h2><p class=sub>Size: root of the damaged area.</p><table><tr><th>size<th class=n>damaged\
         <th class=n>found<th class=n>95 % interval<th class=n>found at 1 % false alarms</tr>"
    )?;
    for (unit, bins) in figures.sizes() {
        for bin in bins {
            let range = bin.to.map_or_else(|| format!("{} {unit} and more", bin.from), |to| format!("{} … {to} {unit}", bin.from));
            let strict = bin.found_at_1fpr.map_or_else(|| "–".to_owned(), |n| format!("{n}/{}", bin.n));
            write!(
                page,
                "<tr><td>{range}<td class=n>{}<td class=n>{}/{}<td class=n>{:.3} … {:.3}<td class=n>{strict}</tr>",
                bin.n, bin.found, bin.n, bin.recall.low, bin.recall.high
            )?;
        }
    }
    write!(page, "</table>")?;
    Ok(())
}

fn gallery(
    page: &mut String,
    title: &str,
    what: &str,
    chosen: &[usize],
    (samples, verdicts): (&[Sample], &[Verdict]),
    judge: &mut Judge,
    pictures: &Path,
) -> Result<()> {
    write!(page, "<h2>{title}</h2><p class=sub>{}</p><div class=cards>", if chosen.is_empty() { "None." } else { what })?;
    for i in chosen {
        let (sample, verdict) = (&samples[*i], &verdicts[*i]);
        let name = format!("{i}.jpg");
        thumbnail(judge, sample, &pictures.join(&name))?;
        let kind = if sample.types.is_empty() { String::new() } else { format!(" · {}", sample.types.join(", ")) };
        let family = if sample.family.is_empty() { String::new() } else { format!(" · {}", sample.family) };
        let anomaly = verdict.anomaly.map_or_else(|| "–".to_owned(), |a| format!("{a:.2}"));
        let again = verdict.rejudged.map_or_else(String::new, |r| format!(" · judged again {r:.2}"));
        write!(
            page,
            "<figure><img src='pictures/{name}' alt='{}'><figcaption>{}{}{}<br>damage {:.2}{again} · anomaly {anomaly}</figcaption></figure>",
            escape(&sample.id),
            escape(&sample.id),
            escape(&family),
            escape(&kind),
            verdict.damage
        )?;
    }
    write!(page, "</div>")?;
    Ok(())
}

fn thumbnail(judge: &mut Judge, sample: &Sample, path: &Path) -> Result<()> {
    let drawn = judge.picture(sample)?;
    let (width, height) = (drawn.width(), drawn.height());
    let picture = RgbImage::from_raw(width, height, drawn.into_data()).context("a picture has an impossible size")?;
    let small = resize(&picture, PICTURE_PX, (height * PICTURE_PX / width.max(1)).max(1), FilterType::Triangle);
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).with_context(|| path.display().to_string())?);
    JpegEncoder::new_with_quality(&mut file, 85)
        .encode(small.as_raw(), small.width(), small.height(), ExtendedColorType::Rgb8)
        .with_context(|| path.display().to_string())
}

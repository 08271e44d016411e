//! `intact eval`: how good the scores are on a labelled data set.

mod figures;
mod judge;
mod report;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use datasets::{Format, Sample, Split};
use inspection::{Comparer, DEFAULT_DAMAGE_THRESHOLD, EngineKind, InspectionParams, Inspector, ModelChoice};
use matching::MIN_PICTURES;

use figures::Figures;
use judge::{Judge, Verdict, chosen};
pub(super) use judge::{PRODUCT, pristine};

use super::{progress, table};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  intact eval out/booth --format booth --report out/report
  intact eval kaputt/ --format kaputt --split validation --limit 500 --json
  intact eval mvtec/bottle --format mvtec
  intact eval out/booth --format booth --references none     what perception alone can tell

An item's score is what the decision node's default policy weighs: damage above the threshold (judged again beside the reference
where one could be laid over the item), or anomaly above 0.8 (which is moved to the threshold here), is not sorted. What quality flags, pick points or an empty picture do in the cell is not counted;
samples without an item are named. MVTec's train/good is enrolled as references; the classical scorer gives pictures without
depth no damage score.")]
pub struct EvalArgs {
    /// Folder of the data set
    dataset: PathBuf,
    /// Its layout: booth, kaputt, mvtec
    #[arg(long)]
    format: Format,
    /// Part of it (booth, kaputt)
    #[arg(long, default_value = "test")]
    split: Split,
    /// Compare items with the references that the data set brings
    #[arg(long, value_enum, default_value = "auto")]
    references: References,
    /// Use this many references of each product at most, the first ones; of an MVTec set an even choice, 240 at most
    #[arg(long, value_name = "N")]
    most_references: Option<usize>,
    /// What scores the damage: builtin, classical, or an ONNX file (docs/model-contract.md)
    #[arg(long, default_value = "builtin", value_name = "MODEL")]
    model: String,
    /// What runs it: tract, or ort when a libonnxruntime is there (ORT_DYLIB_PATH)
    #[arg(long, default_value = "tract")]
    engine: EngineKind,
    /// Damage above it is not sorted; the result names those for 1 % and 0.1 % false alarms
    #[arg(long, default_value_t = DEFAULT_DAMAGE_THRESHOLD, value_name = "0..1")]
    threshold: f32,
    /// Judge this many samples, evenly spread over the data set
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Judge each item once: the worst of its captures, through several cameras or one after the other, stands for all of them
    #[arg(long)]
    fuse: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write a page with curves, worst misses and worst false alarms
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write Kaputt's leaderboard CSV (capture_id,pred)
    #[arg(long, value_name = "FILE")]
    submission: Option<PathBuf>,
}

/// Whether references are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum References {
    /// Those of the data set.
    Auto,
    /// None.
    None,
}

pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    ensure!((0.0..=1.0).contains(&args.threshold), "--threshold {} must lie between 0 and 1", args.threshold);
    ensure!(args.most_references != Some(0), "--most-references 0: say --references none instead");
    ensure!(
        !args.fuse || args.submission.is_none(),
        "--submission wants a line a capture, and --fuse leaves one an item: give one of them"
    );
    let (mut samples, shared) = datasets::read(&args.dataset, args.format, args.split)?;
    ensure!(!samples.is_empty(), "{}: the split `{}` is empty", args.dataset.display(), args.split.name());
    if let Some(taken) = too_few(args, &samples) {
        eprintln!("intact: fewer than {MIN_PICTURES} references do not show what varies: samples are only compared with {taken}");
    }
    check_outputs(args)?;
    if let Some(limit) = args.limit.filter(|l| *l < samples.len()) {
        ensure!(limit > 0, "--limit 0: at least one sample is needed");
        let n = samples.len();
        samples = (0..limit).map(|k| samples[k * n / limit].clone()).collect();
    }
    let choice = ModelChoice::from(args.model.as_str());
    let (models, finder) = (choice.load(args.engine)?, choice.finder(args.engine)?);
    let inspector = Inspector {
        params: InspectionParams { damage_threshold: args.threshold, ..InspectionParams::default() },
        models,
        embedding: None,
        finder,
    };
    let comparer = (args.references == References::Auto).then(|| Comparer::load(args.engine)).transpose()?;
    let mut judge = Judge::new(&args.dataset, args.format, shared, inspector, comparer)?
        .with_most_references(args.most_references.unwrap_or(usize::MAX));
    let asked = samples.len();
    let mut verdicts;
    (samples, verdicts) = judge_all(&mut judge, samples)?;
    let unread = asked - samples.len();
    ensure!(!samples.is_empty(), "{}: no sample of the split `{}` could be read", args.dataset.display(), args.split.name());
    if args.fuse {
        (samples, verdicts) = fuse(samples, verdicts)?;
    }
    let figures = Figures { unread, ..Figures::of(&samples, &verdicts, judge.localisation(), args.threshold) };
    if let Some(file) = &args.submission {
        let mut out = std::fs::File::create(file).with_context(|| file.display().to_string())?;
        writeln!(out, "capture_id,pred")?;
        for (sample, verdict) in samples.iter().zip(&verdicts) {
            writeln!(out, "{},{:.6}", sample.id, verdict.score)?;
        }
    }
    if let Some(dir) = &args.report {
        report::write(dir, args, &samples, &verdicts, &figures, &mut judge)?;
    }
    if args.json {
        say!("{}", serde_json::to_string(&figures)?);
    } else {
        print(args, &figures);
    }
    if unread > 0 {
        eprintln!("intact: {unread} of {asked} samples could not be read and count in no figure; each was named above");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Judges every sample that can be read, names the others, and leaves them out: one broken file among thousands costs no night's work.
fn judge_all(judge: &mut Judge, samples: Vec<Sample>) -> Result<(Vec<Sample>, Vec<Verdict>)> {
    let bar = progress::bar(samples.len(), "samples");
    let mut judged = Vec::with_capacity(samples.len());
    for sample in samples {
        match judge.load(&sample) {
            Ok(frame) => {
                let verdict = judge.judge(&sample, &frame).with_context(|| format!("sample `{}`", sample.id))?;
                judged.push((sample, verdict));
            }
            Err(error) => bar.suspend(|| eprintln!("intact: sample `{}` is left out: {error:#}", sample.id)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(judged.into_iter().unzip())
}

/// Judging takes long: whether its results can be written is known before.
fn check_outputs(args: &EvalArgs) -> Result<()> {
    if let Some(file) = &args.submission {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| format!("--submission {} cannot be written", file.display()))?;
    }
    if let Some(dir) = &args.report {
        std::fs::create_dir_all(dir).with_context(|| format!("--report {} cannot be made; name a folder", dir.display()))?;
    }
    Ok(())
}

/// How many references of pictures that are taken alike are used, when they are too few to learn from.
fn too_few(args: &EvalArgs, samples: &[Sample]) -> Option<usize> {
    let is_learnt = args.format == Format::Mvtec && args.references == References::Auto;
    // All samples of such a set share them.
    let given = samples.first().filter(|_| is_learnt)?.references.len();
    Some(chosen(given, args.most_references.unwrap_or(usize::MAX), args.format).len()).filter(|taken| *taken < MIN_PICTURES)
}

/// One sample and one verdict an item: those of the capture with the highest score.
fn fuse(samples: Vec<Sample>, verdicts: Vec<Verdict>) -> Result<(Vec<Sample>, Vec<Verdict>)> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut fused: Vec<(Sample, Verdict)> = Vec::new();
    for (sample, verdict) in samples.into_iter().zip(verdicts) {
        let place = *places.entry(sample.item.clone()).or_insert(fused.len());
        let Some((known, worst)) = fused.get_mut(place) else {
            fused.push((sample, verdict));
            continue;
        };
        ensure!(
            known.damaged == sample.damaged && known.major == sample.major,
            "--fuse: captures `{}` and `{}` of item `{}` disagree about its damage: item identifiers name products here, not single items",
            known.id,
            sample.id,
            sample.item
        );
        let ms = worst.ms + verdict.ms;
        if verdict.score > worst.score {
            (*known, *worst) = (sample, verdict);
        }
        worst.ms = ms;
    }
    Ok(fused.into_iter().unzip())
}

fn print(args: &EvalArgs, figures: &Figures) {
    let mut out = table::table(&["figure", "value", "95 % interval"]);
    for (name, value, interval) in figures.rows() {
        let between = interval.map_or_else(|| "–".to_owned(), |i| format!("{:.3} … {:.3}", i.low, i.high));
        out.add_row(vec![name.into(), table::number(value), table::number(between)]);
    }
    let by = figures.scored_by();
    say!(
        "{}: {} samples, {} damaged; scored by {by}; threshold {}\n{out}",
        args.dataset.display(),
        figures.n,
        figures.n_defect,
        args.threshold
    );
    let mut out = table::table(&["group", "n", "damaged", "AUROC", "false alarms", "found"]);
    for (group, names) in figures.groups() {
        for (name, g) in names {
            out.add_row(vec![
                format!("{group}: {name}").into(),
                table::number(g.n),
                table::number(g.n_defect),
                table::number(g.auroc.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"))),
                table::number(format!("{}/{}", g.false_alarms, g.n - g.n_defect)),
                table::number(format!("{}/{}", g.found, g.n_defect)),
            ]);
        }
    }
    say!("{out}");
    let mut out = table::table(&["size of the damage", "damaged", "found", "at 1 % false alarms"]);
    for (unit, bins) in figures.sizes() {
        for bin in bins {
            let range = bin.to.map_or_else(|| format!("{} {unit} and more", bin.from), |to| format!("{} … {to} {unit}", bin.from));
            let found = bin.found_at_1fpr.map_or_else(|| "–".to_owned(), |n| n.to_string());
            out.add_row(vec![range.into(), table::number(bin.n), table::number(bin.found), table::number(found)]);
        }
    }
    if figures.sizes().iter().any(|(_, bins)| !bins.is_empty()) {
        say!("{out}");
    }
    if let Some(dir) = &args.report {
        say!("report: {}", dir.join("index.html").display());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_told_when_references_are_too_few_to_learn_from() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: EvalArgs,
        }
        for (given, line, told) in [
            (20, "--format mvtec --most-references 7", Some(7)),
            (20, "--format mvtec --most-references 8", None),
            (5, "--format mvtec", Some(5)),
            (5, "--format mvtec --most-references 100", Some(5)),
            (20, "--format mvtec", None),
            (5, "--format mvtec --references none", None),
            (5, "--format booth --most-references 2", None),
        ] {
            let args = <Line as clap::Parser>::try_parse_from(["eval", "folder"].into_iter().chain(line.split(' '))).unwrap().args;
            let references = (0..given).map(|_| datasets::Reference { picture: PathBuf::new(), mask: None }).collect();
            let sample = Sample { references, ..Sample::bare("a", "a", PathBuf::new()) };
            assert_eq!(too_few(&args, &[sample]), told, "{given} {line}");
        }
    }

    #[test]
    fn the_worst_capture_stands_for_its_item() {
        let sample = |id: &str, item: &str, damaged| Sample { damaged, ..Sample::bare(id, item, PathBuf::new()) };
        let verdict = |score| Verdict {
            score,
            scorer: "classical".into(),
            found: true,
            damage: score,
            anomaly: None,
            rejudged: None,
            coverage: 0.0,
            item_iou: None,
            ms: 2.0,
        };
        let mixed = vec![sample("a0", "a", true), sample("a1", "a", false)];
        let error = fuse(mixed, [0.2, 0.4].map(verdict).to_vec()).unwrap_err().to_string();
        assert!(error.contains("`a0` and `a1`") && error.contains("products"), "{error}");
        let samples = vec![sample("a0", "a", true), sample("b0", "b", false), sample("a1", "a", true), sample("a2", "a", true)];
        let (samples, verdicts) = fuse(samples, [0.2, 0.4, 0.9, 0.1].map(verdict).to_vec()).unwrap();
        let told: Vec<_> = samples.iter().zip(&verdicts).map(|(s, v)| (s.id.as_str(), s.damaged, v.score, v.ms)).collect();
        assert_eq!(told, [("a1", true, 0.9, 6.0), ("b0", false, 0.4, 2.0)]);
    }
}

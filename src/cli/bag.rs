//! `intact bag`: import folders of captures, describe and check bags.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bag::{ImportOptions, Info, Report, Severity};
use captures::Options;
use clap::{Args, Subcommand};

use super::{progress, table};

const INFO_EXAMPLES: &str = "\
Examples:
  intact bag info out/recorded
  intact bag info run.mcap --json | jq '.topics[] | {name, messages}'";

const CHECK_EXAMPLES: &str = "\
Ends with 1 when the bag has errors (cut off, unreadable), with 0 when it has none or only warnings.

Examples:
  intact bag check night_shift.bag
  intact bag check cell.db3 --json";

#[derive(Debug, Subcommand)]
pub enum BagCommand {
    /// Turn a folder of captures into a bag: one arrival a capture, the capture's name is the item's id
    Import(ImportArgs),
    /// Describe a bag: topics, types, counts, duration
    #[command(after_help = INFO_EXAMPLES)]
    Info(ReadArgs),
    /// Look for what would trouble the cell: rates, gaps, drift, missing camera_info, stamps that jump
    #[command(after_help = CHECK_EXAMPLES)]
    Check(ReadArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Known layouts are found by their names: `NAME_color.png` + `NAME_depth_mm.png` (or `_0.1mm`) + a camera.json,
`input-K.color.png` + `input-K.depth.png` + `background-K.*` + `camera-K.*.txt`, `NAME-rgb.jpg`, `frame-N.color.png`.

Examples:
  intact bag import captures/ -o captures.bag
  intact bag import shots/ -o shots.bag --color-glob 'rgb/*.jpg' --depth-glob 'z/*.png' --depth-unit 0.001 --intrinsics 615,615,320,240")]
pub struct ImportArgs {
    /// Folder of captures
    folder: PathBuf,
    /// Bag to write: a new folder
    #[arg(short, long, value_name = "BAG")]
    output: PathBuf,
    /// Colour pictures, relative to the folder; what `*` stands for names the capture
    #[arg(long, value_name = "GLOB")]
    color_glob: Option<String>,
    /// Depth pictures, with the same text for the `*`
    #[arg(long, value_name = "GLOB", requires = "color_glob")]
    depth_glob: Option<String>,
    /// Metres one count of the depth pictures stands for
    #[arg(long, value_name = "M")]
    depth_unit: Option<f64>,
    /// Pinhole model of the pictures, pixels
    #[arg(long, value_name = "fx,fy,cx,cy", value_parser = parse_intrinsics)]
    intrinsics: Option<[f64; 4]>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ReadArgs {
    /// An MCAP or .db3 file, or a bag's folder
    bag: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `fx,fy,cx,cy`.
pub fn parse_intrinsics(text: &str) -> Result<[f64; 4], String> {
    let numbers: Vec<f64> = text.split(',').map(|t| t.trim().parse()).collect::<Result<_, _>>().map_err(|e| format!("{text}: {e}"))?;
    let all: [f64; 4] = numbers.try_into().map_err(|_| format!("`{text}` is not four numbers fx,fy,cx,cy"))?;
    if all[0] <= 0.0 || all[1] <= 0.0 || all.iter().any(|x| !x.is_finite()) {
        return Err(format!("`{text}`: focal lengths must be positive, all numbers finite"));
    }
    Ok(all)
}

pub fn run(command: BagCommand) -> Result<ExitCode> {
    match command {
        BagCommand::Import(args) => import(args),
        BagCommand::Info(args) => {
            let info = bag::info(&args.bag)?;
            if args.json {
                say!("{}", serde_json::to_string(&info)?)
            } else {
                print_info(&info)
            }
            Ok(ExitCode::SUCCESS)
        }
        BagCommand::Check(args) => {
            let report = bag::check(&args.bag)?;
            if args.json {
                say!("{}", serde_json::to_string(&report)?)
            } else {
                print_report(&report)
            }
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
    }
}

fn import(args: ImportArgs) -> Result<ExitCode> {
    let find =
        Options { color_glob: args.color_glob, depth_glob: args.depth_glob, depth_unit_m: args.depth_unit, fx_fy_cx_cy: args.intrinsics };
    let captures = captures::discover(&args.folder, &find)?;
    let bar = progress::bar(captures.len(), "captures");
    let imported = bag::import(&captures, &args.output, &ImportOptions::default(), |name| {
        bar.set_message(name.to_owned());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    if args.json {
        let line = serde_json::json!({
            "bag": args.output, "captures": imported.captures, "cameras": imported.cameras,
            "messages": imported.written.messages, "bytes": imported.written.bytes,
        });
        say!("{line}");
    } else {
        say!(
            "{}: {} captures by {} ({} messages, {:.1} MB); run it with: intact run --bag {} --lockstep",
            args.output.display(),
            imported.captures,
            imported.cameras.join(", "),
            imported.written.messages,
            imported.written.bytes as f64 / 1e6,
            args.output.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_info(info: &Info) {
    say!(
        "{}: {}, {} file(s), {:.1} MB, {} messages in {:.1} s",
        info.path,
        info.format,
        info.files,
        info.bytes as f64 / 1e6,
        info.messages,
        info.duration_s
    );
    let mut table = table::table(&["topic", "type", "messages"]);
    for topic in &info.topics {
        table.add_row(vec![topic.name.clone().into(), topic.type_name.clone().into(), table::number(topic.messages)]);
    }
    say!("{table}");
    for (key, value) in &info.custom_data {
        say!("{key}: {value}");
    }
    for problem in &info.problems {
        say!("problem: {problem}");
    }
}

fn print_report(report: &Report) {
    let optional = |x: Option<f64>, digits: usize| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.digits$}"));
    let mut topics = table::table(&["topic", "messages", "Hz", "longest gap ms", "stamps back", "duplicates", "malformed"]);
    for t in &report.topics {
        topics.add_row(vec![
            t.name.clone().into(),
            table::number(t.messages),
            table::number(optional(t.rate_hz, 1)),
            table::number(optional(t.longest_gap_ms, 0)),
            table::number(t.stamps_back),
            table::number(t.duplicate_stamps),
            table::number(t.malformed),
        ]);
    }
    say!("{topics}");
    let mut cameras = table::table(&["camera", "colour", "depth", "without depth", "without camera_info", "drift ms (median, max)"]);
    for c in &report.cameras {
        cameras.add_row(vec![
            c.namespace.clone().into(),
            table::number(c.color_frames),
            table::number(c.depth_frames),
            table::number(c.color_without_depth),
            table::number(c.color_without_info),
            table::number(format!("{}, {}", optional(c.median_drift_ms, 1), optional(c.max_drift_ms, 1))),
        ]);
    }
    say!("{cameras}\n{} items announced, {} messages read", report.arrivals, report.messages);
    for finding in &report.findings {
        let word = if finding.severity == Severity::Error { "error" } else { "warning" };
        say!("{word}: {}{}", if finding.subject.is_empty() { String::new() } else { format!("{}: ", finding.subject) }, finding.text);
    }
    say!("{}", if report.ok { "the cell can run it" } else { "the cell will refuse or miss items of it" });
}

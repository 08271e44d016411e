//! The command line: arguments, and one file a command.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// `println!` for output that may go into `head`: a reader who has seen enough ends the program in good order.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::print_line(format_args!($($arg)*)) };
}

mod arrays;
mod bag;
mod beside;
mod booth;
mod crops;
mod eval;
mod gallery;
mod inspect;
mod listed;
mod looks;
mod pairs;
mod params;
mod progress;
mod provenance;
mod run;
mod table;

/// Machines that notice damaged goods before they ship.
#[derive(Debug, Parser)]
#[command(name = "intact", version, about, long_about = None, max_term_width = 110, after_help = "\
Examples:
  intact run --source booth                          a generated cell, all nodes in one process
  intact bag import captures/ -o captures.bag        folders of captures become a bag
  intact run --bag captures.bag --lockstep --json    every item gets one disposition, one JSON line each
  intact gallery import references/                  the products that the cell knows
  intact gallery identify item.jpg --json            which of them is it?
  intact inspect item.png --depth item_depth.png --depth-unit 0.001 --intrinsics 615,615,320,240 --out out/

Environment: ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE (LOCALHOST, SUBNET, OFF), INTACT_LOG (for example `info,transport=debug`).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the cell: all nodes in one process, on a bag, live topics or the generated booth.
    Run(Box<run::RunArgs>),
    /// Inspect one capture and write what was found.
    Inspect(inspect::InspectArgs),
    /// Make, describe and check bags.
    #[command(subcommand)]
    Bag(bag::BagCommand),
    /// The generated booth: scenes with known damage.
    #[command(subcommand)]
    Booth(booth::BoothCommand),
    /// Measure the scores on a labelled data set.
    Eval(eval::EvalArgs),
    /// Cut a data set into what a damage model sees of each item, for training.
    Crops(crops::CropsArgs),
    /// Cut out items and their references as the embedding network sees them, for training.
    Looks(looks::LooksArgs),
    /// Lay references over the items of a data set, as the comparing network sees the two, for training.
    Pairs(pairs::PairsArgs),
    /// The products that the cell knows: enrol, identify, verify.
    #[command(subcommand)]
    Gallery(gallery::GalleryCommand),
    /// Print every parameter of the cell with its default and meaning.
    Params(params::ParamsArgs),
}

/// Parses the arguments, runs the command, and prints the one error that ended it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Inspect(args) => inspect::run(args),
        Command::Bag(command) => bag::run(command),
        Command::Booth(command) => booth::run(command),
        Command::Eval(args) => eval::run(&args),
        Command::Crops(args) => crops::run(&args),
        Command::Looks(args) => looks::run(&args),
        Command::Pairs(args) => pairs::run(&args),
        Command::Gallery(command) => gallery::run(command),
        Command::Params(args) => params::run(args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("intact: {}", in_one_sentence(&error));
            ExitCode::from(2)
        }
    }
}

/// The error and its causes, without causes that the sentence before already tells.
fn in_one_sentence(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn print_line(text: std::fmt::Arguments<'_>) {
    let Err(error) = writeln!(std::io::stdout(), "{text}") else { return };
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("intact: the output could not be written: {error}");
    std::process::exit(2);
}

/// Logs go to stderr, warnings and worse unless `INTACT_LOG` says otherwise; what the nodes say goes to `/rosout` too, as ROS
/// has it from `info` on.
fn start_log() {
    let wanted = std::env::var("INTACT_LOG").ok().filter(|directives| !directives.is_empty());
    let filter = node_kit::log_filter(wanted.as_deref().unwrap_or("warn")).unwrap_or_else(|error| {
        eprintln!("intact: INTACT_LOG cannot be read ({error}); use debug, info, warn or error, or `info,transport=debug`");
        tracing_subscriber::EnvFilter::new("warn,rustdds=error,ros2_client=error,mio=error")
    });
    // A second initialisation (in tests) keeps the first one.
    let terminal = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_filter(filter);
    let rosout = node_kit::rosout::layer().with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    let _ = tracing_subscriber::registry().with(terminal).with(rosout).try_init();
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = Err::<(), _>(missing).context("cannot read a.png: no such file").context("sample `a`").unwrap_err();
        assert_eq!(in_one_sentence(&error), "sample `a`: cannot read a.png: no such file");
    }
}

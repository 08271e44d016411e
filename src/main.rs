//! `intact`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    intact::cli::main()
}

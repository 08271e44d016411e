//! `intact params`: every parameter of the cell, from the nodes' own schemas.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use node_kit::{Component, schema};

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A ROS parameter file with all defaults, as `params/cell.yaml`.
    #[default]
    Yaml,
    /// Tables, as in the nodes' READMEs.
    Markdown,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  intact params > my_cell.yaml          start from all defaults, keep what you change
  intact params decision --form markdown")]
pub struct ParamsArgs {
    /// Only this node
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::cell::NODES))]
    node: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t)]
    form: Form,
}

const HEAD: &str = "\
# All parameters of the cell with their defaults; the output of `intact params`, held to it by a test.
# Keep only what you change: a file needs no more than that. `/**` holds for every node. Values in brackets are allowed.
";

pub fn run(args: ParamsArgs) -> Result<ExitCode> {
    if args.node.is_none() && args.form == Form::Yaml {
        say!("{HEAD}");
    }
    fn print<C: Component>(args: &ParamsArgs) {
        if args.node.as_deref().is_some_and(|name| name != C::NAME) {
            return;
        }
        match args.form {
            Form::Yaml => say!("{}", schema::yaml::<C::Params>(C::NAME)),
            Form::Markdown => say!("## {}\n\n{}", C::NAME, schema::markdown::<C::Params>()),
        }
    }
    print::<camera::Camera>(&args);
    print::<perception::Perception>(&args);
    print::<gallery::Gallery>(&args);
    print::<decision::Decision>(&args);
    print::<robot::Robot>(&args);
    print::<viewer::Viewer>(&args);
    print::<recorder::Recorder>(&args);
    Ok(ExitCode::SUCCESS)
}

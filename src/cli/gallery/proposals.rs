//! What the cell wants to learn, and what happened to the gallery.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use references::{Act, State, Store};
use serde_json::json;

use super::keep::{actor, now_ns};
use super::{Common, told};
use crate::cli::table;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  intact gallery proposals list
  intact gallery proposals list --state rejected --json
  intact gallery proposals confirm --product tea-200 --reference learned-item-17
  intact gallery proposals reject --product tea-200 --reference learned-item-18 --why 'crushed corner'
  intact gallery proposals confirm --product tea-200 --design 2    the new design is right: use it beside the old one
  intact gallery proposals reject --product tea-200 --design 2     it is no new design: do not ask again

A running cell takes up what was confirmed or rejected with its next item. `intact gallery rollback` undoes both;
what was learned and is taken back is refused from then on.")]
pub enum ProposalsCommand {
    /// List what waits, and suspected new designs
    List(ListArgs),
    /// Use proposals from now on
    Confirm(SettleArgs),
    /// Never use them; they are kept with the reason
    Reject(SettleArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this product
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// What waits (learned, or enrolled with `--quarantine`), or which of those that were learned
    #[arg(long, default_value = "quarantined", value_parser = ["quarantined", "active", "retired", "rejected"])]
    state: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The product
    #[arg(long, value_name = "ID")]
    product: String,
    /// One proposal of it; can be repeated
    #[arg(long, value_name = "NAME", required_unless_present = "design")]
    reference: Vec<String>,
    /// All that waits of this version of the design; settles the suspected change
    #[arg(long, value_name = "N", conflicts_with = "reference")]
    design: Option<u32>,
    /// The reason, for the history
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only of this product
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub fn run(command: &ProposalsCommand) -> Result<ExitCode> {
    match command {
        ProposalsCommand::List(args) => list(args),
        ProposalsCommand::Confirm(args) => settle(args, State::Active, "confirm"),
        ProposalsCommand::Reject(args) => settle(args, State::Rejected, "reject"),
    }
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    let state = match args.state.as_str() {
        "active" => State::Active,
        "retired" => State::Retired,
        "rejected" => State::Rejected,
        _ => State::Quarantined,
    };
    let product = args.product.as_deref();
    let proposals = if state == State::Quarantined { store.waiting(product)? } else { store.proposals(product, state)? };
    let open = open_designs(&store, args.product.as_deref())?;
    if args.common.json {
        for proposal in &proposals {
            say!("{}", serde_json::to_string(proposal)?);
        }
        for (product, version, reason) in &open {
            say!("{}", json!({"product": product, "design_change": version, "reason": reason}));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = table::table(&["product", "reference", "state", "design", "agreeing", "said"]);
    for p in &proposals {
        rows.add_row(vec![
            p.reference.product.as_str().into(),
            p.reference.name.as_str().into(),
            p.reference.state.as_str().into(),
            table::number(p.reference.version),
            table::number(p.agreeing.len()),
            p.reason.as_str().into(),
        ]);
    }
    say!("{rows}");
    for (product, version, reason) in open {
        say!("{product}: design {version} is suspected: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Product, version and reason of each design change that is not settled.
fn open_designs(store: &Store, product: Option<&str>) -> Result<Vec<(String, u32, String)>> {
    let (open, all) = (store.open_designs()?, store.design_changes(product)?);
    let last = all.iter().rev().filter(|c| c.open && open.get(&c.product) == Some(&c.version));
    let mut found: Vec<_> = last.map(|c| (c.product.clone(), c.version, c.detail.clone())).collect();
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(found)
}

fn settle(args: &SettleArgs, to: State, action: &str) -> Result<ExitCode> {
    // A gallery that is not there must not be made.
    args.common.read()?;
    let mut store = args.common.write()?;
    let actor = actor();
    let act = Act { actor: &actor, action, at_ns: now_ns(), detail: &args.why };
    let changed = match args.design {
        Some(version) => store.close_design(&args.product, version, to, act)?,
        None => {
            let changed = store.settle(&args.product, &args.reference, State::Quarantined, to, act)?;
            let mut left = args.reference.iter().filter(|name| !changed.contains(name));
            if let Some(name) = left.next() {
                bail!("{}/{name} does not wait in quarantine; see `intact gallery proposals list`", args.product);
            }
            changed
        }
    };
    if args.common.json {
        say!("{}", json!({"product": args.product, "state": to, "references": changed, "design": args.design}));
    } else {
        say!("{}: {} reference(s) {to}: {}", args.product, changed.len(), changed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn history(args: &HistoryArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    let (events, designs) = (store.history(args.product.as_deref())?, store.design_changes(args.product.as_deref())?);
    if args.common.json {
        events.iter().try_for_each(|e| serde_json::to_string(e).map(|line| say!("{line}")))?;
        for change in &designs {
            let what = if change.open { "opened" } else { "closed" };
            say!(
                "{}",
                json!({"at_ns": change.at_ns, "actor": change.actor, "action": "design", "product": change.product,
                    "version": change.version, "design_change": what, "detail": change.detail})
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    for e in &events {
        say!("{}", told(e));
    }
    for c in &designs {
        let what = if c.open { "suspects" } else { "settled" };
        say!("design: {} {what} design {} of {} ({})", c.actor, c.version, c.product, c.detail);
    }
    Ok(ExitCode::SUCCESS)
}

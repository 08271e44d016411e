//! `intact gallery`: the products that the cell knows, and what it says of pictures.

mod export;
mod judge;
mod keep;
mod proposals;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use inspection::{EngineKind, Inspector, ModelChoice};
pub use judge::{find_product, load};
use references::{Event, GalleryUrl, Store};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  intact gallery import references/                         DIR/<product>/*.png; also ARC, MVTec, Kaputt and table layouts
  intact gallery enrol --product tea-200 top.png side.png   pictures or folders of one product
  intact gallery enrol --product tea-200 tea.bag            the items of a bag, where perception sees one item without damage
  intact gallery identify item.jpg --json                   which product is it?
  intact gallery verify --product tea-200 item.jpg --json   is it as it should be?
  intact gallery retire --product tea-200 --reference 0003  keep it, but compare with it no longer
  intact gallery rollback --product tea-200                 undo the last change
  intact gallery rollback --product tea-200 --design 1      back to an earlier design
  intact gallery proposals list                             what the cell wants to learn, and suspected new designs
  intact gallery proposals confirm --product tea-200 --reference learned-item-17
  intact gallery proposals confirm --product tea-200 --design 2
  intact gallery history --product tea-200                  who did what, when and why
  intact gallery import products/ --gallery sqlite:cell.sqlite  another file than the default one
  intact run --source booth --references sqlite:cell.sqlite
  intact gallery import references/ --gallery postgres://fleet@db.plant/gallery         one gallery for many cells
  intact run --references 'postgres://fleet@db.plant/gallery?local=/var/lib/intact/copy.sqlite'

A picture's alpha channel says what is the item; a plain border is background; otherwise the item is looked for in the whole picture.

Exit codes: 0 all went well; 1 some pictures were refused or could not be judged, or `check` found something; 2 nothing could be done.")]
pub enum GalleryCommand {
    /// Add references of one product: pictures, folders of them, the items of a bag
    Enrol(keep::EnrolArgs),
    /// Add the references of a folder of products (own, ARC, MVTec, Kaputt or table layout)
    Import(keep::ImportArgs),
    /// List the products
    List(keep::ListArgs),
    /// Show a product's references and history
    Show(keep::ShowArgs),
    /// Say which product a picture shows; one line a picture
    Identify(judge::IdentifyArgs),
    /// Compare pictures with the references of a product; one line a picture
    Verify(judge::VerifyArgs),
    /// Take references out of use; they are kept
    Retire(keep::RetireArgs),
    /// Bring a product's references back to an earlier state
    Rollback(keep::RollbackArgs),
    /// What the cell wants to learn: list, confirm, reject
    #[command(subcommand)]
    Proposals(proposals::ProposalsCommand),
    /// Show who did what, when and why; oldest first
    History(proposals::HistoryArgs),
    /// Write the active references to a folder, DIR/<product>/<name>.png, with a list of what pictures do not say
    Export(export::ExportArgs),
    /// Look for damage of the gallery
    Check(keep::CheckArgs),
}

/// What every gallery command takes.
#[derive(Debug, Args)]
struct Common {
    /// The gallery, sqlite:PATH or postgres://USER@HOST/DATABASE [default: intact/gallery.sqlite in the user's data folder]
    #[arg(long, value_name = "URL")]
    gallery: Option<String>,
    /// Print JSON, one line a result
    #[arg(long)]
    json: bool,
}

impl Common {
    fn url(&self) -> Result<GalleryUrl> {
        match &self.gallery {
            Some(text) => Ok(text.parse()?),
            None => Ok(GalleryUrl::sqlite(data_folder()?.join("intact/gallery.sqlite"))),
        }
    }

    fn read(&self) -> Result<Store> {
        let store = Store::open_for_reading(&self.url()?)?;
        if let Some(reason) = store.away() {
            eprintln!("intact: {} cannot be reached ({reason}): the local copy is read", self.url()?);
        }
        Ok(store)
    }

    fn write(&self) -> Result<Store> {
        Ok(Store::open(&self.url()?)?)
    }

    /// For enrolling: embeddings are kept beside the pictures.
    fn enrolling(&self) -> Result<Store> {
        let mut store = self.write()?.with_embedder(Some(::gallery::built_in_embedder(EngineKind::default())?));
        let made = store.embed_missing()?;
        if made > 0 {
            eprintln!("intact: {made} reference(s) of before got their embedding");
        }
        Ok(store)
    }
}

/// Where programs keep a user's data.
fn data_folder() -> Result<PathBuf> {
    let named = |key: &str| std::env::var_os(key).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || named("HOME").map(|home| home.join(".local/share"));
    named("XDG_DATA_HOME").or_else(home).context("neither XDG_DATA_HOME nor HOME is set: give the gallery with --gallery URL")
}

pub fn run(command: GalleryCommand) -> Result<ExitCode> {
    match command {
        GalleryCommand::Enrol(args) => keep::enrol(&args),
        GalleryCommand::Import(args) => keep::import(&args),
        GalleryCommand::List(args) => keep::list(&args),
        GalleryCommand::Show(args) => keep::show(&args),
        GalleryCommand::Identify(args) => judge::identify(&args),
        GalleryCommand::Verify(args) => judge::verify(&args),
        GalleryCommand::Retire(args) => keep::retire(&args),
        GalleryCommand::Rollback(args) => keep::rollback(&args),
        GalleryCommand::Proposals(command) => proposals::run(&command),
        GalleryCommand::History(args) => proposals::history(&args),
        GalleryCommand::Export(args) => export::export(&args),
        GalleryCommand::Check(args) => keep::check(&args),
    }
}

/// Perception as the cell has it by default, told that a picture shows one item.
fn perception_of_one_item() -> Result<Inspector> {
    let (choice, engine) = (ModelChoice::BuiltIn, EngineKind::default());
    let mut perception = Inspector { models: choice.load(engine)?, finder: choice.finder(engine)?, ..Inspector::default() };
    perception.params.segmentation.one_item = true;
    Ok(perception)
}

/// 0 when all went well, else 1.
/// Who did what, when and why, in one line.
fn told(event: &Event) -> String {
    let when = jiff::Timestamp::from_nanosecond(event.at_ns.into()).map_or_else(|_| "–".into(), |t| t.strftime("%F %T UTC").to_string());
    let why = if event.detail.is_empty() { String::new() } else { format!(" ({})", event.detail) };
    let Event { sequence, actor, action, product, reference, state, .. } = event;
    format!("event {sequence}, {when}: {actor}: {action} {product}/{reference}, now {state}{why}")
}

fn exit_code(failed: usize) -> ExitCode {
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

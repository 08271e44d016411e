//! What changes and lists the gallery.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::Args;
use matching::{Extent, GalleryOptions};
use references::{NewReference, Origin, State, Store, StoreError};
use serde_json::json;

use super::export::Kept;
use super::sources::{self, View};
use super::{Common, exit_code, told};
use crate::cli::{progress, table};

#[derive(Debug, Args)]
pub struct EnrolArgs {
    /// The product that the pictures show
    #[arg(long, value_name = "ID")]
    product: String,
    /// Pictures (PNG, JPEG), folders of them (also of one MVTec or ARC product), a bag (its items with this barcode or none), or
    /// a folder with Kaputt's tables
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Of a bag: the barcode that the product's items carry [default: the product's ID]
    #[arg(long, value_name = "CODE")]
    barcode: Option<String>,
    /// Version of the product's design, from 1 [default: the newest in use]
    #[arg(long, value_name = "N")]
    design: Option<u32>,
    /// Camera that took them
    #[arg(long, default_value = "")]
    camera: String,
    /// Light in which they were taken, in your words
    #[arg(long, default_value = "")]
    light: String,
    /// The product's sides in millimetres, for example 203x101x55 [default: of a bag what its depth shows]
    #[arg(long, value_name = "LxWxH")]
    size_mm: Option<Extent>,
    /// Put them into quarantine: kept, not compared with
    #[arg(long)]
    quarantine: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Folder of products: DIR/<product>/*.png, or the layout of ARC, MVTec, Kaputt, or a table of packshots
    folder: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The product
    #[arg(value_name = "PRODUCT")]
    product: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct RetireArgs {
    /// The product
    #[arg(long, value_name = "ID")]
    product: String,
    /// One reference of it; without, all
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The product
    #[arg(long, value_name = "ID")]
    product: String,
    /// Back to the state after this event of the history (`intact gallery show`); without, before the last change
    #[arg(long, value_name = "EVENT")]
    to: Option<i64>,
    /// Take this design of the product into use in place of the others
    #[arg(long, value_name = "N", conflicts_with = "to")]
    design: Option<u32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    common: Common,
}

pub fn enrol(args: &EnrolArgs) -> Result<ExitCode> {
    ensure!(args.design != Some(0), "--design counts from 1");
    let given: Vec<_> =
        args.paths.iter().map(|path| sources::of_product(&args.product, args.barcode.as_deref(), path)).collect::<Result<_>>()?;
    let total = given.iter().map(|(_, n)| *n as usize).sum();
    let state = if args.quarantine { State::Quarantined } else { State::Active };
    let views = given.into_iter().flat_map(|(views, _)| views);
    add(&args.common, views, total, &Tags { camera: &args.camera, light: &args.light, size: args.size_mm, version: args.design, state })
}

pub fn import(args: &ImportArgs) -> Result<ExitCode> {
    let (layout, found) = sources::of_folder(&args.folder)?;
    if !args.common.json {
        say!("{}: layout {layout}, {} picture(s)", args.folder.display(), found.len());
    }
    let total = found.len();
    add(&args.common, found.into_iter(), total, &Tags { camera: "", light: "", size: None, version: None, state: State::Active })
}

/// What is noted beside every picture of one command.
struct Tags<'a> {
    camera: &'a str,
    light: &'a str,
    /// Measured by the user.
    size: Option<Extent>,
    /// `None`: the newest design in use.
    version: Option<u32>,
    state: State,
}

/// With fewer features a reference cannot be laid over an item.
const FEW_FEATURES: u32 = 8;

/// Enrols picture after picture. A picture that is enrolled already is no failure: the command can be repeated.
fn add(common: &Common, views: impl Iterator<Item = View>, total: usize, tags: &Tags) -> Result<ExitCode> {
    let mut store = common.enrolling()?;
    let bar = progress::bar(total, "pictures");
    let (mut added, mut known, mut refused, mut plain) = (0, 0, Vec::new(), Vec::new());
    for view in views {
        let (from, product) = (view.from.clone(), view.product.clone());
        match add_one(&mut store, view, tags) {
            Ok(record) => {
                added += 1;
                if record.features < FEW_FEATURES {
                    plain.push(format!(
                        "{from}: {} features: too plain, blurred or small to be recognised or compared by its print",
                        record.features
                    ));
                }
                if common.json {
                    let line = json!({"picture": from, "product": record.product, "reference": record.name, "state": record.state, "features": record.features});
                    bar.suspend(|| say!("{line}"));
                }
            }
            Err(Refusal::Known(name)) => {
                known += 1;
                if common.json {
                    let line = json!({"picture": from, "product": product, "reference": name, "state": "known"});
                    bar.suspend(|| say!("{line}"));
                }
            }
            Err(Refusal::Picture(reason)) => {
                if common.json {
                    let line = json!({"picture": from, "product": product, "error": reason});
                    bar.suspend(|| say!("{line}"));
                }
                refused.push(format!("{from}: {reason}"));
            }
            Err(Refusal::Store(error)) => return Err(error.into()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    plain.iter().chain(&refused).for_each(|line| eprintln!("intact: {line}"));
    if !common.json {
        say!("{added} reference(s) enrolled, {known} known already, {} refused; gallery {}", refused.len(), common.url()?);
    }
    Ok(exit_code(refused.len()))
}

enum Refusal {
    /// Enrolled before, under this name.
    Known(String),
    /// This picture is of no use.
    Picture(String),
    /// The gallery failed: going on makes no sense.
    Store(StoreError),
}

fn add_one(store: &mut Store, view: View, tags: &Tags) -> Result<references::ReferenceRecord, Refusal> {
    let (product, kept) = (view.product.clone(), view.kept.clone());
    let name = kept.as_ref().map_or_else(|| view.name.clone(), |kept| Some(kept.name.clone()));
    let known = tags.version.or(kept.as_ref().map(|kept| kept.design));
    let version = known.map_or_else(|| store.design_in_use(&product), Ok)?;
    let exported = kept.as_ref().and_then(|kept| kept.size_mm.as_ref()).and_then(|text| text.parse().ok());
    let heights = kept.as_ref().map_or(Ok(None), Kept::heights).map_err(|e| Refusal::Picture(format!("{e:#}")))?;
    let (camera, light, provenance) = match kept {
        Some(kept) => (kept.camera, kept.light, kept.provenance),
        None => (tags.camera.to_owned(), tags.light.to_owned(), view.from.clone()),
    };
    let cutout = view.cutout().map_err(Refusal::Picture)?;
    let heights = heights.or_else(|| cutout.heights().cloned());
    let cutout = cutout.with_heights(heights).map_err(|e| Refusal::Picture(e.to_string()))?;
    let size = tags.size.or(exported).or(cutout.extent());
    let new = NewReference {
        product,
        name,
        cutout: cutout.with_extent(size),
        camera,
        light,
        provenance,
        version,
        state: tags.state,
        origin: Origin::Enrolled,
        added_by: actor(),
        added_ns: now_ns(),
    };
    store.enrol(&new, &GalleryOptions::default().features).or_else(|error| match error {
        StoreError::Duplicate { name, .. } => again(store, &new, name),
        error => Err(error.into()),
    })
}

/// A picture that is enrolled already: one that is out of use comes into use, and where it was learned a person vouches for it.
fn again(store: &mut Store, new: &NewReference, name: String) -> Result<references::ReferenceRecord, Refusal> {
    let known = store.references(&new.product)?.into_iter().find(|r| r.name == name);
    match known {
        Some(mut record) if record.state != State::Active && new.state == State::Active => {
            let action = if record.origin == Origin::Learned { "confirm" } else { "enrol" };
            store.set_state(&new.product, Some(&name), State::Active, (&new.added_by, action, new.added_ns))?;
            record.state = State::Active;
            Ok(record)
        }
        _ => Err(Refusal::Known(name)),
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Picture { reason, .. } => Refusal::Picture(reason),
            error @ StoreError::ProductName(_) => Refusal::Picture(error.to_string()),
            error => Refusal::Store(error),
        }
    }
}

pub fn actor() -> String {
    std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "intact gallery".into())
}

pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

pub fn list(args: &ListArgs) -> Result<ExitCode> {
    let products = args.common.read()?.products()?;
    if args.common.json {
        products.iter().try_for_each(|p| serde_json::to_string(p).map(|line| say!("{line}")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = table::table(&["product", "active", "quarantined", "retired", "design"]);
    for p in &products {
        rows.add_row(vec![
            p.product.as_str().into(),
            table::number(p.active),
            table::number(p.quarantined),
            table::number(p.retired),
            table::number(p.version),
        ]);
    }
    say!("{rows}");
    Ok(ExitCode::SUCCESS)
}

pub fn show(args: &ShowArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    let (records, history) = (store.references(&args.product)?, store.history(Some(&args.product))?);
    if args.common.json {
        say!("{}", json!({"product": args.product, "references": records, "history": history}));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = table::table(&["reference", "state", "design", "pixels", "features", "from"]);
    for r in &records {
        rows.add_row(vec![
            r.name.as_str().into(),
            r.state.as_str().into(),
            table::number(r.version),
            table::number(format!("{}x{}", r.width, r.height)),
            table::number(r.features),
            r.provenance.as_str().into(),
        ]);
    }
    say!("{rows}");
    for e in history {
        say!("{}", told(&e));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn retire(args: &RetireArgs) -> Result<ExitCode> {
    // A product that is not there must not make an empty gallery.
    args.common.read()?;
    let mut store = args.common.write()?;
    let changed = store.set_state(&args.product, args.reference.as_deref(), State::Retired, (&actor(), "retire", now_ns()))?;
    tell_changed(&args.common, &args.product, "retired", &changed);
    tell_unused(&args.common, &args.product)?;
    Ok(ExitCode::SUCCESS)
}

pub fn rollback(args: &RollbackArgs) -> Result<ExitCode> {
    args.common.read()?;
    let mut store = args.common.write()?;
    let changed = match args.design {
        Some(design) => store.use_design(&args.product, design, &actor(), now_ns())?,
        None => store.roll_back(&args.product, args.to, &actor(), now_ns())?,
    };
    tell_changed(&args.common, &args.product, "rolled_back", &changed);
    tell_unused(&args.common, &args.product)?;
    Ok(ExitCode::SUCCESS)
}

fn tell_changed(common: &Common, product: &str, what: &str, changed: &[String]) {
    if common.json {
        say!("{}", json!({"product": product, what: changed}));
    } else if changed.is_empty() {
        say!("{product}: nothing to change");
    } else {
        say!("{product}: {} reference(s) {}: {}", changed.len(), what.replace('_', " "), changed.join(", "));
    }
}

/// A product none of whose references is in use is not recognised: that may be meant, and should not go unseen.
fn tell_unused(common: &Common, product: &str) -> Result<()> {
    let active = common.read()?.products()?.iter().find(|p| p.product == product).map_or(0, |p| p.active);
    if active == 0 {
        eprintln!(
            "intact: {product} has no reference in use now and is not recognised; `intact gallery rollback --product {product}` takes this back"
        );
    }
    Ok(())
}

pub fn check(args: &CheckArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    let products = store.products()?;
    let bar = progress::bar(products.iter().map(|p| (p.active + p.quarantined + p.retired + p.rejected) as usize).sum(), "pictures");
    let found = store.check_telling(&mut || bar.inc(1))?;
    bar.finish_and_clear();
    if args.common.json {
        say!("{}", json!({"ok": found.is_empty(), "findings": found, "products": products.len()}));
    } else {
        found.iter().for_each(|line| say!("{line}"));
        say!(
            "{}: {} product(s), {}",
            args.common.url()?,
            products.len(),
            if found.is_empty() { "all is well".into() } else { format!("{} finding(s)", found.len()) }
        );
    }
    Ok(exit_code(found.len()))
}

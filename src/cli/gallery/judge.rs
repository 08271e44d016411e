//! What the gallery says of pictures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use captures::load_rgbd;
use clap::Args;
use inspection::{Comparer, EngineKind, Inspector};
use matching::{ANOMALY_THRESHOLD, Cutout, FeatureOptions, FindingKind, Gallery, GalleryOptions, Identification, Judgement, Posed, Scene};
use references::Store;
use references::folder::{self as pictures, Decoded};
use serde::Serialize;
use vision::Rect;

use super::{Common, exit_code};
use crate::cli::progress;

#[derive(Debug, Args)]
pub struct IdentifyArgs {
    /// Pictures (PNG, JPEG)
    #[arg(required = true, value_name = "IMG")]
    images: Vec<PathBuf>,
    /// Products that it can be (a tote's manifest); without, all
    #[arg(long, value_delimiter = ',', value_name = "a,b,c")]
    candidates: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The product that the pictures should show
    #[arg(long, value_name = "ID")]
    product: String,
    /// Pictures (PNG, JPEG)
    #[arg(required = true, value_name = "IMG")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Ranked {
    product: String,
    score: f32,
}

#[derive(Debug, Default, Serialize)]
struct IdentifyLine {
    image: PathBuf,
    ranking: Vec<Ranked>,
    decision: &'static str,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl fmt::Display for IdentifyLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let best: Vec<String> = self.ranking.iter().take(3).map(|r| format!("{} {:.2}", r.product, r.score)).collect();
        write!(f, "{}: {} ({})", self.image.display(), self.decision, best.join(", "))
    }
}

#[derive(Debug, Serialize)]
struct FindingLine {
    kind: &'static str,
    /// x, y, width, height in the picture, pixels.
    bbox: [u32; 4],
    score: f32,
}

/// Units of a set; null: the product has none that its references agree about, or the picture shows none.
#[derive(Debug, Default, Serialize)]
struct Units {
    expected: Option<u32>,
    seen: Option<u32>,
}

#[derive(Debug, Default, Serialize)]
struct VerifyLine {
    image: PathBuf,
    /// Null when nothing could be compared.
    anomaly_score: Option<f32>,
    coverage: f32,
    findings: Vec<FindingLine>,
    explained_away: usize,
    units: Units,
    /// The gallery's own work: perception, which says what could be explained away, is not in it.
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl fmt::Display for VerifyLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let score = self.anomaly_score.map_or_else(|| "not compared".to_owned(), |s| format!("anomaly {s:.2}"));
        let findings: Vec<String> = self.findings.iter().map(|f| format!("{} {:.2}", f.kind, f.score)).collect();
        write!(f, "{}: {score}, coverage {:.2} {}", self.image.display(), self.coverage, findings.join(", "))
    }
}

pub fn identify(args: &IdentifyArgs) -> Result<ExitCode> {
    let candidates = (!args.candidates.is_empty()).then_some(args.candidates.as_slice());
    let gallery = load(&args.common.read()?, candidates)?;
    if let Some(names) = candidates {
        let products = gallery.products();
        let missing: Vec<&str> = names.iter().map(String::as_str).filter(|n| !products.contains_key(n)).collect();
        if !missing.is_empty() {
            eprintln!("intact: not in the gallery, so never recognised: {}", missing.join(", "));
        }
    }
    let bar = progress::bar_of_pictures(args.images.len());
    let mut failed = 0;
    for image in &args.images {
        let started = Instant::now();
        let mut line = IdentifyLine { image: image.clone(), decision: "unknown", ..IdentifyLine::default() };
        match find(&gallery, image, candidates) {
            Ok(found) => {
                line.decision = if found.is_match { "match" } else { "unknown" };
                line.ranking = found.ranking.into_iter().map(|c| Ranked { product: c.product, score: c.score }).collect();
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| eprintln!("intact: {}: {error}", image.display()));
                line.error = Some(error);
            }
        }
        line.ms = started.elapsed().as_secs_f64() * 1e3;
        let told = if args.common.json { Some(serde_json::to_string(&line)?) } else { line.error.is_none().then(|| line.to_string()) };
        bar.suspend(|| told.iter().for_each(|told| say!("{told}")));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(exit_code(failed))
}

pub fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    let gallery = load(&store, Some(std::slice::from_ref(&args.product)))?;
    ensure!(!gallery.is_empty(), "product {} has no active reference in {}", args.product, args.common.url()?);
    let alike = TakenAlike::of(&store, &args.product)?;
    let perception = super::perception_of_one_item()?;
    let comparer = Comparer::load(EngineKind::default())?;
    let bar = progress::bar_of_pictures(args.images.len());
    let mut failed = 0;
    for image in &args.images {
        let started = Instant::now();
        let mut line = VerifyLine { image: image.clone(), ..VerifyLine::default() };
        match compare(&gallery, &args.product, image) {
            Ok(mut found) => {
                settle(&mut found, &comparer)?;
                tell(&mut line, &found);
                if let Some(alike) = &alike {
                    tell_odd(&mut line, alike, image);
                }
                line.ms = started.elapsed().as_secs_f64() * 1e3;
                line.explained_away = explained_away(&found, &perception, image);
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| eprintln!("intact: {}: {error}", image.display()));
                line.error = Some(error);
            }
        }
        let told = if args.common.json { Some(serde_json::to_string(&line)?) } else { line.error.is_none().then(|| line.to_string()) };
        bar.suspend(|| told.iter().for_each(|told| say!("{told}")));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(exit_code(failed))
}

/// The active references as a gallery; what cannot be used is named.
pub fn load(store: &Store, products: Option<&[String]>) -> Result<Gallery> {
    let options = GalleryOptions::default();
    let (enrolled, bad) = store.enrolled(products, &options.features)?;
    bad.iter().for_each(|error| eprintln!("intact: {error}"));
    let (gallery, rejected) = Gallery::new(enrolled, options);
    rejected.iter().for_each(|r| eprintln!("intact: reference {} is left out: {}", r.picture, r.reason));
    Ok(gallery.with_embedder(::gallery::built_in_embedder(EngineKind::default())?))
}

fn find(gallery: &Gallery, image: &Path, candidates: Option<&[String]>) -> Result<Identification, String> {
    let picture = pictures::read_whole(image)?;
    let found = if picture.is_cut_out {
        gallery.prepare(picture.cutout).map(|item| gallery.identify(&item, candidates))
    } else {
        Scene::of(picture.cutout, &FeatureOptions::of_a_scene()).and_then(|scene| gallery.search(&scene, candidates))
    };
    found.map_err(|e| e.to_string())
}

/// What was found of one picture.
struct Compared {
    judgement: Judgement,
    /// Where the cutout lies in the picture.
    rect: Rect,
}

/// What a picture of a product differs in.
fn compare(gallery: &Gallery, product: &str, image: &Path) -> Result<Compared, String> {
    let Found { cutout, rect, is_found } = find_product(gallery, product, image)?;
    let item = gallery.prepare(cutout).map_err(|e| e.to_string())?;
    let mut judgement = gallery.judge(&item, product).map_err(|e| e.to_string())?;
    // In a whole picture in which the item is not found, anything may look like a unit.
    judgement.units = judgement.units.filter(|_| is_found);
    Ok(Compared { judgement, rect })
}

/// A product in a picture.
pub struct Found {
    pub cutout: Cutout,
    /// Where the cutout lies in the picture.
    pub rect: Rect,
    /// False: the product was not found, and the cutout is the whole picture.
    pub is_found: bool,
}

/// Cuts a product out of a picture: along its own mask or plain border, else where its references say that it lies.
pub fn find_product(gallery: &Gallery, product: &str, image: &Path) -> Result<Found, String> {
    let Decoded { cutout, rect, is_cut_out } = pictures::read_whole(image)?;
    let located = if is_cut_out { None } else { locate(gallery, product, &cutout).map_err(|e| e.to_string())? };
    let is_found = is_cut_out || located.is_some();
    let (cutout, rect) = located.unwrap_or((cutout, rect));
    Ok(Found { cutout, rect, is_found })
}

fn locate(gallery: &Gallery, product: &str, picture: &Cutout) -> Result<Option<(Cutout, Rect)>, matching::MatchError> {
    let scene = Scene::of(picture.clone(), &FeatureOptions::of_a_scene())?;
    Ok(gallery.locate(&scene, product)?.map(|located| (located.cutout, located.rect)))
}

fn tell(line: &mut VerifyLine, Compared { judgement, rect }: &Compared) {
    let in_picture = |b: &Rect| [rect.x + b.x, rect.y + b.y, b.w, b.h];
    line.anomaly_score = judgement.anomaly_score();
    line.coverage = judgement.coverage();
    line.findings = judgement.findings().map(|f| FindingLine { kind: f.kind.name(), bbox: in_picture(&f.bbox), score: f.score }).collect();
    if let Some(units) = &judgement.units {
        line.units = Units { expected: Some(units.expected), seen: Some(units.seen) };
    }
}

/// A product whose references are taken alike, and how they were taken: only a picture taken alike can be judged by them.
struct TakenAlike {
    posed: Posed,
    /// All references are cut out of their background.
    all_cut_out: bool,
    /// Sizes of those that are not.
    whole: Vec<(u32, u32)>,
}

impl TakenAlike {
    /// `None` when they are too few to show what varies.
    fn of(store: &Store, product: &str) -> Result<Option<Self>> {
        let (enrolled, _) = store.enrolled(Some(&[product.to_owned()]), &GalleryOptions::default().features)?;
        let cutouts: Vec<Cutout> = enrolled.into_iter().map(|e| e.picture.cutout).collect();
        let whole: Vec<_> = cutouts.iter().filter(|c| !c.is_cut_out()).map(size_of).collect();
        Ok(Posed::learn(&cutouts)?.map(|posed| Self { posed, all_cut_out: whole.is_empty(), whole }))
    }

    /// Whether the picture shows the item as the references do: cut out, or in a whole picture of their size.
    fn is_like(&self, cutout: &Cutout) -> bool {
        if cutout.is_cut_out() { self.all_cut_out } else { self.whole.contains(&size_of(cutout)) }
    }
}

fn size_of(cutout: &Cutout) -> (u32, u32) {
    (cutout.color().width(), cutout.color().height())
}

/// What patches that no reference has add to what the comparison found: all there is of what cannot be registered.
fn tell_odd(line: &mut VerifyLine, alike: &TakenAlike, image: &Path) {
    // Whether the picture can be read was seen before.
    let Ok(Decoded { cutout, rect, .. }) = pictures::read_whole(image) else { return };
    let Some(odd) = Some(&cutout).filter(|c| alike.is_like(c)).and_then(|c| alike.posed.judge(c).ok().flatten()) else { return };
    match line.anomaly_score {
        Some(score) if score >= odd.score => return,
        // What was registered was compared as far as its coverage says; patches alone look at all of the picture.
        Some(_) => {}
        None => line.coverage = 1.0,
    }
    line.anomaly_score = Some(odd.score);
    if let Some(b) = odd.worst_region().filter(|_| odd.score > ANOMALY_THRESHOLD) {
        let bbox = [rect.x + b.x, rect.y + b.y, b.w, b.h];
        line.findings.push(FindingLine { kind: FindingKind::ChangedRegion.name(), bbox, score: odd.score });
    }
}

/// Calls changes additions that are no damage beside the reference; perception is not asked.
fn settle(found: &mut Compared, comparer: &Comparer) -> Result<()> {
    if let Some(differs) = &mut found.judgement.discrepancy {
        let verdict = comparer.judge(&differs.pair.bytes(None)?, None)?;
        differs.settle(&verdict.map);
    }
    Ok(())
}

/// How many of perception's findings above its threshold lie where the item shows what its reference shows.
fn explained_away(Compared { judgement, rect }: &Compared, perception: &Inspector, image: &Path) -> usize {
    let Some(found) = &judgement.discrepancy else { return 0 };
    // Perception is a second opinion here: where it cannot judge the picture, it explains nothing.
    let Ok(frame) = load_rgbd(image, None, None) else { return 0 };
    let Ok(inspection) = perception.inspect(&frame, None, &mut |_| {}) else { return 0 };
    let defects = inspection.items.iter().flat_map(|item| &item.defects).filter(|d| d.score > inspection.damage_threshold);
    defects.filter_map(|d| d.bbox).filter(|bbox| found.explains(*bbox, *rect)).count()
}

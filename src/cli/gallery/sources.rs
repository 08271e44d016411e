//! What can be enrolled: pictures, folders in several layouts, and the items of a bag.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use camera::{BagItem, items_of_bag};
use captures::load_color;
use datasets::kaputt_references;
use inspection::{EmptyTray, Inspector};
use intact_msgs::msg::ItemArrival;
use matching::{Cutout, Extent};
use references::Source;
use references::folder as pictures;

use super::export::{Kept, kept};

/// One picture to be enrolled.
pub struct View {
    /// The product it shows.
    pub product: String,
    /// Name of the reference.
    pub name: Option<String>,
    /// Where it comes from, for people and for the history.
    pub from: String,
    /// What an export kept of it.
    pub kept: Option<Kept>,
    picture: Picture,
}

enum Picture {
    File { path: PathBuf, mask: Option<PathBuf> },
    Seen(Result<Cutout, String>),
}

impl View {
    /// The product in the picture.
    ///
    /// # Errors
    /// One sentence.
    pub fn cutout(self) -> Result<Cutout, String> {
        match self.picture {
            Picture::File { path, mask: None } => pictures::read(&path),
            Picture::File { path, mask: Some(mask) } => masked(&path, &mask),
            Picture::Seen(cutout) => cutout,
        }
    }
}

impl From<Source> for View {
    fn from(source: Source) -> Self {
        Self {
            product: source.product,
            name: source.path.file_stem().map(|n| n.to_string_lossy().into_owned()),
            from: source.path.display().to_string(),
            kept: None,
            picture: Picture::File { path: source.path, mask: source.mask },
        }
    }
}

/// The picture with its mask; a mask of another size belongs to another picture, and is left out.
fn masked(path: &Path, mask: &Path) -> Result<Cutout, String> {
    let color = load_color(path).map_err(|e| e.to_string())?;
    let mask = image::open(mask).map_err(|e| format!("{}: {e}", mask.display()))?.into_luma16();
    if (mask.width(), mask.height()) != (color.width(), color.height()) {
        return pictures::read(path);
    }
    Cutout::masked(color, mask.as_raw().iter().map(|v| *v > 0)).map_err(|e| e.to_string())
}

/// The views of a product at `path`, and how many there are, when that is known beforehand.
///
/// # Errors
/// When the path holds nothing that can be enrolled.
pub fn of_product(product: &str, barcode: Option<&str>, path: &Path) -> Result<(Box<dyn Iterator<Item = View>>, u64)> {
    if is_bag(path) {
        let n = bag::info(path)?.topics.iter().filter(|t| t.type_name.ends_with("/ItemArrival")).map(|t| t.messages).sum();
        return Ok((Box::new(of_bag(product, barcode.unwrap_or(product), path)?), n));
    }
    let sources = if !path.is_dir() {
        ensure!(path.exists(), "{} does not exist", path.display());
        vec![Source { product: product.into(), path: path.to_path_buf(), mask: None }]
    } else if has_kaputt_tables(path) {
        let all = kaputt_references(path)?;
        let known = || all.keys().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let list =
            all.get(product).with_context(|| format!("{} has no references of `{product}`; it has {}, …", path.display(), known()))?;
        list.iter().map(|r| Source { product: product.into(), path: r.picture.clone(), mask: r.mask.clone() }).collect()
    } else {
        let files = files_of(path)?;
        if files.is_empty() {
            of_one(product, path)?
        } else {
            files.into_iter().map(|path| Source { product: product.into(), path, mask: None }).collect()
        }
    };
    let n = sources.len() as u64;
    Ok((Box::new(sources.into_iter().map(View::from)), n))
}

/// The layout of a folder of products, and its views; those of an export as they were.
///
/// # Errors
/// When the folder has no layout that is known, or its list of what was exported cannot be read.
pub fn of_folder(folder: &Path) -> Result<(String, Vec<View>)> {
    let mut kept = kept(folder)?;
    let (layout, sources) = layout_of(folder)?;
    let view = |source: Source| View { kept: kept.remove(&source.path), ..View::from(source) };
    Ok((layout, sources.into_iter().map(view).collect()))
}

fn layout_of(folder: &Path) -> Result<(String, Vec<Source>)> {
    if is_bag(folder) {
        bail!("{} is a bag: enrol its items with `intact gallery enrol --product ID {}`", folder.display(), folder.display());
    }
    if has_kaputt_tables(folder) {
        let all = kaputt_references(folder)?.into_iter();
        let sources = all
            .flat_map(|(product, list)| list.into_iter().map(move |r| Source { product: product.clone(), path: r.picture, mask: r.mask }));
        return Ok(("kaputt".into(), sources.collect()));
    }
    let (layout, sources) = references::find(folder)?;
    Ok((serde_json::to_value(layout)?.as_str().unwrap_or_default().to_owned(), sources))
}

/// One product of a folder of products.
fn of_one(product: &str, path: &Path) -> Result<Vec<Source>> {
    let (_, mut all) = references::find(path).with_context(|| format!("{} holds no PNG or JPEG picture", path.display()))?;
    let known: BTreeSet<String> = all.iter().map(|s| s.product.clone()).collect();
    all.retain(|s| s.product == product);
    let some = || known.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    ensure!(!all.is_empty(), "{} has no pictures of `{product}`; it has {}, …", path.display(), some());
    Ok(all)
}

/// The pictures of one product's folder: of its `train/good` where it has one (MVTec), its `top` picture where there is one
/// (ARC: the others are captures), else all.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>> {
    let good = dir.join("train/good");
    let dir = if good.is_dir() { good } else { dir.to_path_buf() };
    let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<_>>()?;
    files.retain(|p| pictures::is_picture(p));
    files.sort();
    Ok(references::top_of(&dir).map_or(files, |top| vec![top]))
}

fn has_kaputt_tables(dir: &Path) -> bool {
    let table = |dir: &Path| ["train", "validation", "test"].iter().any(|s| dir.join(format!("reference-{s}.parquet")).is_file());
    table(dir) || table(&dir.join("datasets"))
}

fn is_bag(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".zstd").unwrap_or(&name);
    if path.is_dir() { path.join("metadata.yaml").is_file() } else { name.ends_with(".mcap") || name.ends_with(".db3") }
}

/// The items of a bag that carry this barcode, or none.
///
/// # Errors
/// When the bag cannot be read, or all of its items carry other barcodes.
fn of_bag(product: &str, barcode: &str, path: &Path) -> Result<impl Iterator<Item = View> + use<>> {
    let (product, barcode, bag) = (product.to_owned(), barcode.to_owned(), path.display().to_string());
    let codes = barcodes(path)?;
    let others: BTreeSet<&str> = codes.iter().map(String::as_str).filter(|c| !c.is_empty() && *c != barcode).collect();
    ensure!(
        codes.is_empty() || codes.iter().any(|c| c.is_empty() || *c == barcode),
        "no item of {bag} carries the barcode `{barcode}`; they carry {}: name it with --barcode",
        others.into_iter().take(5).collect::<Vec<_>>().join(", ")
    );
    let mut tray: Option<EmptyTray> = None;
    let perception = super::perception_of_one_item()?;
    let items = items_of_bag(path)?;
    Ok(items.filter_map(move |item| {
        let (name, seen) = match item {
            Ok(item) if !item.arrival.barcode.is_empty() && item.arrival.barcode != barcode => return None,
            Ok(item) => {
                if tray.is_none() {
                    tray = item.empty_tray.clone().map(EmptyTray::new);
                }
                (item.arrival.item_id.clone(), cut_out(&item, tray.as_ref(), &perception))
            }
            Err(why) => (String::new(), Err(why)),
        };
        let from = if name.is_empty() { bag.clone() } else { format!("{bag}#{name}") };
        Some(View { product: product.clone(), name: (!name.is_empty()).then_some(name), from, kept: None, picture: Picture::Seen(seen) })
    }))
}

/// The barcodes of a bag's items, as they were read.
fn barcodes(path: &Path) -> Result<Vec<String>> {
    let bag = bag::Bag::open(path)?;
    let arrivals = |t: &&bag::TopicInfo| t.type_name.ends_with("/ItemArrival");
    let topics: Vec<String> = bag.topics().iter().filter(arrivals).map(|t| t.name.clone()).collect();
    ensure!(!topics.is_empty(), "{} announces no items (intact_msgs/msg/ItemArrival)", path.display());
    let messages = bag.messages_with(&bag::ReadOptions { topics, ..Default::default() });
    Ok(messages.flatten().filter_map(|m| m.decode::<ItemArrival>().ok()).map(|a| a.barcode).collect())
}

/// What perception makes of the item, as in the cell. Only one item that shows no damage can become a reference.
fn cut_out(item: &BagItem, tray: Option<&EmptyTray>, perception: &Inspector) -> Result<Cutout, String> {
    let seen = perception.inspect(&item.frame, tray, &mut |_| {}).map_err(|e| e.to_string())?;
    let [one] = seen.items.as_slice() else {
        return Err(format!("{} items are in view, a reference shows one", seen.items.len()));
    };
    if one.damage_score > seen.damage_threshold {
        return Err(format!(
            "perception sees damage ({:.2}, threshold {:.2}); if it is pristine all the same, enrol a picture file of it",
            one.damage_score, seen.damage_threshold
        ));
    }
    let cutout = Cutout::of_label(&item.frame.color, &seen.mask, one.id, one.bbox).map_err(|e| e.to_string())?;
    let quality = &one.quality;
    let is_partial = quality.clipped || quality.occluded || quality.depth_missing || quality.depth_unit_suspect;
    let heights = one.heights.clone().filter(|_| !quality.depth_unit_suspect);
    cutout.with_extent(Extent::of_m(one.size_m).filter(|_| !is_partial)).with_heights(heights).map_err(|e| e.to_string())
}

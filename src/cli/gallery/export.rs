//! A gallery as a folder of pictures, and what the pictures do not say beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use references::folder as pictures;
use references::{ReferenceRecord, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vision::HeightMap;

use super::{Common, exit_code};
use crate::cli::progress;

/// One line a picture: what `import` needs to enrol it as it was.
const LIST: &str = "references.jsonl";

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder to write to
    folder: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// What a picture's file does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The file, from the folder on.
    file: PathBuf,
    /// Name of the reference.
    pub name: String,
    /// Version of the product's design.
    pub design: u32,
    /// Which camera took it.
    pub camera: String,
    /// Where it came from.
    pub provenance: String,
    /// In which light; not in lists of before.
    #[serde(default)]
    pub light: String,
    /// The product's sides, millimetres.
    #[serde(default)]
    pub size_mm: Option<String>,
    /// Heights over the support, PNG of 16 bits in millimetres, from the folder on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heights: Option<PathBuf>,
}

impl Kept {
    fn of(record: ReferenceRecord, file: PathBuf, heights: Option<PathBuf>) -> Kept {
        let ReferenceRecord { name, version, camera, provenance, light, size_mm, .. } = record;
        Kept { file, name, design: version, camera, provenance, light, size_mm, heights }
    }

    /// The heights that were exported beside the picture.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn heights(&self) -> Result<Option<HeightMap>> {
        let Some(path) = &self.heights else { return Ok(None) };
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        pictures::decode_heights(&bytes).map(Some).map_err(anyhow::Error::msg).with_context(|| path.display().to_string())
    }
}

pub fn export(args: &ExportArgs) -> Result<ExitCode> {
    let store = args.common.read()?;
    // What was exported before, or is somebody else's, would be imported with it.
    let has_files = args.folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!has_files, "{} is not empty; name a new folder, nothing is overwritten", args.folder.display());
    let (mut list, mut refused) = (Vec::new(), Vec::new());
    let products = store.products()?;
    let bar = progress::bar(products.iter().map(|p| p.active as usize).sum(), "pictures");
    for product in products {
        let active = store.references(&product.product)?.into_iter().filter(|r| r.state == State::Active);
        let mut taken = BTreeSet::new();
        for record in active {
            bar.inc(1);
            // A gallery that is damaged in part gives the rest.
            let cutout = match store.picture(&record.product, &record.name) {
                Ok(cutout) => cutout,
                Err(error) => {
                    refused.push(format!("{}/{} is left out: {error}", record.product, record.name));
                    continue;
                }
            };
            let name = format!("{}.png", free_file_name(&record.name, &mut taken));
            let file = Path::new(&record.product).join(&name);
            write(&args.folder.join(&file), &pictures::encode(&cutout).map_err(anyhow::Error::msg)?)?;
            let heights = cutout.heights().map(|_| Path::new(&record.product).join("heights").join(&name));
            if let (Some(path), Some(map)) = (&heights, cutout.heights()) {
                write(&args.folder.join(path), &pictures::encode_heights(map).map_err(anyhow::Error::msg)?)?;
            }
            list.push(serde_json::to_string(&Kept::of(record, file, heights))? + "\n");
        }
    }
    bar.finish_and_clear();
    write(&args.folder.join(LIST), list.concat().as_bytes())?;
    refused.iter().for_each(|line| eprintln!("intact: {line}"));
    if args.common.json {
        say!("{}", json!({"folder": args.folder, "written": list.len(), "left_out": refused.len()}));
    } else {
        say!("{} reference(s) in {}", list.len(), args.folder.display());
    }
    Ok(exit_code(refused.len()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes)).with_context(|| path.display().to_string())
}

/// What an export wrote beside its pictures, by the picture's path; empty where there is no such list.
///
/// # Errors
/// When the list is there and cannot be read.
pub fn kept(folder: &Path) -> Result<BTreeMap<PathBuf, Kept>> {
    let path = folder.join(LIST);
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = |(n, line): (usize, &str)| -> Result<(PathBuf, Kept)> {
        let mut kept: Kept = serde_json::from_str(line).with_context(|| format!("{} line {}", path.display(), n + 1))?;
        kept.heights = kept.heights.map(|heights| folder.join(heights));
        Ok((folder.join(&kept.file), kept))
    };
    text.lines().enumerate().map(line).collect()
}

/// A name may come from a file of another system: nothing in it may leave the folder. Two names may become one by that, or on a disk that
/// does not tell case.
fn free_file_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches('.');
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| taken.insert(name.to_lowercase()));
    free.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_gets_a_file_of_its_own_inside_the_folder() {
        let mut taken = BTreeSet::new();
        let files = ["front 1", "front_1", "FRONT_1", "../../etc", "0000"].map(|name| free_file_name(name, &mut taken));
        assert_eq!(files, ["front_1", "front_1-2", "FRONT_1-3", "_.._etc", "0000"]);
    }
}

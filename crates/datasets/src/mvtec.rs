//! The folders of MVTec AD: `train/good`, `test/<type>`, `ground_truth/<type>/<name>_mask.png`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::DatasetError;
use crate::sample::{Reference, Sample};

/// Files of a folder by name; none when there is no such folder.
fn entries(dir: &Path, folders: bool) -> Result<Vec<PathBuf>, DatasetError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let broken = |e: std::io::Error| DatasetError::File { path: dir.to_owned(), reason: e.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(broken)? {
        let path = entry.map_err(broken)?.path();
        let is_picture =
            path.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e.to_ascii_lowercase().as_str(), "png" | "jpg" | "jpeg"));
        if if folders { path.is_dir() } else { is_picture } {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The pictures under `test`; those under `train/good` are the references of each.
pub(crate) fn read(root: &Path) -> Result<Vec<Sample>, DatasetError> {
    let kinds = entries(&root.join("test"), true)?;
    if kinds.is_empty() {
        let reason = "it has no folders test/<type>; name one category, such as `bottle`".to_owned();
        return Err(DatasetError::Layout { path: root.to_owned(), format: "mvtec", reason });
    }
    let good = entries(&root.join("train").join("good"), false)?;
    let references: Arc<[Reference]> = good.into_iter().map(|picture| Reference { picture, mask: None }).collect();
    let category = root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut samples = Vec::new();
    for kind in kinds {
        let kind_name = kind.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let damaged = kind_name != "good";
        for color in entries(&kind, false)? {
            let truth = root.join("ground_truth").join(&kind_name);
            let masks = [format!("{}_mask.png", name(&color)), format!("{}.png", name(&color))];
            let id = format!("{kind_name}/{}", name(&color));
            samples.push(Sample {
                damage_mask: masks.iter().map(|m| truth.join(m)).find(|p| damaged && p.is_file()),
                damaged,
                major: damaged,
                types: if damaged { vec![kind_name.clone()] } else { Vec::new() },
                family: category.clone(),
                references: references.clone(),
                ..Sample::bare(id.clone(), id, color)
            });
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_category_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("nut");
        for file in ["train/good/0.png", "test/good/0.png", "test/crack/1.png", "ground_truth/crack/1_mask.png", "test/crack/notes.txt"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), b"").unwrap();
        }
        let samples = read(&root).unwrap();
        assert_eq!(
            samples.iter().map(|s| (s.id.as_str(), s.damaged, s.damage_mask.is_some())).collect::<Vec<_>>(),
            [("crack/1", true, true), ("good/0", false, false)]
        );
        assert_eq!((samples[0].references.len(), samples[0].types.as_slice()), (1, ["crack".to_owned()].as_slice()));
        assert!(read(dir.path()).unwrap_err().to_string().contains("one category"));
    }
}

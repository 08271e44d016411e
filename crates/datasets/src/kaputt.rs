//! Kaputt's tables, and the booth's, which say more in the same form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sample::{DamageSize, Depth, Reference, Sample, Shared, Split};
use crate::{DatasetError, SHARED_FILE, Table};

/// Where a table lies: at the root, or in `datasets/`.
fn table_path(root: &Path, kind: &str, split: Split) -> Option<PathBuf> {
    let name = format!("{kind}-{}.parquet", split.name());
    [root.join(&name), root.join("datasets").join(&name)].into_iter().find(|p| p.is_file())
}

/// Finds the files of a table in both of Kaputt's layouts.
struct Files<'a> {
    root: &'a Path,
    split: Split,
}

impl Files<'_> {
    /// The file that a column names: relative to the root, or in `<kind>-<what>/data/<split>/<kind>-data/<what>/`.
    fn find(&self, kind: &str, what: &str, named: Option<&str>, id: &str, extensions: &[&str]) -> Option<PathBuf> {
        if let Some(path) = named.map(|n| self.root.join(n)).filter(|p| p.is_file()) {
            return Some(path);
        }
        let folder = self.root.join(format!("{kind}-{what}")).join("data").join(self.split.name()).join(format!("{kind}-data")).join(what);
        let own = named.and_then(|n| Path::new(n).file_name()).map(|n| folder.join(n));
        own.into_iter().chain(extensions.iter().map(|e| folder.join(format!("{id}.{e}")))).find(|p| p.is_file())
    }
}

/// Kaputt's samples of one split.
pub(crate) fn read(root: &Path, split: Split) -> Result<Vec<Sample>, DatasetError> {
    let missing = |reason: String| DatasetError::Layout { path: root.to_owned(), format: "kaputt", reason };
    let query = table_path(root, "query", split)
        .ok_or_else(|| missing(format!("query-{}.parquet is neither there nor in datasets/", split.name())))?;
    let table = Table::read(&query)?;
    let references = references(root, split)?;
    let files = Files { root, split };
    let none: Arc<[Reference]> = Arc::from(Vec::new());
    (0..table.len())
        .map(|row| {
            let id = table.required("capture_id", row)?.to_owned();
            let item = table.required("item_identifier", row)?.to_owned();
            let text = |column: &str| table.text(column, row).unwrap_or_default().to_owned();
            let color = files
                .find("query", "image", table.text("query_image", row), &id, &["jpg", "png"])
                .ok_or_else(|| missing(format!("no picture of capture `{id}`")))?;
            let number = |column: &str| table.text(column, row).and_then(|v| v.parse().ok());
            Ok(Sample {
                mask: files.find("query", "mask", table.text("query_mask", row), &id, &["png"]),
                damaged: table.truth("defect", row).unwrap_or(false),
                major: table.truth("major_defect", row).unwrap_or(false),
                types: types(table.text("defect_types", row)),
                material: text("item_material"),
                family: text("family"),
                lookalike: text("lookalike"),
                operator: text("operator"),
                size: DamageSize { px: number("damage_px"), mm: number("damage_mm") },
                one_item: table.truth("one_item", row).unwrap_or(true),
                references: references.get(&item).unwrap_or(&none).clone(),
                ..Sample::bare(id, item, color)
            })
        })
        .collect()
}

/// `penetration,spillage` as Kaputt writes it.
fn types(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
}

/// The reference pictures of a folder in Kaputt's layout by item, of all its splits; empty when it has no table of them. Where the tables
/// name products, as the booth's do, by product.
///
/// # Errors
/// When a table cannot be read.
pub fn kaputt_references(root: &Path) -> Result<BTreeMap<String, Vec<Reference>>, DatasetError> {
    let mut all: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        let product_of = products(root, split)?;
        for (item, list) in references(root, split)? {
            let known = all.entry(product_of.get(&item).cloned().unwrap_or(item)).or_default();
            known.extend(list.iter().filter(|r| !known.contains(r)).cloned().collect::<Vec<_>>());
        }
    }
    Ok(all)
}

/// Products by item; none when the split has no table of captures, or that names no products.
fn products(root: &Path, split: Split) -> Result<BTreeMap<String, String>, DatasetError> {
    let Some(path) = table_path(root, "query", split) else { return Ok(BTreeMap::new()) };
    let table = Table::read(&path)?;
    let named =
        (0..table.len()).filter_map(|row| Some((table.text("item_identifier", row)?.to_owned(), table.text("product", row)?.to_owned())));
    Ok(named.collect())
}

/// References by item; none when the split has no table of them.
fn references(root: &Path, split: Split) -> Result<BTreeMap<String, Arc<[Reference]>>, DatasetError> {
    let Some(path) = table_path(root, "reference", split) else { return Ok(BTreeMap::new()) };
    let table = Table::read(&path)?;
    let files = Files { root, split };
    let mut by_item: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for row in 0..table.len() {
        let item = table.required("item_identifier", row)?;
        let find = |what: &str| {
            let column = table.text(&format!("reference_{what}"), row);
            files.find("reference", what, column, item, &["jpg", "png"])
        };
        // The crop shows the item alone; the whole picture is the second choice.
        if let Some(picture) = find("crop").or_else(|| find("image")) {
            by_item.entry(item.to_owned()).or_default().push(Reference { picture, mask: find("mask") });
        }
    }
    Ok(by_item.into_iter().map(|(item, list)| (item, Arc::from(list))).collect())
}

/// The booth's samples: Kaputt's with depth, damage a pixel, and what the captures share.
pub(crate) fn read_booth(root: &Path, split: Split) -> Result<(Vec<Sample>, Shared), DatasetError> {
    let path = root.join(SHARED_FILE);
    let missing = |reason: String| DatasetError::Layout { path: root.to_owned(), format: "booth", reason };
    let text = std::fs::read_to_string(&path).map_err(|e| missing(format!("{SHARED_FILE}: {e}")))?;
    let shared: Shared = serde_json::from_str(&text).map_err(|e| missing(format!("{SHARED_FILE}: {e}")))?;
    let mut samples = read(root, split).map_err(|e| match e {
        DatasetError::Layout { reason, .. } => missing(format!("{reason}; it holds the split `{}`", shared.split.name())),
        other => other,
    })?;
    let query = table_path(root, "query", split).ok_or_else(|| missing("its table has gone".to_owned()))?;
    let table = Table::read(&query)?;
    for (row, sample) in samples.iter_mut().enumerate() {
        let file = |column: &str| table.text(column, row).map(|name| root.join(name)).filter(|p| p.is_file());
        sample.depth = file("query_depth").map(|path| Depth { path, unit_m: shared.depth_unit_m });
        sample.damage_mask = file("query_damage");
        let camera = table.text("camera", row).unwrap_or_default();
        sample.fx_fy_cx_cy = four(camera);
        sample.camera = shared.cameras.iter().position(|c| c.name == camera).unwrap_or(0);
    }
    Ok((samples, shared))
}

/// `fx,fy,cx,cy`.
fn four(text: &str) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = text.split(',').filter_map(|v| v.trim().parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Column, Format, TableWriter, read as read_any};

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|v| Some((*v).to_owned())).collect()
    }

    #[test]
    fn both_layouts_of_kaputt_are_read() {
        for (tables, picture) in [("", "some/where/q1.jpg"), ("datasets", "query-image/data/test/query-data/image/q1.jpg")] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            std::fs::create_dir_all(root.join(tables)).unwrap();
            std::fs::create_dir_all(root.join(picture).parent().unwrap()).unwrap();
            std::fs::write(root.join(picture), b"").unwrap();
            TableWriter::default()
                .column(Column::Text("capture_id", some(&["q1"])))
                .column(Column::Text("item_identifier", some(&["i1"])))
                .column(Column::Truth("defect", vec![true]))
                .column(Column::Truth("major_defect", vec![false]))
                .column(Column::Text("defect_types", some(&["spillage, superficial"])))
                .column(Column::Text("item_material", some(&["cardboard"])))
                .column(Column::Text("query_image", some(&["some/where/q1.jpg"])))
                .write(&root.join(tables).join("query-test.parquet"))
                .unwrap();
            let (samples, _) = read_any(root, Format::Kaputt, Split::Test).unwrap();
            assert_eq!(samples.len(), 1, "{tables}");
            assert_eq!((samples[0].color.clone(), samples[0].damaged, samples[0].major), (root.join(picture), true, false));
            assert_eq!(samples[0].types, ["spillage", "superficial"]);
            assert!(kaputt_references(root).unwrap().is_empty());
            let error = read_any(root, Format::Kaputt, Split::Train).unwrap_err().to_string();
            assert!(error.contains("query-train.parquet"), "{error}");
            let error = read_any(root, Format::Booth, Split::Test).unwrap_err().to_string();
            assert!(error.contains("booth.json"), "{error}");
        }
    }

    #[test]
    fn references_of_all_splits_are_listed_once_with_their_masks() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in ["r/a.png", "r/a-mask.png", "r/b.jpg"] {
            std::fs::create_dir_all(root.join("r")).unwrap();
            std::fs::write(root.join(file), b"").unwrap();
        }
        for (split, items, pictures) in
            [("train", ["tea", "jam"], ["r/a.png", "r/b.jpg"]), ("test", ["tea", "tea"], ["r/a.png", "r/gone.png"])]
        {
            TableWriter::default()
                .column(Column::Text("item_identifier", some(&items)))
                .column(Column::Text("reference_image", some(&pictures)))
                .column(Column::Text("reference_mask", some(&["r/a-mask.png", "r/none.png"])))
                .write(&root.join(format!("reference-{split}.parquet")))
                .unwrap();
        }
        let found = kaputt_references(root).unwrap();
        let tea = Reference { picture: root.join("r/a.png"), mask: Some(root.join("r/a-mask.png")) };
        assert_eq!(found["tea"], [tea]);
        assert_eq!(found["jam"], [Reference { picture: root.join("r/b.jpg"), mask: None }]);
        // The booth's captures say which product each item is.
        TableWriter::default()
            .column(Column::Text("item_identifier", some(&["tea", "jam"])))
            .column(Column::Text("product", some(&["P1", "P1"])))
            .write(&root.join("query-train.parquet"))
            .unwrap();
        let found = kaputt_references(root).unwrap();
        assert_eq!(found["P1"].len(), 2, "{found:?}");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["P1", "tea"], "items of the other split name no product");
    }
}

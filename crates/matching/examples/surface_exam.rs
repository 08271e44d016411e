//! How well what is learnt from pristine pictures tells the others, on a folder in MVTec AD's layout.
//!
//! `cargo run -p matching --example surface_exam -- FOLDER [PICTURES]`: AUROC of the patch memory, of the learnt surface and of
//! both together, for each folder of `test` against `test/good`; at most PICTURES of each.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use evaluation::auroc;
use matching::{Cutout, Posed};
use rayon::prelude::*;
use vision::ColorImage;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().context("give a folder that holds train/good and test")?);
    let limit = args.next().map_or(Ok(usize::MAX), |n| n.parse())?;
    let train = read(&root.join("train/good"), usize::MAX)?;
    let from = Instant::now();
    let posed = Posed::learn(&train)?.context("too few pictures in train/good")?;
    println!("{} pictures, {}; learnt in {:.1} s", train.len(), posed.about(), from.elapsed().as_secs_f32());
    let judge = |pictures: Vec<Cutout>| -> Result<Vec<[f32; 3]>> {
        pictures
            .par_iter()
            .map(|p| {
                let (a, b) = posed.opinions(p)?;
                Ok([a.unwrap_or(0.0), b.unwrap_or(0.0), posed.judge(p)?.map_or(0.0, |v| v.score)])
            })
            .collect()
    };
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root.join("test"))?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    folders.sort();
    let from = Instant::now();
    let good = judge(read(&root.join("test/good"), limit)?)?;
    // Each is looked at twice, and several at once.
    println!("{} pristine pictures judged side by side in {:.1} s of wall time", good.len(), from.elapsed().as_secs_f32());
    let mut all = Vec::new();
    for folder in folders.iter().filter(|f| !f.ends_with("good")) {
        let bad = judge(read(folder, limit)?)?;
        row(&folder.file_name().unwrap_or_default().to_string_lossy(), &good, &bad);
        all.extend(bad);
    }
    row("all", &good, &all);
    Ok(())
}

fn row(name: &str, good: &[[f32; 3]], bad: &[[f32; 3]]) {
    let of = |k: usize| {
        let of = |all: &[[f32; 3]], damaged| all.iter().map(move |s| (f64::from(s[k]), damaged)).collect::<Vec<_>>();
        auroc(of(good, false).into_iter().chain(of(bad, true))).unwrap_or(f64::NAN)
    };
    println!("{name:16} {:4} of {:4}: memory {:.3}, surface {:.3}, both {:.3}", bad.len(), good.len() + bad.len(), of(0), of(1), of(2));
}

fn read(folder: &Path, limit: usize) -> Result<Vec<Cutout>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).with_context(|| folder.display().to_string())?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    paths.sort();
    let step = paths.len().div_ceil(limit).max(1);
    paths
        .into_par_iter()
        .step_by(step)
        .map(|path| {
            let rgb = image::open(&path).with_context(|| path.display().to_string())?.into_rgb8();
            Ok(Cutout::whole(ColorImage::new(rgb.width(), rgb.height(), rgb.into_raw())?))
        })
        .collect()
}

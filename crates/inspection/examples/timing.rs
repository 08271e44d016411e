//! Times the stages of an inspection on generated 1280×720 frames, with and without the empty tray's picture, and the bare network beside
//! it where one scores.
//!
//! ```text
//! cargo run -p inspection --example timing -- [--frames 40] [--size 1280x720] [--model classical|builtin|FILE.onnx] [--engine tract|ort]
//!     [--colour-alone] [--embedding]
//! ```
//!
//! The built-in networks find and score items without depth: they are asked with `--model builtin --colour-alone`. `--model classical` asks
//! none, `builtin` with depth the one that finds items, where depth misses as much as an item.

use std::error::Error;
use std::time::Instant;

use booth::{Booth, BoothSpec};
use inspection::{EmbeddingNet, EmptyTray, Engine, EngineKind, InspectionParams, Inspector, ModelChoice};
use vision::RgbdFrame;

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|a| a != name).nth(1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let frames: usize = argument("--frames").unwrap_or_else(|| "40".to_owned()).parse()?;
    let size = argument("--size").unwrap_or_else(|| "1280x720".to_owned());
    let (width, height) = size.split_once('x').ok_or("--size WIDTHxHEIGHT")?;
    let booth = Booth::new(BoothSpec { seed: 5, width: width.parse()?, height: height.parse()?, ..BoothSpec::default() })?;
    let empty = EmptyTray::new(booth.background());
    let colour_alone = std::env::args().any(|a| a == "--colour-alone");
    let seen = |frame: RgbdFrame| if colour_alone { RgbdFrame { depth: None, ..frame } } else { frame };
    let views: Vec<RgbdFrame> = (0..8).map(|i| seen(booth.capture(i).frame)).collect();
    let engine: EngineKind = argument("--engine").unwrap_or_else(|| "tract".to_owned()).parse()?;
    let choice = ModelChoice::from(argument("--model").as_deref().unwrap_or("classical"));
    let (models, finder) = (choice.load(engine)?, choice.finder(engine)?);
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    let embedding = std::env::args().any(|a| a == "--embedding").then(|| EmbeddingNet::load(engine)).transpose()?;
    let inspector = Inspector { params, models, embedding, finder };
    for (what, background) in [("no background", None), ("background", Some(&empty))] {
        let mut stages: Vec<(&str, Vec<f64>)> = vec![("segment", Vec::new()), ("score", Vec::new()), ("finish", Vec::new())];
        let mut all = Vec::new();
        for i in 0..frames {
            let from = Instant::now();
            let mut last = from;
            inspector.inspect(&views[i % views.len()], background, &mut |stage| {
                let now = Instant::now();
                if let Some((_, times)) = stages.iter_mut().find(|(s, _)| *s == stage) {
                    times.push((now - last).as_secs_f64() * 1e3);
                }
                last = now;
            })?;
            all.push(from.elapsed().as_secs_f64() * 1e3);
        }
        println!("{what}: {}", summary("inspect", &mut all));
        for (stage, times) in &mut stages {
            println!("  {}", summary(stage, times));
        }
        if let Some(network) = inspector.models.of(!colour_alone).network() {
            let (mut bare, whole) = (bare(network.as_ref(), frames)?, median(&mut all));
            println!("  {}", summary("network", &mut bare));
            println!("  {} by {}: {:.2} times the bare network", network.model(), network.name(), whole / median(&mut bare));
        }
    }
    Ok(())
}

/// The network alone, on a grey input, milliseconds.
fn bare(network: &dyn Engine, frames: usize) -> Result<Vec<f64>, Box<dyn Error>> {
    let contract = network.contract();
    let input = vec![0.5; contract.channels * contract.height * contract.width];
    let mut times = Vec::new();
    for _ in 0..frames {
        let from = Instant::now();
        network.run(&input)?;
        times.push(from.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn median(ms: &mut [f64]) -> f64 {
    ms.sort_unstable_by(f64::total_cmp);
    ms.get(ms.len() / 2).copied().unwrap_or(f64::NAN)
}

fn summary(what: &str, ms: &mut [f64]) -> String {
    ms.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| ms.get(((ms.len() as f64 - 1.0) * q) as usize).copied().unwrap_or(f64::NAN);
    format!("{what:<8} p50 {:6.1} ms   p99 {:6.1} ms   least {:6.1} ms", at(0.5), at(0.99), at(0.0))
}

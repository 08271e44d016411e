//! Times the stages of an inspection on generated 1280×720 frames, with and without the empty tray's picture.
//!
//! ```text
//! cargo run -p inspection --example timing -- [--frames 40] [--size 1280x720]
//! ```

use std::error::Error;
use std::time::Instant;

use booth::{Booth, BoothSpec};
use inspection::{EmptyTray, InspectionParams, Inspector, Models};
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
    let views: Vec<RgbdFrame> = (0..8).map(|i| booth.capture(i).frame).collect();
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    let inspector = Inspector { params, models: Models::default() };
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
    }
    Ok(())
}

fn summary(what: &str, ms: &mut [f64]) -> String {
    ms.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| ms.get(((ms.len() as f64 - 1.0) * q) as usize).copied().unwrap_or(f64::NAN);
    format!("{what:<8} p50 {:6.1} ms   p99 {:6.1} ms   least {:6.1} ms", at(0.5), at(0.99), at(0.0))
}

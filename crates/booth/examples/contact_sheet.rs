//! Writes a contact sheet of booth captures: colour, depth and truth side by side.
//!
//! `cargo run -p booth --example contact_sheet -- OUT.png [seed] [count] [first] [family] [damage kind|none] [clutter]`

use std::error::Error;

use booth::{Booth, BoothSpec, Capture, DamageKind, Family};
use image::{Rgb, RgbImage};

/// Columns of captures on the sheet.
const COLUMNS: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().unwrap_or_else(|| "contact_sheet.png".into());
    let number = |text: Option<String>, default: u64| text.map_or(Ok(default), |t| t.parse());
    let seed = number(args.next(), 1)?;
    let count = number(args.next(), 12)? as usize;
    let first = number(args.next(), 0)? as usize;
    let mut spec = BoothSpec { seed, ..BoothSpec::default() };
    if let Some(family) = args.next().as_deref().and_then(Family::from_name) {
        spec.families = vec![family];
    }
    match args.next().as_deref() {
        None | Some("any") => {}
        Some("none") => spec.damage_fraction = 0.0,
        Some(name) => {
            spec.damage_kinds = DamageKind::ALL.into_iter().filter(|k| k.name() == name).collect();
            spec.damage_fraction = 1.0;
        }
    }
    spec.clutter = args.next().as_deref() == Some("clutter");
    let booth = Booth::new(spec)?;
    let started = std::time::Instant::now();
    let captures = booth.captures(first..first + count);
    println!("{count} captures in {:.2} s", started.elapsed().as_secs_f32());
    for capture in &captures {
        describe(capture);
    }
    sheet(&booth, &captures).save(&out)?;
    println!("wrote {out}");
    Ok(())
}

fn describe(capture: &Capture) {
    for item in &capture.truth.instances {
        print!("{} #{} {} {}", capture.item_id, item.instance, item.product, item.family);
        if let Some(lookalike) = item.lookalike {
            print!(" printed {lookalike:?}");
        }
        for d in capture.truth.damage.iter().filter(|d| d.instance == item.instance) {
            print!(" | {} {:?} {:.0} mm² {:.1} mm", d.kind.name(), d.severity, d.area_mm2, d.depth_mm);
        }
        println!();
    }
}

/// Each capture: colour above; depth and truth, half size, below.
fn sheet(booth: &Booth, captures: &[Capture]) -> RgbImage {
    let k = booth.intrinsics();
    let (w, h) = (k.width, k.height + k.height / 2);
    let rows = (captures.len() as u32).div_ceil(COLUMNS);
    let mut sheet = RgbImage::new(COLUMNS * w, rows * h);
    for (i, capture) in captures.iter().enumerate() {
        let (x0, y0) = (i as u32 % COLUMNS * w, i as u32 / COLUMNS * h);
        for y in 0..k.height {
            for x in 0..w {
                sheet.put_pixel(x0 + x, y0 + y, Rgb(capture.frame.color.pixel(x, y).unwrap_or_default()));
                if x % 2 == 0 && y % 2 == 0 {
                    let (hx, hy) = (x0 + x / 2, y0 + k.height + y / 2);
                    sheet.put_pixel(hx, hy, depth_rgb(capture, x, y));
                    sheet.put_pixel(hx + w / 2, hy, truth_rgb(capture, x, y));
                }
            }
        }
    }
    sheet
}

fn depth_rgb(capture: &Capture, x: u32, y: u32) -> Rgb<u8> {
    let Some(z) = capture.frame.depth.as_ref().and_then(|d| d.at_m(x, y)) else { return Rgb([0, 0, 60]) };
    let level = ((1.12 - z) / 0.35).clamp(0.0, 1.0);
    let band = (z * 100.0).fract() * 0.25 + 0.75;
    Rgb([(255.0 * level * band) as u8, (255.0 * (1.0 - (2.0 * level - 1.0).abs()) * band) as u8, (255.0 * (1.0 - level) * band) as u8])
}

fn truth_rgb(capture: &Capture, x: u32, y: u32) -> Rgb<u8> {
    let at = (y * capture.frame.color.width() + x) as usize;
    let label = capture.truth.mask.data()[at];
    let hurt = capture.truth.damage.iter().any(|d| d.region.data()[at] == 1);
    match (label, hurt) {
        (0, false) => Rgb([20, 20, 20]),
        (0, true) => Rgb([255, 160, 0]),
        (_, true) => Rgb([255, 40, 40]),
        (l, false) => Rgb([60, 90 + 40 * (l % 4) as u8, 200 - 30 * (l % 4) as u8]),
    }
}

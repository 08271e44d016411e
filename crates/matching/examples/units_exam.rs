//! Measures counted units on generated packs: `cargo run -p matching --example units_exam [N] [SEED] [PRODUCTS] [others|shuffled] [views=N]`.
//! Blisters and trays of cans, half of them with units missing; with `others` intact products of all other families, which have
//! nothing to be counted; with `shuffled` trays of loose pieces that lie elsewhere in every item. Masks are the truth's. What it last printed is in the README.

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec, DamageKind, Family};
use evaluation::{Judged, Ranking};
use matching::{Cutout, UnitCount, Units};

/// One capture, counted.
struct Counted {
    family: &'static str,
    product: usize,
    /// Units that should be there, and that are.
    truth: (u32, u32),
    expected: Option<u32>,
    count: Option<UnitCount>,
}

fn main() -> Result<()> {
    let argument = |n: usize, or: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (count, seed, products) = (argument(1, 200) as usize, argument(2, 800), argument(3, 24) as usize);
    let others = std::env::args().any(|a| a == "others");
    let shuffled_units = std::env::args().any(|a| a == "shuffled");
    // Three views at least must show every piece and agree on nothing but their number; in some, pieces touch.
    let views = std::env::args().find_map(|a| a.strip_prefix("views=")?.parse().ok());
    let least = views.unwrap_or(if shuffled_units { 6 } else { 0 });
    let packs = if shuffled_units { vec![Family::MultiPack] } else { vec![Family::Blister, Family::MultiPack] };
    let families = if others { Family::ALL.into_iter().filter(|f| !packs.contains(f)).collect() } else { packs };
    let spec = BoothSpec {
        seed,
        width: 1280,
        height: 720,
        products,
        damage_fraction: if others { 0.0 } else { 0.5 },
        families,
        damage_kinds: vec![DamageKind::MissingUnit],
        shuffled_units,
        ..BoothSpec::default()
    };
    let booth = Booth::new(spec)?;
    let mut units = Vec::new();
    for product in booth.products() {
        let views = booth.references(&product.name, least)?;
        let cutouts: Vec<Cutout> = views
            .into_iter()
            .map(|view| Ok(Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed()))
            .collect::<Result<_>>()?;
        units.push((product.name.clone(), Units::of(&cutouts)?));
    }
    let mut counted = Vec::new();
    for n in 0..count {
        let capture = booth.capture(n);
        let color = &capture.frame.color;
        let (rect, _) = capture.truth.mask.extent(1).context("a capture shows its item")?;
        let cutout = Cutout::of_label(color, &capture.truth.mask, 1, rect.with_margin(0.05, color.width(), color.height()))?;
        let product = units.iter().position(|(name, _)| *name == capture.product).context("an item is of a product")?;
        let instance = capture.truth.instances.first().context("one item")?;
        let of = &units[product].1;
        let one = Counted {
            family: instance.family.name(),
            product,
            truth: instance.units.unwrap_or_default(),
            expected: of.expected(),
            count: of.count(&cutout)?,
        };
        if std::env::var_os("UNITS_EXAM_VERBOSE").is_some() {
            println!("{} {} truth {:?} expected {:?} {:?}", capture.item_id, one.family, one.truth, one.expected, one.count);
        }
        counted.push(one);
    }
    if others {
        let counted: Vec<&Counted> = counted.iter().filter(|c| c.count.is_some()).collect();
        let alarms = counted.iter().filter(|c| c.count.as_ref().is_some_and(|u| u.score > 0.5)).count();
        println!("{count} intact items without units: print taken for units on {}, missing units told on {alarms}", counted.len());
        return Ok(());
    }
    for family in ["blister", "multi_pack", "all"] {
        report(family, &counted.iter().filter(|c| family == "all" || c.family == family).collect::<Vec<_>>());
    }
    Ok(())
}

fn report(family: &str, all: &[&Counted]) {
    let right = all.iter().filter(|c| c.expected == Some(c.truth.0)).count();
    let with: Vec<(&&Counted, &UnitCount)> = all.iter().filter_map(|c| Some((c, c.count.as_ref()?))).collect();
    // A place that is hidden is no error: what can be seen is compared with what is there.
    let error: u32 = with.iter().map(|(c, u)| (u.seen + u.hidden).abs_diff(c.truth.1).saturating_sub(u.hidden)).sum();
    let exact = with.iter().filter(|(c, u)| u.seen == c.truth.1).count();
    let judged = |items: &mut dyn Iterator<Item = (&Counted, f64)>| -> Vec<Judged> {
        items
            .map(|(c, score)| {
                let missing = c.truth.1 < c.truth.0;
                Judged { score, damaged: missing, major: missing, group: c.product }
            })
            .collect()
    };
    let counted = judged(&mut with.iter().map(|(c, u)| (**c, f64::from(u.score))));
    let everything = judged(&mut all.iter().map(|c| (*c, c.count.as_ref().map_or(0.0, |u| f64::from(u.score)))));
    if all.is_empty() {
        return;
    }
    println!(
        "{family}: {} items, expected number right on {right}, counted {} ({} exactly, mean error {:.2} units)",
        all.len(),
        with.len(),
        exact,
        f64::from(error) / with.len().max(1) as f64
    );
    for (name, items) in [("counted items", counted), ("all items, uncounted as whole", everything)] {
        let interval = evaluation::bootstrap(&items, 500, |r: &Ranking| [r.auroc])[0];
        let missing = items.iter().filter(|i| i.damaged).count();
        let alarms = items.iter().filter(|i| !i.damaged && i.score > 0.5).count();
        let found = items.iter().filter(|i| i.damaged && i.score > 0.5).count();
        println!(
            "  {name}: AUROC {:.3} [{:.3}, {:.3}], missing units found on {found} of {missing}, false alarms on {alarms} of {}",
            Ranking::of(&items).auroc.unwrap_or(f64::NAN),
            interval.map_or(f64::NAN, |i| i.low),
            interval.map_or(f64::NAN, |i| i.high),
            items.len() - missing
        );
    }
}

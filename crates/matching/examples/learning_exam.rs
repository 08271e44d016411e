//! Measures how hard the gallery is to poison, and whether it notices a redesign, on the generated booth:
//! `cargo run -p matching --example learning_exam [ITEMS] [FIRST SEED] [SEEDS] [AGREEING]`; the gallery node asks for 3 agreeing items.
//!
//! Each seed is a booth of one product, the families in turn, whose items are damaged to 20 %; it is watched twice: as it is
//! (poisoning, false alarms), and against references with another print on them (a redesign: the items are real renderings of the
//! new design). Masks are the truth's; damage scores are perception's. `LEARNING_EXAM_VERBOSE` prints a line an item.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use booth::{Booth, BoothSpec, Capture, Family};
use evaluation::wilson;
use inspection::{EmptyTray, InspectionParams, inspect};
use matching::learning::{Damage, Learner, Rules, Screened, Shelf, Sighting, Step};
use matching::{Cutout, Gallery, GalleryOptions, Item, Picture};

/// One item as all learners see it.
struct Seen {
    id: String,
    product: String,
    family: &'static str,
    damaged: bool,
    kinds: String,
    identity: f32,
    picture: Item,
    /// 255 where the truth says that the cutout is damaged.
    damage_truth: Vec<u8>,
    damage: f32,
    threshold: f32,
    heat: Vec<f32>,
}

/// What became of the items of one run.
#[derive(Default)]
struct Tally {
    items: usize,
    /// Intact and damaged: all, compared, proposed, accepted; the last also with damage inside the learned part.
    of: [[usize; 5]; 2],
    accepted_damage: Vec<String>,
    opened: Vec<String>,
    redesigns: BTreeMap<String, Option<usize>>,
    screened: BTreeMap<String, usize>,
}

fn main() -> Result<()> {
    let argument = |n: usize, or: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (count, first, seeds) = (argument(1, 60) as usize, argument(2, 500), argument(3, 11));
    let rules = Rules { sightings: argument(4, Rules::default().sightings as u64) as usize, ..Rules::default() };
    let mut tally = Tally::default();
    for seed in first..first + seeds {
        run_booth(seed, count, rules, &mut tally)?;
        report(&tally);
    }
    Ok(())
}

fn run_booth(seed: u64, count: usize, rules: Rules, tally: &mut Tally) -> Result<()> {
    let families = vec![Family::ALL[seed as usize % Family::ALL.len()]];
    let booth = Booth::new(BoothSpec { seed, products: 1, families, damage_fraction: 0.2, ..BoothSpec::default() })?;
    let background = EmptyTray::new(booth.background());
    let (plain, redesigned) = (enrol(&booth, false)?, enrol(&booth, true)?);
    let of = |gallery: &Gallery| -> BTreeMap<String, Shelf> {
        let shelf = |p: &str| Shelf::from([(1, gallery.only(|product, _| product == p))]);
        booth.products().iter().map(|p| (p.name.clone(), shelf(&p.name))).collect()
    };
    let (shelves, other_shelves) = (of(&plain), of(&redesigned));
    let (mut learner, mut other) = (Learner::new(rules), Learner::new(rules));
    let mut proposals: BTreeMap<String, (bool, bool, String)> = BTreeMap::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..count {
        let capture = booth.capture(index);
        let Some(seen) = look(&plain, &capture, &background)? else { continue };
        let number = numbers.entry(seen.product.clone()).or_default();
        *number += 1;
        ordinary(&mut learner, &shelves[&seen.product], &seen, &mut proposals, tally)?;
        // A redesign is noticed on what passes as the same product, whatever its references show.
        let name = format!("{seed}/{} {}", seen.product, seen.family);
        let raised = tally.redesigns.entry(name).or_default();
        if raised.is_none() {
            let lesson = other.see(&seen.product, &other_shelves[&seen.product], &sighting(&seen))?;
            if std::env::var_os("LEARNING_EXAM_VERBOSE").is_some() {
                println!("redesign,{},{},{},{:?}", seen.id, seen.family, lesson.alike, lesson.screened);
            }
            let opened = lesson.steps.iter().any(|s| matches!(s, Step::OpenDesign { .. }));
            *raised = opened.then_some(*number);
        }
    }
    Ok(())
}

fn sighting(seen: &Seen) -> Sighting<'_> {
    Sighting {
        item: &seen.id,
        capture: &seen.id,
        identity: seen.identity,
        picture: &seen.picture,
        doubt: None,
        damage: Damage { score: seen.damage, threshold: seen.threshold, model: "", map: &seen.heat },
    }
}

/// As the items come: who is proposed, who is accepted, and is a redesign seen where there is none?
fn ordinary(
    learner: &mut Learner,
    shelf: &Shelf,
    seen: &Seen,
    proposals: &mut BTreeMap<String, (bool, bool, String)>,
    tally: &mut Tally,
) -> Result<()> {
    let lesson = learner.see(&seen.product, shelf, &sighting(seen))?;
    tally.items += 1;
    let class = usize::from(seen.damaged);
    tally.of[class][0] += 1;
    tally.of[class][1] += usize::from(!matches!(lesson.screened, Some(Screened::Unsure(_) | Screened::Uncompared(_))));
    tally.of[class][2] += usize::from(lesson.screened.is_none());
    let why = lesson.screened.map_or("proposed".to_owned(), |s| s.to_string().split(':').next().unwrap_or_default().to_owned());
    *tally.screened.entry(format!("{} {why}", if seen.damaged { "damaged" } else { "intact" })).or_default() += 1;
    if std::env::var_os("LEARNING_EXAM_VERBOSE").is_some() {
        let found = shelf[&1].compare(&seen.picture, &seen.product)?;
        let figures = found.map(|d| format!("{:.2},{:.2},{}", d.score, d.coverage, d.findings.len())).unwrap_or(",,".into());
        println!(
            "item,{},{},{},{},{},{:.2},{:.2},{figures},{},{why}",
            seen.id, seen.product, seen.family, seen.damaged, seen.kinds, seen.identity, seen.damage, lesson.alike
        );
    }
    for step in lesson.steps {
        match step {
            Step::Propose { item, cutout, .. } => {
                // Cutouts are trimmed: the damaged part is counted, not laid over.
                let learned_damage = seen.damaged && shares_damage(seen, &cutout);
                proposals.insert(item, (seen.damaged, learned_damage, seen.kinds.clone()));
            }
            Step::Promote { proposal } => {
                let (damaged, learned, kinds) = proposals.get(&proposal).context("only what was proposed is promoted")?;
                tally.of[usize::from(*damaged)][3] += 1;
                tally.of[usize::from(*damaged)][4] += usize::from(*learned);
                if *damaged {
                    tally.accepted_damage.push(format!("{proposal} {kinds}{}", if *learned { " LEARNED" } else { "" }));
                }
            }
            Step::OpenDesign { reason, .. } => tally.opened.push(format!("{} {}: {reason}", seen.id, seen.family)),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the learned part of the picture shows damage: it holds the same pixels as the item's, so that the places of
/// the damaged ones can be found by their position after trimming.
fn shares_damage(seen: &Seen, learned: &Cutout) -> bool {
    let (whole, part) = (seen.picture.cutout(), learned);
    let (ww, pw) = (whole.color().width() as usize, part.color().width() as usize);
    let (wh, ph) = (whole.color().height() as usize, part.color().height() as usize);
    // Trimming keeps rows together: find the offset at which the first learned row lies.
    let row =
        |c: &Cutout, w: usize, x: usize, y: usize, n: usize| c.color().data().get(3 * (y * w + x)..3 * (y * w + x + n)).map(<[u8]>::to_vec);
    let first = row(part, pw, 0, 0, pw);
    let offset = (0..=wh.saturating_sub(ph))
        .flat_map(|y| (0..=ww.saturating_sub(pw)).map(move |x| (x, y)))
        .find(|(x, y)| row(whole, ww, *x, *y, pw) == first);
    let Some((x0, y0)) = offset else { return true };
    (0..pw * ph).any(|i| part.foreground()[i] > 0 && seen.damage_truth[(y0 + i / pw) * ww + x0 + i % pw] > 0)
}

fn look(gallery: &Gallery, capture: &Capture, background: &EmptyTray) -> Result<Option<Seen>> {
    let color = &capture.frame.color;
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    let inspection = inspect(&capture.frame, Some(background), &params)?;
    let Some(item) = inspection.items.first() else { return Ok(None) };
    let (rect, _) = capture.truth.mask.extent(1).context("a capture shows its item")?;
    let rect = rect.with_margin(0.05, color.width(), color.height());
    let picture = gallery.prepare(Cutout::of_label(color, &capture.truth.mask, 1, rect)?)?;
    let found = gallery.identify(&picture, None);
    let Some(product) = found.product().filter(|p| p.product == capture.product) else { return Ok(None) };
    let in_rect = |x: u32, y: u32| (y * color.width() + x) as usize;
    let places = || (rect.y..rect.y + rect.h).flat_map(move |y| (rect.x..rect.x + rect.w).map(move |x| in_rect(x, y)));
    let truth = places().map(|i| u8::from(capture.truth.damage.iter().any(|d| d.region.data()[i] > 0)) * 255).collect();
    Ok(Some(Seen {
        id: capture.item_id.clone(),
        product: capture.product.clone(),
        family: capture.truth.instances.first().map_or("", |i| i.family.name()),
        damaged: capture.truth.is_damaged,
        kinds: capture.truth.damage.iter().map(|d| d.kind.name()).collect::<Vec<_>>().join("+"),
        identity: product.score,
        picture,
        damage_truth: truth,
        damage: item.damage_score,
        threshold: inspection.damage_threshold,
        heat: places().map(|i| inspection.heatmap.data()[i]).collect(),
    }))
}

/// The booth's references; with another print on each where the items show a new design.
fn enrol(booth: &Booth, repainted: bool) -> Result<Gallery> {
    let mut pictures = Vec::new();
    for product in booth.products() {
        for (n, view) in booth.references(&product.name, 0)?.into_iter().enumerate() {
            let mut cutout = Cutout::masked(view.color, view.mask.data().iter().map(|l| *l > 0))?.trimmed();
            if repainted {
                cutout = repaint(&cutout)?;
            }
            pictures.push(Picture { product: product.name.clone(), name: format!("{n:04}"), cutout });
        }
    }
    Ok(Gallery::new(pictures, GalleryOptions::default()).0)
}

/// A banner of three bars over the middle third of the item, in the light that falls there.
fn repaint(cutout: &Cutout) -> Result<Cutout> {
    let (w, h) = (cutout.color().width(), cutout.color().height());
    let mut color = cutout.color().clone();
    let mut inside = cutout.foreground().iter().map(|f| *f > 0).collect::<Vec<_>>();
    for (i, inside) in inside.iter_mut().enumerate() {
        let (x, y) = (i as u32 % w, i as u32 / w);
        if !*inside || !(w / 3..2 * w / 3).contains(&x) || !(h / 3..2 * h / 3).contains(&y) {
            continue;
        }
        let ink = if (y - h / 3) * 9 / h % 2 == 0 { [205.0, 40.0, 60.0] } else { [245.0, 225.0, 90.0] };
        let at = 3 * i;
        let light = color.data()[at..at + 3].iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0;
        let gain = (light / 255.0).clamp(0.25, 1.0).sqrt();
        for (c, ink) in ink.into_iter().enumerate() {
            color.data_mut()[at + c] = (ink * gain) as u8;
        }
    }
    Ok(Cutout::masked(color, inside)?)
}

fn report(t: &Tally) {
    let share = |k: usize, n: usize| {
        let i = wilson(k, n);
        format!("{k}/{n} = {:.3} [{:.3}, {:.3}]", k as f64 / n.max(1) as f64, i.low, i.high)
    };
    let [intact, damaged] = t.of;
    println!("{} recognised items", t.items);
    println!("  intact:  compared {}, proposed {}", share(intact[1], intact[0]), share(intact[2], intact[0]));
    println!("  damaged: compared {}, proposed {}", share(damaged[1], damaged[0]), share(damaged[2], damaged[0]));
    println!("  intact accepted of proposed {}, of all {}", share(intact[3], intact[2]), share(intact[3], intact[0]));
    println!("  damaged accepted of all {}, of proposed {}", share(damaged[3], damaged[0]), share(damaged[3], damaged[2]));
    println!(
        "  damaged accepted with damage in the learned part {}; they are: {}",
        share(damaged[4], damaged[0]),
        t.accepted_damage.join(", ")
    );
    println!("  share of damaged among the accepted {}", share(damaged[3], damaged[3] + intact[3]));
    println!("  redesigns raised without one: {} {:?}", t.opened.len(), t.opened);
    let in_time = t.redesigns.values().filter(|n| n.is_some_and(|n| n <= 30)).count();
    println!("  redesigns raised within 30 items of the product: {}", share(in_time, t.redesigns.len()));
    println!("  {:?}", t.redesigns);
    println!("  {:?}", t.screened);
}

#![allow(clippy::unwrap_used)]
use vision::ColorImage;

use super::thing::LOOKED_AT_PX;
use super::*;

/// A dark wedge before a light ground, its thick end at `turn` from the middle, and a bright spot near its thin end.
fn wedge(turn: f64, at: [f64; 2]) -> Cutout {
    let (c, s) = (turn.cos(), turn.sin());
    let data = (0..200 * 160)
        .flat_map(|i| {
            let (x, y) = (f64::from(i % 200) - at[0], f64::from(i / 200) - at[1]);
            let (u, v) = (x * c + y * s, y * c - x * s);
            let inside = (-40.0..40.0).contains(&u) && v.abs() < 8.0 + u / 8.0;
            let spot = (u + 30.0).hypot(v) < 3.0;
            [if spot {
                250
            } else if inside {
                60
            } else {
                200
            }; 3]
        })
        .collect();
    Cutout::whole(ColorImage::new(200, 160, data).unwrap())
}

/// The same wedge cut out tightly; the ground is dark, like the thing, which reaches every side: only the mask tells them apart.
fn cut(turn: f64, ground: [u8; 3]) -> Cutout {
    let whole = wedge(turn, [95.0, 84.0]);
    let pixels = whole.color().data().as_chunks::<3>().0;
    let inside: Vec<bool> = pixels.iter().map(|p| p[0] != 200).collect();
    let data = pixels.iter().zip(&inside).flat_map(|(p, inside)| if *inside { *p } else { ground });
    Cutout::masked(ColorImage::new(200, 160, data.collect()).unwrap(), inside).unwrap().trimmed()
}

fn resized(color: &ColorImage, by: f64) -> ColorImage {
    let [w, h] = [color.width(), color.height()].map(|v| (f64::from(v) * by).round().max(2.0) as i32);
    cv::to_color(&cv::resized(&cv::from_color(color).unwrap(), w, h).unwrap()).unwrap()
}

/// A cutout in another resolution.
fn enlarged(cutout: &Cutout, by: f64) -> Cutout {
    let color = resized(cutout.color(), by);
    let mask = cv::from_bytes(cutout.color().width(), cutout.color().height(), cutout.foreground()).unwrap();
    let mask = cv::resized_mask(&mask, color.width() as i32, color.height() as i32).unwrap();
    Cutout::masked(color, mask.data_bytes().unwrap().iter().map(|m| *m > 0)).unwrap()
}

fn size(cutout: &Cutout) -> (u32, u32) {
    (cutout.color().width(), cutout.color().height())
}

/// Mean difference of two pictures of one size, grey levels.
fn unlike(a: &Cutout, b: &Cutout) -> f64 {
    assert_eq!(size(a), size(b));
    let sum: u64 = a.color().data().iter().zip(b.color().data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.color().data().len() as f64
}

#[test]
fn a_thing_in_any_turn_comes_into_one_pose() {
    let pictures: Vec<Cutout> = (0..10).map(|n| wedge(f64::from(n) * 0.7, [95.0 + f64::from(n), 84.0 - f64::from(n)])).collect();
    let pose = Pose::of(&pictures).unwrap().unwrap();
    let brought: Vec<Brought> = pictures.iter().map(|p| pose.bring(p).unwrap()).collect();
    let bright = |b: &Brought| {
        let color = b.cutout.color();
        let spot: Vec<usize> = (0..color.data().len() / 3).filter(|i| color.data()[3 * i] > 230).collect();
        let w = color.width() as usize;
        let mean = |of: &dyn Fn(usize) -> usize| spot.iter().map(|i| of(*i) as f64).sum::<f64>() / spot.len() as f64;
        [mean(&|i| i % w), mean(&|i| i / w)]
    };
    let first = bright(&brought[0]);
    for b in &brought {
        let here = bright(b);
        assert!((here[0] - first[0]).hypot(here[1] - first[1]) < 2.5, "{here:?} is not {first:?}");
    }
    // And back: what is marked in the pose lies on the spot in the picture.
    let (w, h) = (brought[3].cutout.color().width(), brought[3].cutout.color().height());
    let at = bright(&brought[3]);
    let marked = (0..w * h).map(|i| f32::from(u8::from((f64::from(i % w) - at[0]).hypot(f64::from(i / w) - at[1]) < 3.0))).collect();
    let back = brought[3].map_of_picture(&HeatMap::new(w, h, marked).unwrap(), 200, 160).unwrap();
    let most = (0..back.data().len()).max_by(|a, b| back.data()[*a].total_cmp(&back.data()[*b])).unwrap();
    assert!(pictures[3].color().data()[3 * most] > 230, "the mark lies at {} {}", most % 200, most / 200);
}

#[test]
fn a_fragment_beside_the_thing_is_loose_and_a_larger_picture_shows_the_same() {
    let whole: Vec<Cutout> = (0..10).map(|n| wedge(f64::from(n) * 0.7, [95.0, 84.0])).collect();
    let pose = Pose::of(&whole).unwrap().unwrap();
    let brought = pose.bring(&whole[0]).unwrap();
    assert!(brought.shows_thing && brought.loose.share == 0.0, "{}", brought.loose.share);
    let broken = |i: usize| if (10..18).contains(&(i % 200)) && (10..16).contains(&(i / 200)) { [60; 3] } else { [200; 3] };
    let data = whole[0].color().data().as_chunks::<3>().0.iter().enumerate();
    let data: Vec<u8> = data.flat_map(|(i, p)| std::array::from_fn::<u8, 3, _>(|k| p[k].min(broken(i)[k]))).collect();
    let picture = ColorImage::new(200, 160, data).unwrap();
    let loose = pose.bring(&Cutout::whole(picture.clone())).unwrap().loose;
    assert!((loose.share - 48.0 / 32_000.0).abs() < 5e-4, "{}", loose.share);
    assert!(loose.is_at(13, 12, 200, 160) && loose.is_at(26, 24, 400, 320) && !loose.is_at(95, 84, 200, 160));
    for by in [0.5, 2.0, 3.0] {
        let other = Cutout::whole(resized(whole[3].color(), by));
        let [one, other] = [&whole[3], &other].map(|p| pose.bring(p).unwrap().cutout);
        let far = unlike(&one, &other);
        assert!(far < 8.0, "{by}: {far} grey levels apart");
    }
    let plain = pose.bring(&Cutout::whole(ColorImage::new(200, 160, vec![120; 96_000]).unwrap())).unwrap();
    assert!(!plain.shows_thing);
}

#[test]
fn what_is_cut_out_is_the_thing_however_tight_the_cut() {
    let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
    let pose = Pose::of(&cuts).unwrap().unwrap();
    let brought: Vec<Brought> = cuts.iter().map(|c| pose.bring(c).unwrap()).collect();
    assert!(brought.iter().all(|b| b.shows_thing && b.loose.share == 0.0));
    let sizes: Vec<(u32, u32)> = brought.iter().map(|b| (b.cutout.color().width(), b.cutout.color().height())).collect();
    assert!(sizes.iter().all(|s| *s == sizes[0]) && sizes[0].0 > sizes[0].1, "{sizes:?}");
    let w = sizes[0].0 as usize;
    let spot = |b: &Brought| (0..b.cutout.foreground().len()).find(|i| b.cutout.color().data()[3 * i] > 235).unwrap() % w;
    let first = spot(&brought[0]);
    assert!(brought.iter().all(|b| spot(b).abs_diff(first) < 6), "the bright spot lies at one end");
}

#[test]
fn what_lies_behind_a_cutout_is_left_behind() {
    let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
    let pose = Pose::of(&cuts).unwrap().unwrap();
    // A third of what lies behind it is bright.
    let behind = cuts[3].foreground().iter().enumerate().map(|(i, f)| *f == 0 && i % 3 == 0);
    let data = cuts[3].color().data().as_chunks::<3>().0.iter().zip(behind).flat_map(|(p, b)| if b { [255; 3] } else { *p });
    let color = ColorImage::new(cuts[3].color().width(), cuts[3].color().height(), data.collect()).unwrap();
    let littered = Cutout::masked(color, cuts[3].foreground().iter().map(|f| *f > 0)).unwrap();
    let far = unlike(&pose.bring(&cuts[3]).unwrap().cutout, &pose.bring(&littered).unwrap().cutout);
    assert!(far == 0.0, "{far} grey levels apart");
}

#[test]
fn a_cutout_of_another_resolution_shows_all_of_the_thing() {
    let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [200; 3])).collect();
    let pose = Pose::of(&cuts).unwrap().unwrap();
    for by in [0.5, 2.0, 5.0] {
        let far = unlike(&pose.bring(&cuts[3]).unwrap().cutout, &pose.bring(&enlarged(&cuts[3], by)).unwrap().cutout);
        assert!(far < 12.0, "{by}: {far} grey levels apart");
    }
    // What has lost half of its length, the thin one, is no smaller thing: it stays as wide as it was.
    let keeps = |i: usize| i % (cuts[0].color().width() as usize) > cuts[0].color().width() as usize / 2;
    let half = cuts[0].foreground().iter().enumerate().map(|(i, f)| *f > 0 && keeps(i));
    let half = Cutout::masked(cuts[0].color().clone(), half).unwrap().trimmed();
    let thing = Thing::of(&half).unwrap().unwrap().0;
    assert_eq!(pose.larger(&thing), 1.0);
}

#[test]
fn pictures_of_another_kind_show_no_thing_and_have_no_pose() {
    let whole: Vec<Cutout> = (0..20).map(|n| wedge(f64::from(n) * 0.7, [95.0, 84.0])).collect();
    let cuts: Vec<Cutout> = (0..20).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
    for (some, other) in [(&whole, &cuts[0]), (&cuts, &whole[0])] {
        // One of twenty: a quantile would pass over it.
        let mixed: Vec<Cutout> = some[1..].iter().chain([other]).cloned().collect();
        assert!(Pose::of(&mixed).unwrap().is_none());
        let pose = Pose::of(some).unwrap().unwrap();
        let (known, brought) = (pose.bring(&some[0]).unwrap(), pose.bring(other).unwrap());
        assert!(known.shows_thing && !brought.shows_thing);
        assert_eq!(size(&known.cutout), size(&brought.cutout));
    }
}

#[test]
fn a_speck_of_a_mask_is_no_thing() {
    // The only pixel of the mask is passed over where the picture is shrunk.
    let speck = |w: u32, h: u32, at: usize| {
        let color = ColorImage::new(w, h, vec![90; 3 * w as usize * h as usize]).unwrap();
        Cutout::masked(color, (0..w as usize * h as usize).map(|i| i == at)).unwrap()
    };
    let lost = speck(1200, 900, 1201);
    assert!(lost.shrunk(LOOKED_AT_PX).unwrap().area_px() == 0 && Thing::of(&lost).unwrap().is_none());
    let cuts: Vec<Cutout> = (0..10).map(|n| cut(f64::from(n) * 0.7, [60; 3])).collect();
    let pose = Pose::of(&cuts).unwrap().unwrap();
    for picture in [lost, speck(30, 20, 99)] {
        assert!(!pose.bring(&picture).unwrap().shows_thing);
        assert!(Pose::of(&vec![picture; 10]).unwrap().is_none());
    }
    let tiny: Vec<Cutout> = cuts.iter().map(|c| enlarged(c, 0.08)).collect();
    assert!(Pose::of(&tiny).unwrap().is_none(), "things of a few pixels say nothing");
}

#[test]
fn grain_and_things_of_many_sizes_have_no_pose() {
    let grain = |seed: u32| {
        let data = (0..120 * 90u32).flat_map(|i| [(i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 13) as u8; 3]).collect();
        Cutout::whole(ColorImage::new(120, 90, data).unwrap())
    };
    assert!(Pose::of(&(0..10).map(grain).collect::<Vec<_>>()).unwrap().is_none());
    assert!(Pose::of(&[]).unwrap().is_none());
}

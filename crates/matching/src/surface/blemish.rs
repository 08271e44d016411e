//! Made-up blemishes on pristine pictures: what a surface is learnt against.
//!
//! After CutPaste (Li et al., CVPR 2021), DRAEM (Zavrtanik et al., ICCV 2021) and NSA (Schlüter et al., ECCV 2022): what
//! they look like matters less than that they are many and differ, and that the border of a change gives nothing away.

use std::f32::consts::{PI, TAU};

use opencv::core::{CV_8UC1, Mat, MatTraitConstManual, Point, Point2f, RotatedRect, Scalar, Size, Size2f, Vector};
use opencv::imgproc;
use rand::Rng;

use super::Rgb;
use super::plane::Plane;
use crate::MatchError;

/// A smaller change of brightness cannot be seen and is not called a blemish.
const VISIBLE: f32 = 6.0 / 255.0;
/// A tuft of noise is drawn anew this often before the picture is left as it is.
const TRIES: usize = 20;

/// A picture with a blemish, and the pixels that it changes visibly.
pub(super) struct Blemished {
    pub picture: Rgb,
    pub changed: Vec<bool>,
}

/// Puts one blemish onto `picture`; `other` is a pristine picture that matter may come from.
pub(super) fn blemished(picture: &Rgb, other: &Rgb, random: &mut impl Rng) -> Result<Blemished, MatchError> {
    let (width, height) = picture.size();
    let mut where_to = Plane::filled(width, height, 0.0);
    for _ in 0..TRIES {
        where_to = shape(width, height, random)?;
        if where_to.data.iter().sum::<f32>() > 4.0 {
            break;
        }
    }
    let softness = [0.6, 0.6, 1.0, 2.0][random.random_range(0..4)];
    let soft = where_to.blurred(softness)?;
    let matter = matter(picture, other, random)?;
    let mut changed = vec![false; width * height];
    let planes = std::array::from_fn(|k| {
        let (plane, new): (&Plane, &Plane) = (&picture.planes[k], &matter.planes[k]);
        let mixed = plane.with(new, |a, b| b - a).with(&soft, |d, s| d * s).with(plane, |d, a| (a + d).clamp(0.0, 1.0));
        changed.iter_mut().zip(mixed.data.iter().zip(&plane.data)).for_each(|(c, (a, b))| *c |= (a - b).abs() > VISIBLE);
        mixed
    });
    Ok(Blemished { picture: Rgb { planes }, changed })
}

/// Where: a spot, a crack or scratch, or a patch; 0 or 1 a pixel.
fn shape(width: usize, height: usize, random: &mut impl Rng) -> Result<Plane, MatchError> {
    let mut mask = Mat::new_rows_cols_with_default(height as i32, width as i32, CV_8UC1, Scalar::all(0.0))?;
    let longer = width.max(height) as f32;
    let (ink, fill) = (Scalar::all(255.0), imgproc::FILLED);
    let at = [random.random_range(0.0..width as f32), random.random_range(0.0..height as f32)];
    let mut rough = None;
    match random.random_range(0..3) {
        0 => {
            let radius = (random.random_range(1.5f32.ln()..(longer / 6.0).max(2.0).ln())).exp();
            let axes = Size::new((radius as i32).max(1), ((radius * random.random_range(0.3..1.0)) as i32).max(1));
            let turn = random.random_range(0.0..180.0);
            imgproc::ellipse(&mut mask, Point::new(at[0] as i32, at[1] as i32), axes, turn, 0.0, 360.0, ink, fill, imgproc::LINE_8, 0)?;
            rough = Some(radius).filter(|r| *r > 6.0);
        }
        1 => {
            let [mut x, mut y] = at;
            let mut direction = random.random_range(0.0..TAU);
            let thickness = random.random_range(1..4);
            for _ in 0..random.random_range(2..14) {
                let step = random.random_range(4.0..16.0);
                let (to_x, to_y) = (x + step * direction.cos(), y + step * direction.sin());
                let (from, to) = (Point::new(x as i32, y as i32), Point::new(to_x as i32, to_y as i32));
                imgproc::line(&mut mask, from, to, ink, thickness, imgproc::LINE_AA, 0)?;
                (x, y) = (to_x, to_y);
                direction += random.random_range(-0.6..0.6);
            }
        }
        _ => {
            let long = random.random_range(4.0..(longer / 3.0).max(5.0));
            let size = Size2f::new(long, long * random.random_range(0.1..1.0));
            let patch = RotatedRect::new(Point2f::new(at[0], at[1]), size, random.random_range(0.0..180.0))?;
            let mut corners = [Point2f::default(); 4];
            patch.points(&mut corners)?;
            let corners: Vector<Point> = corners.iter().map(|c| Point::new(c.x as i32, c.y as i32)).collect();
            imgproc::fill_convex_poly(&mut mask, &corners, ink, imgproc::LINE_8, 0)?;
        }
    }
    let drawn = Plane { width, height, data: mask.data_bytes()?.iter().map(|v| f32::from(*v) / 255.0).collect() };
    let Some(radius) = rough else { return Ok(drawn) };
    let edge = drawn.blurred(f64::from(radius) / 3.0)?;
    let noise = noise(width, height, 6, random)?;
    Ok(edge.with(&noise, |e, n| if e > 0.05 && e + 0.25 * n > 0.5 { 1.0 } else { 0.0 }))
}

/// What: lighter or darker, matter from elsewhere, grain, blur, or plain colour.
fn matter(picture: &Rgb, other: &Rgb, random: &mut impl Rng) -> Result<Rgb, MatchError> {
    let (width, height) = picture.size();
    let spread = picture.spread().max(8.0 / 255.0);
    match random.random_range(0..5) {
        0 => {
            let step = sign(random) * random.random_range(0.3..2.5) * spread;
            Ok(picture.map(|_, v| v + step))
        }
        1 => Ok(elsewhere(other, width, height, random)),
        2 => {
            let grain = noise(width, height, random.random_range(1..8), random)?;
            let strength = random.random_range(0.3..1.5) * spread;
            picture.each(|p| Ok(p.with(&grain, |v, n| v + strength * n)))
        }
        3 => {
            let sigma_px = random.random_range(1.5..6.0);
            picture.each(|p| p.blurred(sigma_px))
        }
        _ => {
            let tint = if picture.is_colored() { 1.5 * spread } else { 0.0 };
            let shade = 1.5 * spread * normal(random);
            let fill: [f32; 3] = std::array::from_fn(|k| (picture.mean(k) + shade + tint * normal(random)).clamp(0.0, 1.0));
            let grain = noise(width, height, 1, random)?;
            Ok(Rgb { planes: fill.map(|f| grain.map(|n| f + 0.012 * n)) })
        }
    }
}

/// A pristine picture moved, mirrored, turned by a quarter, lighter or darker; it goes on round its borders.
fn elsewhere(other: &Rgb, width: usize, height: usize, random: &mut impl Rng) -> Rgb {
    let (w, h) = other.size();
    let (dx, dy) = (random.random_range(0..w), random.random_range(0..h));
    let (turned, mirrored, upset) = (random.random_bool(0.4), random.random_bool(0.35), random.random_bool(0.35));
    let light = random.random_range(0.7..1.3);
    let from = |i: usize| {
        let (x, y) = (i % width, i / width);
        let (x, y) = (if mirrored { width - 1 - x } else { x }, if upset { height - 1 - y } else { y });
        let (x, y) = if turned { (y, x) } else { (x, y) };
        ((y + dy) % h) * w + (x + dx) % w
    };
    let plane = |k: usize| Plane { width, height, data: (0..width * height).map(|i| other.planes[k].data[from(i)] * light).collect() };
    Rgb { planes: std::array::from_fn(plane) }
}

/// Gaussian noise of about `grain_px`, of spread one before it is enlarged.
fn noise(width: usize, height: usize, grain_px: usize, random: &mut impl Rng) -> Result<Plane, MatchError> {
    let (w, h) = (width / grain_px + 1, height / grain_px + 1);
    let small = Plane { width: w, height: h, data: (0..w * h).map(|_| normal(random)).collect() };
    small.resized(width, height, imgproc::INTER_CUBIC)
}

/// Box and Muller, 1958.
fn normal(random: &mut impl Rng) -> f32 {
    let (a, b): (f32, f32) = (random.random_range(f32::EPSILON..1.0), random.random_range(0.0..2.0 * PI));
    (-2.0 * a.ln()).sqrt() * b.cos()
}

fn sign(random: &mut impl Rng) -> f32 {
    if random.random_bool(0.5) { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_blemish_changes_what_it_says_and_stays_a_picture() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let plane = |phase: f32| Plane {
            width: 120,
            height: 90,
            data: (0..120 * 90).map(|i| 0.5 + 0.2 * ((i % 120) as f32 * 0.3 + phase).sin()).collect(),
        };
        let picture = Rgb { planes: [plane(0.0), plane(1.0), plane(2.0)] };
        let mut visible = 0;
        for _ in 0..200 {
            let made = blemished(&picture, &picture, &mut random).unwrap();
            assert_eq!(made.picture.size(), (120, 90));
            for i in 0..120 * 90 {
                let most = (0..3).map(|k| (made.picture.planes[k].data[i] - picture.planes[k].data[i]).abs()).fold(0.0, f32::max);
                assert_eq!(made.changed[i], most > VISIBLE);
                assert!((0..3).all(|k| (0.0..=1.0).contains(&made.picture.planes[k].data[i])));
            }
            let share = made.changed.iter().filter(|c| **c).count() as f32 / (120.0 * 90.0);
            assert!(share < 0.6, "{share}");
            visible += usize::from(share > 0.0);
        }
        assert!(visible > 150, "{visible} of 200 can be seen");
    }
}

//! A depth image as a coloured point cloud of bounded size.

use vision::{ColorImage, DepthImage, Intrinsics, LabelMask};

/// Points in the camera's optical frame, with their colours and radii.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cloud {
    pub(crate) positions_m: Vec<[f32; 3]>,
    pub(crate) colors: Vec<[u8; 3]>,
    /// Half the distance to the next sample, so that surfaces look closed.
    pub(crate) radii_m: Vec<f32>,
}

/// At most about `max_points` points: half of them on the items of `mask`, the rest on what is around them.
pub(crate) fn sample(depth: &DepthImage, color: &ColorImage, k: &Intrinsics, mask: Option<&LabelMask>, max_points: usize) -> Cloud {
    let same_size = (color.width(), color.height()) == (depth.width(), depth.height());
    let mask = mask.filter(|m| (m.width(), m.height()) == (depth.width(), depth.height())).map(LabelMask::data);
    if !same_size || !k.is_valid() {
        return Cloud::default();
    }
    let on_item = |i: usize| mask.is_some_and(|m| m.get(i).is_some_and(|l| *l > 0));
    let item_pixels = mask.map_or(0, |m| m.iter().filter(|l| **l > 0).count());
    let (item_budget, other_budget) = if item_pixels == 0 { (0, max_points) } else { (max_points / 2, max_points / 2) };
    let item_stride = stride(item_pixels, item_budget);
    let other_stride = stride(depth.data().len() - item_pixels, other_budget);
    let k = k.scaled(depth.width(), depth.height());
    let mut cloud = Cloud::default();
    for (i, (z, rgb)) in depth.data().iter().zip(color.data().chunks_exact(3)).enumerate() {
        let (u, v) = (i as u32 % depth.width(), i as u32 / depth.width());
        let step = if on_item(i) { item_stride } else { other_stride };
        if *z <= 0.0 || !u.is_multiple_of(step) || !v.is_multiple_of(step) {
            continue;
        }
        let p = k.deproject(f64::from(u), f64::from(v), f64::from(*z));
        cloud.positions_m.push([p.x as f32, p.y as f32, p.z as f32]);
        cloud.colors.push([rgb[0], rgb[1], rgb[2]]);
        cloud.radii_m.push((f64::from(*z) * f64::from(step) / k.fx * 0.55) as f32);
    }
    cloud
}

/// Distance between samples, in both directions, that leaves about `budget` of `pixels`.
fn stride(pixels: usize, budget: usize) -> u32 {
    (pixels as f64 / budget.max(1) as f64).sqrt().ceil().clamp(1.0, f64::from(u16::MAX)) as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn intrinsics() -> Intrinsics {
        Intrinsics { fx: 100.0, fy: 100.0, cx: 49.5, cy: 49.5, width: 100, height: 100 }
    }

    #[test]
    fn the_budget_holds_and_items_are_denser() {
        let depth = DepthImage::new(100, 100, vec![1.0; 10_000]).unwrap();
        let color = ColorImage::new(100, 100, vec![7; 30_000]).unwrap();
        let labels = (0..10_000).map(|i| u16::from(i % 100 < 30 && i / 100 < 30)).collect();
        let mask = LabelMask::new(100, 100, labels).unwrap();
        let cloud = sample(&depth, &color, &intrinsics(), Some(&mask), 1_000);
        assert!((200..=1_000).contains(&cloud.positions_m.len()), "{}", cloud.positions_m.len());
        // The item covers 9 % of the picture: left of and above pixel 30, that is below −0.195 m.
        let on_item = cloud.positions_m.iter().filter(|p| p[0] < -0.19 && p[1] < -0.19).count();
        assert!(on_item * 4 > cloud.positions_m.len(), "{on_item} of {}", cloud.positions_m.len());
        assert_eq!((cloud.colors.len(), cloud.radii_m.len()), (cloud.positions_m.len(), cloud.positions_m.len()));
    }

    #[test]
    fn invalid_depth_gives_no_points() {
        let mut data = vec![0.0; 10_000];
        data[0] = 2.0;
        let depth = DepthImage::new(100, 100, data).unwrap();
        let color = ColorImage::new(100, 100, vec![7; 30_000]).unwrap();
        let cloud = sample(&depth, &color, &intrinsics(), None, 20_000);
        assert_eq!(cloud.positions_m, [[-0.99, -0.99, 2.0]]);
        let other = ColorImage::new(50, 50, vec![7; 7_500]).unwrap();
        assert_eq!(sample(&depth, &other, &intrinsics(), None, 20_000), Cloud::default());
    }
}

//! A texture in millimetres, painted through signed distances.

/// sRGB colour, 0–255.
pub(crate) type Rgb = [u8; 3];

/// One texture sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Texel {
    /// sRGB albedo.
    pub rgb: Rgb,
    /// 0 matt … 255 mirror-like film.
    pub gloss: u8,
    /// 0: cut away, the inside shows.
    pub solid: bool,
    /// Damage bits of the marks painted here.
    pub damage: u16,
}

/// `a` moved towards `b` by `t` in [0, 1].
pub(crate) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * t).round() as u8)
}

/// `a` made lighter or darker by a factor.
pub(crate) fn scale(a: Rgb, factor: f32) -> Rgb {
    a.map(|c| (f32::from(c) * factor).clamp(0.0, 255.0) as u8)
}

/// A rectangle of texels; positions are millimetres from its top-left corner.
#[derive(Clone, Debug)]
pub(crate) struct Texture {
    width: usize,
    height: usize,
    texel_mm: f32,
    texels: Vec<Texel>,
}

impl Texture {
    /// A single-coloured texture of that size (at least 2×2 texels).
    pub fn new(width_mm: f32, height_mm: f32, texel_mm: f32, rgb: Rgb, gloss: u8) -> Texture {
        let width = ((width_mm / texel_mm).round() as usize).clamp(2, 4096);
        let height = ((height_mm / texel_mm).round() as usize).clamp(2, 4096);
        let texel = Texel { rgb, gloss, solid: true, damage: 0 };
        Texture { width, height, texel_mm, texels: vec![texel; width * height] }
    }

    pub fn width_mm(&self) -> f32 {
        self.width as f32 * self.texel_mm
    }

    pub fn height_mm(&self) -> f32 {
        self.height as f32 * self.texel_mm
    }

    /// True when any part is cut away.
    pub fn has_cuts(&self) -> bool {
        self.texels.iter().any(|t| !t.solid)
    }

    /// The texel at normalised coordinates.
    pub fn nearest(&self, s: f32, t: f32) -> &Texel {
        let x = ((s * self.width as f32) as usize).min(self.width - 1);
        let y = ((t * self.height as f32) as usize).min(self.height - 1);
        &self.texels[y * self.width + x]
    }

    /// Bilinear colour (linear-light through `to_linear`) and gloss at normalised coordinates.
    pub fn sample(&self, s: f32, t: f32, to_linear: &[f32; 256]) -> ([f32; 3], f32) {
        let x = (s * self.width as f32 - 0.5).clamp(0.0, self.width as f32 - 1.001);
        let y = (t * self.height as f32 - 0.5).clamp(0.0, self.height as f32 - 1.001);
        let (ix, iy) = (x as usize, y as usize);
        let (fx, fy) = (x - ix as f32, y - iy as f32);
        let at = iy * self.width + ix;
        let corners = [
            (&self.texels[at], (1.0 - fx) * (1.0 - fy)),
            (&self.texels[at + 1], fx * (1.0 - fy)),
            (&self.texels[at + self.width], (1.0 - fx) * fy),
            (&self.texels[at + self.width + 1], fx * fy),
        ];
        let (mut rgb, mut gloss) = ([0.0f32; 3], 0.0f32);
        for (texel, weight) in corners {
            for (sum, c) in rgb.iter_mut().zip(texel.rgb) {
                *sum += weight * to_linear[usize::from(c)];
            }
            gloss += weight * f32::from(texel.gloss);
        }
        (rgb, gloss / 255.0)
    }

    /// Changes every texel whose centre lies in the box `[x0, y0, x1, y1]` (mm).
    pub fn paint(&mut self, bounds_mm: [f32; 4], mut change: impl FnMut(f32, f32, &mut Texel)) {
        let to_index = |mm: f32, n: usize| ((mm / self.texel_mm).floor().max(0.0) as usize).min(n);
        let (x0, x1) = (to_index(bounds_mm[0], self.width), to_index(bounds_mm[2] + self.texel_mm, self.width));
        let (y0, y1) = (to_index(bounds_mm[1], self.height), to_index(bounds_mm[3] + self.texel_mm, self.height));
        for y in y0..y1 {
            for x in x0..x1 {
                let (cx, cy) = ((x as f32 + 0.5) * self.texel_mm, (y as f32 + 0.5) * self.texel_mm);
                change(cx, cy, &mut self.texels[y * self.width + x]);
            }
        }
    }

    /// Changes all texels.
    pub fn paint_all(&mut self, change: impl FnMut(f32, f32, &mut Texel)) {
        self.paint([0.0, 0.0, self.width_mm(), self.height_mm()], change);
    }

    /// Fills where the signed distance (mm, negative inside) is below zero, with an antialiased edge.
    pub fn fill(&mut self, bounds_mm: [f32; 4], rgb: Rgb, distance: impl Fn(f32, f32) -> f32) {
        let soft = self.texel_mm;
        self.paint(bounds_mm, |x, y, texel| {
            let cover = (0.5 - distance(x, y) / soft).clamp(0.0, 1.0);
            if cover > 0.0 {
                texel.rgb = mix(texel.rgb, rgb, cover);
            }
        });
    }

    /// A filled upright rectangle.
    pub fn rect(&mut self, x: f32, y: f32, w: f32, h: f32, rgb: Rgb) {
        let (cx, cy) = (x + w / 2.0, y + h / 2.0);
        self.fill([x - 1.0, y - 1.0, x + w + 1.0, y + h + 1.0], rgb, |px, py| ((px - cx).abs() - w / 2.0).max((py - cy).abs() - h / 2.0));
    }

    /// A filled ellipse.
    pub fn ellipse(&mut self, cx: f32, cy: f32, rx: f32, ry: f32, rgb: Rgb) {
        let r = rx.min(ry).max(0.1);
        self.fill([cx - rx - 1.0, cy - ry - 1.0, cx + rx + 1.0, cy + ry + 1.0], rgb, |px, py| {
            (((px - cx) / rx).hypot((py - cy) / ry) - 1.0) * r
        });
    }

    /// A stroke of that width through the points.
    pub fn stroke(&mut self, points: &[[f32; 2]], width_mm: f32, rgb: Rgb) {
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let pad = width_mm + 1.0;
            let bounds = [a[0].min(b[0]) - pad, a[1].min(b[1]) - pad, a[0].max(b[0]) + pad, a[1].max(b[1]) + pad];
            self.fill(bounds, rgb, |x, y| segment_distance([x, y], a, b) - width_mm / 2.0);
        }
    }

    /// A filled polygon (even–odd).
    pub fn polygon(&mut self, points: &[[f32; 2]], rgb: Rgb) {
        let bounds = polygon_bounds(points);
        self.fill(bounds, rgb, |x, y| polygon_distance([x, y], points));
    }
}

/// Distance from `p` to the segment `a`–`b`.
pub(crate) fn segment_distance(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let len2 = dx * dx + dy * dy;
    let t = if len2 > 0.0 { (((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / len2).clamp(0.0, 1.0) } else { 0.0 };
    (p[0] - a[0] - t * dx).hypot(p[1] - a[1] - t * dy)
}

/// Signed distance to a polygon, negative inside.
pub(crate) fn polygon_distance(p: [f32; 2], points: &[[f32; 2]]) -> f32 {
    let (mut nearest, mut inside) = (f32::INFINITY, false);
    for (i, b) in points.iter().enumerate() {
        let a = points[(i + points.len() - 1) % points.len()];
        nearest = nearest.min(segment_distance(p, a, *b));
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0] {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

/// `[x0, y0, x1, y1]` around a polygon with a millimetre to spare.
pub(crate) fn polygon_bounds(points: &[[f32; 2]]) -> [f32; 4] {
    points.iter().fold([f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY], |b, p| {
        [b[0].min(p[0] - 1.0), b[1].min(p[1] - 1.0), b[2].max(p[0] + 1.0), b[3].max(p[1] + 1.0)]
    })
}

//! A natural cubic spline through joint vectors: twice continuously differentiable.

use nalgebra::DVector;

/// A spline over the parameter `u` in `[0, 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Spline {
    knots_u: Vec<f64>,
    values: Vec<DVector<f64>>,
    /// Second derivatives at the knots.
    curvatures: Vec<DVector<f64>>,
}

/// Value and the first two derivatives.
pub(crate) struct SplinePoint {
    pub value: DVector<f64>,
    pub first: DVector<f64>,
    pub second: DVector<f64>,
}

impl Spline {
    /// Through these points, spaced by their distance. Points nearer than 1e-7 to their predecessor are left out;
    /// `None` when fewer than two remain.
    pub fn through(points: &[DVector<f64>]) -> Option<Self> {
        let mut values: Vec<DVector<f64>> = Vec::new();
        let mut lengths = Vec::new();
        for point in points {
            let gap = values.last().map_or(f64::INFINITY, |last| (point - last).norm());
            if gap > 1e-7 {
                if gap.is_finite() {
                    lengths.push(gap);
                }
                values.push(point.clone());
            }
        }
        let total: f64 = lengths.iter().sum();
        if values.len() < 2 || !total.is_finite() {
            return None;
        }
        let mut knots_u = vec![0.0];
        let mut so_far = 0.0;
        for length in &lengths {
            so_far += length / total;
            knots_u.push(so_far);
        }
        let curvatures = natural_curvatures(&knots_u, &values);
        Some(Self { knots_u, values, curvatures })
    }

    /// Number of pieces.
    pub fn pieces(&self) -> usize {
        self.values.len() - 1
    }

    /// At `u`, clamped to `[0, 1]`.
    pub fn at(&self, u: f64) -> SplinePoint {
        let last = self.knots_u.last().copied().unwrap_or(1.0);
        let u = u.clamp(0.0, last);
        let piece = self.knots_u.partition_point(|knot| *knot <= u).saturating_sub(1).min(self.pieces() - 1);
        let (u0, u1) = (self.knots_u[piece], self.knots_u[piece + 1]);
        let (p0, p1) = (&self.values[piece], &self.values[piece + 1]);
        let (m0, m1) = (&self.curvatures[piece], &self.curvatures[piece + 1]);
        let h = u1 - u0;
        let (a, b) = ((u1 - u) / h, (u - u0) / h);
        let cubic = |w: f64| (w * w * w - w) * h * h / 6.0;
        SplinePoint {
            value: p0 * a + p1 * b + m0 * cubic(a) + m1 * cubic(b),
            first: (p1 - p0) / h + m1 * ((3.0 * b * b - 1.0) * h / 6.0) - m0 * ((3.0 * a * a - 1.0) * h / 6.0),
            second: m0 * a + m1 * b,
        }
    }
}

/// Solves the tridiagonal system of the natural spline (Thomas algorithm).
fn natural_curvatures(u: &[f64], p: &[DVector<f64>]) -> Vec<DVector<f64>> {
    let n = p.len();
    let zero = DVector::zeros(p[0].len());
    let mut curvatures = vec![zero.clone(); n];
    let (mut upper, mut right) = (vec![0.0; n], vec![zero; n]);
    for i in 1..n - 1 {
        let (h0, h1) = (u[i] - u[i - 1], u[i + 1] - u[i]);
        let pivot = 2.0 * (h0 + h1) - h0 * upper[i - 1];
        upper[i] = h1 / pivot;
        right[i] = (((&p[i + 1] - &p[i]) / h1 - (&p[i] - &p[i - 1]) / h0) * 6.0 - &right[i - 1] * h0) / pivot;
    }
    for i in (1..n - 1).rev() {
        curvatures[i] = &right[i] - &curvatures[i + 1] * upper[i];
    }
    curvatures
}

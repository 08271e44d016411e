//! Any number of looks that are spread as measured ones: products around their family, views around their product.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One measured view: its family, its product, and its look.
pub type Sample = (usize, usize, Vec<f32>);

/// How the products of one family and the views of one product differ.
#[derive(Default)]
struct Family {
    mean: Vec<f32>,
    /// Of each measured product, its mean's difference from the family's.
    products: Vec<Vec<f32>>,
    /// Of each measured view, its difference from its product's mean, enlarged for what the mean took from it.
    views: Vec<Vec<f32>>,
}

/// What looks are drawn from: normal distributions with the covariances of the measured ones.
pub struct Spread {
    seed: u64,
    families: Vec<Family>,
}

impl Spread {
    /// Of measured views, a product's beside one another; a product with one view says nothing of how views differ.
    pub fn of(samples: &[Sample], seed: u64) -> Self {
        let mut families: Vec<Family> = (0..=samples.iter().map(|s| s.0).max().unwrap_or(0)).map(|_| Family::default()).collect();
        for product in samples.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let views: Vec<&[f32]> = product.iter().map(|s| s.2.as_slice()).collect();
            let (mean, n) = (mean(&views), views.len() as f32);
            let family = &mut families[product[0].0];
            if views.len() > 1 {
                let unbiased = (n / (n - 1.0)).sqrt();
                family.views.extend(views.iter().map(|v| v.iter().zip(&mean).map(|(v, m)| (v - m) * unbiased).collect::<Vec<_>>()));
            }
            family.products.push(mean);
        }
        families.retain(|f| !f.products.is_empty() && !f.views.is_empty());
        for family in &mut families {
            family.mean = mean(&family.products.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let around = &family.mean;
            family.products.iter_mut().for_each(|p| p.iter_mut().zip(around).for_each(|(p, m)| *p -= m));
        }
        Self { seed, families }
    }

    /// `count` views of one product, of unit length and without negative numbers; further views of it when `count` is larger.
    pub fn views(&self, product: u64, count: usize) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(product);
        let family = &self.families[product as usize % self.families.len()];
        let middle = around(&family.mean, &family.products, &mut rng);
        let view = |_| {
            let mut view = around(&middle, &family.views, &mut rng);
            view.iter_mut().for_each(|v| *v = v.max(0.0));
            let norm = view.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
            view.iter_mut().for_each(|v| *v /= norm);
            view
        };
        (0..count).map(view).collect()
    }
}

fn mean(all: &[&[f32]]) -> Vec<f32> {
    let mut sum = vec![0.0; all.first().map_or(0, |v| v.len())];
    all.iter().for_each(|v| sum.iter_mut().zip(*v).for_each(|(s, v)| *s += v / all.len() as f32));
    sum
}

/// Normal around `middle`, with the covariance of `differences`.
fn around(middle: &[f32], differences: &[Vec<f32>], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut out = middle.to_vec();
    let scale = (differences.len() as f32).sqrt().recip();
    for difference in differences {
        // Twelve uniform numbers are as good as normal for this.
        let weight = scale * ((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
        out.iter_mut().zip(difference).for_each(|(o, d)| *o += weight * d);
    }
    out
}

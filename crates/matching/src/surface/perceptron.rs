//! A small network over one pixel's responses: is it like the pristine pictures, or like a blemish?

use nalgebra::{DMatrix, DVector};
use rand::Rng;
use rand::seq::SliceRandom;

/// Units of the hidden layers.
const HIDDEN: [usize; 2] = [64, 32];
/// Examples a step.
const BATCH: usize = 256;
const EPOCHS: usize = 16;
const RATE: f32 = 1e-3;
/// Pull of the weights to nothing.
const DECAY: f32 = 1e-5;
/// Share of the examples that only tell when to stop.
const KEPT_BACK: usize = 12;
/// Responses beyond this many standard deviations say no more.
const LIMIT: f32 = 6.0;

/// Columns are examples everywhere in here.
#[derive(Clone, Debug)]
struct Layer {
    weights: DMatrix<f32>,
    bias: DVector<f32>,
}

/// Responses in, the logarithm of the odds of a blemish out.
#[derive(Clone, Debug)]
pub(super) struct Perceptron {
    mean: Vec<f32>,
    /// One over the spread.
    scale: Vec<f32>,
    layers: Vec<Layer>,
}

impl Perceptron {
    /// Learns from examples of `width` values each; `labels` says which show a blemish. The same examples and the same
    /// state of `random` give the same network.
    pub fn learn(width: usize, examples: &[f32], labels: &[bool], random: &mut impl Rng) -> Perceptron {
        let (mean, scale) = spread(width, examples);
        let sizes: Vec<usize> = std::iter::once(width).chain(HIDDEN).chain([1]).collect();
        let layers = sizes.windows(2).map(|s| Layer::new(s[0], s[1], random)).collect();
        let mut network = Perceptron { mean, scale, layers };
        let inputs = network.inputs(examples);
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.shuffle(random);
        let (check, learn) = order.split_at(labels.len() / KEPT_BACK);
        let mut learn = learn.to_vec();
        let mut steps = Adam::new(&network.layers);
        let mut best = (f32::MAX, network.layers.clone());
        for epoch in 0..EPOCHS {
            learn.shuffle(random);
            // Towards the end smaller steps (a cosine), so that the last batches do not decide.
            let rate = RATE * 0.5 * (1.0 + (std::f32::consts::PI * epoch as f32 / EPOCHS as f32).cos()).max(0.02);
            for batch in learn.chunks(BATCH) {
                let gradients = network.gradients(&columns(&inputs, batch), &targets(labels, batch));
                steps.step(&mut network.layers, &gradients, rate);
            }
            let loss = network.loss(&inputs, labels, check);
            if loss < best.0 {
                best = (loss, network.layers.clone());
            }
        }
        network.layers = best.1;
        network
    }

    /// Values that describe one example.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Logarithms of the odds, one an example.
    pub fn logits(&self, examples: &[f32]) -> Vec<f32> {
        self.outputs(self.inputs(examples)).pop().map_or_else(Vec::new, |last| last.as_slice().to_vec())
    }

    fn inputs(&self, examples: &[f32]) -> DMatrix<f32> {
        let width = self.width();
        let scaled = examples.iter().enumerate().map(|(i, v)| {
            let k = i % width;
            ((v - self.mean[k]) * self.scale[k]).clamp(-LIMIT, LIMIT)
        });
        DMatrix::from_iterator(width, examples.len() / width.max(1), scaled)
    }

    /// What each layer passes on; the last one's is not rectified.
    fn outputs(&self, inputs: DMatrix<f32>) -> Vec<DMatrix<f32>> {
        let mut all = vec![inputs];
        for (n, layer) in self.layers.iter().enumerate() {
            let mut out = &layer.weights * &all[n];
            for mut column in out.column_iter_mut() {
                column += &layer.bias;
            }
            if n + 1 < self.layers.len() {
                out.apply(|v| *v = v.max(0.0));
            }
            all.push(out);
        }
        all
    }

    /// Of the mean cross entropy, by back-propagation.
    fn gradients(&self, inputs: &DMatrix<f32>, targets: &[f32]) -> Vec<Layer> {
        let outputs = self.outputs(inputs.clone());
        let n = targets.len().max(1) as f32;
        let mut delta = outputs[self.layers.len()].clone();
        delta.iter_mut().zip(targets).for_each(|(v, t)| *v = (sigmoid(*v) - t) / n);
        let mut out = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let weights = &delta * outputs[k].transpose() + &layer.weights * DECAY;
            out.push(Layer { weights, bias: delta.column_sum() });
            if k > 0 {
                delta = layer.weights.tr_mul(&delta);
                delta.iter_mut().zip(outputs[k].iter()).filter(|(_, o)| **o <= 0.0).for_each(|(d, _)| *d = 0.0);
            }
        }
        out.reverse();
        out
    }

    fn loss(&self, inputs: &DMatrix<f32>, labels: &[bool], of: &[usize]) -> f32 {
        let last = self.outputs(columns(inputs, of)).pop();
        let sum: f32 =
            last.iter().flat_map(|m| m.iter()).zip(targets(labels, of)).map(|(v, t)| (1.0 + v.exp()).ln().min(50.0) - t * v).sum();
        sum / of.len().max(1) as f32
    }
}

impl Layer {
    /// He et al., 2015.
    fn new(inputs: usize, outputs: usize, random: &mut impl Rng) -> Layer {
        let spread = (6.0 / inputs.max(1) as f32).sqrt();
        let weights = DMatrix::from_fn(outputs, inputs, |_, _| random.random_range(-spread..spread));
        Layer { weights, bias: DVector::zeros(outputs) }
    }
}

/// Kingma and Ba, 2015.
struct Adam {
    first: Vec<Layer>,
    second: Vec<Layer>,
    steps: i32,
}

impl Adam {
    fn new(layers: &[Layer]) -> Adam {
        let none = || layers.iter().map(|l| Layer { weights: &l.weights * 0.0, bias: &l.bias * 0.0 }).collect();
        Adam { first: none(), second: none(), steps: 0 }
    }

    fn step(&mut self, layers: &mut [Layer], gradients: &[Layer], rate: f32) {
        const KEEP: (f32, f32) = (0.9, 0.999);
        self.steps += 1;
        let (short, long) = (1.0 - KEEP.0.powi(self.steps), 1.0 - KEEP.1.powi(self.steps));
        let update = |value: &mut f32, g: f32, m: &mut f32, v: &mut f32| {
            *m = KEEP.0 * *m + (1.0 - KEEP.0) * g;
            *v = KEEP.1 * *v + (1.0 - KEEP.1) * g * g;
            *value -= rate * (*m / short) / ((*v / long).sqrt() + 1e-8);
        };
        for (((layer, g), m), v) in layers.iter_mut().zip(gradients).zip(&mut self.first).zip(&mut self.second) {
            let values = layer.weights.iter_mut().chain(layer.bias.iter_mut());
            let moments = m.weights.iter_mut().chain(m.bias.iter_mut()).zip(v.weights.iter_mut().chain(v.bias.iter_mut()));
            for ((value, g), (m, v)) in values.zip(g.weights.iter().chain(g.bias.iter())).zip(moments) {
                update(value, *g, m, v);
            }
        }
    }
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn columns(inputs: &DMatrix<f32>, of: &[usize]) -> DMatrix<f32> {
    inputs.select_columns(of)
}

fn targets(labels: &[bool], of: &[usize]) -> Vec<f32> {
    of.iter().map(|i| if labels[*i] { 1.0 } else { 0.0 }).collect()
}

/// Mean, and one over the standard deviation, of each value.
fn spread(width: usize, examples: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let n = (examples.len() / width.max(1)).max(1) as f64;
    let mut sums = vec![(0.0f64, 0.0f64); width];
    for example in examples.chunks_exact(width) {
        for (sum, v) in sums.iter_mut().zip(example) {
            sum.0 += f64::from(*v);
            sum.1 += f64::from(*v) * f64::from(*v);
        }
    }
    let of = |(sum, squares): &(f64, f64)| {
        let mean = sum / n;
        (mean as f32, 1.0 / ((squares / n - mean * mean).max(0.0).sqrt() as f32 + 1e-6))
    };
    sums.iter().map(of).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn learns_what_no_line_divides_and_learns_it_again() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let examples: Vec<f32> = (0..8000).map(|_| random.random_range(-1.0..1.0)).collect();
        let labels: Vec<bool> = examples.chunks_exact(2).map(|e| (e[0] > 0.0) != (e[1] > 0.0)).collect();
        let learn = || Perceptron::learn(2, &examples, &labels, &mut ChaCha8Rng::seed_from_u64(4));
        let network = learn();
        let asked = [0.5, 0.5, -0.5, -0.5, 0.5, -0.5, -0.5, 0.5];
        let logits = network.logits(&asked);
        assert!(logits[0] < -1.0 && logits[1] < -1.0 && logits[2] > 1.0 && logits[3] > 1.0, "{logits:?}");
        assert_eq!(logits, learn().logits(&asked), "the same seed learns the same");
        assert!(network.logits(&[]).is_empty());
    }

    #[test]
    fn gradients_are_those_of_the_loss() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let examples: Vec<f32> = (0..60).map(|_| random.random_range(-1.0..1.0)).collect();
        let labels: Vec<bool> = (0..20).map(|i| i % 3 == 0).collect();
        let mut network = Perceptron::learn(3, &examples, &labels, &mut random);
        let all: Vec<usize> = (0..20).collect();
        let inputs = network.inputs(&examples);
        let gradient = network.gradients(&inputs, &targets(&labels, &all));
        for (layer, computed) in gradient.iter().enumerate() {
            let step = 1e-2;
            let was = network.layers[layer].weights[(0, 1)];
            let mut at = |v: f32| {
                network.layers[layer].weights[(0, 1)] = v;
                network.loss(&inputs, &labels, &all)
            };
            let slope = (at(was + step) - at(was - step)) / (2.0 * step);
            at(was);
            let expected = computed.weights[(0, 1)] - DECAY * was;
            assert!((slope - expected).abs() < 2e-3, "layer {layer}: {slope} {expected}");
        }
    }
}

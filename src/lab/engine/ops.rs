//! The small operations between matrix products, over plain slices.

/// Scales `x` to a root mean square of 1, then by `gain`, into `out`.
pub fn rms_norm(x: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean = x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32;
    let scale = 1.0 / (mean + epsilon).sqrt();
    for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
        *out = x * scale * gain;
    }
}

/// Adds `change` to `x`.
pub fn add(x: &mut [f32], change: &[f32]) {
    for (x, change) in x.iter_mut().zip(change) {
        *x += change;
    }
}

/// Turns each pair (i, i + half) of a head by the angles whose cosines and sines are given, `half` of each.
pub fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, second) = head.split_at_mut(head.len() / 2);
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

/// Turns scores into shares that sum to 1.
pub fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f32;
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

/// The gated unit of the feed-forward block: `gate · sigmoid(gate) · up`, over a row that holds all gates and then all ups.
pub fn gated(row: &[f32], out: &mut [f32]) {
    let (gates, ups) = row.split_at(row.len() / 2);
    for ((out, gate), up) in out.iter_mut().zip(gates).zip(ups) {
        *out = gate / (1.0 + (-gate).exp()) * up;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normed_row_has_a_root_mean_square_of_one() {
        let mut out = [0.0; 4];
        rms_norm(&[1.0, -2.0, 3.0, 4.0], &[1.0; 4], 0.0, &mut out);
        let mean = out.iter().map(|v| v * v).sum::<f32>() / 4.0;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn a_quarter_turn_swaps_the_halves() {
        let mut head = [1.0, 2.0, 3.0, 4.0];
        rotate(&mut head, &[0.0, 0.0], &[1.0, 1.0]);
        assert_eq!(head.map(f32::to_bits), [-3.0_f32, -4.0, 1.0, 2.0].map(f32::to_bits));
    }

    #[test]
    fn softmax_does_not_overflow() {
        let mut scores = [1000.0, 1000.0, -1000.0];
        softmax(&mut scores);
        assert_eq!(scores.map(f32::to_bits), [0.5_f32, 0.5, 0.0].map(f32::to_bits));
    }

    #[test]
    fn a_closed_gate_lets_nothing_through() {
        let mut out = [1.0; 2];
        gated(&[-100.0, 10.0, 5.0, 5.0], &mut out);
        assert!(out[0].abs() < 1e-6 && (out[1] - 50.0).abs() < 0.01, "{out:?}");
    }
}

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

/// Takes each number to its exponential, within three units of the last place, and to exactly 0 below −87.
///
/// Written out, because the compiler makes vector instructions of it, as it cannot of calls into a system's library, and
/// because systems differ in theirs.
pub fn exp(values: &mut [f32]) {
    for value in values {
        *value = exponential(*value);
    }
}

#[inline]
fn exponential(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with few enough bits for exact products.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    /// 1/2! to 1/7! with the error spread over half of ln 2 to either side.
    const TERMS: [f32; 6] = [0.5, 0.166_666_66, 0.041_665_796, 8.333_452e-3, 1.398_2e-3, 1.987_569_2e-4];
    let near = x.clamp(-87.0, 88.0);
    let shifted = near * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (near - whole * LN_2.0) - whole * LN_2.1;
    let series = TERMS.iter().rev().fold(0.0, |sum, term| sum * rest + term);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let result = (series * rest * rest + rest + 1.0) * power;
    if x < -87.0 { 0.0 } else { result }
}

/// Turns scores into shares that sum to 1.
pub fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score -= top;
    }
    exp(scores);
    let share = 1.0 / scores.iter().sum::<f32>();
    for score in scores {
        *score *= share;
    }
}

/// The gated unit of the feed-forward block: `gate · sigmoid(gate) · up`, over a row that holds all gates and then all ups.
pub fn gated(row: &[f32], out: &mut [f32]) {
    let (gates, ups) = row.split_at(row.len() / 2);
    for ((out, gate), up) in out.iter_mut().zip(gates).zip(ups) {
        *out = gate / (1.0 + exponential(-gate)) * up;
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
    fn exponentials_are_right_to_the_last_places() {
        let mut worst = 0.0_f64;
        for step in -870..880_i16 {
            let x = f32::from(step) * 0.1 + 0.003;
            let mut value = [x];
            exp(&mut value);
            let right = f64::from(x).exp();
            worst = worst.max((f64::from(value[0]) - right).abs() / right);
        }
        assert!(worst < 3e-7, "{worst}");
        let mut edges = [0.0, f32::NEG_INFINITY, -88.0, f32::NAN];
        exp(&mut edges);
        assert_eq!(edges[..3], [1.0, 0.0, 0.0].map(|v: f32| v));
        assert!(edges[3].is_nan());
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

//! What repeats say of sampling: whether a seed is used, and whether answers are drawn at all.

use super::tally::{FEWEST, RULED_OUT, Tally};
use super::{Evidence, finding};
use crate::signal::repeats::{LONG_ENOUGH, duplicates, replayed_ids, seeded};
use crate::stats::exact::{Share, more_often};
use crate::stats::kernel::{Kernels, mean_of_combined};
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

/// The reference repeats itself under a seed on at least this share of probes: otherwise a seed says nothing here. Sums that
/// depend on the batch change a draw now and then even where the seed is used, so not all need to agree.
const SEEDS_WORK: f64 = 0.5;

/// From this p-value on a seed that changes nothing is no noise: five probes that all change against five that never do. Where
/// the reference is noisy itself, chance must be ruled out.
const NO_NOISE: f64 = 0.01;

/// From this share on it is most: of the seeds that were sent, those that change answers, and of these those that leave no two equal.
const MOST: f64 = 0.5;

/// The same where the model has moved.
const NEARLY_ALL: f64 = 0.75;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [seeds, replays].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// Answers to one seed that differ, where the reference's are equal.
fn seeds(evidence: &Evidence<'_>) -> Option<Finding> {
    let found = seeded(evidence.answers);
    let (endpoint, reference) = (found.changing, seeded(evidence.reference).changing);
    if endpoint.showing < FEWEST || reference.all < FEWEST || reference.value() > 1.0 - SEEDS_WORK {
        return None;
    }
    let is_moved = evidence.is_model_moved();
    // Without a seed hardly any two of three answers are equal. Models that take turns give two that are, and so does noise.
    let are_mostly_equal = found.scattered.all >= FEWEST && found.scattered.value() < MOST;
    if are_mostly_equal && (is_moved || evidence.is_restless()) {
        return None;
    }
    let p = more_often(endpoint, reference);
    // Noise changes an answer here and there even where the seed is used, and not on most probes. A model that has moved tips over
    // more easily.
    let most = if is_moved { NEARLY_ALL } else { MOST };
    let confidence = match (endpoint.value() > most, p <= NO_NOISE) {
        (true, true) if reference.showing == 0 || p <= RULED_OUT => Certain,
        (true, true) => Likely,
        (true, false) if p <= 0.05 => Likely,
        (false, true) if !is_moved => Possible,
        _ => return None,
    };
    // Sums that depend on the batch leave two of three equal; what leaves hardly any two is no seed.
    let confidence = if are_mostly_equal { Possible } else { confidence };
    let evidence = format!(
        "answers to one seed differ on {} of {} probes, the reference's on {} of {}",
        endpoint.showing, endpoint.all, reference.showing, reference.all
    );
    Some(finding("seed-ignored", confidence, evidence))
}

/// Long sampled answers that are equal to an earlier one, while those that are not are as unlike each other as the
/// reference's: a lower temperature would draw them together as well.
fn replays(evidence: &Evidence<'_>) -> Option<Finding> {
    let by_id = Tally { endpoint: replayed_ids(evidence.answers), reference: replayed_ids(evidence.reference) };
    if by_id.never().is_some() {
        return None;
    }
    let tally = Tally {
        endpoint: duplicates(evidence.answers, evidence.reference),
        reference: duplicates(evidence.reference, evidence.answers),
    };
    if tally.endpoint.showing < FEWEST || more_often(tally.endpoint, tally.reference) > RULED_OUT {
        return None;
    }
    let drawn_together = closeness(evidence)?;
    let evidence = format!(
        "sampled answers of {LONG_ENOUGH} characters or more equal an earlier one in {}, and {}",
        tally.words(),
        if drawn_together { "the others are drawn together too" } else { "the others vary as the reference's do" }
    );
    Some(finding("cached-responses", if drawn_together { Possible } else { Likely }, evidence))
}

/// Whether the endpoint's different answers lie closer to the reference's than those lie to each other, as those of a lower
/// temperature do and kept ones do not. A share of probes beyond chance decides, by the sign test.
pub(super) fn closeness(evidence: &Evidence<'_>) -> Option<bool> {
    let mut closer = Share::default();
    for (probe, reference) in evidence.reference.probes(crate::sample::Asking::Sampled) {
        let mut theirs: Vec<&str> =
            evidence.answers.of(crate::sample::Asking::Sampled, probe).iter().map(|a| &*a.text).collect();
        theirs.dedup();
        let ours: Vec<&str> = reference.iter().map(|a| &*a.text).collect();
        if ours.len() < 2 || theirs.is_empty() {
            continue;
        }
        let texts: Vec<&str> = ours.iter().chain(&theirs).copied().collect();
        let kernels = Kernels::new(&texts);
        let mean = |pairs: &mut dyn Iterator<Item = (usize, usize)>| {
            let (sum, n) =
                pairs.fold((0.0, 0.0), |(sum, n), (i, j)| (sum + mean_of_combined(&kernels.between(i, j)), n + 1.0));
            sum / n
        };
        let r = ours.len();
        let own = mean(&mut (0..r).flat_map(|i| (0..i).map(move |j| (i, j))));
        let across = mean(&mut (r..texts.len()).flat_map(|i| (0..r).map(move |j| (i, j))));
        closer.count((across > own).into());
    }
    let even = Share { showing: closer.all / 2, all: closer.all };
    (closer.all > 0).then(|| more_often(closer, even) <= 0.05)
}

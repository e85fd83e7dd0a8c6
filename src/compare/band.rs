//! The honest band: how far from the reference a host may be that serves the same model by other kernels.
//!
//! A server that repeats itself exactly shows no noise of its own, and yet another that is as honest differs from it. What that
//! makes is measured where it can be: from hosts that the user declares twins, and from the fleet, whose largest group that agrees
//! pairwise shows what agreement looks like. Where neither is there, a published rate stands in, and less is claimed.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::{BUILT_IN_HAZARD_PER_TOKEN, CHARACTERS_PER_TOKEN, Pace, Unit};
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::stats::divergence::Exposure;
use crate::stats::survival::first_divergence;

/// Divergences for each token up to which hosts may be honest where nothing else is known: below it 8-bit weights and kernels were
/// measured (1 to 3 % of tokens), and from it on another system prompt (5 to 20 %; Token-DiFR, arXiv 2511.20621).
pub const HONEST_HAZARD_PER_TOKEN: f64 = 0.05;

/// The same for each character, given how many there are to a token, where hosts report that.
pub fn honest_hazard(characters_per_token: Option<f64>) -> f64 {
    HONEST_HAZARD_PER_TOKEN / characters_per_token.unwrap_or(CHARACTERS_PER_TOKEN)
}

/// The share of how soon draws of the reference leave its greedy answers up to which hosts may be honest, where that is the unit: on
/// a real engine other kernels part at 1 % of the rate at which two draws part, weights stored in 8 bits at 2 %, and 4-bit weights at
/// 14 % (`tests/it/real_data.rs`).
pub const HONEST_SHARE_OF_DRAWS: f64 = 0.1;

/// The fewest hosts, the reference among them, that make a fleet, and that must agree within it.
const FLEET: usize = 4;

/// Where a band comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From hosts that are declared to be twins of the reference.
    Twins,
    /// From the other hosts, the largest group of which agrees pairwise.
    Fleet,
    /// From the reference's own history: how far its answers are now from those of an earlier day.
    History,
    /// From a control: how far it is from the reference is the unit of the tolerance.
    Control,
    /// From how soon draws of the reference leave its own greedy answers.
    Draws,
    /// From the literature.
    #[default]
    BuiltIn,
}

/// What greedy answers of honest hosts may show, as shares of how soon another model's leave the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// Up to here no host is said to drift, 0 to 1.
    pub honest: f64,
    /// Up to here hosts were seen to agree, 0 to 1: who surely stays within it agrees with them. 0 where none were seen.
    pub agreed: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Band {
    /// Where neither twins nor a fleet say more.
    pub fn of_unit(pace: &Pace) -> Self {
        match pace.unit {
            Unit::Measured => Self { honest: 0.0, agreed: 0.0, source: Source::Control },
            Unit::Draws => Self { honest: HONEST_SHARE_OF_DRAWS, agreed: 0.0, source: Source::Draws },
            Unit::BuiltIn => {
                let honest = HONEST_HAZARD_PER_TOKEN / BUILT_IN_HAZARD_PER_TOKEN;
                Self { honest, agreed: 0.0, source: Source::BuiltIn }
            }
        }
    }
}

impl Band {
    /// The band with what the reference's own answers show from one day to another, at so many divergences for each character: within
    /// it hosts agree. What is beyond the honest rate is a reference that has moved, and no measure of agreement.
    #[must_use]
    pub fn over_time(self, hazard: f64, pace: &Pace) -> Self {
        let share = (hazard / pace.hazard).clamp(0.0, 1.0);
        let says_more = share > self.agreed && share <= self.honest;
        match self.source {
            Source::Twins | Source::Control => self,
            _ if says_more => Self { agreed: share, source: Source::History, ..self },
            _ => self,
        }
    }
}

/// How soon answers of one host leave those that it gave on another day, beyond how soon they leave each other on one day:
/// divergences for each character, at least 0; `None` without greedy answers to the same probes.
pub fn apart_in_time(now: &Answers<'_>, then: &Answers<'_>) -> Option<f64> {
    let apart = excess((now, itself(now)), (then, itself(then)));
    apart.is_finite().then_some(apart)
}

/// How soon the greedy answers of hosts leave each other's: all pairs, the reference first.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    hosts: usize,
    /// How soon each host leaves itself.
    own: Vec<f64>,
    /// Divergences for each character, beyond how soon the hosts leave themselves; row-major and symmetric, and infinite between
    /// hosts that have no greedy probe in common.
    excess: Vec<f64>,
    twins: Vec<usize>,
}

impl Fleet {
    /// Of the reference and the hosts beside it, of which some (by index) are declared to be its twins.
    pub fn new(reference: &Answers<'_>, others: &[&Answers<'_>], twins: Vec<usize>) -> Self {
        let all: Vec<&Answers<'_>> = std::iter::once(reference).chain(others.iter().copied()).collect();
        let n = all.len();
        // Without twins, too few hosts say nothing of what agreement is.
        if n < FLEET && twins.is_empty() {
            return Self::default();
        }
        let own: Vec<f64> = all.par_iter().map(|answers| itself(answers)).collect();
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let found: Vec<f64> = pairs.par_iter().map(|&(i, j)| excess((all[i], own[i]), (all[j], own[j]))).collect();
        let mut excess = vec![0.0; n * n];
        for (&(i, j), &value) in pairs.iter().zip(&found) {
            (excess[i * n + j], excess[j * n + i]) = (value, value);
        }
        Self { hosts: n, own, excess, twins: twins.into_iter().map(|twin| twin + 1).collect() }
    }

    /// The same hosts beside what one of them (by index among those beside the reference) answered earlier, which takes the
    /// reference's place. A twin of it is as near to it as it was to either: whichever of both has moved since, the other answers
    /// show how far apart honest hosts are, and where both have moved alike they still do.
    #[must_use]
    pub fn beside_the_past(&self, past: &Answers<'_>, others: &[&Answers<'_>], host: usize) -> Self {
        let mut out = self.clone();
        if self.hosts == 0 {
            return out;
        }
        let own = itself(past);
        let found: Vec<f64> = others
            .par_iter()
            .zip(&self.own[1..])
            .map(|(other, theirs)| excess((past, own), (other, *theirs)))
            .collect();
        let is_twin = self.twins.contains(&(host + 1));
        out.twins.retain(|_| is_twin);
        out.own[0] = own;
        for (other, &then) in (1..).zip(&found) {
            let now = if out.twins.contains(&other) { self.between(host + 1, other) } else { then };
            let nearer = then.min(now);
            (out.excess[other], out.excess[other * self.hosts]) = (nearer, nearer);
        }
        out
    }

    /// The declared twins, by their indices among the hosts beside the reference, that leave it sooner than honest hosts do, at so many
    /// divergences for each character: they serve something else.
    pub fn strangers(&self, honest: f64) -> Vec<usize> {
        let is_far = |twin: &&usize| self.between(0, **twin).is_finite() && self.between(0, **twin) > honest;
        self.twins.iter().filter(is_far).map(|twin| twin - 1).collect()
    }

    /// The band of one host, by its index among those beside the reference, which has no part in it. Twins are what they are declared to
    /// be up to `honest`, in divergences for each character.
    pub fn band(&self, host: usize, pace: &Pace, honest: f64) -> Band {
        let unit = Band::of_unit(pace);
        let share = |hazard: f64| (hazard / pace.hazard).clamp(0.0, 1.0);
        let host = host + 1;
        let twins = self.twins.iter().filter(|twin| **twin != host).map(|&twin| self.between(0, twin));
        let twins = twins.filter(|distance| *distance <= honest);
        if let Some(widest) = twins.reduce(f64::max) {
            return Band { honest: share(widest), agreed: share(widest), source: Source::Twins };
        }
        // With a control the tolerance is a share of what was measured, and means what it says.
        match self.agreement(host, unit.honest * pace.hazard).filter(|_| pace.unit != Unit::Measured) {
            Some(widest) => Band { agreed: share(widest), source: Source::Fleet, ..unit },
            None => unit,
        }
    }

    fn between(&self, i: usize, j: usize) -> f64 {
        self.excess[i * self.hosts + j]
    }

    /// How far apart the hosts are that are farthest from each other within the largest group, this one left out, that agrees
    /// pairwise; `None` where it is too small, or the reference is no part of it, since agreement without it says nothing of it. Groups
    /// are grown around each host from the nearest on, which finds those of this kind: agreeing hosts lie close together.
    fn agreement(&self, without: usize, limit: f64) -> Option<f64> {
        let others: Vec<usize> = (0..self.hosts).filter(|&host| host != without).collect();
        let grown = others.iter().map(|&centre| {
            let mut near = others.clone();
            near.sort_by(|&a, &b| self.between(centre, a).total_cmp(&self.between(centre, b)).then(a.cmp(&b)));
            let mut group: Vec<usize> = Vec::new();
            for host in near {
                if group.iter().all(|&member| self.between(member, host) <= limit) {
                    group.push(host);
                }
            }
            let widest = group.iter().flat_map(|&a| group.iter().map(move |&b| self.between(a, b))).fold(0.0, f64::max);
            (group.len(), widest, group.contains(&0))
        });
        let (size, widest, holds) = grown.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        (size >= FLEET && holds).then_some(widest)
    }
}

/// Whether the answers of a pair come from one host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Among {
    Itself,
    Others,
}

/// How soon a host leaves itself: divergences for each character, 0 where that cannot be seen.
fn itself(answers: &Answers<'_>) -> f64 {
    hazard(answers, answers, Among::Itself).unwrap_or(0.0)
}

/// How much sooner two hosts, each with how soon it leaves itself, leave each other; infinite where that cannot be seen, since hosts
/// that were never seen side by side do not agree.
fn excess((a, own_a): (&Answers<'_>, f64), (b, own_b): (&Answers<'_>, f64)) -> f64 {
    let between = hazard(a, b, Among::Others);
    between.map_or(f64::INFINITY, |hazard| (hazard - f64::midpoint(own_a, own_b)).max(0.0))
}

/// What two answers both show: all that was generated, or content alone where one of them hides its thought.
fn shown<'x>(x: &'x Answer<'_>, y: &'x Answer<'_>) -> (&'x str, &'x str) {
    if x.thought.is_some() == y.thought.is_some() { (x.generated(), y.generated()) } else { (&x.text, &y.text) }
}

/// Divergences for each character over all greedy probes that both answered; `None` without any.
fn hazard(a: &Answers<'_>, b: &Answers<'_>, among: Among) -> Option<f64> {
    let mut sum = Exposure::default();
    for (probe, ours) in a.with_blanks(Asking::Greedy).filter(|(probe, _)| !b.is_set_aside(probe)) {
        let theirs = b.all_of(Asking::Greedy, probe);
        let (mut exposure, mut pairs) = (Exposure::default(), 0.0);
        for (i, x) in ours.iter().enumerate() {
            let others: &[Answer<'_>] = if among == Among::Itself { &ours[..i] } else { theirs };
            for y in others {
                let (x, y) = shown(x, y);
                let seen = first_divergence(x, y);
                exposure =
                    exposure + Exposure { events: f64::from(u8::from(seen.event)), characters: f64::from(seen.time) };
                pairs += 1.0;
            }
        }
        if pairs > 0.0 {
            let mean = Exposure { events: exposure.events / pairs, characters: exposure.characters / pairs };
            sum = sum + mean;
        }
    }
    (sum.characters > 0.0).then(|| sum.hazard())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters};

    /// Greedy answers of 80 characters to 100 probes that leave the common one on the probes of which the numbers are divisible.
    fn host(divisible_by: usize, word: &str) -> Vec<Sample> {
        let parameters = SampleParameters { temperature: Some(0.0), ..SampleParameters::default() };
        let common = "a".repeat(80);
        let text = |i: usize| if i.is_multiple_of(divisible_by) { format!("aaaa{word}") } else { common.clone() };
        (0..100)
            .map(|i| Sample { parameters: Some(parameters.clone()), ..Sample::new("e", format!("p{i}"), text(i)) })
            .collect()
    }

    fn fleet(hosts: &[Vec<Sample>], twins: Vec<usize>) -> Fleet {
        let answers: Vec<Answers<'_>> = hosts.iter().map(Answers::new).collect();
        let (reference, others) = answers.split_first().expect("a reference");
        Fleet::new(reference, &others.iter().collect::<Vec<_>>(), twins)
    }

    /// Divergences for each character that an honest host may show.
    const HONEST: f64 = HONEST_HAZARD_PER_TOKEN / CHARACTERS_PER_TOKEN;

    fn pace() -> Pace {
        Pace::constant(BUILT_IN_HAZARD_PER_TOKEN / 4.0)
    }

    #[test]
    fn a_group_that_agrees_pairwise_shows_what_agreement_is_and_the_host_itself_has_no_part_in_it() {
        let hosts = [host(1000, "b"), host(20, "c"), host(25, "d"), host(1000, "e"), host(2, "f"), host(15, "g")];
        let fleet = fleet(&hosts, Vec::new());
        let band = fleet.band(3, &pace(), HONEST);
        assert_eq!(band.source, Source::Fleet);
        assert!(band.agreed > 0.02 && band.agreed < band.honest, "{band:?}");
        assert!(fleet.band(4, &pace(), HONEST).agreed < band.agreed, "what it is judged by lies closer than itself");
    }

    #[test]
    fn without_enough_hosts_in_agreement_a_published_rate_stands_in() {
        let hosts = [host(1000, "b"), host(1, "c"), host(1, "d"), host(1, "e"), host(1, "f")];
        let band = fleet(&hosts, Vec::new()).band(0, &pace(), HONEST);
        assert_eq!((band.source, band.agreed), (Source::BuiltIn, 0.0));
        assert!((band.honest - 0.25).abs() < 1e-12);
        assert_eq!(fleet(&hosts[..3], Vec::new()).band(0, &pace(), HONEST).source, Source::BuiltIn);
    }

    #[test]
    fn what_the_reference_shows_from_day_to_day_is_agreement_unless_it_has_moved() {
        let band = Band::of_unit(&pace());
        let (noisy, moved) =
            (band.over_time(0.05 * pace().hazard, &pace()), band.over_time(0.9 * pace().hazard, &pace()));
        assert_eq!((noisy.source, moved), (Source::History, band));
        assert!((noisy.agreed - 0.05).abs() < 1e-12 && noisy.honest.total_cmp(&band.honest).is_eq(), "{noisy:?}");
        let (then, now) = (host(1000, "b"), host(20, "c"));
        let apart = apart_in_time(&Answers::new(&now), &Answers::new(&then)).expect("greedy answers");
        assert!(apart > 0.0 && apart < 0.01, "{apart}");
    }

    #[test]
    fn hosts_without_answers_agree_with_nobody() {
        let hosts = [host(1000, "b"), host(20, "c"), Vec::new(), Vec::new(), Vec::new(), host(15, "d")];
        assert_eq!(fleet(&hosts, Vec::new()).band(4, &pace(), HONEST).source, Source::BuiltIn);
        assert_eq!(fleet(&hosts, vec![1]).band(0, &pace(), HONEST).source, Source::BuiltIn);
    }

    #[test]
    fn a_declared_twin_that_leaves_as_soon_as_another_model_sets_no_band() {
        let hosts = [host(1000, "b"), host(1, "c"), host(2, "d"), host(10, "e")];
        let fleet = fleet(&hosts, vec![0, 2]);
        assert_eq!(fleet.strangers(HONEST), [0]);
        let band = fleet.band(1, &pace(), HONEST);
        assert_eq!(band.source, Source::Twins);
        assert!(band.honest < 0.1, "the other twin is one: {band:?}");
        assert_eq!(fleet.band(2, &pace(), HONEST).source, Source::BuiltIn);
    }

    #[test]
    fn a_twin_that_hides_its_thoughts_is_held_by_what_it_shows() {
        let thinking = |samples: Vec<Sample>| -> Vec<Sample> {
            samples.into_iter().map(|s| Sample { reasoning: Some("Let me see.".into()), ..s }).collect()
        };
        let hosts = [thinking(host(1000, "b")), host(1000, "c"), host(1, "d")];
        let fleet = fleet(&hosts, vec![0, 1]);
        assert_eq!(fleet.strangers(HONEST), [1]);
    }

    #[test]
    fn a_declared_twin_sets_the_band_of_others() {
        let hosts = [host(1000, "b"), host(10, "c"), host(5, "d")];
        let fleet = fleet(&hosts, vec![0]);
        let band = fleet.band(1, &pace(), HONEST);
        assert_eq!(band.source, Source::Twins);
        assert!(band.honest > 0.0 && band.honest < 0.1, "{band:?}");
        assert_eq!(fleet.band(0, &pace(), HONEST).source, Source::BuiltIn, "no twin speaks for itself");
    }
}

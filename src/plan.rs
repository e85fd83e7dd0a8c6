//! The plan: which requests a run sends, in which order, and what they cost at most.
//!
//! Layer 2, pure. Randomised complete blocks: a block is one probe and replicate put to every endpoint, so that all are
//! asked within one window of time, the reference among them; blocks come in random order, and so do the endpoints within a
//! block. Both derive from the seed, so a plan can be built again when a run is resumed.

use jiff::Timestamp;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::attempt::Slot;
use crate::charge::cost;
use crate::config::{Defaults, Model, Price, Reasoning, Reference};
use crate::probe::{Cap, Feature, Parameters, Probe, RequestClass};
use crate::sample::{Asking, Purpose, drawn_id};
use crate::stats::rng;

mod asked;
mod budget;

pub use asked::{AskedAt, AskedWith};
pub use budget::Budget;

/// The schema name that a stored plan carries.
pub const SCHEMA: &str = "samemodel.plan/1";

/// Tokens that a chat template adds to a message at most, as far as is known of any model.
const TEMPLATE_TOKENS: u64 = 32;

/// Tokens that an image costs at most at the hosts whose prices are public.
const IMAGE_TOKENS: u64 = 4096;

/// Seconds that one answer takes where nothing is known of a host, for the expected time only.
const SECONDS_AN_ANSWER: f64 = 2.0;

/// All that is asked in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Always `samemodel.plan/1`.
    pub schema: String,
    /// The nominal model.
    pub model: String,
    /// From which the order of requests and all later random choices derive.
    pub seed: u64,
    /// How answers are sampled wherever a probe says nothing.
    pub sampling: Sampling,
    /// The endpoints' names, in the configured order.
    pub endpoints: Vec<String>,
    /// The probes with how often each is asked.
    pub probes: Vec<PlannedProbe>,
    /// What is left out, since endpoints are known to refuse it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// What an endpoint is known to refuse, as an examination found it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRefusal {
    /// The endpoint.
    pub endpoint: String,
    /// What requests have in them that it refuses.
    pub feature: Feature,
    /// The host's words.
    pub words: String,
    /// When it was found.
    pub since: Timestamp,
}

/// Requests that are not sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The endpoint.
    pub endpoint: String,
    /// What they have in them, such as `with tools`.
    pub requests: String,
    /// The number of them.
    pub count: u32,
    /// The host's words.
    pub words: String,
    /// When it was found.
    pub since: Timestamp,
}

/// The settings of sampling, kept with the plan so that a resumed run asks as it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Temperature of sampled probes.
    pub temperature: f64,
    /// Cap on the visible tokens of an answer.
    pub max_tokens: u32,
    /// How the model thinks before it answers.
    #[serde(default)]
    pub reasoning: Reasoning,
    /// Whether answers are streamed.
    pub stream: bool,
    /// Whether each request carries a seed.
    pub send_seed: bool,
}

impl Sampling {
    /// As configured.
    pub fn of(defaults: &Defaults) -> Self {
        let Defaults { temperature, max_tokens, stream, send_seed, .. } = *defaults;
        Self { temperature, max_tokens, reasoning: defaults.reasoning.clone(), stream, send_seed }
    }

    /// Puts these settings in the place of the configured ones.
    pub fn apply(self, defaults: &mut Defaults) {
        defaults.temperature = self.temperature;
        defaults.max_tokens = self.max_tokens;
        defaults.reasoning = self.reasoning;
        defaults.stream = self.stream;
        defaults.send_seed = self.send_seed;
    }
}

/// One probe of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedProbe {
    /// The probe, kept whole so that a resumed run asks the same although its file may have changed.
    pub probe: Probe,
    /// Answers of each endpoint, at least 1.
    pub answers: u32,
    /// The cap on an answer's tokens, thoughts among them; where none is sent, what is set aside for one.
    pub max_tokens: u32,
    /// The only endpoint that is asked it; all are where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Endpoints that are not asked it, since they are known to refuse it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_for: Vec<String>,
}

/// One request of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The position of its block in the plan, from 0.
    pub block: usize,
    /// Index into the plan's probes.
    pub probe: usize,
    /// Index into the plan's endpoints.
    pub endpoint: usize,
    /// The number of the answer among those to the same probe, from 0.
    pub replicate: u32,
}

impl Plan {
    /// Plans to put all probes to these endpoints.
    pub fn new(name: &str, model: &Model, defaults: &Defaults, probes: Vec<Probe>, seed: u64) -> Self {
        let planned = probes.into_iter().map(|probe| {
            let answers = probe.samples.unwrap_or(match probe.asking {
                Asking::Greedy => model.greedy_samples.unwrap_or(defaults.greedy_samples),
                Asking::Sampled => model.samples.unwrap_or(defaults.samples),
            });
            let configured = Cap::Tokens(model.max_tokens.unwrap_or(defaults.max_tokens));
            let allowance = model.reasoning.as_ref().unwrap_or(&defaults.reasoning).allowance;
            let cap = probe.parameters.max_tokens.unwrap_or(configured).tokens().saturating_add(allowance);
            PlannedProbe { probe, answers: answers.max(1), max_tokens: cap, only: None, not_for: Vec::new() }
        });
        let mut planned: Vec<PlannedProbe> = planned.collect();
        if let Some(reference) = drawn_at(model) {
            let draws: Vec<PlannedProbe> = planned.iter().filter_map(|p| p.drawn(reference)).collect();
            planned.extend(draws);
        }
        Self {
            schema: SCHEMA.to_owned(),
            model: name.to_owned(),
            seed,
            sampling: Sampling::of(defaults),
            endpoints: model.endpoint.iter().map(|e| e.name.clone()).collect(),
            probes: planned,
            left_out: Vec::new(),
        }
    }

    /// Leaves out what endpoints are known to refuse.
    pub fn leave_out(&mut self, refusals: &[KnownRefusal]) {
        for KnownRefusal { endpoint, feature, words, since } in refusals {
            let mut count = 0;
            for planned in self.probes.iter_mut().filter(|planned| planned.is_for(endpoint)) {
                if RequestClass::of(&planned.probe).has(*feature) {
                    planned.not_for.push(endpoint.clone());
                    count += planned.answers;
                }
            }
            if count > 0 {
                let (requests, words) = (feature.words().to_owned(), words.clone());
                self.left_out.push(LeftOut { endpoint: endpoint.clone(), requests, count, words, since: *since });
            }
        }
    }

    /// All requests in the order in which they are sent.
    pub fn requests(&self) -> Vec<Request> {
        let mut blocks: Vec<(usize, u32)> = (0..self.probes.len())
            .flat_map(|probe| (0..self.probes[probe].answers).map(move |replicate| (probe, replicate)))
            .collect();
        let mut rng = rng::derive(self.seed, &["plan", &self.model]);
        blocks.shuffle(&mut rng);
        let mut endpoints: Vec<usize> = (0..self.endpoints.len()).collect();
        let mut requests = Vec::with_capacity(blocks.len() * endpoints.len());
        for (block, (probe, replicate)) in blocks.into_iter().enumerate() {
            endpoints.shuffle(&mut rng);
            let asked = endpoints.iter().filter(|&&endpoint| self.probes[probe].is_for(&self.endpoints[endpoint]));
            requests.extend(asked.map(|&endpoint| Request { block, probe, endpoint, replicate }));
        }
        requests
    }

    /// The request's identity in the store.
    pub fn slot(&self, request: Request) -> Slot {
        Slot {
            endpoint: self.endpoints[request.endpoint].clone(),
            probe: self.probes[request.probe].probe.id.clone(),
            replicate: request.replicate,
        }
    }

    /// The number of requests to an endpoint.
    pub fn requests_to(&self, endpoint: &str) -> usize {
        self.probes.iter().filter(|p| p.is_for(endpoint)).map(|p| p.answers as usize).sum()
    }

    /// The seed of one request, for hosts that take one. It differs by endpoint: the same seed at two endpoints would tie
    /// their answers together, and the tests take them for independent.
    pub fn request_seed(&self, slot: &Slot) -> u64 {
        let replicate = slot.replicate.to_string();
        // Hosts read seeds as signed or 32-bit numbers; 31 bits fit everywhere.
        rng::derive_seed(self.seed, &["request", &slot.endpoint, &slot.probe, &replicate]) >> 33
    }

    /// What one endpoint is asked for, expected and at most.
    pub fn estimate(&self, endpoint: &str, price: Option<Price>, pace: Pace) -> Estimate {
        let mut out = Estimate::default();
        for planned in self.probes.iter().filter(|p| p.is_for(endpoint)) {
            let answers = u64::from(planned.answers);
            let (expected, most) = planned.prompt_tokens();
            out.requests += answers;
            out.prompt_tokens += answers * expected;
            out.most_prompt_tokens += answers * most;
            out.most_completion_tokens += answers * u64::from(planned.max_tokens);
        }
        out.worst_cost = price.map(|price| cost(price, out.most_prompt_tokens, out.most_completion_tokens));
        out.seconds = pace.seconds(out.requests);
        out
    }
}

/// The endpoint that draws answers to its greedy probes as well: the reference, unless a control gives the unit of effects.
fn drawn_at(model: &Model) -> Option<&str> {
    match &model.reference {
        Reference::Endpoint(name) if model.control.is_none() => Some(name),
        _ => None,
    }
}

impl PlannedProbe {
    /// Whether it is put to this endpoint.
    pub fn is_for(&self, endpoint: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == endpoint) && !self.not_for.iter().any(|name| name == endpoint)
    }

    /// The probe that draws one answer to this one at this endpoint; `None` where it is not greedy or not compared.
    fn drawn(&self, endpoint: &str) -> Option<Self> {
        let probe = &self.probe;
        (probe.asking == Asking::Greedy && probe.purpose == Purpose::Comparison).then(|| Self {
            probe: Probe {
                id: drawn_id(&probe.id),
                about: format!("How soon a draw leaves the greedy answer to {}.", probe.id),
                asking: Asking::Sampled,
                purpose: Purpose::Draw,
                samples: Some(1),
                // The distribution itself, whatever the others are drawn from.
                parameters: Parameters { temperature: Some(1.0), ..probe.parameters.clone() },
                checks: Vec::new(),
                ..probe.clone()
            },
            answers: 1,
            max_tokens: self.max_tokens,
            only: Some(endpoint.to_owned()),
            not_for: Vec::new(),
        })
    }

    /// What is sent with it to an endpoint that adds nothing.
    pub fn asked_with(&self, sampling: &Sampling) -> AskedWith {
        let parameters = &self.probe.parameters;
        let temperature = match self.probe.asking {
            Asking::Greedy => 0.0,
            Asking::Sampled => parameters.temperature.unwrap_or(sampling.temperature),
        };
        let max_tokens = match parameters.max_tokens.unwrap_or(Cap::Tokens(sampling.max_tokens)) {
            Cap::Unsent => None,
            Cap::Tokens(visible) => Some(visible.saturating_add(sampling.reasoning.allowance)),
        };
        let reasoning_effort = parameters.reasoning_effort.clone().or_else(|| sampling.reasoning.effort.clone());
        AskedWith { temperature: Some(temperature), max_tokens, reasoning_effort, endpoint: None }
    }

    /// Tokens of the prompt: expected (four characters each) and at most (one for each byte, as a byte-level tokenizer
    /// never makes more).
    fn prompt_tokens(&self) -> (u64, u64) {
        let messages = self.probe.messages.len() as u64;
        let images: u64 = self.probe.messages.iter().map(|m| m.images.len() as u64).sum();
        let bytes = self.probe.prompt_bytes() as u64;
        let expected = self.probe.prompt_chars() as u64 / 4 + 4 * messages + images * IMAGE_TOKENS / 4;
        (expected, bytes + TEMPLATE_TOKENS * (messages + 1) + images * IMAGE_TOKENS)
    }

    /// The most that one answer to it can cost, in US dollars.
    pub fn worst_cost(&self, price: Price) -> f64 {
        cost(price, self.prompt_tokens().1, u64::from(self.max_tokens))
    }
}

/// How fast an endpoint may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Requests under way at once, at least 1.
    pub concurrency: u32,
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
}

impl Pace {
    fn seconds(self, requests: u64) -> f64 {
        let by_answers = requests as f64 * SECONDS_AN_ANSWER / f64::from(self.concurrency.max(1));
        let by_rate = self.requests_per_minute.map_or(0.0, |rpm| 60.0 * requests as f64 / f64::from(rpm.max(1)));
        by_answers.max(by_rate)
    }
}

/// What an endpoint is asked for. Retries come on top.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Estimate {
    /// Requests.
    pub requests: u64,
    /// Prompt tokens expected.
    pub prompt_tokens: u64,
    /// Prompt tokens at most.
    pub most_prompt_tokens: u64,
    /// Answer tokens at most.
    pub most_completion_tokens: u64,
    /// Cost at most, in US dollars; absent without a price.
    pub worst_cost: Option<f64>,
    /// Time expected, in seconds, if an answer takes two.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn plan(endpoints: usize, answers: &[u32], seed: u64) -> Plan {
        let probe = |i: usize| Probe {
            id: format!("p{i}"),
            about: String::new(),
            asking: Asking::Sampled,
            purpose: crate::sample::Purpose::Comparison,
            samples: None,
            delivery: None,
            messages: Vec::new(),
            parameters: crate::probe::Parameters::default(),
            tools: Vec::new(),
            response_schema: None,
            checks: Vec::new(),
        };
        Plan {
            schema: SCHEMA.into(),
            model: "m".into(),
            seed,
            left_out: Vec::new(),
            sampling: Sampling::of(&Defaults::default()),
            endpoints: (0..endpoints).map(|i| format!("e{i}")).collect(),
            probes: answers
                .iter()
                .enumerate()
                .map(|(i, &answers)| PlannedProbe {
                    probe: probe(i),
                    answers,
                    max_tokens: 8,
                    only: None,
                    not_for: Vec::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn what_an_endpoint_is_known_to_refuse_is_left_out_for_it_alone() {
        let mut plan = plan(2, &[3, 2], 1);
        plan.probes[1].probe.parameters.stop = vec!["x".into()];
        let refusal = KnownRefusal {
            endpoint: "e1".into(),
            feature: Feature::Stop,
            words: "no".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        let others = KnownRefusal { feature: Feature::Tools, ..refusal.clone() };
        plan.leave_out(&[refusal, others]);
        assert_eq!((plan.requests_to("e0"), plan.requests_to("e1"), plan.requests().len()), (5, 3, 8));
        let told: Vec<(&str, u32)> = plan.left_out.iter().map(|l| (l.requests.as_str(), l.count)).collect();
        assert_eq!(told, [("with stop sequences", 2)]);
        let kept: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(kept, plan);
    }

    proptest! {
        #[test]
        fn every_request_stands_once_and_each_block_holds_every_endpoint(
            endpoints in 1_usize..5, answers in prop::collection::vec(1_u32..4, 1..6), seed: u64
        ) {
            let plan = plan(endpoints, &answers, seed);
            let requests = plan.requests();
            let slots: HashSet<Slot> = requests.iter().map(|&r| plan.slot(r)).collect();
            prop_assert_eq!(slots.len(), requests.len());
            prop_assert_eq!(requests.len(), endpoints * plan.requests_to("e0"));
            for block in requests.chunks(endpoints) {
                prop_assert!(block.iter().all(|r| (r.block, r.probe, r.replicate) == (block[0].block, block[0].probe, block[0].replicate)));
                prop_assert_eq!(block.iter().map(|r| r.endpoint).collect::<HashSet<_>>().len(), endpoints);
            }
            prop_assert_eq!(plan.requests(), requests);
        }
    }

    #[test]
    fn the_order_depends_on_the_seed() {
        assert_ne!(plan(3, &[4, 4], 1).requests(), plan(3, &[4, 4], 2).requests());
    }

    #[test]
    fn without_a_control_the_reference_alone_draws_an_answer_to_each_greedy_probe() {
        let mut plan = plan(3, &[2, 5], 1);
        plan.probes[0].probe.asking = Asking::Greedy;
        let (drawn, none) = (plan.probes[0].drawn("e1"), plan.probes[1].drawn("e1"));
        assert!(none.is_none(), "a sampled probe is drawn as it is");
        plan.probes.extend(drawn);
        let drawn: Vec<Request> = plan.requests().into_iter().filter(|r| r.probe == 2).collect();
        assert_eq!(drawn.iter().map(|r| (r.endpoint, r.replicate)).collect::<Vec<_>>(), [(1, 0)]);
        assert_eq!(["e0", "e1"].map(|name| plan.requests_to(name)), [7, 8]);
        assert_eq!(plan.probes[2].asked_with(&plan.sampling).temperature, Some(1.0));
    }

    #[test]
    fn seeds_of_requests_differ_by_endpoint() {
        let plan = plan(2, &[1], 1);
        let seeds: HashSet<u64> = plan.requests().iter().map(|&r| plan.request_seed(&plan.slot(r))).collect();
        assert_eq!(seeds.len(), 2);
    }
}

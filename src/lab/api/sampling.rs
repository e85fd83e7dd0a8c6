//! How a request wants tokens chosen, read and checked.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ApiError;
use crate::lab::engine::Sampling;

/// The fields of a request that say how tokens are chosen.
#[derive(Deserialize)]
pub struct SamplingBody {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    repetition_penalty: Option<f64>,
    logit_bias: Option<Map<String, Value>>,
}

impl SamplingBody {
    /// What they come to.
    pub fn read(&self) -> Result<Sampling, ApiError> {
        let within = |name, value: Option<f64>, usual, (least, most): (f64, f64)| {
            let value = value.unwrap_or(usual);
            if (least..=most).contains(&value) {
                Ok(value)
            } else {
                Err(ApiError::parameter(name, format!("`{name}` must be from {least} to {most}")))
            }
        };
        let top_p = self.top_p.unwrap_or(1.0);
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(ApiError::parameter("top_p", "`top_p` must be above 0 and at most 1"));
        }
        Ok(Sampling {
            temperature: within("temperature", self.temperature, 1.0, (0.0, 2.0))?,
            top_k: self.top_k()?,
            top_p,
            min_p: within("min_p", self.min_p, 0.0, (0.0, 1.0))?,
            // Half and double are far beyond what is in use; 0 would divide by nothing.
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 1.0, (0.5, 2.0))?,
            presence_penalty: within("presence_penalty", self.presence_penalty, 0.0, (-2.0, 2.0))?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, 0.0, (-2.0, 2.0))?,
            logit_bias: self.logit_bias()?,
            ..Sampling::PLAIN
        })
    }

    /// 0 and -1 are what various hosts take for "no limit".
    fn top_k(&self) -> Result<Option<usize>, ApiError> {
        match self.top_k {
            None | Some(-1 | 0) => Ok(None),
            Some(k) => match usize::try_from(k) {
                Ok(k) => Ok(Some(k)),
                Err(_) => Err(ApiError::parameter("top_k", "`top_k` must be at least -1")),
            },
        }
    }

    fn logit_bias(&self) -> Result<Vec<(u32, f64)>, ApiError> {
        let read = |(token, bias): (&String, &Value)| {
            let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias))?;
            Some((token.parse::<u32>().ok()?, bias))
        };
        let mut biases: Vec<(u32, f64)> =
            self.logit_bias.iter().flatten().map(read).collect::<Option<_>>().ok_or_else(|| {
                ApiError::parameter("logit_bias", "`logit_bias` maps token ids to numbers from -100 to 100")
            })?;
        biases.sort_by_key(|(token, _)| *token);
        // `"7"` and `"07"` are two keys and one token.
        biases.dedup_by_key(|(token, _)| *token);
        Ok(biases)
    }
}

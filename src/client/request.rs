//! Requests: from a probe and an endpoint's settings to the body that is sent.
//!
//! Layer 3, pure. Every endpoint is asked in the same words; what differs by dialect is data in the configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::attempt::Slot;
use crate::config::{Defaults, Dialect, Endpoint, MaxTokensField};
use crate::probe::{Cap, Image, Message, PastToolCall, Probe, Role, Tool, sha256_hex};
use crate::sample::{Asking, SampleParameters};

/// One planned request, ready to be sent any number of times.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The planned request.
    pub slot: Slot,
    /// The body.
    pub body: Value,
    parameters: SampleParameters,
}

/// Where a probe goes, as far as it shows in the body.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The dialect of its provider.
    pub dialect: &'a Dialect,
    /// What holds where neither probe nor endpoint says anything, with the model's own settings already applied.
    pub defaults: &'a Defaults,
}

impl Ask {
    /// The request that puts `probe` to `route` for `replicate`, with `seed` if one is given and the host takes it; a seed
    /// that the probe has of its own comes first.
    ///
    /// The endpoint's `extra_body` is merged in last: objects are joined by name, anything else is replaced.
    pub fn new(probe: &Probe, route: Route<'_>, replicate: u32, seed: Option<u64>) -> Self {
        let mut body = Map::new();
        body.insert("model".into(), route.endpoint.model.clone().into());
        body.insert("messages".into(), probe.messages.iter().map(message).collect());
        sampling(&mut body, probe, route, seed);
        if !probe.tools.is_empty() {
            body.insert("tools".into(), probe.tools.iter().map(tool).collect());
        }
        if let Some(schema) = &probe.response_schema {
            body.insert("response_format".into(), response_format(schema));
        }
        let wanted = probe.delivery.map_or(route.defaults.stream, |delivery| delivery.streams(replicate));
        let stream = route.endpoint.stream.unwrap_or(wanted);
        body.insert("stream".into(), stream.into());
        if stream && route.dialect.stream_usage {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if let Some(extra) = &route.endpoint.extra_body {
            merge(&mut body, extra);
        }
        let slot = Slot { endpoint: route.endpoint.name.clone(), probe: probe.id.clone(), replicate };
        let parameters = SampleParameters {
            extra_body: route.endpoint.extra_body.iter().flatten().map(told).collect(),
            ..parameters(&body, probe, route.dialect)
        };
        Self { slot, body: Value::Object(body), parameters }
    }

    /// The sampling parameters that the body holds, `extra_body` included.
    ///
    /// The temperature of a greedy probe is 0 here even where the dialect writes a small number in its place.
    pub fn parameters_sent(&self) -> &SampleParameters {
        &self.parameters
    }
}

/// A field of `extra_body` as it is kept with answers and compared with later ones: numbers and switches as they are, and of anything
/// else, which may hold what is not for a file, a digest.
fn told((name, value): (&String, &Value)) -> (String, Value) {
    let kept = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Value::String(format!("sha256:{}", &sha256_hex(value.to_string().as_bytes())[..16]))
        }
    };
    (name.clone(), kept)
}

fn sampling(body: &mut Map<String, Value>, probe: &Probe, route: Route<'_>, seed: Option<u64>) {
    let asked = &probe.parameters;
    let temperature = match probe.asking {
        Asking::Greedy => route.dialect.zero_temperature,
        Asking::Sampled => asked.temperature.unwrap_or(route.defaults.temperature),
    };
    body.insert("temperature".into(), temperature.into());
    if let Some(top_p) = asked.top_p {
        body.insert("top_p".into(), top_p.into());
    }
    if let Cap::Tokens(visible) = asked.max_tokens.unwrap_or(Cap::Tokens(route.defaults.max_tokens)) {
        // Hosts count thoughts among the answer's tokens.
        let cap = visible.saturating_add(route.defaults.reasoning.allowance);
        body.insert(cap_field(route.dialect.max_tokens).into(), cap.into());
    }
    if !asked.stop.is_empty() {
        body.insert("stop".into(), asked.stop.clone().into());
    }
    if let Some(seed) = asked.seed.map(u64::from).or(seed).filter(|_| route.dialect.seed) {
        body.insert("seed".into(), seed.into());
    }
    let effort = asked.reasoning_effort.as_ref().or(route.defaults.reasoning.effort.as_ref());
    if let Some(effort) = effort.filter(|_| route.dialect.effort) {
        body.insert("reasoning_effort".into(), effort.clone().into());
    }
}

fn cap_field(field: MaxTokensField) -> &'static str {
    match field {
        MaxTokensField::MaxTokens => "max_tokens",
        MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
    }
}

fn parameters(body: &Map<String, Value>, probe: &Probe, dialect: &Dialect) -> SampleParameters {
    let number = |name| body.get(name).and_then(Value::as_f64);
    let stands_for_zero =
        |sent: f64| probe.asking == Asking::Greedy && sent.total_cmp(&dialect.zero_temperature).is_eq();
    let stop = match body.get("stop") {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    SampleParameters {
        temperature: number("temperature").map(|sent| if stands_for_zero(sent) { 0.0 } else { sent }),
        max_tokens: body.get(cap_field(dialect.max_tokens)).and_then(Value::as_u64).and_then(|n| n.try_into().ok()),
        top_p: number("top_p"),
        seed: body.get("seed").and_then(Value::as_u64),
        stop,
        reasoning_effort: body.get("reasoning_effort").and_then(Value::as_str).map(str::to_owned),
        stream: body.get("stream").and_then(Value::as_bool),
        stream_usage: body.get("stream").and_then(Value::as_bool).filter(|stream| *stream).map(|_| {
            body.get("stream_options").and_then(|options| options.get("include_usage")) == Some(&Value::Bool(true))
        }),
        thought_marks: dialect.thought_marks.clone(),
        extra_body: BTreeMap::new(),
        traits: Some(probe.traits()),
    }
}

fn message(message: &Message) -> Value {
    let mut out = Map::new();
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    out.insert("role".into(), role.into());
    out.insert("content".into(), content(message));
    if !message.tool_calls.is_empty() {
        out.insert("tool_calls".into(), message.tool_calls.iter().map(past_call).collect());
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.clone().into());
    }
    Value::Object(out)
}

/// Plain text stays a string, even an empty one: some templates render a list of parts in another way.
fn content(message: &Message) -> Value {
    if message.images.is_empty() {
        return message.content.clone().into();
    }
    let text = (!message.content.is_empty()).then(|| json!({"type": "text", "text": message.content}));
    text.into_iter().chain(message.images.iter().map(image)).collect()
}

fn image(image: &Image) -> Value {
    json!({"type": "image_url", "image_url": {"url": format!("data:{};base64,{}", image.media_type, image.base64)}})
}

fn past_call(call: &PastToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

fn tool(tool: &Tool) -> Value {
    let function = json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    json!({"type": "function", "function": function})
}

fn response_format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}})
}

fn merge(body: &mut Map<String, Value>, extra: &BTreeMap<String, Value>) {
    for (name, value) in extra {
        merge_value(body.entry(name.as_str()).or_insert(Value::Null), value);
    }
}

fn merge_value(into: &mut Value, extra: &Value) {
    match (into, extra) {
        (Value::Object(into), Value::Object(extra)) => {
            for (name, value) in extra {
                merge_value(into.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (into, extra) => *into = extra.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reasoning;
    use crate::probe::{Delivery, Parameters};
    use insta::assert_json_snapshot;

    fn says(role: Role, content: &str) -> Message {
        Message { role, content: content.into(), images: Vec::new(), tool_calls: Vec::new(), tool_call_id: None }
    }

    fn probe(asking: Asking, messages: Vec<Message>) -> Probe {
        Probe {
            id: "core/p".into(),
            about: String::new(),
            asking,
            purpose: crate::sample::Purpose::Comparison,
            samples: None,
            delivery: None,
            messages,
            parameters: Parameters::default(),
            tools: Vec::new(),
            response_schema: None,
            checks: Vec::new(),
        }
    }

    fn endpoint(extra: &Value) -> Endpoint {
        Endpoint {
            name: "e".into(),
            provider: "p".into(),
            model: "org/m".into(),
            price: None,
            prompt_tokens_offset: 0,
            twin: false,
            expected_model: None,
            extra_body: serde_json::from_value(extra.clone()).unwrap(),
            stream: None,
        }
    }

    fn ask(probe: &Probe, endpoint: &Endpoint, dialect: &Dialect, seed: Option<u64>) -> Ask {
        Ask::new(probe, Route { endpoint, dialect, defaults: &Defaults::default() }, 3, seed)
    }

    #[test]
    fn a_plain_sampled_probe_is_asked_with_the_defaults() {
        let probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        let ask = ask(&probe, &endpoint(&Value::Null), &Dialect::default(), None);
        assert_json_snapshot!(ask.body, @r#"
        {
          "model": "org/m",
          "messages": [
            {
              "role": "user",
              "content": "Hi"
            }
          ],
          "temperature": 1.0,
          "max_tokens": 64,
          "stream": true,
          "stream_options": {
            "include_usage": true
          }
        }
        "#);
        assert_eq!(ask.slot, Slot { endpoint: "e".into(), probe: "core/p".into(), replicate: 3 });
    }

    #[test]
    fn a_dialect_names_its_own_fields_and_its_own_zero() {
        let mut probe = probe(Asking::Greedy, vec![says(Role::User, "Hi")]);
        probe.parameters = Parameters {
            max_tokens: Some(Cap::Tokens(5)),
            top_p: Some(0.5),
            stop: vec!["\n".into()],
            ..Parameters::default()
        };
        let dialect = Dialect {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            stream_usage: false,
            zero_temperature: 1e-8,
            ..Dialect::default()
        };
        let ask = ask(&probe, &endpoint(&Value::Null), &dialect, Some(7));
        assert_json_snapshot!(ask.body, @r#"
        {
          "model": "org/m",
          "messages": [
            {
              "role": "user",
              "content": "Hi"
            }
          ],
          "temperature": 0.00000001,
          "top_p": 0.5,
          "max_completion_tokens": 5,
          "stop": [
            "\n"
          ],
          "seed": 7,
          "stream": true
        }
        "#);
        let sent = SampleParameters {
            temperature: Some(0.0),
            max_tokens: Some(5),
            top_p: Some(0.5),
            seed: Some(7),
            stop: vec!["\n".into()],
            stream: Some(true),
            stream_usage: Some(false),
            traits: Some(probe.traits()),
            ..SampleParameters::default()
        };
        assert_eq!(ask.parameters_sent(), &sent);
    }

    #[test]
    fn images_tools_history_and_schema_take_openais_form() {
        let mut seen = says(Role::User, "What is this?");
        seen.images.push(Image { media_type: "image/png".into(), base64: "AA==".into() });
        let mut called = says(Role::Assistant, "");
        called.tool_calls.push(PastToolCall { id: "c1".into(), name: "look".into(), arguments: "{}".into() });
        let mut result = says(Role::Tool, "a cat");
        result.tool_call_id = Some("c1".into());
        let mut probe = probe(Asking::Sampled, vec![says(Role::System, "Be brief."), seen, called, result]);
        probe.tools.push(Tool {
            name: "look".into(),
            description: "looks".into(),
            parameters: json!({"type": "object"}),
        });
        probe.response_schema = Some(json!({"type": "object"}));
        let body = ask(&probe, &endpoint(&Value::Null), &Dialect::default(), None).body;
        let parts = json!({"messages": body["messages"], "tools": body["tools"], "format": body["response_format"]});
        assert_json_snapshot!(parts, @r#"
        {
          "messages": [
            {
              "role": "system",
              "content": "Be brief."
            },
            {
              "role": "user",
              "content": [
                {
                  "type": "text",
                  "text": "What is this?"
                },
                {
                  "type": "image_url",
                  "image_url": {
                    "url": "data:image/png;base64,AA=="
                  }
                }
              ]
            },
            {
              "role": "assistant",
              "content": "",
              "tool_calls": [
                {
                  "id": "c1",
                  "type": "function",
                  "function": {
                    "name": "look",
                    "arguments": "{}"
                  }
                }
              ]
            },
            {
              "role": "tool",
              "content": "a cat",
              "tool_call_id": "c1"
            }
          ],
          "tools": [
            {
              "type": "function",
              "function": {
                "name": "look",
                "description": "looks",
                "parameters": {
                  "type": "object"
                }
              }
            }
          ],
          "format": {
            "type": "json_schema",
            "json_schema": {
              "name": "answer",
              "strict": true,
              "schema": {
                "type": "object"
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn extra_fields_are_merged_last_and_deeply_and_show_in_the_parameters() {
        let probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        let extra = json!({"provider": {"only": ["x"]}, "stream_options": {"more": 1}, "max_tokens": 9, "stop": "z"});
        let ask = ask(&probe, &endpoint(&extra), &Dialect::default(), None);
        assert_eq!(ask.body["provider"], json!({"only": ["x"]}));
        assert_eq!(ask.body["stream_options"], json!({"include_usage": true, "more": 1}));
        assert_eq!(ask.parameters_sent().max_tokens, Some(9));
        assert_eq!(ask.parameters_sent().stop, ["z"]);
    }

    #[test]
    fn no_seed_is_sent_where_the_host_takes_none() {
        let probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        let dialect = Dialect { seed: false, ..Dialect::default() };
        let ask = ask(&probe, &endpoint(&Value::Null), &dialect, Some(7));
        assert_eq!((ask.body.get("seed"), ask.parameters_sent().seed), (None, None));
    }

    #[test]
    fn no_effort_is_sent_where_the_host_takes_none() {
        let reasoning = Reasoning { effort: Some("low".into()), allowance: 256 };
        let defaults = Defaults { reasoning, ..Defaults::default() };
        let (dialect, endpoint) = (Dialect { effort: false, ..Dialect::default() }, endpoint(&Value::Null));
        let route = Route { endpoint: &endpoint, dialect: &dialect, defaults: &defaults };
        for own in [None, Some("high".to_owned())] {
            let mut probe = probe(Asking::Greedy, vec![says(Role::User, "Hi")]);
            probe.parameters.reasoning_effort = own;
            let ask = Ask::new(&probe, route, 0, None);
            assert_eq!((ask.body.get("reasoning_effort"), &ask.parameters_sent().reasoning_effort), (None, &None));
        }
    }

    #[test]
    fn a_probe_may_send_no_cap_a_seed_of_its_own_and_an_effort() {
        let mut probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        probe.parameters = Parameters {
            max_tokens: Some(Cap::Unsent),
            seed: Some(9),
            reasoning_effort: Some("low".into()),
            ..Parameters::default()
        };
        let ask = ask(&probe, &endpoint(&Value::Null), &Dialect::default(), Some(7));
        assert_eq!((ask.body.get("max_tokens"), ask.parameters_sent().max_tokens), (None, None));
        assert_eq!((&ask.body["seed"], &ask.body["reasoning_effort"]), (&json!(9), &json!("low")));
        assert_eq!(ask.parameters_sent().seed, Some(9));
    }

    #[test]
    fn the_allowance_for_thinking_is_added_to_every_cap_and_the_effort_sent_where_a_probe_sets_none() {
        let reasoning = Reasoning { effort: Some("low".into()), allowance: 2048 };
        let defaults = Defaults { reasoning, ..Defaults::default() };
        let sent = |parameters: Parameters| {
            let probe = Probe { parameters, ..probe(Asking::Greedy, vec![says(Role::User, "Hi")]) };
            let endpoint = endpoint(&Value::Null);
            let route = Route { endpoint: &endpoint, dialect: &Dialect::default(), defaults: &defaults };
            let sent = Ask::new(&probe, route, 0, None).parameters_sent().clone();
            (sent.max_tokens, sent.reasoning_effort)
        };
        let low = Some("low".to_owned());
        assert_eq!(sent(Parameters::default()), (Some(64 + 2048), low.clone()));
        let canary = Parameters { max_tokens: Some(Cap::Tokens(5)), ..Parameters::default() };
        assert_eq!(sent(canary), (Some(5 + 2048), low.clone()));
        let uncapped = Parameters { max_tokens: Some(Cap::Unsent), ..Parameters::default() };
        assert_eq!(sent(uncapped), (None, low));
        let high = Parameters { reasoning_effort: Some("high".into()), ..Parameters::default() };
        assert_eq!(sent(high).1.as_deref(), Some("high"));
    }

    #[test]
    fn a_probe_that_wants_both_deliveries_gets_them_in_turn_unless_the_endpoint_knows_only_one() {
        let mut probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        probe.delivery = Some(Delivery::Both);
        let streams = |endpoint: &Endpoint| {
            let route = Route { endpoint, dialect: &Dialect::default(), defaults: &Defaults::default() };
            [0, 1, 2].map(|replicate| Ask::new(&probe, route, replicate, None).parameters_sent().stream)
        };
        assert_eq!(streams(&endpoint(&Value::Null)), [Some(true), Some(false), Some(true)]);
        let whole = Endpoint { stream: Some(false), ..endpoint(&Value::Null) };
        assert_eq!(streams(&whole), [Some(false); 3]);
    }

    #[test]
    fn the_endpoint_decides_on_streaming_before_the_defaults_do() {
        let probe = probe(Asking::Sampled, vec![says(Role::User, "Hi")]);
        let endpoint = Endpoint { stream: Some(false), ..endpoint(&Value::Null) };
        let body = ask(&probe, &endpoint, &Dialect::default(), None).body;
        assert_eq!((&body["stream"], body.get("stream_options")), (&json!(false), None));
    }
}

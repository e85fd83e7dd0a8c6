//! The HTTP of one endpoint: routes, checks, and bodies that come whole, as a stream, or not to their end.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use secrecy::ExposeSecret;

use super::MODEL_NAME;
use super::answer::{Answer, Interrupted};
use super::api::{ApiError, Delivery, Delta, Order, models};
use super::engine::Finish;
use super::flaky::{CutEnd, Fate};
use super::host::Host;
use super::wire::Connection;

/// Longer requests cannot fit the model by far.
const BODY_LIMIT: usize = 1 << 20;

/// All that an endpoint answers to.
pub fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/v1/models", get(list))
        .route("/v1/chat/completions", post(complete))
        .fallback(|| async { ApiError::unknown_path() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(host)
}

async fn list(State(host): State<Arc<Host>>, headers: HeaderMap) -> Result<Response, ApiError> {
    authorize(&host, &headers)?;
    Ok(Json(models(MODEL_NAME)).into_response())
}

async fn complete(
    State(host): State<Arc<Host>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    authorize(&host, &headers)?;
    let cut = match host.fate() {
        Fate::Served => None,
        Fate::Cut { after, end } => Some(Cut { after, end }),
        Fate::TooMany => return Err(ApiError::too_many()),
        Fate::Unavailable => return Err(ApiError::unavailable()),
        Fate::Reset => {
            connection.reset();
            return Ok(StatusCode::OK.into_response());
        }
    };
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        _ => ApiError::invalid("the body of the request did not arrive"),
    })?;
    let order = Order::from_json(&body)?;
    if order.model != MODEL_NAME {
        return Err(ApiError::unknown_model(&order.model));
    }
    if let Some(delay) = host.delay() {
        tokio::time::sleep(delay).await;
    }
    let delivery = order.delivery;
    let answer = host.answer(order)?;
    match delivery {
        Delivery::Whole => whole(answer, cut).await,
        Delivery::Stream => Ok(streamed(Stream::new(answer, Usage::Unsaid, cut))),
        Delivery::StreamWithUsage => Ok(streamed(Stream::new(answer, Usage::Said, cut))),
    }
}

fn authorize(host: &Host, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(key) = &host.shared().api_key else { return Ok(()) };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if sent == Some(key.expose_secret()) { Ok(()) } else { Err(ApiError::unauthorized()) }
}

/// Where an answer breaks off.
#[derive(Debug, Clone, Copy)]
struct Cut {
    after: usize,
    end: CutEnd,
}

async fn whole(mut answer: Answer, cut: Option<Cut>) -> Result<Response, ApiError> {
    let (mut text, mut scored, mut finish) = (String::new(), Vec::new(), Finish::Length);
    while let Some(delta) = answer.next().await {
        match delta {
            Ok(Delta::Role) => {}
            Ok(Delta::Text(more, tokens)) => {
                text.push_str(&more);
                scored.extend(tokens);
            }
            Ok(Delta::End(end)) => finish = end,
            Err(_) => return Err(ApiError::unavailable()),
        }
    }
    let scored = (!scored.is_empty()).then_some(scored.as_slice());
    let mut json = answer.reply().whole((&text, scored), finish, answer.completion_tokens());
    let body = match cut {
        None => Body::from(json),
        Some(Cut { end: CutEnd::Quiet, .. }) => {
            json.truncate(json.len() / 2);
            Body::from(json)
        }
        Some(Cut { end: CutEnd::Torn, .. }) => {
            json.truncate(json.len() / 2);
            Body::from_stream(stream::iter([Ok(Bytes::from(json)), Err(torn())]))
        }
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn streamed(state: Stream) -> Response {
    let body = Body::from_stream(stream::unfold(state, |mut state| async {
        let frame = state.frame().await?;
        Some((frame, state))
    }));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], body).into_response()
}

fn torn() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

#[derive(Clone, Copy)]
enum Usage {
    Said,
    Unsaid,
}

/// A body of server-sent events.
struct Stream {
    answer: Answer,
    usage: Usage,
    cut: Option<Cut>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Speaking,
    Tearing,
    Over,
}

impl Stream {
    fn new(answer: Answer, usage: Usage, cut: Option<Cut>) -> Self {
        Self { answer, usage, cut, stage: Stage::Opening }
    }

    /// The next bytes: all events that are there already, at least one.
    async fn frame(&mut self) -> Option<io::Result<Bytes>> {
        let mut frame = String::new();
        match self.stage {
            Stage::Opening => {
                event(&mut frame, &self.answer.reply().chunk(Delta::Role));
                self.stage = Stage::Speaking;
            }
            Stage::Speaking => {
                let mut next = self.answer.next().await;
                while let Some(delta) = next {
                    self.write(&mut frame, delta);
                    next = if self.stage == Stage::Speaking { self.answer.ready() } else { None };
                }
            }
            Stage::Tearing => {
                // What was written before goes out first: a tear shows in the middle, not before the beginning.
                tokio::task::yield_now().await;
                self.stage = Stage::Over;
                return Some(Err(torn()));
            }
            Stage::Over => return None,
        }
        Some(Ok(Bytes::from(frame)))
    }

    fn write(&mut self, frame: &mut String, delta: Result<Delta, Interrupted>) {
        match (delta, &mut self.cut) {
            (Err(_), _) => self.stage = Stage::Tearing,
            (Ok(Delta::Text(..)), Some(Cut { after: 0, end })) | (Ok(Delta::End(_)), Some(Cut { end, .. })) => {
                self.stage = if *end == CutEnd::Torn { Stage::Tearing } else { Stage::Over };
            }
            (Ok(Delta::End(finish)), None) => {
                event(frame, &self.answer.reply().chunk(Delta::End(finish)));
                if matches!(self.usage, Usage::Said) {
                    event(frame, &self.answer.reply().usage_chunk(self.answer.completion_tokens()));
                }
                event(frame, "[DONE]");
                self.stage = Stage::Over;
            }
            (Ok(delta), cut) => {
                if let Some(cut) = cut {
                    cut.after -= 1;
                }
                event(frame, &self.answer.reply().chunk(delta));
            }
        }
    }
}

fn event(frame: &mut String, data: &str) {
    frame.push_str("data: ");
    frame.push_str(data);
    frame.push_str("\n\n");
}

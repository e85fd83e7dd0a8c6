//! The HTTP of one endpoint: routes, checks, and bodies that come whole, as a stream, or not to their end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use secrecy::ExposeSecret;
use serde_json::json;

use super::MODEL_NAME;
use super::answer::Answer;
use super::api::{self, ApiError, Delivery, News, Order, Piece, Spoken, model};
use super::flaky::{CutEnd, Fate};
use super::host::Host;
use super::speech::Interrupted;
use super::wire::Connection;

/// Longer requests cannot fit the model by far.
const BODY_LIMIT: usize = 1 << 20;

/// After how long a flaky host that said "too many" is to be asked again: less than the coarser of the headers can say.
const SOON: Duration = Duration::from_millis(200);

/// All that an endpoint answers to.
pub fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/v1/models", get(list))
        .route("/v1/models/{id}", get(describe))
        .route("/v1/chat/completions", post(complete))
        .fallback(lost)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(host)
}

async fn lost(State(host): State<Arc<Host>>) -> Response {
    ApiError::unknown_path().response(host.dialect())
}

async fn list(State(host): State<Arc<Host>>, headers: HeaderMap) -> Response {
    match authorize(&host, &headers) {
        Ok(()) => Json(json!({"object": "list", "data": [model(MODEL_NAME)]})).into_response(),
        Err(error) => error.response(host.dialect()),
    }
}

async fn describe(State(host): State<Arc<Host>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match authorize(&host, &headers) {
        Ok(()) if id == MODEL_NAME => Json(model(MODEL_NAME)).into_response(),
        Ok(()) => ApiError::unknown_model(&id).response(host.dialect()),
        Err(error) => error.response(host.dialect()),
    }
}

async fn complete(
    State(host): State<Arc<Host>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let dialect = host.dialect();
    if let Err(error) = authorize(&host, &headers) {
        return error.response(dialect);
    }
    let standing = host.count();
    let result = match standing.and_then(|standing| standing.wait) {
        Some(wait) => Err(ApiError::too_many(wait)),
        None => answer(&host, &connection, body).await,
    };
    let mut response = result.unwrap_or_else(|error| error.response(dialect));
    if let Some(standing) = standing {
        api::add(response.headers_mut(), dialect.standing(&standing));
    }
    response
}

async fn answer(
    host: &Arc<Host>,
    connection: &Connection,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        _ => ApiError::invalid("the body of the request did not arrive"),
    })?;
    let order = Order::from_json(&body)?;
    if order.model != MODEL_NAME {
        return Err(ApiError::unknown_model(&order.model));
    }
    let visit = host.receive(order);
    let cut = match visit.fate() {
        Fate::Served => None,
        Fate::Cut { after, end } => Some(Cut { after, end }),
        Fate::TooMany => return Err(ApiError::too_many(SOON)),
        Fate::Unavailable => return Err(ApiError::unavailable()),
        Fate::Reset => {
            connection.reset();
            return Ok(StatusCode::OK.into_response());
        }
    };
    let delivery = visit.order().delivery;
    let answer = host.answer(visit).await?;
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
    let mut spoken = vec![Spoken::default(); answer.choices()];
    while let Some(next) = answer.next().await {
        let (index, piece) = next.map_err(|Interrupted| ApiError::unavailable())?;
        if let Some(one) = spoken.get_mut(index) {
            one.add(piece);
        }
    }
    let mut json = answer.reply().whole(&spoken, answer.tally());
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
    Speaking,
    Tearing,
    Over,
}

impl Stream {
    fn new(answer: Answer, usage: Usage, cut: Option<Cut>) -> Self {
        Self { answer, usage, cut, stage: Stage::Speaking }
    }

    /// The next bytes: all events that are there already, at least one.
    async fn frame(&mut self) -> Option<io::Result<Bytes>> {
        match self.stage {
            Stage::Speaking => {
                let mut frame = String::new();
                let mut next = self.answer.next().await;
                if next.is_none() {
                    self.finish(&mut frame);
                }
                while let Some(piece) = next {
                    self.write(&mut frame, piece);
                    next = if self.stage == Stage::Speaking { self.answer.ready() } else { None };
                }
                Some(Ok(Bytes::from(frame)))
            }
            Stage::Tearing => {
                // What was written before goes out first: a tear shows in the middle, not before the beginning.
                tokio::task::yield_now().await;
                self.stage = Stage::Over;
                Some(Err(torn()))
            }
            Stage::Over => None,
        }
    }

    fn write(&mut self, frame: &mut String, next: Result<(usize, Piece), Interrupted>) {
        let Ok((index, piece)) = next else {
            self.stage = Stage::Tearing;
            return;
        };
        match (&piece.news, &mut self.cut) {
            (News::Role, _) | (_, None) => {}
            (News::End(_), Some(cut)) | (_, Some(cut @ Cut { after: 0, .. })) => {
                self.stage = if cut.end == CutEnd::Torn { Stage::Tearing } else { Stage::Over };
                return;
            }
            (_, Some(cut)) => cut.after -= 1,
        }
        event(frame, &self.answer.reply().chunk(index, &piece));
    }

    /// What follows when all choices are complete.
    fn finish(&mut self, frame: &mut String) {
        if let (Usage::Said, Some(usage)) = (self.usage, self.answer.reply().usage_chunk(self.answer.tally())) {
            event(frame, &usage);
        }
        event(frame, "[DONE]");
        self.stage = Stage::Over;
    }
}

fn event(frame: &mut String, data: &str) {
    frame.push_str("data: ");
    frame.push_str(data);
    frame.push_str("\n\n");
}

//! One exchange: a request is sent and its response read, within limits of time and size.
//!
//! Layer 3. Whatever happens, what had come until then is handed on. Sizes are counted on decompressed bytes, piece by
//! piece, so that a small body that unpacks into a huge one is stopped at the limit, and of gzip on packed bytes as well,
//! so that one which unpacks into nothing is.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{self, Assembly, Logprobs, Progress};
use super::bulk::{Bulk, Place};
use super::comments::Comments;
use super::encoding::{self, Gzip};
use super::fault::{self, failure};
use super::headers::{self, Kept};
use super::room::{MARGIN, Room};
use super::sse::{Decoder, Ending, Event, Limits};
use super::target::{Target, TimeLimits, keeps_connection};
use super::transport;
use crate::attempt::{Answer, Failure, FailureKind};
use crate::encoding::is_utf16;
use crate::sample::Latency;

/// The longest line of a stream, in decompressed bytes.
pub const LINE_LIMIT: usize = 1 << 20;

/// How much is read of the body of an error, in decompressed bytes.
pub const ERROR_BODY_LIMIT: usize = 64 << 10;

/// How long a finished stream is given to end, so that its connection can be used again.
const DRAIN: Duration = Duration::from_millis(200);

/// How the lines of a stream begin.
const FIELDS: [&[u8]; 6] = [b":", b"data:", b"event:", b"id:", b"retry:", b"error:"];

/// How soon a request fails on a kept connection that the host has closed: no host takes a request and breaks off as soon.
const STALE: Duration = Duration::from_millis(50);

/// What came of a request; not yet redacted.
#[derive(Debug)]
pub(super) struct Exchange {
    pub status: Option<u16>,
    pub headers: Kept,
    pub raw: Vec<u8>,
    pub elapsed: Duration,
    pub result: Result<Answer, Failure>,
    /// Of a large body, while it is in memory.
    pub place: Option<Place>,
}

/// Sends `body` to `target` and reads what comes back, as far as there is room for it.
pub(super) async fn exchange(target: &Target, body: &Value, room: Room, bulk: &Bulk) -> Exchange {
    let clock = Clock::start(target);
    let request = target.http.post(target.url.clone()).header(ACCEPT, "application/json");
    let sent = match request.headers(target.headers.clone()).json(body).build() {
        Ok(request) => send(&clock, request).await,
        Err(error) => Err(transport::failed(error, target)),
    };
    let Sent { response, may_be_kept } = match sent {
        Ok(sent) => sent,
        Err(failed) => {
            let elapsed = clock.elapsed();
            let (headers, raw) = (Kept::new(), Vec::new());
            return Exchange { status: None, headers, raw, elapsed, result: Err(failed), place: None };
        }
    };
    let status = response.status();
    let headers = headers::kept(response.headers());
    let Read { raw, elapsed, result, place, ended } = if status.is_success() {
        read_answer(&clock, response, room, bulk).await
    } else {
        read_error(&clock, response).await
    };
    if may_be_kept && ended {
        target.kept.add();
    }
    Exchange { status: Some(status.as_u16()), headers, raw, elapsed, result, place }
}

/// What was sent and has come to a response.
struct Sent {
    response: reqwest::Response,
    /// Whether its connection may be used again once the body has ended.
    may_be_kept: bool,
}

/// Sends a request, and once more where it may have gone out on a kept connection that turns out to be closed: llama.cpp's server says
/// that it keeps a connection and closes it behind each stream. A request that goes out on such a one reaches nobody, and is no attempt
/// (RFC 9112, § 9.3.1). A host that breaks off may have been reached all the same, so that there is no third time.
async fn send(clock: &Clock<'_>, request: reqwest::Request) -> Result<Sent, Failure> {
    let target = clock.target;
    let again = request.try_clone().filter(|_| target.kept.take());
    let sent_at = Instant::now();
    let first = clock.wait(None, target.http.execute(request)).await;
    let is_reset = first.as_ref().is_err_and(|broken| broken.kind == FailureKind::Reset);
    match again.filter(|_| is_reset && sent_at.elapsed() < STALE) {
        // On a connection of its own: of several that are kept all may be closed.
        Some(again) => {
            let response = clock.wait(None, target.unpooled().execute(again)).await?;
            Ok(Sent { response, may_be_kept: false })
        }
        None => first.map(|response| Sent { may_be_kept: keeps_connection(response.headers()), response }),
    }
}

/// A body that has been read.
struct Read {
    raw: Vec<u8>,
    elapsed: Duration,
    result: Result<Answer, Failure>,
    place: Option<Place>,
    /// Whether it was read to its end.
    ended: bool,
}

/// What is left of a body when it is clear what it says.
enum Rest {
    /// It may still come.
    Ahead,
    Nothing,
    /// It is lost, and the connection with it.
    Lost,
}

async fn read_error(clock: &Clock<'_>, mut response: reqwest::Response) -> Read {
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut raw = Vec::new();
    let mut last = None;
    let ended = loop {
        match clock.wait(last, response.chunk()).await {
            Ok(Some(bytes)) => raw.extend_from_slice(&bytes),
            // An error whose body breaks off is still that error.
            over => break over.is_ok(),
        }
        last = Some(Instant::now());
        if raw.len() >= ERROR_BODY_LIMIT {
            break false;
        }
    };
    let raw = encoding::unpacked(raw, ERROR_BODY_LIMIT);
    let mut failed = fault::from_status(status, &raw, &clock.target.slow_down);
    if let Some(told) = encoding::undecoded(encoding::left(response.headers()).as_deref(), &raw) {
        failed.message = format!("HTTP {status}: {told}");
    }
    if failed.kind == FailureKind::NotFound && !fault::names_what_is_missing(&failed.message) {
        failed.message = failed.message.replacen("HTTP 404", &format!("HTTP 404 at {}", clock.target.shown), 1);
    }
    if failed.kind == FailureKind::Redirect {
        failed.message = redirected(status, location.as_deref());
    }
    Read { raw, elapsed: clock.elapsed(), result: Err(failed), place: None, ended }
}

/// Says where a redirect points. Its query is still there: it is cut off after redaction, since a key may hold a `?`.
fn redirected(status: u16, location: Option<&str>) -> String {
    let place = location.unwrap_or("nowhere");
    format!("HTTP {status}: redirects are not followed; it points to {}", fault::one_line(place))
}

async fn read_answer(clock: &Clock<'_>, mut response: reqwest::Response, room: Room, bulk: &Bulk) -> Read {
    let mut reading = Reading::new(clock, response.headers(), room);
    let (mut last, mut place) = (None, None);
    let (result, rest) = loop {
        match clock.wait(last, response.chunk()).await {
            Ok(Some(bytes)) => {
                match reading.take(&bytes) {
                    Ok(Progress::Done) => break (reading.end(bulk).await, Rest::Ahead),
                    Ok(_) => {}
                    Err(failed) => break (Err(failed), Rest::Lost),
                }
                if place.is_none() {
                    place = bulk.reading(reading.in_memory()).await;
                }
                last = Some(Instant::now());
            }
            Ok(None) => break (reading.finish(bulk).await, Rest::Nothing),
            Err(broken) => break (reading.break_off(broken), Rest::Lost),
        }
    };
    let elapsed = clock.elapsed();
    let raw = reading.raw;
    let result = result.map(|mut answer| {
        let first_token = reading.first_token.map(millis);
        answer.latency = Some(Latency { first_token, total: millis(elapsed) });
        answer
    });
    let ended = match rest {
        Rest::Ahead => drained(&mut response).await,
        Rest::Nothing => true,
        Rest::Lost => false,
    };
    Read { raw, elapsed, result, place, ended }
}

/// Reads the rest of a body that does not matter; whether it ended in time. One that does not costs its connection.
async fn drained(response: &mut reqwest::Response) -> bool {
    let rest = async {
        loop {
            match response.chunk().await {
                Ok(Some(_)) => {}
                over => break over.is_ok(),
            }
        }
    };
    timeout(DRAIN, rest).await.unwrap_or(false)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A body as it comes in.
struct Reading<'a> {
    clock: &'a Clock<'a>,
    room: Room,
    says_stream: bool,
    /// The encoding that the library left named, since it has not undone it.
    encoding: Option<String>,
    /// Of a body in gzip.
    gzip: Option<Gzip>,
    /// All of a whole answer, and the beginning of a stream, its comments left out.
    raw: Vec<u8>,
    comments: Comments,
    /// Bytes that have come, unpacked.
    came: usize,
    /// Bytes of gzip that have come.
    packed: usize,
    form: Form,
    /// Whether an event of a stream has come.
    has_event: bool,
    first_token: Option<Duration>,
}

enum Form {
    /// Only white space so far.
    Unknown,
    /// One JSON document.
    Whole,
    /// Server-sent events.
    Stream(Box<(Decoder, Assembly)>),
}

impl<'a> Reading<'a> {
    fn new(clock: &'a Clock<'a>, headers: &HeaderMap, room: Room) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let says_stream = content_type.to_ascii_lowercase().contains("event-stream");
        let (raw, form, encoding) = (Vec::new(), Form::Unknown, encoding::left(headers));
        Self {
            clock,
            room,
            says_stream,
            encoding,
            gzip: None,
            raw,
            comments: Comments::default(),
            came: 0,
            packed: 0,
            form,
            has_event: false,
            first_token: None,
        }
    }

    fn assembly(&self) -> Assembly {
        let logprobs = if self.room.logprobs { Logprobs::Kept } else { Logprobs::Dropped };
        Assembly::new(&self.clock.target.slow_down).with_logprobs(logprobs)
    }

    /// Bytes of it that are in memory, about.
    fn in_memory(&self) -> usize {
        match &self.form {
            Form::Stream(stream) => stream.1.in_memory(),
            Form::Whole | Form::Unknown => self.raw.len(),
        }
    }

    /// Fails when more has come than there is room for.
    fn within_room(&self) -> Result<(), Failure> {
        let came = self.came.max(self.packed);
        let (bytes, most) = match &self.form {
            Form::Stream(_) if self.in_memory() <= self.room.read => (came, self.room.streamed),
            Form::Stream(_) => (self.in_memory(), self.room.read),
            Form::Whole | Form::Unknown => (came, self.room.read),
        };
        if bytes <= most {
            return Ok(());
        }
        let message = format!("the body is larger than {most} bytes, far beyond what the cap allows");
        Err(failure(FailureKind::TooLarge, message))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        let begun = || if self.came == 0 { Gzip::begun_by(bytes) } else { None };
        let Some(mut gzip) = self.gzip.take().or_else(begun) else { return self.take_plain(bytes) };
        self.packed += bytes.len();
        self.within_room()?;
        let mut progress = Progress::Nothing;
        let unpacked = gzip.unpack(bytes, |plain| {
            // What is packed behind the end of the answer is none of it, be it broken.
            if progress != Progress::Done {
                progress = self.take_plain(plain)?;
            }
            Ok(())
        });
        if progress != Progress::Done {
            unpacked?;
        }
        self.gzip = Some(gzip);
        Ok(progress)
    }

    fn take_plain(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        self.came += bytes.len();
        self.within_room()?;
        if matches!(self.form, Form::Stream(_)) {
            self.keep(bytes);
        } else {
            self.raw.extend_from_slice(bytes);
        }
        match &mut self.form {
            Form::Whole => Ok(Progress::Nothing),
            Form::Stream(_) => self.decode(bytes),
            Form::Unknown => {
                if let Some(told) = encoding::undecoded(self.encoding.as_deref(), &self.raw) {
                    return Err(failure(FailureKind::Malformed, told));
                }
                if is_utf16(&self.raw) {
                    return Err(failure(FailureKind::Malformed, "the body is UTF-16, and JSON is UTF-8"));
                }
                self.form = self.tell_form();
                if matches!(self.form, Form::Stream(_)) {
                    let so_far = std::mem::take(&mut self.raw);
                    self.keep(&so_far);
                    return self.decode(&so_far);
                }
                Ok(Progress::Nothing)
            }
        }
    }

    /// Keeps the beginning of a stream: a little more of it than is looked at, which shows that something was left out.
    fn keep(&mut self, bytes: &[u8]) {
        let most = self.room.kept + 2 * MARGIN;
        if self.raw.len() < most {
            self.comments.strip(bytes, &mut self.raw);
            self.raw.truncate(most);
        }
    }

    /// Tells a stream from a whole answer by its first character, since hosts answer in one form when asked for the
    /// other, and under the wrong content type.
    fn tell_form(&self) -> Form {
        match self.text().first() {
            None | Some(0xEF) => Form::Unknown,
            Some(b'{' | b'[' | b'"' | b'<') => Form::Whole,
            // A field of an event, or a comment.
            Some(first) if self.says_stream || b":deir".contains(first) => {
                let limits = Limits { line: LINE_LIMIT, total: self.room.streamed };
                Form::Stream(Box::new((Decoder::new(limits), self.assembly())))
            }
            Some(_) => Form::Whole,
        }
    }

    /// The body behind a byte-order mark and white space.
    fn text(&self) -> &[u8] {
        self.raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.raw).trim_ascii_start()
    }

    /// Fails, with the host's words, where what was taken for a stream begins as none does and brought no event.
    fn fail_on_words(&self) -> Result<(), Failure> {
        let text = self.text();
        // Of a stream that was cut there may be less than a field's name.
        let is_field = || FIELDS.iter().any(|field| text.starts_with(field) || field.starts_with(text));
        let begins = self.comments.were_any() || is_field();
        if self.has_event || begins {
            return Ok(());
        }
        let message = format!("the body is neither JSON nor a stream: {}", fault::readable(&self.raw));
        Err(failure(FailureKind::Malformed, message))
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        let Form::Stream(stream) = &mut self.form else { return Ok(Progress::Nothing) };
        let (decoder, assembly) = &mut **stream;
        let mut events: Vec<Event> = Vec::new();
        let overflow = decoder.push(bytes, &mut events);
        self.has_event |= !events.is_empty();
        for event in &events {
            match assembly.event(event)? {
                Progress::Done => return Ok(Progress::Done),
                Progress::Piece if self.first_token.is_none() => self.first_token = Some(self.clock.elapsed()),
                Progress::Piece | Progress::Nothing => {}
            }
        }
        match overflow {
            Ok(()) => Ok(Progress::Nothing),
            Err(overflow) => Err(failure(FailureKind::TooLarge, overflow.to_string())),
        }
    }

    /// Takes the end of the body.
    async fn finish(&mut self, bulk: &Bulk) -> Result<Answer, Failure> {
        match self.gzip.as_mut().map_or(Ok(()), Gzip::finish) {
            Ok(()) => self.end(bulk).await,
            Err(cut) => self.break_off(cut),
        }
    }

    /// Takes the end of what the body says.
    async fn end(&mut self, bulk: &Bulk) -> Result<Answer, Failure> {
        let _place = bulk.parsing(self.in_memory()).await;
        match std::mem::replace(&mut self.form, Form::Whole) {
            Form::Stream(stream) => {
                let (decoder, mut assembly) = *stream;
                let (events, ending) = decoder.finish();
                self.has_event |= !events.is_empty() || ending != Ending::Clean;
                self.fail_on_words()?;
                for event in &events {
                    assembly.event(event)?;
                }
                assembly.end(&ending)
            }
            Form::Unknown if self.says_stream => Assembly::new(&[]).finish(),
            Form::Whole | Form::Unknown => self.whole(),
        }
    }

    fn whole(&self) -> Result<Answer, Failure> {
        match self.raw.trim_ascii_start().first() {
            None => Err(failure(FailureKind::Malformed, "the body is empty")),
            Some(b'<') => {
                let message = format!("the body is not JSON: {}", fault::readable(&self.raw));
                Err(failure(FailureKind::Malformed, message))
            }
            Some(_) => answer::whole(&self.raw, self.assembly()),
        }
    }

    /// The connection broke, a time limit passed or the end of the body is missing. A stream whose finish reason had come lost nothing
    /// by it.
    fn break_off(&mut self, broken: Failure) -> Result<Answer, Failure> {
        match std::mem::replace(&mut self.form, Form::Whole) {
            Form::Stream(stream) if stream.1.is_complete() => stream.1.end(&Ending::Clean),
            _ => Err(broken),
        }
    }
}

/// The time limits of one exchange.
struct Clock<'a> {
    target: &'a Target,
    started: Instant,
}

impl<'a> Clock<'a> {
    fn start(target: &'a Target) -> Self {
        Self { target, started: Instant::now() }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the next step, `last` being when the last piece of the body came, if one has.
    async fn wait<T>(
        &self,
        last: Option<Instant>,
        step: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, Failure> {
        let TimeLimits { first_byte, idle, total, .. } = self.target.limits;
        let patience = last.map_or(self.started + first_byte, |last| last + idle);
        let end = self.started + total;
        let late = |_| {
            let host = self.target.authority();
            let message = if end <= patience {
                format!("the answer of {host} was not complete within {} s", total.as_secs_f64())
            } else if last.is_some() {
                format!("{host} sent nothing more for {} s", idle.as_secs_f64())
            } else {
                format!("{host} sent nothing within {} s", first_byte.as_secs_f64())
            };
            failure(FailureKind::Timeout, message)
        };
        let in_time = timeout_at(patience.min(end), step).await.map_err(late)?;
        in_time.map_err(|error| transport::failed(error, self.target))
    }
}

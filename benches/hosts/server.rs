//! Hosts on the loopback address, each of which answers in a manner of its own and keeps its connections open.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::body::{Body, MODEL};

/// How long comments go on before an answer follows them.
const COMMENTS: Duration = Duration::from_secs(3);

/// How a host answers a question.
#[derive(Clone)]
pub enum Manner {
    /// With this body, after so long.
    Answers(Arc<Body>, Duration),
    /// With comments as fast as they are taken, and this body behind them.
    Comments(Arc<Body>),
    /// Not at all, to whatever it is asked.
    Silent,
}

impl Manner {
    /// With this body, without delay.
    pub fn at_once(body: Body) -> Self {
        Self::Answers(Arc::new(body), Duration::ZERO)
    }
}

/// A question to a host.
pub struct Question<'a> {
    pub host: &'a str,
    /// How many questions the host was asked before it.
    pub number: u64,
}

/// What was asked and answered until now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log {
    /// When the first request came, whatever it was for.
    pub first_request: Option<Instant>,
    /// When the first question came.
    pub first_question: Option<Instant>,
    pub last_answer: Option<Instant>,
    /// How many questions were answered.
    pub answers: u64,
}

/// One server for all hosts of a check. It serves until the benchmark ends.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Box<dyn Fn(&Question<'_>) -> Manner + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Log,
    /// Questions by host.
    asked: BTreeMap<String, u64>,
}

impl Server {
    /// Starts a server that answers each question in the manner that `manner` chooses for it.
    pub fn start(manner: impl Fn(&Question<'_>) -> Manner + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { manner: Box::new(manner), state: Mutex::default() });
        let serving = Arc::clone(&shared);
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A client that goes away is no concern of the host's.
                spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// The base URL of the host with this name.
    pub fn url(&self, host: &str) -> String {
        format!("http://{}/{host}/v1", self.address)
    }

    /// What was asked and answered until now.
    pub fn log(&self) -> Log {
        self.shared.state().log
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the lock")
    }

    /// Takes note of a request; how many questions its host was asked before.
    fn heard(&self, request: &Request) -> u64 {
        let mut state = self.state();
        let now = Some(Instant::now());
        state.log.first_request = state.log.first_request.or(now);
        if !request.is_question {
            return 0;
        }
        state.log.first_question = state.log.first_question.or(now);
        let asked = state.asked.entry(request.host.clone()).or_default();
        *asked += 1;
        *asked - 1
    }

    fn answered(&self) {
        let mut state = self.state();
        state.log.last_answer = Some(Instant::now());
        state.log.answers += 1;
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let number = shared.heard(&request);
        let to = stream.get_mut();
        match (shared.manner)(&Question { host: &request.host, number }) {
            Manner::Silent => {
                // Until the client has had enough.
                io::copy(to, &mut io::sink())?;
                return Ok(());
            }
            _ if !request.is_question => to.write_all(models().as_bytes())?,
            Manner::Comments(body) => return comment(to, &body.content(number)),
            Manner::Answers(body, after) => {
                sleep(after);
                to.write_all(&body.response(number))?;
                shared.answered();
            }
        }
    }
    Ok(())
}

/// The list of models.
fn models() -> String {
    let body = json!({"object": "list", "data": [{"id": MODEL}]}).to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A stream that begins with comments and ends with the connection.
fn comment(to: &mut TcpStream, content: &str) -> io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    let (lines, begun) = (": keepalive\n\n".repeat(4096), Instant::now());
    while begun.elapsed() < COMMENTS {
        to.write_all(lines.as_bytes())?;
    }
    to.write_all(content.as_bytes())
}

/// What a client asked for.
struct Request {
    host: String,
    /// Whether it asks a question, and not for the list of models.
    is_question: bool,
}

/// The next request; nothing once the client has closed the connection.
fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        // The empty line behind the headers has no colon.
        let Some((field, value)) = line.split_once(':') else { break };
        if field.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
    let host = first.split('/').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Request { host, is_question: first.starts_with("POST") }))
}

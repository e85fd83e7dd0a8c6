//! A host on the loopback address that answers each request as a function says.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What hosts make their answers of.
pub const WORDS: [&str; 16] = [
    "amber", "birch", "cloud", "dune", "ember", "fjord", "grove", "harbour", "island", "jetty", "kelp", "lantern",
    "meadow", "north", "oar", "pine",
];

/// A number that belongs to these texts, by which a host chooses its words.
pub fn digest(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The longest that a client may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client sent.
pub struct Request {
    /// The path with which the request line names what is wanted.
    pub path: String,
    /// The credential after `Bearer`.
    pub key: String,
    /// What was asked; null where it is no JSON.
    pub body: serde_json::Value,
}

/// A host that serves until it is dropped.
pub struct Host {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts a host that answers each request with the bytes that `answer` makes of it, and closes the connection.
    pub fn start(answer: fn(&Request) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serving = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming().take_while(|_| !stopped.load(Ordering::SeqCst)).flatten() {
                    // A client that goes away is no concern of the host's.
                    scope.spawn(move || drop(serve(stream, answer)));
                }
            });
        });
        Self { address, stop, serving: Some(serving) }
    }

    /// The base URL under which requests carry this name in their path.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}/v1", self.address)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the loop, which then sees that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn serve(mut stream: TcpStream, answer: fn(&Request) -> Vec<u8>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some(request) = read(&mut stream)? else { return Ok(()) };
    stream.write_all(&answer(&request))?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Read to the end, since closing with bytes unread would reset the connection under the client's hands.
    let mut rest = [0; 1024];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let key = header(&head, "authorization").unwrap_or_default();
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or_default();
                return Ok(Some(Request { path, key: key.trim_start_matches("Bearer ").to_owned(), body }));
            }
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            n => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// A whole response, after which the connection closes.
pub fn response(status: &str, headers: &[String], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().fold(String::new(), |out, line| out + line + "\r\n");
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// A stream of these data events, and its end.
pub fn stream(events: &[String]) -> Vec<u8> {
    let body: String = events.iter().fold(String::new(), |out, event| out + "data: " + event + "\n\n");
    response("200 OK", &["content-type: text/event-stream".to_owned()], &format!("{body}data: [DONE]\n\n"))
}

/// The event of a stream that brings this piece of text.
pub fn delta(text: &str) -> String {
    serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}).to_string()
}

/// The event that says that the text has ended.
pub fn end() -> String {
    serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
    .to_string()
}

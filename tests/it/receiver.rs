//! Receivers of alerts on the loopback address: one over HTTP, which can be told how to answer, and a mail server.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest that a client may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client sent.
#[derive(Debug, Clone)]
pub struct Posted {
    pub path: String,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// How a request is answered: status line, further headers, body.
pub type Answer = (&'static str, &'static str, &'static str);

/// A server that keeps what it got and answers as a function says. It serves until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Posted>>>,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts one that answers with what `answer` makes of each request.
    pub fn start(answer: impl Fn(&Posted) -> Answer + Send + 'static) -> Self {
        Self::serve(move |stream, got| {
            let Some(posted) = read(stream) else { return };
            let (status, headers, body) = answer(&posted);
            got.lock().expect("what it got").push(posted);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            );
        })
    }

    /// Starts a mail server, which keeps each mail as a body.
    pub fn start_mail() -> Self {
        Self::serve(|stream, got| {
            take_mail(stream, |mail| {
                let posted = Posted { path: String::new(), headers: BTreeMap::new(), body: mail };
                got.lock().expect("what it got").push(posted);
            });
        })
    }

    /// Starts a mail server that answers any login with these lines.
    pub fn start_mail_that_refuses(said: String) -> Self {
        Self::serve(move |stream, _| {
            let _ = refuse_login(stream, &said);
        })
    }

    fn serve(meet: impl Fn(&mut TcpStream, &Mutex<Vec<Posted>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, got) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, keep) = (Arc::clone(&stop), Arc::clone(&got));
        let serving = std::thread::spawn(move || {
            for mut stream in listener.incoming().take_while(|_| !stopped.load(Ordering::SeqCst)).flatten() {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                meet(&mut stream, &keep);
            }
        });
        Self { address, got, stop, serving: Some(serving) }
    }

    /// Its address without a scheme.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// What it got so far.
    pub fn got(&self) -> Vec<Posted> {
        self.got.lock().expect("what it got").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the loop, which then sees that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Posted { path, headers, body: String::from_utf8(body).ok()? })
}

/// Speaks SMTP with one client, and keeps each mail that it brings before it says so.
fn take_mail(stream: &mut TcpStream, keep: impl Fn(String)) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut say = |line: &str| answers.write_all(format!("{line}\r\n").as_bytes()).ok();
    let mut lines = BufReader::new(stream).lines();
    say("220 sink")?;
    loop {
        let line = lines.next()?.ok()?.to_uppercase();
        match line.split([' ', ':']).next().unwrap_or_default() {
            "DATA" => {
                say("354 go on")?;
                let text: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                keep(text.join("\n"));
                say("250 kept")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 fine")?,
        }
    }
}

/// Speaks SMTP with one client until it is to log in, and answers that with these lines.
fn refuse_login(stream: &mut TcpStream, said: &str) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut say = |line: &str| answers.write_all(format!("{line}\r\n").as_bytes()).ok();
    let mut lines = BufReader::new(stream).lines();
    say("220 sink")?;
    loop {
        let line = lines.next()?.ok()?.to_uppercase();
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => say("250-sink\r\n250 AUTH PLAIN LOGIN")?,
            "QUIT" => return say("221 bye"),
            _ => {
                let lines: Vec<&str> = said.split("\r\n").collect();
                for line in &lines {
                    say(&format!("535-{line}"))?;
                }
                say("535 no")?;
            }
        }
    }
}

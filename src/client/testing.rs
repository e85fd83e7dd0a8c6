//! A server for the client's tests that puts exact bytes on the wire, or none, or a reset.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does next on a connection. After the last step the connection is closed.
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Does nothing for a while.
    Wait(Duration),
    /// Breaks the connection.
    Reset,
}

/// A server that answers one request on each of as many connections as it has scripts, and then ends.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<Vec<String>>,
}

impl Server {
    /// Starts a server on a free port of this machine.
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                requests.push(play(stream, script).await);
            }
            requests
        });
        Self { address, task }
    }

    /// A server that answers once with these bytes.
    pub async fn answering(response: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![vec![Step::Send(response.into())]]).await
    }

    /// The requests as they came, heads and bodies, once every script has been played.
    pub async fn requests(self) -> Vec<String> {
        self.task.await.unwrap()
    }
}

async fn play(mut stream: TcpStream, script: Vec<Step>) -> String {
    let request = read_request(&mut stream).await;
    for step in script {
        match step {
            // A client that has hung up is what some tests are about.
            Step::Send(bytes) => drop(stream.write_all(&bytes).await),
            Step::Wait(duration) => tokio::time::sleep(duration).await,
            Step::Reset => stream.set_zero_linger().unwrap(),
        }
    }
    request
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if count == 0 || is_complete(&text) {
            return text.into_owned();
        }
    }
}

fn is_complete(request: &str) -> bool {
    // The hello of a TLS client, who waits for ours.
    if request.starts_with('\x16') {
        return true;
    }
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A response with these extra header lines and this body.
pub fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A response whose body ends where the connection does.
pub fn open_ended(headers: &[&str], body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{}\r\n\r\n{body}", headers.join("\r\n")).into_bytes()
}

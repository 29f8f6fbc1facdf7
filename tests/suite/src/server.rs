//! A server that answers every HTTP request with the same text, for programs that ask one.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

/// Longer than a client takes to say what it wants.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// A running server. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one that answers with `text`.
    pub fn start(text: &'static str) -> Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that says nothing is the end of it.
                if !answer(stream, text).unwrap_or(true) {
                    return;
                }
            }
        });
        Ok(Server { address, thread: Some(thread) })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if TcpStream::connect(self.address).is_ok() {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

/// Reads a request and answers it. False if there was none.
fn answer(mut stream: TcpStream, text: &str) -> Result<bool> {
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(request) = lines.next().transpose()? else { return Ok(false) };
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let status = if request.starts_with("GET / ") { "200 OK" } else { "404 Not Found" };
    let length = text.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_request_is_answered() {
        let server = Server::start("text").unwrap();
        for (path, status) in [("/", "200 OK"), ("/other", "404 Not Found"), ("/", "200 OK")] {
            let mut stream = TcpStream::connect(server.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")) && answer.ends_with("\r\n\r\ntext"));
        }
    }
}

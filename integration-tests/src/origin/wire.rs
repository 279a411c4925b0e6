//! One connection of an origin, as its script sees it.

use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::{Received, Shared};
use crate::response::{Framing, chunk, framing};

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next request on this connection.
    Keep,
    /// The end of the connection.
    Close,
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    number: usize,
    reset: bool,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
    noted: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, number: usize, shared: Arc<Shared>) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, number, reset: false, buffer: Vec::new(), shared, noted: false }
    }

    /// Sends bytes. An error is the gateway's good right; the next read will end the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> After {
        match self.stream.write_all(bytes.as_ref()) {
            Ok(()) => After::Keep,
            Err(_) => After::Close,
        }
    }

    /// Answers 200 with a text.
    pub fn ok(&mut self, text: &str) -> After {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    }

    /// Cuts the connection with a reset.
    pub fn reset(&mut self) -> After {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
        self.reset = true;
        After::Close
    }

    /// The bare stream, for what is no HTTP.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Bytes that were read beyond the last request.
    pub fn take_surplus(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Waits until the other side ends the connection.
    pub fn wait_for_end(&mut self) -> After {
        while self.fill() {}
        After::Close
    }

    /// Reads the head of the next request.
    pub(super) fn read_head(&mut self) -> Option<Received> {
        self.noted = false;
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                let complete = framing(&head, Framing::Length(0)) == Framing::Length(0);
                return Some(Received { head, complete, ..Received::default() });
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads the content of a request; `false` when it breaks off. Either way the request is recorded.
    pub fn read_body(&mut self, received: &mut Received) -> bool {
        received.complete = match framing(&received.head, Framing::Length(0)) {
            Framing::Length(length) => self.read_length(length, received),
            Framing::Chunked | Framing::ToEnd => self.read_chunks(received),
        };
        self.note(received);
        received.complete
    }

    fn read_length(&mut self, length: usize, received: &mut Received) -> bool {
        while self.buffer.len() < length {
            if !self.fill() {
                received.body = self.take_surplus();
                return false;
            }
        }
        received.body = self.buffer.drain(..length).collect();
        true
    }

    fn read_chunks(&mut self, received: &mut Received) -> bool {
        loop {
            if let Some((data, taken)) = chunk(&self.buffer) {
                let last = data.is_empty();
                received.body.extend_from_slice(data);
                self.buffer.drain(..taken);
                if last {
                    return true;
                }
            } else if !self.fill() {
                return false;
            }
        }
    }

    /// Records a request, once.
    pub fn note(&mut self, received: &Received) {
        if !std::mem::replace(&mut self.noted, true) {
            self.shared.received.lock().unwrap().push(received.clone());
            self.shared.arrived.notify_all();
        }
    }

    /// Ends the connection. A reset only leaves when the last handle of the socket is gone, so the shared one goes first.
    pub(super) fn close(&mut self) {
        self.shared.open.lock().unwrap().remove(&self.number);
        if !self.reset {
            // The other side may have closed first.
            drop(self.stream.shutdown(Shutdown::Both));
        }
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0u8; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(_) => false,
        }
    }
}

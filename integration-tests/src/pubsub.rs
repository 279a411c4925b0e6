//! WebSockets that speak JSON-RPC: a node that grants every subscription and notifies when it is told to, and a client.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::origin::Wire;
use crate::place::until;
use crate::{After, Client, Gateway, Origin, Received};

/// A frame: its opcode and its payload, unmasked.
type Frame = (u8, Vec<u8>);

/// Writes a frame; a client's is masked.
fn frame(opcode: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
        length => {
            frame.push(mask | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

/// Reads a frame, `exactly` so many bytes at a time.
fn read_frame(mut exactly: impl FnMut(usize) -> std::io::Result<Vec<u8>>) -> std::io::Result<Frame> {
    let head = exactly(2)?;
    let length = match head[1] & 0x7f {
        126 => usize::from(u16::from_be_bytes(exactly(2)?.try_into().unwrap())),
        127 => usize::try_from(u64::from_be_bytes(exactly(8)?.try_into().unwrap())).unwrap(),
        short => usize::from(short),
    };
    let key = if head[1] & 0x80 == 0 { vec![0; 4] } else { exactly(4)? };
    let payload = exactly(length)?;
    Ok((head[0] & 0xf, payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()))
}

/// The payloads of all whole frames in what one end sent, a line each.
#[must_use]
pub fn unmasked(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut exactly = |count: usize| -> std::io::Result<Vec<u8>> {
        let (taken, rest) = bytes.split_at_checked(count).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        bytes = rest;
        Ok(taken.to_vec())
    };
    while let Ok((_, payload)) = read_frame(&mut exactly) {
        text += &String::from_utf8_lossy(&payload);
        text.push('\n');
    }
    text
}

/// What a node knows of one connection.
struct Line {
    stream: TcpStream,
    /// By number: the method, and the first of its params.
    subscriptions: Vec<(u64, String, Value)>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    /// Every request, in the order they came.
    requests: Vec<Value>,
    next: u64,
}

/// A node.
pub struct PubSub {
    origin: Origin,
    state: Arc<Mutex<State>>,
}

impl Default for PubSub {
    fn default() -> Self {
        Self::start()
    }
}

impl PubSub {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let origin = Origin::at_head(move |received, wire| serve(&shared, received, wire));
        Self { origin, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Ends it, connections included.
    pub fn kill(&self) {
        self.origin.kill();
    }

    /// Waits until so many subscriptions by a method are there on all connections together.
    pub fn wait_for(&self, method: &str, count: usize) {
        until(&format!("{count} of {method}"), || (self.count(method) == count).then_some(()));
    }

    /// How many subscriptions by a method there are.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.lines.iter().flat_map(|line| &line.subscriptions).filter(|(_, it, _)| it == method).count()
    }

    /// The requests of a method so far.
    #[must_use]
    pub fn requests(&self, method: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request["method"] == method).cloned().collect()
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().lines.len()
    }

    /// Notifies who subscribed by a method.
    pub fn notify(&self, kind: &str, result: &Value) {
        let method = format!("{kind}Subscribe");
        for line in &mut self.state.lock().unwrap().lines {
            for (number, _, _) in line.subscriptions.iter().filter(|(_, it, _)| *it == method) {
                let params = json!({ "result": result, "subscription": number });
                let text = json!({ "jsonrpc": "2.0", "method": format!("{kind}Notification"), "params": params });
                // A connection that is gone is the test's own doing.
                drop(line.stream.write_all(&frame(1, text.to_string().as_bytes(), false)));
            }
        }
    }
}

/// Serves one connection to its end.
fn serve(state: &Mutex<State>, received: &mut Received, wire: &mut Wire) -> After {
    wire.note(received);
    let key = received.field("sec-websocket-key").unwrap_or_default();
    let accept = STANDARD
        .encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()));
    wire.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ));
    let mut surplus = std::io::Cursor::new(wire.take_surplus());
    let mut stream = wire.stream().try_clone().unwrap();
    let at = {
        let mut state = state.lock().unwrap();
        state.lines.push(Line { stream: stream.try_clone().unwrap(), subscriptions: Vec::new() });
        state.lines.len() - 1
    };
    let mut exactly = |count: usize| {
        let mut bytes = vec![0; count];
        (&mut surplus).chain(&mut stream).read_exact(&mut bytes).map(|()| bytes)
    };
    while let Ok((opcode, payload)) = read_frame(&mut exactly) {
        let line = |state: &mut State, bytes: &[u8]| drop(state.lines[at].stream.write_all(bytes));
        let mut state = state.lock().unwrap();
        match opcode {
            1 => {
                let answer = answer(&mut state, at, &serde_json::from_slice(&payload).unwrap());
                line(&mut state, &frame(1, answer.to_string().as_bytes(), false));
            }
            9 => line(&mut state, &frame(10, &payload, false)),
            8 => break,
            _ => {}
        }
    }
    state.lock().unwrap().lines[at].subscriptions.clear();
    After::Close
}

/// Does what is asked.
fn answer(state: &mut State, at: usize, request: &Value) -> Value {
    state.requests.push(request.clone());
    let method = request["method"].as_str().unwrap();
    let result = if method.ends_with("Unsubscribe") {
        state.lines[at].subscriptions.retain(|(number, _, _)| request["params"][0] != *number);
        json!(true)
    } else if method.ends_with("Subscribe") {
        state.next += 1;
        let number = state.next;
        state.lines[at].subscriptions.push((number, method.to_owned(), request["params"][0].clone()));
        json!(number)
    } else {
        json!(format!("{method} done"))
    };
    json!({ "jsonrpc": "2.0", "result": result, "id": request["id"] })
}

/// A client's WebSocket through the gateway.
pub struct Socket {
    client: Client,
}

impl Socket {
    /// Opens one.
    ///
    /// # Panics
    /// When it is not granted.
    #[must_use]
    pub fn open(gateway: &Gateway, target: &str) -> Self {
        Self::over(gateway.client(), target)
    }

    /// Opens one on a connection that is there.
    ///
    /// # Panics
    /// When it is not granted.
    #[must_use]
    pub fn over(mut client: Client, target: &str) -> Self {
        client.send(upgrade(target));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self { client }
    }

    /// Sends a message.
    pub fn send(&mut self, text: &str) {
        self.client.send(frame(1, text.as_bytes(), true));
    }

    /// Asks with id 1.
    pub fn ask(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string());
    }

    /// Asks, and returns the result.
    ///
    /// # Panics
    /// When there is none.
    pub fn result(&mut self, method: &str, params: &Value) -> Value {
        self.ask(method, params);
        let answer = self.json();
        assert!(answer["id"] == 1 && answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    /// The next message.
    ///
    /// # Panics
    /// When another frame comes, or none.
    pub fn json(&mut self) -> Value {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, 1, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code and the reason of the close frame that comes, past the messages before it.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            let (opcode, payload) = self.frame();
            if opcode == 8 {
                let (code, reason) = payload.split_first_chunk().unwrap();
                return (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap());
            }
        }
    }

    fn frame(&mut self) -> Frame {
        read_frame(|count| self.client.exactly(count)).unwrap()
    }
}

/// A request to upgrade.
#[must_use]
pub fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: rpc.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

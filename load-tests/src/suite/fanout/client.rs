//! A client that has subscribed to slots, and whether each came once and in order.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use portcullis_engine::answer::{Progress, Reader};
use portcullis_engine::websocket::{self, Frames, Opcode};
use serde_json::Value as Json;

use crate::Failure;

use super::PATIENCE;

/// A subscriber.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    frames: Frames,
    /// The slot that must come next, once one came.
    pub(super) next: Option<u64>,
    /// Slots so far.
    pub(super) told: u64,
    /// What was not as it should be.
    pub(super) wrong: Option<String>,
}

impl Client {
    /// Connects and subscribes to slots.
    pub(super) fn subscribe(to: SocketAddr) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&websocket::upgrade("/", "load.test", ""))?;
        let mut reader = Reader::default();
        reader.expect(false);
        let mut byte = [0];
        loop {
            stream.read_exact(&mut byte)?;
            match reader.take(&byte).0 {
                Progress::Part => {}
                Progress::Whole { .. } if reader.answer().status == 101 => break,
                Progress::Whole { .. } => {
                    return Err(format!("the upgrade was answered {}", reader.answer().status).into());
                }
                Progress::Broken => return Err("the upgrade was answered by nonsense".into()),
            }
        }
        let mut call = Vec::new();
        websocket::write(
            Opcode::Text,
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slotSubscribe\"}",
            Some([0; 4]),
            &mut call,
        );
        stream.write_all(&call)?;
        let mut client = Self { stream, frames: Frames::default(), next: None, told: 0, wrong: None };
        let mut buffer = [0; 4096];
        loop {
            let count = client.stream.read(&mut buffer)?;
            if count == 0 {
                return Err("the connection ended before it had subscribed".into());
            }
            client.frames.push(buffer.get(..count).unwrap_or_default());
            if let Some(message) = client.frames.message().map_err(|_| "no frame")? {
                let answer: Json = serde_json::from_slice(&message.payload)?;
                if answer.get("result").and_then(Json::as_u64).is_none() {
                    return Err(format!("the subscription was answered {answer}").into());
                }
                client.stream.set_nonblocking(true)?;
                return Ok(client);
            }
        }
    }

    /// Reads what has come; false when it is over.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read(buffer) {
            Ok(0) => return self.fail("the connection ended".to_owned()),
            Ok(count) => self.frames.push(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) => return self.fail(error.to_string()),
        }
        loop {
            match self.frames.message() {
                Ok(Some(message)) if message.opcode == Opcode::Text => {
                    let slot = slot(&message.payload);
                    match (slot, self.next) {
                        (Some(slot), Some(next)) if slot != next => {
                            return self.fail(format!("slot {slot} came in place of {next}"));
                        }
                        (Some(slot), _) => {
                            self.next = Some(slot + 1);
                            self.told += 1;
                        }
                        (None, _) => return self.fail(String::from_utf8_lossy(&message.payload).into_owned()),
                    }
                }
                Ok(Some(message)) if message.opcode == Opcode::Ping => {
                    let mut pong = Vec::new();
                    websocket::write(Opcode::Pong, &message.payload, Some([0; 4]), &mut pong);
                    if self.stream.write_all(&pong).is_err() {
                        return self.fail("a pong was not taken".to_owned());
                    }
                }
                Ok(Some(message)) => return self.fail(format!("{message:?}")),
                Ok(None) => return true,
                Err(_) => return self.fail("no frame".to_owned()),
            }
        }
    }

    fn fail(&mut self, why: String) -> bool {
        self.wrong.get_or_insert(why);
        false
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn slot(payload: &[u8]) -> Option<u64> {
    let message: Json = serde_json::from_slice(payload).ok()?;
    message.pointer("/params/result/slot")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_slot_of_a_notification() {
        let text = b"{\"method\":\"slotNotification\",\"params\":{\"result\":{\"slot\":7},\"subscription\":1}}";
        assert_eq!((slot(text), slot(b"{}"), slot(b"x")), (Some(7), None, None));
    }
}

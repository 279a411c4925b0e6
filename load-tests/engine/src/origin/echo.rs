//! A WebSocket that returns every message, in the origin's loop.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::answer::Answer;
use crate::websocket::{self, Frames, Opcode};

use super::Shared;

/// One that is open.
#[derive(Debug)]
pub(super) struct Echo {
    frames: Frames,
    shared: Arc<Shared>,
}

impl Echo {
    /// Agrees to a handshake.
    pub(super) fn agree(request: &[u8], shared: &Arc<Shared>, out: &mut Vec<u8>) -> Self {
        let view = Answer { status: 0, head: request, body: b"", length: 0, grpc: None };
        let key = view.field("sec-websocket-key").unwrap_or_default();
        out.extend(websocket::switching(&String::from_utf8_lossy(key)));
        shared.counters.sockets.fetch_add(1, Ordering::SeqCst);
        Self { frames: Frames::default(), shared: Arc::clone(shared) }
    }

    /// Answers what has come. False when it is over.
    pub(super) fn answer(&mut self, got: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        self.frames.push(got);
        got.clear();
        loop {
            let Ok(message) = self.frames.message() else { return false };
            let Some(message) = message else { return true };
            let opcode = match message.opcode {
                Opcode::Ping => Opcode::Pong,
                Opcode::Pong | Opcode::Continuation => continue,
                Opcode::Close => Opcode::Close,
                Opcode::Text | Opcode::Binary => {
                    self.shared.counters.messages.fetch_add(1, Ordering::SeqCst);
                    message.opcode
                }
            };
            websocket::write(opcode, &message.payload, None, out);
            if opcode == Opcode::Close {
                return false;
            }
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.shared.counters.sockets.fetch_sub(1, Ordering::SeqCst);
    }
}

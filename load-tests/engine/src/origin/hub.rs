//! Who subscribed to slots, and how they are told.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Failure;
use crate::websocket::{self, Opcode};

use super::lock;

/// Who subscribed.
#[derive(Debug, Default)]
pub(super) struct Hub {
    subscribers: Mutex<Vec<Subscriber>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Subscriber {
    number: u64,
    stream: TcpStream,
}

impl Hub {
    /// Adds one when it has been told its number, and before it is told of any slot.
    pub(super) fn add_then(
        &self,
        stream: TcpStream,
        tell: impl FnOnce(u64) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut subscribers = lock(&self.subscribers);
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        tell(number)?;
        subscribers.push(Subscriber { number, stream });
        Ok(number)
    }

    /// Nobody is told of anything while this is held.
    pub(super) fn hold(&self) -> impl Sized + '_ {
        lock(&self.subscribers)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.subscribers).len()
    }

    /// Takes one out.
    pub(super) fn remove(&self, number: u64) {
        lock(&self.subscribers).retain(|subscriber| subscriber.number != number);
    }

    /// Tells all, in messages that are longer by so many bytes; who does not take it is told no more.
    pub(super) fn publish(&self, slot: u64, padding: usize) {
        let padding = if padding == 0 { String::new() } else { format!("\"padding\":\"{:x<padding$}\",", "") };
        lock(&self.subscribers).retain_mut(|subscriber| {
            let text = format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"slotNotification\",\"params\":{{\"result\":{{{padding}\"parent\":{},\"root\":{},\"slot\":{slot}}},\"subscription\":{}}}}}",
                slot.saturating_sub(1),
                slot.saturating_sub(32),
                subscriber.number
            );
            let mut frame = Vec::new();
            websocket::write(Opcode::Text, text.as_bytes(), None, &mut frame);
            subscriber.stream.write_all(&frame).is_ok()
        });
    }

    /// Ends all, so that their threads end.
    pub(super) fn close(&self) {
        for subscriber in lock(&self.subscribers).drain(..) {
            // It may have ended by itself.
            drop(subscriber.stream.shutdown(Shutdown::Both));
        }
    }
}

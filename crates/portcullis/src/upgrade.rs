//! Replacing the binary: a new process takes the listening sockets, proves itself, and serves; then the old one drains.
//!
//! The two talk over a pair of sockets that only they have. In order: the new one says hello; the old one sends every
//! listening socket and what it knows that is in no file; the new one reads its config, binds what is missing, asks for the
//! store, sends itself a request, and says that it is ready; at the old one's word it accepts, and says so; the old one
//! stops accepting and drains, and meanwhile sends what its requests spend.
//!
//! Invariants:
//! - Listening sockets are shared and never bound anew, so that no connection in their queues is lost.
//! - Until its word to accept the old process serves as if nothing was asked; whatever the new one does before, it is
//!   killed and its last words are told.
//! - The end of the line is the death of the other: the new process then accepts as soon as it is ready; the old one,
//!   if it has not ended its drain, takes sockets and store back and serves again.
//! - Nobody waits without a bound but for the drain, which has its own, and nobody waits for a fixed time.

mod accompany;
mod carried;
mod launch;
mod newcomer;
mod successor;
mod talk;
mod wire;
mod words;

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

pub(crate) use accompany::Parted;
pub(crate) use launch::Launch;
pub(crate) use newcomer::Newcomer;
pub(crate) use successor::{Parting, Upgrader};

/// What marks a process that is to follow another; its standard input is the line.
const MARK: &str = "PORTCULLIS_FOLLOWS";
/// The version of the messages. A binary that speaks another is refused, with both numbers.
const PROTOCOL: u32 = 1;

/// What the new process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
enum New {
    /// It lives.
    Hello { protocol: u32, version: String },
    /// It is about to open the store.
    Store,
    /// It could serve. What its own first request was answered with, if there was one.
    Ready { proof: Option<String> },
    /// It accepts.
    Serving,
    /// It was told to end, and will: nobody is to serve in its place.
    Leaving,
    /// What was sent under this number is written.
    Kept { number: u64 },
}

/// What the old process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
enum Old {
    /// Listening sockets; the descriptors are beside it.
    Sockets { sockets: Vec<Named> },
    /// All that is in no file, in the first descriptor; where to log to is the second.
    State,
    /// The store is closed.
    Store,
    /// The new one may accept.
    Go,
    /// What was spent since, in the descriptor.
    Spent { number: u64 },
    /// How far the drain is.
    Draining { connections: usize },
    /// It is over.
    Bye,
}

/// Which socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    /// The listener; `None` for the admin API.
    listener: Option<String>,
    /// The address of the config.
    bind: SocketAddr,
}

/// A place at which a test may stop a process and end it: `PORTCULLIS_TEST_STOP_OLD` and `…_NEW` name one. Nothing else
/// reads them, and without them this does nothing.
fn step(side: &str, name: &str) {
    if std::env::var(format!("PORTCULLIS_TEST_STOP_{side}")).is_ok_and(|at| at == name) {
        log::warn!("upgrade: stopped at {side} {name} for a test");
        loop {
            std::thread::park();
        }
    }
}

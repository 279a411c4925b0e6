//! A node of Solana's JSON-RPC as far as a gateway in front of it looks: it has a slot, and a mind of its own about it.

use http::Response;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use super::hyper::{HyperOrigin, Seen, full};

/// The slot of a node that keeps up, when the test begins.
pub const FIRST: u64 = 312_345_000;
/// How long a slot takes, in milliseconds.
const SLOT: u128 = 400;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The slot of a node that keeps up.
#[must_use]
pub fn tip() -> u64 {
    FIRST + u64::try_from(BEGAN.elapsed().as_millis() / SLOT).unwrap()
}

/// What a node says of its own health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mind {
    /// `ok`.
    Well,
    /// -32005, with so many slots or none.
    Behind(Option<u64>),
    /// It answers what is asked of its health with 500.
    Broken,
}

#[derive(Debug)]
struct State {
    off: AtomicI64,
    stands: AtomicBool,
    unprocessed: AtomicI64,
    batches: AtomicBool,
    mind: Mutex<Mind>,
    polls: AtomicUsize,
}

/// A node, in a thread of its own, to the end of the test's process.
pub struct SolanaNode {
    origin: HyperOrigin,
    name: &'static str,
    state: Arc<State>,
}

impl SolanaNode {
    /// A node that keeps up. What it answers to a request says its name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        LazyLock::force(&BEGAN);
        let state = Arc::new(State {
            off: AtomicI64::new(0),
            stands: AtomicBool::new(false),
            unprocessed: AtomicI64::new(2),
            batches: AtomicBool::new(true),
            mind: Mutex::new(Mind::Well),
            polls: AtomicUsize::new(0),
        });
        let own = state.clone();
        let origin = HyperOrigin::plain(move |seen| own.answer(name, seen));
        Self { origin, name, state }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// From now on it is so many slots from the tip.
    pub fn set_off(&self, slots: i64) {
        self.state.stands.store(false, Ordering::SeqCst);
        self.state.off.store(slots, Ordering::SeqCst);
    }

    /// From now on its slot is this one, and does not move.
    pub fn stand_at(&self, slot: u64) {
        self.state.off.store(i64::try_from(slot).unwrap(), Ordering::SeqCst);
        self.state.stands.store(true, Ordering::SeqCst);
    }

    /// From now on it has received so many slots that it has not processed.
    pub fn set_unprocessed(&self, slots: i64) {
        self.state.unprocessed.store(slots, Ordering::SeqCst);
    }

    /// From now on it says this of itself.
    pub fn set_mind(&self, mind: Mind) {
        *self.state.mind.lock().unwrap() = mind;
    }

    /// From now on it takes no batches.
    pub fn refuse_batches(&self) {
        self.state.batches.store(false, Ordering::SeqCst);
    }

    /// How often it was asked for its health.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.state.polls.load(Ordering::SeqCst)
    }

    /// The requests that were no checks.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        let checks = |seen: &Seen| seen.field("user-agent") == Some("portcullis-health");
        self.origin.seen().into_iter().filter(|seen| !checks(seen)).collect()
    }
}

impl State {
    fn slot(&self) -> u64 {
        let off = self.off.load(Ordering::SeqCst);
        if self.stands.load(Ordering::SeqCst) { u64::try_from(off).unwrap() } else { tip().saturating_add_signed(off) }
    }

    fn answer(&self, name: &str, seen: &Seen) -> Response<super::Content> {
        let asked: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let answer = match asked.as_array() {
            Some(calls) if self.batches.load(Ordering::SeqCst) => calls
                .iter()
                .map(|call| self.call(name, call))
                .collect::<Option<Vec<String>>>()
                .map(|all| format!("[{}]", all.join(","))),
            Some(_) => Some(r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no batches"},"id":null}"#.to_owned()),
            None => self.call(name, &asked),
        };
        let status = if answer.is_some() { 200 } else { 500 };
        let head = Response::builder().status(status).header("content-type", "application/json");
        head.body(full(answer.unwrap_or_default())).unwrap()
    }

    /// As the node writes it: the result before the id, the context before the value.
    fn call(&self, name: &str, call: &Value) -> Option<String> {
        let (id, slot) = (&call["id"], self.slot());
        let result = |result: String| Some(format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#));
        let error = |error: Value| Some(format!(r#"{{"jsonrpc":"2.0","error":{error},"id":{id}}}"#));
        let least = call.pointer("/params/1/minContextSlot").and_then(Value::as_u64);
        if least.is_some_and(|least| least > slot) {
            let message = "Minimum context slot has not been reached";
            return error(json!({ "code": -32016, "message": message, "data": { "contextSlot": slot } }));
        }
        match call["method"].as_str() {
            Some("getHealth") => {
                self.polls.fetch_add(1, Ordering::SeqCst);
                match *self.mind.lock().unwrap() {
                    Mind::Well => result("\"ok\"".to_owned()),
                    Mind::Behind(by) => {
                        error(json!({ "code": -32005, "message": "Node is behind", "data": { "numSlotsBehind": by } }))
                    }
                    Mind::Broken => None,
                }
            }
            Some("getSlot") => result(slot.to_string()),
            Some("getMaxShredInsertSlot") => {
                result(slot.saturating_add_signed(self.unprocessed.load(Ordering::SeqCst)).to_string())
            }
            _ => result(format!(r#"{{"context":{{"apiVersion":"3.0.1","slot":{slot}}},"value":"{name}"}}"#)),
        }
    }
}

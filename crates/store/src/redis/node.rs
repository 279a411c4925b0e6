//! One server: a connection that is made in the background, and replaced after anything that may have spoilt it.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use super::backoff::Backoff;
use super::place::{Line, Place};
use super::script::{MEMBERS, POOL};
use super::trouble::{LinkState, Trouble};

/// The longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);

/// A server.
pub(crate) struct Node {
    place: Place,
    timeout: Duration,
    way: Way,
    backoff: Backoff,
    state: LinkState,
    /// What was wrong last.
    says: String,
}

enum Way {
    Down(Instant),
    Opening(JoinHandle<Result<Open, Trouble>>),
    Up(Open),
}

/// A connection, and what was learnt when it was made.
pub(crate) struct Open {
    pub(crate) line: Line,
    /// The digests of the scripts.
    pub(crate) pool: String,
    pub(crate) members: String,
    /// Whether it may be written to.
    pub(crate) is_master: bool,
    /// What it says of a cluster; `None` when it is in none.
    pub(crate) slots: Option<Value>,
}

impl Node {
    pub(crate) fn new(place: Place, timeout: Duration, now: Instant) -> Self {
        Self {
            place,
            timeout,
            way: Way::Down(now),
            backoff: Backoff::default(),
            state: LinkState::Connecting,
            says: "not connected yet".to_owned(),
        }
    }

    pub(crate) const fn state(&self) -> LinkState {
        self.state
    }

    /// What is wrong, when something is.
    pub(crate) fn trouble(&self, address: &str) -> Trouble {
        Trouble::new(self.state, format!("{address}: {}", self.says))
    }

    /// The connection, if there is one.
    pub(crate) const fn open(&self) -> Option<&Open> {
        match &self.way {
            Way::Up(open) => Some(open),
            Way::Down(_) | Way::Opening(_) => None,
        }
    }

    pub(crate) const fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.way {
            Way::Up(open) => Some(open),
            Way::Down(_) | Way::Opening(_) => None,
        }
    }

    /// Begins to connect when it is time, and takes what came of it. Waits for nothing. Answers whether it is up since
    /// now, or what went wrong.
    pub(crate) async fn progress(&mut self, now: Instant) -> Option<Result<(), Trouble>> {
        match &mut self.way {
            Way::Down(try_at) if *try_at <= now => {
                self.way = Way::Opening(tokio::spawn(open(self.place.clone(), self.timeout)));
                None
            }
            Way::Opening(opening) if opening.is_finished() => {
                let opened = opening.await.unwrap_or_else(|_| Err(Trouble::strange()));
                Some(match opened {
                    Ok(open) => {
                        (self.way, self.state) = (Way::Up(open), LinkState::Up);
                        Ok(())
                    }
                    Err(trouble) => {
                        self.broken(&trouble, now);
                        Err(trouble)
                    }
                })
            }
            Way::Down(_) | Way::Opening(_) | Way::Up(_) => None,
        }
    }

    /// Notes that all was answered.
    pub(crate) const fn answered(&mut self) {
        self.backoff.reset();
        self.state = LinkState::Up;
    }

    /// Notes an error that leaves the connection as good as it was.
    pub(crate) fn troubled(&mut self, trouble: &Trouble) {
        self.state = trouble.state;
        self.says.clone_from(&trouble.says);
    }

    /// Gives the connection up.
    pub(crate) fn broken(&mut self, trouble: &Trouble, now: Instant) {
        self.troubled(trouble);
        self.way = Way::Down(now + self.backoff.failed(rand::random()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Way::Opening(opening) = &self.way {
            opening.abort();
        }
    }
}

/// Connects, and finds out why that fails.
async fn open(place: Place, timeout: Duration) -> Result<Open, Trouble> {
    match connect(&place, timeout).await {
        Err(trouble) if trouble.state == LinkState::Unreachable && place.is_plain() => {
            Err(tokio::time::timeout(timeout, refusal(&place)).await.ok().flatten().unwrap_or(trouble))
        }
        other => other,
    }
}

/// What a server says to who connects before it closes: that it has too many clients, or is closed to strangers. The
/// client takes it for an answer to nothing, and drops it.
async fn refusal(place: &Place) -> Option<Trouble> {
    let mut stream = place.tcp().await.ok()?;
    let mut text = Vec::new();
    AsyncReadExt::take(&mut stream, 512).read_to_end(&mut text).await.ok()?;
    let text = String::from_utf8_lossy(&text);
    let (code, detail) = text.strip_prefix('-')?.trim_end().split_once(' ')?;
    Some(Trouble::said(code, detail))
}

/// Connects, loads the scripts and asks what the server is.
async fn connect(place: &Place, timeout: Duration) -> Result<Open, Trouble> {
    let connecting = tokio::time::timeout(CONNECT, place.connect(timeout));
    let mut line = connecting.await.map_err(|_| Trouble::slow())??;
    let mut first = redis::pipe();
    first.cmd("SCRIPT").arg("LOAD").arg(POOL);
    first.cmd("SCRIPT").arg("LOAD").arg(MEMBERS);
    first.cmd("ROLE");
    first.cmd("CLUSTER").arg("SLOTS");
    let answers = send(&mut line.connection, &first, timeout).await?;
    let [pool, members, role, slots] = <[Value; 4]>::try_from(answers).map_err(|_| Trouble::strange())?;
    let slots = Some(slots).filter(|slots| matches!(slots, Value::Array(_)));
    Ok(Open { line, pool: text(pool)?, members: text(members)?, is_master: is_master(&role)?, slots })
}

/// Sends commands and waits for their answers, no longer than the timeout.
pub(crate) async fn send(
    connection: &mut MultiplexedConnection,
    commands: &Pipeline,
    timeout: Duration,
) -> Result<Vec<Value>, Trouble> {
    let count = commands.cmd_iter().count();
    let answers = tokio::time::timeout(timeout, connection.send_packed_commands(commands, 0, count));
    Ok(answers.await.map_err(|_| Trouble::slow())??)
}

/// Whether an answer to `ROLE` is a master's.
pub(crate) fn is_master(role: &Value) -> Result<bool, Trouble> {
    if let Value::ServerError(error) = role {
        return Err(error.into());
    }
    let Value::Array(fields) = role else { return Err(Trouble::strange()) };
    let Some(Value::BulkString(role)) = fields.first() else { return Err(Trouble::strange()) };
    Ok(role == b"master")
}

fn text(value: Value) -> Result<String, Trouble> {
    if let Value::ServerError(error) = &value {
        return Err(error.into());
    }
    if let Value::SimpleString(text) = value {
        return Ok(text);
    }
    let Value::BulkString(bytes) = value else { return Err(Trouble::strange()) };
    String::from_utf8(bytes).map_err(|_| Trouble::strange())
}

//! A line: the connections to the upstreams of a cluster, one after another, that a share of its subscriptions is on.
//!
//! One task owns the table of subscriptions and the connection of the moment. It dials when somebody needs an upstream,
//! another endpoint than the one that failed, and hangs up when nobody does any more. The table decides what is asked and
//! told; here bytes are moved and the clock is read.

mod connection;
mod dial;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

use portcullis_telemetry::metrics::{GaugePart, UpstreamLeft, WebsocketGauge};
use portcullis_types::ProxyError;

use super::frame::Event;
use super::message::Incoming;
use super::table::{Broken, Call, Subscribe, Table, Terms};
use connection::Connection;
pub use dial::Dial;
use dial::{Avoided, Backoff};

/// What clients want of a line.
pub enum Command {
    /// To subscribe.
    Subscribe(Subscribe),
    /// To end a subscription.
    Unsubscribe(u64),
    /// To call something else.
    Call(Call),
}

/// How often the table is asked what time did to it.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection that nobody needs is kept.
const LINGER: Duration = Duration::from_secs(30);
/// How many commands are taken at once.
const BURST: usize = 256;

/// Where a line stands.
enum Phase {
    Idle,
    /// The next dial is at this time.
    Waiting(Instant),
    Dialing(Pin<Box<dyn Future<Output = Result<Connection, DialError>> + Send>>),
    Up(Box<Connection>),
}

/// Why there is no connection, and who is to be avoided for it.
struct DialError {
    error: ProxyError,
    endpoint: Option<portcullis_types::EndpointName>,
}

/// Why an upstream is left for another.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("it sent text that is no JSON-RPC")]
    NoJsonRpc,
    #[error("it sent bytes that are no text")]
    NoText,
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Lost(std::io::Error),
    #[error("{0}")]
    Broken(Broken),
}

impl Left {
    /// The word of the metric.
    fn counted_as(&self) -> UpstreamLeft {
        match self {
            Self::NoJsonRpc | Self::NoText => UpstreamLeft::Malformed,
            Self::Lost(error) if error.kind() == std::io::ErrorKind::InvalidData => UpstreamLeft::Malformed,
            Self::Closed | Self::Lost(_) => UpstreamLeft::Closed,
            Self::Broken(Broken::Silent) => UpstreamLeft::Silent,
            Self::Broken(Broken::Slots) => UpstreamLeft::SlotsStopped,
            Self::Broken(Broken::Stream(_)) => UpstreamLeft::SubscriptionStopped,
            Self::Broken(Broken::Unanswered) => UpstreamLeft::Unanswered,
        }
    }
}

/// What happened.
enum Happened {
    Command(Option<Command>),
    Tick,
    Redial,
    Dialed(Result<Connection, DialError>),
    Read(std::io::Result<Vec<Event>>),
}

struct Line {
    dial: Arc<Dial>,
    table: Table,
    phase: Phase,
    backoff: Backoff,
    avoided: Avoided,
    /// Since when nobody needs the connection.
    unwanted: Option<Instant>,
    silence: Duration,
    /// Its subscriptions among those that are counted.
    granted: GaugePart,
}

/// Serves a line until all who could send it a command are gone.
pub async fn run(mut commands: UnboundedReceiver<Command>, dial: Arc<Dial>, terms: Terms) {
    let mut line = Line {
        granted: dial.metrics.part(WebsocketGauge::UpstreamSubscriptions),
        dial,
        table: Table::new(terms),
        phase: Phase::Idle,
        backoff: Backoff::default(),
        avoided: Avoided::default(),
        unwanted: None,
        silence: terms.silence,
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let happened = line.next(&mut commands, &mut ticks).await;
        let now = Instant::now();
        if let Happened::Command(None) = happened {
            return;
        }
        line.happened(happened, now);
        for command in std::iter::from_fn(|| commands.try_recv().ok()).take(BURST) {
            line.command(command, now);
        }
        line.settle(now);
        line.granted.set(line.table.upstream_subscriptions() as u64);
    }
}

impl Line {
    async fn next(&mut self, commands: &mut UnboundedReceiver<Command>, ticks: &mut Interval) -> Happened {
        tokio::select! {
            command = commands.recv() => Happened::Command(command),
            _ = ticks.tick() => Happened::Tick,
            happened = self.phase.next() => happened,
        }
    }

    fn happened(&mut self, happened: Happened, now: Instant) {
        match happened {
            Happened::Command(Some(command)) => self.command(command, now),
            Happened::Command(None) => {}
            Happened::Redial => self.phase = Phase::Idle,
            Happened::Tick => self.tick(now),
            Happened::Dialed(Ok(connection)) => {
                log::debug!("websocket: a line of {} goes to {}", self.dial.cluster, connection.endpoint);
                self.phase = Phase::Up(Box::new(connection));
                self.backoff.connected(now);
                self.table.connected(now);
            }
            Happened::Dialed(Err(failed)) => {
                if let Some(endpoint) = failed.endpoint {
                    self.avoided.add(endpoint, now);
                }
                log::warn!("websocket: no upstream of {} for a line: {}", self.dial.cluster, failed.error);
                self.dial.metrics.unreached();
                self.phase = Phase::Waiting(self.backoff.failed(now));
            }
            Happened::Read(Ok(events)) => {
                self.table.hear(now);
                if let Err(why) = self.events(events, now) {
                    self.fail_over(&why, now);
                }
            }
            Happened::Read(Err(error)) => self.fail_over(&Left::Lost(error), now),
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Subscribe(wish) => self.table.subscribe(wish, now),
            Command::Unsubscribe(number) => self.table.unsubscribe(number, now),
            Command::Call(call) => self.table.call(call, now),
        }
    }

    fn events(&mut self, events: Vec<Event>, now: Instant) -> Result<(), Left> {
        for event in events {
            match event {
                Event::Text(text) => match Incoming::read(text) {
                    Ok(incoming) => self.table.incoming(incoming, now),
                    Err(_) => return Err(Left::NoJsonRpc),
                },
                Event::Binary(_) => return Err(Left::NoText),
                Event::Close(_) => return Err(Left::Closed),
                // The connection has answered it.
                Event::Ping(_) | Event::Pong(_) => {}
            }
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) {
        if let Err(broken) = self.table.tick(now) {
            self.fail_over(&Left::Broken(broken), now);
        }
        if let Phase::Up(connection) = &mut self.phase {
            connection.ping_if_silent(now, self.silence / 4);
        }
    }

    /// Leaves an upstream for another one.
    fn fail_over(&mut self, why: &Left, now: Instant) {
        let Phase::Up(connection) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        self.dial.metrics.left(why.counted_as());
        let (streams, subscribers) = self.table.size();
        log::warn!(
            "websocket: {} of {} is left: {why}; {streams} streams with {subscribers} subscribers go elsewhere",
            connection.endpoint,
            self.dial.cluster,
        );
        self.avoided.add(connection.endpoint.clone(), now);
        self.table.lost(now);
        self.phase = self.backoff.lost(now).map_or(Phase::Idle, Phase::Waiting);
    }

    /// Brings the connection in line with what the table wants.
    fn settle(&mut self, now: Instant) {
        let wanted = self.table.is_wanted();
        match &mut self.phase {
            Phase::Idle if wanted => {
                let dial = Arc::clone(&self.dial).connect(self.avoided.names(now), now);
                self.phase = Phase::Dialing(Box::pin(dial));
            }
            Phase::Waiting(_) if !wanted => self.phase = Phase::Idle,
            Phase::Up(connection) => {
                for text in self.table.take_out() {
                    connection.send(&text);
                }
                let since = if wanted { None } else { Some(*self.unwanted.get_or_insert(now)) };
                self.unwanted = since;
                if since.is_some_and(|since| now >= since + LINGER) {
                    self.table.lost(now);
                    (self.phase, self.unwanted) = (Phase::Idle, None);
                }
            }
            Phase::Idle | Phase::Waiting(_) | Phase::Dialing(_) => {}
        }
    }
}

impl Phase {
    async fn next(&mut self) -> Happened {
        match self {
            Self::Idle => pending().await,
            Self::Waiting(time) => {
                sleep_until(*time).await;
                Happened::Redial
            }
            Self::Dialing(dial) => Happened::Dialed(dial.await),
            Self::Up(connection) => Happened::Read(connection.next().await),
        }
    }
}

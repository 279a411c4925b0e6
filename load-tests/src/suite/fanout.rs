//! One subscription upstream, many WebSockets: each is told everything once and in order; who does not read is bounded.

mod client;

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_engine::drive::Load;
use portcullis_engine::event::{Interest, Poll};
use portcullis_engine::origin::Origin;
use portcullis_engine::websocket;
use socket2::SockRef;

use crate::Failure;

use super::books::{Books, SETTLE};
use super::kit::{Config, Edge, Stage, mib, most_held, open, until};
use super::outcome::Notes;
use super::reload::Echo;
use super::served::{Bad, told};

use client::Client;

/// What the gateway may keep for who does not read, and beside that.
const EACH: u64 = 512 << 10;
const BESIDE: u64 = 8 << 20;

/// Notifications that are too many for who does not read: bytes of each, and how many are on their way to who does. Those are fewer
/// bytes than may wait for a client, so that a tool that is late loses nobody.
const LARGE: usize = 32 << 10;
const AHEAD: u64 = 4;

/// Clients that read these.
const READERS: usize = 4;

/// How many do not read, small and full.
const LAZY: (usize, usize) = (20, 200);

/// How long a client may take to have subscribed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays.
pub(super) fn fanout(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    tunnel(stage, &origin, outcome)?;
    let filter = "      - { name: pubsub, match: { exact: / }, filters: [{ rpc_websocket: { to: origin, path: /pubsub } }], to: origin }\n";
    let edge = Edge::start(stage, "edge", &Config { routes: filter.to_owned(), ..Config::to(origin.address()) })?;
    let (clients, slots) = stage.size((200, 400), (2000, 5000));
    let lazy = stage.size(LAZY.0, LAZY.1);
    let subscribed = |count: usize| (0..count).map(|_| Client::subscribe(edge.address)).collect::<Result<Vec<_>, _>>();
    let both = subscribed(clients).and_then(|reading| Ok((reading, subscribed(lazy)?)));
    let found = both.as_ref().map_or_else(ToString::to_string, |_| "all can".to_owned());
    outcome.count(format!("{} clients can subscribe", clients + lazy), both.is_ok(), found);
    let Ok((mut reading, idle)) = both else { return Ok(()) };
    for client in &idle {
        SockRef::from(&client.stream).set_recv_buffer_size(4096)?;
    }
    let before = edge.process.resident()?;
    outcome.number("upstream_subscriptions", origin.subscriptions());
    let published = Published { slots: 1..slots + 1, ..Published::default() };
    edge.watched(outcome, "slots", || Ok((listen(&mut reading, &origin, &published)?, None)))?;
    let told: u64 = reading.iter().map(|client| client.told).sum();
    let (whole, wrong) = whole(&reading, slots);
    outcome.count(
        format!("each of {clients} clients is told all of {slots} slots, once, in order"),
        wrong.is_none() && whole == clients,
        format!("{told} notifications, {whole} clients have all{}", wrong.unwrap_or_default()),
    );
    let shared = origin.subscriptions() as u64;
    outcome.count("clients share subscriptions upstream", shared <= 8, format!("{shared} for {}", clients + lazy));
    stall(stage, &edge, &origin, (&mut reading, before, slots), outcome)?;
    drop((reading, idle));
    let records = clients as u64 + lazy as u64;
    until(SETTLE, || Ok(edge.requests()? >= records));
    let found = edge.requests()?;
    outcome.count("every client has a record", found == records, format!("{found} of {records}"));
    Ok(())
}

/// How many have all slots, and what was wrong with the first that has not.
fn whole(clients: &[Client], slots: u64) -> (usize, Option<String>) {
    let wrong = clients.iter().find_map(|client| client.wrong.as_ref());
    let whole = clients.iter().filter(|client| client.told == slots && client.next == Some(slots + 1)).count();
    (whole, wrong.map(|why| format!("; {why}")))
}

/// More than may wait for anybody goes to a few that read, and to all that do not: what waits for these is bounded, and they are left.
fn stall(
    stage: &Stage,
    edge: &Edge,
    origin: &Origin,
    (reading, before, slots): (&mut Vec<Client>, u64, u64),
    outcome: &Notes,
) -> Result<(), Failure> {
    let lazy = stage.size(LAZY.0, LAZY.1);
    let count = stage.size(2000, 8000);
    reading.truncate(READERS);
    // Whoever left is gone before more is published than may wait for anybody: they do not read either.
    let stay = (READERS + lazy) as f64;
    until(SETTLE, || Ok(edge.metric("portcullis_listener_connections", "")? <= stay));
    let published =
        Published { slots: slots + 1..slots + count + 1, padding: LARGE, ahead: AHEAD, pause: Duration::ZERO };
    let (listened, most) =
        most_held(edge, || edge.watched(outcome, "large slots", || Ok((listen(reading, origin, &published)?, None))));
    listened?;
    let (whole, wrong) = whole(reading, slots + count);
    outcome.count(
        format!("each of {READERS} clients is told all of {count} large slots, once, in order, beside those that do not read"),
        wrong.is_none() && whole == reading.len(),
        format!("{whole} clients have all{}", wrong.unwrap_or_default()),
    );
    let grown = most?.saturating_sub(before);
    let bound = EACH * lazy as u64 + BESIDE;
    outcome.resource(
        format!("{lazy} that do not read: memory grows by at most {}", mib(bound)),
        grown <= bound,
        format!("{}, of {} that were published", mib(grown), mib(count * LARGE as u64)),
    );
    let closed = || edge.metric("portcullis_rpc_websocket_closes_total", "reason=\"slow_consumer\"");
    let left = until(SETTLE, || Ok(closed()? >= lazy as f64));
    outcome.count(
        format!("{lazy} that do not read are left, as slow consumers, and nobody else is"),
        left && closed()? < lazy as f64 + 0.5,
        closed()?,
    );
    Ok(())
}

/// WebSockets that are the upstream's own business, and only passed through.
fn tunnel(stage: &Stage, origin: &Origin, outcome: &Notes) -> Result<(), Failure> {
    let edge = Edge::start(stage, "tunnel", &Config::to(origin.address()))?;
    let handshake = websocket::upgrade("/ws", "load.test", "");
    let length = stage.size(Duration::from_secs(2), Duration::from_secs(20));
    let messages = Load { upgrade: Some(&handshake), ..open(edge.address, 200.0, length, stage.seed) };
    let books = Books::open(&edge, origin)?;
    let heard = || origin.counters().messages.load(Ordering::SeqCst);
    let before = heard();
    let (echoes, part) = edge.play_of(outcome, "through a tunnel", &messages, &mut Echo)?;
    let bad = Bad::of(&echoes);
    part.expect_none(outcome, "every message comes back as it was", bad, &told(&echoes));
    // A WebSocket is one request, and its messages are none.
    books.close(outcome, "through a tunnel", [echoes.opened, echoes.opened - bad.refused], bad.late)?;
    let (sent, came) = (echoes.all.sent(), heard() - before);
    outcome.count(
        "through a tunnel: the origin has heard every message once",
        sent > 0 && came.abs_diff(sent - bad.refused) <= bad.late,
        format!("{came} of {sent}"),
    );
    Ok(())
}

/// What is published.
struct Published {
    slots: Range<u64>,
    /// Bytes that each has besides.
    padding: usize,
    /// How many may be on their way to somebody who reads.
    ahead: u64,
    /// From one to the next.
    pause: Duration,
}

impl Default for Published {
    fn default() -> Self {
        Self { slots: 0..0, padding: 0, ahead: u64::MAX, pause: Duration::from_millis(4) }
    }
}

/// Publishes slots and reads until everybody has all, or nothing comes any more.
fn listen(clients: &mut [Client], origin: &Origin, published: &Published) -> Result<(), Failure> {
    let Published { slots, padding, ahead, pause } = published;
    let all = slots.end - 1;
    let mut poll = Poll::new()?;
    for (token, client) in (0_u64..).zip(clients.iter()) {
        poll.add(client, token, Interest::Read)?;
    }
    let (mut buffer, mut ready) = (vec![0; 64 << 10], Vec::new());
    let (mut done, mut last) = (slots.start - 1, Instant::now());
    let mut next = Instant::now();
    let has_room = |clients: &[Client], done: u64| {
        let least = clients.iter().filter(|client| client.wrong.is_none()).map(|client| client.told).min();
        done < all && least.is_some_and(|least| done < least.saturating_add(*ahead))
    };
    while clients.iter().any(|client| client.told < all && client.wrong.is_none()) {
        if has_room(clients, done) && Instant::now() >= next {
            done += 1;
            origin.publish_padded(done, *padding);
            next += *pause;
        }
        let patience = last + PATIENCE;
        if Instant::now() > patience {
            return Ok(());
        }
        poll.wait(if has_room(clients, done) { next } else { patience }, &mut ready)?;
        for token in ready.drain(..) {
            last = Instant::now();
            let client = usize::try_from(token).ok().and_then(|index| clients.get_mut(index));
            if let Some(client) = client
                && !client.read(&mut buffer)
            {
                poll.remove(&*client)?;
            }
        }
    }
    Ok(())
}

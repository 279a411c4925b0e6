//! One subscription upstream, many WebSockets: each is told everything once and in order; who does not read is bounded.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_engine::answer::{Progress, Reader};
use portcullis_engine::drive::Load;
use portcullis_engine::event::{Interest, Poll};
use portcullis_engine::origin::Origin;
use portcullis_engine::websocket::{self, Frames, Opcode};
use serde_json::Value as Json;
use socket2::SockRef;

use crate::Failure;

use super::books::{Books, SETTLE};
use super::kit::{Config, Edge, Stage, mib, open, until};
use super::outcome::Notes;
use super::reload::Echo;
use super::served::{Bad, told};

/// What the gateway may keep for who does not read, and beside that.
const EACH: u64 = 512 << 10;
const BESIDE: u64 = 48 << 20;

/// How long a client may take to have subscribed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A subscriber.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    frames: Frames,
    /// The slot that must come next, once one came.
    next: Option<u64>,
    told: u64,
    /// What was not as it should be.
    wrong: Option<String>,
}

impl Client {
    fn subscribe(to: SocketAddr) -> Result<Self, Failure> {
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
    fn read(&mut self, buffer: &mut [u8]) -> bool {
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

/// Plays.
pub(super) fn fanout(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    tunnel(stage, &origin, outcome)?;
    let filter = "      - { name: pubsub, match: { exact: / }, filters: [{ rpc_websocket: { to: origin, path: /pubsub } }], to: origin }\n";
    let edge = Edge::start(stage, "edge", &Config { routes: filter.to_owned(), ..Config::to(origin.address()) })?;
    let (clients, lazy, slots) = stage.size((200, 20, 400), (2000, 200, 5000));
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
    listen(&mut reading, &origin, slots)?;
    let grown = edge.process.resident()?.saturating_sub(before);
    let told: u64 = reading.iter().map(|client| client.told).sum();
    let wrong: Vec<&String> = reading.iter().filter_map(|client| client.wrong.as_ref()).collect();
    let whole = reading.iter().filter(|client| client.told == slots && client.next == Some(slots + 1)).count();
    outcome.count(
        format!("each of {clients} clients is told all of {slots} slots, once, in order"),
        wrong.is_empty() && whole == clients,
        format!(
            "{told} notifications, {whole} clients have all{}",
            wrong.first().map(|why| format!("; {why}")).unwrap_or_default()
        ),
    );
    let bound = EACH * lazy as u64 + BESIDE;
    outcome.resource(
        format!("{lazy} that do not read: memory grows by at most {}", mib(bound)),
        grown <= bound,
        mib(grown),
    );
    let shared = origin.subscriptions() as u64;
    outcome.count("clients share subscriptions upstream", shared <= 8, format!("{shared} for {}", clients + lazy));
    drop((reading, idle));
    let records = clients as u64 + lazy as u64;
    until(SETTLE, || Ok(edge.requests()? >= records));
    let found = edge.requests()?;
    outcome.count("every client has a record", found == records, format!("{found} of {records}"));
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

/// Publishes slots from 1 on and reads until everybody has all, or nothing comes any more.
fn listen(clients: &mut [Client], origin: &Origin, slots: u64) -> Result<(), Failure> {
    let mut poll = Poll::new()?;
    for (token, client) in (0_u64..).zip(clients.iter()) {
        poll.add(client, token, Interest::Read)?;
    }
    let (mut buffer, mut ready) = (vec![0; 64 << 10], Vec::new());
    let (mut published, mut last) = (0, Instant::now());
    let mut next = Instant::now();
    while clients.iter().any(|client| client.told < slots && client.wrong.is_none()) {
        if published < slots && Instant::now() >= next {
            published += 1;
            origin.publish(published);
            next += Duration::from_millis(4);
        }
        let patience = last + PATIENCE;
        if Instant::now() > patience {
            return Ok(());
        }
        poll.wait(if published < slots { next } else { patience }, &mut ready)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_slot_of_a_notification() {
        let text = b"{\"method\":\"slotNotification\",\"params\":{\"result\":{\"slot\":7},\"subscription\":1}}";
        assert_eq!((slot(text), slot(b"{}"), slot(b"x")), (Some(7), None, None));
    }
}

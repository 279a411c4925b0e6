//! A reload every second, under load: no request fails, no connection ends that nobody ended, WebSockets neither, nothing that was
//! counted is forgotten.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::client::Client;
use portcullis_engine::drive::{Load, Source};
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::tally::Tally;
use portcullis_engine::{proof, websocket};

use crate::Failure;

use super::books::{Books, SETTLE};
use super::capped::Capped;
use super::kit::{Config, Edge, Stage, open, play, play_of, until};
use super::outcome::Notes;
use super::served::{Bad, PATIENCE, told};

/// Messages on WebSockets that come back as they were.
#[derive(Debug)]
pub(super) struct Echo;

impl Source for Echo {
    fn write(&mut self, number: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(format!("message {number}").as_bytes());
        0
    }

    fn looks(&self, _: usize) -> bool {
        true
    }

    fn judge(&mut self, _: usize, number: u64, answer: &Answer<'_>) -> Became {
        if answer.status == 101 && answer.body == format!("message {number}").as_bytes() {
            Became::Succeeded
        } else {
            Became::Failed(if answer.status == 101 { Kind::Mismatch } else { Kind::Status })
        }
    }
}

/// Requests a second: short ones, messages on WebSockets, ones that wait at the origin and are in flight at every reload, and
/// those of a caller with a cap.
const SHORT: f64 = 300.0;
const MESSAGES: f64 = 100.0;
const LONG: f64 = 20.0;
const CAPPED: f64 = 30.0;

/// What one caller may do while the scene plays: nothing comes back of it.
const SAVED: u64 = 30;
const QUOTA: u64 = 40;

/// The config, with one route more.
fn config(origin: SocketAddr, route: &str) -> Config {
    let top = format!("plans:\n  saved: {{ rate: 1/h, burst: {SAVED} }}\n  quota: {{ quota: {QUOTA}/month }}\n");
    let capped = |name: &str| {
        format!(
            "      - {{ name: {name}, match: {{ path: /{name} }}, filters: [{{ anonymous: {{ plan: {name}, by: address }} }}, caps], to: origin }}\n"
        )
    };
    let routes = format!("{route}{}{}", capped("saved"), capped("quota"));
    // Whatever ends a connection is the reload.
    let limits = ", idle_timeout: 1h".to_owned();
    Config { top, limits, routes, ..Config::to(origin) }
}

/// What came of the loads.
#[derive(Debug)]
struct Played {
    short: Tally,
    long: Tally,
    echoes: Tally,
    /// Of a burst, and of a quota.
    capped: [(Tally, Capped); 2],
    /// The gateway's counter of requests, before each reload.
    counted: Vec<u64>,
}

impl Played {
    fn requests(&self) -> impl Iterator<Item = &Tally> {
        [&self.short, &self.long].into_iter().chain(self.capped.iter().map(|(tally, _)| tally))
    }
}

/// Plays.
pub(super) fn reload(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = Edge::start(stage, "edge", &config(origin.address(), ""))?;
    let reloads = stage.size(8, 300);
    let books = Books::open(&edge, &origin)?;
    let applied = || edge.metric("portcullis_reloads_total", "outcome=\"applied\"");
    let before = applied()?;
    let (played, part) = edge.watched(outcome, "load", || {
        let played = load(stage, &edge, &origin, reloads)?;
        let lag = played.short.lag();
        Ok((played, Some(lag)))
    })?;
    let Played { short, long, echoes, capped, counted } = &played;
    part.expect_served(outcome, short);
    let what = "none fails that is in flight while a config is loaded";
    part.expect_none(outcome, what, Bad::of(long), &told(long));
    let what = "no message on a WebSocket is lost or changed";
    part.expect_none(outcome, what, Bad::of(echoes), &told(echoes));
    part.expect_kept(outcome, "no WebSocket ends unasked, by a goodbye neither", echoes, false);
    for tally in played.requests() {
        part.expect_kept(outcome, "no connection ends unasked", tally, false);
    }
    for ((tally, source), (name, cap)) in capped.iter().zip([("a burst", SAVED), ("a quota", QUOTA)]) {
        source.expect(outcome, &format!("{name} over all reloads"), cap, (tally, &part));
    }
    outcome.count(
        "counters of requests never go back",
        counted.is_sorted(),
        format!("{} at last", counted.last().copied().unwrap_or_default()),
    );
    // The gateway also looks at the file by itself, and may read one more than once.
    let all = until(SETTLE, || Ok(applied()? - before > reloads as f64 - 0.5));
    outcome.count(format!("all {reloads} reloads are applied"), all, applied()? - before);
    close(&played, &books, outcome)?;
    // Asked for when the books are closed: the gateway answers it by itself.
    let last = until(SETTLE, || {
        let answer = Client::patient(edge.address, PATIENCE)?.get(&format!("/r{reloads}"))?;
        Ok(answer.body == reloads.to_string().as_bytes())
    });
    outcome.count("the last config is in force", last, last);
    Ok(())
}

/// All loads at once, and a reload every second.
fn load(stage: &Stage, edge: &Edge, origin: &Origin, reloads: u64) -> Result<Played, Failure> {
    let length = Duration::from_secs(reloads + 1);
    let handshake = websocket::upgrade("/ws", "load.test", "");
    let load = |rate, seed| open(edge.address, rate, length, stage.seed + seed);
    let messages = Load { upgrade: Some(&handshake), ..load(MESSAGES, 1) };
    std::thread::scope(|scope| {
        let capped = |target: &'static str, seed| {
            let load = load(CAPPED, seed);
            scope.spawn(move || {
                let mut source = Capped::get(target, "");
                Ok::<_, Failure>((play_of(&load, &mut source)?, source))
            })
        };
        let capped = [capped("/saved", 2), capped("/quota", 3)];
        let short = load(SHORT, 0);
        let short = scope.spawn(move || play(&short));
        let long = load(LONG, 4);
        let long = scope.spawn(move || play_of(&long, &mut proof::get("/wait/400")));
        let echoes = scope.spawn(|| play_of(&messages, &mut Echo));
        let counted = reload_often(edge, origin, reloads);
        let panicked = "the load panicked";
        let [saved, quota] = capped.map(|capped| capped.join().map_err(|_| panicked));
        Ok(Played {
            short: short.join().map_err(|_| panicked)??,
            long: long.join().map_err(|_| panicked)??,
            echoes: echoes.join().map_err(|_| panicked)??,
            capped: [saved??, quota??],
            counted: counted?,
        })
    })
}

/// Says what the gateway had counted before each reload.
fn reload_often(edge: &Edge, origin: &Origin, reloads: u64) -> Result<Vec<u64>, Failure> {
    let start = Instant::now();
    let mut counted = Vec::new();
    for number in 1..=reloads {
        std::thread::sleep((start + Duration::from_secs(number)).saturating_duration_since(Instant::now()));
        counted.push(edge.requests()?);
        let route = format!(
            "      - {{ name: r{number}, match: {{ exact: /r{number} }}, respond: {{ body: \"{number}\" }} }}\n"
        );
        edge.write(&config(origin.address(), &route))?;
        edge.process.hang_up()?;
    }
    Ok(counted)
}

fn close(played: &Played, books: &Books<'_>, outcome: &Notes) -> Result<(), Failure> {
    // A WebSocket is one request, and its messages are none. Its record comes at its end, which is that of the tool's connection.
    let echoes = Bad::of(&played.echoes);
    let (mut sent, mut passed) = (played.echoes.opened, played.echoes.opened - echoes.refused);
    let mut unsure = echoes.late;
    for tally in played.requests() {
        let bad = Bad::of(tally);
        sent += tally.all.sent();
        passed += tally.all.sent() - bad.refused;
        unsure += bad.late;
    }
    books.close(outcome, "requests and WebSockets", [sent, passed], unsure)
}

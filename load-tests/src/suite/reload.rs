//! A reload every second, under load: no request fails, no WebSocket drops.

use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::client::Client;
use portcullis_engine::drive::{Load, Source};
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::websocket;

use crate::Failure;

use super::kit::{Books, Config, Edge, Stage, open, play, play_of, told, until, watched};
use super::outcome::Outcome;

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

/// Plays.
pub(super) fn reload(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let reloads = stage.size(8, 300);
    let length = Duration::from_secs(reloads + 1);
    let books = Books::open(&edge, &origin)?;
    let applied = |edge: &Edge| edge.metric("portcullis_reloads_total", "outcome=\"applied\"");
    let before = applied(&edge)?;
    let handshake = websocket::upgrade("/ws", "load.test", "");
    let http = open(edge.address, 300.0, length, stage.seed);
    let messages = Load { upgrade: Some(&handshake), ..open(edge.address, 100.0, length, stage.seed + 1) };
    let (tally, echoes) = watched(&mut outcome, "load", || {
        std::thread::scope(|scope| {
            let http = scope.spawn(|| play(&http));
            let messages = scope.spawn(|| play_of(&messages, &mut Echo));
            let start = Instant::now();
            let reloaded = (1..=reloads).try_for_each(|number| {
                std::thread::sleep((start + Duration::from_secs(number)).saturating_duration_since(Instant::now()));
                let route = format!(
                    "      - {{ name: r{number}, match: {{ exact: /r{number} }}, respond: {{ body: \"{number}\" }} }}\n"
                );
                edge.write(&Config { routes: route, ..Config::to(origin.address()) })?;
                edge.process.hang_up()
            });
            let http = http.join().map_err(|_| "the load panicked")??;
            let messages = messages.join().map_err(|_| "the load panicked")??;
            reloaded?;
            let lag = http.lag();
            Ok(((http, messages), Some(lag)))
        })
    })?;
    outcome.expect("no request fails", tally.all.failures() == 0 && tally.all.refused == 0, told(&tally));
    outcome.expect("no message on a WebSocket is lost or changed", echoes.all.failures() == 0, &echoes.all);
    // The gateway also looks at the file by itself, and may read one more than once.
    let all = until(Duration::from_secs(5), || Ok(applied(&edge)? - before > reloads as f64 - 0.5))?;
    outcome.expect(format!("all {reloads} reloads are applied"), all, applied(&edge)? - before);
    // A WebSocket is one request. Its record comes at its end, which is that of the tool's connection.
    let sockets = echoes.most_in_flight as u64;
    let found = until(Duration::from_secs(5), || Ok(books.since()?.iter().all(|count| *count >= tally.all.sent())))?;
    let [at_edge, at_origin] = books.since()?;
    outcome.expect(
        "the books of client, gateway and origin agree",
        found && at_edge == at_origin && at_edge <= tally.all.sent() + sockets.max(1) * 100,
        format!(
            "{} at the client and some WebSockets, {at_edge} at the gateway, {at_origin} at the origin",
            tally.all.sent()
        ),
    );
    // Asked for when the books are closed: the gateway answers it by itself.
    let last = until(Duration::from_secs(5), || {
        let answer = Client::connect(edge.address)?.get(&format!("/r{reloads}"))?;
        Ok(answer.body == reloads.to_string().as_bytes())
    })?;
    outcome.expect("the last config is in force", last, last);
    Ok(outcome)
}

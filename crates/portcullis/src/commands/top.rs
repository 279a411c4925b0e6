//! `top`: routes, clusters, endpoints and consumers of a running gateway, live.
//!
//! Rates are the differences of two answers over the time between them. The keys, the state and the drawing know no
//! terminal, so that tests draw into memory.

mod draw;
mod rates;
mod state;

use hyper::Method;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::time::{Duration, Instant};

use super::client;
use crate::app::App;
use crate::cli::looking::{TopArgs, View};
use crate::client::Client;
use crate::output;
use rates::Sample;
use state::{Next, Top};

/// How often it asks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows it until `q`, or prints one view.
pub(crate) fn top(app: App, args: &TopArgs) -> Result<bool, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let mut top = Top::new(args.view, args.filter.clone());
    top.take(fetch(&client, args.view)?);
    if args.once {
        std::thread::sleep(EVERY);
        top.take(fetch(&client, args.view)?);
        output::print(&draw::text(&top));
        return Ok(true);
    }
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("the terminal cannot be drawn on: {error}; try --once"))?;
    let outcome = live(&mut terminal, &client, top);
    ratatui::restore();
    outcome.map(|()| true)
}

fn live(terminal: &mut ratatui::DefaultTerminal, client: &Client, mut top: Top) -> Result<(), String> {
    let mut asked = Instant::now();
    loop {
        terminal.draw(|frame| draw::draw(&top, frame)).map_err(|error| error.to_string())?;
        let wait = EVERY.saturating_sub(asked.elapsed());
        let mut now = !event::poll(wait).map_err(|error| error.to_string())?;
        if !now && let Event::Key(key) = event::read().map_err(|error| error.to_string())? {
            match if key.kind == KeyEventKind::Release { Next::Stay } else { top.key(key) } {
                Next::Quit => return Ok(()),
                Next::Ask => now = true,
                Next::Stay => {}
            }
        }
        if now || asked.elapsed() >= EVERY {
            asked = Instant::now();
            match fetch(client, top.view()) {
                Ok(sample) => top.take(sample),
                Err(error) => top.fail(error),
            }
        }
    }
}

fn fetch(client: &Client, view: View) -> Result<Sample, String> {
    let answer = client.call(Method::GET, &format!("/api/top?of={}", view.as_str()), "")?.good()?;
    Ok(Sample::read(view, &answer.json(), Instant::now()))
}

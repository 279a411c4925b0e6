//! The commands, a file each.

mod apply;
mod bans;
mod caps;
pub(crate) mod check;
mod dashboards;
mod diff;
mod endpoint;
pub(crate) mod explain;
mod history;
mod incident;
mod key;
mod overrides;
mod past;
mod ready;
mod reload;
mod requests;
mod rollback;
pub(crate) mod rules;
mod schema;
pub(crate) mod status;
mod top;
mod upgrade;
mod verdict;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_config::{Candidate, Checked};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_yaml::render_text;

use crate::app::{App, finish, finish_change};
use crate::cli::{Command, Reach};
use crate::client::Client;
use crate::output::{self, count};
use crate::run;
use crate::world::World;

/// Does what the command line says.
pub(crate) fn dispatch(app: App, command: Command) -> ExitCode {
    match command {
        Command::Run(args) => run::run(app, &args),
        Command::Check(args) => finish(check::check(app, &args)),
        Command::Diff(args) => finish(diff::diff(app, &args)),
        Command::Apply(args) => finish_change(apply::apply(app, &args)),
        Command::Rollback(args) => finish_change(rollback::rollback(app, &args)),
        Command::History(args) => finish(history::history(app, &args)),
        Command::Show(args) => finish(history::show(app, &args)),
        Command::Schema => finish(schema::schema(app)),
        Command::Explain(args) => finish(explain::explain(app, &args)),
        Command::Reload(args) => finish(reload::reload(app, &args)),
        Command::Upgrade(args) => finish(upgrade::upgrade(app, &args)),
        Command::Endpoint(args) => finish(endpoint::endpoint(app, &args)),
        Command::Caps(args) => finish(caps::caps(app, &args)),
        Command::Usage(args) => finish(caps::usage(app, &args)),
        Command::Key(command) => finish(key::key(app, &command)),
        Command::Bans(args) => finish(bans::bans(app, &args)),
        Command::Overrides(args) => finish(overrides::overrides(app, &args)),
        Command::Ready(args) => finish(ready::ready(app, &args)),
        Command::Status(args) => status::status(app, &args),
        Command::Requests(args) => finish(requests::requests(app, &args)),
        Command::Top(args) => finish(top::top(app, &args)),
        Command::Rules(args) => finish(rules::rules(app, &args)),
        Command::Dashboards(args) => finish(dashboards::dashboards(app, &args)),
        Command::Incident(args) => finish(incident::incident(app, &args)),
        Command::Version => {
            output::print(&format!("{} {}\n", app.name, app.version));
            ExitCode::SUCCESS
        }
    }
}

/// The world of a command that only looks.
fn world(app: App, path: &Path) -> Result<World, String> {
    let metrics = Metrics::new(&prometheus::Registry::new(), MetricsOptions::default());
    let metrics = metrics.map_err(|error| error.to_string())?;
    Ok(World::with_store(path, app.registry, app.seams, Arc::new(metrics), app.store))
}

/// A config without errors; with errors, they are said.
fn candidate(world: &World) -> Result<Candidate, String> {
    let loaded = world.check();
    loaded.candidate.ok_or_else(|| {
        output::say(&render_text(&loaded.diagnostics, &loaded.sources));
        format!("{} has {}", world.path.display(), count(loaded.diagnostics.error_count(), "error"))
    })
}

/// The client for a running gateway, by the config where the command line names one.
fn client(app: App, config: Option<&Path>, reach: &Reach) -> Result<Client, String> {
    let checked = match config {
        Some(path) => checked(app, path, reach)?,
        None => None,
    };
    Client::new(reach, checked.as_deref())
}

/// The config that says where the gateway is; one with errors is no hindrance when the command line says it.
fn checked(app: App, path: &Path, reach: &Reach) -> Result<Option<Arc<Checked>>, String> {
    let world = world(app, path)?;
    if reach.admin.is_some() {
        return Ok(world.check().candidate.map(|candidate| candidate.checked().clone()));
    }
    match candidate(&world) {
        Ok(candidate) => Ok(Some(candidate.checked().clone())),
        Err(error) => Err(format!("{error}; the gateway was not asked, --admin ADDRESS would")),
    }
}

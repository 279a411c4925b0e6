//! Where a command reads the history: from the running gateway, or from the folder.

use hyper::Method;
use serde_json::Value;
use std::path::Path;

use portcullis_admin::hide_secrets;
use portcullis_config::Diff;

use super::world;
use crate::app::App;
use crate::cli::AdminArgs;
use crate::client::Client;
use crate::history::{History, told};
use crate::output;
use crate::world::World;

/// A history to be read.
pub(super) enum Past {
    /// That of a running gateway.
    Live(Client),
    /// A folder, and the config that names it.
    Folder(Box<(World, History)>),
}

/// A diff in both forms.
pub(super) struct Compared {
    pub(super) text: String,
    pub(super) json: Value,
}

impl Past {
    /// The running gateway's, or the folder's where that was asked for or nobody answers.
    pub(super) fn open(app: App, args: &AdminArgs, offline: bool) -> Result<Self, String> {
        let Some(config) = args.config.as_deref() else { return Ok(Self::Live(Client::new(&args.reach, None)?)) };
        let world = world(app, config)?;
        if offline {
            return folder(world, config);
        }
        // A config with errors may still say where the history is.
        let loaded = world.check();
        let checked = loaded.candidate.as_ref().map(|candidate| candidate.checked().clone());
        let client = Client::new(&args.reach, checked.as_deref());
        let live = client.and_then(|client| client.call(Method::GET, "/api/config", "").map(|_| client));
        match live {
            Ok(client) => Ok(Self::Live(client)),
            Err(why) => {
                output::say(&format!("note: {why}; this is what the folder has"));
                folder(world, config)
            }
        }
    }

    /// All generations, newest first.
    pub(super) fn rows(&self) -> Result<Vec<Value>, String> {
        match self {
            Self::Live(client) => {
                let mut answer = client.call(Method::GET, "/api/history", "")?.good()?.json();
                let rows = answer.get_mut("generations").map(Value::take);
                Ok(rows.and_then(|rows| rows.as_array().cloned()).unwrap_or_default())
            }
            Self::Folder(read) => Ok(read.1.metas().iter().map(told::row).collect()),
        }
    }

    /// One of them, secrets hidden.
    pub(super) fn entry(&self, number: u64) -> Result<Value, String> {
        match self {
            Self::Live(client) => Ok(client.call(Method::GET, &format!("/api/history/{number}"), "")?.good()?.json()),
            Self::Folder(read) => {
                let mut entry = told::whole(&read.1.entry(number)?);
                let sources = entry.get_mut("sources").and_then(Value::as_array_mut);
                for text in sources.into_iter().flatten().filter_map(|source| source.get_mut("text")) {
                    *text = hide_secrets(text.as_str().unwrap_or_default(), &[]).into();
                }
                Ok(entry)
            }
        }
    }

    /// What one changes against another.
    pub(super) fn compare(&self, from: u64, to: u64) -> Result<Compared, String> {
        match self {
            Self::Live(client) => {
                let path = format!("/api/history/{from}/diff/{to}");
                let answer = client.call(Method::GET, &path, "")?.good()?.json();
                let text = answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(Compared { text, json: answer.get("diff").cloned().unwrap_or_default() })
            }
            Self::Folder(read) => {
                let (world, history) = &**read;
                let diff: Diff = told::compare(world, history, (from, to))?;
                Ok(Compared { text: diff.to_string(), json: diff.to_json() })
            }
        }
    }
}

fn folder(world: World, config: &Path) -> Result<Past, String> {
    let settings = world.check().settings;
    let unknown = || format!("{} cannot be read, so nobody knows where its history is", config.display());
    let settings = settings.ok_or_else(unknown)?;
    let folder = settings.history.ok_or("the config keeps no history: `history: off`")?;
    let history = History::look(&folder.path, world.metrics.clone())?;
    Ok(Past::Folder(Box::new((world, history))))
}

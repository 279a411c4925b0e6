//! What a gateway knows that is in no file: it goes to the process that follows.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

use crate::reload::{Current, Reloader};
use crate::sources::Sources;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) pid: u32,
    pub(super) version: String,
    /// The generation that serves.
    pub(super) generation: u64,
    /// Who put it there.
    #[serde(default)]
    pub(super) who: String,
    /// Its texts, where they were not read from the files.
    pub(super) applied: Option<Value>,
    /// What operators said for a while, where no folder has it.
    pub(super) overrides: Option<Value>,
    /// The path of the admin API's Unix socket.
    pub(super) admin_socket: Option<PathBuf>,
}

impl Carried {
    /// What there is, while no change of the config can come between.
    pub(super) fn gather(reloader: &Reloader, current: &Current, version: &str) -> Self {
        Self {
            pid: std::process::id(),
            version: version.to_owned(),
            generation: current.id.0,
            who: reloader.served().who,
            applied: current.applied.as_ref().map(Sources::to_json),
            overrides: reloader.admin.overrides().carried(),
            admin_socket: reloader.admin.socket(),
        }
    }
}

//! The command line of changes to the config and of their history.

use clap::Args;
use std::path::PathBuf;

use super::{AdminArgs, Format, Reach};

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The new config.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The config whose `admin` says where the gateway is reached. Default: the new one.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// Why, for the history.
    #[arg(long, value_name = "WORDS")]
    pub(crate) note: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say what would change.
    #[arg(long, conflicts_with_all = ["yes", "write"])]
    pub(crate) dry_run: bool,
    /// Write the text to the gateway's main file when it serves, unless that was changed meanwhile.
    #[arg(long)]
    pub(crate) write: bool,
    /// Serve a share of callers by it first, such as 5%; then all of them, or nobody, by a verdict.
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["probation", "write", "dry_run"])]
    pub(crate) canary: Option<String>,
    /// How long a canary takes. Default: 5m.
    #[arg(long = "for", value_name = "TIME", requires = "canary")]
    pub(crate) lasts: Option<String>,
    /// Put back what was before when it goes worse for so long, such as 60s.
    #[arg(long, value_name = "TIME", conflicts_with = "dry_run")]
    pub(crate) probation: Option<String>,
    /// How long to watch afterwards, such as 10s; 0s for not at all.
    #[arg(long, value_name = "TIME", default_value = "3s")]
    pub(crate) watch: String,
    /// How it is told. JSON is one object at the end.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The generation. Default: the last good one with other texts than those that serve.
    #[arg(value_name = "N")]
    pub(crate) to: Option<u64>,
    /// Why, for the history.
    #[arg(long, value_name = "WORDS")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is told.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// Where a history is read.
#[derive(Debug, Args)]
pub(crate) struct Where {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Read the folder of the history; the gateway is not asked.
    #[arg(long, requires = "config")]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) place: Where,
    /// How many, the newest first.
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) limit: usize,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The generation.
    #[arg(value_name = "N")]
    pub(crate) number: u64,
    #[command(flatten)]
    pub(crate) place: Where,
    /// Print its texts, secrets hidden.
    #[arg(long)]
    pub(crate) text: bool,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

//! The command line of what looks at a running gateway.

use clap::{Args, Subcommand, ValueEnum};

use super::{AdminArgs, Format};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RequestsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RequestsCommand>,
    /// Those that failed or were refused for this reason, such as `over_rate`.
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Those of this host.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Those of this route.
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// Those of this consumer.
    #[arg(long, value_name = "ID")]
    pub(crate) consumer: Option<String>,
    /// Those that were sent to this cluster.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Those that took a second or longer, or as long as is said.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s")]
    pub(crate) slow: Option<String>,
    /// Those that failed or were refused.
    #[arg(long)]
    pub(crate) failed: bool,
    /// How many at most, 1 to 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    /// Go on with those that come, until Ctrl-C.
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How they are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Tell one request's story: what was decided, what was tried, how long each part took.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The request's id, as in `x-request-id`: 32 hex digits.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// What `top` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum View {
    /// Routes.
    Routes,
    /// Clusters.
    Clusters,
    /// Endpoints.
    Endpoints,
    /// Consumers.
    Consumers,
}

impl View {
    /// All, in the order of their keys.
    pub(crate) const ALL: [Self; 4] = [Self::Routes, Self::Clusters, Self::Endpoints, Self::Consumers];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Consumers => "consumers",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// What is shown first.
    #[arg(long, value_enum, default_value = "routes")]
    pub(crate) view: View,
    /// Only those whose name has this in it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) filter: String,
    /// Ask twice, a second apart, print one view as text and end.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// A config whose rules or dashboards are wanted.
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The config.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: std::path::PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The folder that is made for it. Default: `incident-` and the time.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<std::path::PathBuf>,
    /// What it is about, for the post-mortem.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) note: String,
}

//! The command line.

pub(crate) mod changes;
pub(crate) mod identity;
pub(crate) mod looking;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::client::AdminPlace;

/// A programmable edge gateway: one entrance in front of your services, which explains every decision it makes.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway.
    ///
    /// The config is read again on SIGHUP, when one of its files changes, and by the admin API. A config with errors
    /// changes nothing. SIGTERM or SIGINT drains: no new connections, requests in flight end. A second one ends at
    /// once. SIGUSR2 replaces the binary, as `upgrade` does.
    Run(RunArgs),
    /// Check a config: every error at once, with file, line, column and what would be right.
    ///
    /// Exit code 0 when it can be used, 1 when not.
    Check(CheckArgs),
    /// Say what a new config changes, and which hosts and routes it touches.
    ///
    /// `diff OLD NEW` compares two files; `diff -c NEW --live` compares a file with what a running gateway serves;
    /// `diff 3 5 -c FILE` compares two generations of the history.
    Diff(DiffArgs),
    /// Apply a config to a running gateway: show what it would do, ask, change, watch.
    ///
    /// The file's text takes the place of the gateway's main file; files that it includes are read on the gateway's side.
    /// Exit code 0 when it serves, 1 when it was refused or failed, 3 when it was rolled back meanwhile, 4 when
    /// somebody else changed the config since it was looked at.
    ///
    /// For example: apply new.yaml -c gateway.yaml --note 'more room for rpc'
    Apply(changes::ApplyArgs),
    /// Put the last good generation back, or the one that is named.
    ///
    /// For example: rollback 12 --note 'errors on checkout' -c gateway.yaml. Exit codes as those of apply.
    Rollback(changes::RollbackArgs),
    /// List the generations of the config that were tried: who, when, why, and what came of it.
    History(changes::HistoryArgs),
    /// Show a generation of the history: what it changed, and its texts.
    Show(changes::ShowArgs),
    /// Print the JSON Schema of the config, for an editor's completion.
    Schema,
    /// Explain where a request would go, and why.
    ///
    /// For example: explain -c gateway.yaml 'POST https://api.example.com/v1?x=1' -H 'x-env: canary' -d @body.json
    Explain(Box<ExplainArgs>),
    /// Make a running gateway read its config again.
    Reload(AdminArgs),
    /// Replace the binary of a running gateway without a lost request.
    ///
    /// A new process takes the listening sockets over and proves itself before the old one drains. If it fails, nothing
    /// has happened, and its last words are printed. Exit code 0 when the new one serves, 1 when not.
    Upgrade(UpgradeArgs),
    /// Add, drain, weigh or remove an endpoint of a running gateway, for a while.
    ///
    /// For example: endpoint drain api 10.0.0.11:8899 --for 30m --reason 'disk swap' -c gateway.yaml
    Endpoint(EndpointArgs),
    /// Show how the caps of a consumer stand in a running gateway, or lift some for a while.
    ///
    /// For example: caps acme -c gateway.yaml, or: caps override --plan free --cap rate --multiply 2 --for 30m
    /// --reason 'launch day' -c gateway.yaml
    Caps(Box<CapsArgs>),
    /// Show who used what, by method.
    ///
    /// For example: usage acme --from 2026-03-01 --to 2026-04-01 -c gateway.yaml
    Usage(UsageArgs),
    /// Make, hash and revoke keys of consumers.
    #[command(subcommand)]
    Key(identity::KeyCommand),
    /// List, make and lift bans of networks in a running gateway.
    Bans(identity::BansArgs),
    /// List all that operators said by the admin API for a while, with who, why and until when.
    Overrides(OverridesArgs),
    /// Ask a running gateway whether it wants requests: for health checks of containers and scripts.
    ///
    /// Exit code 0 when it is ready, 1 when it starts, drains, is overloaded, or does not answer in time. With --admin, or
    /// PORTCULLIS_ADMIN in the environment, no config is read, so that a mistake in the file says nothing of the gateway.
    Ready(ReadyArgs),
    /// Show a running gateway at a glance: its verdict with the reasons, then its parts.
    Status(StatusArgs),
    /// Show the last requests, a line each, or tell one's whole story.
    ///
    /// For example: requests --failed --host api.example.com -c gateway.yaml, or: requests show ID -c gateway.yaml
    Requests(Box<looking::RequestsArgs>),
    /// Watch routes, clusters, endpoints and consumers live.
    ///
    /// Keys: 1 to 4 or Tab choose what is shown, s and S what it is sorted by, / filters, q quits.
    Top(looking::TopArgs),
    /// Print Prometheus rules for a config: its objectives by several windows, and the gateway's own alerts.
    Rules(looking::RulesArgs),
    /// Print a Grafana dashboard for a config.
    Dashboards(looking::RulesArgs),
    /// Gather what a post-mortem needs from a running gateway into a folder, without secrets.
    ///
    /// The verdict, the last requests without queries, metrics, the last minutes, the config, how clusters and objectives stand,
    /// and the beginning of a post-mortem.
    Incident(looking::IncidentArgs),
    /// Print the version.
    Version,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For tools.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The config.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Do not watch the config's files.
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// Where the config has errors, start on the last good generation of the history, and say so.
    #[arg(long)]
    pub(crate) last_good: bool,
    /// The folder of the history, where a config that cannot be read does not say it.
    #[arg(long, value_name = "DIR", requires = "last_good")]
    pub(crate) history: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    pub(crate) file: Option<PathBuf>,
    /// The config, as an option.
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) config: Option<PathBuf>,
    /// How findings are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The config that is to be replaced, or the number of a generation.
    #[arg(value_name = "OLD", required_unless_present = "live", requires = "new")]
    pub(crate) old: Option<PathBuf>,
    /// The new config, or the number of a generation.
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,
    /// The new config, with --live; the gateway's own config, for generations.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Compare with what the running gateway serves; found by the new config's `admin`, or by --admin.
    #[arg(long, requires = "config", conflicts_with = "old")]
    pub(crate) live: bool,
    /// Read generations from the folder of the history; the gateway is not asked.
    #[arg(long, conflicts_with = "live")]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How differences are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// How a running gateway's admin API is reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reach {
    /// Where the admin API is, in place of the config's: HOST:PORT, https://HOST:PORT or unix:PATH. Left out, the
    /// config's socket when it is there, else its address.
    #[arg(long, value_name = "ADDRESS", env = "PORTCULLIS_ADMIN")]
    pub(crate) admin: Option<AdminPlace>,
    /// A PEM file with the CAs that an https address is verified against; the system's, when it is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_ca: Option<PathBuf>,
    /// A PEM file with a certificate to show to an https address.
    #[arg(long, value_name = "FILE", requires = "admin_key")]
    pub(crate) admin_cert: Option<PathBuf>,
    /// The PEM file with its key.
    #[arg(long, value_name = "FILE", requires = "admin_cert")]
    pub(crate) admin_key: Option<PathBuf>,
    /// The admin token, or `file:PATH`, in place of the config's.
    #[arg(long, value_name = "TOKEN", env = "PORTCULLIS_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The config whose `admin` says where the gateway is reached.
    #[arg(short, long, value_name = "FILE", required_unless_present = "admin")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The new binary, by its absolute path on the gateway's machine. Default: the path by which the gateway was started.
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// How long the new process may take to be ready, 1s to 50s. Default: 30s.
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReadyArgs {
    /// How long the answer may take.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = portcullis_types::quantity::parse_duration)]
    pub(crate) within: std::time::Duration,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// What is done to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndpointAction {
    /// Put it beside those of the config.
    Add,
    /// Let it take no new requests.
    Drain,
    /// Give it another weight.
    Weigh,
    /// Take it out.
    Remove,
    /// End what was said of it.
    Restore,
}

impl EndpointAction {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Drain => "drain",
            Self::Weigh => "weigh",
            Self::Remove => "remove",
            Self::Restore => "restore",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: EndpointAction,
    /// The cluster.
    #[arg(value_name = "CLUSTER")]
    pub(crate) cluster: String,
    /// The endpoint: its name or its address.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    /// How long it lasts, such as 30m.
    #[arg(long = "for", value_name = "TIME", required_if_eq_any = [("action", "add"), ("action", "drain"), ("action", "weigh"), ("action", "remove")])]
    pub(crate) lasts: Option<String>,
    /// Why, for whoever finds it.
    #[arg(long, value_name = "WORDS", required_if_eq_any = [("action", "add"), ("action", "drain"), ("action", "weigh"), ("action", "remove")])]
    pub(crate) reason: Option<String>,
    /// The weight.
    #[arg(long, required_if_eq("action", "weigh"))]
    pub(crate) weight: Option<u32>,
    /// The priority of one that is added.
    #[arg(long)]
    pub(crate) priority: Option<u8>,
    /// The zone of one that is added.
    #[arg(long)]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CapsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CapsCommand>,
    /// The consumer's id.
    #[arg(value_name = "CONSUMER", required = true)]
    pub(crate) consumer: Option<String>,
    /// Show the caps of this plan too, when the consumer has not spent of them.
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CapsCommand {
    /// List what is lifted, lift or multiply caps for a while, or end that.
    Override(OverrideArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// The caps of one consumer.
    #[arg(long, value_name = "ID", conflicts_with = "plan")]
    pub(crate) consumer: Option<String>,
    /// The caps of a plan, for all its consumers.
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,
    /// One cap, by its name in a 429. Default: all.
    #[arg(long, value_name = "NAME")]
    pub(crate) cap: Option<String>,
    /// Let them refuse nothing.
    #[arg(long, conflicts_with_all = ["multiply", "end"])]
    pub(crate) lift: bool,
    /// Multiply them.
    #[arg(long, value_name = "FACTOR", conflicts_with = "end")]
    pub(crate) multiply: Option<f64>,
    /// How long it lasts, such as 30m.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "end")]
    pub(crate) lasts: Option<String>,
    /// Why, for whoever finds it.
    #[arg(long, value_name = "WORDS", conflicts_with = "end")]
    pub(crate) reason: Option<String>,
    /// End an override before its time.
    #[arg(long)]
    pub(crate) end: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    /// The consumer's id. Default: everybody.
    #[arg(value_name = "CONSUMER")]
    pub(crate) consumer: Option<String>,
    /// From when on: a date, or a time such as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Until when.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct OverridesArgs {
    /// List the last that are over too, and how they ended.
    #[arg(long)]
    pub(crate) ended: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// End with 0 for healthy, 1 for degraded, 2 for failing or a gateway that does not answer.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Show it again every two seconds.
    #[arg(long, conflicts_with_all = ["exit_code", "format"])]
    pub(crate) watch: bool,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The request: a method and a URL in quotes, or a URL alone for a GET.
    #[arg(value_name = "REQUEST", num_args = 1..=2, required = true)]
    pub(crate) request: Vec<String>,
    /// The config.
    #[arg(short, long, value_name = "FILE", required_unless_present = "admin")]
    pub(crate) config: Option<PathBuf>,
    /// Ask the running gateway, with its real state.
    #[arg(long)]
    pub(crate) live: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// A request field; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The body, or `@FILE`.
    #[arg(short = 'd', long = "data", value_name = "BODY")]
    pub(crate) data: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) client: IpAddr,
    /// The listener, when scheme and port do not say it.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// The request's id (32 hex digits), to see the draw of a real request again.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// The TLS server name, when it is not the URL's host.
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// The subject of a verified client certificate.
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) cert_subject: Option<String>,
    /// An alternative name of a verified client certificate; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) cert_name: Vec<String>,
    /// The SHA-256 fingerprint of a verified client certificate.
    #[arg(long, value_name = "HEX")]
    pub(crate) cert_fingerprint: Option<String>,
    /// List all routes, not only those nearest to the one that wins.
    #[arg(long)]
    pub(crate) all: bool,
    /// How the explanation is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn check(line: &str, ok: bool) {
        let read = Cli::try_parse_from(line.split(' '));
        assert_eq!(read.is_ok(), ok, "{line}: {:?}", read.err().map(|error| error.to_string()));
    }

    #[test]
    fn commands_of_the_config_and_the_gateway_read_their_usual_form() {
        check("portcullis run -c a.yaml", true);
        check("portcullis run", false);
        check("portcullis check a.yaml --format json", true);
        check("portcullis check -c a.yaml", true);
        check("portcullis check", false);
        check("portcullis check -c a.yaml b.yaml", false);
        check("portcullis diff a.yaml b.yaml", true);
        check("portcullis diff a.yaml", false);
        check("portcullis diff -c b.yaml --live", true);
        check("portcullis diff -c b.yaml", false);
        check("portcullis diff 3 5 -c b.yaml", true);
        check("portcullis diff 3 5 --admin 127.0.0.1:1", true);
        check("portcullis run -c a.yaml --last-good --history /x", true);
        check("portcullis run -c a.yaml --history /x", false);
        check("portcullis apply b.yaml", true);
        check("portcullis apply b.yaml -c a.yaml --note why --yes --write --format json", true);
        check("portcullis apply b.yaml --dry-run --admin 127.0.0.1:1", true);
        check("portcullis apply b.yaml --dry-run --write", false);
        check("portcullis apply", false);
        check("portcullis rollback -c a.yaml", true);
        check("portcullis rollback 12 --note why --admin 127.0.0.1:1", true);
        check("portcullis rollback", false);
        check("portcullis history -c a.yaml --offline", true);
        check("portcullis history", false);
        check("portcullis show 3 -c a.yaml --text", true);
        check("portcullis show -c a.yaml", false);
        check("portcullis explain -c a.yaml GET http://a/ -H a:b -d @x --client 1.2.3.4", true);
        check("portcullis explain --live --admin 127.0.0.1:1 http://a/", true);
        check("portcullis explain http://a/", false);
        check("portcullis reload -c a.yaml", true);
        check("portcullis reload --admin 127.0.0.1:1 --token t", true);
        check("portcullis reload", false);
        check("portcullis upgrade --admin 127.0.0.1:1", true);
        check("portcullis upgrade --binary /usr/local/bin/portcullis --within 10s -c a.yaml", true);
        check("portcullis upgrade", false);
        check("portcullis ready --admin 127.0.0.1:1 --within 500ms", true);
        check("portcullis ready --admin 127.0.0.1:1 --within soon", false);
        check("portcullis ready", false);
        check("portcullis status -c a.yaml --format json", true);
        check("portcullis status -c a.yaml --exit-code", true);
        check("portcullis status -c a.yaml --watch --exit-code", false);
        check("portcullis apply b.yaml --canary 5% --for 10m -c a.yaml", true);
        check("portcullis apply b.yaml --probation 60s -c a.yaml", true);
        check("portcullis apply b.yaml --probation 60s --canary 5%", false);
        check("portcullis apply b.yaml --for 10m", false);
    }

    #[test]
    fn commands_of_endpoints_and_callers_read_their_usual_form() {
        check("portcullis endpoint drain api 10.0.0.1:80 --for 30m --reason swap -c a.yaml", true);
        check("portcullis endpoint drain api 10.0.0.1:80 -c a.yaml", false);
        check("portcullis endpoint weigh api 10.0.0.1:80 --for 30m --reason swap -c a.yaml", false);
        check("portcullis endpoint restore api 10.0.0.1:80 --admin 127.0.0.1:1", true);
        check("portcullis caps acme -c a.yaml", true);
        check("portcullis caps -c a.yaml", false);
        check("portcullis caps acme", false);
        check("portcullis caps override -c a.yaml", true);
        check("portcullis caps override --plan free --cap rate --multiply 1.5 --for 5m --reason x -c a.yaml", true);
        check("portcullis caps override --plan free --consumer acme --lift -c a.yaml", false);
        check("portcullis caps override --plan free --end -c a.yaml", true);
        check("portcullis usage acme --from 2026-03-01 --to 2026-04-01 -c a.yaml", true);
        check("portcullis usage", false);
        check("portcullis key new --consumer acme --expires 90d -c a.yaml", true);
        check("portcullis key new --secret a -c a.yaml", false);
        check("portcullis key new", false);
        check("portcullis key hash --secret a", true);
        check("portcullis key revoke acme --file a.yaml", true);
        check("portcullis key revoke acme", false);
        check("portcullis key secret", true);
        check("portcullis bans list --admin 127.0.0.1:1", true);
        check("portcullis bans add 203.0.113.0/24 --for 2h --reason abuse -c a.yaml", true);
        check("portcullis bans add nowhere --reason abuse -c a.yaml", false);
        check("portcullis bans add 203.0.113.0/24 -c a.yaml", false);
        check("portcullis bans add 203.0.113.0/24 --reason abuse -c a.yaml", false);
        check("portcullis overrides --ended -c a.yaml", true);
        check("portcullis overrides", false);
        check("portcullis status --admin https://edge.internal:9901 --admin-ca ca.pem", true);
        check("portcullis status --admin unix:/run/portcullis/admin.sock", true);
        check("portcullis status --admin edge", false);
        check("portcullis status --admin https://a:1 --admin-cert a.pem", false);
        check("portcullis bans lift 203.0.113.0/24 -c a.yaml", true);
        check("portcullis requests --failed --slow 2s --follow -c a.yaml", true);
        check("portcullis requests", false);
        check("portcullis requests --limit 0 -c a.yaml", false);
        check("portcullis requests show 0a -c a.yaml", true);
        check("portcullis requests show", false);
        check("portcullis top --view consumers --once -c a.yaml", true);
        check("portcullis top --view hosts -c a.yaml", false);
        check("portcullis rules -c a.yaml", true);
        check("portcullis rules", false);
        check("portcullis dashboards -c a.yaml", true);
        check("portcullis incident -c a.yaml --note 'x'", true);
        check("portcullis incident", false);
        check("portcullis schema", true);
        check("portcullis version", true);
    }
}

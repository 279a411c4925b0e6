//! The part of the command line that is about who calls: `key` and `bans`.

use clap::{Args, Subcommand};
use ipnet::IpNet;
use std::path::PathBuf;

use super::{AdminArgs, Format};

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: printed once, with the entry for the file of consumers, which has only its hash.
    ///
    /// For example: key new --consumer acme --label laptop --expires 90d -c gateway.yaml
    New(KeyNewArgs),
    /// Hash a key that a consumer brought: it is read from standard input, so that no history keeps it.
    Hash(SecretArgs),
    /// End a key, or all keys of a consumer, in a file of consumers: their `not_after` becomes now.
    ///
    /// The file is replaced in one step; order, comments and everything else stay. Gateways that watch it refuse the
    /// keys within a second or so.
    Revoke(KeyRevokeArgs),
    /// Make a secret for hashing keys, 64 hex digits: for `consumers: { secret: "file:keys.secret" }`.
    Secret,
}

/// Where the secret is that keys are hashed with.
#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// The config whose `consumers` says it.
    #[arg(short, long, value_name = "FILE", required_unless_present = "secret")]
    pub(crate) config: Option<PathBuf>,
    /// The file of the secret, in place of the config's.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) secret: Option<PathBuf>,
    /// How the result is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct KeyNewArgs {
    /// The consumer the key is for, to be said beside the entry.
    #[arg(long, value_name = "ID")]
    pub(crate) consumer: Option<String>,
    /// How long it is good, such as 90d; left out, until it is revoked.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// What its owner calls it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) secret: SecretArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArgs {
    /// A consumer's id, or the hash of one key (`b3:` and 64 hex digits).
    #[arg(value_name = "ID|HASH")]
    pub(crate) what: String,
    /// The file of consumers: `.yaml`, `.yml`, `.ndjson` or `.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BansArgs {
    #[command(subcommand)]
    pub(crate) command: BansCommand,
}

/// What is done with bans.
#[derive(Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// List the networks that are throttled or banned, the longest first.
    List(AdminArgs),
    /// Ban a network: everything from it is refused where callers are asked who they are.
    ///
    /// For example: bans add 203.0.113.0/24 --for 2h --reason 'credential stuffing' -c gateway.yaml
    Add(BansAddArgs),
    /// Lift the ban of a network, and the penalties of those within it.
    Lift(BansLiftArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BansAddArgs {
    /// The network, such as 203.0.113.0/24.
    #[arg(value_name = "NETWORK", value_parser = network)]
    pub(crate) network: IpNet,
    /// How long, such as 2h.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BansLiftArgs {
    /// The network, as `bans list` says it.
    #[arg(value_name = "NETWORK", value_parser = network)]
    pub(crate) network: IpNet,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// A network in CIDR notation or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    let read = text.parse::<IpNet>().or_else(|_| address());
    read.map(|network| network.trunc())
        .map_err(|_| "expected a network such as `203.0.113.0/24`, or an address".to_owned())
}

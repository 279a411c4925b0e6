//! `store:`.

use portcullis_snapshot::settings::RedisPlace;
use portcullis_types::ByteSize;
use portcullis_yaml::{Decode, OneOrMany, Secret, Spanned};
use std::time::Duration;

use super::words::RedisWord;

/// Whether what callers spend and use is kept.
#[derive(Debug, Decode)]
pub(crate) enum StoreWord {
    /// It is forgotten when the gateway ends.
    Off,
    /// It is kept.
    #[config(map)]
    Kept(Box<RawStore>),
}

impl StoreWord {
    /// How gateways share, if they do.
    pub(crate) const fn redis(&self) -> Option<&RawRedis> {
        match self {
            Self::Off => None,
            Self::Kept(store) => store.redis.as_ref(),
        }
    }
}

/// Where what callers spend and use is kept, and how gateways share it. Read at start only.
#[derive(Debug, Decode)]
pub(crate) struct RawStore {
    /// The directory of the store and of the journal, relative to the file that says so. It is made when it is not there.
    /// Each gateway has one of its own. Default: data.
    pub(crate) path: Option<Spanned<String>>,
    /// The journal of usage, for bills.
    pub(crate) journal: Option<RawJournal>,
    /// Redis, through which gateways share the caps that are `shared`. Left out, each gateway holds callers to the whole
    /// cap.
    pub(crate) redis: Option<RawRedis>,
}

/// The journal of usage: files of JSON lines.
#[derive(Debug, Decode)]
pub(crate) struct RawJournal {
    /// How long a window is, of which each line tells, 1s to 1h. Default: 1m.
    pub(crate) window: Option<Spanned<Duration>>,
    /// A file that is this large is closed, 64KiB to 16GiB. Default: 64MiB.
    pub(crate) rotate: Option<Spanned<ByteSize>>,
    /// A file that is this old is closed, at most a day. Default: 1d.
    pub(crate) rotate_after: Option<Spanned<Duration>>,
    /// Closed files that are kept, 1 to 10000. The oldest beyond it are deleted, with the usage they tell of. Default: 30.
    pub(crate) keep: Option<Spanned<u32>>,
}

/// How Redis is reached. One server, a master and its replicas, or some servers of a cluster.
#[derive(Debug, Decode)]
pub(crate) struct RawRedis {
    /// Where it is: `redis://host:port`, or `redis://host:port/1` for a database, `rediss://` for TLS; one or a list. Of a
    /// list of servers that are no cluster, the one that is the master is used.
    pub(crate) url: Spanned<OneOrMany<Spanned<RedisWord>>>,
    /// Who logs in. Default: `default`.
    pub(crate) user: Option<String>,
    /// With which password.
    pub(crate) password: Option<Secret>,
    /// How servers at `rediss://` are verified. Default: by the system's CAs, each by its host.
    pub(crate) tls: Option<Spanned<RawRedisTls>>,
    /// What all keys begin with. Gateways that share caps say the same. Default: portcullis.
    pub(crate) prefix: Option<Spanned<String>>,
    /// The longest an answer may take, 5ms to 400ms, before the connection is replaced. No request waits for it.
    /// Default: 100ms.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// After how long a gateway that is not heard of is forgotten, and its part goes to the others, 5s to 1h.
    /// Default: 30s.
    pub(crate) forget_after: Option<Spanned<Duration>>,
}

/// TLS to Redis. Files are relative to the file that says so, and read at start only.
#[derive(Debug, Decode)]
pub(crate) struct RawRedisTls {
    /// The name that is asked for and verified at each server. Default: its host; of servers that a cluster names, what the
    /// cluster calls them, an address as a rule.
    pub(crate) server_name: Option<Spanned<String>>,
    /// A PEM file with the CAs that are trusted in place of the system's.
    pub(crate) ca: Option<Spanned<String>>,
    /// A PEM file with the gateway's own certificate chain, for servers that ask for one.
    pub(crate) cert: Option<Spanned<String>>,
    /// A PEM file with the key of `cert`.
    pub(crate) key: Option<Spanned<String>>,
}

impl RawRedis {
    pub(crate) fn places(&self) -> Vec<RedisPlace> {
        self.url.value.iter().map(|word| word.value.0.clone()).collect()
    }
}

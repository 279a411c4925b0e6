//! Caps that gateways share, through Redis: the words of a ledger's shares are carried to pools that scripts keep there.
//!
//! One thread does it, with a runtime of its own; no request waits for it, and it waits for no request. Every tick it
//! says that the gateway is there, takes what the shares have to say, sends that in pipelines and gives the answers
//! back. When an answer does not come within the timeout, the connection is replaced: redis-rs's multiplexed connection
//! never recovers from an answer that was given up on. Redis counts as reachable ([`Ledger::link_heard`]) only when
//! every server that keeps pools has answered, so a part of a cluster that is away is an outage for what is kept there, and
//! pools elsewhere are still asked.
//!
//! What is kept: a pool for each consumer and shared cap (of a quota, for each window), all words of a bucket of consumers in
//! one slot of a cluster (`{prefix:07}`), each with a time to live; and the table of gateways.
//!
//! redis-rs's own cluster client is not used: it retries and redirects for as long as it likes, where a word that is
//! late means nothing; here a word that met a server which does not have its slot is lost, and is said again a tick later.

mod backoff;
mod carrier;
mod flight;
mod node;
mod place;
mod script;
mod slots;
mod status;
mod tls;
mod trouble;
mod words;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_caps::{GatewayId, Ledger};
use tokio::sync::oneshot;

use crate::keeper::Clock;
use carrier::Carrier;
pub use status::{LinkStatus, NodeStatus};
pub use tls::RedisTls;
use tls::Tls;
pub use trouble::LinkState;

/// How Redis is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// Where it is: `redis://host[:port][/database]`, or `rediss://` for TLS. Of a cluster, some of its servers; else a
    /// server and its replicas, of which the one that is the master is used.
    pub urls: Vec<String>,
    /// Who logs in; `default` when there is only a password.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// What holds for servers at `rediss://`.
    pub tls: RedisTls,
    /// What all keys begin with. Gateways that share caps have the same.
    pub prefix: String,
    /// The longest that an answer may take.
    pub timeout: Duration,
    /// How often the shares are heard.
    pub every: Duration,
    /// How long after the last answer Redis counts as reachable.
    pub ttl: Duration,
    /// After how long a gateway that says nothing is forgotten.
    pub gone_after: Duration,
}

impl RedisOptions {
    /// What holds when only the place is said.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self {
            urls: vec![url.to_owned()],
            user: None,
            password: None,
            tls: RedisTls::default(),
            prefix: Self::PREFIX.to_owned(),
            timeout: Self::TIMEOUT,
            every: Self::EVERY,
            ttl: portcullis_caps::Terms::TTL,
            gone_after: portcullis_caps::Present::GONE_AFTER,
        }
    }

    /// What keys begin with when nothing else is said.
    pub const PREFIX: &'static str = "portcullis";
    /// How long an answer may take when nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_millis(100);
    /// How often shares are heard when nothing else is said: six times in the while that they draw ahead.
    pub const EVERY: Duration = Duration::from_millis(50);
}

/// The password is not shown.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, user, tls, prefix, timeout, every, ttl, gone_after, password: _ } = self;
        f.debug_struct("RedisOptions")
            .field("urls", urls)
            .field("user", user)
            .field("tls", tls)
            .field("prefix", prefix)
            .field("timeout", timeout)
            .field("every", every)
            .field("ttl", ttl)
            .field("gone_after", gone_after)
            .finish_non_exhaustive()
    }
}

/// The thread that carries words.
pub(crate) struct Leases {
    status: Arc<Mutex<LinkStatus>>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Leases {
    /// Begins to carry the words of a ledger.
    pub(crate) fn start(
        options: &RedisOptions,
        ledger: Arc<Ledger>,
        gateway: GatewayId,
        clock: Clock,
    ) -> io::Result<Self> {
        let status = Arc::new(Mutex::new(LinkStatus::new(clock().unix_millis)));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tls = place::speaks_tls(options).then(|| Tls::new(&options.tls)).transpose()?.map(Arc::new);
        let carrier = Carrier::new((options, tls), (ledger, gateway), clock, Arc::clone(&status));
        let run = move || runtime.block_on(carrier.run(stopped));
        let thread = std::thread::Builder::new().name("leases".to_owned()).spawn(run)?;
        Ok(Self { status, thread: Mutex::new(Some((stop, thread))) })
    }

    pub(crate) fn status(&self) -> LinkStatus {
        self.status.lock().clone()
    }

    /// Says the last words and ends.
    pub(crate) fn stop(&self) {
        let Some((stop, thread)) = self.thread.lock().take() else { return };
        drop(stop);
        if thread.join().is_err() {
            log::error!("the thread that talks to Redis ended badly");
        }
    }
}

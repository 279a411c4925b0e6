//! Names: A, AAAA and SRV, each asked again when its time to live is over, within bounds.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use parking_lot::RwLock;
use portcullis_filter::seam::FoundEndpoint;
use portcullis_snapshot::{Dns, Feed, SourceKey};
use rand::RngExt as _;
use tokio::sync::Semaphore;

/// Questions under way at once.
const QUESTIONS: usize = 64;
/// Endpoints of one answer; more are left out.
const MOST: usize = 4096;
/// The longest pause after a failure, unless a name is asked more seldom anyway.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest first pause of a name that never answered: a start should not wait for it longer than need be.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The last good addresses of the targets of a service.
pub(crate) type Kept = HashMap<String, Vec<IpAddr>>;

/// Who is asked, and how.
pub(crate) struct Names {
    inner: RwLock<Inner>,
    questions: Semaphore,
}

#[derive(Clone)]
struct Inner {
    dns: Dns,
    /// A sentence, when no resolver can be made.
    resolver: Result<Arc<TokioResolver>, String>,
}

/// What a name has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    found: Vec<FoundEndpoint>,
    lives: Duration,
    /// What is missing, when a target of a service did not answer.
    missing: Option<String>,
}

impl Names {
    pub(crate) fn new(dns: &Dns) -> Self {
        Self { inner: RwLock::new(Inner::new(dns)), questions: Semaphore::new(QUESTIONS) }
    }

    /// Asks others from now on; of the system's, as they are now.
    pub(crate) fn configure(&self, dns: &Dns) {
        let next = Inner::new(dns);
        *self.inner.write() = next;
    }

    /// Resolves a name once.
    pub(crate) async fn ask(&self, key: &SourceKey, kept: &mut Kept) -> Result<Answer, String> {
        let resolver = self.inner.read().resolver.clone()?;
        let place = self.questions.acquire().await.map_err(|error| error.to_string())?;
        let answer = match key {
            SourceKey::Name { host, port } => addresses(&resolver, host).await.map(|(found, lives)| {
                let found = found.into_iter().map(|ip| FoundEndpoint::new(SocketAddr::new(ip, *port)));
                Answer { found: found.collect(), lives, missing: None }
            }),
            SourceKey::Service { name } => service(&resolver, name, kept).await,
            SourceKey::File { .. } | SourceKey::Other { .. } => Err("it is no name".to_owned()),
        };
        drop(place);
        answer
    }

    fn bounds(&self) -> (Duration, Duration) {
        let inner = self.inner.read();
        (inner.dns.least_refresh, inner.dns.most_refresh)
    }
}

impl Inner {
    fn new(dns: &Dns) -> Self {
        Self { dns: dns.clone(), resolver: resolver(dns).map(Arc::new) }
    }
}

fn resolver(dns: &Dns) -> Result<TokioResolver, String> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if dns.resolvers.is_empty() {
        // Without a resolv.conf there are still the system's hosts.
        TokioResolver::builder_tokio()
            .unwrap_or_else(|_| TokioResolver::builder_with_config(ResolverConfig::default(), provider))
    } else {
        let servers = dns.resolvers.iter().map(name_server).collect();
        TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), servers), provider)
    };
    let options = builder.options_mut();
    options.timeout = dns.timeout;
    // When to ask again is decided here, by the time to live that the answer came with.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    builder.build().map_err(|error| error.to_string())
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = address.port());
    NameServerConfig::new(address.ip(), true, connections)
}

/// The addresses of one family, IPv4 where there is any: `localhost` means 127.0.0.1 and not ::1 as well.
async fn addresses(resolver: &TokioResolver, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
    let answer = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    let (v4, v6): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) = answer.iter().partition(IpAddr::is_ipv4);
    let chosen = if v4.is_empty() { v6 } else { v4 };
    if chosen.is_empty() {
        return Err("the name has no address".to_owned());
    }
    let lives = answer.valid_until().saturating_duration_since(Instant::now());
    Ok((chosen.into_iter().take(MOST).collect(), lives))
}

/// The targets of a service with their addresses. A target that does not answer keeps its last addresses.
async fn service(resolver: &TokioResolver, name: &str, kept: &mut Kept) -> Result<Answer, String> {
    let answer = resolver.srv_lookup(name).await.map_err(|error| error.to_string())?;
    let mut lives = answer.valid_until().saturating_duration_since(Instant::now());
    let record = |data: &RData| if let RData::SRV(record) = data { Some(record.clone()) } else { None };
    let records: Vec<SRV> = answer.answers().iter().filter_map(|one| record(&one.data)).collect();
    let mut targets = Kept::new();
    let mut missing = None;
    for host in records.iter().map(|record| record.target.to_ascii()).collect::<BTreeSet<_>>() {
        // RFC 2782: the root as target says that there is no such service.
        if host == "." {
            return Err("the service is said not to be available (its target is the root)".to_owned());
        }
        match addresses(resolver, &host).await {
            Ok((found, target_lives)) => {
                lives = lives.min(target_lives);
                targets.insert(host, found);
            }
            Err(why) => {
                missing = Some(format!("the target {host} does not resolve: {why}"));
                targets.extend(kept.remove_entry(&host));
            }
        }
    }
    kept.clone_from(&targets);
    let found = endpoints(&records, &targets);
    if found.is_empty() {
        return Err(missing.unwrap_or_else(|| "the service has no target".to_owned()));
    }
    Ok(Answer { found, lives, missing })
}

/// The endpoints of a service. Priorities become ranks, the lowest 0. A record of weight 0 takes little, not nothing
/// (RFC 2782): where others have weights it counts as 1.
fn endpoints(records: &[SRV], targets: &Kept) -> Vec<FoundEndpoint> {
    let priorities: BTreeSet<u16> = records.iter().map(|record| record.priority).collect();
    let ranks: HashMap<u16, u8> = priorities.into_iter().zip((0..=u8::MAX).chain(std::iter::repeat(u8::MAX))).collect();
    let mut found = Vec::new();
    for record in records {
        let addresses = targets.get(&record.target.to_ascii()).into_iter().flatten();
        found.extend(addresses.map(|ip| FoundEndpoint {
            weight: Some(u32::from(record.weight.max(1))),
            priority: ranks.get(&record.priority).copied(),
            ..FoundEndpoint::new(SocketAddr::new(*ip, record.port))
        }));
    }
    found.sort_unstable_by_key(|one| (one.priority, one.address, one.weight));
    found.dedup_by_key(|one| one.address);
    found.truncate(MOST);
    found
}

/// Resolves a name again and again, for as long as somebody names it.
pub(crate) async fn follow(names: Arc<Names>, key: SourceKey, feed: Weak<Feed>) {
    let mut kept = Kept::new();
    let mut failures = 0;
    loop {
        let answer = names.ask(&key, &mut kept).await;
        let Some(feed) = feed.upgrade() else { return };
        let now = Instant::now();
        let bounds = names.bounds();
        let pause = match answer {
            Ok(Answer { found, lives, missing }) => {
                failures = 0;
                let pause = lives.clamp(bounds.0, bounds.1);
                match missing {
                    None => {
                        feed.publish(found, now);
                        pause
                    }
                    Some(why) => {
                        feed.publish_partly(found, why, now);
                        pause.min(bounds.0.max(LONGEST_PAUSE))
                    }
                }
            }
            Err(why) => {
                feed.fail(why, now);
                failures += 1;
                after_failure(failures, feed.status(now).answered.is_some(), bounds)
            }
        };
        drop(feed);
        // So that names that began together, and gateways, do not ask in step.
        let pause = pause.mul_f64(rand::rng().random_range(0.9..=1.0));
        tokio::time::sleep(pause).await;
    }
}

/// The pause after so many failures in a row: twice as long each time.
fn after_failure(failures: u32, answered: bool, (least, most): (Duration, Duration)) -> Duration {
    let first = if answered { least } else { least.min(FIRST_PAUSE) };
    let pause = first.saturating_mul(1 << (failures - 1).min(16));
    pause.min(LONGEST_PAUSE.max(least)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound_and_are_short_before_the_first_answer() {
        let secs = Duration::from_secs;
        let check = |failures, answered, bounds, expected| {
            assert_eq!(after_failure(failures, answered, bounds), expected, "{failures} {answered}");
        };
        let bounds = (secs(5), secs(300));
        check(1, false, bounds, secs(1));
        check(3, false, bounds, secs(4));
        check(1, true, bounds, secs(5));
        check(2, true, bounds, secs(10));
        check(9, true, bounds, secs(30));
        check(40, true, (secs(60), secs(300)), secs(60));
        check(40, true, (secs(1), secs(10)), secs(10));
    }

    #[test]
    fn records_of_a_service_say_port_weight_and_priority() {
        let name = |name: &str| name.parse().unwrap();
        let records = [
            SRV::new(20, 0, 81, name("b.test.")),
            SRV::new(10, 5, 80, name("a.test.")),
            SRV::new(10, 0, 82, name("gone.test.")),
        ];
        let ip = |last: u8| IpAddr::from([127, 0, 0, last]);
        let targets = Kept::from([("a.test.".into(), vec![ip(1), ip(2)]), ("b.test.".into(), vec![ip(3)])]);
        let found: Vec<_> = endpoints(&records, &targets)
            .into_iter()
            .map(|one| (one.address.to_string(), one.weight.unwrap(), one.priority.unwrap()))
            .collect();
        let expected = [("127.0.0.1:80", 5, 0), ("127.0.0.2:80", 5, 0), ("127.0.0.3:81", 1, 1)];
        assert_eq!(found, expected.map(|(address, weight, priority)| (address.to_owned(), weight, priority)));
    }
}

//! All fleets of a gateway, their sources and their overrides: what lives longer than a generation.
//!
//! Every change goes through here, one after the other: a fleet takes over from the one before it, and a source that
//! answers while a reload makes a fleet is not lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_balance::{Endpoint, EndpointSet, SetError};
use portcullis_telemetry::Metrics;
use portcullis_types::ClusterName;
use portcullis_types::quantity::format_duration;
use tokio::sync::watch;

use super::feed::{Feed, SourceKey};
use super::fleet::{Fleet, FleetPlan, Members};
use super::overrides::{self, Action, LASTS, Override, OverrideError};

/// Endpoints that a refusal names.
const NAMED: usize = 20;

/// See the module's text.
pub struct Fleets {
    metrics: Arc<Metrics>,
    changes: watch::Sender<u64>,
    /// Held while endpoints are put together.
    making: Mutex<()>,
    /// All that live, oldest first.
    fleets: Mutex<Vec<Weak<Fleet>>>,
    feeds: Mutex<HashMap<SourceKey, Weak<Feed>>>,
    overrides: Mutex<HashMap<ClusterName, Vec<Override>>>,
    overridden: watch::Sender<u64>,
}

impl Fleets {
    /// No fleets so far.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            changes: watch::Sender::new(0),
            making: Mutex::default(),
            fleets: Mutex::default(),
            feeds: Mutex::default(),
            overrides: Mutex::default(),
            overridden: watch::Sender::new(0),
        })
    }

    /// A fleet, which takes over the states of the one before.
    ///
    /// # Errors
    /// When the config's own endpoints do not make a set. What sources say never is an error.
    pub fn fleet(
        self: &Arc<Self>,
        cluster: &ClusterName,
        plan: FleetPlan,
        before: Option<&Fleet>,
        now: Instant,
    ) -> Result<Arc<Fleet>, SetError> {
        let making = self.making.lock();
        let overrides = self.overrides(cluster);
        let before = before.map(Fleet::members);
        let before = before.as_ref().map(|members| &*members.endpoints);
        let (set, trouble) = match plan.overridden(&overrides, before, now) {
            Ok(set) => (set, None),
            Err(error) if overrides.is_empty() && plan.feeds().next().is_none() => return Err(error),
            Err(error) => (FleetPlan { parts: Vec::new(), ..plan.clone() }.overridden(&[], before, now)?, Some(error)),
        };
        let fleet = Arc::new(Fleet {
            members: ArcSwap::from_pointee(self.members(cluster, set, (&plan.subsets, now))),
            cluster: cluster.clone(),
            plan,
            hub: self.clone(),
            trouble: Mutex::new(trouble.map(|error| error.to_string())),
        });
        let mut fleets = self.fleets.lock();
        fleets.retain(|fleet| fleet.strong_count() > 0);
        fleets.push(Arc::downgrade(&fleet));
        drop((fleets, making));
        if fleet.plan.feeds().next().is_some() {
            fleet.plan.feeds().for_each(|feed| feed.join(&fleet));
            // What was answered before the fleet had joined was not told to it.
            self.refresh_where_different(&fleet, now);
        }
        Ok(fleet)
    }

    /// A source, shared by all who name it.
    #[must_use]
    pub fn feed(&self, key: &SourceKey) -> Arc<Feed> {
        let mut feeds = self.feeds.lock();
        if let Some(feed) = feeds.get(key).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Arc::new(Feed::new(key.clone(), self.metrics.source(&key.to_string())));
        feeds.insert(key.clone(), Arc::downgrade(&feed));
        feed
    }

    /// The sources that some generation names, in order.
    #[must_use]
    pub fn feeds(&self) -> Vec<Arc<Feed>> {
        let mut feeds = self.feeds.lock();
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let mut living: Vec<_> = feeds.values().filter_map(Weak::upgrade).collect();
        living.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        living
    }

    /// See [`Fleet::changed`].
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes after an override was made or ended: the next end may be another.
    #[must_use]
    pub fn overridden(&self) -> watch::Receiver<u64> {
        self.overridden.subscribe()
    }

    /// Puts the endpoints of every fleet together anew. Whoever threw a generation away calls this, so that the endpoints
    /// that serve are the newest again.
    pub fn refresh_all(&self, now: Instant) {
        self.living(|_| true).iter().for_each(|fleet| self.refresh(fleet, now));
    }

    /// Ends the overrides whose time is over, and says when the next one ends.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let mut ended = Vec::new();
        let mut all = self.overrides.lock();
        for (cluster, overrides) in all.iter_mut() {
            let before = overrides.len();
            overrides.retain(|one| one.until > now);
            ended.extend((overrides.len() < before).then(|| cluster.clone()));
        }
        all.retain(|_, overrides| !overrides.is_empty());
        let next = all.values().flatten().map(|one| one.until).min();
        drop(all);
        let of_ended = |fleet: &Fleet| ended.contains(&fleet.cluster);
        self.living(of_ended).iter().for_each(|fleet| self.refresh(fleet, now));
        next
    }

    pub(super) fn overrides(&self, cluster: &ClusterName) -> Vec<Override> {
        self.overrides.lock().get(cluster).cloned().unwrap_or_default()
    }

    pub(super) fn change(&self, fleet: &Fleet, one: Override, now: Instant) -> Result<(), OverrideError> {
        let mut all = self.overrides.lock();
        let lasts = one.until.saturating_duration_since(now);
        if !LASTS.contains(&lasts) {
            return Err(OverrideError::Lasts);
        }
        let before = all.get(&fleet.cluster).map(Vec::as_slice).unwrap_or_default();
        known(fleet, before, &one)?;
        let replaced = before.iter().any(|other| other.endpoint == one.endpoint);
        if !replaced && all.values().map(Vec::len).sum::<usize>() >= overrides::MOST {
            return Err(OverrideError::TooMany);
        }
        log::warn!(
            "cluster {}: {} {} for {}: {}",
            fleet.cluster,
            one.action.as_str(),
            one.endpoint,
            format_duration(Duration::from_secs(lasts.as_secs())),
            one.reason
        );
        let of_cluster = all.entry(fleet.cluster.clone()).or_default();
        of_cluster.retain(|other| other.endpoint != one.endpoint);
        of_cluster.push(one);
        drop(all);
        self.after_override(&fleet.cluster, now);
        Ok(())
    }

    pub(super) fn restore(&self, cluster: &ClusterName, endpoint: &str, now: Instant) -> bool {
        let mut all = self.overrides.lock();
        let Some(overrides) = all.get_mut(cluster) else { return false };
        let before = overrides.len();
        overrides.retain(|one| &*one.endpoint != endpoint);
        let ended = overrides.len() < before;
        drop(all);
        if ended {
            log::warn!("cluster {cluster}: the override of {endpoint} is ended");
            self.after_override(cluster, now);
        }
        ended
    }

    fn after_override(&self, cluster: &ClusterName, now: Instant) {
        self.living(|fleet| fleet.cluster == *cluster).iter().for_each(|fleet| self.refresh(fleet, now));
        self.overridden.send_modify(|count| *count += 1);
    }

    pub(super) fn refresh(&self, fleet: &Fleet, now: Instant) {
        let making = self.making.lock();
        let before = fleet.members();
        let made = fleet.plan.overridden(&self.overrides(&fleet.cluster), Some(&before.endpoints), now);
        let trouble = match made {
            Ok(set) => {
                fleet.members.store(Arc::new(self.members(&fleet.cluster, set, (&fleet.plan.subsets, now))));
                None
            }
            Err(error) => {
                log::warn!("cluster {}: its endpoints stay what they were: {error}", fleet.cluster);
                Some(error.to_string())
            }
        };
        *fleet.trouble.lock() = trouble;
        drop(making);
        self.changes.send_modify(|count| *count += 1);
    }

    /// As [`Self::refresh`], where anything differs.
    fn refresh_where_different(&self, fleet: &Fleet, now: Instant) {
        let mut specs = fleet.plan.specs();
        self.overrides(&fleet.cluster).iter().for_each(|one| one.apply(&mut specs));
        let members = fleet.members();
        let endpoints = members.endpoints.endpoints();
        let same = endpoints.len() == specs.len()
            && endpoints.iter().zip(&specs).all(|(endpoint, spec)| endpoint.spec() == spec);
        if !same {
            self.refresh(fleet, now);
        }
    }

    fn living(&self, wanted: impl Fn(&Fleet) -> bool) -> Vec<Arc<Fleet>> {
        self.fleets.lock().iter().filter_map(Weak::upgrade).filter(|fleet| wanted(fleet)).collect()
    }

    fn members(
        &self,
        cluster: &ClusterName,
        endpoints: Arc<EndpointSet>,
        (subsets, now): (&[BTreeMap<String, String>], Instant),
    ) -> Members {
        let subsets = subsets.iter().map(|labels| endpoints.select(labels, now)).collect();
        let counters = |endpoint: &Arc<Endpoint>| self.metrics.endpoint(cluster, &endpoint.spec().name);
        Members { subsets, metrics: endpoints.endpoints().iter().map(counters).collect(), endpoints }
    }
}

/// Whether an override means an endpoint that there is, or adds one that there is not.
fn known(fleet: &Fleet, before: &[Override], one: &Override) -> Result<(), OverrideError> {
    let specs = fleet.plan.specs();
    let endpoint = || one.endpoint.to_string();
    let named = specs.iter().any(|spec| one.means(spec));
    let added = before.iter().find(|other| other.endpoint == one.endpoint).map(|other| &other.action);
    let added = matches!(added, Some(Action::Add { .. }));
    match one.action {
        Action::Add { .. } if named => Err(OverrideError::Known { endpoint: endpoint() }),
        Action::Add { .. } if one.endpoint.parse::<std::net::SocketAddr>().is_err() => {
            Err(OverrideError::NoAddress { endpoint: endpoint() })
        }
        Action::Add { .. } => Ok(()),
        Action::Drain | Action::Weigh(_) | Action::Remove if named => Ok(()),
        Action::Drain | Action::Weigh(_) | Action::Remove if added => {
            Err(OverrideError::Added { endpoint: endpoint() })
        }
        Action::Drain | Action::Weigh(_) | Action::Remove => {
            let mut known: Vec<String> = specs.iter().map(|spec| spec.name.to_string()).collect();
            known.dedup();
            known.truncate(NAMED);
            Err(OverrideError::Unknown { endpoint: endpoint(), known })
        }
    }
}

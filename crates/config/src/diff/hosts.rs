//! Hosts and routes, and which of them any difference touches.

use std::collections::{HashMap, HashSet};

use portcullis_policy::{HostPattern, Rank};

use super::order::moved;
use super::{ChangeKind, Diff, matched};
use crate::plan::{ActionPlan, Checked, ClusterPlan, FilterPlan, HostPlan, RoutePlan, TargetPlan};

/// A host with the clusters its routes name by place.
#[derive(Clone, Copy)]
struct Side<'a> {
    host: &'a HostPlan,
    clusters: &'a [ClusterPlan],
}

impl Diff {
    /// Compares the hosts. `clusters` are the names of those that differ: their routes are touched too.
    pub(super) fn hosts(&mut self, old: &Checked, new: &Checked, clusters: &HashSet<&str>) {
        let same = same_hosts(&old.hosts, &new.hosts);
        let mut kept = HashSet::new();
        for (host, before) in new.hosts.iter().zip(&same) {
            let side = Side { host, clusters: &new.clusters };
            match before.and_then(|place| old.hosts.get(place)) {
                Some(before) => {
                    self.host(Side { host: before, clusters: &old.clusters }, side);
                }
                None => self.whole_host(ChangeKind::Added, host),
            }
            kept.extend(*before);
            self.touch_by_cluster(side, clusters);
        }
        for (_, host) in old.hosts.iter().enumerate().filter(|(place, _)| !kept.contains(place)) {
            self.whole_host(ChangeKind::Removed, host);
        }
    }

    fn whole_host(&mut self, kind: ChangeKind, host: &HostPlan) {
        self.whole(kind, format!("host {}", host.name));
        self.touch_host(host);
    }

    /// Hosts that hold callers to caps.
    pub(super) fn touch_held(&mut self, new: &Checked) {
        let holds = |filters: &[FilterPlan]| filters.iter().any(|filter| filter.name == "caps");
        for host in new.hosts.iter() {
            if holds(&host.filters) {
                self.touch_host(host);
            }
            for route in host.routes.iter().filter(|route| holds(&route.filters)) {
                self.touch_route(host, route);
            }
        }
    }

    /// A host is touched with all of its routes.
    fn touch_host(&mut self, host: &HostPlan) {
        self.hosts.insert(host.name.to_string());
        self.routes.extend(host.routes.iter().map(|route| route.label.to_string()));
    }

    fn touch_route(&mut self, host: &HostPlan, route: &RoutePlan) {
        self.hosts.insert(host.name.to_string());
        self.routes.insert(route.label.to_string());
    }

    fn host(&mut self, old: Side<'_>, new: Side<'_>) {
        let what = format!("host {}", new.host.name);
        if self.facts(&what, &old.host.facts(), &new.host.facts()) {
            self.touch_host(new.host);
        }
        let kind = format!("{what}: route");
        for pair in matched(&old.host.routes, &new.host.routes, |route| route.name.as_str()) {
            let differs = match pair {
                (Some(before), Some(after)) => {
                    let (before, facts) = (before.facts(old.clusters), after.facts(new.clusters));
                    self.facts(&format!("{kind} {}", after.name), &before, &facts)
                }
                (before, after) => self.thing(&kind, (before, after), |route| (route.name.clone(), route.facts(&[]))),
            };
            if let Some(route) = pair.1.or(pair.0).filter(|_| differs) {
                self.touch_route(new.host, route);
            }
        }
        for route in moved_routes(old.host, new.host) {
            self.whole(ChangeKind::Moved, format!("{kind} {}", route.name));
            self.touch_route(new.host, route);
        }
    }

    fn touch_by_cluster(&mut self, side: Side<'_>, clusters: &HashSet<&str>) {
        if clusters.is_empty() {
            return;
        }
        for route in &side.host.routes {
            let named = |index: portcullis_snapshot::ClusterIdx| {
                side.clusters.get(index.0 as usize).is_some_and(|cluster| clusters.contains(cluster.name.as_str()))
            };
            if uses(route, named) {
                self.touch_route(side.host, route);
            }
        }
    }
}

fn uses(route: &RoutePlan, named: impl Fn(portcullis_snapshot::ClusterIdx) -> bool) -> bool {
    let ActionPlan::Forward(forward) = &route.action else { return false };
    let target = match &forward.target {
        TargetPlan::Cluster(index) | TargetPlan::Subset { cluster: index, .. } => named(*index),
        TargetPlan::Split { split, .. } => split.items().any(|(index, _)| named(*index)),
    };
    target || forward.mirror.is_some_and(|(index, _)| named(index))
}

/// For each new host, the old one that it is: that of the same first name, else one that shares any name.
fn same_hosts(old: &[HostPlan], new: &[HostPlan]) -> Vec<Option<usize>> {
    let mut by_name: HashMap<&HostPattern, usize> = HashMap::new();
    for (place, host) in old.iter().enumerate() {
        by_name.extend(host.names.iter().map(|name| (name, place)));
    }
    let first: Vec<Option<usize>> = new
        .iter()
        .map(|host| {
            let place = *by_name.get(host.names.first()?)?;
            (old.get(place)?.names.first() == host.names.first()).then_some(place)
        })
        .collect();
    let mut taken: HashSet<usize> = first.iter().flatten().copied().collect();
    let mut same = Vec::with_capacity(new.len());
    for (host, first) in new.iter().zip(first) {
        let shared = || host.names.iter().find_map(|name| by_name.get(name).copied().filter(|it| !taken.contains(it)));
        let found = first.or_else(shared);
        taken.extend(found);
        same.push(found);
    }
    same
}

/// Routes that stand elsewhere among routes of the same rank.
fn moved_routes<'a>(old: &HostPlan, new: &'a HostPlan) -> Vec<&'a RoutePlan> {
    let rank = |route: &RoutePlan| Rank::of(&route.matcher.path, Some(&route.matcher.conditions));
    let before: HashMap<&str, (usize, Rank)> =
        old.routes.iter().enumerate().map(|(place, route)| (route.name.as_str(), (place, rank(route)))).collect();
    let mut by_rank: Vec<(Rank, Vec<(usize, &RoutePlan)>)> = Vec::new();
    let mut places: HashMap<Rank, usize> = HashMap::new();
    for route in &new.routes {
        let rank = rank(route);
        // A route whose rank changed is in another order for a reason that is said already.
        let Some((place, _)) = before.get(route.name.as_str()).filter(|(_, before)| *before == rank) else { continue };
        let at = *places.entry(rank).or_insert_with(|| {
            by_rank.push((rank, Vec::new()));
            by_rank.len() - 1
        });
        if let Some((_, group)) = by_rank.get_mut(at) {
            group.push((*place, route));
        }
    }
    let out_of_order = |(_, group): &(Rank, Vec<(usize, &'a RoutePlan)>)| {
        let order: Vec<usize> = group.iter().map(|(place, _)| *place).collect();
        moved(&order).into_iter().filter_map(|place| group.get(place).map(|(_, route)| *route)).collect::<Vec<_>>()
    };
    by_rank.iter().flat_map(out_of_order).collect()
}

//! `clusters:`.

use std::time::Duration;

use portcullis_balance::{Algorithm, LoadBound};
use portcullis_snapshot::{Affinity, UpstreamProtocol};
use portcullis_yaml::{NamedEntry, Spanned};

use super::Compiler;
use super::tuning::load_reports;
use crate::place::entry_place;
use crate::plan::ClusterPlan;
use crate::raw::clusters::{RawBalance, RawCluster, RawUpstreamProtocol};

/// Idle connections kept by default.
const KEEPALIVE: Duration = Duration::from_secs(60);

impl Compiler<'_, '_> {
    pub(super) fn cluster(&mut self, entry: &NamedEntry<Spanned<RawCluster>>) -> Option<ClusterPlan> {
        let raw = &entry.value.value;
        self.check_name(&entry.name, entry.span, "cluster");
        let endpoints = self.endpoints(raw);
        let mut tuning = self.tuning(raw);
        let (algorithm, hash_key) = balance(raw.balance.as_ref());
        let tls = raw.tls.as_ref().map(|tls| self.upstream_tls(tls, &endpoints));
        let protocol = match *raw.protocol {
            None | Some(RawUpstreamProtocol::Http1) => UpstreamProtocol::Http1,
            Some(RawUpstreamProtocol::Http2) => UpstreamProtocol::Http2,
        };
        let (timeouts, deadline_header) = self.timeouts(raw.timeouts.as_ref());
        let health = {
            let tls = tls.as_ref().and_then(Option::as_ref).and_then(Option::as_ref);
            raw.health_check.as_ref().and_then(|check| self.health(check, (raw, tls), &entry.name))
        };
        tuning.heights = self.heights(raw.health_check.as_ref(), health.as_ref());
        Some(ClusterPlan {
            name: entry.name.as_str().into(),
            span: entry.span,
            place: entry_place(self.cx.sources(), entry.span, entry.value.span),
            endpoints,
            algorithm,
            hash_key,
            protocol,
            timeouts,
            deadline_header,
            retry: self.retry(raw.retry.as_ref(), protocol),
            hedge: raw.hedge.as_ref().map(|hedge| self.hedge(hedge)),
            failover: self.failover(&entry.name, raw.failover.as_ref()),
            limits: self.cluster_limits(raw.limits.as_ref()),
            keepalive: self.time(*raw.keepalive, KEEPALIVE),
            health,
            tls: tls.map_or(Some(None), |tls| tls)?,
            tuning,
            panic_threshold: raw.panic_threshold.unwrap_or_default(),
            reports: load_reports(raw.load_reports.as_ref()),
            subsets: Vec::new(),
        })
    }
}

fn balance(raw: Option<&Spanned<RawBalance>>) -> (Algorithm, Option<Affinity>) {
    match raw.map(|raw| &raw.value) {
        None | Some(RawBalance::LeastLoaded) => (Algorithm::LeastLoaded, None),
        Some(RawBalance::RoundRobin) => (Algorithm::RoundRobin, None),
        Some(RawBalance::Random) => (Algorithm::Random, None),
        Some(RawBalance::Hash(hash)) => {
            let bound = hash.bound.as_ref().and_then(|bound| LoadBound::from_percent(bound.0.0)).unwrap_or_default();
            (Algorithm::Hash(bound), Some(hash.by.0.clone()))
        }
    }
}

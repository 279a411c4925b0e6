//! `clusters:`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_balance::{Algorithm, LoadBound};
use portcullis_policy::HashKey;
use portcullis_snapshot::{Timeouts, UpstreamProtocol};
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, NamedEntry, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::place::entry_place;
use crate::plan::{AddressPlan, ClusterPlan, EndpointPlan};
use crate::raw::clusters::{RawBalance, RawCluster, RawEndpoint, RawEndpointMap, RawTimeouts, RawUpstreamProtocol};

/// Idle connections kept by default.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Attempts by default: one, and one more where that is safe.
const ATTEMPTS: u32 = 2;

impl Compiler<'_, '_> {
    pub(super) fn cluster(&mut self, entry: &NamedEntry<Spanned<RawCluster>>) -> Option<ClusterPlan> {
        let raw = &entry.value.value;
        self.check_name(&entry.name, entry.span, "cluster");
        let endpoints = self.endpoints(raw);
        let (algorithm, hash_key) = balance(raw.balance.as_ref());
        let tls = raw.tls.as_ref().map(|tls| self.upstream_tls(tls, &endpoints));
        let timeouts = raw.timeouts.as_ref().map(|timeouts| self.timeouts(timeouts)).unwrap_or_default();
        let attempts = raw.retry.as_ref().and_then(|retry| retry.attempts);
        Some(ClusterPlan {
            name: entry.name.as_str().into(),
            span: entry.span,
            place: entry_place(self.cx.sources(), entry.span, entry.value.span),
            endpoints,
            algorithm,
            hash_key,
            protocol: match *raw.protocol {
                None | Some(RawUpstreamProtocol::Http1) => UpstreamProtocol::Http1,
                Some(RawUpstreamProtocol::Http2) => UpstreamProtocol::Http2,
            },
            tls: tls.map_or(Some(None), |tls| tls)?,
            timeouts,
            attempts: self.number(attempts, ATTEMPTS, 1..=10),
            keepalive: self.time(*raw.keepalive, KEEPALIVE),
            health: raw.health_check.as_ref().and_then(|check| self.health(check, raw, &entry.name)),
        })
    }

    fn endpoints(&mut self, raw: &RawCluster) -> Vec<EndpointPlan> {
        let mut endpoints = Vec::with_capacity(raw.endpoints.value.len());
        let mut seen: HashMap<String, Span> = HashMap::new();
        for one in &raw.endpoints.value {
            let Some(endpoint) = self.endpoint(one) else { continue };
            match seen.get(&endpoint.text) {
                Some(first) => {
                    let message = format!("the endpoint `{}` stands twice in the cluster", endpoint.text);
                    let diagnostic = Diagnostic::error(code::DUPLICATE_ENDPOINT, endpoint.span, message);
                    self.cx.push(diagnostic.related(*first, "the first is here"));
                }
                None => {
                    seen.insert(endpoint.text.clone(), endpoint.span);
                    endpoints.push(endpoint);
                }
            }
        }
        if raw.endpoints.value.is_empty() && !self.has_errors_inside(raw.endpoints.span) {
            let help = "for example `endpoints: [\"127.0.0.1:9000\"]`";
            let diagnostic = Diagnostic::error(code::NO_ENDPOINT, raw.endpoints.span, "the cluster has no endpoint");
            self.cx.push(diagnostic.help(help));
        } else if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.weight == 0) {
            let message = "every endpoint has weight 0, so none would take a request";
            self.cx.error(code::WEIGHTS_ZERO, raw.endpoints.span, message);
        }
        endpoints
    }

    fn endpoint(&mut self, raw: &Spanned<RawEndpoint>) -> Option<EndpointPlan> {
        let plain = |address: &Spanned<String>| RawEndpointMap::new(address.clone());
        let short;
        let map = match &raw.value {
            RawEndpoint::Address(address) => {
                short = plain(address);
                &short
            }
            RawEndpoint::Map(map) => map,
        };
        let address = match parse_address(&map.address.value) {
            Ok(address) => address,
            Err(why) => {
                let message = format!("`{}` is not an address: {why}", map.address.value);
                let diagnostic = Diagnostic::error(code::ADDRESS_INVALID, map.address.span, message);
                return self
                    .cx
                    .fail(diagnostic.help("for example `10.0.0.11:8899`, `[::1]:8899` or `api.internal:80`"));
            }
        };
        Some(EndpointPlan {
            text: map.address.value.clone(),
            address,
            zone: map.zone.as_deref().map(Arc::from),
            weight: map.weight.unwrap_or(1),
            priority: map.priority.unwrap_or(0),
            labels: map
                .labels
                .iter()
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect::<BTreeMap<_, _>>(),
            span: map.address.span,
        })
    }

    fn timeouts(&mut self, raw: &RawTimeouts) -> Timeouts {
        let default = Timeouts::default();
        let timeouts = Timeouts {
            connect: self.time(raw.connect, default.connect),
            first_byte: self.time(raw.first_byte, default.first_byte),
            idle: self.time(raw.idle, default.idle),
            total: raw.total.map(|total| total.value).filter(|total| !total.is_zero()),
        };
        if let (Some(total), Some(raw)) = (timeouts.total, raw.total)
            && total < timeouts.connect
        {
            let message = format!(
                "the total of {} is shorter than the {} that connecting may take",
                format_duration(total),
                format_duration(timeouts.connect)
            );
            self.cx.error(code::OUT_OF_RANGE, raw.span, message);
        }
        timeouts
    }
}

fn balance(raw: Option<&Spanned<RawBalance>>) -> (Algorithm, Option<HashKey>) {
    match raw.map(|raw| &raw.value) {
        None | Some(RawBalance::LeastLoaded) => (Algorithm::LeastLoaded, None),
        Some(RawBalance::RoundRobin) => (Algorithm::RoundRobin, None),
        Some(RawBalance::Random) => (Algorithm::Random, None),
        Some(RawBalance::Hash(hash)) => (Algorithm::Hash(LoadBound::default()), Some(hash.by.0.clone())),
    }
}

/// An address with a port, or a host name with a port.
fn parse_address(text: &str) -> Result<AddressPlan, &'static str> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return if socket.port() == 0 { Err("the port is 0") } else { Ok(AddressPlan::Socket(socket)) };
    }
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 =
        port.parse().ok().filter(|port| digits && *port > 0).ok_or("the port is not one from 1 to 65535")?;
    let name = host.parse::<portcullis_policy::HostName>().map_err(|_| "the host is neither an address nor a name")?;
    if name.as_str().parse::<std::net::IpAddr>().is_ok() || name.as_str().starts_with('[') {
        return Err("the host is neither an address nor a name");
    }
    Ok(AddressPlan::Name { host: Arc::from(name.as_str()), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_names() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert!(matches!(parse_address(text), Ok(AddressPlan::Socket(_))), "{text}");
        }
        let name = AddressPlan::Name { host: Arc::from("api.internal"), port: 80 };
        assert_eq!(parse_address("API.internal:80"), Ok(name));
        for text in
            ["", "api", "api:", "api:0", "api:x", "api:+1", "api:70000", "1.2.3.4:0", "::1:80", "http://a:80", "a b:80"]
        {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}

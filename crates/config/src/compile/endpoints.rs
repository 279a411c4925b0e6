//! `endpoints:` of a cluster, and `dns:`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_snapshot::{Dns, SourceKey};
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::plan::{AddressPlan, EndpointPlan};
use crate::raw::clusters::RawCluster;
use crate::raw::endpoints::{RawDns, RawEndpoint, RawEndpointMap, RawPlace};

/// The shortest that a name's answer may be kept.
const LEAST_REFRESH: Duration = Duration::from_millis(100);

impl Compiler<'_, '_> {
    pub(super) fn endpoints(&mut self, raw: &RawCluster) -> Vec<EndpointPlan> {
        let mut endpoints = Vec::with_capacity(raw.endpoints.value.len());
        let mut seen: HashMap<String, Span> = HashMap::new();
        for one in &*raw.endpoints.value {
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
        } else if !endpoints.is_empty() && endpoints.iter().all(never_chosen) {
            let message = "every endpoint has weight 0, so none would take a request";
            self.cx.error(code::WEIGHTS_ZERO, raw.endpoints.span, message);
        }
        endpoints
    }

    fn endpoint(&mut self, raw: &Spanned<RawEndpoint>) -> Option<EndpointPlan> {
        let map = match &raw.value {
            RawEndpoint::Address(address) => {
                let place = self.address(address)?;
                return Some(EndpointPlan::new(address.value.clone(), place, address.span));
            }
            RawEndpoint::Map(map) => map,
        };
        let (text, address, span) = self.place(map)?;
        Some(EndpointPlan {
            text,
            address,
            zone: map.zone.as_deref().map(Arc::from),
            weight: map.weight.map(|weight| weight.value),
            priority: map.priority.map(|priority| priority.value),
            labels: map
                .labels
                .iter()
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect::<BTreeMap<_, _>>(),
            span,
        })
    }

    /// Where an entry's endpoints are, in words too.
    fn place(&mut self, map: &RawEndpointMap) -> Option<(String, AddressPlan, Span)> {
        let (key, span) = match &map.place {
            RawPlace::Address(address) => {
                self.only_for_sources(map);
                return Some((address.value.clone(), self.address(address)?, address.span));
            }
            RawPlace::Srv(name) => (self.service(name, map)?, name.span),
            RawPlace::File(path) => (self.endpoints_file(path)?, path.span),
            RawPlace::Source(name) => return self.other_source(name, map),
        };
        self.only_for_sources(map);
        Some((key.to_string(), AddressPlan::Source(key), span))
    }

    fn address(&mut self, raw: &Spanned<String>) -> Option<AddressPlan> {
        match parse_address(&raw.value) {
            Ok(address) => Some(address),
            Err(why) => {
                let message = format!("`{}` is not an address: {why}", raw.value);
                let diagnostic = Diagnostic::error(code::ADDRESS_INVALID, raw.span, message);
                self.cx.fail(diagnostic.help("for example `10.0.0.11:8899`, `[::1]:8899` or `api.internal:80`"))
            }
        }
    }

    fn service(&mut self, raw: &Spanned<String>, map: &RawEndpointMap) -> Option<SourceKey> {
        let written = [map.weight.map(|weight| ("weight", weight.span)), map.priority.map(|it| ("priority", it.span))];
        for (key, span) in written.into_iter().flatten() {
            let message = format!("`{key}` means nothing beside `srv`: each record has its own");
            self.cx.error(code::SETTING_CONFLICT, span, message);
        }
        let name = raw.value.trim_end_matches('.');
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_label_byte);
        if name.contains('.') && name.len() <= 253 && name.split('.').all(label) {
            return Some(SourceKey::Service { name: name.to_ascii_lowercase().into() });
        }
        let message = format!("`{}` is not the name of a service", raw.value);
        let diagnostic = Diagnostic::error(code::ADDRESS_INVALID, raw.span, message);
        self.cx.fail(diagnostic.help("for example `_http._tcp.api.internal`, without a port"))
    }

    fn endpoints_file(&mut self, raw: &Spanned<String>) -> Option<SourceKey> {
        if raw.value.is_empty() {
            let message = "the path of the endpoints' file is empty";
            return self.cx.fail(Diagnostic::error(code::ADDRESS_INVALID, raw.span, message));
        }
        let path = self.cx.resolve(raw.span, &raw.value);
        Some(SourceKey::File { path: Arc::from(path.as_path() as &Path) })
    }

    fn other_source(&mut self, raw: &Spanned<String>, map: &RawEndpointMap) -> Option<(String, AddressPlan, Span)> {
        let Some((name, _)) = self.seams.endpoints.get_key_value(raw.value.as_str()) else {
            let message = format!("this binary has no source of endpoints `{}`", raw.value);
            let known: Vec<&str> = self.seams.endpoints.keys().copied().collect();
            let help = match known.as_slice() {
                [] => "it has none; a name, `srv` and `file` need no source".to_owned(),
                known => format!("it has {}", known.join(", ")),
            };
            return self.cx.fail(Diagnostic::error(code::UNKNOWN_SOURCE, raw.span, message).help(help));
        };
        let of = map.of.as_ref().map_or("", |of| of.value.as_str());
        let key = SourceKey::Other { source: Arc::from(*name), of: Arc::from(of) };
        Some((key.to_string(), AddressPlan::Source(key), raw.span))
    }

    fn only_for_sources(&mut self, map: &RawEndpointMap) {
        if let Some(of) = &map.of {
            let message = "`of` says what a `source` is asked for, and there is no `source`";
            self.cx.error(code::SETTING_CONFLICT, of.span, message);
        }
    }

    pub(super) fn dns(&mut self, raw: Option<&RawDns>) -> Dns {
        let default = Dns::default();
        let Some(raw) = raw else { return default };
        let least_refresh = self.time(raw.least_refresh, default.least_refresh);
        if let Some(written) = raw.least_refresh.filter(|written| written.value < LEAST_REFRESH) {
            let message = format!("`least_refresh` is at least {}", format_duration(LEAST_REFRESH));
            self.cx.error(code::OUT_OF_RANGE, written.span, message);
        }
        let most_refresh = self.time(raw.most_refresh, default.most_refresh.max(least_refresh));
        if let Some(written) = raw.most_refresh.filter(|_| most_refresh < least_refresh) {
            let least = format_duration(least_refresh);
            let message = format!("`most_refresh` is shorter than `least_refresh`, which is {least}");
            self.cx.error(code::OUT_OF_RANGE, written.span, message);
        }
        let timeout = self.time(raw.timeout, default.timeout);
        Dns { resolvers: raw.resolvers.clone(), timeout, least_refresh, most_refresh }
    }
}

/// Whether no endpoint of an entry can take a request, whatever its source says.
fn never_chosen(endpoint: &EndpointPlan) -> bool {
    let own = match &endpoint.address {
        AddressPlan::Socket(_) | AddressPlan::Source(SourceKey::Name { .. }) => false,
        AddressPlan::Source(SourceKey::Service { .. } | SourceKey::File { .. } | SourceKey::Other { .. }) => true,
    };
    endpoint.weight == Some(0) && !own
}

const fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
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
    Ok(AddressPlan::Source(SourceKey::Name { host: Arc::from(name.as_str()), port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_names() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert!(matches!(parse_address(text), Ok(AddressPlan::Socket(_))), "{text}");
        }
        let name = AddressPlan::Source(SourceKey::Name { host: Arc::from("api.internal"), port: 80 });
        assert_eq!(parse_address("API.internal:80"), Ok(name));
        for text in
            ["", "api", "api:", "api:0", "api:x", "api:+1", "api:70000", "1.2.3.4:0", "::1:80", "http://a:80", "a b:80"]
        {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}

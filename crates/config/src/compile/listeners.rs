//! `listeners:`.

use portcullis_snapshot::{Http2Limits, ListenerLimits, most_continuations};
use portcullis_yaml::{Diagnostic, NamedEntry, Span, Spanned, suggest};

use super::Compiler;
use crate::code;
use crate::place::entry_place;
use crate::plan::{ClientAuthPlan, KindPlan, ListenerPlan, TlsPlan};
use crate::raw::listeners::{
    RawClientAuth, RawListener, RawListenerLimits, RawListenerTls, RawProtocol, RawTlsVersion,
};

/// The most connections, streams or fields that a limit may allow.
const MANY: u32 = 10_000_000;
/// HTTP/2 windows have 31 bits, RFC 9113 section 6.9.1; less than the initial window would stall uploads.
const WINDOW: std::ops::RangeInclusive<u64> = 16_384..=0x7fff_ffff;

impl Compiler<'_, '_> {
    pub(super) fn listener(&mut self, entry: &NamedEntry<Spanned<RawListener>>) -> Option<ListenerPlan> {
        let raw = &entry.value.value;
        if raw.bind.is_empty() && !self.has_errors_inside(entry.value.span) {
            let message = format!("the listener `{}` binds no address", entry.name);
            self.cx.error(code::ADDRESS_INVALID, entry.span, message);
        }
        self.check_name(&entry.name, entry.span, "listener");
        let kind = self.kind(raw);
        let tls = raw.tls.as_ref().map(|tls| self.listener_tls(tls));
        let limits = raw.limits.as_ref().map(|limits| self.listener_limits(limits)).unwrap_or_default();
        if let Some(proxy) = raw.proxy_protocol.as_ref().filter(|proxy| proxy.from.value.is_empty()) {
            let message = "no network is named, so no PROXY protocol header would be taken";
            let help = "name the load balancers' networks, for example `from: [\"10.0.0.0/8\"]`";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, proxy.from.span, message).help(help));
        }
        let connect = raw.connect.as_ref().map(|name| {
            let known: Vec<&str> = self.seams.connect.keys().copied().collect();
            self.known_handler(name, "CONNECT handler", &known)
        });
        Some(ListenerPlan {
            name: entry.name.as_str().into(),
            span: entry.span,
            place: entry_place(self.cx.sources(), entry.span, entry.value.span),
            bind: raw.bind.iter().map(|bind| bind.value).collect(),
            kind: kind?,
            tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
            limits,
            proxy_protocol: raw.proxy_protocol.as_ref().map(|proxy| proxy.from.value.clone()),
            connect: connect.map_or(Some(None), |name| name.map(Some))?,
            half_close: raw.half_close.unwrap_or(false),
        })
    }

    fn kind(&mut self, raw: &RawListener) -> Option<KindPlan> {
        let Some(handler) = &*raw.handler else { return self.protocols(raw) };
        let beside = [
            ("protocols", raw.protocols.as_ref().map(|protocols| protocols.span)),
            ("connect", raw.connect.as_ref().map(|connect| connect.span)),
        ];
        for (key, span) in beside {
            if let Some(span) = span {
                let message = format!("a listener with a `handler` does not speak HTTP, so `{key}` means nothing");
                let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, span, message);
                self.cx.push(diagnostic.related(handler.span, "the handler is here"));
            }
        }
        let known: Vec<&str> = self.seams.l4.keys().copied().collect();
        self.known_handler(handler, "handler", &known).map(KindPlan::Handler)
    }

    /// A name that must be one of the binary's own.
    fn known_handler(&mut self, name: &Spanned<String>, what: &str, known: &[&str]) -> Option<String> {
        if known.contains(&name.value.as_str()) {
            return Some(name.value.clone());
        }
        let message = format!("this binary has no {what} `{}`", name.value);
        let diagnostic = Diagnostic::error(code::UNKNOWN_HANDLER, name.span, message);
        let near = suggest(&name.value, known.iter().copied());
        let others =
            || if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        self.cx.fail(diagnostic.help_suggest(near, others))
    }

    fn protocols(&mut self, raw: &RawListener) -> Option<KindPlan> {
        let Some(protocols) = &*raw.protocols else { return Some(KindPlan::Http { http1: true, http2: true }) };
        if protocols.value.is_empty() && self.has_errors_inside(protocols.span) {
            return None;
        }
        if protocols.value.is_empty() {
            self.conflict(
                protocols.span,
                "a listener speaks at least one protocol",
                "for example `protocols: [http1]`",
            );
            return None;
        }
        let has = |protocol| protocols.value.iter().find(|found| found.value == protocol);
        match (has(RawProtocol::H2c), has(RawProtocol::Http2), raw.tls.as_ref()) {
            (Some(h2c), _, Some(_)) => {
                self.conflict(h2c.span, "h2c is HTTP/2 on plain text; this listener has TLS", "write `http2`");
            }
            (_, Some(http2), None) if !raw.tls.is_broken() => {
                self.conflict(http2.span, "http2 is chosen by ALPN; this listener has no TLS", "write `h2c`");
            }
            _ => {}
        }
        let http2 = has(RawProtocol::H2c).or(has(RawProtocol::Http2)).is_some();
        Some(KindPlan::Http { http1: has(RawProtocol::Http1).is_some(), http2 })
    }

    fn conflict(&mut self, span: Span, message: &str, help: &str) {
        self.cx.push(Diagnostic::error(code::PROTOCOL_CONFLICT, span, message).help(help));
    }

    fn listener_tls(&mut self, tls: &Spanned<RawListenerTls>) -> Option<TlsPlan> {
        let certificates = &tls.certificates;
        if certificates.value.is_empty()
            && self.seams.certificates.is_none()
            && !self.has_errors_inside(certificates.span)
        {
            let message = "no certificate is named, so every handshake would fail";
            self.cx.error(code::CERTIFICATE_INVALID, certificates.span, message);
        }
        let read = |this: &mut Self, raw: &Spanned<crate::raw::listeners::RawCertificate>| {
            this.identity(&raw.cert, &raw.key).map(|identity| (raw.cert.value.clone(), identity))
        };
        let identities: Vec<_> = certificates.value.iter().map(|raw| read(self, raw)).collect();
        let client = tls.client_ca.as_ref().map(|path| self.client_auth(path, tls.client_auth.as_ref()));
        if let (None, Some(auth)) = (&tls.client_ca, &tls.client_auth) {
            let message = "`client_auth` needs the CAs that client certificates are verified against";
            let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, auth.span, message);
            self.cx.push(diagnostic.help("add `client_ca: certs/clients.pem`"));
        }
        Some(TlsPlan {
            identities: identities.into_iter().collect::<Option<_>>()?,
            client: client.map_or(Some(None), |client| client.map(Some))?,
            only_tls13: tls.min_version == Some(RawTlsVersion::Tls13),
        })
    }

    fn client_auth(&mut self, path: &Spanned<String>, auth: Option<&Spanned<RawClientAuth>>) -> Option<ClientAuthPlan> {
        let authorities = self.authorities(path)?;
        let required = auth.is_none_or(|auth| auth.value == RawClientAuth::Required);
        Some(ClientAuthPlan { path: path.value.clone(), authorities, required })
    }

    fn listener_limits(&mut self, raw: &RawListenerLimits) -> ListenerLimits {
        let default = ListenerLimits::default();
        let header_bytes = self.bytes(raw.header_bytes, default.header_bytes, 1024..=1 << 20);
        ListenerLimits {
            connections: self.number(raw.connections, default.connections, 1..=MANY),
            connections_per_network: self.number(
                raw.connections_per_network,
                default.connections_per_network,
                1..=MANY,
            ),
            handshake_timeout: self.time(raw.handshake_timeout, default.handshake_timeout),
            header_timeout: self.time(raw.header_timeout, default.header_timeout),
            header_bytes,
            header_fields: self.number(raw.header_fields, default.header_fields, 8..=4096),
            target_bytes: self.bytes(raw.target_bytes, default.target_bytes, 64..=1 << 16),
            idle_timeout: self.time(raw.idle_timeout, default.idle_timeout),
            body_timeout: self.time(raw.body_timeout, default.body_timeout),
            body_rate: raw.body_rate.map_or(default.body_rate, |rate| rate.0),
            write_timeout: self.time(raw.write_timeout, default.write_timeout),
            requests: raw.requests.unwrap_or(default.requests),
            http2: self.http2_limits(raw, &default.http2, most_continuations(header_bytes)),
        }
    }

    fn http2_limits(&mut self, raw: &RawListenerLimits, default: &Http2Limits, continuations: u32) -> Http2Limits {
        Http2Limits {
            streams: self.number(raw.streams, default.streams, 1..=100_000),
            resets: self.number(raw.resets, default.resets, 1..=MANY),
            continuations: self.number(raw.continuations, continuations, 0..=continuations),
            control_frames: self.number(raw.control_frames, default.control_frames, 10..=MANY),
            stream_window: self.bytes(raw.stream_window, default.stream_window, WINDOW),
            connection_window: self.bytes(raw.connection_window, default.connection_window, 65_535..=0x7fff_ffff),
        }
    }
}

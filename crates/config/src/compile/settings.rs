//! Everything at the top that is not a listener, a cluster or a host.

use http::header::HeaderValue;
use std::num::NonZeroUsize;
use std::time::Duration;

use portcullis_snapshot::settings::Settings;
use portcullis_yaml::{Diagnostic, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::top::Top;

impl Compiler<'_, '_> {
    pub(super) fn settings(&mut self, top: &Top, file: Span) -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let drain = top.drain.as_ref();
        Settings {
            server_name: self.server_name(top.server_name.as_ref()),
            trusted_networks: top.trusted_networks.as_ref().cloned().unwrap_or_default(),
            drain_delay: drain.and_then(|drain| drain.delay).unwrap_or_default(),
            drain_timeout: drain.and_then(|drain| drain.timeout).unwrap_or(Duration::from_secs(30)),
            drain_idle: drain.and_then(|drain| drain.idle).unwrap_or(Duration::from_secs(1)),
            drain_streams: drain.and_then(|drain| drain.streams).unwrap_or(Duration::from_secs(10)),
            overload: self.overload(top.overload.as_ref()),
            generations: self.number(*top.generations, 8, 2..=64),
            threads: self.number(*top.threads, cores, 1..=1024),
            logs: self.logs(top),
            tracing: top.tracing.as_ref().and_then(|tracing| self.tracing(tracing)),
            recent_requests: self.number(*top.recent_requests, 1000, 0..=100_000),
            observe: top.observe.unwrap_or(true),
            admin: top.admin.as_ref().and_then(|admin| self.admin(admin, file)),
            dns: self.dns(top.dns.as_ref()),
            store: top.store.as_ref().and_then(|store| self.store(store)),
            history: None,
            consumers: top.consumers.as_ref().and_then(|consumers| self.consumers(consumers)),
            issuers: self.issuers(top),
            // Their hosts are compiled later.
            slos: Vec::new(),
            slos_file: None,
        }
    }

    fn server_name(&mut self, name: Option<&Spanned<String>>) -> String {
        let Some(name) = name else { return "portcullis".to_owned() };
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let begins = name.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*');
        if !begins || !name.value.bytes().all(token) || HeaderValue::from_str(&name.value).is_err() {
            let message = format!("`{}` is not a token that begins with a letter", name.value);
            let help = "for example `gateway-1` or `edge.example.com`";
            self.cx.push(Diagnostic::error(code::NAME_INVALID, name.span, message).help(help));
        }
        name.value.clone()
    }
}

//! Everything at the top that is not a listener, a cluster or a host.

use http::header::HeaderValue;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use portcullis_snapshot::settings::{AccessLog, AccessLogFormat, Admin, Settings};
use portcullis_types::ByteSize;
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::raw::admin::RawAdmin;
use crate::raw::log::{RawAccessLog, RawLogFormat};
use crate::raw::top::Top;

const DEFAULT_LOG_BUFFER: ByteSize = ByteSize::mib(4);

impl Compiler<'_, '_> {
    pub(super) fn settings(&mut self, top: &Top) -> Settings {
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
            access_log: top.access_log.as_ref().map(|log| self.access_log(log)),
            recent_requests: self.number(*top.recent_requests, 1000, 0..=100_000),
            observe: top.observe.unwrap_or(true),
            admin: top.admin.as_ref().map(|admin| self.admin(admin)),
            dns: self.dns(top.dns.as_ref()),
            store: top.store.as_ref().and_then(|store| self.store(store)),
            consumers: top.consumers.as_ref().and_then(|consumers| self.consumers(consumers)),
            issuers: self.issuers(top),
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

    fn access_log(&mut self, log: &RawAccessLog) -> AccessLog {
        let stdout = log.stdout.is_some_and(|stdout| stdout.value);
        if let (Some(path), Some(stdout)) = (&log.path, log.stdout.filter(|stdout| stdout.value)) {
            let message = "an access log has a `path` or goes to standard output, not both";
            let diagnostic = Diagnostic::error(yaml_code::CONFLICTING_KEYS, stdout.span, message);
            self.cx.push(diagnostic.related(path.span, "the path is here"));
        }
        let path =
            log.path.as_ref().map(|path| self.cx.resolve(path.span, Path::new(&path.value).to_string_lossy().as_ref()));
        AccessLog {
            path: path.filter(|_| !stdout),
            format: match log.format.unwrap_or(RawLogFormat::Json) {
                RawLogFormat::Json => AccessLogFormat::Json,
                RawLogFormat::Text => AccessLogFormat::Text,
            },
            buffer: log.buffer.unwrap_or(DEFAULT_LOG_BUFFER).as_usize(),
            query: log.query.unwrap_or(true),
        }
    }

    fn admin(&mut self, admin: &RawAdmin) -> Admin {
        let bind = admin.bind;
        if admin.token.is_none() && !bind.ip().to_canonical().is_loopback() {
            let message =
                format!("the admin listener on {} can be reached from elsewhere and needs a token", bind.value);
            let help = "add `token: \"file:admin.token\"`, or bind a loopback address such as `127.0.0.1:9901`";
            self.cx.push(Diagnostic::error(code::ADMIN_OPEN, bind.span, message).help(help));
        }
        Admin { bind: bind.value, token: admin.token.as_ref().map(|token| token.expose().to_owned()) }
    }
}

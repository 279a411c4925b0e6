//! `access_log:` and `logs:`.
//!
//! `access_log` is the log of that name in short. Where both say it, that is an error: neither wins.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_telemetry::logs::{
    Compression, Dimension, Emf, EmfTarget, Facility, Hec, HecBatch, LogKind, LogSettings, Only, Rotation, Spool,
    Syslog, SyslogBody,
};
use portcullis_telemetry::record::HEADERS;
use portcullis_telemetry::{FieldSet, Format, Mask, Redaction, View};
use portcullis_types::ByteSize;
use portcullis_yaml::{Diagnostic, NamedEntry, Span, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::plan::HostPlan;
use crate::raw::log::{
    RawAccessLog, RawCompress, RawDimension, RawEmf, RawFacility, RawFields, RawHec, RawLog, RawLogFile, RawLogFormat,
    RawLogKind, RawMask, RawOnly, RawRotate, RawSyslog, RawSyslogFormat,
};
use crate::raw::log_words::EmfTo;
use crate::raw::top::Top;

/// The name of the log that `access_log` is.
const ACCESS_LOG: &str = "access_log";
/// What sinks of records other than logs are called.
const TAKEN: [&str; 2] = ["recent", "tracing"];
/// The most logs.
const MOST_LOGS: usize = 16;
const DEFAULT_BUFFER: ByteSize = ByteSize::mib(4);
const DEFAULT_HEC_BUFFER: ByteSize = ByteSize::mib(8);

/// Header fields that tell the client's address, which a mask is to hide.
const TELL_THE_ADDRESS: [&str; 8] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
];

/// What no two logs may both write.
type Places = HashMap<String, Span>;

impl Compiler<'_, '_> {
    pub(super) fn logs(&mut self, top: &Top) -> Vec<LogSettings> {
        let mut places = Places::new();
        let mut logs = Vec::new();
        if let Some(short) = top.access_log.as_ref() {
            let named = top.logs.as_ref().and_then(|logs| logs.get(ACCESS_LOG));
            if let Some(named) = named {
                let message = "the log `access_log` is said twice";
                let diagnostic = Diagnostic::error(yaml_code::CONFLICTING_KEYS, named.span, message);
                let help = "`access_log:` is the short form of this; keep one of them";
                self.cx.push(diagnostic.related(short.span, "the short form is here").help(help));
            }
            logs.push(self.access_log(short, &mut places));
        }
        for entry in top.logs.as_ref().into_iter().flatten() {
            self.check_log_name(entry);
            logs.extend(self.log(entry, &mut places));
        }
        self.check_log_numbers(top, &logs);
        logs
    }

    fn check_log_name(&mut self, entry: &NamedEntry<RawLog>) {
        let name = &entry.name;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || name.len() > 40 || !name.bytes().all(fits) || TAKEN.contains(&name.as_str()) {
            let message = format!("a log cannot be called `{name}`");
            let help =
                "up to 40 lower-case letters, digits, `_` and `-`, a letter first; `recent` and `tracing` are taken";
            self.cx.push(Diagnostic::error(code::NAME_INVALID, entry.span, message).help(help));
        }
    }

    /// Each log is work for each request, and what records hold of headers is bounded for all together.
    fn check_log_numbers(&mut self, top: &Top, logs: &[LogSettings]) {
        let Some(last) = top.logs.as_ref().and_then(|logs| logs.iter().last()) else { return };
        if logs.len() > MOST_LOGS {
            let message = format!("{} logs are too many: at most {MOST_LOGS}", logs.len());
            self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, last.span, message));
        }
        let headers: BTreeSet<&String> = logs.iter().flat_map(|log| &log.view.headers).collect();
        if headers.len() > HEADERS {
            let message = format!("the logs show {} header fields between them: at most {HEADERS}", headers.len());
            self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, last.span, message));
        }
    }

    fn access_log(&mut self, log: &Spanned<RawAccessLog>, places: &mut Places) -> LogSettings {
        let Spanned { span, value: log } = log;
        let stdout = log.stdout.filter(|stdout| stdout.value);
        if let (Some(path), Some(stdout)) = (&log.path, stdout) {
            let message = "an access log has a `path` or goes to standard output, not both";
            let diagnostic = Diagnostic::error(yaml_code::CONFLICTING_KEYS, stdout.span, message);
            self.cx.push(diagnostic.related(path.span, "the path is here"));
        }
        let format = format(log.format);
        let kind = match (&log.path, stdout) {
            (Some(path), None) => {
                let path = self.log_path(path, places);
                LogKind::File { path, format, rotation: None }
            }
            (_, stdout) => {
                self.claim("standard output", stdout.map_or(*span, |stdout| stdout.span), places);
                LogKind::Stdout(format)
            }
        };
        LogSettings {
            name: ACCESS_LOG.into(),
            kind,
            only: Only::default(),
            view: View { query: log.query.unwrap_or(true), ..View::FULL },
            queue: log.buffer.unwrap_or(DEFAULT_BUFFER),
        }
    }

    fn log(&mut self, entry: &NamedEntry<RawLog>, places: &mut Places) -> Option<LogSettings> {
        let log = &entry.value;
        let default = match log.kind {
            RawLogKind::SplunkHec(_) => DEFAULT_HEC_BUFFER,
            RawLogKind::Stdout(_) | RawLogKind::File(_) | RawLogKind::Syslog(_) | RawLogKind::Emf(_) => DEFAULT_BUFFER,
        };
        let queue = self.bytes(log.buffer, default.0, ByteSize::kib(64).0..=ByteSize::mib(1024).0);
        let kind = match &log.kind {
            RawLogKind::Stdout(raw) => {
                self.claim("standard output", entry.span, places);
                LogKind::Stdout(format(raw.format))
            }
            RawLogKind::File(raw) => self.log_file(raw, places),
            RawLogKind::Syslog(raw) => LogKind::Syslog(self.syslog(raw)),
            RawLogKind::Emf(raw) => LogKind::Emf(self.emf(raw, places)),
            RawLogKind::SplunkHec(raw) => LogKind::SplunkHec(self.hec(raw, queue, places)?),
        };
        let view = self.view(log, &kind);
        let only = log.only.as_ref().map_or_else(Only::default, only);
        Some(LogSettings { name: Arc::from(entry.name.as_str()), kind, only, view, queue: ByteSize(queue) })
    }

    /// Two logs that write the same thing would mix their lines, and rotate under each other's hands.
    fn claim(&mut self, place: &str, span: Span, places: &mut Places) {
        if let Some(first) = places.insert(place.to_owned(), span) {
            let message = format!("two logs write to {place}");
            let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, span, message);
            self.cx.push(diagnostic.related(first, "the other is here"));
        }
    }

    fn log_path(&mut self, path: &Spanned<String>, places: &mut Places) -> PathBuf {
        if path.value.is_empty() {
            let message = "the path is empty";
            self.cx.push(Diagnostic::error(yaml_code::INVALID_VALUE, path.span, message));
        }
        let resolved = self.cx.resolve(path.span, &path.value);
        self.claim(&resolved.display().to_string(), path.span, places);
        resolved
    }

    fn log_file(&mut self, raw: &RawLogFile, places: &mut Places) -> LogKind {
        let path = self.log_path(&raw.path, places);
        let rotation = raw.rotate.as_ref().map(|rotate| self.rotation(rotate));
        LogKind::File { path, format: format(raw.format), rotation }
    }

    fn rotation(&mut self, raw: &Spanned<RawRotate>) -> Rotation {
        let Spanned { span, value: raw } = raw;
        if raw.size.is_none() && raw.every.is_none() {
            let message = "nothing says when the file is closed";
            let help = "add `size: 64MiB`, or `every: 1d`, or both";
            self.cx.push(Diagnostic::error(yaml_code::MISSING_KEY, *span, message).help(help));
        }
        let minute = Duration::from_secs(60);
        let size = raw.size.map(|size| {
            ByteSize(self.bytes(Some(size), size.value.0, ByteSize::kib(64).0..=ByteSize::mib(64 << 10).0))
        });
        let every = raw.every.map(|every| self.time_within(Some(every), minute, minute..=minute * 60 * 24 * 7));
        let keep = self.number(raw.keep, 10, 1..=10_000);
        let compress = raw.compress.map(|compress| match compress {
            RawCompress::Zstd => Compression::Zstd,
            RawCompress::Gzip => Compression::Gzip,
        });
        Rotation { size, every, keep, compress }
    }

    fn syslog(&mut self, raw: &RawSyslog) -> Syslog {
        if let Some(name) = &raw.app_name
            && (!(1..=48).contains(&name.value.len()) || !name.value.bytes().all(|b| b.is_ascii_graphic()))
        {
            let message = format!("`{}` is no name of a program in syslog", name.value);
            let help = "1 to 48 printable characters of ASCII without spaces";
            self.cx.push(Diagnostic::error(code::NAME_INVALID, name.span, message).help(help));
        }
        Syslog {
            target: raw.to.0.0.clone(),
            facility: facility(raw.facility.unwrap_or(RawFacility::Local0)),
            app_name: raw.app_name.as_ref().map_or_else(|| "portcullis".to_owned(), |name| name.value.clone()),
            body: match raw.format.unwrap_or(RawSyslogFormat::Json) {
                RawSyslogFormat::Json => SyslogBody::Message(Format::Json),
                RawSyslogFormat::Text => SyslogBody::Message(Format::Text),
                RawSyslogFormat::Structured => SyslogBody::Structured,
            },
        }
    }

    fn emf(&mut self, raw: &RawEmf, places: &mut Places) -> Emf {
        let rotation = raw.rotate.as_ref().map(|rotate| self.rotation(rotate));
        let target = match &raw.to.value.0 {
            EmfTo::Stdout => {
                self.claim("standard output", raw.to.span, places);
                EmfTarget::Stdout
            }
            EmfTo::File(path) => {
                let path = Spanned { span: raw.to.span, value: path.clone() };
                EmfTarget::File(self.log_path(&path, places), rotation)
            }
            EmfTo::Tcp(to) => EmfTarget::Tcp(to.clone()),
        };
        if let (Some(rotate), EmfTarget::Stdout | EmfTarget::Tcp(_)) = (&raw.rotate, &target) {
            let message = "only a file can be rotated";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, rotate.span, message));
        }
        if let Some(namespace) = &raw.namespace {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_/#:".contains(&b);
            if !(1..=255).contains(&namespace.value.len()) || !namespace.value.bytes().all(fits) {
                let message = format!("`{}` is no namespace of CloudWatch", namespace.value);
                let help = "1 to 255 letters, digits and `.-_/#:`";
                self.cx.push(Diagnostic::error(code::NAME_INVALID, namespace.span, message).help(help));
            }
        }
        let dimensions = match &raw.dimensions {
            None => vec![Vec::new(), vec![Dimension::VirtualHost, Dimension::Route]],
            Some(sets) => {
                if !(1..=30).contains(&sets.value.len()) {
                    let message = format!("{} sets of dimensions: expected 1 to 30", sets.value.len());
                    self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, sets.span, message));
                }
                sets.value.iter().map(|set| dimensions(set)).collect()
            }
        };
        let namespace = raw.namespace.as_ref().map_or_else(|| "Portcullis".to_owned(), |name| name.value.clone());
        Emf { target, namespace, dimensions }
    }

    fn hec(&mut self, raw: &RawHec, queue: u64, places: &mut Places) -> Option<Hec> {
        let default = HecBatch::default();
        let (milli, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let batch = raw.batch.as_ref();
        let bytes = batch.and_then(|batch| batch.bytes);
        let batch = HecBatch {
            events: self.number(batch.and_then(|batch| batch.events), default.events, 1..=100_000),
            bytes: ByteSize(self.bytes(bytes, default.bytes.0, ByteSize::kib(1).0..=ByteSize::mib(16).0)),
            wait: self.time_within(batch.and_then(|batch| batch.wait), default.wait, milli * 10..=second * 60),
        };
        if batch.bytes.0.saturating_mul(4) > queue {
            let message = format!("a batch of {} is more than a quarter of the buffer", batch.bytes);
            let help = format!("the buffer is {}; make it larger, or the batch smaller", ByteSize(queue));
            self.cx.push(
                Diagnostic::error(code::SETTING_CONFLICT, bytes.map_or(raw.url.span, |bytes| bytes.span), message)
                    .help(help),
            );
        }
        let authorities = match &raw.ca {
            None => None,
            Some(ca) => {
                let path = self.cx.resolve(ca.span, &ca.value);
                Some(self.cx.read_or_report(&path, ca.span)?)
            }
        };
        let spool = raw.spool.as_ref().map(|spool| Spool {
            path: self.log_path(&spool.path, places),
            size: ByteSize(self.bytes(
                spool.size,
                ByteSize::mib(1024).0,
                ByteSize::mib(1).0..=ByteSize::mib(1 << 20).0,
            )),
        });
        Some(Hec {
            url: raw.url.value.0.0.clone(),
            token: raw.token.expose().to_owned(),
            authorities,
            index: raw.index.clone(),
            source: raw.source.clone(),
            sourcetype: raw.sourcetype.clone(),
            batch,
            gzip: raw.gzip.unwrap_or(true),
            ack: raw.ack.map(|ack| self.time_within(Some(ack), second * 60, second * 5..=second * 3600)),
            timeout: self.time(raw.timeout, second * 30),
            spool,
        })
    }

    fn view(&mut self, log: &RawLog, kind: &LogKind) -> View {
        let headers: Vec<String> = log.headers.iter().flatten().map(|name| name.value.as_str().to_owned()).collect();
        if let Some(mask) = &log.mask {
            self.check_masked_headers(log, mask);
        }
        let mask = log.mask.as_ref().map(|mask| Mask {
            v4: self.number(Some(mask.value.v4), 32, 0..=32),
            v6: self.number(Some(mask.value.v6), 128, 0..=128),
        });
        let hidden = log.hide_query_keys.as_ref().filter(|keys| !keys.is_empty());
        View {
            fields: self.field_set(log, kind),
            headers,
            query: log.query.unwrap_or(true),
            hidden: hidden.map(|keys| Redaction::with_names(keys.iter().map(String::as_str))),
            mask,
        }
    }

    fn field_set(&mut self, log: &RawLog, kind: &LogKind) -> FieldSet {
        let Some(fields) = &log.fields else { return FieldSet::ALL };
        let is_text = match kind {
            LogKind::Stdout(format) | LogKind::File { format, .. } => *format == Format::Text,
            LogKind::Syslog(syslog) => syslog.body == SyslogBody::Message(Format::Text),
            LogKind::Emf(_) | LogKind::SplunkHec(_) => false,
        };
        if is_text {
            let message = "a line of text has a fixed form: `fields` chooses members of JSON objects";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, fields.span, message));
        }
        match &fields.value {
            RawFields::Only(list) => FieldSet::only(list.iter().map(|word| word.0.0)),
            RawFields::Without(list) => FieldSet::all_but(list.iter().map(|word| word.0.0)),
        }
    }

    fn check_masked_headers(&mut self, log: &RawLog, mask: &Spanned<RawMask>) {
        for name in log.headers.iter().flatten().filter(|name| TELL_THE_ADDRESS.contains(&name.value.as_str())) {
            let message = format!("the header field `{}` tells the address that `mask` hides", name.value);
            let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, name.span, message);
            self.cx.push(diagnostic.related(mask.span, "the mask is here"));
        }
    }

    /// A name of a host that is none would leave a log empty without a word.
    pub(super) fn check_log_hosts(&mut self, top: &Top, hosts: &[HostPlan]) {
        if self.cx.diagnostics().has_errors() {
            return;
        }
        let only = top.logs.as_ref().into_iter().flatten().filter_map(|entry| entry.value.only.as_ref());
        for host in only.flat_map(|only| only.hosts.iter().flatten()) {
            if hosts.iter().any(|known| *known.name == *host.value) {
                continue;
            }
            let near = portcullis_yaml::suggest(&host.value, hosts.iter().map(|known| &*known.name));
            let message = format!("there is no virtual host `{}`", host.value);
            let diagnostic = Diagnostic::error(code::UNKNOWN_HOST, host.span, message);
            let otherwise = || "a virtual host is called by the first of its `names`".to_owned();
            self.cx.push(diagnostic.help_suggest(near, otherwise));
        }
    }
}

fn only(raw: &RawOnly) -> Only {
    Only {
        hosts: raw.hosts.iter().flatten().map(|host| Arc::from(host.value.as_str())).collect(),
        statuses: raw.statuses.iter().flatten().map(|word| word.0.0).collect(),
        reasons: raw.reasons.iter().flatten().map(|word| word.0.0).collect(),
        slower_than: raw.slower_than,
        share: raw.share,
        failures: raw.failures.unwrap_or(true),
    }
}

/// A set, each of its members once.
fn dimensions(raw: &[RawDimension]) -> Vec<Dimension> {
    let one = |raw: &RawDimension| match raw {
        RawDimension::Listener => Dimension::Listener,
        RawDimension::VirtualHost => Dimension::VirtualHost,
        RawDimension::Route => Dimension::Route,
        RawDimension::Cluster => Dimension::Cluster,
        RawDimension::StatusClass => Dimension::StatusClass,
        RawDimension::Reason => Dimension::Reason,
        RawDimension::Fault => Dimension::Fault,
    };
    let mut set = Vec::new();
    for dimension in raw.iter().map(one) {
        if !set.contains(&dimension) {
            set.push(dimension);
        }
    }
    set
}

const fn facility(raw: RawFacility) -> Facility {
    match raw {
        RawFacility::User => Facility::User,
        RawFacility::Daemon => Facility::Daemon,
        RawFacility::Authpriv => Facility::Authpriv,
        RawFacility::Local0 => Facility::Local0,
        RawFacility::Local1 => Facility::Local1,
        RawFacility::Local2 => Facility::Local2,
        RawFacility::Local3 => Facility::Local3,
        RawFacility::Local4 => Facility::Local4,
        RawFacility::Local5 => Facility::Local5,
        RawFacility::Local6 => Facility::Local6,
        RawFacility::Local7 => Facility::Local7,
    }
}

fn format(raw: Option<RawLogFormat>) -> Format {
    match raw.unwrap_or(RawLogFormat::Json) {
        RawLogFormat::Json => Format::Json,
        RawLogFormat::Text => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_telemetry::LogSettings;

    use crate::tests::kit::World;

    fn logs(top: &str) -> Vec<LogSettings> {
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\n\
             clusters: {{ web: {{ endpoints: ['127.0.0.1:9001'] }} }}\n{top}\n\
             hosts: [{{ names: ['*'], routes: [{{ name: all, to: web }}] }}]"
        );
        World::default().candidate(&text).checked().settings().logs.clone()
    }

    #[test]
    fn the_short_form_is_the_log_of_its_name() {
        for (short, long) in [
            ("{ path: a.log }", "{ file: { path: a.log } }"),
            ("{ path: a.log, format: text, query: false }", "{ file: { path: a.log, format: text }, query: false }"),
            ("{ stdout: true, buffer: 1MiB }", "{ stdout: {}, buffer: 1MiB }"),
            ("{}", "{ stdout: {} }"),
        ] {
            let short = logs(&format!("access_log: {short}"));
            assert_eq!(short, logs(&format!("logs: {{ access_log: {long} }}")));
            assert_eq!(short.len(), 1);
        }
        assert_eq!(logs(""), []);
        let both = logs("access_log: { path: a.log }\nlogs: { b: { stdout: {} } }");
        assert_eq!(both.iter().map(|log| &*log.name).collect::<Vec<_>>(), ["access_log", "b"]);
    }

    #[test]
    fn records_hold_what_the_logs_show_between_them_and_no_more() {
        let options = |logs_text: &str| {
            let text = format!(
                "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\nlogs: {logs_text}\n\
                 clusters: {{ web: {{ endpoints: ['127.0.0.1:9001'] }} }}\n\
                 hosts: [{{ names: ['*'], routes: [{{ name: all, to: web }}] }}]"
            );
            let options = World::default().candidate(&text).checked().settings().record_options();
            (options.query, options.headers.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(options("{}"), (false, vec![]));
        assert_eq!(options("{ a: { stdout: {}, query: false } }"), (false, vec![]));
        let two = "{ a: { stdout: {}, query: false, headers: [X-B, x-a] }, b: { file: { path: b }, headers: [x-a] } }";
        assert_eq!(options(two), (true, vec!["x-a".to_owned(), "x-b".to_owned()]));
    }
}

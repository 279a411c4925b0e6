//! Facts of the logs.

use portcullis_telemetry::logs::{
    Compression, Emf, EmfTarget, Hec, LogKind, LogSettings, Only, Rotation, Syslog, SyslogBody, SyslogTarget,
};
use portcullis_telemetry::{Field, FieldSet, Format};

use super::Facts;

/// The keys of one log.
struct Log<'a> {
    prefix: String,
    facts: &'a mut Facts,
}

impl Log<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn say(&mut self, key: &str, value: impl std::fmt::Display) {
        self.facts.say(self.key(key), value);
    }

    fn say_some(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.say(key, value);
        }
    }

    fn say_list(&mut self, key: &str, values: impl IntoIterator<Item = impl std::fmt::Display>) {
        self.facts.say_list(self.key(key), values);
    }

    fn say_duration(&mut self, key: &str, value: std::time::Duration) {
        self.facts.say_duration(self.key(key), value);
    }

    fn say_bytes(&mut self, key: &str, bytes: u64) {
        self.facts.say_bytes(self.key(key), bytes);
    }

    fn say_format(&mut self, format: Format) {
        let word = match format {
            Format::Json => "json",
            Format::Text => "text",
        };
        self.say("format", word);
    }

    fn say_path(&mut self, path: &std::path::Path, rotation: Option<Rotation>) {
        self.say("path", path.display());
        let Some(rotation) = rotation else { return };
        if let Some(size) = rotation.size {
            self.say_bytes("rotate.size", size.0);
        }
        if let Some(every) = rotation.every {
            self.say_duration("rotate.every", every);
        }
        self.say("rotate.keep", rotation.keep);
        let compress = rotation.compress.map(|compress| match compress {
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
        });
        self.say_some("rotate.compress", compress);
    }

    fn say_syslog(&mut self, syslog: &Syslog) {
        match &syslog.target {
            SyslogTarget::Unix(path) => self.say("to", format_args!("unix:{}", path.display())),
            SyslogTarget::Udp(to) => self.say("to", format_args!("udp:{to}")),
            SyslogTarget::Tcp(to) => self.say("to", format_args!("tcp:{to}")),
        }
        match syslog.body {
            SyslogBody::Message(format) => self.say_format(format),
            SyslogBody::Structured => self.say("format", "structured"),
        }
        self.say("facility", syslog.facility.name());
        self.say("app_name", &syslog.app_name);
    }

    fn say_emf(&mut self, emf: &Emf) {
        match &emf.target {
            EmfTarget::Stdout => self.say("to", "stdout"),
            EmfTarget::File(path, rotation) => self.say_path(path, *rotation),
            EmfTarget::Tcp(to) => self.say("to", format_args!("tcp:{to}")),
        }
        self.say("namespace", &emf.namespace);
        let set = |set: &Vec<portcullis_telemetry::logs::Dimension>| {
            format!("[{}]", set.iter().map(|one| one.name()).collect::<Vec<_>>().join(", "))
        };
        self.say_list("dimensions", emf.dimensions.iter().map(set));
    }

    fn say_hec(&mut self, hec: &Hec) {
        self.say("url", &hec.url);
        let token = self.key("token");
        self.facts.hide(token, &hec.token);
        if let Some(authorities) = &hec.authorities {
            let ca = self.key("ca");
            self.facts.hide(ca, authorities);
        }
        self.say_some("index", hec.index.as_ref());
        self.say_some("source", hec.source.as_ref());
        self.say_some("sourcetype", hec.sourcetype.as_ref());
        self.say("batch.events", hec.batch.events);
        self.say_bytes("batch.bytes", hec.batch.bytes.0);
        self.say_duration("batch.wait", hec.batch.wait);
        self.say("gzip", hec.gzip);
        if let Some(ack) = hec.ack {
            self.say_duration("ack", ack);
        }
        self.say_duration("timeout", hec.timeout);
        if let Some(spool) = &hec.spool {
            self.say("spool.path", spool.path.display());
            self.say_bytes("spool.size", spool.size.0);
        }
    }

    fn say_only(&mut self, only: &Only) {
        if *only == Only::default() {
            return;
        }
        if !only.hosts.is_empty() {
            self.say_list("only.hosts", &only.hosts);
        }
        if !only.statuses.is_empty() {
            let one = |range: &portcullis_telemetry::logs::Statuses| match (range.first, range.last) {
                (0, 0) => "none".to_owned(),
                (first, last) if first == last => first.to_string(),
                (first, _) => format!("{}xx", first / 100),
            };
            self.say_list("only.statuses", only.statuses.iter().map(one));
        }
        if !only.reasons.is_empty() {
            self.say_list("only.reasons", only.reasons.iter().map(|reason| reason.name()));
        }
        if let Some(slower) = only.slower_than {
            self.say_duration("only.slower_than", slower);
        }
        self.say_some("only.share", only.share);
        self.say("only.failures", only.failures);
    }

    fn say_view(&mut self, log: &LogSettings) {
        let view = &log.view;
        self.say("query", view.query);
        if view.fields != FieldSet::ALL {
            let shown = Field::ALL.iter().filter(|field| view.fields.has(**field)).map(|field| field.name());
            self.say_list("fields", shown);
        }
        if !view.headers.is_empty() {
            self.say_list("headers", &view.headers);
        }
        if let Some(hidden) = &view.hidden {
            self.say_list("hide_query_keys", hidden.names());
        }
        if let Some(mask) = view.mask {
            self.say("mask", format_args!("{{ v4: {}, v6: {} }}", mask.v4, mask.v6));
        }
    }
}

/// Says what a log is; of the one named `access_log` in the words of the short form.
pub(super) fn say_log(log: &LogSettings, facts: &mut Facts) {
    let prefix = if &*log.name == "access_log" { log.name.to_string() } else { format!("logs.{}", log.name) };
    let mut said = Log { prefix, facts };
    match &log.kind {
        LogKind::Stdout(format) => {
            said.say("stdout", true);
            said.say_format(*format);
        }
        LogKind::File { path, format, rotation } => {
            said.say_path(path, *rotation);
            said.say_format(*format);
        }
        LogKind::Syslog(syslog) => said.say_syslog(syslog),
        LogKind::Emf(emf) => said.say_emf(emf),
        LogKind::SplunkHec(hec) => said.say_hec(hec),
    }
    said.say_bytes("buffer", log.queue.0);
    said.say_view(log);
    said.say_only(&log.only);
    if &*log.name != "access_log" {
        said.say("kind", log.kind.word());
    }
}

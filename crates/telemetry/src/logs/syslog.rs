//! Messages of RFC 5424 over a datagram socket of the system, UDP (RFC 5426) or TCP with octet counting (RFC 6587).
//!
//! `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`. The record is the message as a JSON object
//! or a line of text, or it is structured data and there is no message. A message holds no newline, so that it can
//! wait as a line. Texts beyond ASCII make no difference: structured data is UTF-8 and a JSON message is what RFC 5424
//! calls MSG-ANY.

use std::process;

use super::network::Address;
use crate::access_log::escape::{address, millis, number};
use crate::access_log::{Field, Format, View, write_shown, write_text};
use crate::record::Record;
use crate::timestamp::write_timestamp;

/// The name of the element of structured data. A name without `@` is IANA's to give, so it carries the number that
/// RFC 5612 set aside for documentation.
const ELEMENT: &str = "request@32473";

macro_rules! facilities {
    ($($(#[$doc:meta])* $variant:ident $name:literal $code:literal;)*) => {
        /// What a message is said to come from (RFC 5424 section 6.2.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Facility {
            $($(#[$doc])* $variant,)*
        }

        impl Facility {
            /// Every one that is offered.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its number.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

facilities! {
    /// Of users.
    User "user" 1;
    /// Of the system's services.
    Daemon "daemon" 3;
    /// Of what guards access.
    Authpriv "authpriv" 10;
    /// For local use.
    Local0 "local0" 16;
    /// For local use.
    Local1 "local1" 17;
    /// For local use.
    Local2 "local2" 18;
    /// For local use.
    Local3 "local3" 19;
    /// For local use.
    Local4 "local4" 20;
    /// For local use.
    Local5 "local5" 21;
    /// For local use.
    Local6 "local6" 22;
    /// For local use.
    Local7 "local7" 23;
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A datagram socket in the file system, such as `/dev/log`.
    Unix(std::path::PathBuf),
    /// A datagram a message.
    Udp(Address),
    /// A stream of counted messages.
    Tcp(Address),
}

/// What the record is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogBody {
    /// The message.
    Message(Format),
    /// An element of structured data; there is no message.
    Structured,
}

/// A sink of syslog messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Where they go.
    pub target: SyslogTarget,
    /// Where they are said to come from.
    pub facility: Facility,
    /// By which program: printable ASCII, at most 48 bytes.
    pub app_name: String,
    /// What the record is.
    pub body: SyslogBody,
}

/// How a record becomes a message.
#[derive(Debug)]
pub(super) struct SyslogStyle {
    facility: u8,
    /// ` HOSTNAME APP-NAME PROCID ` with the spaces.
    origin: String,
    body: SyslogBody,
}

impl SyslogStyle {
    pub(super) fn new(settings: &Syslog, host: &str) -> Self {
        let host = header_word(host, 255);
        let app = header_word(&settings.app_name, 48);
        let origin = format!(" {host} {app} {} ", process::id());
        Self { facility: settings.facility.code(), origin, body: settings.body }
    }

    pub(super) fn render(&self, record: &Record, view: &View, out: &mut Vec<u8>) {
        out.push(b'<');
        number(out, u16::from(self.facility) * 8 + u16::from(severity(record)));
        out.extend_from_slice(b">1 ");
        write_timestamp(out, record.at);
        out.extend_from_slice(self.origin.as_bytes());
        out.extend_from_slice(record.kind.as_str().as_bytes());
        match self.body {
            SyslogBody::Message(format) => {
                out.extend_from_slice(b" - ");
                match format {
                    Format::Json => write_shown(record, view, out),
                    Format::Text => write_text(record, view, out),
                }
            }
            SyslogBody::Structured => {
                out.extend_from_slice(b" [");
                out.extend_from_slice(ELEMENT.as_bytes());
                element(record, view, out);
                out.push(b']');
            }
        }
        out.push(b'\n');
    }
}

/// Of how much harm (RFC 5424 section 6.2.1): `err` for what is the gateway's or an upstream's fault, `warning` for what was
/// refused or failed otherwise, `info` else.
fn severity(record: &Record) -> u8 {
    use portcullis_types::Fault;
    match record.reason.map(portcullis_types::Reason::fault) {
        Some(Fault::Client) => 4,
        Some(Fault::Gateway | Fault::Upstream) => 3,
        None if record.status >= 500 => 3,
        None => 6,
    }
}

/// The name and value pairs of structured data, each with a space before it. Lists are not among them.
fn element(record: &Record, view: &View, out: &mut Vec<u8>) {
    let mut pairs = Pairs { out, view };
    let head = &record.head;
    pairs.text(Field::Id, std::str::from_utf8(&record.id.to_hex()).unwrap_or_default());
    pairs.number(Field::Generation, record.generation.0);
    pairs.text(Field::Listener, record.downstream.listener.as_str());
    pairs.with(Field::Client, |out| address(out, view.client(record)));
    if let Some(tls) = &record.downstream.tls {
        pairs.text(Field::Tls, tls.version);
        pairs.text(Field::Sni, tls.sni.as_deref().unwrap_or_default());
    }
    pairs.text(Field::Protocol, record.protocol.map_or("", |protocol| protocol.as_str()));
    pairs.text(Field::Method, head.method());
    pairs.text(Field::Host, head.host());
    pairs.text(Field::Path, head.path());
    pairs.text(Field::Query, &view.query(record));
    pairs.text(Field::UserAgent, head.user_agent());
    pairs.text(Field::VirtualHost, record.virtual_host.as_deref().unwrap_or_default());
    pairs.text(Field::Route, record.route.as_ref().map_or("", |route| route.as_str()));
    pairs.text(Field::FallbackRoute, record.fallback_route.as_ref().map_or("", |route| route.as_str()));
    pairs.text(Field::Consumer, record.consumer.as_deref().unwrap_or_default());
    pairs.text(Field::Action, record.decision.action());
    pairs.text(Field::Cluster, record.decision.cluster().map_or("", |cluster| cluster.as_str()));
    pairs.number(Field::Status, record.status);
    if let Some(status) = record.upstream_status {
        pairs.number(Field::UpstreamStatus, status);
    }
    pairs.text(Field::Reason, record.reason.map_or("", |reason| reason.name()));
    pairs.text(Field::Fault, record.reason.map_or("", |reason| reason.fault().as_str()));
    pairs.text(Field::Detail, record.detail.as_deref().unwrap_or_default());
    pairs.text(Field::AnsweredBy, record.answered_by.as_deref().unwrap_or_default());
    if let Some(first) = record.timers.first_byte {
        pairs.with(Field::FirstByteMs, |out| millis(out, first));
    }
    pairs.with(Field::TotalMs, |out| millis(out, record.timers.total));
    pairs.number(Field::BytesIn, record.bytes_in);
    pairs.number(Field::BytesOut, record.bytes_out);
    for (name, value) in view.headers(record) {
        pairs.header(name, value);
    }
}

struct Pairs<'a> {
    out: &'a mut Vec<u8>,
    view: &'a View,
}

impl Pairs<'_> {
    fn with(&mut self, field: Field, write: impl FnOnce(&mut Vec<u8>)) {
        if self.view.fields.has(field) {
            self.out.push(b' ');
            self.out.extend_from_slice(field.name().as_bytes());
            self.out.extend_from_slice(b"=\"");
            write(self.out);
            self.out.push(b'"');
        }
    }

    fn number(&mut self, field: Field, n: impl itoa::Integer) {
        self.with(field, |out| number(out, n));
    }

    fn text(&mut self, field: Field, text: &str) {
        if !text.is_empty() {
            self.with(field, |out| param_value(out, text));
        }
    }

    /// A parameter's name has at most 32 characters, so a longer field is cut.
    fn header(&mut self, name: &str, value: &str) {
        if self.view.fields.has(Field::Headers) {
            self.out.extend_from_slice(b" h.");
            self.out.extend_from_slice(name.get(..name.len().min(30)).unwrap_or_default().as_bytes());
            self.out.extend_from_slice(b"=\"");
            param_value(self.out, value);
            self.out.push(b'"');
        }
    }
}

/// Appends a PARAM-VALUE (section 6.3.3): `"`, `\` and `]` escaped. Control characters, which no receiver should be sent,
/// become `?`.
fn param_value(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => {
                out.extend_from_slice(&[b'\\', c.to_string().as_bytes().first().copied().unwrap_or(b'?')])
            }
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => out.push(b'?'),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A word of the header: printable ASCII of at most so many bytes, or `-`.
fn header_word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

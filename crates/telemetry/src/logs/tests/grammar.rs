//! Messages of syslog, read back by the grammar of RFC 5424 section 6.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::access_log::{Format, Mask, View};
use crate::fixture;
use crate::logs::syslog::SyslogStyle;
use crate::logs::{Address, Facility, Syslog, SyslogBody, SyslogTarget};
use crate::record::{Record, RecordOptions, RequestLine};
use crate::redact::Redaction;
use portcullis_types::{ProxyError, Reason};

/// A message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) facility: u16,
    pub(super) severity: u16,
    pub(super) timestamp: String,
    pub(super) header: [String; 4],
    pub(super) elements: Vec<(String, Vec<(String, String)>)>,
    pub(super) text: Option<String>,
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn until(&mut self, end: char) -> Result<&'a str, String> {
        let (word, rest) = self.0.split_once(end).ok_or_else(|| format!("no {end:?} in {:?}", self.0))?;
        self.0 = rest;
        Ok(word)
    }

    fn eat(&mut self, text: &str) -> Result<(), String> {
        self.0 = self.0.strip_prefix(text).ok_or_else(|| format!("{text:?} expected at {:?}", self.0))?;
        Ok(())
    }

    /// PRINTUSASCII of a length, or the nil value.
    fn word(&mut self, most: usize) -> Result<String, String> {
        let word = self.until(' ')?;
        let fits = (1..=most).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(word.to_owned()) } else { Err(format!("{word:?} is no word of the header")) }
    }

    fn name(&mut self, ends: &[char]) -> Result<String, String> {
        let end = self.0.find(ends).ok_or("a name without an end")?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"=]\"".contains(&byte);
        if (1..=32).contains(&name.len()) && name.bytes().all(fits) {
            Ok(name.to_owned())
        } else {
            Err(format!("{name:?}"))
        }
    }

    fn value(&mut self) -> Result<String, String> {
        self.eat("\"")?;
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Ok(value);
                }
                ']' => return Err("a bare ] in a value".to_owned()),
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                    other => return Err(format!("an escape of {other:?}")),
                },
                c => value.push(c),
            }
        }
        Err("a value without an end".to_owned())
    }

    fn element(&mut self) -> Result<(String, Vec<(String, String)>), String> {
        self.eat("[")?;
        let id = self.name(&[' ', ']'])?;
        let mut pairs = Vec::new();
        while self.0.starts_with(' ') {
            self.eat(" ")?;
            let name = self.name(&['='])?;
            self.eat("=")?;
            pairs.push((name, self.value()?));
        }
        self.eat("]")?;
        Ok((id, pairs))
    }
}

fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let form = b"0000-00-00T00:00:00.000Z";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    bytes.len() == form.len() && bytes.iter().zip(form).all(fits)
}

/// Reads a SYSLOG-MSG.
pub(super) fn parse(message: &str) -> Result<Message, String> {
    let mut reader = Reader(message);
    reader.eat("<")?;
    let pri = reader.until('>')?;
    let number: u16 = pri.parse().map_err(|_| format!("PRI {pri}"))?;
    if number > 191 || (pri.len() > 1 && pri.starts_with('0')) {
        return Err(format!("PRI {pri}"));
    }
    reader.eat("1 ")?;
    let timestamp = reader.until(' ')?.to_owned();
    if !is_timestamp(&timestamp) {
        return Err(format!("the time {timestamp}"));
    }
    let header = [reader.word(255)?, reader.word(48)?, reader.word(128)?, reader.word(32)?];
    let mut elements = Vec::new();
    if reader.0.starts_with('-') {
        reader.eat("-")?;
    } else {
        while reader.0.starts_with('[') {
            elements.push(reader.element()?);
        }
        if elements.is_empty() {
            return Err("no structured data".to_owned());
        }
    }
    let text = match reader.0 {
        "" => None,
        rest => Some(rest.strip_prefix(' ').ok_or("no space before the message")?.to_owned()),
    };
    Ok(Message { facility: number / 8, severity: number % 8, timestamp, header, elements, text })
}

pub(super) fn syslog(body: SyslogBody) -> Syslog {
    let target = SyslogTarget::Udp(Address { host: "127.0.0.1".to_owned(), port: 514 });
    Syslog { target, facility: Facility::Local3, app_name: "gate".to_owned(), body }
}

fn message(body: SyslogBody, record: &Record, view: &View) -> String {
    let mut out = Vec::new();
    SyslogStyle::new(&syslog(body), "edge 1.example").render(record, view, &mut out);
    let line = String::from_utf8(out).unwrap();
    line.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_json_message_has_the_header_and_the_record() {
    let record = fixture::typical(7);
    let got = parse(&message(SyslogBody::Message(Format::Json), &record, &View::FULL)).unwrap();
    assert_eq!((got.facility, got.severity, got.timestamp.as_str()), (19, 6, "2026-08-04T12:34:56.789Z"));
    assert_eq!(
        got.header,
        ["edge1.example".to_owned(), "gate".to_owned(), std::process::id().to_string(), "request".to_owned()]
    );
    assert!(got.elements.is_empty());
    assert_eq!(got.text.unwrap(), crate::json(&record));
}

#[test]
fn severity_says_whose_fault_it_is() {
    let check = |reason: Option<Reason>, status: u16, severity: u16| {
        let mut record = fixture::typical(7);
        record.status = status;
        reason.into_iter().for_each(|reason| record.fail(&ProxyError::new(reason)));
        let got = parse(&message(SyslogBody::Message(Format::Text), &record, &View::FULL)).unwrap();
        assert_eq!(got.severity, severity, "{reason:?} {status}");
    };
    check(None, 404, 6);
    check(None, 502, 3);
    check(Some(Reason::OverRate), 429, 4);
    check(Some(Reason::UpstreamReset), 502, 3);
    check(Some(Reason::Internal), 500, 3);
}

#[test]
fn structured_data_tells_the_record_as_its_view_shows_it() {
    let mut record = fixture::typical(7);
    record.keep_header(&"x-tenant".into(), "a]b\"c\\d", &Redaction::default());
    let long: std::sync::Arc<str> = "x-a-name-that-is-longer-than-syslog-takes".into();
    record.keep_header(&long, "v", &Redaction::default());
    let view = View {
        headers: vec!["x-tenant".to_owned(), long.to_string()],
        mask: Some(Mask { v4: 16, v6: 0 }),
        ..View::FULL
    };
    let got = parse(&message(SyslogBody::Structured, &record, &view)).unwrap();
    assert_eq!((got.text, got.elements.len()), (None, 1));
    let (id, pairs) = &got.elements[0];
    let pairs: BTreeMap<&str, &str> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(id, "request@32473");
    assert_eq!((pairs["client"], pairs["path"], pairs["status"]), ("192.0.0.0", "/v1/accounts/7", "200"));
    assert_eq!((pairs["h.x-tenant"], pairs["total_ms"]), ("a]b\"c\\d", "12.345"));
    assert_eq!(pairs["h.x-a-name-that-is-longer-than-s"], "v");
}

proptest! {
    #[test]
    fn no_text_breaks_a_message(texts in proptest::array::uniform3(proptest::collection::vec(any::<u8>(), 0..60)), odd in "[\"\\\\\\] =a\n\u{85}\u{2028}é]{0,20}") {
        let [host, path, agent] = &texts;
        let mut record = fixture::bare(3);
        let line = RequestLine { method: b"GET", host, path, query: Some(odd.as_bytes()), user_agent: Some(agent) };
        record.set_head(&line, &RecordOptions { query: true, ..RecordOptions::default() });
        record.detail = Some(odd.clone().into());
        for body in [SyslogBody::Structured, SyslogBody::Message(Format::Json), SyslogBody::Message(Format::Text)] {
            let got = message(body, &record, &View::FULL);
            prop_assert!(!got.contains('\n') && !got.chars().any(char::is_control), "{got:?}");
            prop_assert!(parse(&got).is_ok(), "{got:?}: {:?}", parse(&got));
        }
    }
}

//! Requests, read to their end.

use std::fmt::Write as _;
use std::io::{BufRead, Read as _, Write};

use crate::Failure;

/// A request whose body was read and thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// The method.
    pub(super) method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: u64,
}

impl Request {
    /// The next request of a connection; `None` when it has ended. Says that it goes on when the request expects it.
    pub(super) fn read(reader: &mut impl BufRead, out: &mut impl Write) -> Result<Option<Self>, Failure> {
        let Some(start) = line(reader)? else { return Ok(None) };
        let mut words = start.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err("not a request".into()) };
        let mut fields = Vec::new();
        while let Some(field) = line(reader)?.filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(':').ok_or("not a field")?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, target, fields, body: 0 };
        if request.field("expect").is_some() {
            out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = request.read_body(reader)?;
        Ok(Some(request))
    }

    fn read_body(&self, reader: &mut impl BufRead) -> Result<u64, Failure> {
        if self.field("transfer-encoding").is_none() {
            let length = self.field("content-length").map_or(Ok(0), str::parse)?;
            return skip(reader, length);
        }
        let mut body = 0;
        loop {
            let size = line(reader)?.ok_or("the connection ended within a body")?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            body += skip(reader, size)?;
            if size == 0 {
                while line(reader)?.is_some_and(|trailer| !trailer.is_empty()) {}
                return Ok(body);
            }
            line(reader)?;
        }
    }

    /// The value of a field, by its lower-case name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A number of the query.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// Whether it asks for a WebSocket.
    pub(super) fn upgrades(&self) -> bool {
        self.field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// Whether the connection ends with it.
    pub(super) fn is_last(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// What the origin saw, as JSON.
    pub(super) fn as_json(&self, name: &str) -> String {
        let mut fields = String::new();
        for (name, value) in &self.fields {
            let comma = if fields.is_empty() { "" } else { "," };
            // Writing to a `String` cannot fail, and its result says nothing.
            let _: Result<(), std::fmt::Error> = write!(fields, "{comma}{}:{}", quoted(name), quoted(value));
        }
        let (name, method, target) = (quoted(name), quoted(&self.method), quoted(&self.target));
        let body = self.body;
        format!(
            "{{\"origin\":{name},\"method\":{method},\"target\":{target},\"body_bytes\":{body},\"headers\":{{{fields}}}}}\n"
        )
    }
}

fn line(reader: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    // A head line longer than this is no sample any more.
    let read = reader.by_ref().take(64 * 1024).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn skip(reader: &mut impl BufRead, length: u64) -> Result<u64, Failure> {
    let skipped = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    if skipped == length { Ok(length) } else { Err("the connection ended within a body".into()) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

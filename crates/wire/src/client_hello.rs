//! A look at a TLS ClientHello without taking part in the handshake: the name (SNI) and the protocols (ALPN) asked
//! for. For routing connections that stay encrypted, and to say what a handshake that failed was about.
//!
//! Reads the first flight as it grows, across TLS records, up to [`MAX_HELLO`] bytes (RFC 8446 sections 4.1.2 and
//! 5.1; RFC 6066 section 3; RFC 7301 section 3.1). It judges only what it must to read: a hello that passes here
//! may still fail in the handshake. One look per connection, so its result owns its memory.

use crate::host::{HostKind, parse_authority};

#[cfg(test)]
pub(crate) mod tests;

/// Most bytes of the records that carry a ClientHello, and of the hello itself.
pub const MAX_HELLO: usize = 16 * 1024;

/// Most bytes of one record's content (RFC 8446 section 5.1).
const MAX_RECORD: usize = 16 * 1024;

closed_error! {
    /// Why the first bytes of a connection are not a ClientHello that can be read.
    pub enum HelloError {
        NotTls, "hello_not_tls", "the connection does not begin with a TLS handshake record";
        RecordLength, "hello_record_length", "a TLS record is empty or longer than 16 KiB";
        NotClientHello, "hello_not_client_hello", "the first handshake message is not a ClientHello";
        TooLarge, "hello_too_large", "the ClientHello is larger than 16 KiB";
        Malformed, "hello_malformed", "a part of the ClientHello reaches past its end";
        ServerName, "hello_server_name", "the server name is not one host name";
        Protocols, "hello_protocols", "the list of application protocols is malformed";
        Repeated, "hello_repeated", "an extension stands more than once";
    }
}

/// What the bytes so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peek {
    /// The hello has not ended. Call again with the same bytes and more.
    NeedMore,
    /// The hello is whole.
    Complete(ClientHello),
}

/// What a ClientHello asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    /// The host name, in lower case and without a trailing dot.
    pub server_name: Option<String>,
    /// The application protocols, in the client's order. Empty when it names none.
    pub protocols: Vec<Vec<u8>>,
}

/// Reads the ClientHello at the start of a connection.
///
/// # Errors
/// The first rule broken.
pub fn peek(buf: &[u8]) -> Result<Peek, HelloError> {
    let window = buf.get(..MAX_HELLO).unwrap_or(buf);
    match assemble(window)? {
        Some(hello) => Ok(Peek::Complete(hello)),
        None if buf.len() >= MAX_HELLO => Err(HelloError::TooLarge),
        None => Ok(Peek::NeedMore),
    }
}

/// Puts the records together until the hello is whole.
fn assemble(window: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    let mut message = Vec::new();
    let mut rest = window;
    loop {
        let Some((content, tail)) = record(rest)? else { return Ok(None) };
        message.extend_from_slice(content.unwrap_or(tail));
        if let Some(body) = handshake(&message)? {
            return read(body).map(Some);
        }
        if content.is_none() {
            return Ok(None);
        }
        rest = tail;
    }
}

/// Splits the first record off: its content and what follows, or no content and the part of it that is here.
#[expect(clippy::type_complexity, reason = "a record, whole or in part, or not begun")]
fn record(bytes: &[u8]) -> Result<Option<(Option<&[u8]>, &[u8])>, HelloError> {
    match bytes {
        [] | [0x16] | [0x16, 0x03] | [0x16, 0x03, _] | [0x16, 0x03, _, _] => Ok(None),
        [0x16, 0x03, _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length == 0 || length > MAX_RECORD {
                return Err(HelloError::RecordLength);
            }
            Ok(Some(match rest.split_at_checked(length) {
                Some((content, tail)) => (Some(content), tail),
                None => (None, rest),
            }))
        }
        [..] => Err(HelloError::NotTls),
    }
}

/// The body of the ClientHello, once it is whole.
fn handshake(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    match message {
        [] => Ok(None),
        [0x01, a, b, c, rest @ ..] => {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if length > MAX_HELLO { Err(HelloError::TooLarge) } else { Ok(rest.get(..length)) }
        }
        [0x01, ..] => Ok(None),
        [..] => Err(HelloError::NotClientHello),
    }
}

fn read(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut reader = Reader { rest: body };
    reader.take(2 + 32)?; // legacy_version and random
    reader.vector_8()?; // legacy_session_id
    reader.vector_16()?; // cipher_suites
    reader.vector_8()?; // legacy_compression_methods
    let mut hello = ClientHello::default();
    if reader.rest.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Reader { rest: reader.vector_16()? };
    let mut seen_protocols = false;
    while !extensions.rest.is_empty() {
        let kind = extensions.number_16()?;
        let content = extensions.vector_16()?;
        match kind {
            0 if hello.server_name.is_some() => return Err(HelloError::Repeated),
            0 => hello.server_name = Some(server_name(content)?),
            16 if seen_protocols => return Err(HelloError::Repeated),
            16 => {
                seen_protocols = true;
                hello.protocols = protocols(content)?;
            }
            _ => {}
        }
    }
    Ok(hello)
}

/// The one `host_name` of a server_name extension.
fn server_name(content: &[u8]) -> Result<String, HelloError> {
    let mut list = Reader { rest: Reader { rest: content }.vector_16()? };
    let (kind, name) = (list.number_8()?, list.vector_16()?);
    let name = name.strip_suffix(b".").unwrap_or(name);
    let authority = parse_authority(name).map_err(|_| HelloError::ServerName)?;
    let plain = kind == 0 && list.rest.is_empty() && authority.port.is_none() && authority.kind == HostKind::Name;
    if plain { Ok(authority.host.to_ascii_lowercase()) } else { Err(HelloError::ServerName) }
}

fn protocols(content: &[u8]) -> Result<Vec<Vec<u8>>, HelloError> {
    let mut list = Reader { rest: Reader { rest: content }.vector_16().map_err(|_| HelloError::Protocols)? };
    let mut found = Vec::new();
    while !list.rest.is_empty() {
        let name = list.vector_8().map_err(|_| HelloError::Protocols)?;
        if name.is_empty() {
            return Err(HelloError::Protocols);
        }
        found.push(name.to_vec());
    }
    if found.is_empty() { Err(HelloError::Protocols) } else { Ok(found) }
}

/// Takes numbers and vectors off a slice (RFC 8446 section 3).
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(HelloError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number_8(&mut self) -> Result<u8, HelloError> {
        let (first, rest) = self.rest.split_first().ok_or(HelloError::Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number_16(&mut self) -> Result<u16, HelloError> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(HelloError::Malformed)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn vector_8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = usize::from(self.number_8()?);
        self.take(length)
    }

    fn vector_16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = usize::from(self.number_16()?);
        self.take(length)
    }
}

//! The type-length-value list of version 2.

use super::ProxyProtocolError as Error;

/// Types of TLVs (section 2.2 of the specification).
pub(super) mod kind {
    pub(in crate::proxy_protocol) const ALPN: u8 = 0x01;
    pub(in crate::proxy_protocol) const AUTHORITY: u8 = 0x02;
    pub(in crate::proxy_protocol) const CRC32C: u8 = 0x03;
    pub(in crate::proxy_protocol) const UNIQUE_ID: u8 = 0x05;
    pub(in crate::proxy_protocol) const SSL: u8 = 0x20;
    pub(in crate::proxy_protocol) const SSL_VERSION: u8 = 0x21;
    pub(in crate::proxy_protocol) const SSL_CN: u8 = 0x22;
}

/// Longest UNIQUE_ID.
const MAX_UNIQUE_ID: usize = 128;
/// Bytes before the TLVs inside an SSL TLV: one of flags, four of the verification's result.
const SSL_PREFIX: usize = 5;

/// One TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tlv<'a> {
    /// The protocol agreed on by ALPN.
    Alpn(&'a [u8]),
    /// The name the client asked for, as by SNI.
    Authority(&'a [u8]),
    /// The checksum; it has been verified.
    Crc32c(u32),
    /// An opaque id of the connection, up to 128 bytes.
    UniqueId(&'a [u8]),
    /// What is known of the client's TLS.
    Ssl(Ssl<'a>),
    /// Any other type, NOOP and NETNS among them.
    Other(u8, &'a [u8]),
}

/// The SSL TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Bit 0: the client came over TLS. Bit 1: it gave a certificate on this connection. Bit 2: in this session.
    pub client: u8,
    /// Whether the certificate was verified.
    pub verified: bool,
    tlvs: Tlvs<'a>,
}

impl<'a> Ssl<'a> {
    /// The version of TLS, such as `TLSv1.3`.
    #[must_use]
    pub fn version(&self) -> Option<&'a [u8]> {
        self.find(kind::SSL_VERSION)
    }

    /// The common name of the client's certificate.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a [u8]> {
        self.find(kind::SSL_CN)
    }

    fn find(&self, wanted: u8) -> Option<&'a [u8]> {
        self.tlvs.raw().find_map(|(kind, value)| (kind == wanted).then_some(value))
    }
}

/// A list of TLVs, each of which fits and has a length its type allows. An iterator over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// Checks the whole list.
    pub(super) fn checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (kind, value, tail) = split(rest).ok_or(Error::V2TlvTruncated)?;
            check(kind, value)?;
            rest = tail;
        }
        Ok(Self { bytes })
    }

    /// Types and values, uninterpreted.
    pub(super) fn raw(self) -> Raw<'a> {
        Raw { rest: self.bytes }
    }

    /// The bytes of the list.
    pub(super) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (kind, value, tail) = split(self.bytes)?;
        self.bytes = tail;
        Some(interpret(kind, value))
    }
}

pub(super) struct Raw<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Raw<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, value, tail) = split(self.rest)?;
        self.rest = tail;
        Some((kind, value))
    }
}

fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, tail) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((*kind, value, tail))
}

fn check(kind: u8, value: &[u8]) -> Result<(), Error> {
    match kind {
        kind::CRC32C if value.len() != 4 => Err(Error::V2TlvInvalid),
        kind::UNIQUE_ID if value.len() > MAX_UNIQUE_ID => Err(Error::V2TlvInvalid),
        kind::SSL => {
            let inner = value.get(SSL_PREFIX..).ok_or(Error::V2TlvInvalid)?;
            let mut rest = inner;
            while !rest.is_empty() {
                rest = split(rest).ok_or(Error::V2TlvTruncated)?.2;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn interpret(kind: u8, value: &[u8]) -> Tlv<'_> {
    match (kind, value) {
        (kind::ALPN, _) => Tlv::Alpn(value),
        (kind::AUTHORITY, _) => Tlv::Authority(value),
        (kind::CRC32C, [a, b, c, d]) => Tlv::Crc32c(u32::from_be_bytes([*a, *b, *c, *d])),
        (kind::UNIQUE_ID, _) => Tlv::UniqueId(value),
        (kind::SSL, [client, a, b, c, d, inner @ ..]) => {
            Tlv::Ssl(Ssl { client: *client, verified: [*a, *b, *c, *d] == [0; 4], tlvs: Tlvs { bytes: inner } })
        }
        (_, _) => Tlv::Other(kind, value),
    }
}

//! What a sink may show of a record.
//!
//! A record holds what any sink may show, without secrets. A view is applied where a line is written, so that what one
//! sink shows is never seen in another: header fields that this view does not list, queries, whole addresses.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::field::FieldSet;
use crate::record::Record;
use crate::redact::Redaction;

/// How much of a client's address is kept: the first bits; the rest are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    /// Of IPv4, 0 to 32.
    pub v4: u8,
    /// Of IPv6, 0 to 128. An IPv4 address mapped into IPv6 is masked as IPv4.
    pub v6: u8,
}

impl Mask {
    /// The address without what is masked.
    #[must_use]
    pub fn apply(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let kept = u32::MAX.checked_shl(32_u32.saturating_sub(self.v4.into())).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & kept).into()
            }
            IpAddr::V6(v6) => {
                let kept = u128::MAX.checked_shl(128_u32.saturating_sub(self.v6.into())).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & kept).into()
            }
        }
    }
}

/// What a sink may show. The default is what the API shows: everything but header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The members of the JSON object. A line of text has a fixed form.
    pub fields: FieldSet,
    /// The header fields that are shown, in lower case.
    pub headers: Vec<String>,
    /// Whether the query is shown.
    pub query: bool,
    /// Query keys whose values are hidden beside those that no record has.
    pub hidden: Option<Redaction>,
    /// How the client's address is cut.
    pub mask: Option<Mask>,
}

impl View {
    /// Everything but header fields.
    pub const FULL: Self = Self { fields: FieldSet::ALL, headers: Vec::new(), query: true, hidden: None, mask: None };

    /// The client's address as it is shown.
    pub(crate) fn client(&self, record: &Record) -> IpAddr {
        self.mask.map_or(record.client, |mask| mask.apply(record.client))
    }

    /// The query as it is shown; empty for none.
    pub(crate) fn query<'a>(&self, record: &'a Record) -> Cow<'a, str> {
        match (&self.hidden, self.query) {
            (_, false) => Cow::Borrowed(""),
            (None, true) => Cow::Borrowed(record.head.query()),
            (Some(hidden), true) => hidden.query(record.head.query()),
        }
    }

    /// The header fields that are shown.
    pub(crate) fn headers<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = (&'a str, &'a str)> {
        let shown = |name: &str| self.headers.iter().any(|listed| listed == name);
        record.headers().iter().filter(move |(name, _)| shown(name)).map(|(name, value)| (&**name, &**value))
    }
}

impl Default for View {
    fn default() -> Self {
        Self::FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_the_first_bits() {
        let check = |(v4, v6): (u8, u8), address: &str, expected: &str| {
            let masked = Mask { v4, v6 }.apply(address.parse().unwrap());
            assert_eq!(masked.to_string(), expected, "{address} /{v4} /{v6}");
        };
        check((24, 48), "192.0.2.7", "192.0.2.0");
        check((24, 48), "2001:db8:1:2:3::4", "2001:db8:1::");
        check((24, 48), "::ffff:192.0.2.7", "192.0.2.0");
        check((0, 0), "192.0.2.7", "0.0.0.0");
        check((0, 0), "2001:db8::1", "::");
        check((32, 128), "192.0.2.7", "192.0.2.7");
        check((32, 128), "2001:db8::1", "2001:db8::1");
    }
}

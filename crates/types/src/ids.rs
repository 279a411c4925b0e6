//! Names and ids. Cheap to clone, never parsed on the hot path.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A cluster's key in the config.
    ClusterName
);
name!(
    /// A listener's key in the config.
    ListenerName
);
name!(
    /// A route's name, unique within its virtual host.
    RouteName
);
name!(
    /// An endpoint as an operator names it: its configured address.
    EndpointName
);

/// Which generation of the config; grows by one with each apply of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GenerationId(pub u64);

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Eight hex digits at once: each request has its id written a few times.
const fn eight_digits(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each digit to a byte of its own.
    let wide = value as u64;
    let wide = (wide << 16 | wide) & 0x0000_ffff_0000_ffff;
    let wide = (wide << 8 | wide) & 0x00ff_00ff_00ff_00ff;
    let wide = (wide << 4 | wide) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 where it is a letter: from 10 on, 6 more carry into the upper half of its byte.
    let letters = ((wide + 6 * ONES) >> 4) & ONES;
    (wide + b'0' as u64 * ONES + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

/// A request's id: 128 bits, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RequestId(pub u128);

impl RequestId {
    /// The 32 hex digits, without an allocation.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        let mut out = [b'0'; 32];
        for (eight, four) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.0.to_be_bytes().as_chunks::<4>().0) {
            *eight = eight_digits(u32::from_be_bytes(*four));
        }
        out
    }

    /// Reads 32 hex digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_is_written_and_read_as_32_hex_digits() {
        for value in [0, 1, 0xdead_beef, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            let id = RequestId(value);
            assert_eq!(id.to_hex(), *id.to_string().as_bytes());
            assert_eq!(RequestId::from_hex(&id.to_string()), Some(id));
        }
        assert_eq!(RequestId::from_hex("+0000000000000000000000000000001"), None);
    }
}

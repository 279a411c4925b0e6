//! CRC32C (Castagnoli) of a version 2 header, with its own four bytes read as zero.

use super::tlv::kind;
use super::{ProxyProtocolError as Error, Tlvs};

/// The polynomial 0x1EDC6F41, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The state of a checksum over pieces.
#[derive(Clone, Copy)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Bit by bit: a header is short, comes once per connection, and few carry a checksum.
    pub(super) fn update(self, bytes: &[u8]) -> Self {
        let mut state = self.0;
        for byte in bytes {
            state ^= u32::from(*byte);
            for _ in 0..8 {
                state = (state >> 1) ^ (POLYNOMIAL & (state & 1).wrapping_neg());
            }
        }
        Self(state)
    }

    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

/// Verifies every CRC32C TLV in `tlvs`, which are the last bytes of `header`. Two of them cannot both be right.
pub(super) fn verify(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), Error> {
    let mut at = header.len() - tlvs.bytes().len();
    for (found, value) in tlvs.raw() {
        let start = at + 3;
        at = start + value.len();
        if found != kind::CRC32C {
            continue;
        }
        let before = header.get(..start).unwrap_or_default();
        let after = header.get(at..).unwrap_or_default();
        let computed = Crc::new().update(before).update(&[0; 4]).update(after).value();
        if value != computed.to_be_bytes() {
            return Err(Error::V2Checksum);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_check_values_of_rfc_3720() {
        assert_eq!(Crc::new().update(b"123456789").value(), 0xe306_9283);
        assert_eq!(Crc::new().update(&[0; 32]).value(), 0x8a91_36aa);
        assert_eq!(Crc::new().update(&[0xff; 16]).update(&[0xff; 16]).value(), 0x62a8_ab43);
    }
}

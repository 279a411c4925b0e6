//! Masks (RFC 6455 section 5.3).

/// Masks or unmasks what stands `offset` bytes behind the start of its payload.
pub(super) fn apply(bytes: &mut [u8], key: [u8; 4], offset: u64) {
    let turn = (offset % 4) as u32;
    let word = u32::from_ne_bytes(turned(key, turn));
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for four in words {
        *four = (u32::from_ne_bytes(*four) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned(key, turn)) {
        *byte ^= mask;
    }
}

/// The key from that byte of it on.
const fn turned(key: [u8; 4], by: u32) -> [u8; 4] {
    u32::from_be_bytes(key).rotate_left(by * 8).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_meets_the_byte_of_the_key_at_its_place() {
        let key = [1, 2, 4, 8];
        for offset in 0..9_u64 {
            for length in 0..20 {
                let mut bytes = vec![0; length];
                apply(&mut bytes, key, offset);
                let naive: Vec<u8> = (0..length as u64).map(|at| key[((at + offset) % 4) as usize]).collect();
                assert_eq!(bytes, naive, "{offset}, {length}");
            }
        }
    }
}

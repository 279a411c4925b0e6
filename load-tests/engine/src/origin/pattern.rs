//! Bytes that both ends know: a stream that differs in every block, so that a lost, doubled or moved one shows. Pure.

use aws_lc_rs::digest::{Context, SHA256};

use portcullis_judge::random::Random;

/// Bytes of a block.
const BLOCK: usize = 64 << 10;

/// The stream.
#[derive(Debug, Clone)]
pub struct Pattern {
    block: Vec<u8>,
    number: u64,
    at: usize,
}

impl Default for Pattern {
    fn default() -> Self {
        let mut random = Random::new(64);
        let block = (0..BLOCK).filter_map(|_| u8::try_from(random.below(256)).ok()).collect();
        let mut pattern = Self { block, number: 0, at: 0 };
        pattern.stamp();
        pattern
    }
}

impl Pattern {
    /// Each block bears its number.
    fn stamp(&mut self) {
        let number = self.number.to_be_bytes();
        self.block.iter_mut().zip(number).for_each(|(byte, new)| *byte = new);
    }

    /// The next bytes, at most so many and at least one of them if any are asked for.
    pub fn next(&mut self, most: u64) -> &[u8] {
        if self.at == BLOCK {
            self.number += 1;
            self.at = 0;
            self.stamp();
        }
        let end = BLOCK.min(self.at.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)));
        let from = std::mem::replace(&mut self.at, end);
        self.block.get(from..end).unwrap_or_default()
    }

    /// So many bytes from the beginning.
    #[must_use]
    pub fn first(length: u64) -> Vec<u8> {
        let (mut pattern, mut all) = (Self::default(), Vec::new());
        while (all.len() as u64) < length {
            let left = length - all.len() as u64;
            all.extend_from_slice(pattern.next(left));
        }
        all
    }

    /// The SHA-256 of so many bytes from the beginning, in hex.
    #[must_use]
    pub fn sha256(length: u64) -> String {
        let (mut pattern, mut context, mut left) = (Self::default(), Context::new(&SHA256), length);
        while left > 0 {
            let bytes = pattern.next(left);
            context.update(bytes);
            left -= bytes.len() as u64;
        }
        hex(context.finish().as_ref())
    }
}

/// Bytes in hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_however_it_is_cut_and_never_repeats_a_block() {
        let collect = |most: u64| {
            let (mut pattern, mut all) = (Pattern::default(), Vec::new());
            while all.len() < 200_000 {
                let left = 200_000 - all.len() as u64;
                all.extend_from_slice(pattern.next(most.min(left)));
            }
            all
        };
        let all = collect(u64::MAX);
        assert_eq!(all, collect(1000));
        assert_ne!(all[..BLOCK], all[BLOCK..2 * BLOCK]);
        assert_eq!(Pattern::sha256(200_000), hex(aws_lc_rs::digest::digest(&SHA256, &all).as_ref()));
    }
}

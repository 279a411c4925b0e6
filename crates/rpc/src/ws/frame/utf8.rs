//! UTF-8 that comes in pieces: wrong bytes are found as they arrive, not when the message is whole.

/// What is known of the text so far: what the character it may be in the middle of still needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// Bytes that are missing.
    missing: u8,
    /// What the next of them may be; the ones behind it are any continuation.
    next: (u8, u8),
}

/// Any continuation byte.
const CONTINUATION: (u8, u8) = (0x80, 0xbf);

impl Utf8 {
    /// Before the text.
    pub(super) const EMPTY: Self = Self { missing: 0, next: (0, 0) };

    /// Takes the next piece; `false` when no text begins so.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.missing > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return true };
            if !self.step(byte) {
                return false;
            }
            piece = rest;
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            // The piece ends within a character.
            Err(error) => piece.iter().skip(error.valid_up_to()).all(|byte| self.step(*byte)),
        }
    }

    /// Whether the text may end here.
    pub(super) const fn is_whole(self) -> bool {
        self.missing == 0
    }

    /// Takes one byte.
    fn step(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            let (least, most) = self.next;
            self.missing -= 1;
            self.next = CONTINUATION;
            return (least..=most).contains(&byte);
        }
        // RFC 3629 section 4: no overlong forms, no surrogates, nothing past U+10FFFF.
        let (missing, next) = match byte {
            0x00..=0x7f => (0, CONTINUATION),
            0xc2..=0xdf => (1, CONTINUATION),
            0xe0 => (2, (0xa0, 0xbf)),
            0xed => (2, (0x80, 0x9f)),
            0xe1..=0xef => (2, CONTINUATION),
            0xf0 => (3, (0x90, 0xbf)),
            0xf1..=0xf3 => (3, CONTINUATION),
            0xf4 => (3, (0x80, 0x8f)),
            _ => return false,
        };
        (self.missing, self.next) = (missing, next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether some text begins with these bytes.
    fn begins_a_text(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
    }

    #[test]
    fn judges_every_two_bytes_as_the_standard_library_does() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let (mut one, mut split) = (Utf8::default(), Utf8::default());
                let right = begins_a_text(&[first, second]);
                assert_eq!(one.feed(&[first, second]), right, "{first:x} {second:x}");
                assert_eq!(split.feed(&[first]) && split.feed(&[second]), right, "{first:x} {second:x}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole_is(
            text in "\\PC{0,12}",
            spoilt in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut bytes = text.into_bytes();
            if let Some((at, byte)) = spoilt && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut state = Utf8::default();
            let fed = cuts.windows(2).all(|cut| state.feed(&bytes[cut[0]..cut[1]]));
            prop_assert_eq!(fed, begins_a_text(&bytes));
            if fed {
                prop_assert_eq!(state.is_whole(), std::str::from_utf8(&bytes).is_ok());
            }
        }
    }
}

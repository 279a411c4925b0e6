//! Basic credentials (RFC 7617): one part of them, decoded without an allocation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{BasicPart, MOST_KEY, Text};

/// Bytes of user-id and password together.
const MOST: usize = 2 * MOST_KEY;

/// The part that is a key; `None` when it is no Base64, has no colon, or is too long.
pub(super) fn read(encoded: &[u8], part: BasicPart) -> Option<Text<'static>> {
    let mut decoded = [0; MOST];
    // Base64 may ask for room up to the next three bytes.
    let fits = encoded.len() / 4 * 3 <= MOST - 3;
    let length = if fits { STANDARD.decode_slice(encoded, &mut decoded).ok()? } else { return None };
    let decoded = decoded.get(..length)?;
    let colon = memchr::memchr(b':', decoded)?;
    let (user, rest) = decoded.split_at_checked(colon)?;
    let chosen = match part {
        BasicPart::User => user,
        BasicPart::Password => rest.get(1..)?,
    };
    Text::collect(chosen.iter().map(|byte| Some(*byte)), MOST_KEY)
}

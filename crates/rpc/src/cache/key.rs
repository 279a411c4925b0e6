//! What makes two calls the same.

use std::sync::Arc;

use portcullis_types::RequestView;

use crate::body::Body;
use crate::scan::Call;

/// The key of a call: host, path, query, method, params. None of the first four holds a line break, and params are JSON
/// without white space, so no two calls have one key.
pub(super) fn of(request: &RequestView<'_>, body: &Body, call: &Call) -> Arc<[u8]> {
    let params = call.params().map_or(&b"[]"[..], |params| params.of(body.text()));
    let method = body.slice(call.method());
    let query = request.query.unwrap_or_default();
    let mut key =
        Vec::with_capacity(request.host.len() + request.path.len() + query.len() + method.len() + params.len() + 4);
    for part in [request.host, request.path, query, method] {
        key.extend_from_slice(part.as_bytes());
        key.push(b'\n');
    }
    push_compact(params, &mut key);
    key.into()
}

/// Adds JSON text without the white space between its tokens.
fn push_compact(text: &[u8], out: &mut Vec<u8>) {
    let (mut inside, mut escaped) = (false, false);
    for &byte in text {
        if inside || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            out.push(byte);
        }
        let quote = byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
        inside ^= quote;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(text: &str) -> String {
        let mut out = Vec::new();
        push_compact(text.as_bytes(), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn white_space_goes_between_tokens_and_stays_in_strings() {
        let text = "[ \"a b\\\" c \\\\\" ,\n\t{ \"k \" : [ 1 , 2 ] } ]";
        assert_eq!(compact(text), "[\"a b\\\" c \\\\\",{\"k \":[1,2]}]");
    }

    proptest! {
        #[test]
        fn a_key_says_the_same_as_the_params_do(text in crate::json::tests::any_json()) {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            let key = compact(&text);
            prop_assert_eq!(value(&key), value(&text));
            prop_assert_eq!(compact(&key), key);
        }
    }
}

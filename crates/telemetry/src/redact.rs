//! What must never be shown: header fields and query keys that carry secrets.
//!
//! Used where a record is made and where `explain` prints a request. The rule leans to hiding: a name is secret
//! when, stripped to its letters and digits in lower case, it equals a listed word or contains a listed part, so
//! `X-Api-Key`, `apiKey` and `api%2Dkey` are one name. Operators may add names; they cannot take any away.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Stands where a secret value stood.
pub const REDACTED: &str = "***";

/// A name that contains one of these is secret.
const PARTS: [&str; 14] = [
    "apikey",
    "accesskey",
    "authorization",
    "cookie",
    "credential",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "session",
    "signature",
    "token",
];

/// A name that equals one of these is secret; as a part they would hide too much.
const WORDS: [&str; 10] = ["auth", "code", "key", "otp", "pass", "pin", "pwd", "sid", "sig", "xauth"];

/// What separates the pairs of a query.
const SEPARATORS: [char; 2] = ['&', ';'];

/// The longest name that is looked at; a longer one is secret, since nobody can say what it is.
const NAME_BYTES: usize = 128;

/// Which names are secret: the built-in lists and an operator's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Stripped like the names they are compared with.
    own: Vec<String>,
}

impl Redaction {
    /// The built-in lists and these names, for header fields and query keys alike.
    #[must_use]
    pub fn with_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let own = names.into_iter().map(|name| name.chars().filter_map(stripped_char).collect());
        Self { own: own.filter(|name: &String| !name.is_empty()).collect() }
    }

    /// The operator's own names, stripped to letters and digits in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(String::as_str)
    }

    /// Whether the value of a header field or of a (decoded) query key must be hidden.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        self.is_secret_bytes(name.bytes())
    }

    /// Whether the value of a header field must be hidden from records. Stricter than [`Redaction::is_secret`], since
    /// fields are where callers put their keys: whatever ends in `key` is secret too.
    #[must_use]
    pub fn is_secret_header(&self, name: &str) -> bool {
        let letters = || name.bytes().rev().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
        letters().take(3).eq(*b"yek") || self.is_secret(name)
    }

    /// The value of a header field, or [`REDACTED`].
    #[must_use]
    pub fn header_value<'a>(&self, name: &str, value: &'a str) -> &'a str {
        if self.is_secret(name) { REDACTED } else { value }
    }

    /// A query with its secret values replaced. Pairs end at `&` or `;`, since some upstreams split at both. Keys are
    /// compared after percent-decoding; a pair without `=` is kept when its key is not secret, else replaced whole,
    /// since the key may be the secret.
    #[must_use]
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if !query.split(SEPARATORS).any(|pair| self.is_secret_pair(pair)) {
            return Cow::Borrowed(query);
        }
        let mut out = String::with_capacity(query.len());
        for piece in query.split_inclusive(SEPARATORS) {
            let pair = piece.strip_suffix(SEPARATORS).unwrap_or(piece);
            match pair.split_once('=') {
                Some((key, _)) if self.is_secret_pair(pair) => {
                    out.push_str(key);
                    out.push('=');
                    out.push_str(REDACTED);
                }
                None if self.is_secret_pair(pair) => out.push_str(REDACTED),
                Some(_) | None => out.push_str(pair),
            }
            out.push_str(piece.get(pair.len()..).unwrap_or_default());
        }
        Cow::Owned(out)
    }

    fn is_secret_pair(&self, pair: &str) -> bool {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        self.is_secret_bytes(PercentDecoded(key.bytes()))
    }

    fn is_secret_bytes(&self, name: impl Iterator<Item = u8>) -> bool {
        let mut stripped = SmallVec::<[u8; NAME_BYTES]>::new();
        for byte in name.filter(u8::is_ascii_alphanumeric) {
            if stripped.len() == NAME_BYTES {
                return true;
            }
            stripped.push(byte.to_ascii_lowercase());
        }
        let Ok(name) = std::str::from_utf8(&stripped) else { return true };
        WORDS.contains(&name) || PARTS.iter().any(|part| name.contains(part)) || self.own.iter().any(|own| own == name)
    }
}

fn stripped_char(c: char) -> Option<char> {
    c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase())
}

/// The bytes of a percent-encoded text, decoded; a malformed escape stands for itself.
struct PercentDecoded<'a>(std::str::Bytes<'a>);

impl Iterator for PercentDecoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = self.0.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let mut ahead = self.0.clone();
        let pair = ahead.next().and_then(hex).zip(ahead.next().and_then(hex));
        match pair {
            Some((high, low)) => {
                self.0 = ahead;
                Some(high << 4 | low)
            }
            None => Some(byte),
        }
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_secret_names_in_every_spelling() {
        let redaction = Redaction::with_names(["X-Tenant-Pin"]);
        for name in [
            "authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "api-key",
            "apikey",
            "X-API-Key",
            "x_access_token",
            "idToken",
            "client_secret",
            "key",
            "xTenantPin",
        ] {
            assert!(redaction.is_secret(name), "{name}");
        }
        for name in ["accept", "host", "page", "keyword", "x-request-id", "user-agent", "codec", "pinned", ""] {
            assert!(!redaction.is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_header_field_that_ends_in_key_is_secret() {
        for (name, secret) in [
            ("x-rpc-key", true),
            ("x-rpc-k-e-y", true),
            ("key", true),
            ("cookie", true),
            ("x-keys", false),
            ("ke", false),
        ] {
            assert_eq!(Redaction::default().is_secret_header(name), secret, "{name}");
        }
    }

    #[test]
    fn hides_secret_query_values_only() {
        let check = |query: &str, expected: &str| assert_eq!(Redaction::default().query(query), expected);
        check("page=2&sort=name", "page=2&sort=name");
        check("page=2&api_key=s3cr3t&x=1", "page=2&api_key=***&x=1");
        check("api%2Dk%65y=s3cr3t", "api%2Dk%65y=***");
        check("token=a=b&token=c", "token=***&token=***");
        check("flag&mytoken123", "flag&***");
        check("%zz=1&k%6=2", "%zz=1&k%6=2");
        check("page=1;token=a;sort=b&", "page=1;token=***;sort=b&");
        check("", "");
    }

    #[test]
    fn a_name_too_long_to_judge_is_secret() {
        assert!(Redaction::default().is_secret(&"a".repeat(129)));
        assert!(!Redaction::default().is_secret(&"a".repeat(128)));
    }

    proptest! {
        #[test]
        fn a_secret_value_never_survives(before in "[a-z=&;%]{0,20}", key in "([xX]-)?([aA][pP]i[-_]?Key|tOKEN|pass%77ord)") {
            let query = format!("{before}&{key}=SECRETVALUE&end=1");
            prop_assert!(!Redaction::default().query(&query).contains("SECRETVALUE"));
        }

        #[test]
        fn redacting_twice_changes_nothing_more(query in "\\PC{0,60}") {
            let once = Redaction::default().query(&query).into_owned();
            prop_assert_eq!(Redaction::default().query(&once).into_owned(), once);
        }
    }
}

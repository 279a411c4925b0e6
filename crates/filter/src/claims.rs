//! Fields that only the gateway may write: what tells an upstream who calls.
//!
//! An upstream believes such a field whichever route it is reached by. So what a client sends under its name is taken away
//! on all routes as soon as one filter of the config claims it, before anything reads the head.

use http::HeaderName;
use pingora_http::RequestHeader;

/// The names that the filters of a config claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(Box<[HeaderName]>);

impl FromIterator<HeaderName> for Claims {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        let mut names: Vec<HeaderName> = names.into_iter().collect();
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        Self(names.into())
    }
}

impl Claims {
    /// Takes away what a client claims. A name that differs by `_` for `-` is the same one to an upstream that reads fields
    /// as CGI does (RFC 3875 section 4.1.18).
    pub fn strip(&self, request: &mut RequestHeader) {
        if self.0.is_empty() {
            return;
        }
        let ours = |name: &&HeaderName| self.0.iter().any(|one| is_same(one.as_str(), name.as_str()));
        let forged: Vec<HeaderName> = request.headers.keys().filter(ours).cloned().collect();
        for name in &forged {
            drop(request.remove_header(name));
        }
    }
}

fn is_same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_away_what_differs_by_underscores_too_and_nothing_else() {
        let names = ["x-consumer-id", "x_plan", "x-consumer-id"].map(HeaderName::from_static);
        let claims: Claims = names.into_iter().collect();
        assert_eq!(claims.0.len(), 2);
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in ["x-consumer-id", "X_Consumer-Id", "x-plan", "x-consumer-ids", "x-consumer", "accept"] {
            request.append_header(name, "1").unwrap();
            request.append_header(name, "2").unwrap();
        }
        claims.strip(&mut request);
        let mut left: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-consumer", "x-consumer-ids"]);
        let before = request.headers.clone();
        Claims::default().strip(&mut request);
        assert_eq!(request.headers, before);
    }
}

//! `match:` of a route.

use http::HeaderName;

use portcullis_policy::matcher::{
    BodyMatch, CertificateMatcher, CookieMatcher, HeaderMatcher, MethodMatcher, NetworkMatcher, PercentageMatcher,
    QueryMatcher, ValueMatch,
};
use portcullis_policy::{Conditions, HashKey, Matcher, PathError, PathMatcher};
use portcullis_yaml::{Diagnostic, Named, OneOrMany, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::matchers::{RawCertificateMatch, RawCondition, RawMatch, RawPath, RawPercentage, RawValueMatch};
use crate::raw::words::RpcMethodWord;

impl Compiler<'_, '_> {
    /// A matcher. A condition that is wrong is left out after its error was pushed; a path that is wrong matches
    /// everything meanwhile.
    pub(super) fn matcher(&mut self, raw: Option<&RawMatch>) -> Matcher {
        let Some(raw) = raw else { return Matcher::default() };
        let path = raw.path.as_ref().and_then(|path| self.path(path)).unwrap_or_default();
        let headers = self.conditions(&raw.headers, |this, name, span, value| {
            let name = this.field_name(name, span)?;
            Some(HeaderMatcher { name, value })
        });
        let query = self.conditions(&raw.query, |_, name, _, value| Some(QueryMatcher { name: name.into(), value }));
        let cookies =
            self.conditions(&raw.cookies, |_, name, _, value| Some(CookieMatcher { name: name.into(), value }));
        let conditions = Conditions {
            methods: self.some_of(raw.method.as_ref(), "method", MethodMatcher::new),
            headers,
            query,
            cookies,
            certificate: raw.client_certificate.as_ref().map(|raw| certificate(&raw.value)),
            network: self.some_of(raw.network.as_ref(), "network", NetworkMatcher::new),
            body: raw.jsonrpc.as_ref().and_then(|methods| self.jsonrpc(methods)),
            percentage: raw.percentage.as_ref().map(|raw| percentage(&raw.value)),
        };
        Matcher { path, conditions }
    }

    fn path(&mut self, raw: &RawPath) -> Option<PathMatcher> {
        let (text, read) = match raw {
            RawPath::Prefix(text) => (text, PathMatcher::prefix(&text.value)),
            RawPath::Exact(text) => (text, PathMatcher::exact(&text.value)),
            RawPath::Template(text) => (text, PathMatcher::template(&text.value)),
            RawPath::Regex(text) => (text, PathMatcher::regex(&text.value)),
        };
        read.map_err(|error| self.bad_path(text, &error)).ok()
    }

    pub(super) fn bad_path(&mut self, text: &Spanned<String>, error: &PathError) {
        if let PathError::Regex(error) = error {
            return self.bad_pattern(text, error);
        }
        let message = format!("`{}` cannot be matched: {error}", text.value);
        self.cx.error(code::MATCHER_INVALID, text.span, message);
    }

    /// A list of which one must hold; an empty one would match nothing.
    fn some_of<T: Clone, M>(
        &mut self,
        raw: Option<&Spanned<OneOrMany<T>>>,
        what: &str,
        make: impl FnOnce(Vec<T>) -> Option<M>,
    ) -> Option<M> {
        let raw = raw?;
        let made = make(raw.value.0.clone());
        if made.is_none() {
            self.empty(raw.span, what);
        }
        made
    }

    fn empty(&mut self, span: Span, what: &str) {
        let message = format!("no {what} is named, so nothing would match");
        self.cx.push(Diagnostic::error(code::MATCHER_INVALID, span, message).help("leave the key out to match any"));
    }

    fn conditions<M>(
        &mut self,
        raw: &Named<RawValueMatch>,
        make: impl Fn(&mut Self, &str, Span, ValueMatch) -> Option<M>,
    ) -> Vec<M> {
        let mut made = Vec::with_capacity(raw.len());
        for entry in raw {
            if let Some(value) = self.value_match(&entry.value) {
                made.extend(make(self, &entry.name, entry.span, value));
            }
        }
        made
    }

    fn value_match(&mut self, raw: &RawValueMatch) -> Option<ValueMatch> {
        Some(match raw {
            RawValueMatch::Equals(text) | RawValueMatch::Condition(RawCondition::Exact(text)) => {
                ValueMatch::Exact(text.as_str().into())
            }
            RawValueMatch::Condition(RawCondition::Prefix(text)) => ValueMatch::Prefix(text.as_str().into()),
            RawValueMatch::Condition(RawCondition::Regex(text)) => ValueMatch::Regex(self.pattern(text)?),
            RawValueMatch::Condition(RawCondition::Present(true) | RawCondition::Absent(false)) => ValueMatch::Present,
            RawValueMatch::Condition(RawCondition::Present(false) | RawCondition::Absent(true)) => ValueMatch::Absent,
        })
    }

    fn field_name(&mut self, name: &str, span: Span) -> Option<HeaderName> {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            return Some(name);
        }
        let message = format!("`{name}` is not the name of a header field");
        self.cx.fail(Diagnostic::error(code::MATCHER_INVALID, span, message).help("for example `x-request-id`"))
    }

    fn jsonrpc(&mut self, raw: &Spanned<OneOrMany<RpcMethodWord>>) -> Option<BodyMatch> {
        if self.seams.body.is_none() {
            let message = "this binary does not read bodies, so `jsonrpc` cannot be matched";
            let help = "use a binary with a body reader, or route by path, method or header";
            return self.cx.fail(Diagnostic::error(code::BODY_MATCHER_UNAVAILABLE, raw.span, message).help(help));
        }
        self.some_of(Some(raw), "JSON-RPC method", |methods| BodyMatch::jsonrpc(methods.into_iter().map(|word| word.0)))
    }
}

fn certificate(raw: &RawCertificateMatch) -> CertificateMatcher {
    match raw {
        RawCertificateMatch::Present => CertificateMatcher::Present,
        RawCertificateMatch::Subject(subject) => CertificateMatcher::Subject(subject.as_str().into()),
        RawCertificateMatch::Name(name) => CertificateMatcher::Name(name.0.clone()),
        RawCertificateMatch::Fingerprint(fingerprint) => CertificateMatcher::Fingerprint(fingerprint.0.clone()),
    }
}

fn percentage(raw: &RawPercentage) -> PercentageMatcher {
    PercentageMatcher { percent: raw.share, key: raw.by.as_ref().map_or(HashKey::ClientIp, |key| key.0.0.clone()) }
}

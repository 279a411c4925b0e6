//! `consumers:` and `tokens:`.

use std::path::Path;
use std::time::Duration;

use portcullis_identity::{Format, HashSecret, throttle, token};
use portcullis_snapshot::settings::{Consumers, ConsumersFile, Issuer, KeySource, KeyUrl};
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, NamedEntry, Span, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::raw::consumers::{RawConsumers, RawIssuer, RawKeys, RawThrottle};
use crate::raw::top::Top;

/// How often keys are fetched by default, and no more often than at all.
const REFRESH: Duration = Duration::from_secs(600);
const LEAST_REFRESH: Duration = Duration::from_secs(5);
/// How far clocks may differ by default.
const SKEW: Duration = Duration::from_secs(30);
/// How long tokens may be good by default.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Compiler<'_, '_> {
    pub(super) fn consumers(&mut self, raw: &RawConsumers) -> Option<Consumers> {
        let throttle = self.throttle(raw.throttle.as_ref());
        let file = raw.file.as_ref().and_then(|file| self.consumers_file(file));
        let secret = raw.secret.value.expose().parse::<HashSecret>();
        let secret = secret.map_err(|error| {
            let message = format!("this is no secret for keys: {error}");
            let diagnostic = Diagnostic::error(code::KEYS_SECRET, raw.secret.span, message);
            self.cx.push(diagnostic.help("`portcullis key secret > keys.secret` makes one"));
        });
        Some(Consumers { file, secret: secret.ok()?, throttle })
    }

    fn consumers_file(&mut self, file: &Spanned<String>) -> Option<ConsumersFile> {
        let path = self.cx.resolve(file.span, &file.value);
        let ending = Path::new(&file.value).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = match ending.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Format::Yaml,
            "ndjson" | "jsonl" => Format::Ndjson,
            _ => {
                let message = format!("how is `{}` written?", file.value);
                let help = "its name ends with `.yaml` or `.yml` for a YAML list, or with `.ndjson` or `.jsonl` for a \
                            JSON object a line";
                return self.cx.fail(Diagnostic::error(yaml_code::INVALID_VALUE, file.span, message).help(help));
            }
        };
        Some(ConsumersFile { path, format })
    }

    fn throttle(&mut self, raw: Option<&RawThrottle>) -> throttle::Rules {
        let usual = throttle::Rules::default();
        let Some(raw) = raw else { return usual };
        let rules = throttle::Rules {
            v4_prefix: self.number(raw.v4_prefix, usual.v4_prefix, 8..=32),
            v6_prefix: self.number(raw.v6_prefix, usual.v6_prefix, 16..=128),
            window: self.time(raw.window, usual.window),
            failures: self.number(raw.failures, usual.failures, 1..=1_000_000),
            first: self.time(raw.first, usual.first),
            longest: self.time(raw.longest, usual.longest),
            ban: self.time(raw.ban, usual.ban),
            tracked: self.number(raw.tracked, usual.tracked, 512..=1_000_000),
            columns: usual.columns,
        };
        if let Some(longest) = raw.longest.filter(|_| rules.longest < rules.first) {
            let message = format!("`longest` is shorter than `first`, which is {}", format_duration(rules.first));
            self.cx.error(code::OUT_OF_RANGE, longest.span, message);
        }
        rules
    }

    /// The issuers, each of an `iss` of its own.
    pub(super) fn issuers(&mut self, top: &Top) -> Vec<Issuer> {
        let mut issuers: Vec<Issuer> = Vec::new();
        for entry in top.tokens.iter().flatten() {
            let Some(issuer) = self.issuer(entry) else { continue };
            if let Some(other) = issuers.iter().find(|other| other.rules.issuer() == issuer.rules.issuer()) {
                let message = format!("`{}` is of this issuer already", other.name);
                self.cx.error(code::ISSUER_INVALID, entry.value.value.issuer.span, message);
            }
            issuers.push(issuer);
        }
        issuers
    }

    fn issuer(&mut self, entry: &NamedEntry<Spanned<RawIssuer>>) -> Option<Issuer> {
        let raw = &entry.value.value;
        let skew = raw.clock_skew.map_or(SKEW, |skew| skew.value);
        let longest = self.time(raw.longest, LONGEST);
        let audiences: Vec<&str> = raw.audiences.value.iter().map(String::as_str).collect();
        let rules = token::Rules::new(&raw.issuer.value, &audiences, skew, Some(longest));
        let rules = rules.map_err(|error| {
            let span = match error {
                token::RulesError::Issuer => raw.issuer.span,
                token::RulesError::Audience => raw.audiences.span,
                token::RulesError::Skew => raw.clock_skew.map_or(entry.span, |skew| skew.span),
            };
            self.cx.error(code::ISSUER_INVALID, span, error.to_string());
        });
        let keys = self.keys(&raw.keys);
        let remember = self.number(raw.remember, 16_384, 0..=1_000_000);
        Some(Issuer { name: entry.name.clone(), rules: rules.ok()?, keys: keys?, remember })
    }

    fn keys(&mut self, raw: &Spanned<RawKeys>) -> Option<KeySource> {
        let Spanned { span, value } = raw;
        match (&value.file, &value.url) {
            (Some(file), None) => {
                let beside =
                    [("refresh", value.refresh.map(|one| one.span)), ("ca", value.ca.as_ref().map(|one| one.span))];
                for (key, span) in beside {
                    if let Some(span) = span {
                        let message = format!("`{key}` is for a `url`; a file is read whenever it changes");
                        self.cx.error(code::SETTING_CONFLICT, span, message);
                    }
                }
                self.key_file(file)
            }
            (None, Some(url)) => self.key_url(value, url).map(KeySource::Url),
            (Some(_), Some(url)) => {
                let message = "keys are in a `file` or at a `url`, not both";
                self.cx.fail(Diagnostic::error(yaml_code::CONFLICTING_KEYS, url.span, message))
            }
            (None, None) => {
                let diagnostic = Diagnostic::error(yaml_code::MISSING_KEY, *span, "where are the keys?");
                self.cx.fail(diagnostic.help("write `file: jwks.json` or `url: https://…`"))
            }
        }
    }

    fn key_file(&mut self, file: &Spanned<String>) -> Option<KeySource> {
        let path = self.cx.resolve(file.span, &file.value);
        let text = self.cx.read_or_report(&path, file.span)?;
        match token::KeySet::parse(text.as_bytes()) {
            Ok(keys) => Some(KeySource::File(path, keys)),
            Err(error) => {
                let message = format!("`{}` is no key set: {error}", file.value);
                self.cx.fail(Diagnostic::error(code::ISSUER_INVALID, file.span, message))
            }
        }
    }

    fn key_url(&mut self, raw: &RawKeys, url: &Spanned<String>) -> Option<KeyUrl> {
        let refresh = self.time(raw.refresh, REFRESH);
        if let Some(written) = raw.refresh.filter(|_| refresh < LEAST_REFRESH) {
            let message = format!("`refresh` is at least {}", format_duration(LEAST_REFRESH));
            self.cx.error(code::OUT_OF_RANGE, written.span, message);
        }
        let authorities = match &raw.ca {
            Some(ca) => Some(self.authorities_text(ca)?),
            None => None,
        };
        let parsed = url.value.parse::<http::Uri>().ok().filter(|uri| {
            let scheme = uri.scheme_str();
            let authority = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
            authority && matches!(scheme, Some("http" | "https"))
        });
        let Some(parsed) = parsed else { return self.no_url(url.span) };
        Some(KeyUrl { url: parsed, refresh, authorities })
    }

    fn no_url(&mut self, span: Span) -> Option<KeyUrl> {
        let diagnostic = Diagnostic::error(code::ISSUER_INVALID, span, "this is no URL of keys");
        self.cx.fail(diagnostic.help("for example `https://login.example.com/.well-known/jwks.json`"))
    }
}

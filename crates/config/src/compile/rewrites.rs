//! Another path, another Host: `rewrite:`, and the path of `redirect:`.

use http::HeaderValue;

use portcullis_policy::matcher::PathKind;
use portcullis_policy::{PathMatcher, PathRewrite, RewriteError};
use portcullis_yaml::{Diagnostic, Spanned};

use super::Compiler;
use crate::code;
use crate::plan::RewritePlan;
use crate::raw::actions::{RawPathRewrite, RawRewrite};

impl Compiler<'_, '_> {
    pub(super) fn rewrite(
        &mut self,
        raw: Option<&Spanned<RawRewrite>>,
        matched: &PathMatcher,
    ) -> (Option<RewritePlan>, Option<HeaderValue>) {
        let Some(raw) = raw else { return (None, None) };
        let host = raw.value.host.as_ref().and_then(|host| HeaderValue::from_str(host.0.authority()).ok());
        if raw.value.path.is_none() && raw.value.host.is_none() {
            let diagnostic = Diagnostic::error(code::REWRITE_INVALID, raw.span, "the rewrite changes nothing");
            self.cx.push(diagnostic.help("write `path`, `prefix`, `template`, `regex` or `host`"));
        }
        (raw.value.path.as_ref().and_then(|path| self.path_rewrite(path, matched)), host)
    }

    pub(super) fn path_rewrite(&mut self, raw: &RawPathRewrite, matched: &PathMatcher) -> Option<RewritePlan> {
        let (text, made) = match raw {
            RawPathRewrite::Path(text) => (text, PathRewrite::replace(&text.value)),
            RawPathRewrite::Prefix(text) if matched.kind() == PathKind::Prefix => {
                (text, PathRewrite::prefix(matched.text(), &text.value))
            }
            RawPathRewrite::Prefix(text) => {
                let message =
                    "`prefix` takes the place of the prefix that the route's `path` matched; it has no `path`";
                let help = "write `path`, `template` or `regex`, or match by `path`";
                return self.cx.fail(Diagnostic::error(code::REWRITE_INVALID, text.span, message).help(help));
            }
            RawPathRewrite::Template(text) => (text, PathRewrite::template(&text.value, matched)),
            RawPathRewrite::Regex(regex) => {
                let at = &regex.pattern;
                let made = PathRewrite::regex(&at.value, &regex.replacement.value);
                let group = matches!(made, Err(RewriteError::UnknownGroup(_) | RewriteError::Brace));
                (if group { &regex.replacement } else { at }, made)
            }
        };
        match made {
            Ok(rewrite) => Some(RewritePlan { rewrite, text: words(raw) }),
            Err(error) => {
                self.bad_rewrite(text, &error);
                None
            }
        }
    }

    fn bad_rewrite(&mut self, text: &Spanned<String>, error: &RewriteError) {
        let code = match error {
            RewriteError::Regex(error) => return self.bad_pattern(text, error),
            RewriteError::UnknownParam { .. } => code::UNKNOWN_PARAM,
            RewriteError::Path(_) | RewriteError::Brace | RewriteError::UnknownGroup(_) => code::REWRITE_INVALID,
        };
        self.cx.error(code, text.span, error.to_string());
    }
}

/// A rewrite in the words of the config.
fn words(raw: &RawPathRewrite) -> String {
    match raw {
        RawPathRewrite::Path(text) => format!("path {}", text.value),
        RawPathRewrite::Prefix(text) => format!("prefix {}", text.value),
        RawPathRewrite::Template(text) => format!("template {}", text.value),
        RawPathRewrite::Regex(regex) => format!("regex {} by {}", regex.pattern.value, regex.replacement.value),
    }
}

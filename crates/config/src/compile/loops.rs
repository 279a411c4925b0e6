//! Redirects that lead back to where the request was.

use std::borrow::Cow;

use portcullis_policy::matcher::{Conditions, PathKind};
use portcullis_policy::{HostPattern, Params, Redirect};
use portcullis_yaml::{Diagnostic, Span};

use super::Compiler;
use crate::code;
use crate::plan::{ActionPlan, RoutePlan};

impl Compiler<'_, '_> {
    /// Warns of a route that redirects a request to the very place it asked for. Only where that can be known: another
    /// condition than the path may tell the second request from the first.
    pub(super) fn warn_return(&mut self, route: &RoutePlan, at: Span, names: &[HostPattern]) {
        let ActionPlan::Redirect(plan) = &route.action else { return };
        let redirect = &plan.redirect;
        let moves = redirect.scheme.is_some() || redirect.port.is_some() || !keeps_path(redirect, route);
        if moves || route.matcher.conditions != Conditions::default() {
            return;
        }
        let which = match &redirect.host {
            None => Cow::Borrowed("a request"),
            Some(host) if names.contains(&HostPattern::Exact(host.clone())) => {
                Cow::Owned(format!("a request for `{}`", host.as_str()))
            }
            Some(_) => return,
        };
        let message = format!("the route `{}` redirects {which} to where it was, again and again", route.name);
        let warning = Diagnostic::warning(code::REDIRECT_INVALID, at, message);
        self.cx.push(warning.help("change its scheme, host, port or path, or let another host have that name"));
    }
}

/// Whether there is a path of the route's that stays what it was.
fn keeps_path(redirect: &Redirect, route: &RoutePlan) -> bool {
    let Some(rewrite) = &redirect.path else { return true };
    let path = &route.matcher.path;
    match path.kind() {
        PathKind::Exact | PathKind::Prefix => {
            let path = if path.text().is_empty() { "/" } else { path.text() };
            rewrite.apply(path, &Params::default()) == path
        }
        PathKind::Template | PathKind::Regex => false,
    }
}

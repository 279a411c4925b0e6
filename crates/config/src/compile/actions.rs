//! What a route does: forward, redirect or answer.

use bytes::Bytes;
use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, StatusCode, header};

use portcullis_filter::Response;
use portcullis_policy::{PathMatcher, Redirect, RedirectStatus, WeightedSplit};
use portcullis_snapshot::Affinity;
use portcullis_types::{Percent, Scheme};
use portcullis_yaml::{Diagnostic, Named, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::plan::{ActionPlan, ForwardPlan, RedirectPlan, TargetPlan};
use crate::raw::actions::{RawAction, RawRedirect, RawRespond, RawScheme, RawTarget, RawTargetMap, RawWhich};
use crate::raw::routes::RawRoute;

impl Compiler<'_, '_> {
    pub(super) fn action(&mut self, route: &RawRoute, matched: &PathMatcher) -> Option<ActionPlan> {
        match &route.action {
            RawAction::To(target) => self.forward(target, route, matched).map(Box::new).map(ActionPlan::Forward),
            RawAction::Redirect(redirect) => {
                self.only_forwarding(route, "redirect");
                self.redirect(redirect, matched).map(ActionPlan::Redirect)
            }
            RawAction::Respond(respond) => {
                self.only_forwarding(route, "respond");
                self.respond(respond).map(ActionPlan::Respond)
            }
        }
    }

    /// Settings that mean nothing without an upstream.
    fn only_forwarding(&mut self, route: &RawRoute, action: &str) {
        let spans: [(&str, Option<Span>); 8] = [
            ("rewrite", route.rewrite.as_ref().map(|it| it.span)),
            ("mirror", route.mirror.as_ref().map(|it| it.span)),
            ("timeouts", route.timeouts.as_ref().map(|it| it.span)),
            ("hedge", route.hedge.as_ref().map(|it| it.span)),
            ("fallback", route.fallback.as_ref().map(|it| it.span)),
            ("cache", route.cache.as_ref().map(|it| it.span)),
            ("upgrade", route.upgrade.as_ref().map(|it| it.span)),
            ("idempotent", route.idempotent.as_ref().map(|it| it.span)),
        ];
        for (key, span) in spans.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            let message = format!("`{key}` means nothing beside `{action}`: no upstream is asked");
            self.cx.push(Diagnostic::error(code::ACTION_SETTING, span, message).help(format!("remove `{key}`")));
        }
    }

    fn forward(&mut self, target: &RawTarget, route: &RawRoute, matched: &PathMatcher) -> Option<ForwardPlan> {
        let target = match target {
            RawTarget::Cluster(name) => self.cluster_named(name).map(TargetPlan::Cluster),
            RawTarget::Map(map) => self.target(map),
        };
        let (rewrite, host) = self.rewrite(route.rewrite.as_ref(), matched);
        let mirror = route.mirror.as_ref().and_then(|mirror| {
            let cluster = self.cluster_named(&mirror.value.to)?;
            Some((cluster, mirror.value.share.unwrap_or(Percent::ALL)))
        });
        let timeouts = route.timeouts.as_ref().map(|raw| self.route_timeouts(&raw.value)).unwrap_or_default();
        let fallback = self.fallback(route);
        Some(ForwardPlan { target: target?, rewrite, host, mirror, timeouts, fallback })
    }

    fn target(&mut self, raw: &RawTargetMap) -> Option<TargetPlan> {
        match &raw.which {
            RawWhich::Cluster(name) => {
                let (sticky, beside) = (raw.sticky.as_ref().map(|sticky| sticky.span), "a single cluster");
                self.needless("sticky", sticky, beside);
                self.subset(name, raw.subset.as_ref())
            }
            RawWhich::Split(split) => {
                self.needless("subset", raw.subset.as_ref().map(|subset| subset.span), "a split");
                self.split(split, raw.sticky.as_ref().map(|sticky| sticky.value.0.clone()))
            }
        }
    }

    fn needless(&mut self, key: &str, written: Option<Span>, beside: &str) {
        if let Some(span) = written {
            let message = format!("`{key}` means nothing beside {beside}");
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(format!("remove `{key}`")));
        }
    }

    /// The endpoints of a cluster that carry all these labels; each set of labels is known to the cluster once.
    fn subset(&mut self, name: &Spanned<String>, raw: Option<&Spanned<Named<String>>>) -> Option<TargetPlan> {
        let cluster = self.cluster_named(name)?;
        let labels: BTreeMap<String, String> =
            raw.iter().flat_map(|raw| &raw.value).map(|label| (label.name.clone(), label.value.clone())).collect();
        if labels.is_empty() {
            return Some(TargetPlan::Cluster(cluster));
        }
        let known = self.subsets.entry(cluster).or_default();
        let subset = known.iter().position(|other| *other == labels).unwrap_or_else(|| {
            known.push(labels.clone());
            known.len() - 1
        });
        Some(TargetPlan::Subset { cluster, subset, labels })
    }

    /// Clusters are known by their names: users keep theirs whatever the order in the file.
    fn split(&mut self, raw: &Spanned<Named<u32>>, sticky: Option<Affinity>) -> Option<TargetPlan> {
        let mut items = Vec::with_capacity(raw.value.len());
        for entry in &raw.value {
            let name = Spanned { span: entry.span, value: entry.name.as_str() };
            items.push(self.cluster_named(&name).map(|index| (entry.name.as_str(), index, entry.value)));
        }
        match WeightedSplit::by_name(items.into_iter().collect::<Option<Vec<_>>>()?) {
            Ok(split) => Some(TargetPlan::Split { split, sticky }),
            Err(error) => self.cx.fail(Diagnostic::error(code::WEIGHTS_ZERO, raw.span, error.to_string())),
        }
    }

    fn redirect(&mut self, raw: &RawRedirect, matched: &PathMatcher) -> Option<RedirectPlan> {
        let path = raw.path.as_ref().map(|path| self.path_rewrite(path, matched));
        let status = match raw.status {
            None => Some(RedirectStatus::Found),
            Some(Spanned { span, value }) => RedirectStatus::try_from(value.as_u16())
                .map_err(|error| {
                    let message = format!("{} is not the status of a redirect", value.as_u16());
                    let diagnostic = Diagnostic::error(code::REDIRECT_INVALID, span, message);
                    self.cx.push(diagnostic.help(error.to_string()));
                })
                .ok(),
        };
        let path = path.map_or(Some(None), |path| path.map(Some))?;
        let (path, path_text) = path.map(|plan| (plan.rewrite, plan.text)).unzip();
        let redirect = Redirect {
            scheme: raw.scheme.map(|scheme| match scheme {
                RawScheme::Http => Scheme::Http,
                RawScheme::Https => Scheme::Https,
            }),
            host: raw.host.as_ref().map(|host| host.0.clone()),
            port: raw.port.map(std::num::NonZeroU16::get),
            path,
            status: status?,
            keep_query: raw.keep_query.unwrap_or(true),
        };
        Some(RedirectPlan { redirect, path_text })
    }

    pub(super) fn respond(&mut self, raw: &Spanned<RawRespond>) -> Option<Response> {
        let status = raw.value.status.map_or(StatusCode::OK, |status| status.value);
        if let Some(at) = raw.value.status.filter(|status| status.value.is_informational()) {
            let message = format!("{} is not a final status: expected 200 to 599", status.as_u16());
            self.cx.error(code::RESPONSE_INVALID, at.span, message);
        }
        let mut response = Response::new(status);
        if let Some(body) = raw.value.body.as_ref().filter(|body| !body.value.is_empty()) {
            if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
                let message = format!("an answer with status {} has no body", status.as_u16());
                self.cx.error(code::RESPONSE_INVALID, body.span, message);
            }
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            let content_type = raw.value.content_type.clone().unwrap_or(text);
            response = response.with_body(content_type, Bytes::from(body.value.clone()));
        } else if let Some(content_type) = &raw.value.content_type {
            response = response.with_field(header::CONTENT_TYPE, content_type.clone());
        }
        self.response_fields(&raw.value.headers, response)
    }

    fn response_fields(&mut self, fields: &Named<HeaderValue>, mut response: Response) -> Option<Response> {
        for entry in fields {
            match response_field(&entry.name) {
                Ok(name) => response = response.with_field(name, entry.value.clone()),
                Err(message) => self.cx.error(code::RESPONSE_INVALID, entry.span, message),
            }
        }
        Some(response)
    }
}

/// A field that an answer may carry: not one that frames the message or belongs to the connection.
fn response_field(name: &str) -> Result<HeaderName, String> {
    const FRAMING: [HeaderName; 6] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::TRAILER,
        header::TE,
    ];
    match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => Err(format!("`{name}` is not the name of a header field")),
        Ok(name) if FRAMING.contains(&name) || name == "keep-alive" => Err(format!("`{name}` is set by the gateway")),
        Ok(name) => Ok(name),
    }
}

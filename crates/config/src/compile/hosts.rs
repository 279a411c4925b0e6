//! `hosts:`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_policy::{HostPattern, RouteSpec, Seed, VirtualHost};
use portcullis_types::Dialect;
use portcullis_wire::target::{Backslash, DotSegments, DoubleSlash, EncodedSlash, PathPolicy};
use portcullis_yaml::{Diagnostic, Severity, Span, Spanned};

use super::Compiler;
use super::filters::{ChainSpec, HostChains};
use super::routes::Host;
use crate::code;
use crate::place::place;
use crate::plan::{HostPlan, RoutePlan};
use crate::raw::hosts::{RawBackslash, RawDialect, RawDotSegments, RawDoubleSlash, RawEncodedSlash, RawHost, RawPaths};
use crate::raw::routes::RawRoute;

/// Lines of a host that `explain` shows: its names and filters, not its routes.
const HOST_LINES: u32 = 12;

/// Where each name of a host was seen first.
type SeenHosts = HashMap<HostPattern, Span>;

impl Compiler<'_, '_> {
    pub(super) fn hosts(&mut self, raw: Vec<Spanned<RawHost>>) -> (Vec<HostPlan>, Vec<HostChains>) {
        let mut seen = SeenHosts::new();
        raw.into_iter().map(|host| self.host(host, &mut seen)).unzip()
    }

    fn host(&mut self, raw: Spanned<RawHost>, seen: &mut SeenHosts) -> (HostPlan, HostChains) {
        let Spanned { span, value: mut raw } = raw;
        let names = self.host_names(&raw.names, seen);
        let name: Arc<str> = names.first().map_or_else(|| Arc::from("*"), |name| name.to_string().into());
        let owner = format!("hosts/{name}");
        let (filters, own) = self.filters(raw.filters.take().unwrap_or_default(), &owner);
        let dialect = raw.errors.map_or(Dialect::Problem, dialect);
        let routes = raw.routes.take().unwrap_or_default();
        if routes.is_empty() && !self.has_errors_inside(span) {
            let message = format!("the host `{name}` has no routes");
            let diagnostic = Diagnostic::error(code::NO_ROUTE, raw.names.span, message);
            self.cx.push(diagnostic.help("for example `routes: [{ name: all, to: web }]`"));
        }
        let (routes, chains) = self.routes(routes, Host { name: &name, names: &names, dialect });
        let plan = HostPlan {
            names,
            name,
            filters,
            path_policy: raw.paths.as_ref().map(path_policy).unwrap_or_default(),
            dialect,
            place: place(self.cx.sources(), span, HOST_LINES),
            routes,
        };
        (plan, HostChains { own, routes: chains })
    }

    fn host_names(
        &mut self,
        raw: &Spanned<Vec<Spanned<crate::raw::words::HostWord>>>,
        seen: &mut SeenHosts,
    ) -> Vec<HostPattern> {
        if raw.value.is_empty() && !self.has_errors_inside(raw.span) {
            let help = "for example `names: [\"www.example.com\"]`, or `names: [\"*\"]` for every host";
            let diagnostic = Diagnostic::error(code::NAME_INVALID, raw.span, "the host has no name");
            self.cx.push(diagnostic.help(help));
        }
        let mut names = Vec::with_capacity(raw.value.len());
        for Spanned { span, value } in &raw.value {
            match seen.get(&value.0) {
                Some(first) => {
                    let message = format!("the host `{}` stands twice", value.0);
                    let diagnostic = Diagnostic::error(code::DUPLICATE_HOST, *span, message);
                    self.cx.push(diagnostic.related(*first, "the first is here"));
                }
                None => {
                    seen.insert(value.0.clone(), *span);
                    names.push(value.0.clone());
                }
            }
        }
        names
    }

    fn routes(&mut self, raw: Vec<Spanned<RawRoute>>, host: Host<'_>) -> (Vec<RoutePlan>, Vec<ChainSpec>) {
        self.fallback_routes(&raw, host.name);
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(raw.len());
        let mut spans = Vec::with_capacity(raw.len());
        let mut routes = Vec::with_capacity(raw.len());
        let mut chains = Vec::with_capacity(raw.len());
        for route in raw {
            let name = &route.value.name;
            if let Some(first) = seen.get(&name.value) {
                let message = format!("the route `{}` stands twice in the host `{}`", name.value, host.name);
                let diagnostic = Diagnostic::error(code::DUPLICATE_ROUTE, name.span, message);
                self.cx.push(diagnostic.related(*first, "the first is here"));
            } else {
                seen.insert(name.value.clone(), name.span);
            }
            let at = name.span;
            if let Some((plan, chain)) = self.route(route, host) {
                spans.push(at);
                routes.push(plan);
                chains.push(chain);
            }
        }
        self.warn_shadowed(&routes, &spans);
        (routes, chains)
    }

    /// Names routes that can never be taken.
    fn warn_shadowed(&mut self, routes: &[RoutePlan], spans: &[Span]) {
        let judged: Vec<_> = routes.iter().zip(spans).filter(|(route, _)| route.judged).collect();
        let specs = judged.iter().map(|(route, _)| RouteSpec {
            name: route.name.clone(),
            matcher: route.matcher.clone(),
            data: (),
        });
        let host = VirtualHost::new((), specs.collect(), Seed::random());
        let span = |order: u32| judged.get(usize::try_from(order).ok()?).map(|(_, span)| **span);
        // A route that only stands for when another cannot be served is not there to be matched.
        let fallbacks: HashSet<_> = routes.iter().filter_map(RoutePlan::falls_back_to).collect();
        for shadowed in host.shadowed().into_iter().filter(|found| !fallbacks.contains(&found.route)) {
            let (Some(at), Some(by)) = (span(shadowed.order), span(shadowed.by_order)) else { continue };
            let message = format!(
                "the route `{}` can never be taken: `{}` takes all of its requests",
                shadowed.route, shadowed.by
            );
            let warning = Diagnostic::warning(code::SHADOWED_ROUTE, at, message);
            self.cx.push(warning.related(by, format!("`{}` is here", shadowed.by)));
        }
    }

    /// Whether an error was found inside of a stretch, so that what is missing there may be its consequence.
    pub(super) fn has_errors_inside(&mut self, span: Span) -> bool {
        let inside = |at: Span| at.source == span.source && at.start >= span.start && at.end <= span.end;
        let found = self.cx.diagnostics().sorted();
        found.iter().any(|diagnostic| diagnostic.severity == Severity::Error && inside(diagnostic.span))
    }
}

pub(super) fn dialect(raw: RawDialect) -> Dialect {
    match raw {
        RawDialect::Problem => Dialect::Problem,
        RawDialect::JsonRpc => Dialect::JsonRpc,
        RawDialect::Grpc => Dialect::Grpc,
        RawDialect::Html => Dialect::Html,
    }
}

fn path_policy(raw: &RawPaths) -> PathPolicy {
    PathPolicy {
        dot_segments: raw
            .dot_segments
            .map(|raw| match raw {
                RawDotSegments::Resolve => DotSegments::Resolve,
                RawDotSegments::Refuse => DotSegments::Refuse,
            })
            .unwrap_or_default(),
        double_slash: raw
            .double_slash
            .map(|raw| match raw {
                RawDoubleSlash::Merge => DoubleSlash::Merge,
                RawDoubleSlash::Keep => DoubleSlash::Keep,
                RawDoubleSlash::Refuse => DoubleSlash::Refuse,
            })
            .unwrap_or_default(),
        encoded_slash: raw
            .encoded_slash
            .map(|raw| match raw {
                RawEncodedSlash::Refuse => EncodedSlash::Refuse,
                RawEncodedSlash::Keep => EncodedSlash::Keep,
                RawEncodedSlash::Decode => EncodedSlash::Decode,
            })
            .unwrap_or_default(),
        backslash: raw
            .backslash
            .map(|raw| match raw {
                RawBackslash::Refuse => Backslash::Refuse,
                RawBackslash::Keep => Backslash::Keep,
                RawBackslash::Slash => Backslash::Slash,
            })
            .unwrap_or_default(),
    }
}

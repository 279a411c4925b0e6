//! An explanation as text for people: one section per step, names in a column, the decision where eyes end up.

use std::fmt::{self, Write as _};

use portcullis_telemetry::redact::REDACTED;

use super::Explanation;
use super::finding::{ClusterFinding, FallbackFinding, FilterStep, RouteFinding};
use crate::route::Place;

/// The width of the column of section names.
const COLUMN: usize = 11;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Page(String::new());
        self.request(&mut out);
        self.listeners(&mut out);
        self.host_and_path(&mut out);
        filters(&mut out, "filters", "of the host", &self.host_filters, &self.host_changes);
        filters(&mut out, "body", "looked into by the host", &self.peek_filters, &self.peek_changes);
        self.routes(&mut out);
        filters(&mut out, "filters", "of the route", &self.route_filters, &self.route_changes);
        filters(&mut out, "admission", "the host's, then the route's", &self.admission, &[]);
        self.fallback(&mut out);
        if let Some(cluster) = &self.cluster {
            cluster_lines(&mut out, cluster, self.live);
        }
        self.decision(&mut out);
        self.upstream(&mut out);
        self.sources(&mut out);
        f.write_str(&self.masked(&printable(&out.0)))
    }
}

/// Text that grows by lines. Writing to it does not fail.
struct Page(String);

impl Page {
    /// A line with a name in the first column.
    fn section(&mut self, name: &str, text: impl fmt::Display) {
        let _ = writeln!(self.0, "{name:COLUMN$}{text}");
    }

    /// A line under a section.
    fn line(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.0, "{:COLUMN$}{text}", "");
    }
}

impl Explanation {
    /// A text without what must not be shown.
    pub(super) fn masked(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, hidden| text.replace(&**hidden, REDACTED))
    }

    fn request(&self, out: &mut Page) {
        let asked = &self.asked;
        out.section("request", format_args!("{} {}", asked.method, asked.url));
        let trusted = if asked.trusted { ", named by a trusted peer" } else { "" };
        out.line(format_args!("client {}{trusted}, id {}", asked.client, asked.id));
        let state = if self.live { "with its live state" } else { "as configured, without live state" };
        out.line(format_args!("generation {} ({}), {state}", self.generation, self.hash));
    }

    fn listeners(&self, out: &mut Page) {
        if self.listeners.is_empty() {
            out.section("listener", "the config has none");
        }
        let width = widest(self.listeners.iter().map(|trial| trial.name.as_str()));
        for (at, trial) in self.listeners.iter().enumerate() {
            let name = if at == 0 { "listener" } else { "" };
            let bind = trial.bind.join(", ");
            let at = trial.at.as_ref().map(|at| format!("; {at}")).unwrap_or_default();
            out.section(name, format_args!("{} {:width$}  {} ({bind}{at})", mark(trial.takes), trial.name, trial.why));
        }
    }

    fn host_and_path(&self, out: &mut Page) {
        if let Some(host) = &self.host {
            let asked = if host.asked.is_empty() { "(none)" } else { &host.asked };
            match &host.name {
                Some(name) => out.section("host", format_args!("{asked} is served by the virtual host {name}")),
                None => out.section("host", format_args!("{asked} is not served here")),
            }
            let width = widest(host.tried.iter().map(|trial| trial.name.as_str()));
            for trial in &host.tried {
                let said = if trial.found { "found" } else { "not configured" };
                out.line(format_args!("{} {:width$}  {said}", mark(trial.found), trial.name));
            }
            if let Some(source) = &host.source {
                out.line(format_args!("the host source {source}"));
            }
        }
        if let Some(path) = &self.path {
            match &path.routed {
                Some(routed) if *routed == path.received => {
                    out.section("path", format_args!("{routed}, in normal form as received"));
                }
                Some(routed) => out.section("path", format_args!("{routed}, received as {}", path.received)),
                None => out.section("path", format_args!("{} is refused", path.received)),
            }
        }
    }

    fn routes(&self, out: &mut Page) {
        let width = widest(self.routes.iter().map(|trial| trial.name.as_str()));
        for (at, trial) in self.routes.iter().enumerate() {
            let name = if at == 0 { "routes" } else { "" };
            let mark = if trial.failed.is_none() && !trial.wins { "·" } else { mark(trial.wins) };
            out.section(name, format_args!("{mark} {:width$}  {}", trial.name, trial.why));
            out.line(format_args!("  {:width$}  {}  ({})", "", trial.matcher, trial.at));
        }
        if self.routes_left_out > 0 {
            out.line(format_args!("… and {} more", self.routes_left_out));
        }
        if let Some(route) = &self.route {
            captured(out, route);
        }
    }

    fn fallback(&self, out: &mut Page) {
        let Some(FallbackFinding { left, route, filters: steps, changes }) = &self.fallback else { return };
        cluster_lines(out, left, self.live);
        let (name, at) = (&route.name, route.place.at());
        out.section(
            "fallback",
            format_args!("no endpoint of {} can be reached: on as the route {name}  ({at})", left.name),
        );
        captured(out, route);
        filters(out, "filters", "of the fallback", steps, changes);
    }

    fn decision(&self, out: &mut Page) {
        let decision = &self.decision;
        let Some(answer) = &decision.answer else {
            return out.section("decision", format_args!("{}: {}", decision.action, decision.because));
        };
        out.section("decision", format_args!("{}: {}", decision.action, decision.because));
        if let Some(reason) = answer.reason {
            let detail = answer.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            out.line(format_args!("reason {reason}{detail}, the {}'s fault", reason.fault().as_str()));
        }
        out.section("answer", answer.status);
        for field in &answer.fields {
            out.line(field);
        }
        for line in answer.body.lines().take(20) {
            out.line(line);
        }
    }

    fn upstream(&self, out: &mut Page) {
        if let Some(upstream) = &self.upstream {
            out.section("sends", &upstream.line);
            for field in &upstream.fields {
                out.line(field);
            }
            if upstream.body > 0 {
                out.line(format_args!("and {} bytes of body", upstream.body));
            }
        }
        for (at, (name, value)) in self.notes.iter().enumerate() {
            out.section(if at == 0 { "notes" } else { "" }, format_args!("{name}: {value}"));
        }
    }

    fn sources(&self, out: &mut Page) {
        let host = self.host.as_ref().and_then(|host| host.place.as_ref());
        let route = self.route.as_ref().map(|route| &route.place);
        // The host's lines hold the route's, so the route's say enough where there is one.
        if let Some(place) = route.or(host) {
            source(out, place);
        }
        if let Some(fallback) = &self.fallback {
            source(out, &fallback.route.place);
        }
        if let (Some(_), Some(host)) = (route, host) {
            out.line(format_args!("in the host at {}:{}", host.file, host.line));
        }
    }
}

fn captured(out: &mut Page, route: &RouteFinding) {
    if !route.params.is_empty() {
        let params: Vec<String> = route.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        out.section("captured", params.join(", "));
    }
}

fn source(out: &mut Page, place: &Place) {
    out.section("source", format_args!("{}:{}", place.file, place.line));
    for (number, line) in (place.line..).zip(place.excerpt.lines()) {
        out.line(format_args!("{number:>4} | {line}"));
    }
}

fn filters(out: &mut Page, name: &str, of: &str, steps: &[FilterStep], changes: &[String]) {
    if steps.is_empty() {
        return;
    }
    out.section(name, of);
    let width = widest(steps.iter().map(|step| step.filter.as_str()));
    for step in steps {
        out.line(format_args!("  {:width$}  {}", step.filter, step.verdict));
    }
    for change in changes {
        out.line(format_args!("  {change}"));
    }
}

fn cluster_lines(out: &mut Page, cluster: &ClusterFinding, live: bool) {
    let at = cluster.at.as_ref().map(|at| format!("  ({at})")).unwrap_or_default();
    out.section("cluster", format_args!("{}: {}{at}", cluster.name, cluster.because));
    out.line(format_args!("{}; {}; {}", cluster.protocol, cluster.balance, cluster.timeouts));
    out.line(&cluster.retry);
    if let Some(hedge) = &cluster.hedge {
        out.line(hedge);
    }
    out.line(&cluster.limits);
    let width = widest(cluster.endpoints.iter().map(|endpoint| endpoint.name.as_str()));
    for endpoint in &cluster.endpoints {
        let zone = endpoint.zone.as_ref().map(|zone| format!(", {zone}")).unwrap_or_default();
        let share = endpoint.share.map(|share| format!(", {share} of the requests")).unwrap_or_default();
        let shares = format!("weight {}, priority {}{zone}{share}", endpoint.weight, endpoint.priority);
        out.line(format_args!("{} {:width$}  {} ({shares})", mark(endpoint.takes), endpoint.name, endpoint.why));
    }
    for told in &cluster.discovery {
        out.line(told);
    }
    if cluster.endpoints_left_out > 0 {
        out.line(format_args!("… and {} more", cluster.endpoints_left_out));
    }
    if !live {
        out.line("health is what a start would find; ask with --live for what it is");
    }
    for more in cluster.chosen.iter().chain(&cluster.failover).chain(&cluster.fallback).chain(&cluster.mirror) {
        out.line(more);
    }
}

const fn mark(yes: bool) -> &'static str {
    if yes { "✓" } else { "✗" }
}

fn widest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).min(40)
}

/// What a request says must not steer the terminal it is shown on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

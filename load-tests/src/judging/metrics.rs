//! Numbers out of Prometheus' text format, and the window that lies between two scrapes. Pure.

use std::collections::BTreeMap;

use portcullis_judge::window::{Failure as Kind, Histogram, Readings, Unbalanced, Window};

/// A sample of the text: its name, its labels, its value.
#[derive(Debug, Clone, PartialEq)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl Sample<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find_map(|(label, value)| (*label == name).then_some(value.as_str()))
    }
}

/// Reads a line; `None` for remarks and what is not understood.
fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next()? {
                (place, '"') => break place + 1,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    letter => letter,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.trim(), value));
        rest = after.get(end..)?;
    }
}

/// Which series count for a side: those that have all of these labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Select(Vec<(String, String)>);

impl Select {
    /// Reads `cluster=api-canary,class=2xx`; nothing selects everything.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not LABEL=VALUE"))?;
            Ok((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn takes(&self, sample: &Sample<'_>) -> bool {
        self.0.iter().all(|(name, value)| sample.label(name) == Some(value))
    }

    /// Whether the requests of a cluster are asked for; else those of routes.
    fn by_cluster(&self) -> bool {
        self.0.iter().any(|(name, _)| name == "cluster")
    }
}

/// What the gateway had counted when it was scraped.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scrape {
    /// Requests by class of status.
    classes: BTreeMap<String, f64>,
    /// Requests by the upper bound of their bucket in nanoseconds, cumulative.
    buckets: BTreeMap<u64, f64>,
    /// Durations in all.
    timed: f64,
    cpu_seconds: Option<f64>,
    rss_bytes: Option<f64>,
    connections: f64,
    /// When the process began: another number means another process.
    began: Option<f64>,
}

impl Scrape {
    pub(super) fn parse(text: &str, select: &Select) -> Result<Self, String> {
        let (requests, durations) = if select.by_cluster() {
            ("portcullis_cluster_requests_total", "portcullis_cluster_first_byte_seconds")
        } else {
            ("portcullis_route_requests_total", "portcullis_route_duration_seconds")
        };
        let mut scrape = Self::default();
        let mut seen = false;
        for sample in text.lines().filter_map(sample) {
            match sample.name {
                name if name == requests => {
                    seen = true;
                    if select.takes(&sample) {
                        let class = sample.label("class").unwrap_or_default().to_owned();
                        *scrape.classes.entry(class).or_default() += sample.value;
                    }
                }
                name if name.strip_suffix("_bucket") == Some(durations) && select.takes(&sample) => {
                    scrape.bucket(&sample)
                }
                name if name.strip_suffix("_count") == Some(durations) && select.takes(&sample) => {
                    scrape.timed += sample.value;
                }
                "process_cpu_seconds_total" => scrape.cpu_seconds = Some(sample.value),
                "process_resident_memory_bytes" => scrape.rss_bytes = Some(sample.value),
                "process_start_time_seconds" => scrape.began = Some(sample.value),
                "portcullis_listener_connections" => scrape.connections += sample.value,
                _ => {}
            }
        }
        if seen { Ok(scrape) } else { Err(format!("no {requests}: these are no metrics of a gateway that has served")) }
    }

    /// Memory of the process in bytes, where it tells.
    pub(super) const fn resident(&self) -> Option<f64> {
        self.rss_bytes
    }

    /// Whether this is of another process than an earlier one.
    pub(super) fn is_restart(&self, before: &Self) -> bool {
        self.began != before.began
    }

    fn bucket(&mut self, sample: &Sample<'_>) {
        let bound = sample.label("le").and_then(|bound| bound.parse::<f64>().ok());
        if let Some(bound) = bound.filter(|bound| bound.is_finite()) {
            *self.buckets.entry(whole(bound * 1e9)).or_default() += sample.value;
        }
    }
}

/// What is looked at in a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Looking {
    /// Whether CPU and memory of the process are of this side alone: not where both sides are served by one.
    pub(super) process: bool,
    /// The objective in nanoseconds, which is rounded up to the bound of a bucket.
    pub(super) objective: u64,
    /// Seconds between the scrapes.
    pub(super) seconds: f64,
    /// Seconds from the run's start to the first.
    pub(super) began: f64,
}

/// Why two scrapes make no window.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum NoWindow {
    /// It was started anew in between.
    #[error("the process was started anew")]
    Restarted,
    /// The numbers disagree.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
}

/// What lies between two scrapes.
pub(super) fn window(before: &Scrape, after: &Scrape, looking: Looking) -> Result<Window, NoWindow> {
    let class = |name: &str| {
        let of = |scrape: &Scrape| scrape.classes.get(name).copied().unwrap_or_default();
        (of(after) >= of(before)).then(|| whole(of(after) - of(before))).ok_or(NoWindow::Restarted)
    };
    if after.is_restart(before) {
        return Err(NoWindow::Restarted);
    }
    let good = class("1xx")? + class("2xx")? + class("3xx")?;
    let (refused, server_error, none) = (class("4xx")?, class("5xx")?, class("none")?);
    let requests = good + refused + server_error + none;
    let failed = server_error + none;
    let latency = latency(before, after);
    // What lies in the bucket of the objective may have kept it; what lies beyond its bound has not.
    let bound = after.buckets.keys().find(|bound| **bound >= looking.objective).copied().unwrap_or(looking.objective);
    let slow: u64 = latency.iter().filter(|(of, _)| *of > bound).map(|(_, count)| count).sum();
    let failed_by = [(Kind::ServerError, server_error), (Kind::Cut, none)].into_iter().filter(|(_, count)| *count > 0);
    let cpu = after.cpu_seconds.zip(before.cpu_seconds).map(|(now, then)| whole((now - then).max(0.0) * 1e9));
    let readings = Readings {
        requests,
        succeeded: good,
        refused,
        failed: failed_by.collect(),
        // A failed one may be slow as well, and is then counted once or twice; that is the same on both sides.
        beyond_slo: slow.saturating_add(failed).min(requests),
        cpu_ns: cpu.filter(|_| looking.process),
        rss_bytes: after.rss_bytes.map(whole).filter(|_| looking.process),
        connections: whole(after.connections),
        latency,
        seconds: looking.seconds,
        began: looking.began,
        ..Readings::default()
    };
    Ok(Window::new(readings)?)
}

/// Counts by the upper bound of their bucket; what is above all bounds stands at ten times the last.
fn latency(before: &Scrape, after: &Scrape) -> Histogram {
    let mut below = 0.0;
    let mut counts = Vec::new();
    for (bound, now) in &after.buckets {
        let upto = now - before.buckets.get(bound).copied().unwrap_or_default();
        counts.push((*bound, whole(upto - below)));
        below = upto;
    }
    let last = after.buckets.keys().last().copied().unwrap_or_default();
    counts.push((last.saturating_mul(10), whole(after.timed - before.timed - below)));
    Histogram::new(counts)
}

/// A count or a number of nanoseconds that was written as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, far below 2^53, never below 0")]
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[cfg(test)]
mod tests;

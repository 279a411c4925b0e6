//! The charts of a report.

use portcullis_judge::window::{Histogram, Side, Window};
use portcullis_judge::{Gate, Sample};

use crate::report::{Report, Scalability, Series, WindowPair};
use crate::svg::{Axis, Chart, Layer, number};

mod scene;

pub use scene::of_scene;

/// The shares of a percentile curve, by what one in how many exceeds.
const NINES: [(f64, &str); 6] = [(1.0, "0"), (2.0, "50"), (10.0, "90"), (100.0, "99"), (1e3, "99.9"), (1e4, "99.99")];

/// Points of a curve from one mark to the next.
const BETWEEN: u32 = 12;

/// Latency by percentile, from the planned moment, of both sides.
#[must_use]
pub fn percentiles(report: &Report) -> Option<Chart> {
    let mut layers = Vec::new();
    let mut legend = Vec::new();
    for (side, class) in [(Side::Baseline, "baseline"), (Side::Canary, "canary")] {
        let latency = Histogram::merged(report.windows(side).into_iter().map(|window| &window.latency));
        if !latency.is_empty() {
            layers.push(Layer::Line { class, points: curve(&latency) });
            legend.push((class, format!("{side}, {} requests", latency.len())));
        }
    }
    let title = "Latency by percentile, counted from the moment each request was planned for";
    (!layers.is_empty()).then(|| by_percentile(title, layers, legend))
}

pub(crate) fn by_percentile(title: &str, layers: Vec<Layer>, legend: Vec<(&'static str, String)>) -> Chart {
    let heights: Vec<f64> = heights(&layers);
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min);
    let marks = NINES.map(|(one_in, text)| (one_in, text.to_owned())).to_vec();
    Chart {
        title: title.to_owned(),
        x: Axis { most: 1e4, ..Axis::around("percentile", [1.0, 1e4]).in_ratios(1.0).marked(marks) },
        y: Axis::around("milliseconds", heights).in_ratios(least * 0.8),
        layers,
        legend,
    }
}

/// Up to the percentile beyond which fewer than three requests are.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
pub(crate) fn curve(latency: &Histogram) -> Vec<(f64, f64)> {
    let most = (latency.len() as f64 / 3.0).max(2.0);
    let count = 4 * BETWEEN;
    let one_in = (0..=count).map(|step| 10_f64.powf(f64::from(step) / f64::from(BETWEEN)));
    one_in
        .take_while(|one_in| *one_in <= most)
        .filter_map(|one_in| Some((one_in, latency.quantile(1.0 - 1.0 / one_in)? as f64 / 1e6)))
        .collect()
}

pub(crate) fn heights(layers: &[Layer]) -> Vec<f64> {
    let heights = layers.iter().flat_map(|layer| match layer {
        Layer::Line { points, .. } => points.iter().map(|(_, y)| *y).collect::<Vec<f64>>(),
        Layer::Dots { points, .. } => points.iter().map(|(_, y, _)| *y).collect(),
        Layer::Band { low, high, .. } => vec![*low, *high],
    });
    heights.collect()
}

/// By how much the canary was worse in each pair, for what is compared by a ratio; twins first.
#[must_use]
pub fn pairs(report: &Report, gate: Gate) -> Option<Chart> {
    let judgement = report.judgement.as_ref()?;
    let standing = judgement.standings.iter().find(|standing| standing.gate == gate)?;
    let scale = |worse_by: f64| if gate.is_ratio() { (worse_by.exp() - 1.0) * 100.0 } else { worse_by * 100.0 };
    let dots = |pairs: &[WindowPair], class: &'static str, from: usize, what: &str| {
        let point = |(place, pair): (usize, &WindowPair)| {
            let worse_by = scale(gate.worse_by(&Sample::of(&pair.baseline), &Sample::of(&pair.canary))?);
            let text = format!("{what} {}: {worse_by:+.2} ({} first)", place + 1, pair.first);
            #[expect(clippy::cast_precision_loss, reason = "a few hundred pairs")]
            Some(((from + place + 1) as f64, worse_by, text))
        };
        Layer::Dots { class, points: pairs.iter().enumerate().filter_map(point).collect() }
    };
    let twins = dots(&report.twins, "twin", 0, "twins");
    let compared = dots(&report.pairs, "canary", report.twins.len(), "pair");
    let (low, high) = (scale(-standing.margin), scale(standing.margin));
    let layers = vec![Layer::Band { class: "limit", low, high }, twins, compared];
    let unit = if gate.is_ratio() { "% more" } else { "points more" };
    #[expect(clippy::cast_precision_loss, reason = "a few hundred pairs")]
    let count = (report.twins.len() + report.pairs.len()) as f64;
    Some(Chart {
        title: format!("{gate}: by how much the canary is worse than its baseline, pair by pair"),
        x: Axis::around("pair", [1.0, count.max(2.0)]),
        y: Axis::around(&format!("{gate}, {unit}"), heights(&layers).into_iter().chain([0.0])),
        layers,
        legend: vec![
            ("twin", "the baseline against itself".to_owned()),
            ("canary", "the canary against its baseline".to_owned()),
            ("limit", format!("within δ = {} {}", number(high), unit.trim_end_matches(" more"))),
        ],
    })
}

/// A number of each window over time, of both sides.
#[must_use]
pub fn over_time(report: &Report, name: &str, of: impl Fn(&Window) -> Option<f64>) -> Option<Chart> {
    let layer = |side: Side, class: &'static str| {
        let mut points: Vec<(f64, f64, String)> = report
            .windows(side)
            .into_iter()
            .filter_map(|window| {
                let value = of(window)?;
                Some((window.began, value, format!("{side} at {:.0} s: {}", window.began, number(value))))
            })
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Layer::Dots { class, points }
    };
    let layers = vec![layer(Side::Baseline, "baseline"), layer(Side::Canary, "canary")];
    let heights = heights(&layers);
    (!heights.is_empty()).then(|| Chart {
        title: format!("{name} over the run"),
        x: Axis::around("seconds", moments(&layers)),
        y: Axis::around(name, heights).from_zero(),
        layers,
        legend: vec![("baseline", "baseline".to_owned()), ("canary", "canary".to_owned())],
    })
}

pub(crate) fn moments(layers: &[Layer]) -> Vec<f64> {
    let moments = layers.iter().flat_map(|layer| match layer {
        Layer::Line { points, .. } => points.iter().map(|(x, _)| *x).collect::<Vec<f64>>(),
        Layer::Dots { points, .. } => points.iter().map(|(x, ..)| *x).collect(),
        Layer::Band { .. } => Vec::new(),
    });
    moments.collect()
}

/// Something that was watched over time, with the line that tells its growth.
#[must_use]
pub fn series(series: &Series) -> Chart {
    let line = series.points.iter().map(|point| (point.seconds, point.value)).collect();
    let mut layers = vec![Layer::Line { class: "canary", points: line }];
    let mut legend = vec![("canary", series.name.clone())];
    if let (Some(growth), Some(first), Some(last)) = (&series.growth, series.points.first(), series.points.last()) {
        let (slope, end) = (growth.slope, last.seconds);
        let at = |seconds: f64| (seconds, slope.level - slope.median * (end - seconds));
        layers.push(Layer::Line { class: "other", points: vec![at(first.seconds), at(end)] });
        legend.push(("other", growth.to_string()));
    }
    Chart {
        title: format!("{} over the run", series.name),
        x: Axis::around("seconds", moments(&layers)),
        y: Axis::around(&format!("{}, {}", series.name, series.unit), heights(&layers)),
        layers,
        legend,
    }
}

/// Throughput by concurrency, and the law that fits it, over what was measured and no further.
#[must_use]
pub fn scalability(scalability: &Scalability) -> Chart {
    let point = |point: &portcullis_judge::scalability::Point| {
        let text = format!("{} at {}", number(point.throughput), number(point.concurrency));
        (point.concurrency, point.throughput, text)
    };
    let mut layers = vec![Layer::Dots { class: "canary", points: scalability.points.iter().map(point).collect() }];
    let mut legend = vec![("canary", "measured".to_owned())];
    if let Some(law) = &scalability.law {
        let (least, most) = law.measured;
        let step = |step: i32| least * (most / least).powf(f64::from(step) / 60.0);
        let curve = (0..=60).map(step).map(|n| n.clamp(least, most)).filter_map(|n| Some((n, law.at(n)?)));
        layers.push(Layer::Line { class: "other", points: curve.collect() });
        let interval = |name: &str, of: portcullis_judge::scalability::Interval| {
            format!("{name} {} [{}, {}]", number(of.fit), number(of.low), number(of.high))
        };
        let peak = law.peak.map_or_else(
            || "no peak is shown within what was measured".to_owned(),
            |peak| format!("its peak is at {}", number(peak)),
        );
        let text = [interval("λ", law.lambda), interval("σ", law.sigma), interval("κ", law.kappa), peak].join(", ");
        legend.push(("other", format!("universal scalability law: {text}")));
    }
    let least = moments(&layers).into_iter().fold(f64::INFINITY, f64::min);
    Chart {
        title: "Throughput by concurrency".to_owned(),
        x: Axis::around("concurrency", moments(&layers)).in_ratios(if least.is_finite() { least * 0.9 } else { 1.0 }),
        y: Axis::around("requests a second", heights(&layers)).from_zero(),
        layers,
        legend,
    }
}

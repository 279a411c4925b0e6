//! The charts of a scene: latency by percentile and over time, and what the machine did meanwhile.

use std::cmp::Reverse;

use portcullis_judge::window::{Histogram, Window};

use crate::report::{Look, Part, SceneResult};
use crate::svg::{Axis, Chart, Layer, number};

use super::{by_percentile, curve, heights, moments};

/// Looks of curves, as many as can be told apart.
const CLASSES: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];

/// All that there is to draw.
#[must_use]
pub fn of_scene(scene: &SceneResult) -> Vec<Chart> {
    let named = named(&scene.windows);
    [percentiles(&named), over_time(&named), machine(&scene.windows)].into_iter().flatten().collect()
}

/// A name, and the loads of all windows that have it.
type Named<'a> = (&'a str, Vec<&'a Window>);

/// The loads by their names: those of the most requests where there are more than can be told apart, in the order of their begin.
fn named(parts: &[Part]) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = Vec::new();
    for part in parts {
        let Some(load) = &part.load else { continue };
        match all.iter_mut().find(|(name, _)| *name == part.name) {
            Some((_, loads)) => loads.push(load),
            None => all.push((&part.name, vec![load])),
        }
    }
    let requests = |(_, loads): &Named<'_>| loads.iter().map(|load| load.requests).sum::<u64>();
    let mut most: Vec<(usize, Named<'_>)> = all.into_iter().enumerate().collect();
    most.sort_by_key(|(_, one)| Reverse(requests(one)));
    most.truncate(CLASSES.len());
    most.sort_by_key(|(place, _)| *place);
    most.into_iter().map(|(_, one)| one).collect()
}

fn percentiles(named: &[Named<'_>]) -> Option<Chart> {
    let (mut layers, mut legend) = (Vec::new(), Vec::new());
    for ((name, loads), class) in named.iter().zip(CLASSES) {
        let latency = Histogram::merged(loads.iter().map(|load| &load.latency));
        if !latency.is_empty() {
            layers.push(Layer::Line { class, points: curve(&latency) });
            legend.push((class, format!("{name}, {} requests", latency.len())));
        }
    }
    (!layers.is_empty()).then(|| by_percentile("Latency by percentile, window by window", layers, legend))
}

/// The p99 of each window, at its beginning.
fn over_time(named: &[Named<'_>]) -> Option<Chart> {
    let (mut layers, mut legend) = (Vec::new(), Vec::new());
    for ((name, loads), class) in named.iter().zip(CLASSES) {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a request are far below 2^52")]
        let ms = |load: &Window, share| Some(load.latency.quantile(share)? as f64 / 1e6);
        let point = |load: &&Window| {
            let (middle, p99) = (ms(load, 0.5)?, ms(load, 0.99)?);
            let failed = load.failed_requests();
            let text = format!(
                "{name} at {:.0} s: p50 {} ms, p99 {} ms, {failed} of {} failed",
                load.began,
                number(middle),
                number(p99),
                load.requests
            );
            Some((load.began, p99, text))
        };
        let points: Vec<(f64, f64, String)> = loads.iter().filter_map(point).collect();
        if !points.is_empty() {
            layers.push(Layer::Dots { class, points });
            legend.push((class, (*name).to_owned()));
        }
    }
    let heights = heights(&layers);
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min);
    (!layers.is_empty()).then(|| Chart {
        title: "Latency over time: p99 of each window".to_owned(),
        x: Axis::around("seconds of the run", moments(&layers)),
        y: Axis::around("p99, milliseconds", heights).in_ratios(least * 0.8),
        layers,
        legend,
    })
}

/// What is drawn of a look.
type Drawn = (&'static str, &'static str, fn(&Look) -> f64);

const DRAWN: [Drawn; 5] = [
    ("c0", "CPU of what is under test", |look| look.subject_cpu),
    ("c1", "CPU of neighbours", |look| look.neighbour_cpu),
    ("c2", "taken by the hypervisor", |look| look.steal),
    ("c3", "threads under test that wait for a core", |look| look.subject_wait),
    ("c4", "threads of the tool that do", |look| look.tool_wait),
];

/// Neighbours, steal and waits for a core, second by second. Where nobody looked, between two windows, a line ends.
fn machine(parts: &[Part]) -> Option<Chart> {
    let layer = |(class, _, of): &Drawn| {
        let mut points = Vec::new();
        for part in parts.iter().filter(|part| !part.looks.is_empty()) {
            points.extend(part.looks.iter().map(|look| (look.ended, of(look))));
            points.push((f64::NAN, f64::NAN));
        }
        Layer::Line { class, points }
    };
    let layers: Vec<Layer> = DRAWN.iter().map(layer).collect();
    let shown = |values: Vec<f64>| values.into_iter().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let (heights, moments) = (shown(heights(&layers)), shown(moments(&layers)));
    (!moments.is_empty()).then(|| Chart {
        title: "CPU and waits for a core over time".to_owned(),
        x: Axis::around("seconds of the run", moments),
        y: Axis::around("cores", heights).from_zero(),
        layers,
        legend: DRAWN.iter().map(|(class, text, _)| (*class, (*text).to_owned())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::report;

    #[test]
    fn as_many_loads_as_can_be_told_apart_are_drawn_and_those_of_a_name_together() {
        let mut windows = report().scenes.remove(0).windows;
        windows.last_mut().unwrap().name = "no load".to_owned();
        let load = windows.first().unwrap().load.clone();
        windows.push(Part { name: "round 7".to_owned(), load, looks: Vec::new() });
        let named = named(&windows);
        assert_eq!(named.len(), CLASSES.len());
        let charts = [percentiles(&named).unwrap(), over_time(&named).unwrap()];
        assert!(charts.iter().all(|chart| chart.layers.len() == CLASSES.len()), "{charts:?}");
        let twice: Vec<_> = windows.iter().filter(|part| part.name == "round 7").cloned().collect();
        let of_one = super::named(&twice);
        assert_eq!(of_one.first().map(|(name, loads)| (*name, loads.len())), Some(("round 7", 2)));
    }

    #[test]
    fn a_line_ends_where_nobody_looked() {
        let looks = |from: u32| (from..from + 3).map(|at| Look { ended: f64::from(at), ..Look::default() }).collect();
        let part = |from| Part { name: "a".to_owned(), load: None, looks: looks(from) };
        let chart = machine(&[part(0), Part::default(), part(9)]).unwrap();
        assert_eq!(chart.render().matches("<polyline").count(), 2 * DRAWN.len());
        assert!(machine(&[Part::default()]).is_none());
    }
}

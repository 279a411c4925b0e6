//! The course of a scene as an SVG: the 99th percentile of latency, and the share of the watched servers.

use std::fmt::Write;

use super::sim::policy::Policy;
use super::sim::scene::Scene;
use super::sim::stats::Stats;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const COLOURS: [&str; 4] = ["#8c8c8c", "#c9a227", "#2f6db3", "#c0392b"];

/// A panel: where it is, and how values become heights.
struct Panel {
    top: f64,
    title: &'static str,
    least: f64,
    most: f64,
    log: bool,
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        let clamped = value.clamp(self.least, self.most);
        let share = if self.log {
            (clamped / self.least).ln() / (self.most / self.least).ln()
        } else {
            (clamped - self.least) / (self.most - self.least)
        };
        self.top + HEIGHT * (1.0 - share)
    }

    fn frame(&self, out: &mut String, marks: &[f64]) {
        let (left, top) = (LEFT, self.top);
        let _ = writeln!(
            out,
            r##"<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>"##
        );
        let _ = writeln!(out, r#"<text x="{left}" y="{}">{}</text>"#, top - 6.0, self.title);
        for mark in marks {
            let y = self.y(*mark);
            let _ = writeln!(out, r##"<path d="M{left} {y:.1}h{WIDTH}" stroke="#eee"/>"##);
            let _ = writeln!(out, r#"<text x="{}" y="{:.1}" text-anchor="end">{mark}</text>"#, left - 4.0, y + 4.0);
        }
    }

    fn line(&self, out: &mut String, colour: &str, seconds: f64, values: &[f64]) {
        let mut path = String::new();
        for (nth, value) in values.iter().enumerate() {
            let x = LEFT + WIDTH * (nth as f64 + 0.5) * STEP / seconds;
            let _ = write!(path, "{}{x:.1} {:.1}", if nth == 0 { 'M' } else { 'L' }, self.y(*value));
        }
        let _ = writeln!(out, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#);
    }
}

/// The width of a point, in seconds.
const STEP: f64 = 0.2;

/// Draws a scene.
pub(crate) fn draw(scene: &Scene, runs: &[(Policy, Stats)]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="960" height="580" font-family="sans-serif" font-size="12">"#
    );
    let _ = writeln!(out, r#"<rect width="960" height="580" fill="white"/>"#);
    let _ = writeln!(out, r#"<text x="60" y="18" font-size="14">{}, {} servers</text>"#, scene.name, scene.fleet);
    let late = Panel { top: TOP, title: "p99, ms (log)", least: 1.0, most: 2_000.0, log: true };
    let share = Panel {
        top: TOP + HEIGHT + 40.0,
        title: "watched servers, % of attempts",
        least: 0.0,
        most: 100.0,
        log: false,
    };
    late.frame(&mut out, &[1.0, 10.0, 100.0, 1_000.0]);
    share.frame(&mut out, &[0.0, 25.0, 50.0, 75.0, 100.0]);
    let bottom = share.top + HEIGHT;
    for second in 0..=(scene.seconds as u32) {
        let x = LEFT + WIDTH * f64::from(second) / scene.seconds;
        let _ = writeln!(out, r#"<text x="{x:.0}" y="{}" text-anchor="middle">{second} s</text>"#, bottom + 16.0);
    }
    for change in &scene.changes {
        let x = LEFT + WIDTH * change.at / scene.seconds;
        let _ = writeln!(out, r##"<path d="M{x:.1} {TOP}V{bottom}" stroke="#ddd" stroke-dasharray="3"/>"##);
    }
    for ((policy, stats), (nth, colour)) in runs.iter().zip((0..).zip(COLOURS)) {
        let steps = (scene.seconds / STEP) as usize;
        let over = |of: fn(&Stats, f64, f64) -> f64| -> Vec<f64> {
            (0..steps).map(|step| of(stats, step as f64 * STEP, (step + 1) as f64 * STEP)).collect()
        };
        late.line(&mut out, colour, scene.seconds, &over(|stats, from, to| stats.quantile(from, to, 0.99)));
        share.line(&mut out, colour, scene.seconds, &over(|stats, from, to| stats.watched(from, to) * 100.0));
        let x = 300.0 + 160.0 * f64::from(nth);
        let _ = writeln!(out, r#"<text x="{x}" y="18" fill="{colour}">{}</text>"#, policy.name());
    }
    out.push_str("</svg>\n");
    out
}

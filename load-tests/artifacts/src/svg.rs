//! Charts as SVG: two axes, and layers of lines, dots and bands over them. Colours are classes of the page's style, so that they
//! follow light and dark.

use std::fmt::Write as _;

use crate::escape;

/// The size of a chart, and of the room around its plot, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// The least value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
    /// Whether equal distances are equal ratios.
    pub logarithmic: bool,
    /// Where it is marked, and how; where none are given they are chosen.
    pub marks: Vec<(f64, String)>,
}

impl Axis {
    /// From the least of these values to the largest, and a little room beyond.
    #[must_use]
    pub fn around(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (0.0, 1.0);
        }
        let room = if most > least { (most - least) * 0.06 } else { least.abs().max(1.0) * 0.1 };
        let floor = if least >= 0.0 { (least - room).max(0.0) } else { least - room };
        Self { label: label.to_owned(), least: floor, most: most + room, logarithmic: false, marks: Vec::new() }
    }

    /// The same from zero on.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.least = self.least.min(0.0);
        self
    }

    /// The same in ratios; it begins above zero.
    #[must_use]
    pub fn in_ratios(mut self, least: f64) -> Self {
        self.logarithmic = true;
        self.least = least.max(f64::MIN_POSITIVE);
        self.most = self.most.max(self.least * 10.0);
        self
    }

    /// The same with these marks.
    #[must_use]
    pub fn marked(mut self, marks: Vec<(f64, String)>) -> Self {
        self.marks = marks;
        self
    }

    /// From 0 at the least to 1 at the most.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(self.least).ln() } else { value };
        let width = scale(self.most) - scale(self.least);
        if width > 0.0 { ((scale(value) - scale(self.least)) / width).clamp(0.0, 1.0) } else { 0.5 }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.marks.is_empty() {
            return self.marks.clone();
        }
        let values = if self.logarithmic { decades(self.least, self.most) } else { steps(self.least, self.most) };
        values.into_iter().map(|value| (value, number(value))).collect()
    }
}

/// Powers of ten, and twice and five times those where there are few.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let factors: &[f64] = if most / least > 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let within = |value: &f64| *value >= least && *value <= most;
    let powers = (-12..=15).map(|power| 10_f64.powi(power));
    powers.flat_map(|power| factors.iter().map(move |factor| power * factor)).filter(within).collect()
}

/// About five round numbers.
fn steps(least: f64, most: f64) -> Vec<f64> {
    let rough = (most - least) / 5.0;
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![least];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (least / step).ceil();
    (0..20).map(|number| (first + f64::from(number)) * step).take_while(|value| *value <= most + step * 1e-9).collect()
}

/// A short form of a number: `12.5`, `3k`, `2.1M`.
#[must_use]
pub fn number(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// What is drawn. `class` is of the page's style: `baseline`, `canary`, `twin`, `other`, `limit`.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Points, joined.
    Line {
        /// Its look.
        class: &'static str,
        /// Where it goes; a point that is not finite ends a stretch.
        points: Vec<(f64, f64)>,
    },
    /// Points, each with what is said when it is pointed at.
    Dots {
        /// Their look.
        class: &'static str,
        /// Where they are, and what is said.
        points: Vec<(f64, f64, String)>,
    },
    /// Everything between two heights.
    Band {
        /// Its look.
        class: &'static str,
        /// The lower height.
        low: f64,
        /// The upper height.
        high: f64,
    },
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows, in a sentence, for who does not see it.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// From the back to the front.
    pub layers: Vec<Layer>,
    /// Looks and what they mean.
    pub legend: Vec<(&'static str, String)>,
}

impl Chart {
    /// The chart as an `svg` element with its legend.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{}</title>",
            escape::html(&self.title)
        );
        self.grid(&mut out);
        for layer in &self.layers {
            self.layer(&mut out, layer);
        }
        out.push_str("</svg>");
        if !self.legend.is_empty() {
            out.push_str("<figcaption>");
            for (class, text) in &self.legend {
                put(&mut out, format_args!("<span class=\"key {class}\"></span>{} ", escape::html(text)));
            }
            out.push_str("</figcaption>");
        }
        out.push_str("</figure>");
        out
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        (LEFT + self.x.place(x) * width, TOP + (1.0 - self.y.place(y)) * height)
    }

    fn grid(&self, out: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, text) in self.y.ticks() {
            let (_, y) = self.at(self.x.least, value);
            put(out, format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
            let (x, y) = (LEFT - 6.0, y + 4.0);
            put(out, format_args!("<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{}</text>", escape::html(&text)));
        }
        for (value, text) in self.x.ticks() {
            let (x, _) = self.at(value, self.y.least);
            put(out, format_args!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"));
            let y = bottom + 16.0;
            put(out, format_args!("<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{}</text>", escape::html(&text)));
        }
        let (x, y) = (f64::midpoint(LEFT, right), HEIGHT - 8.0);
        put(out, format_args!("<text class=\"mid name\" x=\"{x}\" y=\"{y}\">{}</text>", escape::html(&self.x.label)));
        let y = f64::midpoint(TOP, bottom);
        let label = escape::html(&self.y.label);
        put(
            out,
            format_args!("<text class=\"mid name\" x=\"14\" y=\"{y}\" transform=\"rotate(-90 14 {y})\">{label}</text>"),
        );
    }

    fn layer(&self, out: &mut String, layer: &Layer) {
        match layer {
            Layer::Band { class, low, high } => {
                let ((left, top), (right, bottom)) = (self.at(self.x.least, *high), self.at(self.x.most, *low));
                let (width, height) = (right - left, (bottom - top).max(1.0));
                put(
                    out,
                    format_args!(
                        "<rect class=\"band {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
                         height=\"{height:.1}\"/>"
                    ),
                );
            }
            Layer::Line { class, points } => {
                for stretch in points.split(|(x, y)| !(x.is_finite() && y.is_finite())).filter(|one| !one.is_empty()) {
                    let points = stretch.iter().map(|(x, y)| self.at(*x, *y));
                    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                    put(out, format_args!("<polyline class=\"line {class}\" points=\"{}\"/>", points.join(" ")));
                }
            }
            Layer::Dots { class, points } => {
                for (x, y, text) in points.iter().filter(|(x, y, _)| x.is_finite() && y.is_finite()) {
                    let ((x, y), text) = (self.at(*x, *y), escape::html(text));
                    put(
                        out,
                        format_args!(
                            "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{text}</title>\
                             </circle>"
                        ),
                    );
                }
            }
        }
    }
}

/// Writes to a string, which takes everything.
pub(crate) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (9_999.0, "9999"),
            (12_000.0, "12k"),
            (2.1e6, "2.1M"),
            (3e9, "3G"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(steps(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(steps(-0.3, 0.3), [-0.2, 0.0, 0.2]);
        assert_eq!(steps(1.0, 1.0), [1.0]);
        assert_eq!(decades(1.0, 1e4), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(decades(0.9, 11.0), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn what_is_not_finite_is_left_out_and_the_rest_stays_in_the_frame() {
        let chart = Chart {
            title: "<t>".to_owned(),
            x: Axis::around("x", [0.0, 10.0]),
            y: Axis::around("y", [1.0, 2.0]),
            layers: vec![
                Layer::Line { class: "canary", points: vec![(0.0, 1.0), (f64::NAN, 1.0), (5.0, 1e9), (6.0, 2.0)] },
                Layer::Dots { class: "canary", points: vec![(1.0, f64::INFINITY, String::new())] },
            ],
            legend: vec![("canary", "a & b".to_owned())],
        };
        let text = chart.render();
        assert_eq!(text.matches("<polyline").count(), 2);
        assert_eq!(text.matches("<circle").count(), 0);
        assert!(text.contains("<title>&lt;t&gt;</title>") && text.contains("a &amp; b"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.contains(&format!(",{TOP:.1}")), "beyond the frame is its edge: {text}");
    }

    #[test]
    fn an_axis_of_nothing_is_drawn_too() {
        let axis = Axis::around("x", []);
        assert!(axis.least < axis.most && !axis.ticks().is_empty());
        let axis = Axis::around("x", [5.0]).in_ratios(0.0);
        assert!(axis.place(5.0).is_finite());
    }
}

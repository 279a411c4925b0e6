//! A comparison as Markdown.

use super::{Change, Comparison, Gate, Measured, Row, escape, put};

impl Comparison {
    /// The table, what is to be known about it, and what differs.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for warning in &self.warnings {
            put(&mut out, format_args!("- {}\n", escape(warning)));
        }
        out.push_str(
            "\n| metric | as a ratio to | before, [95 %] | now, [95 %] | now / before | differs |\n\
             |---|---|---|---|---|---|\n",
        );
        // A failure that neither has is no line.
        self.rows.iter().filter(|row| row.ruler.is_some() || row.before.value + row.now.value > 0.0).for_each(|row| {
            line(&mut out, row);
        });
        put(&mut out, format_args!("\n{}\n", self.conclusion()));
        out
    }

    fn conclusion(&self) -> String {
        let list = |change: Change| {
            let rows = self.judged().filter(|row| row.change == change);
            let name = |row: &Row| match &row.ruler {
                Some(ruler) => format!("{} against {}", row.metric, escape(ruler)),
                None => row.metric.clone(),
            };
            rows.map(name).collect::<Vec<_>>().join(", ")
        };
        if let Some(why) = self.incomparable {
            return format!("CANNOT TELL: {why}.");
        }
        match self.outcome() {
            Change::Same => "SAME: nothing differs beyond chance and the margin.".to_owned(),
            Change::Better => format!("BETTER: {}.", list(Change::Better)),
            Change::Worse => format!("WORSE: {}.", list(Change::Worse)),
            Change::Unknown if !list(Change::Worse).is_empty() => {
                format!("CANNOT TELL: rulers disagree; worse is {}.", list(Change::Worse))
            }
            Change::Unknown if self.rows.iter().any(|row| row.ruler.is_some()) => {
                "CANNOT TELL: too few rounds for an interval.".to_owned()
            }
            Change::Unknown => "CANNOT TELL: another machine, and no ruler that both runs have.".to_owned(),
        }
    }
}

fn line(out: &mut String, row: &Row) {
    let gate = Gate::try_from(row.metric.clone()).ok();
    let shown = |value: f64| match (gate, &row.ruler) {
        (Some(gate), None) => gate.shown(value),
        _ => format!("{value:.3}"),
    };
    let interval = |measured: Measured| match (measured.low, measured.high) {
        (Some(low), Some(high)) => format!("{} [{}, {}]", shown(measured.value), shown(low), shown(high)),
        _ => format!("{}, too few rounds", shown(measured.value)),
    };
    let ratio = row.now.value / row.before.value;
    let ratio = if ratio.is_finite() { format!("{ratio:.3}") } else { "–".to_owned() };
    let change = match (row.judged, row.change) {
        (_, Change::Unknown) => "not told",
        (false, _) => "not compared",
        (true, Change::Same) => "no",
        (true, Change::Better) => "better",
        (true, Change::Worse) => "worse",
    };
    let ruler = row.ruler.as_deref().map_or_else(|| "–".to_owned(), escape);
    let (before, now) = (interval(row.before), interval(row.now));
    put(out, format_args!("| {} | {ruler} | {before} | {now} | {ratio} | {change} |\n", row.metric));
}

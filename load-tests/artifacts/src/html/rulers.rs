//! The table of rulers.

use portcullis_judge::Gate;
use portcullis_judge::window::Side;

use crate::escape::html as escape;
use crate::report::{Measured, Report};
use crate::rulers::Ruler;
use crate::svg::put;

/// What both sides cost, as ratios to rulers; nothing where there were none.
pub(super) fn section(out: &mut String, report: &Report) {
    if report.rulers.is_empty() {
        return;
    }
    out.push_str("<h2>Rulers</h2>");
    let measured: Vec<&Ruler> = report.rulers.iter().filter(|ruler| !ruler.ratios.is_empty()).collect();
    if !measured.is_empty() {
        out.push_str(
            "<div class=\"wide\"><table class=\"rulers\"><thead><tr><th>ruler</th><th>of</th><th>its own</th><th>baseline / ruler</th>\
             <th>canary / ruler</th><th>rounds</th></tr></thead><tbody>",
        );
        measured.iter().for_each(|ruler| row(out, report, ruler));
        out.push_str(
            "</tbody></table></div><p class=\"fine\">Medians of ratios within a round, with 95 % intervals over rounds. They decide \
             nothing here; they carry over to another machine, where microseconds do not.</p>",
        );
    }
    for ruler in &report.rulers {
        let Some(why) = &ruler.left_out else { continue };
        put(out, format_args!("<p>{} was left out: {}</p>", escape(&ruler.name), escape(why)));
    }
    for ruler in report.rulers.iter().filter(|ruler| ruler.missed > 0) {
        let why = ruler.missed_last.as_deref().unwrap_or_default();
        let (name, missed) = (escape(&ruler.name), ruler.missed);
        let text =
            format_args!("<p class=\"fine\">{name}: {missed} windows said nothing; the last: {}</p>", escape(why));
        put(out, text);
    }
}

fn row(out: &mut String, report: &Report, ruler: &Ruler) {
    let name = match &ruler.version {
        Some(version) => format!("{} {version}", ruler.name),
        None => ruler.name.clone(),
    };
    for (gate, of) in [(Gate::Cpu, "CPU / request"), (Gate::Rss, "memory / connection")] {
        let Some(own) = ruler.value(gate, &report.twins, &report.pairs) else { continue };
        let own = shown(own, |value| gate.shown(value));
        let sides = Side::BOTH.map(|side| ruler.ratio(side, gate));
        let [baseline, canary] =
            sides.map(|ratio| ratio.map_or_else(none, |one| shown(one.ratio, |value| format!("{value:.2}"))));
        let rounds = sides.map(|ratio| ratio.map_or(0, |one| one.rounds).to_string()).join(" / ");
        let name = escape(&name);
        put(
            out,
            format_args!(
                "<tr><th>{name}</th><td>{of}</td><td>{own}</td><td>{baseline}</td><td>{canary}</td><td>{rounds}</td></tr>"
            ),
        );
    }
}

fn none() -> String {
    "–".to_owned()
}

fn shown(measured: Measured, form: impl Fn(f64) -> String) -> String {
    let value = form(measured.value);
    match (measured.low, measured.high) {
        (Some(low), Some(high)) => format!("{value} [{}, {}]", form(low), form(high)),
        _ => value,
    }
}

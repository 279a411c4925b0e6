//! The table of rulers.

use portcullis_judge::Gate;
use portcullis_judge::window::Side;

use crate::escape::html as escape;
use crate::report::{Measured, Report};
use crate::rulers::{Ratio, Ruler};
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
            "<div class=\"wide\"><table><thead><tr><th>ruler</th><th>its CPU per request</th><th>baseline / ruler</th>\
             <th>canary / ruler</th><th>memory, baseline / ruler</th><th>memory, canary / ruler</th></tr></thead><tbody>",
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
    let own = ruler.value(Gate::Cpu, &report.twins, &report.pairs);
    let own = own.map_or_else(|| "–".to_owned(), |own| shown(own, |value| format!("{:.1}", value / 1000.0)) + " µs");
    put(out, format_args!("<tr><th>{}</th><td>{own}</td>", escape(&name)));
    for gate in [Gate::Cpu, Gate::Rss] {
        for side in Side::BOTH {
            let cell = ruler.ratio(side, gate).map_or_else(|| "–".to_owned(), ratio);
            put(out, format_args!("<td>{cell}</td>"));
        }
    }
    out.push_str("</tr>");
}

fn ratio(ratio: &Ratio) -> String {
    let rounds = ratio.rounds;
    let text = shown(ratio.ratio, |value| format!("{value:.2}"));
    format!("{text} <span class=\"fine\">{rounds} {}</span>", if rounds == 1 { "round" } else { "rounds" })
}

fn shown(measured: Measured, form: impl Fn(f64) -> String) -> String {
    let value = form(measured.value);
    match (measured.low, measured.high) {
        (Some(low), Some(high)) => format!("{value} [{}, {}]", form(low), form(high)),
        _ => value,
    }
}

//! What did not hold, at the top of the page, with the way to where it stands.

use crate::escape::html as escape;
use crate::report::{Outcome, Report, SceneResult};
use crate::svg::put;

/// The place of a scene on the page.
pub(super) fn anchor(index: usize) -> String {
    format!("scene-{index}")
}

/// Scenes that failed, then those that could not be told, each with its criteria that did not hold or why it said nothing.
pub(super) fn list(out: &mut String, report: &Report) {
    let of = |outcome: Outcome| {
        let scenes = report.scenes.iter().enumerate().filter(move |(_, scene)| scene.outcome == outcome);
        scenes.flat_map(|(index, scene)| lines(scene).into_iter().map(move |line| (index, scene, line)))
    };
    let lines: Vec<String> = of(Outcome::Failed)
        .chain(of(Outcome::Invalid))
        .map(|(index, scene, line)| {
            let (anchor, name) = (anchor(index), escape(&scene.name));
            format!("<li><a href=\"#{anchor}\">{name}</a>: {}</li>", escape(&line))
        })
        .collect();
    if !lines.is_empty() {
        put(out, format_args!("<ul>{}</ul>", lines.concat()));
    }
}

fn lines(scene: &SceneResult) -> Vec<String> {
    let missed = scene.metrics.iter().filter(|metric| metric.kept == Some(false) && metric.excused.is_none());
    let missed: Vec<String> = missed.map(|metric| format!("{}: {}", metric.name, metric.shown())).collect();
    if missed.is_empty() { scene.notes.clone() } else { missed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::report;
    use crate::report::Metric;

    fn scene(name: &str, outcome: Outcome, kept: bool, notes: &[&str]) -> SceneResult {
        let first = report().scenes[0].clone();
        let asked = "p99 at most 5 ms".to_owned();
        let metric = Metric { name: asked, kept: Some(kept), excused: None, ..first.metrics[0].clone() };
        let notes = notes.iter().map(ToString::to_string).collect();
        SceneResult { name: name.to_owned(), outcome, metrics: vec![metric], notes, ..first }
    }

    #[test]
    fn what_failed_comes_first_and_leads_to_its_place() {
        let mut report = report();
        report.scenes = vec![
            scene("steady", Outcome::Invalid, true, &["no proof"]),
            scene("crowd", Outcome::Passed, true, &["a note"]),
            scene("a<b", Outcome::Failed, false, &["a note"]),
        ];
        let mut out = String::new();
        list(&mut out, &report);
        let [failed, invalid] = ["#scene-2\">a&lt;b</a>: p99 at most 5 ms: ", "#scene-0\">steady</a>: no proof"]
            .map(|line| out.find(line).unwrap());
        assert!(failed < invalid && !out.contains("crowd") && !out.contains("a note"), "{out}");
    }

    #[test]
    fn where_all_passed_there_is_no_list() {
        let mut report = report();
        report.scenes = vec![scene("crowd", Outcome::Passed, true, &["a note"])];
        let mut out = String::new();
        list(&mut out, &report);
        assert_eq!(out, "");
    }
}

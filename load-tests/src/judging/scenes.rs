//! The reports of scenes: `scenes.json` as `result.json`, `junit.xml`, `BASELINE.md` and `report.html`.

use std::path::Path;

use portcullis_artifacts::report::VERSION;
use portcullis_artifacts::{Measured, Metric, Outcome, Report, Scalability, SceneResult, Series, Subject};
use portcullis_judge::OnInconclusive;
use portcullis_judge::random::Random;
use portcullis_judge::scalability::{Law, Point};
use serde_json::Value as Json;

use crate::Failure;

use super::output;

/// Resamples of the scalability law's intervals.
const RESAMPLES: u32 = 500;

/// Writes the reports of scenes that were played. `scenes` is what `scenes.json` holds.
///
/// # Errors
///
/// When a file cannot be written, or the scenes are not in their format.
pub fn leave(scenes: &Json, gateway: &Path, began: &str, seconds: f64, out: &Path) -> Result<(), Failure> {
    output::write(&report(scenes, gateway, began, seconds)?, out)
}

fn report(scenes: &Json, gateway: &Path, began: &str, seconds: f64) -> Result<Report, Failure> {
    let seed = scenes.get("seed").and_then(Json::as_u64).unwrap_or_default();
    let list = scenes.get("scenes").and_then(Json::as_array).ok_or("no scenes")?;
    let small = scenes.get("small").and_then(Json::as_bool).unwrap_or_default();
    let curve = list.iter().find_map(|scene| scene.get("numbers")?.get("scalability"));
    Ok(Report {
        version: VERSION,
        tool: format!("portcullis-load {}", env!("CARGO_PKG_VERSION")),
        began: began.to_owned(),
        seconds,
        seed,
        plan_digest: None,
        duet: false,
        plan: if small { "scenes, small".to_owned() } else { "scenes".to_owned() },
        command: std::env::args().collect::<Vec<_>>().join(" "),
        environment: output::environment(),
        baseline: Subject { what: gateway.display().to_string(), revision: None },
        canary: None,
        judgement: None,
        inconclusive: OnInconclusive::Fail,
        twins: Vec::new(),
        pairs: Vec::new(),
        rulers: Vec::new(),
        scenes: list
            .iter()
            .map(|one| scene(one, seed))
            .collect::<Option<_>>()
            .ok_or("a scene without a name or a status")?,
        scalability: curve.and_then(|curve| scalability(curve, seed)),
        series: list.iter().flat_map(series).collect(),
    })
}

/// What a scene watched over time: each of its numbers that is a series.
fn series(scene: &Json) -> Vec<Series> {
    let name = scene.get("name").and_then(Json::as_str).unwrap_or_default();
    let numbers = scene.get("numbers").and_then(Json::as_object).into_iter().flatten();
    let read = numbers.filter_map(|(_, value)| serde_json::from_value::<Series>(value.get("series")?.clone()).ok());
    read.map(|series| Series { name: format!("{name}: {}", series.name), ..series }).collect()
}

/// A number: exact, or the median of rounds with the interval that holds it.
fn measured(value: &Json) -> Option<Measured> {
    let number = |key: &str| value.get(key)?.as_f64();
    match value.as_f64() {
        Some(value) => Some(Measured::exact(value)),
        None => Some(Measured { value: number("median")?, low: number("low"), high: number("high") }),
    }
}

fn scene(scene: &Json, seed: u64) -> Option<SceneResult> {
    let text = |key: &str| Some(scene.get(key)?.as_str()?.to_owned());
    let list = |key: &str| scene.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let outcome = match scene.get("status")?.as_str()? {
        "passed" => Outcome::Passed,
        "failed" => Outcome::Failed,
        "invalid" => Outcome::Invalid,
        _ => return None,
    };
    let asked = list("findings").iter().filter_map(|finding| {
        let text = |key: &str| Some(finding.get(key)?.as_str()?.to_owned());
        Some(Metric {
            name: text("criterion")?,
            unit: String::new(),
            measured: None,
            found: text("found"),
            criterion: text("criterion"),
            kept: finding.get("holds").and_then(Json::as_bool),
            excused: text("excuse"),
            rationale: text("why"),
            rollback: text("rollback"),
            hotfix: text("hotfix"),
        })
    });
    let numbers = scene.get("numbers").and_then(Json::as_object).into_iter().flatten();
    let numbers = numbers.filter_map(|(name, value)| Some(Metric::reported(name, "", measured(value)?)));
    let flaws = list("flaws").iter().filter_map(|flaw| Some(flaw.as_str()?.to_owned()));
    Some(SceneResult {
        name: text("name")?,
        outcome,
        seconds: scene.get("seconds").and_then(Json::as_f64).unwrap_or_default(),
        seed,
        metrics: asked.chain(numbers).collect(),
        notes: flaws.collect(),
        windows: scene
            .get("windows")
            .map_or_else(|| Ok(Vec::new()), |windows| serde_json::from_value(windows.clone()))
            .ok()?,
    })
}

fn scalability(curve: &Json, seed: u64) -> Option<Scalability> {
    let points: Vec<Point> = serde_json::from_value(curve.get("points")?.clone()).ok()?;
    let law = Law::fit(&points, RESAMPLES, &mut Random::new(seed)).ok();
    Some(Scalability { points, law })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_judge::Exit;
    use serde_json::json;

    fn scenes() -> Json {
        let points = [1.0, 2.0, 4.0, 8.0, 16.0]
            .map(|n| json!({ "concurrency": n, "throughput": 900.0 * n / (1.0 + 0.1 * (n - 1.0)) }));
        json!({
            "seed": 7,
            "small": true,
            "scenes": [
                {
                    "name": "reload", "what": "a reload every second: nothing fails", "status": "failed", "seconds": 5.5,
                    "findings": [
                        { "criterion": "nothing fails", "holds": false, "found": "3 failed", "why": "w", "rollback": "r", "hotfix": "h" },
                        { "criterion": "in time", "holds": false, "found": "late", "excuse": "others had the core" },
                    ],
                    "flaws": [],
                    "numbers": {
                        "reloads": 5, "words": "none", "late": { "median": 2, "low": 1, "high": 3, "rounds": [1, 2, 3] },
                        "memory": { "series": { "name": "memory", "unit": "bytes", "points": [{ "seconds": 0.0, "value": 7.0 }] } },
                    },
                    "windows": [{ "name": "load", "load": null, "looks": [] }],
                },
                {
                    "name": "saturation", "what": "what it holds", "status": "invalid", "seconds": 1.0, "findings": [],
                    "flaws": ["the machine"], "numbers": { "scalability": { "points": points } },
                },
            ],
        })
    }

    #[test]
    fn every_criterion_and_every_number_is_a_metric() {
        let report = report(&scenes(), "gw".as_ref(), "2026-01-01T00:00:00Z", 7.0).unwrap();
        assert_eq!((report.exit(), report.seed, report.scenes.len()), (Exit::Rollback, 7, 2));
        let reload = report.scenes.first().unwrap();
        let shown: Vec<_> =
            reload.metrics.iter().map(|metric| (metric.name.as_str(), metric.shown(), metric.kept)).collect();
        let expected = [
            ("nothing fails", "3 failed", Some(false)),
            ("in time", "late", Some(false)),
            ("late", "2", None),
            ("reloads", "5", None),
        ];
        assert_eq!(shown, expected.map(|(name, shown, kept)| (name, shown.to_owned(), kept)));
        assert_eq!(reload.metrics.iter().map(Metric::fails).collect::<Vec<_>>(), [true, false, false, false]);
        let late = reload.metrics.get(2).and_then(|metric| metric.measured).unwrap();
        assert_eq!((late.low, late.high), (Some(1.0), Some(3.0)));
        let own = reload.metrics.first().unwrap();
        let texts = [&own.rationale, &own.rollback, &own.hotfix].map(|text| text.as_deref().unwrap());
        assert_eq!((texts, reload.windows.len()), (["w", "r", "h"], 1));
        assert_eq!(report.series.first().map(|series| series.name.as_str()), Some("reload: memory"));
        let law = report.scalability.as_ref().unwrap().law.as_ref().unwrap();
        assert!((law.sigma.fit - 0.1).abs() < 1e-6, "{law:?}");
        assert_eq!(report.scenes.last().unwrap().notes, ["the machine"]);
    }

    #[test]
    fn all_reports_are_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        leave(&scenes(), "gw".as_ref(), "2026-01-01T00:00:00Z", 7.0, folder.path()).unwrap();
        for (file, needle) in [
            ("result.json", "\"scenes, small\""),
            ("junit.xml", "name=\"nothing fails\""),
            ("junit.xml", "<skipped"),
            ("BASELINE.md", "## reload"),
            ("report.html", "universal scalability law"),
        ] {
            let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains(needle), "{file}: {text}");
        }
    }

    #[test]
    fn what_is_not_in_the_format_is_refused() {
        for wrong in [json!({}), json!({ "scenes": [{ "name": "a", "status": "fine" }] })] {
            assert!(report(&wrong, "gw".as_ref(), "", 1.0).is_err(), "{wrong}");
        }
    }
}

//! `junit.xml`: a suite for the verdict, with a case for each gate and finding; a suite for each scene, with a case for each metric.

use std::time::Duration;

use portcullis_judge::window::Side;
use portcullis_judge::{Exit, Finding, Judgement, Standing};
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::report::{Metric, Outcome, Report, SceneResult};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
#[error("junit.xml: {0}")]
pub struct NoDocument(#[from] quick_junit::SerializeError);

/// The text of `junit.xml`.
///
/// # Errors
///
/// Never: all of it can be written.
pub fn document(report: &Report) -> Result<String, NoDocument> {
    let mut document = Document::new(format!("portcullis-load {}", report.plan));
    document.set_time(length(report.seconds));
    if let Some(judgement) = &report.judgement {
        document.add_test_suite(verdict(report, judgement));
    }
    document.add_test_suites(report.scenes.iter().map(scene));
    Ok(document.to_string()?)
}

fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn verdict(report: &Report, judgement: &Judgement) -> TestSuite {
    let mut suite = TestSuite::new("judge");
    suite.set_time(length(report.seconds));
    suite.add_property(("seed", report.seed.to_string().as_str()));
    if let Some(false_alarms) = judgement.false_alarms {
        suite.add_property(("false_alarms", false_alarms.to_string().as_str()));
    }
    let status = match report.exit() {
        Exit::Pass => success(&judgement.reason),
        Exit::Invalid => trouble(NonSuccessKind::Error, "invalid", &judgement.reason),
        Exit::Inconclusive => trouble(NonSuccessKind::Failure, "inconclusive", &judgement.reason),
        Exit::Rollback => trouble(NonSuccessKind::Failure, "rollback", &judgement.reason),
        Exit::Hotfix => trouble(NonSuccessKind::Failure, "hotfix", &judgement.reason),
        Exit::Usage => trouble(NonSuccessKind::Error, "usage", &judgement.reason),
    };
    suite.add_test_case(case("verdict", "judge", status));
    suite.add_test_cases(judgement.standings.iter().map(|standing| gate(judgement, standing)));
    suite.add_test_cases(judgement.findings.iter().map(finding));
    suite
}

fn case(name: &str, class: &str, status: (TestCaseStatus, String)) -> TestCase {
    let (status, output) = status;
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case.set_system_out(output);
    case
}

fn success(text: &str) -> (TestCaseStatus, String) {
    (TestCaseStatus::success(), text.to_owned())
}

fn trouble(kind: NonSuccessKind, word: &str, text: &str) -> (TestCaseStatus, String) {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word).set_message(text);
    (status, text.to_owned())
}

/// What the machine did not let anybody tell is neither kept nor missed.
fn skipped(why: &str, text: &str) -> (TestCaseStatus, String) {
    let mut status = TestCaseStatus::skipped();
    status.set_type("excused").set_message(why);
    (status, text.to_owned())
}

/// A gate fails only when it decided; what is neither proven harmful nor sound is no failure of its own.
fn gate(judgement: &Judgement, standing: &Standing) -> TestCase {
    let name = standing.gate.as_str();
    let text = standing.to_string();
    let decided = judgement.decided_by.as_deref() == Some(name);
    let status = if decided && judgement.verdict.remedy().is_some() {
        trouble(NonSuccessKind::Failure, "worse", &text)
    } else {
        success(&text)
    };
    case(name, "judge", status)
}

fn finding(finding: &Finding) -> TestCase {
    let text = finding.to_string();
    let status = match finding.fails(Side::Canary) {
        Some(true) => trouble(NonSuccessKind::Failure, "worse", &text),
        Some(false) => success(&text),
        None => trouble(NonSuccessKind::Error, "invalid", &text),
    };
    case(finding.name(), "judge", status)
}

fn scene(scene: &SceneResult) -> TestSuite {
    let mut suite = TestSuite::new(scene.name.as_str());
    suite.set_time(length(scene.seconds));
    suite.add_property(("seed", scene.seed.to_string().as_str()));
    let notes = scene.notes.join("\n");
    let status = match scene.outcome {
        Outcome::Passed => success(&notes),
        Outcome::Failed => trouble(NonSuccessKind::Failure, "criterion", &notes),
        Outcome::Invalid => trouble(NonSuccessKind::Error, "invalid", &notes),
    };
    suite.add_test_case(case("outcome", &scene.name, status));
    suite.add_test_cases(scene.metrics.iter().map(|one| metric(scene, one)));
    suite
}

fn metric(scene: &SceneResult, metric: &Metric) -> TestCase {
    let Metric { name, criterion, kept, excused, .. } = metric;
    let text = match criterion.as_deref() {
        // The case's name says it.
        Some(criterion) if criterion == name => metric.shown(),
        criterion => format!("{}; {}", metric.shown(), criterion.unwrap_or("nothing is asked of it")),
    };
    let status = match excused {
        Some(why) if kept.is_some() => skipped(&format!("cannot be told: {why}"), &text),
        _ if *kept == Some(false) => trouble(NonSuccessKind::Failure, "criterion", &text),
        _ => success(&text),
    };
    case(name, &scene.name, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOSTILE, report};
    use portcullis_judge::instructions::{Instructions, Twins};

    #[test]
    fn there_is_a_case_for_every_scene_gate_and_metric() {
        let report = report();
        let text = document(&report).unwrap();
        let read = Document::deserialize_from_str(&text).unwrap();
        let judged = report.judgement.as_ref().unwrap();
        let cases: usize = read.test_suites.iter().map(|suite| suite.test_cases.len()).sum();
        let metrics: usize = report.scenes.iter().map(|scene| 1 + scene.metrics.len()).sum();
        assert_eq!(cases, 1 + judged.standings.len() + judged.findings.len() + metrics);
        assert_eq!(read.test_suites.len(), 1 + report.scenes.len());
    }

    #[test]
    fn what_decided_is_a_failure_with_its_remedy() {
        let text = document(&report()).unwrap();
        assert!(text.contains("type=\"rollback\""), "{text}");
        let gates = text.split("<testcase name=\"cpu_per_request\"").nth(1).unwrap();
        assert!(gates.split("</testcase>").next().unwrap().contains("<failure"), "{text}");
    }

    #[test]
    fn instructions_that_cannot_be_told_are_an_error_and_no_success() {
        let mut report = report();
        let twins = Twins { baseline: [100.0, 108.0], canary: [100.0; 2] };
        report.judgement.as_mut().unwrap().findings = vec![Finding::Instructions(Instructions::of(twins, 1.05))];
        let text = document(&report).unwrap();
        let case = text.split("<testcase name=\"instructions_per_request\"").nth(1).unwrap();
        let case = case.split("</testcase>").next().unwrap();
        assert!(case.contains("<error") && case.contains("type=\"invalid\""), "{case}");
        assert!(case.contains("baseline differ by 8.0 %"), "{case}");
    }

    #[test]
    fn what_the_machine_excuses_is_skipped_with_its_reason() {
        let text = document(&report()).unwrap();
        for (name, why) in [("excused", "others had the core"), ("doubted", "the tool measured too little")] {
            let case = text.split(&format!("<testcase name=\"{name}\"")).nth(1).unwrap();
            let case = case.split("</testcase>").next().unwrap();
            assert!(case.contains("<skipped") && case.contains(&format!("cannot be told: {why}")), "{case}");
            assert!(!case.contains("<failure"), "{case}");
        }
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let text = document(&report()).unwrap();
        assert!(!text.contains("<script"), "{text}");
        let read = Document::deserialize_from_str(&text).unwrap();
        // What a terminal would take for a colour is left out.
        let kept = HOSTILE.replace("\u{1b}[31m", "");
        assert!(read.test_suites.iter().any(|suite| suite.name.as_str() == kept), "{text}");
    }
}

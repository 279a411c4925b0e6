//! The format is what its schema says, and is read back as it was written.

use super::*;
use crate::fixture::{little, report};
use portcullis_judge::Finding;
use serde_json::Value;

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn errors(value: &Value) -> Vec<String> {
    validator().iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn a_report_with_everything_keeps_the_schema() {
    let value: Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    assert_eq!(errors(&value), Vec::<String>::new());
}

#[test]
fn a_report_with_little_keeps_the_schema() {
    let value: Value = serde_json::from_str(&little().to_json().unwrap()).unwrap();
    assert_eq!(errors(&value), Vec::<String>::new());
}

#[test]
fn what_is_not_in_the_format_breaks_the_schema() {
    let good: Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    for (pointer, wrong) in [
        ("/version", Value::from(3)),
        ("/rulers/0/ratios/0/rounds", Value::from("many")),
        ("/twins/0/rulers/nginx/requests", Value::from(-1)),
        ("/seed", Value::from("seven")),
        ("/judgement/verdict", Value::from("maybe")),
        ("/judgement/standings/0/gate", Value::from("p99")),
        ("/judgement/findings/0/instructions/twins/baseline", Value::from(1.0)),
        ("/pairs/0/first", Value::from("both")),
        ("/pairs/0/canary/requests", Value::from(-1)),
        ("/scenes/0/outcome", Value::from("fine")),
        ("/scenes/0/windows/0/looks/0/steal", Value::from("much")),
        ("/scenes/0/metrics/0/excused", Value::from(true)),
        ("/environment/cores", Value::Null),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = wrong;
        assert_ne!(errors(&value), Vec::<String>::new(), "{pointer}");
    }
    let mut value = good;
    value.as_object_mut().unwrap().insert("more".to_owned(), Value::Null);
    assert_ne!(errors(&value), Vec::<String>::new());
}

#[test]
fn it_is_read_back_as_it_was_written() {
    let report = report();
    let read = Report::from_json(&report.to_json().unwrap()).unwrap();
    assert_eq!(read.to_json().unwrap(), report.to_json().unwrap());
    assert_eq!(read.pairs, report.pairs);
}

#[test]
fn another_version_and_a_window_that_does_not_add_up_are_refused() {
    let text = report().to_json().unwrap();
    // What a newer one has besides does not hide that it is newer.
    let newer = text.replacen("\"version\": 4", "\"version\": 5, \"more\": 1", 1);
    let refused = |text: &str| Report::from_json(text).unwrap_err().to_string();
    assert_eq!(refused(&newer), "a report of version 5; this tool reads versions 1 to 4");
    assert_eq!(refused("{}"), "no report: it says no version");
    assert!(refused("<html>").starts_with("no report: expected value"));
    let wrong = text.replacen("\"succeeded\": 2000", "\"succeeded\": 1999", 1);
    assert!(Report::from_json(&wrong).unwrap_err().to_string().contains("2000 requests were sent"));
}

#[test]
fn an_older_version_is_read() {
    let mut value: Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    let object = value.as_object_mut().unwrap();
    object.insert("version".to_owned(), Value::from(1));
    for newer in ["plan_digest", "duet", "rulers"] {
        object.remove(newer).unwrap();
    }
    for list in ["twins", "pairs"] {
        let pairs = value.get_mut(list).unwrap().as_array_mut().unwrap();
        pairs.iter_mut().for_each(|pair| drop(pair.as_object_mut().unwrap().remove("rulers").unwrap()));
    }
    value["judgement"].as_object_mut().unwrap().remove("shown").unwrap();
    let counted = value.pointer_mut("/judgement/findings/0/instructions").unwrap();
    counted.as_object_mut().unwrap().remove("twins").unwrap();
    let scene = &mut value["scenes"][0];
    scene["windows"] = Value::Array(Vec::new());
    for metric in scene["metrics"].as_array_mut().unwrap() {
        for newer in ["excused", "rollback", "hotfix"] {
            metric.as_object_mut().unwrap().remove(newer).unwrap();
        }
    }
    let read = Report::from_json(&value.to_string()).unwrap();
    assert_eq!((read.version, read.rulers.len(), read.pairs.len()), (1, 0, report().pairs.len()));
}

/// A tool of version 3 knows neither two counts nor a doubt about what is kept, so it must not take such a result for one of its own.
#[test]
fn what_an_older_tool_would_not_understand_has_a_newer_version_and_its_own_is_read() {
    let written: Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    let twins = "/judgement/findings/0/instructions/twins/baseline";
    let doubted = |metric: &Value| metric["kept"] == true && !metric["excused"].is_null();
    let metrics = written["scenes"][0]["metrics"].as_array().unwrap();
    assert!(written.pointer(twins).is_some() && metrics.iter().any(doubted));
    assert!(written["version"].as_u64() > Some(3), "{}", written["version"]);
    let mut older = written;
    older["version"] = Value::from(3);
    let counted = older.pointer_mut("/judgement/findings/0/instructions").unwrap();
    counted.as_object_mut().unwrap().remove("twins").unwrap();
    let read = Report::from_json(&older.to_string()).unwrap();
    let Some(Finding::Instructions(counted)) = read.judgement.unwrap().findings.first().cloned() else { panic!() };
    assert_eq!((read.version, counted.twins), (3, None));
}

#[test]
fn scenes_have_an_exit_code_of_their_own() {
    let mut report = report();
    assert_eq!(report.exit(), Exit::Rollback);
    report.judgement = None;
    for (outcome, exit) in
        [(Outcome::Failed, Exit::Rollback), (Outcome::Invalid, Exit::Invalid), (Outcome::Passed, Exit::Pass)]
    {
        report.scenes.iter_mut().for_each(|scene| scene.outcome = outcome);
        assert_eq!(report.exit(), exit);
    }
}

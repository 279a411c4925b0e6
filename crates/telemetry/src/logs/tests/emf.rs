//! Objects of the embedded metric format, checked by its rules.

use serde_json::Value;

use crate::access_log::{Field, FieldSet, View};
use crate::fixture;
use crate::logs::emf::EmfStyle;
use crate::logs::{Dimension, Emf, EmfTarget};
use crate::record::Record;
use portcullis_types::{ProxyError, Reason};

/// Checks an object by the schema of the format and by what the specification says beside it.
pub(super) fn check(object: &Value) {
    let aws = object["_aws"].as_object().expect("_aws");
    assert_eq!(aws.len(), 2, "{aws:?}");
    assert!(aws["Timestamp"].as_u64().is_some_and(|at| at > 1_000_000_000_000), "milliseconds: {}", aws["Timestamp"]);
    for directive in aws["CloudWatchMetrics"].as_array().expect("CloudWatchMetrics") {
        let namespace = directive["Namespace"].as_str().expect("Namespace");
        assert!((1..=1024).contains(&namespace.len()));
        let sets = directive["Dimensions"].as_array().expect("Dimensions");
        assert!(!sets.is_empty());
        for set in sets {
            let set = set.as_array().expect("a set");
            assert!(set.len() <= 30, "{set:?}");
            for name in set {
                let value = object[name.as_str().expect("a name")].as_str();
                assert!(value.is_some_and(|text| (1..=1024).contains(&text.len())), "{name}: {value:?}");
            }
        }
        let metrics = directive["Metrics"].as_array().expect("Metrics");
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            let name = metric["Name"].as_str().expect("a name");
            assert!(object[name].is_number(), "{name}: {}", object[name]);
            assert!(["Count", "Milliseconds", "Bytes"].contains(&metric["Unit"].as_str().expect("a unit")));
        }
    }
}

fn settings(dimensions: Vec<Vec<Dimension>>) -> Emf {
    Emf { target: EmfTarget::Stdout, namespace: "Gate/Edge".to_owned(), dimensions }
}

fn object(dimensions: Vec<Vec<Dimension>>, record: &Record, view: &View) -> Value {
    let mut out = Vec::new();
    EmfStyle::new(&settings(dimensions), view).render(record, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text}");
    // Names stand once: a parser that takes the first and one that takes the last see the same.
    for &dimension in Dimension::ALL {
        assert!(text.matches(&format!(",\"{}\":", dimension.name())).count() <= 1, "{text}");
    }
    let object = serde_json::from_str(&text).unwrap();
    check(&object);
    object
}

#[test]
fn an_object_names_its_metrics_and_has_its_dimensions_whatever_the_view_leaves_out() {
    let all = vec![vec![], Dimension::ALL.to_vec(), vec![Dimension::StatusClass]];
    let nothing = View { fields: FieldSet::only([]), ..View::FULL };
    for view in [&View::FULL, &nothing] {
        let got = object(all.clone(), &fixture::typical(7), view);
        assert_eq!((&got["requests"], &got["errors"]), (&1.into(), &0.into()));
        assert_eq!((&got["total_ms"], &got["first_byte_ms"]), (&12.345.into(), &9.52.into()));
        assert_eq!(
            (&got["route"], &got["status_class"], &got["reason"]),
            (&"archive".into(), &"2xx".into(), &"none".into())
        );
        assert_eq!(got.get("path").is_some(), view.fields.has(Field::Path));
    }
    let mut failed = fixture::bare(1);
    failed.fail(&ProxyError::new(Reason::UpstreamReset));
    let got = object(all, &failed, &nothing);
    assert_eq!(
        (&got["errors"], &got["reason"], &got["fault"]),
        (&1.into(), &"upstream_reset".into(), &"upstream".into())
    );
    assert_eq!(
        (&got["route"], &got["cluster"], &got["virtual_host"]),
        (&"none".into(), &"none".into(), &"none".into())
    );
    assert!(got.get("first_byte_ms").is_none());
}

#[test]
fn what_a_client_sends_is_never_a_dimension() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..1000_u32 {
        let mut record = fixture::bare(u128::from(n));
        let (host, path) = (format!("h{n}.example"), format!("/{n}"));
        let line = crate::RequestLine {
            method: path.as_bytes(),
            host: host.as_bytes(),
            path: path.as_bytes(),
            query: None,
            user_agent: Some(path.as_bytes()),
        };
        record.set_head(&line, &crate::RecordOptions::default());
        record.status = u16::try_from(n).unwrap();
        let got = object(vec![Dimension::ALL.to_vec()], &record, &View::FULL);
        seen.insert(Dimension::ALL.iter().map(|one| got[one.name()].to_string()).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(seen.len(), 6, "five classes and none: {seen:?}");
}

//! Reports are read, bounded and forgotten.

use super::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn reads_both_formats_and_refuses_the_rest() {
    let report = |utilisation, qps, eps| CapacityReport { utilisation, qps, eps, ..CapacityReport::default() };
    for (value, expected) in [
        ("TEXT cpu_utilization=0.3", Ok(report(Some(0.3), None, None))),
        (
            "TEXT cpu_utilization=0.3, mem_utilization=0.8,rps_fractional=10.0, eps=1,named_metrics.queue=4",
            Ok(report(Some(0.3), Some(10.0), Some(1.0))),
        ),
        ("TEXT cpu_utilization:0.5", Ok(report(Some(0.5), None, None))),
        ("TEXT", Ok(report(None, None, None))),
        (r#"JSON {"cpu_utilization": 0.3, "named_metrics": {"queue": 4}}"#, Ok(report(Some(0.3), None, None))),
        (r#"JSON {"application_utilization": 1.4, "cpu_utilization": 0.3}"#, Ok(report(Some(1.4), None, None))),
        (r#"JSON {"application_utilization": 0, "cpu_utilization": 0.3}"#, Ok(report(Some(0.3), None, None))),
        ("TEXT cpu_utilization=-1", Ok(report(None, None, None))),
        ("TEXT cpu_utilization=NaN", Ok(report(None, None, None))),
        ("TEXT cpu_utilization", Err(OrcaError::Malformed)),
        ("TEXT cpu_utilization=much", Err(OrcaError::Malformed)),
        ("JSON [1", Err(OrcaError::Malformed)),
        ("JSON", Err(OrcaError::Malformed)),
        ("BIN CQAA", Err(OrcaError::Binary)),
        ("cpu_utilization=0.3", Err(OrcaError::Format)),
        ("", Err(OrcaError::Format)),
    ] {
        assert_eq!(parse_orca(value), expected, "{value}");
    }
    assert_eq!(parse_orca(&"TEXT ".repeat(2000)), Err(OrcaError::TooLong));
}

#[test]
fn utilisation_is_bounded_and_fades() {
    let reported = Reported::default();
    assert_eq!(reported.read(Stamp(1)), (0.0, false));
    for (utilisation, expected) in [(0.5, 0.5), (7.0, 2.0), (0.0, 0.0)] {
        reported.take_in(Stamp(1), &CapacityReport { utilisation: Some(utilisation), ..CapacityReport::default() });
        assert!((reported.read(Stamp(1)).0 - expected).abs() < 1e-3);
    }
    for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
        reported.take_in(Stamp(1), &CapacityReport { utilisation: Some(nonsense), ..CapacityReport::default() });
        assert!(reported.read(Stamp(1)).0 < 1e-3);
    }
    reported.take_in(Stamp(1), &CapacityReport { utilisation: Some(1.0), ..CapacityReport::default() });
    assert!((reported.read(Stamp(5 * SECOND)).0 - 0.5).abs() < 1e-2);
    assert!(reported.read(Stamp(11 * SECOND)).0 < 1e-6);
}

#[test]
fn errors_count_as_load() {
    let report = CapacityReport { utilisation: Some(0.4), qps: Some(30.0), eps: Some(10.0), ..Default::default() };
    assert!((report.pressure().unwrap() - 0.733).abs() < 1e-2);
}

#[test]
fn nobody_stays_away_longer_than_is_believed() {
    for (report, expected) in [
        (CapacityReport { drain: true, ..Default::default() }, 60),
        (CapacityReport { retry_after: Some(Duration::from_secs(2)), ..Default::default() }, 2),
        (CapacityReport { retry_after: Some(Duration::MAX), ..Default::default() }, 60),
    ] {
        let reported = Reported::default();
        reported.take_in(Stamp(1), &report);
        assert_eq!(reported.away_for(Stamp(1)), Some(Duration::from_secs(expected)));
        assert!(reported.read(Stamp(1)).1);
        assert!(!reported.read(Stamp(1 + expected * SECOND)).1);
        reported.come_back();
        assert_eq!(reported.away_for(Stamp(1)), None);
    }
}

#[test]
fn a_full_endpoint_keeps_some_share() {
    for (pressure, share, slower) in
        [(0.0, 1.0, 1.0), (0.5, 1.0, 1.0), (0.9, 0.55, 5.0), (1.0, 0.1, 10.0), (2.0, 0.1, 10.0)]
    {
        assert!((share_when(pressure) - share).abs() < 1e-3, "{pressure}");
        assert!((slower_when(pressure) - slower).abs() < 1e-3, "{pressure}");
    }
}

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

fn full(utilisation: f64) -> CapacityReport {
    CapacityReport { utilisation: Some(utilisation), ..CapacityReport::default() }
}

#[test]
fn utilisation_is_bounded_and_fades() {
    let reported = Reported::default();
    assert_eq!((reported.read(Stamp(1)), reported.latest(Stamp(1))), ((0.0, false), 0.0));
    for (utilisation, expected) in [(0.5, 0.5), (7.0, 2.0), (0.0, 0.0)] {
        reported.take_in(Stamp(1), &full(utilisation));
        assert!((reported.latest(Stamp(1)) - expected).abs() < 1e-3);
    }
    for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
        reported.take_in(Stamp(1), &full(nonsense));
        assert!(reported.latest(Stamp(1)) < 1e-3);
    }
    let reported = Reported::default();
    reported.take_in(Stamp(1), &full(1.0));
    for (seconds, expected) in [(0, 1.0), (5, 0.5), (10, 0.0), (1_000_000, 0.0)] {
        let (settled, latest) = (reported.read(Stamp(seconds * SECOND)).0, reported.latest(Stamp(seconds * SECOND)));
        assert!((settled - expected).abs() < 1e-2 && (latest - expected).abs() < 1e-2, "{seconds}");
    }
}

#[test]
fn what_is_chosen_by_settles_over_seconds_at_any_rate_of_reports() {
    for per_second in [1, 20, 1_000, 50_000] {
        let reported = Reported::default();
        let at = |nth: u64| Stamp(1 + nth * SECOND / per_second);
        reported.take_in(at(0), &full(0.2));
        assert!((reported.read(at(0)).0 - 0.2).abs() < 1e-3, "the first counts whole");
        (1..=5 * per_second).for_each(|nth| reported.take_in(at(nth), &full(1.0)));
        let (settled, _) = reported.read(at(5 * per_second));
        assert!((0.65..0.75).contains(&settled), "{per_second}: {settled}");
        assert!((reported.latest(at(5 * per_second)) - 1.0).abs() < 1e-3);
        (5 * per_second..30 * per_second).for_each(|nth| reported.take_in(at(nth), &full(1.0)));
        let (settled, _) = reported.read(at(30 * per_second - 1));
        assert!((settled - 1.0).abs() < 0.02, "{per_second}: {settled}");
    }
    // After so long a silence that nothing is believed any more, the next report counts whole again.
    let reported = Reported::default();
    reported.take_in(Stamp(1), &full(2.0));
    reported.take_in(Stamp(11 * SECOND), &full(0.1));
    assert!((reported.read(Stamp(11 * SECOND)).0 - 0.1).abs() < 1e-3);
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
        [(0.0, 1.0, 1.0), (0.5, 1.0, 1.0), (0.9, 0.75, 5.0), (1.0, 0.5, 10.0), (2.0, 0.1, 10.0)]
    {
        assert!((share_when(pressure) - share).abs() < 1e-3, "{pressure}");
        assert!((slower_when(pressure) - slower).abs() < 1e-3, "{pressure}");
    }
}

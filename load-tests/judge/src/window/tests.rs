//! What a window refuses to be.

use super::*;

fn readings() -> Readings {
    Readings {
        requests: 100,
        succeeded: 90,
        refused: 4,
        failed: BTreeMap::from([(Failure::Timeout, 5), (Failure::Cut, 1)]),
        beyond_slo: 6,
        cpu_ns: Some(2_500_000),
        rss_bytes: Some(3 << 20),
        rss_before_bytes: Some(2 << 20),
        connections: 32,
        latency: Histogram::new([(1_000_000, 94)]),
        seconds: 2.0,
        ..Readings::default()
    }
}

#[test]
fn what_adds_up_is_a_window() {
    let window = Window::new(readings()).unwrap();
    assert_eq!(window.failed_requests(), 6);
    assert_eq!(window.cpu_per_request(), Some(25_000.0));
    assert_eq!((window.rss(), window.rss_per_connection()), (Some(3_145_728.0), Some(32_768.0)));
}

#[test]
fn what_does_not_add_up_is_refused() {
    let change = |change: fn(&mut Readings)| {
        let mut readings = readings();
        change(&mut readings);
        Window::new(readings).unwrap_err().to_string()
    };
    assert_eq!(
        change(|it| it.succeeded = 91),
        "100 requests were sent, but 91 succeeded, 4 were refused and 6 failed: 101 in all"
    );
    assert!(change(|it| it.failed = BTreeMap::new()).contains("and 0 failed: 94 in all"));
    assert!(change(|it| it.refused = u64::MAX).contains("were refused"));
    assert_eq!(change(|it| it.beyond_slo = 5), "5 requests beyond the objective, of 100 of which 6 failed");
    assert!(change(|it| it.beyond_slo = 101).starts_with("101 requests beyond"));
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let readings = Readings { seconds, ..readings() };
        assert!(matches!(Window::new(readings), Err(Unbalanced::Length(_))), "{seconds}");
    }
}

#[test]
fn it_is_read_back_as_it_was_and_only_when_it_adds_up() {
    let window = Window::new(readings()).unwrap();
    let text = serde_json::to_string(&window).unwrap();
    assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
    let error = serde_json::from_str::<Window>(&text.replace("\"succeeded\":90", "\"succeeded\":9")).unwrap_err();
    assert!(error.to_string().contains("19 in all"), "{error}");
}

#[test]
fn a_window_without_the_numbers_has_no_ratio() {
    let window = Window::new(Readings { cpu_ns: None, rss_bytes: None, ..readings() }).unwrap();
    assert_eq!((window.cpu_per_request(), window.rss_per_connection()), (None, None));
    for before in [None, Some(3 << 20), Some(4 << 20)] {
        let window = Window::new(Readings { rss_before_bytes: before, ..readings() }).unwrap();
        assert_eq!(window.rss_per_connection(), None, "{before:?}");
    }
    let idle = Readings { seconds: 1.0, cpu_ns: Some(5), rss_bytes: Some(5), ..Readings::default() };
    let idle = Window::new(idle).unwrap();
    assert_eq!((idle.cpu_per_request(), idle.rss_per_connection()), (None, None));
    assert_eq!(idle.flaw(&Limits::default()), Some(Invalid::NoRequests));
}

#[test]
fn a_machine_that_did_not_hold_the_rate_makes_it_invalid() {
    let limits = Limits { run_queue_wait: 0.05, ..Limits::default() };
    let flaw = |schedule: Schedule, machine: Machine| {
        let window = Window::new(Readings { schedule: Some(schedule), machine, ..readings() }).unwrap();
        window.flaw(&limits).map(|flaw| flaw.to_string())
    };
    let kept = Schedule { planned: 100, late: 1, very_late: 0, capped: 50 };
    let machine = Machine { steal: 0.01, neighbour_cpu: 0.9, run_queue_wait_ns: 90_000_000 };
    assert_eq!(flaw(kept, machine), None, "a busy neighbour or a full cap alone excuse nothing");
    for (schedule, machine, expected) in [
        (Schedule { planned: 102, ..kept }, machine, "the machine could not hold the rate: 100 of 102"),
        (Schedule { late: 2, ..kept }, machine, "the load tool was late: 2 of 100 requests by more than 1 ms, 0"),
        (Schedule { very_late: 1, ..kept }, machine, "the load tool was late: 1 of 100"),
        (kept, Machine { steal: 0.125, ..machine }, "the host kept 12.5 %"),
        (kept, Machine { run_queue_wait_ns: 110_000_000, ..machine }, "the process under test waited for a core 5.5 %"),
    ] {
        let found = flaw(schedule, machine).unwrap();
        assert!(found.starts_with(expected), "{found}");
    }
}

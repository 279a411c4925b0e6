//! The gateway's own text, and texts that are none.

use super::*;

const BEFORE: &str = r#"# HELP portcullis_route_requests_total Requests
# TYPE portcullis_route_requests_total counter
portcullis_route_requests_total{virtual_host="a",route="all",class="2xx",protocol="http/1.1"} 1000
portcullis_route_requests_total{virtual_host="a",route="all",class="5xx",protocol="http/1.1"} 1
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="0.05"} 900
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="0.1"} 1000
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="+Inf"} 1001
portcullis_route_duration_seconds_count{virtual_host="a",route="all"} 1001
portcullis_cluster_requests_total{cluster="web",class="2xx"} 900
portcullis_cluster_requests_total{cluster="web-canary",class="2xx"} 100
portcullis_listener_connections{listener="edge"} 7
portcullis_listener_connections{listener="other \"}\""} 1
process_cpu_seconds_total 2.5
process_resident_memory_bytes 1000000
process_start_time_seconds 1700000000
"#;

const AFTER: &str = r#"portcullis_route_requests_total{virtual_host="a",route="all",class="2xx",protocol="http/1.1"} 1900
portcullis_route_requests_total{virtual_host="a",route="all",class="4xx",protocol="http/1.1"} 60
portcullis_route_requests_total{virtual_host="a",route="all",class="5xx",protocol="http/1.1"} 31
portcullis_route_requests_total{virtual_host="a",route="all",class="none",protocol="http/1.1"} 10
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="0.05"} 1870
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="0.1"} 1990
portcullis_route_duration_seconds_bucket{virtual_host="a",route="all",le="+Inf"} 2001
portcullis_route_duration_seconds_count{virtual_host="a",route="all"} 2001
portcullis_cluster_requests_total{cluster="web",class="2xx"} 1500
portcullis_cluster_requests_total{cluster="web-canary",class="2xx"} 180
portcullis_cluster_requests_total{cluster="web-canary",class="5xx"} 20
portcullis_listener_connections{listener="edge"} 4
process_cpu_seconds_total 2.55
process_resident_memory_bytes 2000000
process_start_time_seconds 1700000000
"#;

const LOOKING: Looking = Looking { process: true, objective: 50_000_000, seconds: 10.0, began: 0.0 };

fn between(select: &str, before: &str, after: &str, looking: Looking) -> Result<Window, NoWindow> {
    let select = Select::parse(select).unwrap();
    window(&Scrape::parse(before, &select).unwrap(), &Scrape::parse(after, &select).unwrap(), looking)
}

#[test]
fn a_window_lies_between_two_scrapes() {
    let window = between("", BEFORE, AFTER, LOOKING).unwrap();
    assert_eq!((window.requests, window.succeeded, window.refused), (1000, 900, 60));
    assert_eq!(window.failed, BTreeMap::from([(Kind::ServerError, 30), (Kind::Cut, 10)]));
    // Of the 1,000 timed ones 970 were in time; 40 failed.
    assert_eq!(window.beyond_slo, 30 + 40);
    assert_eq!((window.cpu_ns, window.rss_bytes, window.connections), (Some(50_000_000), Some(2_000_000), 4));
    assert_eq!(window.latency, Histogram::new([(50_000_000, 970), (100_000_000, 20), (1_000_000_000, 10)]));
}

#[test]
fn an_objective_between_two_bounds_is_rounded_up() {
    for (millis, slow) in [(20, 30), (50, 30), (51, 10), (60, 10), (100, 10), (900, 10)] {
        let looking = Looking { objective: millis * 1_000_000, ..LOOKING };
        let window = between("", BEFORE, AFTER, looking).unwrap();
        assert_eq!(window.beyond_slo, slow + 40, "{millis} ms");
    }
}

#[test]
fn a_cluster_is_told_from_another_in_the_same_process() {
    let looking = Looking { process: false, ..LOOKING };
    let canary = between("cluster=web-canary", BEFORE, AFTER, looking).unwrap();
    assert_eq!((canary.requests, canary.failed_requests(), canary.cpu_ns, canary.rss_bytes), (100, 20, None, None));
    let baseline = between("cluster=\"web\"", BEFORE, AFTER, looking).unwrap();
    assert_eq!((baseline.requests, baseline.failed_requests()), (600, 0));
}

#[test]
fn a_process_that_began_anew_makes_no_window() {
    let other = AFTER.replace("1700000000", "1700000500");
    assert_eq!(between("", BEFORE, &other, LOOKING), Err(NoWindow::Restarted));
    assert_eq!(between("", AFTER, BEFORE, LOOKING), Err(NoWindow::Restarted), "counters never fall");
}

#[test]
fn what_is_no_metrics_is_said_to_be_none() {
    let scrape = |text: &str| Scrape::parse(text, &Select::default());
    assert!(scrape("<html>not found</html>").unwrap_err().contains("portcullis_route_requests_total"));
    assert!(scrape("portcullis_route_requests_total{class=\"2xx\" 5").is_err());
    assert!(scrape("portcullis_route_requests_total{class=\"2xx\\").is_err());
    assert!(Select::parse("cluster").unwrap_err().contains("LABEL=VALUE"));
}

#[test]
fn escapes_in_labels_are_undone() {
    let read = sample(r#"a{x="q\"}\\\n",y="2"} 1.5e3 17"#).unwrap();
    assert_eq!((read.name, read.value), ("a", 1500.0));
    assert_eq!(read.labels, [("x", "q\"}\\\n".to_owned()), ("y", "2".to_owned())]);
}

//! The verdict, one record, counters.

use super::*;

#[tokio::test]
async fn a_status_begins_with_the_verdict() {
    let api = Api::ready();
    let verdict = api.get("/api/status").await.json()["verdict"].clone();
    assert_eq!(verdict, json!({ "state": "healthy", "reasons": [] }));
    let draining = Api::new(CONFIG, Readiness::Draining, ReloadOutcome::Applied);
    let verdict = draining.get("/api/status").await.json()["verdict"].clone();
    assert_eq!((&verdict["state"], &verdict["reasons"][0]["id"]), (&json!("degraded"), &json!("draining")));
    assert_eq!(verdict["reasons"][0]["runbook"], "docs/runbooks/draining.md");
}

#[tokio::test]
async fn a_verdict_is_told_as_metrics_of_the_last_look() {
    let api = Api::new(CONFIG, Readiness::Draining, ReloadOutcome::Applied);
    api.state.health.register(&api.state.registry).unwrap();
    let page = api.get("/metrics").await.body;
    assert!(page.contains("portcullis_verdict{state=\"healthy\"} 1"), "nobody looked yet: {page}");
    let now = SystemTime::now();
    let since = api.state.look(now).reasons[0].since;
    assert_eq!(api.state.look(now + Duration::from_secs(30)).reasons[0].since, since);
    let page = api.get("/metrics").await.body;
    assert!(page.contains("portcullis_verdict{state=\"degraded\"} 1"), "{page}");
    assert!(page.contains("portcullis_verdict_reasons{kind=\"draining\",severity=\"degraded\"} 1"), "{page}");
}

#[tokio::test]
async fn one_request_is_given_by_its_id() {
    let api = Api::ready();
    let seen = api.get(&format!("/api/requests/{:032x}", 2)).await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::OK, json!("no_route")));
    assert_eq!(api.get(&format!("/api/requests/{:032x}", 9)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/requests/2").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn counters_are_given_by_kind() {
    let api = Api::ready();
    for (path, name) in [
        ("/api/top", "app.example.com/all"),
        ("/api/top?of=clusters", "api"),
        ("/api/top?of=endpoints", "api 127.0.0.1:9001"),
    ] {
        let seen = api.get(path).await.json();
        assert_eq!((&seen["rows"][0]["name"], &seen["rows_found"]), (&json!(name), &json!(1)), "{path}");
    }
    for path in ["/api/top?of=hosts", "/api/top?of=routes&of=clusters", "/api/top?by=routes", "/api/top?of=consumers"] {
        assert_eq!(api.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(api.get("/api/slos").await.json(), json!({ "slos": [] }));
}

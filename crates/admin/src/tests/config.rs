//! The config: shown, checked, applied.

use super::*;

#[tokio::test]
async fn config_names_its_hash_as_etag_and_hides_literal_secrets() {
    let api = Api::ready();
    let seen = api.get("/api/config").await;
    assert_eq!(seen.etag, Some(format!("\"{}\"", api.hash())));
    assert_eq!(seen.json()["generations"][0]["id"], json!(3));
    let seen = api.get("/api/config?text=1").await;
    assert!(seen.body.contains("hosts:") && !seen.body.contains("s3cret"), "{}", seen.body);
    for path in ["/api/status", "/api/config", "/api/clusters", "/metrics"] {
        assert!(!api.get(path).await.body.contains("s3cret"), "{path}");
    }
}

#[tokio::test]
async fn applying_needs_if_match() {
    let api = Api::ready();
    let current = format!("\"{}\"", api.hash());
    let check = async |fields: &[(&str, &str)], status: StatusCode, reason: &str| {
        let seen = api.post("/api/config", fields, "version: 1").await;
        assert_eq!((seen.status, &seen.json()["reason"]), (status, &json!(reason)), "{fields:?}");
        seen
    };
    check(&[], StatusCode::PRECONDITION_REQUIRED, "precondition_required").await;
    check(&[("if-match", "nonsense")], StatusCode::BAD_REQUEST, "bad_request").await;
    let seen = check(&[("if-match", "\"old\"")], StatusCode::PRECONDITION_FAILED, "precondition_failed").await;
    assert_eq!(seen.etag.as_deref(), Some(&*current));
    assert!(api.fake.asked.lock().unwrap().is_empty());
    let seen = api.post("/api/config", &[("if-match", &current)], "version: 1").await;
    assert_eq!((seen.status, seen.json()["outcome"].clone()), (StatusCode::OK, json!("applied")));
    assert!(
        matches!(&api.fake.asked.lock().unwrap()[..], [(Change::Apply { text, .. }, by)] if text == "version: 1" && by.who == "token")
    );
}

#[tokio::test]
async fn a_dry_run_needs_no_if_match_and_applies_nothing() {
    let api = Api::ready();
    let seen = api.post("/api/config?dry_run=1", &[], "version: 1").await;
    assert_eq!((seen.status, seen.json()["outcome"].clone()), (StatusCode::OK, json!("dry_run")));
    assert!(matches!(&api.fake.asked.lock().unwrap()[..], [(Change::DryRun { .. }, _)]));
}

#[tokio::test]
async fn a_refused_config_comes_back_with_every_diagnostic() {
    let api = Api::new(CONFIG, Readiness::Ready, ReloadOutcome::Refused);
    let seen = api.post("/api/reload", &[], "").await;
    assert_eq!((seen.status, &*seen.content_type), (StatusCode::UNPROCESSABLE_ENTITY, "application/problem+json"));
    assert_eq!(seen.json()["diagnostics"][0]["code"], json!("unknown_key"));
    let api = Api::new(CONFIG, Readiness::Ready, ReloadOutcome::Failed);
    let seen = api.post("/api/reload", &[], "").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::CONFLICT, json!("config_failed")));
}

#[tokio::test]
async fn a_body_past_the_bound_is_refused() {
    let api = Api::ready();
    let seen = api.post("/api/config?dry_run=1", &[], vec![b' '; CONFIG_BYTES + 1]).await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::PAYLOAD_TOO_LARGE, json!("body_too_large")));
    let seen = api.post("/api/config?dry_run=1", &[], vec![0xff]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
}

//! The history and rollbacks, as the API asks for them.

use super::*;
use crate::control::Expected;

#[tokio::test]
async fn a_rollback_is_meant_for_what_serves_when_it_is_asked_for() {
    let api = Api::ready();
    let seen = api.post("/api/rollback", &[], r#"{ "to": 3, "note": "errors" }"#).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    let serves = Expected::Hashes(vec![api.hash()]);
    assert_eq!(api.fake.asked.lock().unwrap()[0].0, Change::Rollback { to: 3, expected: serves });
    let seen = api.post("/api/rollback", &[("if-match", "*")], r#"{ "to": 3 }"#).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    assert_eq!(api.fake.asked.lock().unwrap()[1].0, Change::Rollback { to: 3, expected: Expected::Any });
}

#[tokio::test]
async fn a_rollback_that_cannot_be_understood_or_has_no_goal_changes_nothing() {
    let api = Api::ready();
    let long = format!(r#"{{ "to": 3, "note": "{}" }}"#, "x".repeat(501));
    for (body, status, reason) in [
        ("", StatusCode::CONFLICT, "no_such_generation"),
        (r#"{ "too": 3 }"#, StatusCode::BAD_REQUEST, "bad_request"),
        (r#"{ "to": -1 }"#, StatusCode::BAD_REQUEST, "bad_request"),
        (&long, StatusCode::BAD_REQUEST, "bad_request"),
        (r#"{ "to": 3, "note": "a\nb" }"#, StatusCode::BAD_REQUEST, "bad_request"),
    ] {
        let seen = api.post("/api/rollback", &[], body.to_owned()).await;
        assert_eq!((seen.status, &seen.json()["reason"]), (status, &json!(reason)), "{body}");
    }
    let seen = api.post("/api/rollback", &[("if-match", "nonsense")], r#"{ "to": 3 }"#).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(api.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_was_faster_is_said_with_the_generation_and_the_time() {
    let api = Api::ready();
    let seen = api.post("/api/config", &[("if-match", "\"other\"")], "version: 1").await;
    let told = seen.json();
    assert_eq!((seen.status, &told["who"]), (StatusCode::PRECONDITION_FAILED, &json!("carol")));
    assert_eq!((&told["generation"], &told["at"]), (&json!(4), &json!("1970-01-01T00:00:00.000Z")));
    assert_eq!(told["detail"], "generation 4 serves, put there by carol at 1970-01-01T00:00:00.000Z");
    assert_eq!(seen.etag, Some(format!("\"{}\"", api.hash())));
}

#[tokio::test]
async fn what_the_history_does_not_have_is_not_found() {
    let api = Api::ready();
    assert_eq!(api.get("/api/history").await.json(), json!({ "generations": [] }));
    for path in ["/api/history/3", "/api/history/x", "/api/history/3/diff/4", "/api/history/3/diff/x"] {
        assert_eq!(api.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(api.post("/api/history", &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

//! Who may ask for what, and what a browser is told.

use super::*;

#[tokio::test]
async fn only_health_is_told_without_the_token() {
    let api = Api::ready();
    for path in ["/metrics", "/api/status", "/api/config", "/api/clusters", "/api/requests", "/api/nothing"] {
        let seen = api.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (seen.status, &*seen.content_type),
            (StatusCode::UNAUTHORIZED, "application/problem+json"),
            "{path}"
        );
        assert_eq!(seen.json()["reason"], "unauthorized");
    }
    for path in ["/healthz", "/readyz"] {
        let seen = api.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn is_not_ready_before_the_start_and_during_a_drain() {
    for (readiness, detail) in
        [(Readiness::Starting, "starting"), (Readiness::Leaving, "leaving"), (Readiness::Draining, "draining")]
    {
        let api = Api::new(CONFIG, readiness, ReloadOutcome::Applied);
        let seen = api.get("/readyz").await;
        assert_eq!((seen.status, seen.json()["detail"].clone()), (StatusCode::SERVICE_UNAVAILABLE, json!(detail)));
        assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::ready();
    let seen = api.get("/api/nothing").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::NOT_FOUND, json!("not_found")));
    let request = authorized("DELETE", "/api/config").body(Body::empty()).unwrap();
    let response = router(api.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, POST");
}

#[tokio::test]
async fn without_a_token_a_foreign_host_is_refused() {
    let open = CONFIG.replace(", token: \"s3cret-token\"", "");
    let api = Api::new(&open, Readiness::Ready, ReloadOutcome::Applied);
    let status = async |host: &str| {
        let request = Request::get("/api/status").header("host", host).body(Body::empty()).unwrap();
        api.send(request).await.status
    };
    assert_eq!(status("127.0.0.1:9901").await, StatusCode::OK);
    assert_eq!(status("rebound.example.com").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_path_refuses_who_lacks_the_role_and_says_which_is_needed() {
    let tokens = "tokens: { grafana: { token: looks-only, role: read }, ci: { token: may-operate, role: operate } }";
    let text = CONFIG.replace("token: \"s3cret-token\"", &format!("token: \"s3cret-token\", {tokens}"));
    let api = Api::new(&text, Readiness::Ready, ReloadOutcome::Applied);
    let ask = async |token: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("if-match", "*").header("content-type", "application/yaml");
        api.send(request.body(Body::from("version: 1")).unwrap()).await
    };
    for (method, path, needs) in [
        ("GET", "/api/status", "read"),
        ("HEAD", "/api/status", "read"),
        ("POST", "/api/config?dry_run=1", "read"),
        ("POST", "/api/config?dry_run=0", "admin"),
        ("POST", "/api/config?dry_run=1&dry_run=0", "read"),
        ("POST", "/api/config", "admin"),
        ("POST", "/api/reload", "operate"),
        ("POST", "/api/bans", "operate"),
        ("DELETE", "/api/bans/203.0.113.0/24", "operate"),
        ("POST", "/api/clusters/api/endpoints", "operate"),
        ("DELETE", "/api/caps/overrides", "operate"),
        ("GET", "/api/audit", "admin"),
    ] {
        for (token, has) in [("looks-only", "read"), ("may-operate", "operate"), ("s3cret-token", "admin")] {
            let seen = ask(token, method, path).await;
            let rank = |role: &str| ["read", "operate", "admin"].iter().position(|one| *one == role);
            let refused = seen.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, rank(has) < rank(needs), "{method} {path} as {has}: {}", seen.body);
            if refused {
                let told = seen.json();
                assert_eq!((&told["needs"], &told["has"]), (&json!(needs), &json!(has)), "{method} {path}");
            }
        }
    }
    // A dry run stays one, whatever else the query says.
    let asked = api.fake.asked.lock().unwrap();
    let applied = asked.iter().filter(|(change, _)| matches!(change, Change::Apply { .. }));
    assert!(applied.clone().count() == 2 && applied.clone().all(|(_, by)| by.who == "token"), "{asked:?}");
}

#[tokio::test]
async fn who_did_what_is_in_the_audit_log() {
    let api = Api::ready();
    let ban = r#"{"network":"203.0.113.0/24","for":"10m","reason":"credential stuffing"}"#;
    let seen = api.post("/api/bans", &[], ban).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    api.post("/api/reload?note=new+keys", &[], "").await;
    let request = Request::get("/api/status?token=s3cret-token").header("authorization", "Bearer wrong");
    assert_eq!(api.send(request.body(Body::empty()).unwrap()).await.status, 401);
    let told = api.get("/api/audit").await;
    assert!(!told.body.contains("s3cret-token") && !told.body.contains("wrong"), "{}", told.body);
    let told = told.json();
    let entries = told["entries"].as_array().unwrap();
    let shown = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {} {}",
            text("actor"),
            text("via"),
            text("method"),
            text("path"),
            entry["status"],
            text("reason")
        )
    };
    let shown: Vec<String> = entries.iter().map(shown).collect();
    let expected = [
        "- - GET /api/status?… 401 -",
        "token token POST /api/reload?… 200 new keys",
        "token token POST /api/bans 200 credential stuffing",
    ];
    assert_eq!(shown, expected);
    assert_eq!(entries[0]["refused"], json!("unauthorized"));
    let ids: std::collections::HashSet<&str> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    assert_eq!(api.fake.asked.lock().unwrap()[0].1, By { who: "token".to_owned(), note: Some("new keys".to_owned()) });
}

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let api = Api::ready();
    for path in ["/healthz", "/api/status", "/api/nothing", "/api/reload"] {
        let response = router(api.state()).oneshot(authorized("GET", path).body(Body::empty()).unwrap()).await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(response.headers()[name], value, "{path}");
        }
    }
}

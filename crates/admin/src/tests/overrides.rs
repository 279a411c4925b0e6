//! What operators say for a while.

use super::*;

#[tokio::test]
async fn bans_are_made_shown_and_lifted() {
    let api = Api::ready();
    let post = |body: &str| authorized("POST", "/api/bans").body(Body::from(body.to_owned())).unwrap();
    for (body, says) in [
        (r#"{"network":"203.0.113.9/24","for":"10m","reason":" "}"#, "`reason`"),
        (r#"{"network":"nowhere","for":"1m","reason":"x"}"#, "is no network"),
        (r#"{"network":"0.0.0.0/0","for":"1m","reason":"x"}"#, "everybody"),
        (r#"{"network":"203.0.113.0/24","for":"soon","reason":"x"}"#, "`for`"),
        (r#"{"network":"203.0.113.0/24","for":"0s","reason":"x"}"#, "at least 1s"),
        (r#"{"network":"203.0.113.0/24","reason":"x"}"#, "`for` is missing"),
        (r#"{"network":"203.0.113.0/24","reason":"x","until":"x"}"#, "unknown field"),
    ] {
        let seen = api.send(post(body)).await;
        assert!(seen.status == 400 && seen.body.contains(says), "{body}: {}", seen.body);
    }
    let seen = api.send(post(r#"{"network":"203.0.113.9/24","for":"10m","reason":"abuse"}"#)).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let throttle = Arc::clone(&api.state.identities.book().throttle);
    throttle.failed([203, 0, 113, 7].into(), Timestamp::from_millis(u64::from(u32::MAX)));
    let told: Value = serde_json::from_str(&api.get("/api/bans").await.body).unwrap();
    let ban = &told["bans"][0];
    assert_eq!((&ban["network"], &ban["kind"]), (&json!("203.0.113.0/24"), &json!("operator")));
    assert_eq!((&ban["reason"], &ban["refused"]), (&json!("abuse"), &json!(1)));
    let seconds = ban["ends_in_seconds"].as_f64().unwrap();
    assert!((590.0..=600.0).contains(&seconds), "{seconds}");
    let lift = || authorized("DELETE", "/api/bans/203.0.113.0/24").body(Body::empty()).unwrap();
    assert_eq!(api.send(lift()).await.status, 200);
    assert_eq!(api.send(lift()).await.status, 404);
    let told: Value = serde_json::from_str(&api.get("/api/bans").await.body).unwrap();
    assert_eq!(told["bans"], json!([]));
}

#[tokio::test]
async fn overrides_of_all_kinds_are_in_one_list() {
    let api = Api::ready();
    let drain = r#"{"action":"drain","endpoint":"127.0.0.1:9001","for":"20m","reason":"disk swap"}"#;
    let seen = api.post("/api/clusters/api/endpoints", &[], drain).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let ban = r#"{"network":"203.0.113.9/24","for":"10m","reason":"abuse"}"#;
    assert_eq!(api.post("/api/bans", &[], ban).await.status, 200);
    let told = api.get("/api/overrides").await.json();
    let shown: Vec<Value> = told["overrides"].as_array().unwrap().to_vec();
    let shown: Vec<_> = shown.iter().map(|one| (&one["kind"], &one["target"], &one["action"], &one["who"])).collect();
    let expected = [
        (&json!("ban"), &json!("203.0.113.0/24"), &json!("ban"), &json!("token")),
        (&json!("endpoint"), &json!("api 127.0.0.1:9001"), &json!("drain"), &json!("token")),
    ];
    assert_eq!(shown, expected);
    let restore = r#"{"action":"restore","endpoint":"127.0.0.1:9001"}"#;
    assert_eq!(api.post("/api/clusters/api/endpoints", &[], restore).await.status, 200);
    let told = api.get("/api/overrides?ended=1").await.json();
    assert_eq!(told["overrides"].as_array().unwrap().len(), 1);
    assert_eq!(told["ended"][0]["how"], json!("token took it back"));
    assert_eq!(told["lasts_over_a_restart"], json!(false));
}

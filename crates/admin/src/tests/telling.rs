//! What is told of the gateway.

use super::*;

#[tokio::test]
async fn the_timeline_has_what_became_of_requests() {
    let body = Api::ready().get("/api/timeline").await.json();
    let step = &body["steps"][0];
    assert_eq!((&body["step_seconds"], &step["until"]), (&json!(5), &json!("1970-01-01T00:00:05.000Z")));
    assert_eq!((&step["requests"], &step["failed"], &step["refused"]), (&json!(3), &json!(0), &json!(2)));
    assert_eq!(step["reasons"], json!({ "no_route": 1, "denied": 1 }));
    assert!(step["p50_ms"].as_f64().is_some_and(|p50| (200.0..250.0).contains(&p50)), "{step}");
}

#[tokio::test]
async fn the_map_leads_from_a_host_to_its_clusters() {
    let api = Api::ready();
    let map = api.get("/api/map").await.json();
    let host = map["hosts"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(map["hosts_found"], json!(map["hosts"].as_array().unwrap().len()));
    assert!(map["clusters"][0]["available"].is_u64() && map["listeners"][0]["name"].is_string(), "{map}");
    let one = api.get(&format!("/api/map?host={}", host.replace('*', "%2A"))).await.json();
    assert_eq!(one["host"]["name"], host.as_str());
    assert!(one["routes"].as_array().is_some_and(|routes| !routes.is_empty()), "{one}");
    assert_eq!(api.get("/api/map?q=no-such-name").await.json()["hosts_found"], 0);
    assert_eq!(api.get("/api/map?host=nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/map?depth=3").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let seen = Api::ready().get("/metrics").await;
    assert!(seen.content_type.starts_with("text/plain; version="), "{}", seen.content_type);
    assert!(seen.body.contains("# TYPE portcullis_failures_total counter"));
}

#[tokio::test]
async fn status_tells_the_gateway_at_a_glance() {
    let status = Api::ready().get("/api/status").await.json();
    assert_eq!((&status["version"], &status["state"]), (&json!("1.2.3"), &json!("ready")));
    assert_eq!((&status["generation"], &status["routes"]), (&json!(3), &json!(1)));
    assert_eq!(status["listeners"][0]["addresses"], json!(["127.0.0.1:43210"]));
    assert_eq!(status["clusters"][0]["available"], json!(1));
    assert_eq!(status["last_reload"]["outcome"], json!("refused"));
    assert_eq!(status["logs"][0]["dropped"], json!({ "queue_full": 2 }));
    assert_eq!(status["generations"][0]["trigger"], json!("start"));
}

#[tokio::test]
async fn explains_by_query_and_by_body() {
    let api = Api::ready();
    let seen = api.get("/api/explain?url=http://app.example.com:8080/x&header=x-a:%20b&method=PUT").await.json();
    assert_eq!((&seen["live"], &seen["route"]["name"]), (&json!(true), &json!("all")));
    assert!(seen["upstream_request"]["fields"].as_array().unwrap().contains(&json!("x-a: b")), "{seen}");
    let question = json!({ "url": "http://nowhere.org/" }).to_string();
    let seen = api.post("/api/explain", &[("content-type", "application/json")], question).await.json();
    assert_eq!(seen["decision"]["answer"]["reason"], json!("no_host"));
    let seen = api.get("/api/explain?url=http://app.example.com:8080/x&format=text").await;
    assert!(seen.content_type.starts_with("text/plain") && seen.body.starts_with("request"), "{}", seen.body);
    let seen = api.get("/api/explain?url=nonsense").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    let seen = api.post("/api/explain", &[("content-type", "application/json")], "{").await;
    assert_eq!((seen.status, &*seen.content_type), (StatusCode::BAD_REQUEST, "application/problem+json"));
}

#[tokio::test]
async fn clusters_tell_where_each_endpoint_stands() {
    let clusters = Api::ready().get("/api/clusters").await.json();
    let endpoint = &clusters["clusters"][0]["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["takes_requests"]), (&json!("127.0.0.1:9001"), &json!(true)));
    assert!(endpoint["says"].as_str().unwrap().contains("takes requests"));
    let all = clusters["clusters"].as_array().unwrap();
    let name = all.last().unwrap()["name"].as_str().unwrap();
    let one = Api::ready().get(&format!("/api/clusters?name={name}&endpoint=nowhere&limit=1")).await.json();
    assert_eq!(one["clusters"].as_array().unwrap().len(), 1);
    assert_eq!((&one["clusters"][0]["name"], &one["clusters"][0]["endpoints_found"]), (&json!(name), &json!(0)));
    assert_eq!(Api::ready().get("/api/clusters?colour=red").await.status, 400);
}

#[tokio::test]
async fn requests_are_filtered_by_the_query() {
    let api = Api::ready();
    let check = async |query: &str, ids: &[u128]| {
        let seen = api.get(&format!("/api/requests{query}")).await;
        let expected: Vec<Value> = ids.iter().map(|id| json!(RequestId(*id).to_string())).collect();
        let found: Vec<Value> = seen.json().as_array().unwrap().iter().map(|record| record["id"].clone()).collect();
        assert_eq!(found, expected, "{query}");
    };
    check("", &[3, 2, 1]).await;
    check("?reason=no_route", &[2]).await;
    check("?min_ms=250", &[3]).await;
    check("?limit=1", &[3]).await;
    check("?host=app.example.com&failed=false", &[1]).await;
    check("?host=other", &[]).await;
    let seen = api.get("/api/requests?reason=nonsense").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::BAD_REQUEST, json!("bad_request")));
}

#[tokio::test]
async fn a_consumer_is_shown_without_its_keys() {
    let api = Api::ready();
    let seen = api.get("/api/consumers/acme/eu").await;
    let told: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!((&told["id"], &told["plan"]), (&json!("acme/eu"), &json!("pro")));
    assert_eq!(told["keys"], json!([{ "label": "laptop", "not_after": "2030-01-01T00:00:00Z" }]));
    assert_eq!(told["only_from"], json!({ "networks": ["203.0.113.0/24"], "rpc_methods": ["get*"] }));
    assert!(!seen.body.contains("b3:") && !seen.body.contains("a-key-of"));
    let all: Value = serde_json::from_str(&api.get("/api/consumers").await.body).unwrap();
    assert_eq!((&all["consumers"], &all["keys"], &all["plans"]), (&json!(1), &json!(1), &json!(["pro"])));
    assert_eq!(api.get("/api/consumers/nobody").await.status, 404);
}

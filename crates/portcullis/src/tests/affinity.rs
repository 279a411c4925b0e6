//! Tests of what keeps its endpoint or cluster, and of what may be sent twice, as `explain` tells it.

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_snapshot::explain::{ClusterFinding, Moment, Question, explain};
use portcullis_types::{GenerationId, ProxyError};
use std::collections::HashSet;
use std::time::Instant;

use super::explain::world_of;
use crate::app::App;

const CONFIG: &str = r#"
version: 1
listeners: { edge: { bind: "127.0.0.1:8080" } }
clusters:
  callers:
    balance: { hash: { by: consumer } }
    endpoints: ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"]
  pages:
    balance: { hash: { by: path } }
    endpoints: ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"]
  once: { endpoints: ["127.0.0.1:9004"], retry: { attempts: 1 } }
hosts:
  - names: [app.example.com]
    routes:
      - { name: pages, match: { path: /pages }, to: pages, idempotent: true }
      - { name: once, match: { path: /once }, to: once, idempotent: true }
      - { name: split, match: { path: /split }, filters: [ { caller: true } ], to: { split: { pages: 1, once: 1 }, sticky: consumer } }
      - { name: rest, filters: [ { caller: true } ], to: callers }
"#;

/// Notes the field `x-caller` as the consumer.
struct Caller;

impl Filter for Caller {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _: &mut ()) -> Result<Verdict, ProxyError> {
        let caller = cx.request.headers.get("x-caller").and_then(|value| value.to_str().ok());
        cx.notes.consumer = caller.map(Into::into);
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Caller {
    const NAME: &'static str = "caller";
    type Config = bool;

    fn build(_: bool, _: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self)
    }
}

/// The clusters of requests, each with its caller.
async fn told(requests: &[(&str, Option<&str>)]) -> Vec<ClusterFinding> {
    let (_dir, world) = world_of(CONFIG, App::new().registry(|filters| filters.with::<Caller>()));
    let snapshot = world.activate(world.check().candidate.unwrap(), None, (GenerationId(1), "test")).unwrap();
    let mut found = Vec::new();
    for (request, caller) in requests {
        let mut question = Question::new(request).unwrap();
        if let Some(caller) = caller {
            question.field(&format!("x-caller: {caller}")).unwrap();
        }
        let moment = Moment { now: Instant::now(), live: true, bound: &[] };
        found.push(explain(&snapshot, &question, moment).await.cluster.unwrap());
    }
    found
}

#[tokio::test]
async fn a_consumer_is_told_the_endpoint_that_it_keeps() {
    let callers: Vec<String> = (0..30).map(|caller| format!("caller-{caller}")).collect();
    let at = |url| callers.iter().map(|caller| (url, Some(caller.as_str()))).collect::<Vec<_>>();
    let endpoints = |told: &[ClusterFinding]| told.iter().map(|one| one.endpoint.clone().unwrap()).collect::<Vec<_>>();
    let first = told(&at("http://app.example.com:8080/a")).await;
    assert_eq!(endpoints(&first), endpoints(&told(&at("POST http://app.example.com:8080/b")).await));
    assert_eq!(endpoints(&first).into_iter().collect::<HashSet<_>>().len(), 3);
    let because = format!("by its consumer, this request takes {}", first[0].endpoint.as_deref().unwrap());
    assert_eq!(first[0].chosen.as_deref(), Some(because.as_str()));
    assert!(first[0].balance.starts_with("hash by consumer, "), "{}", first[0].balance);
    let anonymous = &told(&[("http://app.example.com:8080/a", None)]).await[0];
    assert_eq!((&anonymous.endpoint, anonymous.endpoints[0].share.is_some()), (&None, true));
    assert_eq!(anonymous.chosen.as_deref(), Some("the request has no consumer: chance decides, by weight"));
}

#[tokio::test]
async fn a_path_is_told_the_endpoint_that_it_keeps() {
    let [one, same] = ["http://app.example.com:8080/pages/1", "http://app.example.com:8080/pages/1?draft"];
    let told = told(&[(one, None), (same, Some("acme"))]).await;
    assert_eq!(told[0].endpoint, told[1].endpoint);
    let because = format!("by its path, this request takes {}", told[0].endpoint.as_deref().unwrap());
    assert_eq!(told[0].chosen.as_deref(), Some(because.as_str()));
}

#[tokio::test]
async fn a_split_sticks_to_the_consumer_and_says_so() {
    let split = "http://app.example.com:8080/split";
    let callers: Vec<String> = (0..20).map(|caller| format!("caller-{caller}")).collect();
    let told_of =
        |path: &'static str| callers.iter().map(move |caller| (path, Some(caller.as_str()))).collect::<Vec<_>>();
    let names = |told: Vec<ClusterFinding>| told.into_iter().map(|one| one.name).collect::<Vec<_>>();
    let first = names(told(&told_of(split)).await);
    assert_eq!(first, names(told(&told_of("http://app.example.com:8080/split/b")).await));
    assert_eq!(first.into_iter().collect::<HashSet<_>>().len(), 2);
    let [known, anonymous] = &told(&[(split, Some("acme")), (split, None)]).await[..] else { panic!() };
    assert_eq!(known.because, "split pages 1, once 1, by consumer");
    assert_eq!(anonymous.because, "split pages 1, once 1, by the client's address, since the request has no consumer");
}

#[tokio::test]
async fn a_request_is_told_whether_it_may_be_sent_twice() {
    for (request, expected) in [
        ("GET http://app.example.com:8080/", "backoff 25ms to 250ms"),
        ("POST http://app.example.com:8080/", "; a POST only while nothing was sent"),
        ("POST http://app.example.com:8080/pages", "; the route says that its requests may be sent twice, POST too"),
        ("PUT http://app.example.com:8080/pages", "backoff 25ms to 250ms"),
        ("POST http://app.example.com:8080/once", "no retries"),
    ] {
        let retry = &told(&[(request, None)]).await[0].retry;
        assert!(retry.ends_with(expected), "{request}: {retry}");
    }
}

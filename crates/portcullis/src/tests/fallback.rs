//! Tests of what `explain` says of fallbacks, where no endpoint can be reached.

use async_trait::async_trait;
use portcullis_filter::seam::{Cache, CacheFill, CachedResponse, StaleResponse};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_snapshot::explain::{Explanation, Question};
use portcullis_types::{ProxyError, Reason, RequestView};
use std::sync::Arc;
use std::time::Duration;

use super::explain::world_of;
use crate::app::App;
use crate::commands::explain::as_configured;

/// `gone` selects no endpoint, so that nothing can be reached there whatever its health.
const CONFIG: &str = r#"
version: 1
listeners: { edge: { bind: "127.0.0.1:8080" } }
clusters:
  app: { endpoints: ["127.0.0.1:9001"] }
  archive: { endpoints: ["127.0.0.1:9002"] }
hosts:
  - names: [a.example.com]
    routes:
      - name: copied
        match: { path: /copied }
        to: { cluster: app, subset: { gone: "yes" } }
        cache: old
        fallback: { stale: true, route: other }
      - name: forwarded
        match: { path: /items }
        filters: [ { tag: first } ]
        to: { cluster: app, subset: { gone: "yes" } }
        fallback: { route: other }
      - name: other
        match: { template: "/items/{id}", method: PUT }
        filters: [ { tag: second } ]
        to: archive
        rewrite: { template: "/old/{id}" }
        fallback: { respond: { body: nothing } }
      - name: answered
        match: { path: /answered }
        to: { cluster: app, subset: { gone: "yes" } }
        fallback: { route: late }
      - { name: late, match: { path: /late }, respond: { status: 503, body: late } }
      - name: reachable
        match: { path: / }
        to: app
        cache: old
        fallback: { stale: true, to: archive }
"#;

struct OldCache;

#[async_trait]
impl Cache for OldCache {
    async fn lookup(&self, _: &RequestView<'_>) -> Result<Option<CachedResponse>, ProxyError> {
        Ok(None)
    }

    async fn stale(&self, request: &RequestView<'_>) -> Result<Option<StaleResponse>, ProxyError> {
        if request.path.ends_with("fails") {
            return Err(Reason::Internal.into());
        }
        let Response { header, .. } = Response::new(hyper::StatusCode::OK);
        let response = CachedResponse { header, body: "kept".into() };
        let copy = StaleResponse { response, age: Duration::from_secs(90), past: Duration::from_secs(30) };
        Ok(request.path.ends_with("kept").then_some(copy))
    }

    fn admit(&self, _: &RequestView<'_>, _: &pingora_http::ResponseHeader) -> Option<Box<dyn CacheFill>> {
        None
    }
}

/// Adds its word to the request's `x-tag`.
struct Tag(String);

impl Filter for Tag {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, (): &mut ()) -> Result<Verdict, ProxyError> {
        drop(cx.request.append_header("x-tag", self.0.as_str()));
        cx.notes.cluster = (self.0 == "first").then(|| "app".into());
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Tag {
    const NAME: &'static str = "tag";
    type Config = String;

    fn build(word: String, _: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self(word))
    }
}

fn ask(path: &str) -> Explanation {
    let app = App::new().registry(|filters| filters.with::<Tag>()).seams(|seams| {
        seams.caches.insert("old", Arc::new(OldCache));
    });
    let (_dir, world) = world_of(CONFIG, app);
    as_configured(&world, &Question::new(&format!("http://a.example.com{path}")).unwrap()).unwrap()
}

/// The field of this name in the head that would be sent.
fn sent<'a>(told: &'a Explanation, name: &str) -> Vec<&'a str> {
    let fields = &told.upstream.as_ref().unwrap().fields;
    fields.iter().filter_map(|field| field.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn tells_of_the_other_route_and_of_the_cluster_that_was_left() {
    let told = ask("/items/7");
    assert_eq!(told.route.as_ref().unwrap().name, "forwarded");
    let fallback = told.fallback.as_ref().unwrap();
    assert_eq!((fallback.left.name.as_str(), fallback.route.name.as_str()), ("app", "other"));
    assert_eq!(fallback.route.params, [("id".to_owned(), "7".to_owned())]);
    let words = "when no endpoint can be reached, the request goes on as the route other";
    assert_eq!(fallback.left.fallback.as_deref(), Some(words));
    let cluster = told.cluster.as_ref().unwrap();
    assert_eq!((cluster.name.as_str(), told.decision.action), ("archive", "forward"));
    assert_eq!(told.upstream.as_ref().unwrap().line, "GET /old/7 HTTP/1.1");
    // What the first route's filters did to the head is undone.
    assert_eq!(sent(&told, "x-tag"), ["second"]);
    assert_eq!(told.route_changes.len(), 1, "{:?}", told.route_changes);
    assert_eq!((fallback.filters.len(), fallback.changes.len()), (1, 1), "{fallback:?}");
    let text = told.to_string();
    for part in ["fallback   no endpoint of app can be reached: on as the route other", "captured   id = 7"] {
        assert!(text.contains(part), "{text}");
    }
    let json = told.to_json();
    assert_eq!((&json["fallback"]["left"]["name"], &json["cluster"]["name"]), (&"app".into(), &"archive".into()));
    assert_eq!(json["fallback"]["route"]["params"]["id"], "7");
}

#[test]
fn tells_the_answer_of_the_other_route() {
    let told = ask("/answered");
    assert_eq!((told.decision.action, told.fallback.as_ref().unwrap().route.name.as_str()), ("respond", "late"));
    let answer = told.decision.answer.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "late"));
    assert_eq!(told.cluster, None);
}

#[test]
fn tells_of_a_stale_copy_before_all_else() {
    let told = ask("/copied/kept");
    assert_eq!((told.decision.action, &told.fallback), ("fallback", &None));
    assert_eq!(told.decision.because, "the route's cache has a stale copy, and no endpoint can be reached");
    let answer = told.decision.answer.unwrap();
    assert_eq!(answer.body, "kept");
    for field in ["age: 90", "cache-status: portcullis; hit; ttl=-30"] {
        assert!(answer.fields.iter().any(|said| said == field), "{field} of {:?}", answer.fields);
    }
    let words = "when no endpoint can be reached, a copy of its cache is used though it is stale, else the request goes on \
                 as the route other";
    assert_eq!(told.cluster.unwrap().fallback.as_deref(), Some(words));
    for path in ["/copied/missing", "/copied/fails"] {
        let told = ask(path);
        assert_eq!(told.fallback.as_ref().unwrap().route.name, "other", "{path}");
        assert_eq!(told.notes.iter().any(|(_, note)| note.contains("internal")), path.ends_with("fails"), "{path}");
    }
}

#[test]
fn says_nothing_of_a_fallback_that_is_not_needed() {
    let told = ask("/reachable/kept");
    assert_eq!((told.decision.action, &told.fallback), ("forward", &None));
    let words =
        "when no endpoint can be reached, a copy of its cache is used though it is stale, else archive is asked";
    assert_eq!(told.cluster.unwrap().fallback.as_deref(), Some(words));
}

//! Tests of `explain` of a batch whose calls go to several routes.

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_snapshot::explain::{Explanation, Question};
use portcullis_types::ProxyError;

use super::explain::world_of;
use crate::app::App;
use crate::commands::explain::as_configured;

/// Chooses a cluster.
struct Choose(String);

impl Filter for Choose {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, (): &mut ()) -> Result<Verdict, ProxyError> {
        cx.notes.cluster = Some(self.0.as_str().into());
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Choose {
    const NAME: &'static str = "choose";
    type Config = String;

    fn build(cluster: String, _: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self(cluster))
    }
}

/// What is told of a batch of three calls on a host and a route with these filters.
fn ask(host: &str, route: &str) -> Explanation {
    let config = format!(
        "version: 1\n\
         listeners: {{ edge: {{ bind: \"127.0.0.1:8080\" }} }}\n\
         clusters: {{ app: {{ endpoints: [\"127.0.0.1:9001\"] }}, other: {{ endpoints: [\"127.0.0.1:9002\"] }} }}\n\
         hosts:\n\
         - names: [a.example.com]\n\
         \x20 filters: [jsonrpc{host}]\n\
         \x20 routes:\n\
         \x20 - {{ name: old, match: {{ jsonrpc: getOld }}, filters: [{route}], respond: {{ body: old }} }}\n\
         \x20 - {{ name: all, to: app }}\n"
    );
    let (_dir, world) = world_of(&config, App::new().registry(|filters| filters.with::<Choose>()));
    let mut question = Question::new("POST http://a.example.com/").unwrap();
    let call = |id: u8, method: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}");
    question.body = format!("[{},{},{}]", call(1, "getNew"), call(2, "getOld"), call(3, "getNew")).into();
    as_configured(&world, &question).unwrap()
}

#[test]
fn a_part_goes_to_the_cluster_that_a_filter_chose_though_its_route_answers_by_itself() {
    let told = ask("", "{ choose: other }");
    let because = "calls 0, 2 by the route all to app; call 1 by the route old to other, which a filter chose";
    assert_eq!((told.decision.action, told.decision.because.as_str()), ("batch", because));
    let told = ask("", "");
    assert_eq!(told.decision.action, "respond", "{}", told.decision.because);
}

#[test]
fn what_a_filter_of_the_host_chose_holds_for_every_part() {
    let told = ask(", { choose: other }", "");
    let because = "calls 0, 2 by the route all to other, which a filter chose; \
                   call 1 by the route old to other, which a filter chose";
    assert_eq!((told.decision.action, told.decision.because.as_str()), ("batch", because));
}

#[test]
fn a_cluster_that_is_none_fails_the_batch() {
    let told = ask("", "{ choose: nowhere }");
    assert_eq!(told.decision.action, "refuse");
    let detail = told.decision.answer.unwrap().detail.unwrap();
    assert_eq!(detail, "a filter chose the unknown cluster nowhere");
}

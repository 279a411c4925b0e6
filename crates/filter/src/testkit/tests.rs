//! The test kit shows filters what the proxy would.

use portcullis_types::Scheme;

use super::*;
use crate::cx::{ResponseCx, Source};
use crate::filter::Filter;
use crate::phase::{Phase, Phases};
use crate::{BodyCx, RequestCx, Verdict};

fn run(chain: &Chain, exchange: Exchange) -> Seen {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(exchange.run(chain))
}

fn chain(filter: impl Filter) -> Chain {
    Chain::new(vec![crate::chain::Link::new("test", filter)]).unwrap()
}

/// Checks facts where a filter would see them.
struct Check(fn(&RequestCx<'_>));

impl Filter for Check {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        (self.0)(cx);
        Ok(Verdict::Continue)
    }
}

#[test]
fn facts_are_those_of_the_url() {
    let checks = chain(Check(|cx| {
        let view = cx.view();
        assert_eq!((view.host, view.port, view.scheme()), ("example.com", Some(8443), Scheme::Https));
        assert_eq!((view.path, view.query), ("/a", Some("b=1")));
        assert_eq!(view.headers["host"], "example.com");
        assert_eq!(cx.facts.route.as_ref().map(RouteName::as_str), Some("test"));
    }));
    run(&checks, Exchange::get("https://Example.com:8443/a?b=1"));
    let checks = chain(Check(|cx| {
        assert_eq!((cx.facts.route.as_ref(), cx.view().scheme()), (None, Scheme::Http));
        assert_eq!((cx.facts.params.len(), cx.notes.consumer.as_deref()), (1, Some("acme")));
    }));
    run(&checks, Exchange::get("http://a/").route(None).param("id", "1").consumer("acme"));
    let checks = chain(Check(|cx| {
        assert_eq!(cx.view().client_certificate().map(|it| it.subject.as_str()), Some("CN=a"));
    }));
    let certificate = ClientCertificate { subject: "CN=a".to_owned(), names: Vec::new(), fingerprint: String::new() };
    run(&checks, Exchange::get("http://a/").certificate(certificate));
}

#[test]
fn an_answer_that_breaks_off_never_ends() {
    let seen = run(&Chain::default(), Exchange::get("http://a/").answer_chunk("part").disconnects());
    assert_eq!((seen.status, &seen.body[..], seen.complete), (200, &b"part"[..], false));
    assert_eq!(seen.reason, Some(Reason::UpstreamIncomplete));
}

#[test]
fn a_body_is_sent_only_where_there_may_be_one() {
    let answer = |status| Response::new(status).with_body(HeaderValue::from_static("text/plain"), "x");
    let check = |method: Method, status: StatusCode, length: usize| {
        let seen = run(&Chain::default(), Exchange::new(method, "http://a/").answer(answer(status)));
        assert_eq!((seen.body.len(), seen.complete), (length, true), "{status}");
    };
    check(Method::GET, StatusCode::OK, 1);
    check(Method::HEAD, StatusCode::OK, 0);
    check(Method::GET, StatusCode::NO_CONTENT, 0);
    check(Method::GET, StatusCode::NOT_MODIFIED, 0);
}

/// Refuses in one phase of an answer.
struct Refuse(Phase);

impl Filter for Refuse {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(self.0)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        assert_eq!(cx.source, Source::Upstream);
        Err(Reason::FilterFailed.into())
    }

    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        _chunk: &mut Option<Bytes>,
        end: bool,
        _ctx: &mut (),
    ) -> Result<(), ProxyError> {
        if end { Err(Reason::FilterFailed.into()) } else { Ok(()) }
    }
}

#[test]
fn a_refused_head_becomes_an_error_and_a_refused_body_breaks_off() {
    let seen = run(&chain(Refuse(Phase::ResponseFilter)), Exchange::get("http://a/").answer_chunk("x"));
    assert_eq!((seen.status, seen.reason, seen.complete), (500, Some(Reason::FilterFailed), true));
    assert!(!seen.body.starts_with(b"x"));
    let seen = run(&chain(Refuse(Phase::ResponseBodyFilter)), Exchange::get("http://a/").answer_chunk("x"));
    assert_eq!((seen.status, seen.reason, seen.complete), (200, Some(Reason::FilterFailed), false));
    assert_eq!(&seen.body[..], b"x");
}

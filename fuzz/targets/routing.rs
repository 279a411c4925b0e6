//! The route that is found is the one that plain code finds: of all that match, the highest rank, then the first.
//!
//! The input is text. Its first line is the request, as `GET /a/b`; with a `+` before it, the request has the header
//! field `x`. Every other line is a route: `[+][METHOD] exact|prefix|template|regex PATTERN`.
#![no_main]

use std::cmp::Reverse;
use std::net::{Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::{Corpus, fuzz_target};
use portcullis_policy::matcher::{HeaderMatcher, MethodMatcher, ValueMatch};
use portcullis_policy::{Conditions, Matcher, Outcome, PathMatcher, RouteSpec, Seed, VirtualHost};
use portcullis_types::{Downstream, ListenerName, RequestView};
use portcullis_wire::target::{PathPolicy, normalize};

/// From this many routes on there is an index: with these beside the input's own, there always is one.
const MORE: usize = 13;

const FIELD: HeaderName = HeaderName::from_static("x");

fuzz_target!(|text: &str| -> Corpus {
    let mut lines = text.lines();
    let Some(request) = lines.next().and_then(Request::read) else { return Corpus::Reject };
    let routes: Vec<RouteSpec<usize>> = lines.take(40).enumerate().filter_map(|(n, line)| route(n, line)).collect();
    check(&request, routes);
    Corpus::Keep
});

struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
}

impl Request {
    fn read(line: &str) -> Option<Self> {
        let (field, line) = plus(line);
        let (method, path) = line.split_once(' ')?;
        let path = normalize(path, &PathPolicy::default()).ok()?.into_owned();
        let headers = field.then_some((FIELD, HeaderValue::from_static("1"))).into_iter().collect();
        Some(Self { method: method.parse().ok()?, path, headers })
    }
}

fn plus(line: &str) -> (bool, &str) {
    line.strip_prefix('+').map_or((false, line), |rest| (true, rest))
}

fn route(n: usize, line: &str) -> Option<RouteSpec<usize>> {
    let (field, line) = plus(line);
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    let (method, kind, pattern) = match words[..] {
        [kind, pattern] => (None, kind, pattern),
        [method, kind, pattern] => (Some(method.parse::<Method>().ok()?), kind, pattern),
        _ => return None,
    };
    let path = match kind {
        "exact" => PathMatcher::exact(pattern),
        "prefix" => PathMatcher::prefix(pattern),
        "template" => PathMatcher::template(pattern),
        "regex" => PathMatcher::regex(pattern),
        _ => return None,
    };
    let headers = field.then_some(HeaderMatcher { name: FIELD, value: ValueMatch::Present }).into_iter().collect();
    let conditions =
        Conditions { methods: method.and_then(|m| MethodMatcher::new([m])), headers, ..Conditions::default() };
    Some(RouteSpec { name: format!("route-{n}").into(), matcher: Matcher { path: path.ok()?, conditions }, data: n })
}

fn check(request: &Request, routes: Vec<RouteSpec<usize>>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let listener = ListenerName::from("edge");
    let downstream = Downstream { listener, peer: address, socket_peer: address, local: address, tls: None };
    let view = RequestView {
        method: &request.method,
        host: "example.com",
        port: None,
        path: &request.path,
        query: None,
        headers: &request.headers,
        client: address.ip(),
        downstream: &downstream,
        body: None,
    };
    let mut more = routes.clone();
    // No normalised path holds a space.
    more.extend((0..MORE).filter_map(|n| route(1000 + n, &format!("regex /more {n}"))));
    let small = VirtualHost::new((), routes, Seed::fixed(1));
    let large = VirtualHost::new((), more, Seed::fixed(1));
    let expected = plain(&small, &view);
    assert_eq!(small.find(&view).map(|found| *found.route.data()), expected);
    assert_eq!(large.find(&view).map(|found| *found.route.data()), expected);
    let explained = small.explain(&view, 8);
    let winner = explained.iter().find(|candidate| candidate.outcome == Outcome::Wins);
    assert_eq!(winner.map(|candidate| *candidate.route.data()), expected);
}

fn plain(host: &VirtualHost<(), usize>, view: &RequestView<'_>) -> Option<usize> {
    let matching = host.routes().iter().filter(|route| route.check(view).is_ok());
    matching.max_by_key(|route| (route.rank(), Reverse(route.order()))).map(|route| *route.data())
}

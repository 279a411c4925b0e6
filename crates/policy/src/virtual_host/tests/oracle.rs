//! The property that matters most: `find` equals plain code that filters all routes and takes the best by the
//! table of `rank.rs`, over small alphabets so that routes and requests collide often.

use std::cmp::Reverse;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::hash_key::HashKey;
use crate::matcher::{CertificateMatcher, CookieMatcher, PathMatcher, PercentageMatcher, QueryMatcher};
use crate::stable_hash::stable_hash;

/// Regular expressions with the plain code for what they match.
type Plain = fn(&str) -> bool;
const REGEXES: [(&str, Plain); 8] = [
    ("/.*", |p| p.starts_with('/')),
    (".*b", |p| p.ends_with('b')),
    ("/a/.*", |p| p.starts_with("/a/")),
    ("/a.*", |p| p.starts_with("/a")),
    ("/a/b|/b/a", |p| p == "/a/b" || p == "/b/a"),
    ("/a/b?", |p| p == "/a/" || p == "/a/b"),
    ("(?i)/A/B.*", |p| p.to_ascii_lowercase().starts_with("/a/b")),
    ("/(a|b|ab)/(a|b|ab)", |p| {
        let parts: Vec<&str> = p.split('/').collect();
        parts.len() == 3 && parts[0].is_empty() && parts[1..].iter().all(|s| ["a", "b", "ab"].contains(s))
    }),
];

/// A path matcher in plain data. In a template `{}` captures one segment and `{*}` the rest.
#[derive(Debug, Clone)]
enum PlainPath {
    Exact(String),
    Prefix(String),
    Template(Vec<&'static str>),
    Regex(usize),
}

#[derive(Debug, Clone)]
struct PlainRoute {
    path: PlainPath,
    methods: Vec<&'static str>,
    header: Option<Option<&'static str>>,
    query: Option<&'static str>,
    cookie: bool,
    certificate: bool,
    network: Option<u8>,
    jsonrpc: Vec<&'static str>,
    percent: Option<u32>,
}

#[derive(Debug, Clone)]
struct PlainRequest {
    path: String,
    method: &'static str,
    header: Option<&'static str>,
    query: Option<&'static str>,
    cookie: bool,
    certificate: bool,
    client: [u8; 4],
    calls: Option<Vec<&'static str>>,
}

fn some_path() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "ab", "a", "b", ""]);
    proptest::collection::vec(segment, 1..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn plain_path() -> impl Strategy<Value = PlainPath> {
    let template = proptest::collection::vec(select(vec!["a", "b", "ab", "{}", "{}"]), 1..5);
    let template = (template, any::<bool>()).prop_map(|(mut parts, rest)| {
        if rest {
            parts.pop();
            parts.push("{*}");
        }
        PlainPath::Template(parts)
    });
    prop_oneof![
        some_path().prop_map(PlainPath::Exact),
        some_path().prop_map(PlainPath::Prefix),
        template,
        (0..REGEXES.len()).prop_map(PlainPath::Regex),
    ]
}

fn plain_route() -> impl Strategy<Value = PlainRoute> {
    let methods = select(vec![vec![], vec![], vec!["GET"], vec!["GET", "POST"]]);
    let header = select(vec![None, None, None, Some(None), Some(Some("1")), Some(Some("2"))]);
    let query = select(vec![None, None, None, Some("1")]);
    let flag = select(vec![false, false, false, false, true]);
    let network = select(vec![None, None, None, Some(0), Some(8), Some(16)]);
    let sets = [vec!["x"], vec!["x", "y"], vec!["x*"], vec!["*"], vec!["y", "xy*"], vec!["x", "x*", "y*"]];
    let jsonrpc = select([vec![vec![]; 6], sets.to_vec()].concat());
    let percent = select(vec![None, None, None, Some(0), Some(50), Some(100)]);
    let all = (plain_path(), methods, header, query, flag.clone(), flag, network, jsonrpc, percent);
    all.prop_map(|(path, methods, header, query, cookie, certificate, network, jsonrpc, percent)| PlainRoute {
        path,
        methods,
        header,
        query,
        cookie,
        certificate,
        network,
        jsonrpc,
        percent,
    })
}

fn plain_request() -> impl Strategy<Value = PlainRequest> {
    let value = select(vec![None, Some("1"), Some("2")]);
    let client = select(vec![[10, 0, 0, 1], [10, 1, 0, 1], [11, 0, 0, 1]]);
    let batches = [vec![], vec!["x"], vec!["x", "y"], vec!["z"], vec!["xy"], vec!["xyz", "x"], vec!["x", "z"]];
    let calls = select([vec![None], batches.map(Some).to_vec()].concat());
    let method = select(vec!["GET", "POST", "PUT"]);
    let all = (some_path(), method, value.clone(), value, any::<bool>(), any::<bool>(), client, calls);
    all.prop_map(|(path, method, header, query, cookie, certificate, client, calls)| PlainRequest {
        path,
        method,
        header,
        query,
        cookie,
        certificate,
        client,
        calls,
    })
}

impl PlainPath {
    fn compile(&self) -> PathMatcher {
        match self {
            Self::Exact(text) => PathMatcher::exact(text).unwrap(),
            Self::Prefix(text) => PathMatcher::prefix(text).unwrap(),
            Self::Regex(index) => PathMatcher::regex(REGEXES[*index].0).unwrap(),
            Self::Template(parts) => {
                let named = parts.iter().enumerate().map(|(n, part)| match *part {
                    "{}" => format!("/{{p{n}}}"),
                    "{*}" => format!("/{{*p{n}}}"),
                    text => format!("/{text}"),
                });
                PathMatcher::template(&named.collect::<String>()).unwrap()
            }
        }
    }

    fn takes(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(text) => {
                let bare = text.strip_suffix('/').unwrap_or(text);
                path == bare || path.starts_with(&format!("{bare}/"))
            }
            Self::Regex(index) => REGEXES[*index].1(path),
            Self::Template(parts) => {
                let found: Vec<&str> = path[1..].split('/').collect();
                let (fixed, rest) = match parts.split_last() {
                    Some((&"{*}", fixed)) => (fixed, true),
                    _ => (parts.as_slice(), false),
                };
                let enough = if rest { found.len() > fixed.len() } else { found.len() == fixed.len() };
                enough
                    && fixed.iter().zip(&found).all(|(want, got)| want == got || (*want == "{}" && !got.is_empty()))
                    && (!rest || !found[fixed.len()..].join("/").is_empty())
            }
        }
    }

    /// Kind, literal segments, length; more is better.
    fn rank(&self) -> (u8, usize, usize) {
        match self {
            Self::Prefix(text) => (0, 0, text.strip_suffix('/').unwrap_or(text).len()),
            Self::Regex(index) => (1, 0, REGEXES[*index].0.len()),
            Self::Template(parts) => {
                let literals = parts.iter().filter(|part| !part.starts_with('{')).count();
                (2, literals, parts.iter().filter(|part| **part != "{*}").count())
            }
            Self::Exact(text) => (3, 0, text.len()),
        }
    }
}

impl PlainRoute {
    fn compile(&self, name: &str) -> RouteSpec<String> {
        let header = |value: Option<&str>| header("x", value.unwrap_or("*"));
        let query = |value: &str| QueryMatcher { name: "q".into(), value: ValueMatch::Exact(value.into()) };
        let cookie = CookieMatcher { name: "c".into(), value: ValueMatch::Present };
        let percentage = |percent: u32| PercentageMatcher {
            percent: portcullis_types::Percent::from_millionths(percent * 10_000).unwrap(),
            key: HashKey::Header(http::header::HOST),
        };
        let conditions = Conditions {
            methods: MethodMatcher::new(self.methods.iter().map(|name| name.parse().unwrap())),
            headers: self.header.map(header).into_iter().collect(),
            query: self.query.map(query).into_iter().collect(),
            cookies: self.cookie.then_some(cookie).into_iter().collect(),
            certificate: self.certificate.then_some(CertificateMatcher::Present),
            network: NetworkMatcher::new(self.network.map(|bits| format!("10.0.0.0/{bits}").parse().unwrap())),
            body: BodyMatch::jsonrpc(self.jsonrpc.iter().map(|method| method.parse().unwrap())),
            percentage: self.percent.map(percentage),
        };
        route(name, Matcher { path: self.path.compile(), conditions })
    }

    fn takes(&self, request: &PlainRequest, name: &str, judge_body: bool) -> bool {
        let in_network = |bits: u8| match bits {
            0 => true,
            8 => request.client[0] == 10,
            _ => request.client[..2] == [10, 0],
        };
        let calls = request.calls.as_ref().filter(|calls| !calls.is_empty());
        let in_share = |percent: u32| {
            let key = stable_hash(0, &request.client).to_le_bytes();
            let hash = stable_hash(stable_hash(0, name.as_bytes()), &key);
            (u128::from(hash >> 32) * 100) >> 32 < u128::from(percent)
        };
        self.path.takes(&request.path)
            && (self.methods.is_empty() || self.methods.contains(&request.method))
            && self.header.is_none_or(|want| request.header.is_some() && (want.is_none() || want == request.header))
            && self.query.is_none_or(|want| request.query == Some(want))
            && (!self.cookie || request.cookie)
            && (!self.certificate || request.certificate)
            && self.network.is_none_or(in_network)
            && (!judge_body
                || self.jsonrpc.is_empty()
                || calls.is_some_and(|calls| calls.iter().all(|call| self.has_method(call))))
            && self.percent.is_none_or(in_share)
    }

    fn has_method(&self, method: &str) -> bool {
        let has = |each: &&str| each.strip_suffix('*').map_or(*each == method, |start| method.starts_with(start));
        self.jsonrpc.iter().any(has)
    }

    /// Names before patterns, long patterns before short ones.
    fn narrowness(&self) -> Option<usize> {
        let breadth = |each: &&str| if each.ends_with('*') { each.len() } else { 1000 };
        self.jsonrpc.iter().map(breadth).min()
    }

    fn rank(&self) -> impl Ord + use<> {
        let conditions = (
            !self.methods.is_empty(),
            self.header.is_some(),
            self.query.is_some(),
            self.cookie,
            self.certificate,
            self.network,
            self.narrowness(),
            self.percent.is_some(),
        );
        (self.path.rank(), conditions)
    }
}

impl PlainRequest {
    fn build(&self) -> Request {
        let line =
            format!("{} {}{}", self.method, self.path, self.query.map(|q| format!("?q={q}")).unwrap_or_default());
        let mut request = Request::new(&line).client(&std::net::Ipv4Addr::from(self.client).to_string());
        if let Some(value) = self.header {
            request = request.header("x", value);
        }
        if self.cookie {
            request = request.header("cookie", "b=1; c=2");
        }
        if self.certificate {
            request = request.certificate("CN=a", &[]);
        }
        match &self.calls {
            Some(calls) => request.calls(Some(calls)),
            None => request,
        }
    }
}

/// The place of the best of all routes that match.
fn naive(routes: &[PlainRoute], request: &PlainRequest, judge_body: bool) -> Option<usize> {
    let matching = routes.iter().enumerate().filter(|(n, r)| r.takes(request, &n.to_string(), judge_body));
    matching.max_by_key(|(n, r)| (r.rank(), Reverse(*n))).map(|(n, _)| n)
}

fn compile(routes: &[PlainRoute], seed: u64) -> VirtualHost<(), String> {
    let specs = routes.iter().enumerate().map(|(n, route)| route.compile(&n.to_string())).collect();
    VirtualHost::new((), specs, Seed::fixed(seed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn find_equals_a_naive_search(
        routes in proptest::collection::vec(plain_route(), 0..60),
        requests in proptest::collection::vec(plain_request(), 1..20),
        seed: u64,
    ) {
        let host = compile(&routes, seed);
        for plain in &requests {
            let request = plain.build();
            let expected = naive(&routes, plain, true).map(|n| n.to_string());
            let found = host.find(&request.view()).map(|found| found.route.data().clone());
            prop_assert_eq!(&found, &expected, "{:?}", plain);
            let explained = host.explain(&request.view(), 8);
            let wins = explained.iter().find(|candidate| candidate.outcome == Outcome::Wins);
            prop_assert_eq!(wins.map(|candidate| candidate.route.data().clone()), expected);
            let needs = naive(&routes, plain, false).is_some_and(|n| !routes[n].jsonrpc.is_empty());
            prop_assert_eq!(host.needs_body(&request.view()), needs, "{:?}", plain);
        }
    }

    #[test]
    fn a_shadowed_route_never_wins(
        routes in proptest::collection::vec(plain_route(), 2..30),
        twice in proptest::collection::vec(any::<Index>(), 0..6),
        requests in proptest::collection::vec(plain_request(), 1..60),
    ) {
        let mut routes = routes;
        for index in twice {
            routes.push(routes[index.index(routes.len())].clone());
        }
        let host = compile(&routes, 1);
        let shadowed: Vec<usize> = host.shadowed().iter().map(|each| usize::try_from(each.order).unwrap()).collect();
        for plain in &requests {
            let winner = naive(&routes, plain, true);
            prop_assert!(winner.is_none_or(|n| !shadowed.contains(&n)), "{:?} wins {:?}", winner, plain);
        }
    }

    #[test]
    fn no_path_panics(path in "\\PC*|(/|\\.|a|%|\u{e9}){0,80}", routes in proptest::collection::vec(plain_route(), 0..30)) {
        let host = compile(&routes, 1);
        let mut request = Request::new("GET /");
        (request.query, request.path) = (Some(path.clone()), path);
        let _ = host.find(&request.view());
        let told = host.explain(&request.view(), 8);
        prop_assert!(told.iter().all(|candidate| !candidate.outcome.to_string().is_empty()));
    }
}

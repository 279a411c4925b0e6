//! Requests and patterns for tests, in few words.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis_types::{BodyView, ClientCertificate, Downstream, ListenerName, RequestView, TlsInfo};

use crate::matcher::{Matcher, PathMatcher};
use crate::route::RouteSpec;

/// An owned request that lends views.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) client: std::net::IpAddr,
    pub(crate) downstream: Downstream,
    pub(crate) body: Option<Calls>,
}

/// A body that was peeked: the JSON-RPC methods it calls, if it is JSON-RPC.
#[derive(Debug)]
pub(crate) struct Calls(pub(crate) Option<Vec<String>>);

impl BodyView for Calls {
    fn calls(&self) -> Option<usize> {
        self.0.as_ref().map(Vec::len)
    }

    fn method(&self, call: usize) -> Option<&str> {
        self.0.as_ref()?.get(call).map(String::as_str)
    }
}

impl Request {
    /// `GET /a?x=1` on `a.example.com` from 203.0.113.9, plain text.
    pub(crate) fn new(line: &str) -> Self {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let here: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let client: SocketAddr = "203.0.113.9:5000".parse().unwrap();
        let listener = ListenerName::from("edge");
        Self {
            method: method.parse().unwrap(),
            host: "a.example.com".to_owned(),
            port: None,
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
            client: client.ip(),
            downstream: Downstream { listener, peer: client, socket_peer: client, local: here, tls: None },
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn client(mut self, ip: &str) -> Self {
        self.client = ip.parse().unwrap();
        self
    }

    pub(crate) fn calls(mut self, methods: Option<&[&'static str]>) -> Self {
        self.body = Some(Calls(methods.map(|methods| methods.iter().map(|&method| method.to_owned()).collect())));
        self
    }

    pub(crate) fn certificate(mut self, subject: &str, names: &[&str]) -> Self {
        let client = ClientCertificate {
            subject: subject.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            fingerprint: "ab".repeat(32),
        };
        let tls = TlsInfo { sni: None, version: "TLSv1.3", cipher: "", client: Some(client), client_auth: true };
        self.downstream.tls = Some(Arc::new(tls));
        self
    }

    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            host: &self.host,
            port: self.port,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            client: self.client,
            downstream: &self.downstream,
            body: self.body.as_ref().map(|body| {
                let body: &dyn BodyView = body;
                body
            }),
        }
    }
}

/// `exact /a`, `prefix /a`, `template /{x}`, `regex /a+`.
pub(crate) fn path(text: &str) -> PathMatcher {
    let (kind, pattern) = text.split_once(' ').unwrap();
    match kind {
        "exact" => PathMatcher::exact(pattern).unwrap(),
        "prefix" => PathMatcher::prefix(pattern).unwrap(),
        "template" => PathMatcher::template(pattern).unwrap(),
        "regex" => PathMatcher::regex(pattern).unwrap(),
        other => panic!("{other}"),
    }
}

/// A route that keeps its own name.
pub(crate) fn route(name: &str, matcher: impl Into<Matcher>) -> RouteSpec<String> {
    RouteSpec { name: name.into(), matcher: matcher.into(), data: name.to_owned() }
}

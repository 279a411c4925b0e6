//! The usual config: one listener `edge`, one cluster `app`, one host with one route `all`; a test adds what it is
//! about.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::gateway::Gateway;
use crate::origin::Origin;

/// A config in the making.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    top: String,
    listener: String,
    listeners: String,
    endpoints: Vec<SocketAddr>,
    cluster: String,
    clusters: String,
    host: String,
    route: String,
    routes: String,
    hosts: String,
}

impl Setup {
    /// In front of an origin.
    #[must_use]
    pub fn to(origin: &Origin) -> Self {
        Self::to_address(origin.address())
    }

    /// In front of an address.
    #[must_use]
    pub fn to_address(address: SocketAddr) -> Self {
        Self { endpoints: vec![address], ..Self::default() }
    }

    /// One more endpoint.
    #[must_use]
    pub fn and_to(mut self, address: SocketAddr) -> Self {
        self.endpoints.push(address);
        self
    }

    /// A line at the top of the file.
    #[must_use]
    pub fn top(mut self, line: &str) -> Self {
        writeln!(self.top, "{line}").unwrap();
        self
    }

    /// A key of the listener `edge`.
    #[must_use]
    pub fn listener(mut self, line: &str) -> Self {
        writeln!(self.listener, "    {line}").unwrap();
        self
    }

    /// One more listener, as `name: { … }`.
    #[must_use]
    pub fn and_listener(mut self, line: &str) -> Self {
        writeln!(self.listeners, "  {line}").unwrap();
        self
    }

    /// A key of the cluster `app`.
    #[must_use]
    pub fn cluster(mut self, line: &str) -> Self {
        writeln!(self.cluster, "    {line}").unwrap();
        self
    }

    /// One more cluster with one endpoint.
    #[must_use]
    pub fn and_cluster(mut self, name: &str, address: SocketAddr, rest: &str) -> Self {
        writeln!(self.clusters, "  {name}: {{ endpoints: [\"{address}\"]{rest} }}").unwrap();
        self
    }

    /// A key of the host `*`.
    #[must_use]
    pub fn host(mut self, line: &str) -> Self {
        writeln!(self.host, "    {line}").unwrap();
        self
    }

    /// A key of the route `all`.
    #[must_use]
    pub fn route(mut self, line: &str) -> Self {
        writeln!(self.route, "        {line}").unwrap();
        self
    }

    /// One more route, as `{ name: …, match: …, to: … }`.
    #[must_use]
    pub fn and_route(mut self, line: &str) -> Self {
        writeln!(self.routes, "      - {line}").unwrap();
        self
    }

    /// One more host, as `{ names: […], routes: […] }`.
    #[must_use]
    pub fn and_host(mut self, line: &str) -> Self {
        writeln!(self.hosts, "  - {line}").unwrap();
        self
    }

    /// The config.
    #[must_use]
    pub fn yaml(&self) -> String {
        let Self { top, listener, listeners, cluster, clusters, host, route, routes, hosts, endpoints } = self;
        let endpoints: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
        let endpoints = endpoints.join(", ");
        format!(
            "{top}listeners:\n  edge:\n    bind: \"@edge\"\n{listener}{listeners}\
             clusters:\n  app:\n    endpoints: [{endpoints}]\n{cluster}{clusters}\
             hosts:\n  - names: [\"*\"]\n{host}    routes:\n      - name: all\n        to: app\n{route}{routes}{hosts}"
        )
    }

    /// Starts the gateway.
    #[must_use]
    pub fn start(&self) -> Gateway {
        Gateway::with_yaml(&self.yaml())
    }
}

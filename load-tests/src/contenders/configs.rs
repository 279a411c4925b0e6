//! The contenders' configs: one worker, keep-alive on both sides, neither a log nor a header set unless the name says so.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::Failure;

/// The path that every contender is asked for; of the gateway's 1,000 routes it is in the middle.
pub const PATH: &str = "/svc-617/v1/things/7";

/// The access log's name in the rig's folder.
pub(super) const ACCESS_LOG: &str = "access.log";

/// Idle upstream connections that each contender may keep.
const KEPT: u32 = 512;

/// A config of the gateway in the making.
#[derive(Debug, Clone)]
pub struct Portcullis {
    /// Where it accepts.
    pub address: SocketAddr,
    /// The only endpoint of the only cluster.
    pub origin: SocketAddr,
    /// Lines at the top.
    pub top: String,
    /// Lines of the host, indented by four.
    pub host: String,
    /// Routes, indented by six.
    pub routes: String,
}

impl Portcullis {
    /// With these routes besides one for everything.
    #[must_use]
    pub fn new(address: SocketAddr, origin: SocketAddr) -> Self {
        Self { address, origin, top: String::new(), host: String::new(), routes: String::new() }
    }

    /// The YAML. One address may open as many connections as it likes: the rig's clients all come from one.
    #[must_use]
    pub fn yaml(&self) -> String {
        let Self { address, origin, top, host, routes } = self;
        format!(
            "version: 1
threads: 1
{top}listeners:
  edge:
    bind: \"{address}\"
    limits: {{ connections: 20000, connections_per_network: 20000, idle_timeout: 600s }}
clusters:
  origin: {{ endpoints: [\"{origin}\"] }}
hosts:
  - names: [\"*\"]
{host}    routes:
{routes}      - {{ name: all, to: origin }}
"
        )
    }

    /// Adds routes of one path prefix each: `/svc-0/v1`, `/svc-1/v1` and so on.
    ///
    /// # Errors
    ///
    /// Never; a `String` takes what is written.
    pub fn add_routes(&mut self, count: usize) -> Result<(), Failure> {
        for n in 0..count {
            writeln!(self.routes, "      - {{ name: svc-{n}, match: {{ path: /svc-{n}/v1 }}, to: origin }}")?;
        }
        Ok(())
    }
}

pub(super) fn plain(address: SocketAddr, origin: SocketAddr) -> String {
    Portcullis { top: "observe: false\nrecent_requests: 0\n".to_owned(), ..Portcullis::new(address, origin) }.yaml()
}

pub(super) fn counted(address: SocketAddr, origin: SocketAddr) -> String {
    Portcullis { top: "recent_requests: 0\n".to_owned(), ..Portcullis::new(address, origin) }.yaml()
}

pub(super) fn usual(address: SocketAddr, origin: SocketAddr) -> String {
    Portcullis::new(address, origin).yaml()
}

pub(super) fn logged(address: SocketAddr, origin: SocketAddr) -> String {
    Portcullis { top: format!("access_log: {{ path: {ACCESS_LOG} }}\n"), ..Portcullis::new(address, origin) }.yaml()
}

pub(super) fn watched(address: SocketAddr, origin: SocketAddr, admin: SocketAddr) -> String {
    Portcullis { top: format!("admin: {{ bind: \"{admin}\" }}\n"), ..Portcullis::new(address, origin) }.yaml()
}

pub(super) fn full(address: SocketAddr, origin: SocketAddr) -> Result<String, Failure> {
    let mut config = Portcullis::new(address, origin);
    config.top = format!("access_log: {{ path: {ACCESS_LOG} }}\n");
    config.host = "    filters:
      - access: { rules: [{ deny: { networks: 192.0.2.0/24 } }], default: allow }
      - cors: { origins: [\"https://app.example.com\"] }
      - headers: { request: { set: { x-edge: rig } }, response: { set: { x-served-by: rig } } }
"
    .to_owned();
    config.add_routes(1000)?;
    Ok(config.yaml())
}

const NGINX_HEAD: &str = "worker_processes 1;
error_log stderr crit;
events { worker_connections 19000; }
http {
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
";

fn nginx_folders(folder: &Path) -> String {
    let folder = folder.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let lines = kinds.map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"));
    lines.concat()
}

/// What the gateway's config does that `make canary` judges, as another proxy says it: a line in a log for each request, which nobody
/// keeps, and a field of each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Neither.
    Bare,
    /// Both.
    Logged,
}

impl Work {
    fn says(self, text: &'static str) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Logged => text,
        }
    }
}

/// The descriptor that `HAProxy` logs to: it opens no file by itself.
pub(super) const HAPROXY_LOG: u32 = 3;

pub(super) fn nginx(folder: &Path, address: SocketAddr, origin: SocketAddr, work: Work) -> String {
    let extra = work.says(
        "    access_log /dev/null combined buffer=32k flush=1s;
    add_header X-Content-Type-Options nosniff always;
",
    );
    format!(
        "pid {}/nginx.pid;\n{NGINX_HEAD}{}  upstream origin {{
    server {origin};
    keepalive {KEPT};
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address};
{extra}    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
    }}
  }}
}}
",
        folder.display(),
        nginx_folders(folder)
    )
}

/// An nginx that answers at each address with the body beside it.
pub(super) fn origin(folder: &Path, servers: &[(SocketAddr, &str, String)]) -> String {
    let server = |(address, kind, body): &(SocketAddr, &str, String)| {
        format!(
            "  server {{
    listen {address} backlog=4096;
    default_type {kind};
    location / {{ return 200 '{body}'; }}
  }}
"
        )
    };
    let servers: String = servers.iter().map(server).collect();
    format!("pid {}/nginx.pid;\n{NGINX_HEAD}{}{servers}}}\n", folder.display(), nginx_folders(folder))
}

/// An nginx that answers everything with the file `body` of its folder.
pub(super) fn file_origin(folder: &Path, address: SocketAddr) -> String {
    let place = folder.display();
    let server = format!(
        "  server {{
    listen {address} backlog=4096;
    default_type text/plain;
    sendfile on;
    root {place};
    location / {{ rewrite ^ /body break; }}
  }}
"
    );
    format!("pid {place}/nginx.pid;\n{NGINX_HEAD}{}{server}}}\n", nginx_folders(folder))
}

pub(super) fn haproxy(address: SocketAddr, origin: SocketAddr, work: Work) -> String {
    let log = match work {
        Work::Bare => String::new(),
        Work::Logged => format!("  log fd@{HAPROXY_LOG} format raw daemon\n"),
    };
    let extra = work.says(
        "  log global
  option httplog
  http-response set-header X-Content-Type-Options nosniff
",
    );
    format!(
        "global
  nbthread 1
  maxconn 9000
{log}defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend edge
  bind {address}
{extra}  default_backend origin
backend origin
  server one {origin} pool-max-conn {KEPT}
"
    )
}

/// Envoy's listener, up to its routes.
pub(crate) fn envoy_listener(address: SocketAddr) -> String {
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          codec_type: HTTP1
          generate_request_id: false
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
",
        ip = address.ip(),
        port = address.port()
    )
}

pub(super) fn envoy(address: SocketAddr, origin: SocketAddr, work: Work) -> String {
    let listener = envoy_listener(address);
    let log = work.says(
        "          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
",
    );
    let header = work.says(
        "              response_headers_to_add:
              - header: { key: x-content-type-options, value: nosniff }
                append_action: OVERWRITE_IF_EXISTS_OR_ADD
",
    );
    format!(
        "{listener}{log}          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
{header}              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: origin }} }}]
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{ thresholds: [{{ max_connections: 4096, max_requests: 4096, max_pending_requests: 4096 }}] }}
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}
",
        ip = origin.ip(),
        port = origin.port()
    )
}

/// Neither log nor statistics, which are off unless they are asked for. Files that it writes by itself go into the folder.
pub(super) fn pingap(folder: &Path, address: SocketAddr, origin: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "[basic]
name = \"rig\"
threads = 1
upstream_keepalive_pool_size = {KEPT}
log_level = \"ERROR\"
pid_file = \"{folder}/pingap.pid\"
upgrade_sock = \"{folder}/pingap.sock\"

[upstreams.origin]
addrs = [\"{origin}\"]

[locations.all]
upstream = \"origin\"

[servers.edge]
addr = \"{address}\"
locations = [\"all\"]
"
    )
}

/// A log is a filter, and there is none. That endpoints may be on the loopback interface, and that bodies have no bound, must be said.
pub(super) fn praxis(address: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "runtime: {{ threads: 1, upstream_keepalive_pool_size: {KEPT} }}
insecure_options: {{ allow_private_endpoints: true, allow_unbounded_body: true, allow_root: true }}
listeners:
  - {{ name: edge, address: \"{address}\", filter_chains: [all] }}
filter_chains:
  - name: all
    filters:
      - filter: router
        routes: [{{ path_prefix: /, cluster: origin }}]
      - filter: load_balancer
        clusters: [{{ name: origin, endpoints: [\"{origin}\"] }}]
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_lies_under_one_of_the_thousand_routes() {
        let mut config = Portcullis::new(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        config.add_routes(1000).unwrap();
        let prefixes = config.routes.lines().filter_map(|line| line.split_once("path: ")?.1.split_once(' '));
        assert_eq!(prefixes.filter(|(prefix, _)| PATH.starts_with(&format!("{prefix}/"))).count(), 1);
    }
}

//! The contenders' configs in front of a fleet: the same connections kept, attempts, timeouts and health checks.
//!
//! Each has what its careful user would give it: `HAProxy` layer-7 retries of GETs on another server, health checks and
//! `observe layer7`; Envoy retries on another host inside a budget, health checks and outlier detection at the pace of a
//! scene (its defaults look every 10 s and eject for 30 s, which is longer than a scene). All three check every second,
//! take an endpoint out after two failures and back in after two successes, and try a request three times at most.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::Failure;
use crate::contenders::envoy_listener;

/// What a config is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Where the proxy accepts.
    pub(super) address: SocketAddr,
    /// The replicas.
    pub(super) replicas: &'a [SocketAddr],
    /// Milliseconds that a replica may take to answer.
    pub(super) patience: u32,
    /// Lines of the gateway's cluster besides its own, as `key: value`.
    pub(super) knobs: &'a [String],
}

pub(super) fn portcullis(setting: &Setting<'_>) -> Result<String, Failure> {
    let Setting { address, patience, .. } = setting;
    let endpoints: Vec<String> = setting.replicas.iter().map(|replica| format!("\"{replica}\"")).collect();
    let mut text = format!(
        "version: 1
threads: 1
listeners:
  edge:
    bind: \"{address}\"
    limits: {{ connections: 20000, connections_per_network: 20000, idle_timeout: 600s }}
hosts:
  - names: [\"*\"]
    routes: [{{ name: all, to: origin }}]
clusters:
  origin:
    endpoints: [{}]
    health_check: {{ http: {{ path: /health }}, interval: 1s, timeout: 500ms, unhealthy_after: 2, healthy_after: 2 }}
    timeouts: {{ connect: 1s, first_byte: {patience}ms }}
    retry: {{ attempts: 3 }}
",
        endpoints.join(", ")
    );
    for knob in setting.knobs {
        writeln!(text, "    {knob}")?;
    }
    Ok(text)
}

pub(super) fn haproxy(setting: &Setting<'_>, balance: &str) -> Result<String, Failure> {
    let Setting { address, patience, .. } = setting;
    let mut text = format!(
        "global
  nbthread 1
  maxconn 9000
defaults
  mode http
  http-reuse always
  timeout connect 1s
  timeout client 600s
  timeout server {patience}ms
  timeout check 500ms
  timeout http-keep-alive 600s
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response response-timeout
frontend edge
  bind {address}
  default_backend origin
backend origin
  balance {balance}
  option httpchk GET /health
  http-request disable-l7-retry unless METH_GET
  default-server check inter 1s fall 2 rise 2 observe layer7 error-limit 5 on-error mark-down pool-max-conn 512
"
    );
    for (index, replica) in setting.replicas.iter().enumerate() {
        writeln!(text, "  server replica-{index} {replica}")?;
    }
    Ok(text)
}

const ENVOY_ROUTES: &str = "          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
";

const ENVOY_CLUSTER: &str = "  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 1s
    lb_policy: LEAST_REQUEST
    circuit_breakers:
      thresholds:
      - max_connections: 4096
        max_requests: 4096
        max_pending_requests: 4096
        retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 10 }
    outlier_detection:
      consecutive_5xx: 5
      interval: 1s
      base_ejection_time: 5s
      max_ejection_percent: 50
      successful_active_health_check_uneject_host: false
    health_checks:
    - timeout: 0.5s
      interval: 1s
      no_traffic_interval: 1s
      unhealthy_threshold: 2
      healthy_threshold: 2
      http_health_check: { path: /health }
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
";

pub(super) fn envoy(setting: &Setting<'_>) -> Result<String, Failure> {
    let Setting { address, patience, .. } = setting;
    let mut text = envoy_listener(*address) + ENVOY_ROUTES;
    // A POST may only be tried again when it was never sent.
    let get = "headers: [{ name: \":method\", string_match: { exact: GET } }], ";
    for (only, causes) in [(get, "connect-failure,reset"), ("", "connect-failure")] {
        writeln!(
            text,
            "              - match: {{ {only}prefix: / }}
                route:
                  cluster: origin
                  retry_policy:
                    retry_on: {causes}
                    num_retries: 2
                    per_try_timeout: {seconds}s
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config:
                        \"@type\": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                    host_selection_retry_max_attempts: 3",
            seconds = f64::from(*patience) / 1000.0
        )?;
    }
    text.push_str(ENVOY_CLUSTER);
    for replica in setting.replicas {
        writeln!(
            text,
            "        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            replica.ip(),
            replica.port()
        )?;
    }
    Ok(text)
}

//! The keepers' configs: one worker, the same 100,000 keys, the same rate for each, the same two routes, a line of the log
//! for each request with consumer and method, counters on.
//!
//! All three forget the key before the origin sees it. `HAProxy` counts in a sliding window and the others in buckets,
//! which is how each is used. Where Envoy is asked for a bucket for each consumer it makes them when it first sees one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::Failure;
use crate::process::free_address;

use super::{RATE, keys};

/// The access log of those who write one by name.
pub(super) const LOG: &str = "access.log";

/// What a config is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Where its files go.
    pub(super) folder: &'a Path,
    /// Where it accepts.
    pub(super) address: SocketAddr,
    /// The origins of reads and of blocks.
    pub(super) origins: [SocketAddr; 2],
    /// The keys; the consumer of a key has its number.
    pub(super) keys: &'a [String],
}

impl Setting<'_> {
    fn write(&self, name: &str, text: &str) -> Result<OsString, Failure> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path.into())
    }
}

pub(super) fn portcullis(setting: &Setting<'_>) -> Result<Vec<OsString>, Failure> {
    let mut consumers = String::new();
    for (number, key) in setting.keys.iter().enumerate() {
        let (id, hash) = (keys::consumer(number), keys::hash(key));
        writeln!(consumers, "{{\"id\":\"{id}\",\"plan\":\"rig\",\"keys\":[{{\"hash\":\"{hash}\"}}]}}")?;
    }
    setting.write("consumers.ndjson", &consumers)?;
    setting.write("secret", &keys::secret())?;
    let [rpc, archive] = setting.origins;
    let text = format!(
        "version: 1
threads: 1
trusted_networks: [\"127.0.0.0/8\"]
access_log: {{ path: {LOG} }}
admin: {{ bind: \"{admin}\" }}
listeners:
  edge:
    bind: \"{address}\"
    limits: {{ connections: 20000, connections_per_network: 20000, idle_timeout: 600s }}
clusters:
  rpc: {{ endpoints: [\"{rpc}\"] }}
  archive: {{ endpoints: [\"{archive}\"] }}
plans:
  rig: {{ rate: {RATE}/s, burst: {RATE} }}
# Nobody beside it keeps what is used on disk.
store: off
consumers: {{ file: consumers.ndjson, secret: \"file:secret\" }}
hosts:
  - names: [\"*\"]
    filters: [api_key, jsonrpc, caps]
    routes:
      - {{ name: archive, match: {{ jsonrpc: [getBlock, getTransaction] }}, to: archive }}
      - {{ name: rpc, to: rpc }}
",
        address = setting.address,
        admin = free_address()?,
    );
    Ok(vec!["run".into(), "-c".into(), setting.write("gatekeeper.yaml", &text)?])
}

pub(super) fn haproxy(setting: &Setting<'_>) -> Result<Vec<OsString>, Failure> {
    let mut map = String::new();
    for (number, key) in setting.keys.iter().enumerate() {
        writeln!(map, "{key} {}", keys::consumer(number))?;
    }
    setting.write("keys.map", &map)?;
    let [rpc, archive] = setting.origins;
    let text = format!(
        "global
  nbthread 1
  maxconn 9000
  log stdout format raw local0
defaults
  mode http
  log global
  option http-buffer-request
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  log-format \"%tr %ci %HM %HP %ST %B %Ta %[var(txn.consumer)] %[var(txn.method)] %b\"
frontend edge
  bind {address}
  stick-table type string len 32 size 200k expire 10s store http_req_rate(1s)
  http-request set-var(txn.consumer) req.hdr(x-api-key),map_str({map})
  http-request deny deny_status 401 unless {{ var(txn.consumer) -m found }}
  http-request track-sc0 var(txn.consumer)
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {RATE} }}
  http-request set-var(txn.method) req.body,json_query('$.method')
  http-request del-header x-api-key
  use_backend archive if {{ var(txn.method) -m str getBlock getTransaction }}
  default_backend rpc
backend rpc
  server one {rpc} pool-max-conn 512
backend archive
  server one {archive} pool-max-conn 512
",
        address = setting.address,
        map = setting.folder.join("keys.map").display(),
    );
    Ok(vec!["-db".into(), "-f".into(), setting.write("haproxy.cfg", &text)?])
}

/// Milliseconds that Envoy may keep lines of its log to itself: what it does by default is ten seconds.
const FLUSH: &str = "1000";

pub(super) fn envoy(setting: &Setting<'_>) -> Result<Vec<OsString>, Failure> {
    let [rpc, archive] = setting.origins;
    let mut routes: Vec<Value> = ["getBlock", "getTransaction"].map(envoy_route).into();
    routes.push(json!({ "match": { "prefix": "/" }, "route": { "cluster": "rpc" } }));
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP1",
        "generate_request_id": false,
        "access_log": [envoy_log(&setting.folder.join(LOG))],
        "http_filters": envoy_filters(setting.keys),
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
    });
    let listener = json!({
        "address": envoy_address(setting.address),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    });
    let clusters = [envoy_cluster("rpc", rpc), envoy_cluster("archive", archive)];
    let config = json!({ "static_resources": { "listeners": [listener], "clusters": clusters } });
    let file = setting.write("envoy.json", &config.to_string())?;
    let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    let flags = flags.into_iter().chain(["--file-flush-interval-msec", FLUSH, "-c"]).map(OsString::from);
    Ok(flags.chain([file]).collect())
}

fn envoy_filters(keys: &[String]) -> Value {
    let credential = |(number, key)| json!({ "key": key, "client": keys::consumer(number) });
    let credentials: Vec<Value> = keys.iter().enumerate().map(credential).collect();
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let bucket = |tokens| json!({ "max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "1s" });
    json!([
        envoy_filter(
            "api_key_auth",
            "api_key_auth.v3.ApiKeyAuth",
            json!({
                "credentials": credentials,
                "key_sources": [{ "header": "x-api-key" }],
                "forwarding": { "header": "x-consumer", "hide_credentials": true },
            })
        ),
        envoy_filter(
            "json_to_metadata",
            "json_to_metadata.v3.JsonToMetadata",
            json!({
                "request_rules": { "rules": [{
                    "selectors": [{ "key": "method" }],
                    "on_present": { "metadata_namespace": "rpc", "key": "method" },
                }] },
            })
        ),
        envoy_filter(
            "local_ratelimit",
            "local_ratelimit.v3.LocalRateLimit",
            json!({
                "stat_prefix": "plan",
                "token_bucket": bucket(1_000_000),
                "filter_enabled": always,
                "filter_enforced": always,
                "max_dynamic_descriptors": keys.len(),
                "rate_limits": [{ "actions": [{
                    "request_headers": { "header_name": "x-consumer", "descriptor_key": "consumer" },
                }] }],
                "descriptors": [{ "entries": [{ "key": "consumer", "value": "" }], "token_bucket": bucket(RATE) }],
            })
        ),
        envoy_filter("router", "router.v3.Router", json!({})),
    ])
}

fn envoy_filter(name: &str, kind: &str, config: Value) -> Value {
    let mut typed = json!({ "@type": format!("type.googleapis.com/envoy.extensions.filters.http.{kind}") });
    if let (Some(typed), Value::Object(config)) = (typed.as_object_mut(), config) {
        typed.extend(config);
    }
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": typed })
}

fn envoy_route(method: &str) -> Value {
    let metadata =
        json!({ "filter": "rpc", "path": [{ "key": "method" }], "value": { "string_match": { "exact": method } } });
    json!({ "match": { "prefix": "/", "dynamic_metadata": [metadata] }, "route": { "cluster": "archive" } })
}

fn envoy_log(path: &Path) -> Value {
    let line = "%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %BYTES_SENT% \
                %DURATION% %REQ(X-CONSUMER)% %DYNAMIC_METADATA(rpc:method)% %UPSTREAM_CLUSTER%\n";
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": { "text_format_source": { "inline_string": line } },
        },
    })
}

fn envoy_cluster(name: &str, origin: SocketAddr) -> Value {
    let most = 4096;
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": most, "max_requests": most, "max_pending_requests": most,
        }] },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": envoy_address(origin) } }] }],
        },
    })
}

fn envoy_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

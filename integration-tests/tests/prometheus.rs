//! Rules and dashboards: what Prometheus' own tools say of them, and a Prometheus that scrapes a gateway.

use portcullis_integration_tests::{Client, Gateway, Origin, Setup, address, cli, origin, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SLOS: &str =
    r#"slos: { up: { host: "*", objective: 99.9% }, 'odd "name" {{': { host: "*", objective: 99%, latency: 1s } }"#;

fn rules(gateway: &Gateway) -> String {
    let ended = cli::run(gateway.dir(), &["rules", "-c", "gateway.yaml"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout
}

fn promtool(dir: &Path, args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(dir).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}; run scripts/setup test"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// What `promtool test rules` is to find: the alerts of `up` at a minute, when all fail after an hour.
const CASES: &str = r#"
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'portcullis_slo_good_total{slo="up"}', values: '0+1000x600 600000+0x30' }
      - { series: 'portcullis_slo_bad_total{slo="up"}', values: '0+0x600 0+1000x30' }
      - { series: 'portcullis_cluster_available{cluster="app"}', values: '2+0x600 0+0x30' }
      - { series: 'portcullis_build_info', values: '1+0x630' }
    alert_rule_test:
      - { eval_time: 600m, alertname: PortcullisSloFastBurn, exp_alerts: [] }
      - { eval_time: 600m, alertname: PortcullisClusterDown, exp_alerts: [] }
      - { eval_time: 620m, alertname: PortcullisDown, exp_alerts: [] }
      - eval_time: 620m
        alertname: PortcullisSloFastBurn
        exp_alerts:
          - exp_labels: { slo: up, severity: page }
            exp_annotations:
              summary: The error budget of up is used up more than 14.4 times too fast.
              runbook: docs/runbooks/slo.md
      - eval_time: 620m
        alertname: PortcullisClusterDown
        exp_alerts:
          - exp_labels: { cluster: app, severity: page }
            exp_annotations:
              summary: No endpoint of the cluster app may be chosen.
              runbook: docs/runbooks/cluster.md
    promql_expr_test:
      - expr: portcullis:slo_burn:5m{slo="up"} > bool 999
        eval_time: 620m
        exp_samples: [{ labels: '{slo="up"}', value: 1 }]
"#;

#[test]
fn rules_are_good_and_fire_as_they_should() {
    let gateway = Setup::to(&Origin::says("fine")).top(SLOS).start();
    std::fs::write(gateway.dir().join("rules.yaml"), rules(&gateway)).unwrap();
    promtool(gateway.dir(), &["check", "rules", "rules.yaml"]);
    std::fs::write(gateway.dir().join("cases.yaml"), CASES).unwrap();
    promtool(gateway.dir(), &["test", "rules", "cases.yaml"]);
}

/// The families that stand in expressions.
fn families(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with("portcullis_")).map(str::to_owned).collect()
}

#[test]
fn dashboards_and_rules_ask_for_what_the_gateway_has() {
    let gateway = Setup::to(&Origin::says("fine"))
        .top(SLOS)
        .top("store: {}")
        .and_cluster("named", "127.0.0.1:1".parse().unwrap(), "")
        .start();
    assert_eq!(gateway.get("/").status, 200);
    let ended = cli::run(gateway.dir(), &["dashboards", "-c", "gateway.yaml"]);
    let board: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let panels = board["panels"].as_array().unwrap();
    let queries: Vec<String> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "1m"))
        .collect();
    // Each is an expression to Prometheus.
    let recorded =
        |(at, expr): (usize, &String)| format!("  - record: panel:{at}\n    expr: {}\n", Value::from(expr.as_str()));
    let all: String = queries.iter().enumerate().map(recorded).collect();
    std::fs::write(gateway.dir().join("panels.yaml"), format!("groups:\n- name: panels\n  rules:\n{all}")).unwrap();
    promtool(gateway.dir(), &["check", "rules", "panels.yaml"]);
    let page = until("the metrics", || {
        let page = gateway.admin().get("/metrics").text();
        page.contains("portcullis_slo_burn{").then_some(page)
    });
    // Of Redis and of sources this gateway has none.
    let absent = ["portcullis_redis_state", "portcullis_source_failing"];
    for family in families(&(queries.join("\n") + &rules(&gateway))) {
        let base = family.trim_end_matches("_bucket");
        let known = page.contains(&format!("# TYPE {base} ")) || absent.contains(&base);
        assert!(known, "{family} is no metric of the gateway");
    }
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Prometheus {
    fn start(dir: &Path, scraped: SocketAddr) -> Self {
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\nrule_files: [rules.yaml]\n\
             scrape_configs: [{{ job_name: gateway, static_configs: [{{ targets: [\"{scraped}\"] }}] }}]\n"
        );
        std::fs::write(dir.join("prometheus.yaml"), config).unwrap();
        let address = address();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb", "--log.level=error"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(dir);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("prometheus: {error}; run scripts/setup test"));
        Self { child, address }
    }

    fn json(&self, path: &str) -> Option<Value> {
        let tcp = std::net::TcpStream::connect(self.address).ok()?;
        let mut client = Client::over(tcp);
        client.try_send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).ok()?;
        let answer = client.try_response().ok().filter(|answer| answer.status == 200)?;
        Some(answer.json())
    }
}

#[test]
fn a_prometheus_scrapes_the_gateway_and_fires_on_a_burning_budget() {
    let gateway = Setup::to_address(origin::refused()).top(SLOS).start();
    std::fs::write(gateway.dir().join("rules.yaml"), rules(&gateway)).unwrap();
    let prometheus = Prometheus::start(gateway.dir(), gateway.address("admin"));
    let firing = until("the alert", || {
        drop(gateway.get("/"));
        let alerts = prometheus.json("/api/v1/alerts")?;
        let is = |alert: &&Value| alert["labels"]["alertname"] == "PortcullisSloFastBurn" && alert["state"] == "firing";
        alerts["data"]["alerts"].as_array()?.iter().find(is).cloned()
    });
    assert_eq!((&firing["labels"]["slo"], &firing["labels"]["severity"]), (&"up".into(), &"page".into()));
}

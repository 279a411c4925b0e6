//! The gateway's own alerts, whatever its config says.

use portcullis_slo::Severity::{Page, Ticket};

use super::Rule;

/// All of them.
pub(crate) const OWN: [Rule; 17] = [
    Rule {
        name: "PortcullisDown",
        expr: "absent(portcullis_build_info)",
        lasts: "2m",
        severity: Page,
        summary: "No gateway is scraped.",
        runbook: "down",
    },
    Rule {
        name: "PortcullisClusterDown",
        expr: "portcullis_cluster_available == 0",
        lasts: "1m",
        severity: Page,
        summary: "No endpoint of the cluster {{ $labels.cluster }} may be chosen.",
        runbook: "cluster",
    },
    Rule {
        name: "PortcullisClusterPanicking",
        expr: "portcullis_cluster_panicking == 1",
        lasts: "2m",
        severity: Page,
        summary: "So few endpoints of the cluster {{ $labels.cluster }} are good that all are used.",
        runbook: "cluster",
    },
    Rule {
        name: "PortcullisErrors",
        expr: "sum without (virtual_host, route, class, protocol) (rate(portcullis_route_requests_total{class=\"5xx\"}[5m])) / \
               sum without (virtual_host, route, class, protocol) (rate(portcullis_route_requests_total[5m])) > 0.05",
        lasts: "5m",
        severity: Page,
        summary: "{{ $value | humanizePercentage }} of requests are answered with 5xx.",
        runbook: "errors",
    },
    Rule {
        name: "PortcullisFailing",
        expr: "portcullis_verdict{state=\"failing\"} == 1",
        lasts: "5m",
        severity: Page,
        summary: "The gateway says of itself that it fails; `portcullis status` says why.",
        runbook: "verdict",
    },
    Rule {
        name: "PortcullisDegraded",
        expr: "portcullis_verdict{state=\"degraded\"} == 1",
        lasts: "1h",
        severity: Ticket,
        summary: "The gateway says of itself that it is degraded; `portcullis status` says why.",
        runbook: "verdict",
    },
    Rule {
        name: "PortcullisOverload",
        expr: "portcullis_verdict_reasons{kind=\"overload\"} > 0",
        lasts: "1m",
        severity: Page,
        summary: "The process refuses work to stay alive.",
        runbook: "overload",
    },
    Rule {
        name: "PortcullisBoundNear",
        expr: "portcullis_bound_used / (portcullis_bound_limit > 0) > 0.9",
        lasts: "5m",
        severity: Ticket,
        summary: "{{ $labels.bound }} of {{ $labels.of }} is {{ $value | humanizePercentage }} full.",
        runbook: "overload",
    },
    Rule {
        name: "PortcullisBoundRefusing",
        expr: "rate(portcullis_bound_refused_total[5m]) > 0",
        lasts: "5m",
        severity: Ticket,
        summary: "{{ $labels.bound }} of {{ $labels.of }} is full and refuses.",
        runbook: "overload",
    },
    Rule {
        name: "PortcullisDescriptors",
        // Every process has the first two: those that also say what gateway they are count.
        expr: "(process_open_fds / process_max_fds > 0.8 and on (instance) portcullis_build_info) or \
               rate(portcullis_listener_accept_failures_total[5m]) > 1",
        lasts: "1m",
        severity: Page,
        summary: "The gateway is running out of file descriptors, or has none left: nobody new is let in then.",
        runbook: "overload",
    },
    Rule {
        name: "PortcullisCertificate",
        expr: "sum without (severity) (portcullis_verdict_reasons{kind=\"certificate\"}) > 0",
        lasts: "10m",
        severity: Ticket,
        summary: "A certificate of a listener is over, or in less than 14 days.",
        runbook: "certificate",
    },
    Rule {
        name: "PortcullisConfigRefused",
        expr: "increase(portcullis_reloads_total{outcome=~\"refused|failed\"}[15m]) > 0",
        lasts: "0s",
        severity: Ticket,
        summary: "A config was not taken; the one of before goes on.",
        runbook: "config",
    },
    Rule {
        name: "PortcullisSourceFailing",
        expr: "portcullis_source_failing == 1",
        lasts: "10m",
        severity: Ticket,
        summary: "{{ $labels.source }} does not say which endpoints there are; its last answer goes on.",
        runbook: "discovery",
    },
    Rule {
        name: "PortcullisStoreFailing",
        expr: "portcullis_store_state{state!=\"good\"} == 1",
        lasts: "2m",
        severity: Page,
        summary: "What callers spend and use is not written: the store is {{ $labels.state }}.",
        runbook: "store",
    },
    Rule {
        name: "PortcullisBudgetsNotKept",
        expr: "increase(portcullis_slo_save_failures_total[10m]) > 0",
        lasts: "5m",
        severity: Ticket,
        summary: "What is counted for error budgets is not written.",
        runbook: "store",
    },
    Rule {
        name: "PortcullisCapsUnshared",
        expr: "portcullis_redis_state{state!=\"up\"} == 1",
        lasts: "1m",
        severity: Page,
        summary: "Caps are not shared between gateways: the link to Redis is {{ $labels.state }}.",
        runbook: "caps",
    },
    Rule {
        name: "PortcullisRecordsDropped",
        expr: "rate(portcullis_records_dropped_total{sink!=\"recent\"}[5m]) > 0",
        lasts: "5m",
        severity: Ticket,
        summary: "Records do not reach {{ $labels.sink }}: {{ $labels.cause }}.",
        runbook: "records",
    },
];

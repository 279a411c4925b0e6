//! Records for the tests of this crate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use portcullis_types::{Downstream, EndpointName, GenerationId, ListenerName, Protocol, RequestId, TlsInfo};

use crate::record::{Attempt, Considered, Decision, Record, RecordOptions, RequestLine, Verdict};

/// A TLS connection from a documentation address.
pub(crate) fn downstream() -> Arc<Downstream> {
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let tls = TlsInfo {
        sni: Some("rpc.example.com".to_owned()),
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256",
        client: None,
        client_auth: false,
    };
    Arc::new(Downstream {
        listener: ListenerName::from("edge"),
        peer,
        socket_peer: peer,
        local: SocketAddr::from(([127, 0, 0, 1], 8443)),
        tls: Some(Arc::new(tls)),
    })
}

/// A record of a request about which nothing is known yet.
pub(crate) fn bare(id: u128) -> Record {
    let at = UNIX_EPOCH + Duration::from_millis(1_785_846_896_789);
    Record::request(RequestId(id), GenerationId(3), at, downstream())
}

/// An attempt that was answered 200.
pub(crate) fn attempt(endpoint: &str) -> Attempt {
    Attempt {
        endpoint: EndpointName::from(endpoint),
        cluster: None,
        started: Duration::from_micros(120),
        connect: Some(Duration::from_micros(850)),
        first_byte: Some(Duration::from_micros(9_400)),
        outcome: Ok(200),
        reused: false,
        outrun: false,
        span: 0,
        ended: None,
    }
}

/// A proxied request that went well.
pub(crate) fn typical(id: u128) -> Record {
    let mut record = bare(id);
    let line = RequestLine {
        method: b"POST",
        host: b"rpc.example.com",
        path: b"/v1/accounts/7",
        query: None,
        user_agent: Some(b"curl/8.9.1"),
    };
    record.set_head(&line, &RecordOptions::default());
    record.protocol = Some(Protocol::Http2);
    record.virtual_host = Some(Arc::from("rpc.example.com"));
    record.route = Some("archive".into());
    record.consumer = Some(Arc::from("acme"));
    record.decision = Decision::Cluster("rpc-east".into());
    record.considered.push(Considered { endpoint: "10.0.0.11:8899".into(), verdict: Verdict::PassedOver("ejected") });
    record.considered.push(Considered { endpoint: "10.0.1.11:8899".into(), verdict: Verdict::Chosen });
    record.attempts.push(attempt("10.0.1.11:8899"));
    record.timers.queue = Some(Duration::ZERO);
    record.timers.connect = Some(Duration::from_micros(850));
    record.timers.first_byte = Some(Duration::from_micros(9_520));
    record.timers.total = Duration::from_micros(12_345);
    (record.bytes_in, record.bytes_out) = (512, 2_048);
    (record.status, record.upstream_status) = (200, Some(200));
    record
}

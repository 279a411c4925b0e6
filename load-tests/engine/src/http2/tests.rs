//! The loop before a server of the h2 crate, in plain text and over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};

use super::*;
use crate::request::{Request, Wire};
use crate::schedule::{Arrivals, Schedule};
use crate::template::{Template, Values};
use crate::tls::{Tls, Trust};

/// Answers by path: `/ok`, `/busy` (429), `/grpc/N` (a message, and that status in the trailers).
async fn serve(io: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        let status = if path == "/busy" { 429 } else { 200 };
        let head = http::Response::builder().status(status).body(()).unwrap();
        let Ok(mut stream) = respond.send_response(head, false) else { continue };
        let code = path.strip_prefix("/grpc/").map(str::to_owned);
        if stream.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), code.is_none()).is_err() {
            continue;
        }
        if let Some(code) = code {
            let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
            drop(stream.send_trailers(trailers));
        }
    }
}

fn server(tls: Option<Arc<rustls::ServerConfig>>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream).await;
                            }
                        }
                        None => serve(stream).await,
                    }
                });
            }
        });
    });
    address
}

fn mix(path: &str) -> Mix {
    let template = |text: &str| Template::parse(text, &Values::new()).unwrap();
    let request = Request {
        name: "a".to_owned(),
        weight: 1,
        method: "POST".to_owned(),
        target: template(path),
        fields: vec![("x-a".to_owned(), template("@{n}"))],
        body: Some(template("hi")),
        json_rpc: false,
        expect: Vec::new(),
    };
    Mix::new(vec![request], "load.test", Wire::Parts, 1)
        .refusing(vec![crate::request::Refusal { status: 429, field: None }], vec![8])
}

fn play(to: SocketAddr, path: &str, (grpc, tls): (bool, Option<&Tls>), pace: Pace) -> Tally {
    let load = Load { tls, timeout: Duration::from_secs(60), ..Load::new(to, pace) };
    let settings = Settings { connections: 2, grpc };
    run(&load, settings, &mut mix(path), Instant::now(), &Watch::default()).unwrap()
}

fn open() -> Pace {
    Pace::Open(Schedule::new(Arrivals::Constant, 2000.0, Duration::from_millis(50), 1))
}

#[test]
fn every_planned_request_gets_one_outcome() {
    let to = server(None);
    for (path, grpc, expected) in [
        ("/ok", false, (99, 0, 0)),
        ("/busy", false, (0, 99, 0)),
        ("/grpc/0", true, (99, 0, 0)),
        ("/grpc/8", true, (0, 99, 0)),
        ("/grpc/13", true, (0, 0, 99)),
        // No status at all is no answer to a call.
        ("/ok", true, (0, 0, 99)),
    ] {
        let all = play(to, path, (grpc, None), open()).all;
        assert_eq!((all.succeeded, all.refused, all.failures()), expected, "{path} {grpc}: {all}");
    }
}

#[test]
fn the_tools_own_origin_answers_calls_and_counts_them() {
    let origin = crate::origin::grpc::GrpcOrigin::start().unwrap();
    let all = play(origin.address(), "/pkg.Service/Call", (true, None), open()).all;
    assert_eq!((all.succeeded, all.sent(), origin.requests()), (99, 99, 99), "{all}");
}

#[test]
fn a_closed_loop_ends() {
    let pace = Pace::Closed { connections: 5, length: Duration::from_millis(50) };
    let tally = play(server(None), "/ok", (false, None), pace);
    assert!(tally.all.sent() >= 5 && tally.all.failures() == 0, "{}", tally.all);
    assert_eq!(tally.most_in_flight, 5);
}

#[test]
fn nothing_is_sent_once_it_is_stopped_not_even_what_was_held_back() {
    let origin = crate::origin::grpc::GrpcOrigin::start().unwrap();
    let watch = Watch::default();
    // One after the other they would take many seconds.
    let pace = Pace::Open(Schedule::new(Arrivals::Constant, 1e9, Duration::from_micros(100), 1));
    let load = Load { in_flight: 1, timeout: Duration::from_secs(60), ..Load::new(origin.address(), pace) };
    let tally = std::thread::scope(|scope| {
        scope.spawn(|| {
            while origin.requests() == 0 {
                std::thread::yield_now();
            }
            watch.stop.store(true, Ordering::SeqCst);
        });
        let settings = Settings { connections: 1, grpc: false };
        run(&load, settings, &mut mix("/ok"), Instant::now(), &watch).unwrap()
    });
    assert_eq!(origin.requests(), tally.all.succeeded, "{}", tally.all);
    assert!(tally.all.failed.get(&Kind::Unfinished).is_some_and(|held| *held > 0), "{}", tally.all);
}

#[test]
fn speaks_over_tls_with_who_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["load.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let to = server(Some(Arc::new(config)));
    let anybody = Tls::new("load.test", &Trust::Anybody, &["h2"]).unwrap();
    let all = play(to, "/ok", (false, Some(&anybody)), open()).all;
    assert_eq!((all.succeeded, all.sent()), (99, 99), "{all}");
    let file = std::env::temp_dir().join(format!("engine-{}.pem", std::process::id()));
    std::fs::write(&file, rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap().cert.pem()).unwrap();
    let stranger = Tls::new("load.test", &Trust::File(file.clone()), &["h2"]).unwrap();
    std::fs::remove_file(file).unwrap();
    let load = Load { tls: Some(&stranger), ..Load::new(to, open()) };
    let settings = Settings { connections: 1, grpc: false };
    let error = run(&load, settings, &mut mix("/ok"), Instant::now(), &Watch::default()).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

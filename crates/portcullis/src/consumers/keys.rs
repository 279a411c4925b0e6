//! The keys of an issuer, fetched from its URL: now, again and again, and sooner when a token names a key that is not
//! there. An answer that is none leaves the keys as they are.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use portcullis_identity::identities::TokenIssuer;
use portcullis_identity::token::KeySet;
use portcullis_snapshot::settings::KeyUrl;

/// For a whole fetch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two fetches, whoever wants them.
const LEAST: Duration = Duration::from_secs(5);
/// How often it is looked whether keys are wanted.
const LOOK: Duration = Duration::from_millis(500);
/// How long a start waits for the first answers.
const SETTLE: Duration = Duration::from_secs(3);
/// The largest answer.
const MOST_BYTES: usize = 256 * 1024;

/// Fetches for as long as it lives.
pub(crate) struct Fetcher {
    task: tokio::task::JoinHandle<()>,
    asked: watch::Receiver<bool>,
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fetcher {
    /// Begins to fetch.
    pub(super) fn start(source: KeyUrl, issuer: Arc<TokenIssuer>) -> Self {
        let (sender, asked) = watch::channel(false);
        Self { task: tokio::spawn(follow(source, issuer, sender)), asked }
    }

    /// Becomes true when the URL was asked once.
    pub(super) fn asked(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }
}

/// Waits until all were asked once, up to a bound.
pub(super) async fn settle(asked: Vec<watch::Receiver<bool>>) {
    let all = async {
        for mut asked in asked {
            // A fetcher that is gone is not waited for.
            drop(asked.wait_for(|asked| *asked).await);
        }
    };
    if timeout(SETTLE, all).await.is_err() {
        log::warn!("tokens: some keys have not come so far; tokens of their issuers are refused until they do");
    }
}

async fn follow(source: KeyUrl, issuer: Arc<TokenIssuer>, asked: watch::Sender<bool>) {
    let mut failing = false;
    loop {
        let fetched = timeout(TIMEOUT, fetch(&source)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let keys = fetched.and_then(|body| KeySet::parse(&body).map_err(|error| error.to_string()));
        failing = match keys {
            Ok(keys) => {
                let number = keys.len();
                if issuer.put(keys) {
                    log::info!(
                        "tokens: `{}` has {} now, from {}",
                        issuer.name(),
                        crate::output::count(number, "key"),
                        source.url
                    );
                } else if failing {
                    log::info!("tokens: {} answers again", source.url);
                }
                false
            }
            Err(why) => {
                log::warn!("tokens: the keys of `{}` at {}: {why}; those of before stay", issuer.name(), source.url);
                true
            }
        };
        asked.send_replace(true);
        let refresh = if failing { source.refresh.min(LEAST * 6) } else { source.refresh };
        wait(&issuer, refresh).await;
    }
}

/// Waits for the next fetch.
async fn wait(issuer: &TokenIssuer, refresh: Duration) {
    let now = Instant::now();
    let (soonest, latest) = (now + LEAST, now + refresh.max(LEAST));
    sleep_until(soonest).await;
    while Instant::now() < latest && !issuer.take_wanted() {
        sleep(LOOK).await;
    }
    issuer.take_wanted();
}

async fn fetch(source: &KeyUrl) -> Result<Bytes, String> {
    let uri = &source.url;
    let tls = uri.scheme_str() == Some("https");
    let host = uri.host().ok_or("the URL has no host")?;
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((name, port)).await.map_err(|error| format!("cannot connect: {error}"))?;
    if !tls {
        return get(uri, tcp).await;
    }
    let server = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(client(source.authorities.as_deref())?));
    let stream = connector.connect(server, tcp).await.map_err(|error| format!("TLS: {error}"))?;
    get(uri, stream).await
}

fn client(authorities: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for one in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let one = one.map_err(|error| error.to_string())?;
                roots.add(one).map_err(|error| error.to_string())?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            let system = system.map_err(|error| format!("the system's CAs cannot be read: {error}"))?;
            roots.add_parsable_certificates(system);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn get(uri: &Uri, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Bytes, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let task = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::builder().uri(path).header(HOST, authority).header(USER_AGENT, "portcullis");
    let request = request.header(ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    };
    let answer = answer.await;
    task.abort();
    answer
}

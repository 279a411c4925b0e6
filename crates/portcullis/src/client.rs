//! A small HTTP client for the admin API of a running gateway.

mod reach;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use portcullis_config::Checked;
use portcullis_snapshot::settings::Admin;

use crate::cli::Reach;
pub(crate) use reach::AdminPlace;

/// For connecting; the gateway is on this machine or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer: a reload may resolve names.
const TIMEOUT: Duration = Duration::from_secs(70);
/// The largest answer that is taken.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Where the admin API is, and what it wants.
pub(crate) struct Client {
    place: AdminPlace,
    reach: Reach,
    token: Option<String>,
    patience: Duration,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    /// By what the command line says, and by the config where that is silent.
    pub(crate) fn new(reach: &Reach, checked: Option<&Checked>) -> Result<Self, String> {
        let admin = checked.and_then(|checked| checked.settings().admin.as_ref());
        let place = reach.admin.clone().map_or_else(|| AdminPlace::of(admin), Ok)?;
        let token = match &reach.token {
            _ if place.is_socket() => None,
            Some(token) => Some(read_token(token)?),
            None => admin.and_then(best),
        };
        Ok(Self { place, reach: reach.clone(), token, patience: TIMEOUT })
    }

    /// The same, which waits for an answer for no longer than this.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks, and gives the answer whatever its status.
    pub(crate) fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
        self.call_with(method, path, &[], body)
    }

    /// The same with more fields.
    pub(crate) fn call_with(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let exchange = async {
            let answered =
                tokio::time::timeout(self.patience, self.exchange((method, path), fields, body.into())).await;
            answered.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        };
        runtime.block_on(exchange).map_err(|error| format!("the admin API on {}: {error}", self.place))
    }

    async fn exchange(
        &self,
        (method, path): (Method, &str),
        fields: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.place.connect(&self.reach)).await;
        let stream = connecting.map_err(|_| "cannot connect in time".to_owned())??;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.place.host());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, content_type(&body));
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
    }
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The body of a good answer; a refusal becomes its sentence.
    pub(crate) fn good(self) -> Result<Self, String> {
        if self.status < 400 { Ok(self) } else { Err(self.refusal()) }
    }

    /// What a problem+json says, in a line.
    pub(crate) fn refusal(&self) -> String {
        let problem = self.json();
        let text = |key: &str| problem.get(key).and_then(Value::as_str);
        match (text("title"), text("detail")) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            (Some(title), None) => title.to_owned(),
            (None, _) => format!("it answered {}", self.status),
        }
    }
}

/// A text as a part of a target: everything but unreserved characters (RFC 3986 section 2.3) by its bytes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn content_type(body: &[u8]) -> &'static str {
    if body.starts_with(b"{") { "application/json" } else { "application/yaml" }
}

/// The token itself, or the content of `file:PATH`.
fn read_token(text: &str) -> Result<String, String> {
    let Some(path) = text.strip_prefix("file:") else { return Ok(text.to_owned()) };
    let read = std::fs::read_to_string(Path::new(path));
    let read = read.map_err(|error| format!("--token: {path} cannot be read: {error}"))?;
    Ok(read.trim_end_matches(['\n', '\r']).to_owned())
}

/// Of the config's tokens the one that may do most: who reads the config may do all that it says.
fn best(admin: &Admin) -> Option<String> {
    admin.tokens.iter().max_by_key(|token| token.role).map(|token| token.secret.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_title_and_detail() {
        let answer = |body: &str| Answer { status: 422, body: body.to_owned() };
        assert_eq!(answer(r#"{"title":"No","detail":"why"}"#).refusal(), "No: why");
        assert_eq!(answer(r#"{"title":"No"}"#).refusal(), "No");
        assert_eq!(answer("<html>").refusal(), "it answered 422");
    }

    #[test]
    fn a_token_may_stand_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(read_token(&format!("file:{}", path.display())), Ok("s3cret".to_owned()));
        assert_eq!(read_token("plain"), Ok("plain".to_owned()));
        assert!(read_token("file:/no/such").is_err());
    }

    #[test]
    fn without_an_address_it_says_how_to_give_one() {
        assert!(Client::new(&Reach::default(), None).is_err_and(|error| error.contains("--admin")));
    }

    #[test]
    fn an_id_is_a_part_of_a_path_whatever_it_holds() {
        assert_eq!(escaped("net:2001:db8::/64 é"), "net%3A2001%3Adb8%3A%3A%2F64%20%C3%A9");
    }
}

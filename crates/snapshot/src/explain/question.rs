//! The request that is to be explained, as a person or a tool writes it.
//!
//! Deliberately close to the wire: method, target and fields are kept as they were written, so that a request that
//! the gateway would refuse can be asked about.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

use portcullis_types::{ClientCertificate, RequestId, Scheme};

/// A request to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The scheme of the URL: which kind of listener it takes.
    pub scheme: Scheme,
    /// Host and port of the URL, as written.
    pub authority: String,
    /// Path and query of the URL, as written.
    pub target: String,
    /// The fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Who connects.
    pub client: IpAddr,
    /// The listener, when it is not to be found by scheme and port.
    pub listener: Option<String>,
    /// The request's id, to see the draw of a real request again.
    pub id: RequestId,
    /// The server name of TLS; the URL's host by default.
    pub sni: Option<String>,
    /// The client certificate, taken as verified.
    pub certificate: Option<ClientCertificate>,
    /// Whether all routes are to be listed, not only the nearest.
    pub all: bool,
}

/// Why a question could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Not a method and a URL.
    #[error("expected `METHOD URL`, such as `POST https://host/path?x=1`; got `{0}`")]
    Form(String),
    /// A scheme that is not spoken.
    #[error("expected a URL that begins with `http://` or `https://`, got `{0}`")]
    Scheme(String),
    /// A field without a colon.
    #[error("expected a field such as `name: value`, got `{0}`")]
    Field(String),
    /// A member of the JSON form.
    #[error("`{key}`: expected {expected}")]
    Member {
        /// The member.
        key: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl Question {
    /// Reads `POST https://host/path?x=1`, or a URL alone for a GET.
    ///
    /// # Errors
    /// [`QuestionError::Form`] or [`QuestionError::Scheme`].
    pub fn new(text: &str) -> Result<Self, QuestionError> {
        let mut words = text.split_ascii_whitespace();
        let (method, url) = match (words.next(), words.next(), words.next()) {
            (Some(url), None, _) => ("GET", url),
            (Some(method), Some(url), None) => (method, url),
            _ => return Err(QuestionError::Form(text.to_owned())),
        };
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ => return Err(QuestionError::Scheme(url.to_owned())),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            method: method.to_owned(),
            scheme,
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
            headers: Vec::new(),
            body: Bytes::new(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener: None,
            id: RequestId(1),
            sni: None,
            certificate: None,
            all: false,
        })
    }

    /// Adds a field, written `name: value`.
    ///
    /// # Errors
    /// [`QuestionError::Field`].
    pub fn field(&mut self, text: &str) -> Result<(), QuestionError> {
        let (name, value) = text.split_once(':').ok_or_else(|| QuestionError::Field(text.to_owned()))?;
        self.headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        Ok(())
    }

    /// The URL, put together again.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.authority, self.target)
    }

    /// Whether a field of this name was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(each, _)| each.eq_ignore_ascii_case(name))
    }

    /// Reads the JSON form: an object with `url`, and optionally `method`, `headers` (an array of `[name, value]`),
    /// `body` or `body_base64`, `client`, `listener`, `id`, `sni`, `certificate` (`subject`, `names`, `fingerprint`)
    /// and `all`.
    ///
    /// # Errors
    /// The first member that is unknown or of another form.
    pub fn from_json(value: &Value) -> Result<Self, QuestionError> {
        let object = value.as_object().ok_or_else(|| member("(the whole)", "an object with `url`"))?;
        let url = object.get("url").and_then(Value::as_str).ok_or_else(|| member("url", "a URL"))?;
        let mut question = Self::new(url)?;
        for (key, value) in object {
            question.set(key, value)?;
        }
        Ok(question)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), QuestionError> {
        let text = || value.as_str().ok_or_else(|| member(key, "a string"));
        match key {
            "url" => {}
            "method" => self.method = text()?.to_owned(),
            "headers" => self.headers = fields(value)?,
            "body" => self.body = Bytes::copy_from_slice(text()?.as_bytes()),
            "body_base64" => {
                let bytes = STANDARD.decode(text()?).map_err(|_| member(key, "base64"))?;
                self.body = bytes.into();
            }
            "client" => self.client = text()?.parse().map_err(|_| member(key, "an IP address"))?,
            "listener" => self.listener = Some(text()?.to_owned()),
            "id" => self.id = RequestId::from_hex(text()?).ok_or_else(|| member(key, "32 hex digits"))?,
            "sni" => self.sni = Some(text()?.to_ascii_lowercase()),
            "certificate" => self.certificate = Some(certificate(value)?),
            "all" => self.all = switch(value).ok_or_else(|| member(key, "true or false"))?,
            other => {
                let known = "url, method, headers, body, body_base64, client, listener, id, sni, certificate or all";
                return Err(member(other, known));
            }
        }
        Ok(())
    }

    /// The JSON form that [`Question::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "method": self.method,
            "url": self.url(),
            "headers": self.headers,
            "body_base64": STANDARD.encode(&self.body),
            "client": self.client.to_string(),
            "id": self.id.to_string(),
            "all": self.all,
        });
        if let Some(object) = value.as_object_mut() {
            let mut put = |key: &str, text: &Option<String>| {
                text.as_ref().map(|text| object.insert(key.to_owned(), json!(text)));
            };
            put("listener", &self.listener);
            put("sni", &self.sni);
            if let Some(certificate) = &self.certificate {
                let names = &certificate.names;
                let (subject, fingerprint) = (&certificate.subject, &certificate.fingerprint);
                let value = json!({ "subject": subject, "names": names, "fingerprint": fingerprint });
                object.insert("certificate".to_owned(), value);
            }
        }
        value
    }
}

fn member(key: &str, expected: &'static str) -> QuestionError {
    QuestionError::Member { key: key.chars().take(40).collect(), expected }
}

/// A member of JSON, or of a query, where every value is text.
fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => match text.as_str() {
            "" | "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        },
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn fields(value: &Value) -> Result<Vec<(String, String)>, QuestionError> {
    let wrong = || member("headers", "an array of [name, value]");
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::String(value)]) => Ok((name.clone(), value.clone())),
        _ => Err(wrong()),
    };
    value.as_array().ok_or_else(wrong)?.iter().map(pair).collect()
}

fn certificate(value: &Value) -> Result<ClientCertificate, QuestionError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let names = value.get("names").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !value.is_object() {
        return Err(member("certificate", "an object with subject, names and fingerprint"));
    }
    Ok(ClientCertificate {
        subject: text("subject"),
        names: names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        fingerprint: text("fingerprint"),
    })
}

//! The admin API.

use serde_json::Value;
use std::net::{SocketAddr, TcpStream};

use crate::client::Client;
use crate::place::PATIENCE;
use crate::response::Response;

/// The admin API of a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// At this address.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// A GET, if anybody answers.
    #[must_use]
    pub fn try_get(&self, path: &str) -> Option<Response> {
        let tcp = TcpStream::connect_timeout(&self.address, PATIENCE).ok()?;
        let mut client = Client::over(tcp);
        client.try_send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).ok()?;
        client.try_response().ok()
    }

    /// A GET.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// A GET of JSON.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        self.get(path).json()
    }

    /// A POST; a body is said to be JSON, unless the fields say otherwise.
    #[must_use]
    pub fn post(&self, path: &str, fields: &str, body: &str) -> Response {
        let typed = body.is_empty() || fields.to_ascii_lowercase().contains("content-type:");
        let kind = if typed { "" } else { "Content-Type: application/json\r\n" };
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}{fields}");
        let mut client = Client::connect(self.address);
        client.ask(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The sum of all samples of a metric whose labels contain `labels`.
    ///
    /// # Panics
    /// When a sample is no number.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.get("/metrics").text();
        let sample = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            let (family, given) = key.split_once('{').unwrap_or((key, ""));
            (family == name && given.contains(labels)).then(|| value.parse::<f64>().unwrap())
        };
        page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).sum()
    }
}

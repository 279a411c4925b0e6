//! The gate's own answers, written straight to the wire: heads that Pingora never sees.

use bytes::BytesMut;
use http::HeaderValue;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

use portcullis_types::{Dialect, ProxyError, RequestId};

use super::conn::Conn;
use super::head::ANSWER_TIMEOUT;
use super::io::DownstreamIo;
use super::linger;

/// Answers with an error; the connection is closed politely in a task of its own. Whether the answer left.
pub(super) async fn refuse(mut io: Box<DownstreamIo>, conn: &Arc<Conn>, error: &ProxyError, id: RequestId) -> bool {
    let bytes = error_bytes(error, id, &conn.gateway.server_name());
    let writing = async {
        io.write_all(&bytes).await?;
        io.flush().await
    };
    let sent = matches!(tokio::time::timeout(ANSWER_TIMEOUT, writing).await, Ok(Ok(())));
    if let Some((transport, _)) = io.into_raw() {
        linger::spawn(transport, conn);
    }
    sent
}

/// An error as an HTTP/1.1 answer that closes the connection.
fn error_bytes(error: &ProxyError, id: RequestId, server: &str) -> BytesMut {
    let answer = Dialect::Problem.write(error, id, None);
    let phrase = http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, phrase.unwrap_or("Error"));
    for (name, value) in &answer.fields {
        push_field(&mut head, name, value);
    }
    push_field(&mut head, "content-length", &answer.body.len().to_string());
    push_field(&mut head, "proxy-status", &error.proxy_status(server));
    push_field(&mut head, "x-request-id", &id.to_string());
    push_field(&mut head, "date", &httpdate::fmt_http_date(std::time::SystemTime::now()));
    push_field(&mut head, "connection", "close");
    let mut bytes = BytesMut::with_capacity(head.len() + 2 + answer.body.len());
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(answer.body.as_bytes());
    bytes
}

/// Adds a field; a value that could break the head is left out, though none of ours can.
fn push_field(head: &mut String, name: &str, value: &str) {
    if HeaderValue::from_str(value).is_ok() {
        head.extend([name, ": ", value, "\r\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Reason;

    #[test]
    fn a_refusal_is_one_whole_answer_that_closes() {
        let error = ProxyError::with_detail(Reason::MalformedRequest, "bare_lf");
        let bytes = error_bytes(&error, RequestId(9), "edge");
        let text = std::str::from_utf8(&bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(head.contains("proxy-status: edge; error=http_request_error; details=\"malformed_request\""));
        assert!(head.ends_with("connection: close"));
        assert!(body.contains("\"detail\":\"bare_lf\""));
    }
}

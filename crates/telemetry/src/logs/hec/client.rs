//! What is said to the collector, and what its answers mean.
//!
//! One connection, one request at a time. An answer that is not the collector's (a proxy's page, a body that is no JSON)
//! delivers nothing.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::{Hec, HecError};
use crate::collector::{Answer, Dial, Line, LineError, compressed};

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is delivered.
    Done,
    /// It is there; whether it is indexed is to be asked.
    Accepted(u64),
    /// It is to be sent again, no sooner than after this.
    Again { after: Option<Duration>, why: String },
    /// It would never be taken.
    Refused(String),
}

/// Speaks to one collector.
pub(super) struct Client {
    line: Line,
    headers: HeaderMap,
    event: String,
    ack: String,
    gzip: bool,
    wants_ack: bool,
}

impl Client {
    pub(super) fn new(settings: &Hec, dial: Box<dyn Dial>) -> Result<Self, HecError> {
        let line = Line::new(&settings.url, settings.authorities.as_deref(), settings.timeout, dial)?;
        let prefix = line.path().trim_end_matches('/').to_owned();
        let channel = channel();
        let bad = |_| LineError::Url { url: settings.url.clone(), why: "the token is no field value".to_owned() };
        let mut headers = HeaderMap::new();
        let mut token = HeaderValue::from_str(&format!("Splunk {}", settings.token)).map_err(bad)?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-splunk-request-channel", HeaderValue::from_str(&channel).map_err(bad)?);
        Ok(Self {
            line,
            headers,
            event: format!("{prefix}/services/collector/event"),
            ack: format!("{prefix}/services/collector/ack?channel={channel}"),
            gzip: settings.gzip,
            wants_ack: settings.ack.is_some(),
        })
    }

    /// Sends a batch.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        let path = self.event.clone();
        match self.call(&path, body, self.gzip).await {
            Ok(answer) => judge(&answer, self.wants_ack),
            Err(why) => Outcome::Again { after: None, why },
        }
    }

    /// Asks which are indexed.
    pub(super) async fn indexed(&mut self, acks: &[u64]) -> Result<Vec<u64>, String> {
        let body = serde_json::json!({ "acks": acks }).to_string();
        let path = self.ack.clone();
        let answer = self.call(&path, body.into(), false).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("asked for acknowledgements, it answered {}", answer.status.as_u16()));
        }
        let said: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("acknowledgements: {error}"))?;
        let said = said.get("acks").and_then(Value::as_object).ok_or("the answer has no acknowledgements")?;
        let done = |ack: &&u64| said.get(&ack.to_string()) == Some(&Value::Bool(true));
        Ok(acks.iter().filter(done).copied().collect())
    }

    async fn call(&mut self, path: &str, body: Bytes, gzip: bool) -> Result<Answer, String> {
        let mut headers = self.headers.clone();
        let body = if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed(&body)?
        } else {
            body
        };
        self.line.post(path, headers, body).await
    }
}

/// What an answer means (the codes are of Splunk's reference for the collector).
fn judge(answer: &Answer, wants_ack: bool) -> Outcome {
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let code = said.as_ref().and_then(|said| said.get("code")?.as_u64());
    let text = said.as_ref().and_then(|said| said.get("text")?.as_str()).unwrap_or_default();
    // Long or strange texts are not for our log.
    let text: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(100).collect();
    let why = format!("it answered {} {text}", answer.status.as_u16());
    match (answer.status, code) {
        (StatusCode::OK, Some(0)) => match said.as_ref().and_then(|said| said.get("ackId")?.as_u64()) {
            Some(ack) if wants_ack => Outcome::Accepted(ack),
            // A token without acknowledgement says that it has the events, and no more; asking again would double them.
            Some(_) | None => Outcome::Done,
        },
        (StatusCode::OK, _) => Outcome::Again { after: None, why: "its answer is not a collector's".to_owned() },
        (StatusCode::PAYLOAD_TOO_LARGE, _) | (StatusCode::BAD_REQUEST, Some(5 | 6 | 12 | 13 | 15)) => {
            Outcome::Refused(why)
        }
        _ => Outcome::Again { after: answer.after, why },
    }
}

/// A random UUID (RFC 9562 section 5.4).
fn channel() -> String {
    let random: u128 = rand::random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_collector_says_of_them() {
        let check = |status: u16, body: &str, wants_ack: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let after = Some(Duration::from_secs(7));
            judge(&Answer { status, after, body: Bytes::copy_from_slice(body.as_bytes()) }, wants_ack)
        };
        let again = |outcome: &Outcome| matches!(outcome, Outcome::Again { .. });
        assert_eq!(check(200, r#"{"text":"Success","code":0}"#, false), Outcome::Done);
        assert_eq!(check(200, r#"{"text":"Success","code":0,"ackId":7}"#, true), Outcome::Accepted(7));
        assert_eq!(check(200, r#"{"text":"Success","code":0}"#, true), Outcome::Done);
        assert!(again(&check(200, "<html>hello</html>", false)));
        assert!(again(&check(200, r#"{"code":9}"#, false)));
        assert!(again(&check(204, "", false)));
        let busy = check(503, r#"{"text":"Server is busy","code":9}"#, false);
        let why = "it answered 503 Server is busy".to_owned();
        assert_eq!(busy, Outcome::Again { after: Some(Duration::from_secs(7)), why });
        for body in [r#"{"code":7}"#, r#"{"code":10}"#, "", "garbage"] {
            assert!(again(&check(400, body, false)), "an operator can put that right: {body}");
        }
        assert!(again(&check(403, r#"{"text":"Invalid token","code":4}"#, false)));
        assert!(matches!(check(400, r#"{"text":"Invalid data format","code":6}"#, false), Outcome::Refused(_)));
        assert!(matches!(check(413, "", false), Outcome::Refused(_)));
    }

    #[test]
    fn a_channel_is_a_random_uuid() {
        let [one, other] = [channel(), channel()];
        assert_ne!(one, other);
        let bytes = one.as_bytes();
        assert_eq!((one.len(), bytes[14], bytes[8], bytes[23]), (36, b'4', b'-', b'-'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{one}");
    }
}

//! Checks of Solana nodes: whether the node says that it is well, which slot it has processed, and how much it has
//! received beyond that.
//!
//! A node that answers and says that it is behind passes its check: where it stands is told to `balance`, which compares
//! it with the others and uses it while there is no better one. What fails the check is an answer that is none.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use pingora_core::protocols::http::client::HttpSession;
use pingora_http::RequestHeader;
use serde_json::Value;

use portcullis_balance::{CheckFailure, OwnWord, Sounding};
use portcullis_snapshot::cluster::health::SolanaProbe;

use super::ask::{body_of, head_of, send};

const HEALTH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
const SLOT: &str = r#"{"jsonrpc":"2.0","id":2,"method":"getSlot","params":[{"commitment":"processed"}]}"#;
const RECEIVED: &str = r#"{"jsonrpc":"2.0","id":3,"method":"getMaxShredInsertSlot"}"#;
/// The node's own error when it is behind.
const UNHEALTHY: i64 = -32005;

/// The bodies to send, one after the other.
pub(super) fn calls(probe: &SolanaProbe) -> Vec<Bytes> {
    if probe.batch {
        return vec![Bytes::from(format!("[{HEALTH},{SLOT},{RECEIVED}]"))];
    }
    [HEALTH, SLOT, RECEIVED].map(|call| Bytes::from_static(call.as_bytes())).to_vec()
}

/// Sends one body, and reads what is answered.
pub(super) async fn post(probe: &SolanaProbe, body: Bytes, session: &mut HttpSession) -> Result<Vec<u8>, CheckFailure> {
    let unsent = |_| CheckFailure::Malformed;
    let mut head = RequestHeader::build("POST", probe.path.as_bytes(), None).map_err(unsent)?;
    head.insert_header(HOST, probe.host.clone()).map_err(unsent)?;
    head.insert_header(CONTENT_TYPE, "application/json").map_err(unsent)?;
    head.insert_header(USER_AGENT, "portcullis-health").map_err(unsent)?;
    head.insert_header(http::header::CONTENT_LENGTH, body.len()).map_err(unsent)?;
    send(session, head, body).await?;
    let head = head_of(session).await?;
    if head.status != StatusCode::OK {
        return Err(CheckFailure::Status(head.status.as_u16()));
    }
    body_of(session).await
}

/// What the answers say together.
pub(super) fn read(probe: &SolanaProbe, answers: &[Vec<u8>]) -> Result<Sounding, CheckFailure> {
    let mut all = Vec::new();
    for answer in answers {
        let answer: Value = serde_json::from_slice(answer).map_err(|_| CheckFailure::BodyMismatch)?;
        if let Value::Array(items) = answer {
            all.extend(items);
        } else if probe.batch {
            // A batch that is refused is refused by one error, whatever its id.
            return Err(error_of(&answer).map_or(CheckFailure::BodyMismatch, rpc));
        } else {
            all.push(answer);
        }
    }
    let answer = |id: u64| all.iter().find(|one| one.get("id").and_then(Value::as_u64) == Some(id));
    let own = health(answer(1).ok_or(CheckFailure::BodyMismatch)?)?;
    let height = slot(answer(2).ok_or(CheckFailure::BodyMismatch)?)?;
    // Not every node tells what it has received.
    let received = answer(3).and_then(|answer| slot(answer).ok()).unwrap_or(0);
    let ahead = received.saturating_sub(height);
    let unfinished = own == OwnWord::Well && ahead > probe.max_unprocessed;
    let own = if unfinished { OwnWord::Unfinished(ahead) } else { own };
    Ok(Sounding { height, own })
}

fn health(answer: &Value) -> Result<OwnWord, CheckFailure> {
    match error_of(answer) {
        Some(UNHEALTHY) => Ok(OwnWord::Behind(answer.pointer("/error/data/numSlotsBehind").and_then(Value::as_u64))),
        Some(code) => Err(rpc(code)),
        None if answer.get("result").and_then(Value::as_str) == Some("ok") => Ok(OwnWord::Well),
        None => Err(CheckFailure::BodyMismatch),
    }
}

fn slot(answer: &Value) -> Result<u64, CheckFailure> {
    match error_of(answer) {
        Some(code) => Err(rpc(code)),
        None => answer.get("result").and_then(Value::as_u64).ok_or(CheckFailure::BodyMismatch),
    }
}

fn error_of(answer: &Value) -> Option<i64> {
    answer.pointer("/error/code").and_then(Value::as_i64)
}

fn rpc(code: i64) -> CheckFailure {
    CheckFailure::Rpc(i32::try_from(code).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(batch: bool, answers: &[&str], expected: Result<(u64, OwnWord), CheckFailure>) {
        let host = HeaderValue::from_static("node");
        let probe = SolanaProbe { path: "/".to_owned(), host, max_unprocessed: 100, batch };
        let bodies: Vec<Vec<u8>> = answers.iter().map(|answer| answer.as_bytes().to_vec()).collect();
        let expected = expected.map(|(height, own)| Sounding { height, own });
        assert_eq!(read(&probe, &bodies), expected, "{answers:?}");
    }

    fn batch(health: &str, slot: &str, received: &str) -> String {
        format!(r#"[{{"id":3,{received}}},{{"id":1,{health}}},{{"id":2,{slot}}}]"#)
    }

    #[test]
    fn reads_what_a_node_says() {
        let refused = r#""error":{"code":-32601,"message":"Method not found"}"#;
        let behind = r#""error":{"code":-32005,"message":"Node is behind by 42 slots","data":{"numSlotsBehind":42}}"#;
        let unknown = r#""error":{"code":-32005,"message":"Node is unhealthy","data":{"numSlotsBehind":null}}"#;
        let (well, slot) = (r#""result":"ok""#, r#""result":1000"#);
        for (health, slot, received, expected) in [
            (well, slot, r#""result":1003"#, Ok((1000, OwnWord::Well))),
            (well, slot, r#""result":1100"#, Ok((1000, OwnWord::Well))),
            (well, slot, r#""result":1101"#, Ok((1000, OwnWord::Unfinished(101)))),
            (well, slot, refused, Ok((1000, OwnWord::Well))),
            (behind, slot, r#""result":5000"#, Ok((1000, OwnWord::Behind(Some(42))))),
            (unknown, slot, refused, Ok((1000, OwnWord::Behind(None)))),
            (refused, slot, refused, Err(CheckFailure::Rpc(-32601))),
            (well, refused, refused, Err(CheckFailure::Rpc(-32601))),
            (r#""result":"behind""#, slot, refused, Err(CheckFailure::BodyMismatch)),
            (well, r#""result":"1000""#, refused, Err(CheckFailure::BodyMismatch)),
        ] {
            check(true, &[&batch(health, slot, received)], expected);
        }
    }

    #[test]
    fn reads_calls_that_were_answered_one_by_one() {
        let all = [r#"{"id":1,"result":"ok"}"#, r#"{"id":2,"result":7}"#, r#"{"id":3,"result":8}"#];
        check(false, &all, Ok((7, OwnWord::Well)));
        check(false, &all[..1], Err(CheckFailure::BodyMismatch));
    }

    #[test]
    fn an_answer_that_is_none_fails_the_check() {
        for (answer, expected) in [
            (r#"{"id":null,"error":{"code":-32600,"message":"no batches"}}"#, CheckFailure::Rpc(-32600)),
            ("[]", CheckFailure::BodyMismatch),
            ("<html>", CheckFailure::BodyMismatch),
            ("", CheckFailure::BodyMismatch),
        ] {
            check(true, &[answer], Err(expected));
        }
        check(true, &[&"[".repeat(10_000)], Err(CheckFailure::BodyMismatch));
    }
}

//! Checks by `grpc.health.v1.Health/Check`: a message of one field there, a message of one field back.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::http::client::HttpSession;
use pingora_http::RequestHeader;

use portcullis_balance::CheckFailure;
use portcullis_snapshot::cluster::health::GrpcProbe;

use super::ask::{body_of, head_of, of_error, send};
use crate::reasons::Progress;

/// `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;
/// The prefix of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Asks, and reads the answer.
pub(super) async fn check(probe: &GrpcProbe, session: &mut HttpSession) -> Result<(), CheckFailure> {
    let unsent = |_| CheckFailure::Malformed;
    let mut head = RequestHeader::build("POST", b"/grpc.health.v1.Health/Check", None).map_err(unsent)?;
    head.insert_header(HOST, probe.host.clone()).map_err(unsent)?;
    head.insert_header(CONTENT_TYPE, "application/grpc").map_err(unsent)?;
    head.insert_header(TE, "trailers").map_err(unsent)?;
    head.insert_header(USER_AGENT, "portcullis-health").map_err(unsent)?;
    send(session, head, request(&probe.service)).await?;
    let head = head_of(session).await?;
    if head.status != StatusCode::OK {
        return Err(CheckFailure::Status(head.status.as_u16()));
    }
    passes(&head.headers)?;
    let body = body_of(session).await?;
    if let HttpSession::H2(h2) = session {
        let trailers = h2.read_trailers().await.map_err(|error| of_error(&error, Progress::Answering))?;
        trailers.as_ref().map_or(Ok(()), passes)?;
    }
    match serving(&body) {
        Some(SERVING) => Ok(()),
        Some(_) => Err(CheckFailure::BodyMismatch),
        None => Err(CheckFailure::Malformed),
    }
}

/// Whether there is no gRPC status but OK.
fn passes(fields: &HeaderMap) -> Result<(), CheckFailure> {
    let Some(status) = fields.get("grpc-status") else { return Ok(()) };
    match status.to_str().ok().and_then(|status| status.parse::<u16>().ok()) {
        Some(0) => Ok(()),
        Some(code) => Err(CheckFailure::Status(code)),
        None => Err(CheckFailure::Malformed),
    }
}

/// `HealthCheckRequest`: the service's name is field 1.
fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut out = BytesMut::with_capacity(PREFIX + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put(message);
    out.freeze()
}

fn varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.put_u8(u8::try_from(value).unwrap_or_default());
}

/// The serving status of a `HealthCheckResponse`, field 1; UNKNOWN, 0, when it is left out. `None` when the body is no
/// such message.
fn serving(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let mut message = message.get(..usize::try_from(length).ok()?)?;
    let mut status = 0;
    if *compressed != 0 {
        return None;
    }
    while !message.is_empty() {
        let (key, rest) = read_varint(message)?;
        let (value, rest) = match key & 7 {
            0 => read_varint(rest)?,
            2 => {
                let (length, rest) = read_varint(rest)?;
                (0, rest.get(usize::try_from(length).ok()?..)?)
            }
            _ => return None,
        };
        if key == 0x08 {
            status = value;
        }
        message = rest;
    }
    Some(status)
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(at * 7).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_service_as_field_1() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("a.B")[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = request(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn reads_the_serving_status() {
        for (body, expected) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(2)),
            (&[0, 0, 0, 0, 0], Some(0)),
            (&[0, 0, 0, 0, 6, 0x12, 2, b'a', b'b', 8, 1], Some(1)),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 9, 8, 1], None),
            (&[0, 0, 0, 0, 1, 8], None),
            (&[0, 0, 0, 0, 2, 0x12, 200], None),
            (&[0, 0], None),
            (b"<html>", None),
        ] {
            assert_eq!(serving(body), expected, "{body:?}");
        }
    }
}

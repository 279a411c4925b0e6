//! A WebSocket that sends back what it gets, RFC 6455.

use std::io::{BufRead, Write};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Failure;

use super::request::Request;

/// What the key is hashed with, RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest frame that is sent back.
const LONGEST: u64 = 1024 * 1024;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Accepts the upgrade and echoes until the client closes.
pub(super) fn serve(request: &Request, reader: &mut impl BufRead, out: &mut impl Write) -> Result<(), Failure> {
    let key = request.field("sec-websocket-key").ok_or("no key")?;
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    out.write_all(format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes())?;
    loop {
        let (first, payload) = frame(reader)?;
        let opcode = first & 0x0f;
        let answer = if opcode == PING { (first & 0xf0) | PONG } else { first };
        if opcode != PONG {
            out.write_all(&unmasked(answer, &payload))?;
        }
        if opcode == CLOSE {
            return Ok(());
        }
    }
}

/// A frame's first byte and its payload without the mask.
fn frame(reader: &mut impl BufRead) -> Result<(u8, Vec<u8>), Failure> {
    let [first, second] = bytes::<2>(reader)?;
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(bytes(reader)?)),
        127 => u64::from_be_bytes(bytes(reader)?),
        short => u64::from(short),
    };
    if length > LONGEST || second & 0x80 == 0 {
        return Err("a frame too long, or without a mask".into());
    }
    let mask: [u8; 4] = bytes(reader)?;
    let mut payload = vec![0; usize::try_from(length)?];
    reader.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first, payload))
}

fn bytes<const N: usize>(reader: &mut impl BufRead) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

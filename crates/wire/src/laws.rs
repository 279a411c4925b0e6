//! Laws that hold for every input, as functions of bytes: fuzz targets and property tests call them.
//!
//! Each returns whether its law held; none may panic. The first law of every judge is that the way the bytes were
//! cut into pieces does not change the verdict.

use std::time::{Duration, Instant};

use crate::Framing;
use crate::body::{BodyLimits, FramingError, FramingValidator};
use crate::client_hello::{self, Peek};
use crate::forwarded::{self, TraceParent};
use crate::h2::{H2Abuse, H2Event, H2Limits, H2Outbound, H2Watch};
use crate::head::{HeadLimits, HeadScanner, Scan, check_head};
use crate::height::told;
use crate::host::{normalize_host, parse_authority};
use crate::proxy_protocol::{self, Parsed, ProxyAddresses};
use crate::target::{Backslash, DotSegments, DoubleSlash, EncodedSlash, PathPolicy, normalize};

/// Limits small enough for short inputs to reach.
const HEAD_LIMITS: HeadLimits = HeadLimits { bytes: 512, fields: 6, target: 48 };
const BODY_LIMITS: BodyLimits = BodyLimits { extension: 12, overhead: 40, trailer_bytes: 40, trailers: 3 };
const H2_LIMITS: H2Limits = H2Limits {
    window: Duration::from_secs(1),
    resets: 3,
    provoked_resets: 3,
    settings: 3,
    pings: 3,
    priorities: 3,
    window_updates: 3,
    window_updates_per_data: 2,
    empty_frames: 3,
    other_frames: 3,
    continuations: 3,
    header_block: 64,
};

/// A head's verdict is the same in one piece and byte by byte, and what is a good head is a whole one.
#[must_use]
pub fn head(data: &[u8]) -> bool {
    let whole = HeadScanner::new(HEAD_LIMITS).scan(data);
    let mut scanner = HeadScanner::new(HEAD_LIMITS);
    let prefixes = (0..=data.len()).filter_map(|end| data.get(..end));
    let cut = prefixes.map(|prefix| scanner.scan(prefix)).find(|verdict| *verdict != Scan::NeedMore);
    let complete = Scan::Complete { skip: 0, len: data.len() };
    let good_is_whole = check_head(data, &HEAD_LIMITS).is_err() || whole == complete;
    cut.unwrap_or(Scan::NeedMore) == whole && good_is_whole
}

/// A part of an answer tells the height that the whole does, or none.
#[must_use]
pub fn height(data: &[u8]) -> bool {
    let whole = told(data);
    (0..=data.len()).filter_map(|end| told(data.get(..end)?)).all(|part| whole == Some(part))
}

/// The framing's verdict, the end of the message and its content are the same in one piece and byte by byte.
#[must_use]
pub fn framing(data: &[u8]) -> bool {
    let mut whole = FramingValidator::with_limits(Framing::Chunked, BODY_LIMITS);
    let expected = whole.feed(data).map(|fed| (fed.consumed, fed.done));
    let mut cut = FramingValidator::with_limits(Framing::Chunked, BODY_LIMITS);
    let found = feed_bytes(&mut cut, data);
    expected == found && whole.finish() == cut.finish() && whole.content() == cut.content()
}

fn feed_bytes(validator: &mut FramingValidator, data: &[u8]) -> Result<(usize, bool), FramingError> {
    let mut consumed = 0;
    for byte in data {
        consumed += validator.feed(std::slice::from_ref(byte))?.consumed;
    }
    Ok((consumed, validator.is_done()))
}

/// A PROXY header is judged the same however it comes, and what was read can be written and read again.
#[must_use]
pub fn proxy_protocol(data: &[u8]) -> bool {
    let whole = proxy_protocol::parse(data);
    let longest = data.len().min(proxy_protocol::MAX_V2_PAYLOAD + 32);
    let prefixes = (0..=longest).filter_map(|end| data.get(..end));
    let cut = prefixes.map(proxy_protocol::parse).find(|verdict| *verdict != Ok(Parsed::NeedMore));
    if cut.unwrap_or(Ok(Parsed::NeedMore)) != whole {
        return false;
    }
    match whole {
        Ok(Parsed::Complete { header, .. }) => survives_writing(&header.addresses),
        Ok(Parsed::NeedMore) | Err(_) => true,
    }
}

fn survives_writing(addresses: &ProxyAddresses<'_>) -> bool {
    let mut out = Vec::new();
    let written = proxy_protocol::encode_v2(addresses, &[(0x02, b"example.com")], true, &mut out);
    match (written, proxy_protocol::parse(&out)) {
        (Ok(()), Ok(Parsed::Complete { header, len })) => header.addresses == *addresses && len == out.len(),
        (Ok(()) | Err(_), Ok(_) | Err(_)) => false,
    }
}

/// A ClientHello is judged the same however it comes. Cuts at every byte of the first 600, then at strides.
#[must_use]
pub fn client_hello(data: &[u8]) -> bool {
    let whole = client_hello::peek(data);
    let cuts = (0..data.len().min(600)).chain((600..data.len()).step_by(97)).chain([data.len()]);
    let mut prefixes = cuts.filter_map(|end| data.get(..end)).map(client_hello::peek);
    let cut = prefixes.find(|verdict| *verdict != Ok(Peek::NeedMore));
    cut.unwrap_or(Ok(Peek::NeedMore)) == whole
}

/// HTTP/2 frames are counted the same in one piece and byte by byte, in both directions.
#[must_use]
pub fn h2(now: Instant, data: &[u8]) -> bool {
    let mut whole = H2Watch::after_preface(H2_LIMITS);
    let mut cut = whole.clone();
    let expected = whole.feed(now, data);
    let bytes = |watch: &mut H2Watch| -> Result<(), H2Abuse> {
        data.iter().try_for_each(|byte| watch.feed(now, std::slice::from_ref(byte)))
    };
    let found = bytes(&mut cut);
    // The preface is judged by the same law; most inputs fail it at once.
    let with_preface = H2Watch::new(H2_LIMITS).feed(now, data) == bytes(&mut H2Watch::new(H2_LIMITS));
    with_preface && expected == found && whole.counts() == cut.counts() && h2_outbound(data)
}

fn h2_outbound(data: &[u8]) -> bool {
    let mut expected: Vec<H2Event> = Vec::new();
    let mut found: Vec<H2Event> = Vec::new();
    H2Outbound::new().feed(data, |event| expected.push(event));
    let mut reader = H2Outbound::new();
    for byte in data {
        reader.feed(std::slice::from_ref(byte), |event| found.push(event));
    }
    expected == found
}

/// Under every policy a normal path is normal again, has no dot segments, and keeps the policy.
#[must_use]
pub fn path(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return true };
    policies().all(|policy| match normalize(text, &policy) {
        Err(_) => true,
        Ok(once) => is_normal_path(&once, &policy) && normalize(&once, &policy).as_deref() == Ok(&*once),
    })
}

fn is_normal_path(path: &str, policy: &PathPolicy) -> bool {
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    let doubled = policy.double_slash != DoubleSlash::Keep && path.contains("//");
    let slashes = policy.encoded_slash != EncodedSlash::Keep && path.contains("%2F");
    let backslashes = path.contains('\\') || (policy.backslash != Backslash::Keep && path.contains("%5C"));
    path.starts_with('/') && path.is_ascii() && !dots && !doubled && !slashes && !backslashes
}

/// Every policy there is.
pub fn policies() -> impl Iterator<Item = PathPolicy> {
    let dots = [DotSegments::Resolve, DotSegments::Refuse];
    dots.into_iter().flat_map(|dot_segments| {
        let slashes = [DoubleSlash::Merge, DoubleSlash::Keep, DoubleSlash::Refuse];
        slashes.into_iter().flat_map(move |double_slash| {
            let encoded = [EncodedSlash::Refuse, EncodedSlash::Keep, EncodedSlash::Decode];
            encoded.into_iter().flat_map(move |encoded_slash| {
                let backslashes = [Backslash::Refuse, Backslash::Keep, Backslash::Slash];
                backslashes.into_iter().map(move |backslash| PathPolicy {
                    dot_segments,
                    double_slash,
                    encoded_slash,
                    backslash,
                })
            })
        })
    })
}

/// A normal host is normal again, and names what the authority named.
#[must_use]
pub fn host(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return parse_authority(data).is_err() };
    match normalize_host(text) {
        Err(error) => parse_authority(data) == Err(error),
        Ok(once) => normalize_host(&once.host).is_ok_and(|twice| twice.host == once.host && twice.port.is_none()),
    }
}

/// A trace that was read is read again from what is written of it, and the forwarding fields do not panic.
#[must_use]
pub fn forwarding(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let hops_bounded = forwarded::parse_forwarded(&text).map_or(true, |elements| elements.len() <= forwarded::MAX_HOPS);
    let hop_stable =
        forwarded::parse_hop(&text).map_or(true, |address| forwarded::parse_hop(&address.to_string()) == Ok(address));
    let trace_stable = TraceParent::parse(data).map_or(true, |trace| TraceParent::parse(&trace.write()) == Ok(trace));
    hops_bounded && hop_stable && trace_stable && survives_quoting(&text)
}

/// Whatever a host says, the element it is written into stays one element.
fn survives_quoting(text: &str) -> bool {
    let mut value = String::new();
    forwarded::push_forwarded(&mut value, &forwarded::Hop { host: Some(text), ..forwarded::Hop::default() });
    let kept: String = text.chars().filter(|letter| !letter.is_control() && letter.is_ascii()).collect();
    match forwarded::parse_forwarded(&value).as_deref() {
        Ok([element]) => element.host.as_deref() == Some(&*kept),
        Ok(_) => false,
        Err(_) => kept.is_empty(),
    }
}

#[cfg(test)]
pub(crate) mod tests;

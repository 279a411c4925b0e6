//! Which content coding an answer gets: `Accept-Encoding`, RFC 9110 section 12.5.3.
//!
//! Pure, and without an allocation. A request without the field may be sent any coding; it gets none, since what
//! says nothing is more often a script than a browser.

use super::encoder::Coding;
use crate::fields::members;
use http::{HeaderMap, header};

/// The coding with the highest weight among those offered; the first offered of equals. `None` to send it as it is:
/// nothing offered is acceptable, or the client would rather have it so.
pub(super) fn negotiate(headers: &HeaderMap, offered: &[Coding]) -> Option<Coding> {
    let mut best: Option<(u16, Coding)> = None;
    for &coding in offered {
        let weight = weight(headers, coding.name(), coding.alias()).unwrap_or(0);
        if weight > best.map_or(0, |(best, _)| best) {
            best = Some((weight, coding));
        }
    }
    // A client that names identity with a higher weight prefers it; one that does not name it takes it as a last
    // resort.
    let identity = listed(headers, "identity", None).unwrap_or(0);
    best.filter(|(weight, _)| *weight >= identity).map(|(_, coding)| coding)
}

/// The weight of a coding in thousandths: its own, or that of `*`.
fn weight(headers: &HeaderMap, name: &str, alias: Option<&str>) -> Option<u16> {
    listed(headers, name, alias).or_else(|| listed(headers, "*", None))
}

/// The weight that is given to a name.
fn listed(headers: &HeaderMap, name: &str, alias: Option<&str>) -> Option<u16> {
    let mut named = members(headers, &header::ACCEPT_ENCODING).filter_map(|member| {
        let (coding, parameter) = match member.split_once(';') {
            Some((coding, parameter)) => (coding.trim_end(), Some(parameter)),
            None => (member, None),
        };
        let is = |name: &str| coding.eq_ignore_ascii_case(name);
        (is(name) || alias.is_some_and(is)).then(|| parameter.map_or(Some(1000), quality))
    });
    // A weight that cannot be read is no consent.
    named.next().map(Option::unwrap_or_default)
}

/// `q=0.5` in thousandths, RFC 9110 section 12.4.2.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = [1000, 100, 10, 1].get(fraction.len()).copied()?;
    let thousandths = if fraction.is_empty() { 0 } else { fraction.parse::<u16>().ok()? * scale };
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

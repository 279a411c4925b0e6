//! Where keys are in a cluster: slots, who has them, and the tags that put what belongs together into one.

use redis::Value;

/// The slots of a cluster.
const SLOTS: u16 = 16_384;
/// The tags that pools are spread over. More would make pipelines longer, fewer a cluster uneven.
pub(crate) const TAGS: u16 = 256;

/// CRC-16/XMODEM, as clusters use it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// The tag of a pool, by the rest of its key.
pub(crate) fn tag_of(rest: &str) -> u16 {
    crc16(rest.as_bytes()) % TAGS
}

/// A tag within its braces.
pub(crate) fn tag_text(prefix: &str, tag: u16) -> String {
    format!("{prefix}:{tag:02x}")
}

/// The slot of what stands within a key's braces.
pub(crate) fn slot_of(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % SLOTS
}

/// Who has which slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// First slot, last slot, the master's address.
    ranges: Vec<(u16, u16, String)>,
    /// What `MOVED` said since the map was read.
    moved: Vec<(u16, String)>,
}

impl SlotMap {
    /// Reads an answer to `CLUSTER SLOTS`. A server that does not know its own address is at `asked`.
    pub(crate) fn read(answer: &Value, asked: &str) -> Option<Self> {
        let Value::Array(rows) = answer else { return None };
        let ranges = rows.iter().map(|row| read_range(row, asked)).collect::<Option<Vec<_>>>()?;
        Some(Self { ranges, moved: Vec::new() })
    }

    /// The address of the master that has a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<&str> {
        let moved = self.moved.iter().rev().find(|(of, _)| *of == slot).map(|(_, address)| address);
        let range = || self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        moved.or_else(|| range().map(|(_, _, address)| address)).map(String::as_str)
    }

    /// Notes what a server said about a slot.
    pub(crate) fn moved(&mut self, slot: u16, address: &str) {
        // A map is read anew soon; until then a few are enough.
        if self.moved.len() < usize::from(SLOTS) {
            self.moved.push((slot, address.to_owned()));
        }
    }

    /// The addresses of all masters that have slots.
    pub(crate) fn masters(&self) -> Vec<&str> {
        let all = self.ranges.iter().map(|(_, _, address)| address).chain(self.moved.iter().map(|(_, to)| to));
        let mut masters: Vec<&str> = all.map(String::as_str).collect();
        masters.sort_unstable();
        masters.dedup();
        masters
    }

    /// Whether every slot has a master.
    pub(crate) fn is_whole(&self) -> bool {
        let slots = self.ranges.iter().map(|(first, last, _)| u32::from(*last - *first) + 1).sum::<u32>();
        slots == u32::from(SLOTS)
    }
}

fn read_range(row: &Value, asked: &str) -> Option<(u16, u16, String)> {
    let Value::Array(fields) = row else { return None };
    let [Value::Int(first), Value::Int(last), master, ..] = fields.as_slice() else { return None };
    let Value::Array(master) = master else { return None };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let asked_host = || asked.rsplit_once(':').map(|(host, _)| host);
    let host = if let Value::BulkString(host) = host {
        std::str::from_utf8(host).ok()?
    } else if *host == Value::Nil {
        ""
    } else {
        return None;
    };
    let host = if host.is_empty() { asked_host()? } else { host };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    (first <= last && last < SLOTS).then(|| (first, last, address(host, *port)))
}

/// `host:port`, with brackets around an IPv6 address.
fn address(host: &str, port: i64) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What `MOVED 3999 127.0.0.1:6381` and `ASK …` say; an empty host is the one that was asked.
pub(crate) fn redirect(detail: &str, asked: &str) -> Option<(u16, String)> {
    let (slot, to) = detail.split_whitespace().next().zip(detail.split_whitespace().nth(1))?;
    let (host, port) = to.rsplit_once(':')?;
    let host = if host.is_empty() { asked.rsplit_once(':')?.0 } else { host };
    Some((slot.parse().ok()?, address(host, port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), bulk("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        for (key, slot) in [("123456789", 0x31c3), ("foo", 12_182), ("", 0)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    #[test]
    fn tags_are_spread_over_a_cluster() {
        let thirds = (0..TAGS).fold([0; 3], |mut thirds, tag| {
            thirds[usize::from(slot_of(&tag_text("portcullis", tag)) / 5_462)] += 1;
            thirds
        });
        assert!(thirds.iter().all(|third| (60..=110).contains(third)), "{thirds:?}");
    }

    #[test]
    fn a_map_says_who_has_a_slot() {
        let answer = Value::Array(vec![row(0, 8_000, bulk("10.0.0.1"), 6_379), row(8_001, 16_383, Value::Nil, 6_380)]);
        let mut map = SlotMap::read(&answer, "10.0.0.9:7000").unwrap();
        assert!(map.is_whole());
        assert_eq!((map.owner(8_000), map.owner(8_001)), (Some("10.0.0.1:6379"), Some("10.0.0.9:6380")));
        map.moved(5, "[::1]:1");
        assert_eq!((map.owner(5), map.owner(6), map.masters().len()), (Some("[::1]:1"), Some("10.0.0.1:6379"), 3));
        let half = SlotMap::read(&Value::Array(vec![row(0, 8_000, bulk("a"), 1)]), "a:1").unwrap();
        assert!(!half.is_whole() && half.owner(9_000).is_none());
        for strange in [Value::Okay, Value::Array(vec![Value::Nil]), Value::Array(vec![row(9, 4, bulk("a"), 1)])] {
            assert_eq!(SlotMap::read(&strange, "a:1"), None, "{strange:?}");
        }
    }

    #[test]
    fn redirections_are_understood() {
        for (detail, expected) in [
            ("3999 127.0.0.1:6381", Some((3_999, "127.0.0.1:6381"))),
            ("3999 ::1:6381", Some((3_999, "[::1]:6381"))),
            ("3999 :6381", Some((3_999, "me:6381"))),
            ("x", None),
            ("1 y", None),
        ] {
            let read = redirect(detail, "me:1");
            assert_eq!(read.as_ref().map(|(slot, to)| (*slot, to.as_str())), expected, "{detail}");
        }
    }
}

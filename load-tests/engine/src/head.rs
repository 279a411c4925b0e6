//! Heads of HTTP/1.1 messages, as much of them as the load tool and the replicas need. Pure.

use std::ops::Range;

use memchr::memmem;

/// A head, and where its message ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of head and body together.
    pub length: usize,
    /// Where the second word of the first line is: a request's target, an answer's status.
    pub word: Range<usize>,
    /// Whether the sender closes the connection after it.
    pub closes: bool,
}

/// What some bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The beginning of a message.
    Part,
    /// A whole message.
    Whole(Head),
    /// No message that is understood: a body without a length, say.
    Broken,
}

/// Looks at what has arrived.
#[must_use]
pub fn look(bytes: &[u8]) -> Seen {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Seen::Part };
    let head = bytes.get(..end).unwrap_or_default();
    let Some(word) = second_word(head) else { return Seen::Broken };
    let (mut body, mut closes) = (0, false);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Seen::Broken };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let Some(number) = number(value) else { return Seen::Broken };
            body = number;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Seen::Broken;
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes |= value.eq_ignore_ascii_case(b"close");
        }
    }
    let Some(length) = (end + 4).checked_add(body) else { return Seen::Broken };
    if bytes.len() < length { Seen::Part } else { Seen::Whole(Head { length, word, closes }) }
}

/// A number in decimal digits and nothing else.
#[must_use]
pub fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn second_word(head: &[u8]) -> Option<Range<usize>> {
    let start = head.iter().position(|byte| *byte == b' ')? + 1;
    let rest = head.get(start..)?;
    let length = rest.iter().position(|byte| matches!(byte, b' ' | b'\r')).unwrap_or(rest.len());
    (length > 0).then_some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, usize, bool)>) {
        let found = look(text.as_bytes());
        let expected = match expected {
            None => Seen::Broken,
            Some(("", ..)) => Seen::Part,
            Some((word, length, closes)) => {
                let start = text.find(word).unwrap();
                Seen::Whole(Head { length, word: start..start + word.len(), closes })
            }
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn finds_where_a_message_ends() {
        check("", Some(("", 0, false)));
        check("GET /r/7 HTTP/1.1\r\nHost: a\r\n", Some(("", 0, false)));
        check("GET /r/7 HTTP/1.1\r\nHost: a\r\n\r\n", Some(("/r/7", 30, false)));
        check("GET /r/7 HTTP/1.1\r\nHost: a\r\n\r\nGET ", Some(("/r/7", 30, false)));
        check("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nab", Some(("", 0, false)));
        check("HTTP/1.1 503 No\r\ncontent-length:3\r\nConnection: Close\r\n\r\nabc", Some(("503", 59, true)));
        check("HTTP/1.1 204\r\n\r\n", Some(("204", 16, false)));
    }

    #[test]
    fn refuses_what_it_cannot_measure() {
        for text in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nwhat\r\n\r\n",
        ] {
            check(text, None);
        }
    }
}

//! The height that an answer of JSON-RPC speaks of, read out of its first bytes.
//!
//! Nodes of chains write `{"jsonrpc":"2.0","result":{"context":{"slot":312345001},…`, so that the height stands before
//! the value, however long that is. The scan walks the members that come before it and gives up at anything it does not
//! expect: what is lost is one hint of many. It reads no further than [`LOOK`], allocates nothing and does not nest.

/// How many bytes of an answer are looked at.
pub const LOOK: usize = 256;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The state that it is answered from: `result.context.slot`, or `error.data.contextSlot`.
    Context(u64),
    /// The result is a number. Whether it is a height, the method says.
    Result(u64),
}

/// Reads an answer, or the first answer of a batch, from its beginning.
#[must_use]
pub fn told(answer: &[u8]) -> Option<Told> {
    let mut scan = Scan { rest: answer.get(..LOOK).unwrap_or(answer) };
    let _batch = scan.eat(b'[');
    match scan.seek(&[b"result", b"error"])? {
        0 => match scan.number() {
            Some(number) => Some(Told::Result(number)),
            None => {
                scan.seek(&[b"context"])?;
                scan.seek(&[b"slot"])?;
                scan.number().map(Told::Context)
            }
        },
        _ => {
            scan.seek(&[b"data"])?;
            scan.seek(&[b"contextSlot"])?;
            scan.number().map(Told::Context)
        }
    }
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Goes into the object that begins here, to the value of the first member with one of these names; which of them
    /// it is. Members before it are skipped when they are no object and no array.
    fn seek(&mut self, names: &[&[u8]]) -> Option<usize> {
        if !self.eat(b'{') {
            return None;
        }
        loop {
            let name = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            if let Some(at) = names.iter().position(|wanted| *wanted == name) {
                return Some(at);
            }
            self.skip()?;
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// Skips a value that is no object and no array.
    fn skip(&mut self) -> Option<()> {
        self.space();
        if self.rest.first() == Some(&b'"') {
            return self.string().map(drop);
        }
        let length = self.rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)))?;
        self.rest = self.rest.get(length..)?;
        (length > 0).then_some(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        if !self.eat(b'"') {
            return None;
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// A whole number, of which the end is seen too. Nothing is taken when there is none.
    fn number(&mut self) -> Option<u64> {
        self.space();
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at_checked(end)?;
        let follows =
            rest.first().is_some_and(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
        if digits.is_empty() || leading_zero || !follows {
            return None;
        }
        self.rest = rest;
        digits.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests;

//! One text for params that mean the same: no white space, the keys of objects in order.
//!
//! It is what tells whether two clients subscribe to the same; and as it is sent upstream, what it means is what both
//! asked for. Strings and numbers stay as they are written.

use crate::json::{Cursor, JsonError, Key, Kind, Span};

/// The canonical text; `None` when it is no JSON, or nests deeper than `depth`.
#[must_use]
pub fn canonical(text: &[u8], depth: usize) -> Option<Box<str>> {
    let mut cursor = Cursor::new(text, depth).ok()?;
    let mut out = Vec::with_capacity(text.len());
    value(&mut cursor, text, &mut out).ok()?;
    cursor.end().ok()?;
    String::from_utf8(out).ok().map(String::into_boxed_str)
}

fn value(cursor: &mut Cursor<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    match cursor.kind()? {
        Kind::Object => object(cursor, text, out),
        Kind::Array => array(cursor, text, out),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => {
            let (_, span) = cursor.value()?;
            out.extend_from_slice(span.of(text));
            Ok(())
        }
    }
}

fn array(cursor: &mut Cursor<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    out.push(b'[');
    let mut first = true;
    cursor.elements(|cursor| {
        comma(&mut first, out);
        value(cursor, text, out)
    })?;
    out.push(b']');
    Ok(())
}

fn object(cursor: &mut Cursor<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut members: Vec<(Key, Vec<u8>)> = Vec::new();
    cursor.members::<JsonError>(|cursor, key| {
        let mut member = Vec::new();
        value(cursor, text, &mut member)?;
        members.push((key, member));
        Ok(())
    })?;
    let name = |key: &Key| -> Span { key.span };
    // The order of those that stand there twice is kept: it may mean something.
    members.sort_by(|(a, _), (b, _)| name(a).of(text).cmp(name(b).of(text)));
    out.push(b'{');
    let mut first = true;
    for (key, member) in members {
        comma(&mut first, out);
        out.push(b'"');
        out.extend_from_slice(key.span.of(text));
        out.extend_from_slice(b"\":");
        out.extend_from_slice(&member);
    }
    out.push(b'}');
    Ok(())
}

fn comma(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

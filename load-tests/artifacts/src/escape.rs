//! Texts of others in formats of ours.

use std::fmt::Write as _;

/// For HTML and SVG, between tags and in quoted attributes. Characters that XML does not have are shown by their number.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            _ if letter.is_control() || is_direction(letter) || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                // A `String` takes what is written.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out
}

/// For a cell of a Markdown table: nothing in it is markup, a line or another cell.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ if letter.is_control() => out.push(' '),
            _ if is_direction(letter) => {}
            _ => out.push(letter),
        }
    }
    out
}

/// Letters that turn the direction of what is read.
const fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        for (text, page, cell) in [
            ("plain 1 %", "plain 1 %", "plain 1 %"),
            ("<img src=x onerror='a()'>", "&lt;img src=x onerror=&#39;a()&#39;&gt;", "&lt;img src=x onerror='a()'&gt;"),
            ("\"&\"", "&quot;&amp;&quot;", "\"&amp;\""),
            ("a|b\n# c `d` [e](f)", "a|b # c `d` [e](f)", "a\\|b \\# c \\`d\\` \\[e\\](f)"),
            ("\u{0}\u{1b}[31m", "\\u{0}\\u{1b}[31m", "  \\[31m"),
            ("a\u{202e}b", "a\\u{202e}b", "ab"),
        ] {
            assert_eq!((html(text).as_str(), markdown(text).as_str()), (page, cell), "{text:?}");
        }
    }
}

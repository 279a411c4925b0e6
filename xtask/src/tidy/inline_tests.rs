//! Which lines of a Rust file are not inline tests.

/// The lines outside `#[cfg(test)] mod … { … }` blocks that stand at the left edge, with their numbers from 1.
pub(crate) fn without(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = (1..).zip(text.lines()).peekable();
    std::iter::from_fn(move || {
        let (number, line) = lines.next()?;
        let opens = |line: &str| line.contains("mod ") && line.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| opens(next)) {
            // rustfmt puts the closing brace of such a block alone at the left edge.
            lines.find(|(_, line)| *line == "}");
            return lines.next();
        }
        Some((number, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_inline_tests_only() {
        let text = "a\n#[cfg(test)]\nmod tests {\n    b\n    }\n}\nc\n#[cfg(test)]\nmod kit;\n";
        let lines: Vec<(usize, &str)> = without(text).collect();
        assert_eq!(lines, [(1, "a"), (7, "c"), (8, "#[cfg(test)]"), (9, "mod kit;")]);
    }
}

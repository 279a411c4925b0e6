//! What the tests share.

use crate::{Decode, Loaded, MemoryLoader, load, render_text};

/// A loader with one file, `a.yaml`, and a few variables.
pub(crate) fn loader(text: &str) -> MemoryLoader {
    MemoryLoader::new().file("a.yaml", text).var("PORT", "8080").var("TOKEN", "very-secret-token")
}

/// Decodes `a.yaml`; gives the value and the report.
pub(crate) fn read_with<T: Decode>(loader: &MemoryLoader) -> (Option<T>, String) {
    let mut loaded: Loaded = load("a.yaml".as_ref(), loader);
    let value = loaded.decode(loader, None);
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    assert!(value.is_some() || loaded.diagnostics.has_errors(), "no value and no error");
    (value, report)
}

/// Decodes a text.
pub(crate) fn read<T: Decode>(text: &str) -> (Option<T>, String) {
    read_with(&loader(text))
}

/// The value of a text that must have no findings.
pub(crate) fn value<T: Decode>(text: &str) -> T {
    let (value, report) = read(text);
    assert_eq!(report, "", "{text}");
    value.unwrap()
}

/// `line:column code` of each finding of a report.
pub(crate) fn places(report: &str) -> Vec<String> {
    let head = |line: &str| {
        let rest = line.strip_prefix("a.yaml:").or_else(|| line.strip_prefix("b.yaml:"))?;
        let (place, rest) = rest.split_once(": ")?;
        let code = rest.split_once('[')?.1.split_once(']')?.0;
        Some(format!("{place} {code}"))
    };
    report.lines().filter_map(head).collect()
}

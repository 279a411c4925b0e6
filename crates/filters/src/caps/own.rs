//! What the file of consumers says of the caps of one of them: the words of `plans`, as JSON.

use std::path::Path;

use portcullis_caps::{CapSet, Scope};
use portcullis_yaml::{Cx, Diagnostic, MemoryLoader, Severity, load};

use super::words::SetWords;

/// What the words are called while they are read.
const FILE: &str = "caps";

/// Reads the words of a consumer's own caps, a JSON object.
///
/// # Errors
/// Everything that is wrong with them, each as the config would be told, without a place.
pub fn own_set(id: &str, json: &str) -> Result<CapSet, Vec<String>> {
    let loader = MemoryLoader::new().file(FILE, json);
    let mut loaded = load(Path::new(FILE), &loader);
    let words: Option<SetWords> = loaded.decode(&loader, None);
    let span = loaded.root.as_ref().map(|root| root.span);
    let mut watch = Vec::new();
    let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let set = words.zip(span).and_then(|(words, span)| words.compile(Scope::Consumer, id, span, &mut cx));
    let all = loaded.diagnostics.sorted();
    let errors: Vec<String> = all.into_iter().filter(|one| one.severity == Severity::Error).map(told).collect();
    set.filter(|_| errors.is_empty()).ok_or(errors)
}

fn told(diagnostic: &Diagnostic) -> String {
    let help = diagnostic.help.iter().map(|help| format!("; {help}")).collect::<String>();
    format!("{}{help}", diagnostic.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        own_set("acme", json).unwrap_err().join("\n")
    }

    #[test]
    fn the_words_are_those_of_the_config() {
        let set = own_set("acme", r#"{"rate":"10/s","burst":20,"quota":"1000/d","methods":{"get*":{"credits":2}}}"#);
        let set = set.unwrap();
        assert_eq!((set.spec().scope, &*set.spec().name), (Scope::Consumer, "acme"));
        assert_eq!((set.caps().count(), set.patterns().count()), (2, 1));
        assert!(own_set("acme", "{}").is_ok(), "as an empty plan");
    }

    #[test]
    fn all_errors_are_said_as_of_the_config() {
        let said = refused(r#"{"rat":"10/s","quota":"ten/d","shared":{"rate":"1/s"}}"#);
        for expected in ["unknown key `rat`", "did you mean `rate`?", "ten/d"] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        let said = refused(r#"{"shared":{"rate":"1/s"}}"#);
        assert!(said.contains("a consumer's own caps are shared with nobody"), "{said}");
        assert!(refused(r#"{"rate":"1/s","rates":[{}]}"#).contains("rates"));
    }
}

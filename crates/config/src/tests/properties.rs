//! No text makes a check panic.

use proptest::prelude::*;

use super::kit::conf;
use crate::fuzz_check;

/// Texts of the examples, to be damaged.
fn seeds() -> Vec<String> {
    let folders = [conf(), conf().join("bad")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    yaml.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn survives_every_prefix_of_the_quickstart() {
    let text = std::fs::read_to_string(conf().join("quickstart.yaml")).unwrap();
    for end in (0..text.len()).step_by(17).filter(|end| text.is_char_boundary(*end)) {
        fuzz_check(&text[..end]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn survives_any_text(text in "\\PC{0,200}") {
        fuzz_check(&text);
    }

    #[test]
    fn survives_damaged_examples(
        seed in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        put in "[-\\[\\]{}:,#&*!|>'\"%@`a-z0-9/. \n]{0,12}",
    ) {
        let seeds = seeds();
        let mut chars: Vec<char> = seed.get(&seeds).chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        chars.splice(at..end, put.chars());
        fuzz_check(&chars.into_iter().collect::<String>());
    }
}

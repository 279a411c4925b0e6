//! File patterns: `*` and `?` inside one component of a path.
//!
//! Matching is linear in the length of the name times that of the pattern, whatever the pattern. A name that begins
//! with a dot is only matched by a pattern that does, so that editors' temporary files are not included.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Whether a pattern has anything to expand.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// The folder part in front of the first component with a wildcard: what must be watched for new files.
#[must_use]
pub fn fixed_part(base: &Path, pattern: &str) -> PathBuf {
    let fixed = Path::new(pattern).components().take_while(|part| !is_pattern(&part.as_os_str().to_string_lossy()));
    base.join(fixed.collect::<PathBuf>())
}

/// All files that match, sorted and each once. `list` gives the names inside a folder.
pub(crate) fn expand(
    base: &Path,
    pattern: &str,
    list: &dyn Fn(&Path) -> io::Result<Vec<String>>,
    is_file: &dyn Fn(&Path) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![base.to_path_buf()];
    for component in Path::new(pattern).components() {
        let text = component.as_os_str().to_string_lossy();
        let wild = matches!(component, Component::Normal(_)) && is_pattern(&text);
        let mut next = Vec::new();
        for folder in found {
            if wild {
                let names = list(&folder)?;
                next.extend(names.iter().filter(|name| matches(&text, name)).map(|name| folder.join(name)));
            } else {
                next.push(folder.join(component));
            }
        }
        found = next;
    }
    found.retain(|path| is_file(path));
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a name matches one component of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last `*` if what follows it does not fit here: (after the star, one further in name).
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                (p, n) = (star, from);
                retry = Some((star, from + 1));
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_stars_and_question_marks() {
        let check =
            |pattern: &str, name: &str, expected| assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        check("*.yaml", "a.yaml", true);
        check("*.yaml", ".yaml", false);
        check(".*.yaml", ".a.yaml", true);
        check("*.yaml", "a.yml", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b*", "xxbxxaxx", false);
        check("**", "anything", true);
        check("a", "ab", false);
        check(&"*a".repeat(30), &"a".repeat(2_000), true);
        check(&format!("{}c", "*a".repeat(30)), &"a".repeat(2_000), false);
    }

    #[test]
    fn watches_the_folder_in_front_of_the_first_wildcard() {
        let check = |pattern, expected| assert_eq!(fixed_part(Path::new("conf"), pattern), Path::new(expected));
        check("*.yaml", "conf");
        check("sites/*/hosts/*.yaml", "conf/sites");
        check("/etc/gate/*.yaml", "/etc/gate");
    }

    #[test]
    fn lists_only_files_that_match_in_order() {
        let list = |folder: &Path| {
            let names: &[&str] =
                if folder == Path::new("c") { &["z.yaml", "a.yaml", "sub.yaml", "x.txt"] } else { &[] };
            Ok(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let is_file = |path: &Path| !path.ends_with("sub.yaml");
        let found = expand(Path::new("c"), "*.yaml", &list, &is_file).unwrap();
        assert_eq!(found, [PathBuf::from("c/a.yaml"), PathBuf::from("c/z.yaml")]);
    }
}

//! "Did you mean": the candidate nearest to what was written.
//!
//! Distance is Damerau-Levenshtein in its optimal string alignment form: one insertion, deletion, substitution or
//! swap of neighbours counts 1. A candidate is near when the distance is at most a third of the longer word (and at
//! least 1 is always allowed for words of two characters or more), so that unrelated words are never proposed.

/// Words longer than this are not compared: no key is that long, and the cost is the product of the lengths.
const MAX_LEN: usize = 64;

/// The candidate nearest to `input`, if one is near enough; the first of equals. Case does not count, and `-` is
/// `_`, since those are the commonest slips.
#[must_use]
pub fn suggest<'a, I>(input: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted = folded(input);
    let near = |candidate: &'a str| {
        let other = folded(candidate);
        let longest = wanted.len().max(other.len());
        let allowed = (longest / 3).max(usize::from(longest >= 2));
        if longest > MAX_LEN || wanted.len().abs_diff(other.len()) > allowed || wanted.is_empty() {
            return None;
        }
        let distance = distance(&wanted, &other);
        (distance <= allowed).then_some((distance, candidate))
    };
    candidates.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> Vec<char> {
    word.chars().take(MAX_LEN + 1).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Optimal string alignment distance, with three rows of the usual table.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, &l) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(last.len());
        current.push(row + 1);
        let mut right_previous = None;
        for (column, &r) in right.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, column) + usize::from(l != r)).min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            if previous == Some(r) && right_previous == Some(l) && column > 0 {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
            right_previous = Some(r);
        }
        before = std::mem::replace(&mut last, current);
        previous = Some(l);
    }
    last.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_edits_and_swaps() {
        let check = |left: &str, right: &str, expected| {
            assert_eq!(distance(&folded(left), &folded(right)), expected, "{left} {right}");
        };
        check("", "", 0);
        check("abc", "", 3);
        check("timeout", "timeout", 0);
        check("tiemout", "timeout", 1);
        check("timeot", "timeout", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn proposes_only_near_words() {
        let keys = ["timeout", "timeouts", "limits", "tls", "to"];
        let check = |input, expected| assert_eq!(suggest(input, keys), expected, "{input}");
        check("tiemout", Some("timeout"));
        check("Timeout", Some("timeout"));
        check("limit", Some("limits"));
        check("tsl", Some("tls"));
        check("ot", Some("to"));
        check("certificate", None);
        check("x", None);
        check("", None);
        check(&"t".repeat(10_000), None);
    }

    #[test]
    fn takes_dashes_for_underscores() {
        assert_eq!(suggest("health-check", ["health_check"]), Some("health_check"));
    }
}

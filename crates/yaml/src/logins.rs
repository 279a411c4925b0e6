//! URLs without the users and passwords in them: what is said of a config is read by more people than the config is.

/// The text with a `*` for each character between `://` and the last `@` before a character that ends the URL, or the
/// text. As long as before, so that what points into it still does.
pub(crate) fn without_logins(text: &str, ends: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let url = after.split(&ends).next().unwrap_or_default();
        let login = url.rsplit_once('@').map_or("", |(login, _)| login);
        shown.extend([before, "://"]);
        shown.extend(login.chars().map(|_| '*'));
        rest = after.strip_prefix(login).unwrap_or_default();
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::without_logins;

    #[test]
    fn a_login_is_hidden_and_the_rest_stays_where_it_is() {
        for (text, expected) in [
            ("redis://user:secret@host:6379/1", "redis://***********@host:6379/1"),
            ("a: \"redis://:p@ss/w@host\" # ops@example", "a: \"redis://*******@host\" # ops@example"),
            ("[http://a, http://u:p@b]", "[http://a, http://***@b]"),
            ("http://a/b?c", "http://a/b?c"),
            ("ops@example", "ops@example"),
            ("s://ü:é@h", "s://***@h"),
            ("://@://@", "://****@"),
        ] {
            assert_eq!(without_logins(text, |c| c.is_whitespace() || c == '"'), expected);
        }
        assert_eq!(without_logins("redis://u:p w@h", |_| false), "redis://*****@h");
    }
}

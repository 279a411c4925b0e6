//! `history:`.

use portcullis_snapshot::settings::{History, Store};
use portcullis_types::ByteSize;
use portcullis_yaml::{Diagnostic, Span, Spanned, code as yaml_code};

use super::{Compiler, store};
use crate::raw::history::{HistoryWord, RawHistory};

impl Compiler<'_, '_> {
    /// Where generations are kept; `None` where they are not. `file` is a place in the main file.
    pub(super) fn history(
        &mut self,
        word: Option<&Spanned<HistoryWord>>,
        store: Option<&Store>,
        file: Span,
    ) -> Option<History> {
        let raw = match word.map(|word| &word.value) {
            Some(HistoryWord::Off) => return None,
            Some(HistoryWord::Kept(raw)) => Some(raw),
            None => None,
        };
        let path = match raw.and_then(|raw| raw.path.as_ref()) {
            Some(path) => {
                if path.value.is_empty() {
                    let message = "the path of the history is empty";
                    let help = "for example `path: /var/lib/portcullis/history`";
                    self.cx.push(Diagnostic::error(yaml_code::INVALID_VALUE, path.span, message).help(help));
                }
                self.cx.resolve(path.span, &path.value)
            }
            None => {
                let data = store.map(|store| store.path.clone());
                data.unwrap_or_else(|| self.cx.resolve(file, store::DIRECTORY)).join(History::FOLDER)
            }
        };
        let implied = raw.is_none_or(|raw| raw.path.is_none());
        let keep = raw.and_then(|raw: &RawHistory| raw.keep);
        let bytes = raw.and_then(|raw| raw.bytes);
        Some(History {
            path,
            keep: self.number(keep, History::KEEP, 10..=10_000),
            bytes: ByteSize(self.bytes(bytes, History::BYTES.0, ByteSize::mib(1).0..=ByteSize::mib(16 << 10).0)),
            implied,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::kit::World;

    fn kept(top: &str) -> Option<(String, usize, u64, bool)> {
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\n{top}\n\
             hosts: [{{ names: ['*'], routes: [{{ name: all, respond: {{ status: 204 }} }}] }}]"
        );
        let candidate = World::default().candidate(&text);
        let history = candidate.checked().settings().history.clone()?;
        Some((history.path.display().to_string(), history.keep, history.bytes.0, history.implied))
    }

    #[test]
    fn generations_are_kept_beside_what_lasts_unless_the_config_says_otherwise() {
        let usual = |path: &str, implied| Some((path.to_owned(), 200, 64 << 20, implied));
        assert_eq!(kept(""), usual("data/history", true));
        assert_eq!(kept("store: { path: elsewhere }"), usual("elsewhere/history", true));
        assert_eq!(kept("history: { path: told }"), usual("told", false));
        assert_eq!(kept("history: off"), None);
        assert_eq!(kept("history: { keep: 10, bytes: 1MiB }"), Some(("data/history".to_owned(), 10, 1 << 20, true)));
    }
}

//! What a new process says on its standard error before it serves.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parking_lot::Mutex;

use crate::output;

/// How long the end of its words is waited for once it is dead.
const WORDS_END_WITHIN: Duration = Duration::from_millis(200);
/// How many of its last lines are told.
const LAST_LINES: usize = 20;

/// What the new process writes to its standard error until it serves: told as it comes, and the last of it again.
pub(super) struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Closed at the end of the words.
    ended: Receiver<()>,
}

impl LastWords {
    pub(super) fn hear(from: impl Read + Send + 'static, pid: u32) -> std::io::Result<Self> {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = lines.clone();
        let (end, ended) = channel::<()>();
        let hear = move || {
            let _until_the_end = end;
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output::say(&format!("[{pid}] {line}"));
                let mut lines = kept.lock();
                lines.push_back(line);
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        };
        std::thread::Builder::new().name("last-words".to_owned()).spawn(hear)?;
        Ok(Self { lines, ended })
    }

    /// The sentence, and what was said last. The process is gone, so the end of its words comes.
    pub(super) fn after(self, why: &str) -> String {
        // Another process may hold the pipe open still: a shell's child, for example. Then what came is what there is.
        let _ = self.ended.recv_timeout(WORDS_END_WITHIN);
        let lines = self.lines.lock();
        if lines.is_empty() {
            return why.to_owned();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("{why}; its last words:\n{}", lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_few_and_told_after_the_reason() {
        let text = (1..=30).map(|line| format!("line {line}\n")).collect::<String>();
        let told = LastWords::hear(std::io::Cursor::new(text), 1).unwrap().after("why");
        assert!(told.starts_with("why; its last words:\nline 11\n") && told.ends_with("line 30"), "{told}");
        assert_eq!(LastWords::hear(std::io::empty(), 1).unwrap().after("why"), "why");
    }
}

//! What no other tool looks at: heads, sizes and words of files.
//!
//! Every check is a function from a file's path and text to findings, so the tests need no files. The lists of
//! exceptions stand here, each with its reason; a reason that no longer holds is a finding itself.

mod inline_tests;
mod words;

use std::path::Path;
use std::process::Command;

use crate::Failure;

/// The most lines of a file that are not tests.
const MOST_LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: [(&str, &str); 0] = [];

/// A file of the repository.
pub(crate) struct File {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// Its text; empty for what is not UTF-8.
    pub(crate) text: String,
}

/// The files that git tracks or would track, without the vendored ones.
pub(crate) fn read_files(root: &Path) -> Result<Vec<File>, Failure> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output()?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8(output.stdout)?;
    let wanted = names.split('\0').filter(|name| !name.is_empty() && !name.starts_with("vendor/"));
    let there = wanted.filter(|name| root.join(name).is_file());
    let read = |name: &str| -> Result<File, Failure> {
        let text = String::from_utf8(std::fs::read(root.join(name))?).unwrap_or_default();
        Ok(File { path: name.to_owned(), text })
    };
    there.map(read).collect()
}

/// Everything that is wrong with these files.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let mut findings: Vec<String> = files.iter().flat_map(check_file).collect();
    let stale = LONGER.iter().filter(|(path, _)| !files.iter().any(|file| file.path == *path && is_long(file)));
    findings.extend(stale.map(|(path, _)| format!("{path}: need not be in the list of longer files")));
    findings
}

fn check_file(file: &File) -> Vec<String> {
    let mut findings = words::everywhere(file);
    if file.path.ends_with(".rs") {
        findings.extend(words::in_rust(file));
        findings.extend(head(file));
        findings.extend(size(file));
    }
    findings.into_iter().map(|finding| format!("{}: {finding}", file.path)).collect()
}

fn head(file: &File) -> Option<String> {
    let starts = file.text.starts_with("//! ");
    (!starts).then(|| "does not begin with `//!`: what it is, why, and what always holds".to_owned())
}

fn size(file: &File) -> Option<String> {
    let lines = inline_tests::without(&file.text).count();
    let listed = LONGER.iter().any(|(path, _)| *path == file.path);
    (lines > MOST_LINES && !listed && !is_test(&file.path))
        .then(|| format!("{lines} lines without tests, {MOST_LINES} are the most"))
}

fn is_long(file: &File) -> bool {
    inline_tests::without(&file.text).count() > MOST_LINES
}

/// Whether a whole file is tests, by its place.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.contains("/tests/") || name.ends_with("tests.rs") || path.starts_with("integration-tests/")
}

#[cfg(test)]
mod tests;

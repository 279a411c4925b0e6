//! Every error that the crate can find has an example under `conf/bad`, with the report it gives.
//!
//! `NAME.yaml` is named after its code, with `-` and more words if there are several of one code. To write the
//! reports anew, run this test with `PORTCULLIS_BLESS=1` and read what changed.

use portcullis_yaml::{Diagnostics, render_text};
use std::collections::BTreeSet;

use super::kit::{Rooted, World, conf, nothing_answers, read_consumers};
use crate::{code, consumers, survey};

fn names() -> Vec<String> {
    let files = std::fs::read_dir(conf().join("bad")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The report of a file, and the codes in it. What only shows when a generation is made is looked for where the
/// file itself is right.
fn report(name: &str) -> (String, BTreeSet<&'static str>) {
    let mut world = World::default();
    if name == "body_matcher_unavailable" {
        // What a team's own binary may be like.
        world.seams.body = None;
    }
    let loaded = world.check(&format!("{name}.yaml"), &Rooted(conf().join("bad")));
    let mut text = render_text(&loaded.diagnostics, &loaded.sources);
    let codes = |diagnostics: &Diagnostics| diagnostics.sorted().iter().map(|one| one.code).collect::<BTreeSet<_>>();
    let mut found = codes(&loaded.diagnostics);
    if let Some(candidate) = &loaded.candidate {
        let mut silent = Diagnostics::new();
        survey(candidate.checked(), nothing_answers, &mut silent);
        text.push_str(&render_text(&silent, &loaded.sources));
        found.extend(codes(&silent));
        let mut wrong = Diagnostics::new();
        consumers(candidate.checked(), |_, file| read_consumers(&conf().join("bad"), file), &mut wrong);
        text.push_str(&render_text(&wrong, &loaded.sources));
        found.extend(codes(&wrong));
    }
    if let Some(Err(diagnostics)) = loaded.candidate.map(|candidate| world.activate(candidate, None)) {
        text.push_str(&render_text(&diagnostics, &loaded.sources));
        found.extend(codes(&diagnostics));
    }
    (text, found)
}

#[test]
fn every_bad_file_gives_its_report() {
    let bless = std::env::var_os("PORTCULLIS_BLESS").is_some();
    let mut wrong = Vec::new();
    for name in names() {
        let path = conf().join("bad").join(format!("{name}.expected"));
        let (text, codes) = report(&name);
        let code = name.split('-').next().unwrap_or_default();
        assert!(codes.contains(code), "{name}.yaml does not have {code}, but {codes:?}:\n{text}");
        if bless {
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "reports differ from their .expected files:\n{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_bad_file() {
    let shown: BTreeSet<String> =
        names().iter().map(|name| name.split('-').next().unwrap_or_default().to_owned()).collect();
    let unseen = |code: &&str| !shown.contains(*code) && *code != code::FILTER_FAILED;
    let missing: Vec<&str> = code::ALL.iter().copied().filter(unseen).collect();
    assert!(missing.is_empty(), "no file under conf/bad for {missing:?}");
}

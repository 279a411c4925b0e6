//! Commands of pages that need an engine, a cluster or an account cannot be run here. What they name is there all the same:
//! files, parameters, build arguments, manifests, commands of the gateway.

use std::collections::BTreeSet;
use std::process::Command;

use super::{document, root, said, text};
use portcullis_integration_tests::process;

const PAGES: [&str; 2] = ["docs/deploy.md", "deploy/cloudformation/README.md"];

/// The commands of the `sh` blocks of a page, continued lines joined.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.extend(block.join("\n").replace("\\\n", " ").lines().map(str::to_owned));
        }
    }
    found
}

fn words(command: &str) -> Vec<&str> {
    command.split([' ', '"', '\'', '(', ')', ';', '=']).filter(|word| !word.is_empty()).collect()
}

#[test]
fn what_commands_name_is_there() {
    let template = document(&text("deploy/cloudformation/template.yaml"));
    let parameters = template["Parameters"].as_object().unwrap();
    let dockerfile = text("Dockerfile");
    for page in PAGES {
        let all = commands(&text(page));
        assert!(all.len() > 1, "{page}");
        for command in &all {
            let parsed = Command::new("bash").args(["-n", "-c", command]).output().unwrap();
            assert!(parsed.status.success(), "{page}: {command}: {}", said(&parsed));
            let words = words(command);
            for word in &words {
                let ours = ["deploy/", "conf/", "docs/", "scripts/"].iter().any(|folder| word.starts_with(folder));
                assert!(!ours || root().join(word).exists(), "{page}: {command}: no {word}");
            }
            let given = command.split_once("--parameter-overrides ").map_or("", |(_, rest)| rest);
            for name in given.split(' ').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name) {
                assert!(parameters.contains_key(name), "{page}: {command}: no parameter {name}");
            }
            let arguments = words.windows(2).filter(|pair| pair[0] == "--build-arg").map(|pair| pair[1]);
            for name in arguments {
                assert!(dockerfile.contains(&format!("\nARG {name}")), "{page}: {command}: no ARG {name}");
            }
        }
    }
}

#[test]
fn what_commands_ask_of_the_gateway_it_knows() {
    let mut seen = BTreeSet::new();
    for page in PAGES {
        for command in commands(&text(page)) {
            let inside = [" -- portcullis ", "docker exec edge portcullis "];
            let rest = command
                .strip_prefix("portcullis ")
                .or_else(|| inside.iter().find_map(|before| command.split_once(before)).map(|(_, rest)| rest));
            let Some(rest) = rest else { continue };
            let words = words(rest);
            let (name, options) = (words[0], words[1..].iter().filter(|word| word.starts_with('-')));
            let output = Command::new(process::binary()).args([name, "--help"]).output().unwrap();
            assert!(output.status.success(), "{page}: {command}: {}", said(&output));
            let help = String::from_utf8(output.stdout).unwrap();
            let known: BTreeSet<&str> = help.split([' ', ',', '\n']).collect();
            for option in options {
                assert!(known.contains(option), "{page}: {command}: {option}");
            }
            seen.insert(name.to_owned());
        }
    }
    assert!(seen.len() >= 2, "{seen:?}");
}

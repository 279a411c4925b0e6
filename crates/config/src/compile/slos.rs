//! `slos:`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_slo::{Objective, ObjectiveError};
use portcullis_snapshot::settings::{Good, MOST_SLOS, Settings, Slo};
use portcullis_types::Fault;
use portcullis_yaml::{Diagnostic, Span, Spanned, code as yaml_code, suggest};

use super::{Compiler, store};
use crate::code;
use crate::plan::HostPlan;
use crate::raw::slos::{RawFault, RawSlo};
use crate::raw::top::Top;

/// The file in the directory of what lasts.
const FILE: &str = "slos.json";
/// The window when none is said.
const WINDOW: Duration = Duration::from_secs(30 * 86_400);

impl Compiler<'_, '_> {
    /// The objectives, against the hosts that were compiled.
    pub(super) fn slos(&mut self, top: &Top, hosts: &[HostPlan]) -> Vec<Slo> {
        let known = !top.hosts.is_broken();
        let entries = top.slos.iter().flatten();
        let beyond = entries.clone().nth(MOST_SLOS);
        if let Some(entry) = beyond {
            let message = format!("there are more than {MOST_SLOS} objectives");
            self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, entry.span, message));
        }
        entries.take(MOST_SLOS).filter_map(|entry| self.slo(&entry.name, &entry.value, hosts, known)).collect()
    }

    /// Where what is counted is kept: in the directory of the store, which is `data` where nothing is said. `file` is a place in
    /// the main file.
    pub(super) fn slos_file(&mut self, settings: &Settings, file: Span) -> Option<PathBuf> {
        let said = settings.store.as_ref().map(|store| store.path.clone());
        let folder = || said.unwrap_or_else(|| self.cx.resolve(file, store::DIRECTORY));
        (!settings.slos.is_empty()).then(|| folder().join(FILE))
    }

    fn slo(&mut self, name: &str, raw: &Spanned<RawSlo>, hosts: &[HostPlan], known: bool) -> Option<Slo> {
        let raw = &raw.value;
        let good = self.good(raw);
        let objective = self.objective(raw);
        let host = if known { self.host_named(&raw.host, hosts) } else { None };
        let route = match (&raw.route, host) {
            (Some(route), Some(host)) => Some(self.route_named(route, host)?),
            (Some(_) | None, _) => None,
        };
        Some(Slo { name: Arc::from(name), host: host?.name.clone(), route, good: good?, objective: objective? })
    }

    fn objective(&mut self, raw: &RawSlo) -> Option<Objective> {
        let window = raw.window.map_or(WINDOW, |window| window.value);
        let target = f64::from(raw.objective.value.millionths()) / 1e6;
        match Objective::new(target, window) {
            Ok(objective) => Some(objective),
            Err(error) => {
                let span = match error {
                    ObjectiveError::Target => raw.objective.span,
                    ObjectiveError::Window => raw.window.map_or(raw.objective.span, |window| window.span),
                };
                self.cx.fail(Diagnostic::error(code::OUT_OF_RANGE, span, error.to_string()))
            }
        }
    }

    fn good(&mut self, raw: &RawSlo) -> Option<Good> {
        match (raw.latency, &raw.faults) {
            (Some(latency), None) => self.time_some(Some(latency)).map(Good::Within),
            (None, faults) => {
                let default = [RawFault::Gateway, RawFault::Upstream];
                let said = faults.as_ref().map_or(default.as_slice(), |faults| faults.value.as_slice());
                let mut all: Vec<Fault> = said.iter().map(|fault| fault.fault()).collect();
                all.sort_by_key(|fault| fault.as_str());
                all.dedup();
                if let Some(faults) = faults.as_ref().filter(|_| all.is_empty()) {
                    let message = "without any fault nothing ever fails";
                    let diagnostic = Diagnostic::error(yaml_code::INVALID_VALUE, faults.span, message);
                    return self.cx.fail(diagnostic.help("for example `faults: [gateway, upstream]`"));
                }
                Some(Good::Available(all))
            }
            (Some(latency), Some(faults)) => {
                let message = "an objective is about `latency` or about `faults`, not both";
                let diagnostic = Diagnostic::error(yaml_code::CONFLICTING_KEYS, faults.span, message);
                self.cx.fail(diagnostic.related(latency.span, "the latency is here").help("make two objectives of it"))
            }
        }
    }

    fn host_named<'h>(&mut self, name: &Spanned<String>, hosts: &'h [HostPlan]) -> Option<&'h HostPlan> {
        let is = |host: &&HostPlan| host.names.iter().any(|pattern| pattern.to_string() == name.value);
        if let Some(host) = hosts.iter().find(is) {
            return Some(host);
        }
        let names: Vec<String> = hosts.iter().flat_map(|host| host.names.iter().map(ToString::to_string)).collect();
        let near = suggest(&name.value, names.iter().map(String::as_str));
        let diagnostic = Diagnostic::error(code::UNKNOWN_HOST, name.span, format!("there is no host `{}`", name.value));
        let otherwise = || "write a name as it stands under `names` of a host".to_owned();
        self.cx.fail(diagnostic.help_suggest(near, otherwise))
    }

    fn route_named(&mut self, name: &Spanned<String>, host: &HostPlan) -> Option<Arc<str>> {
        if host.routes.iter().any(|route| route.name.as_str() == name.value) {
            return Some(Arc::from(name.value.as_str()));
        }
        let near = suggest(&name.value, host.routes.iter().map(|route| route.name.as_str()));
        let message = format!("the host `{}` has no route `{}`", host.name, name.value);
        let diagnostic = Diagnostic::error(code::UNKNOWN_ROUTE, name.span, message);
        self.cx.fail(diagnostic.help_suggest(near, || "leave `route` out for the whole host".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::kit::World;
    use portcullis_yaml::{MemoryLoader, render_text};

    fn report(slos: &str) -> String {
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\nhosts: [{{ names: [a.example.com, b.example.com], \
             routes: [{{ name: all, respond: {{ status: 204 }} }}] }}]\nslos:\n{slos}"
        );
        let loaded = World::default().check("a.yaml", &MemoryLoader::new().file("a.yaml", text));
        render_text(&loaded.diagnostics, &loaded.sources)
    }

    #[test]
    fn there_are_200_objectives_at_most() {
        let many = |count: usize| -> String {
            (0..count).map(|n| format!("  o{n}: {{ host: b.example.com, objective: 99% }}\n")).collect()
        };
        assert_eq!(report(&many(200)), "");
        assert!(report(&many(201)).contains("there are more than 200 objectives"));
    }

    #[test]
    fn what_is_counted_is_kept_beside_the_store() {
        let kept = |top: &str| {
            let text = format!(
                "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\n{top}\nhosts: [{{ names: [a], routes: [{{ name: \
                 all, respond: {{ status: 204 }} }}] }}]"
            );
            let candidate = World::default().candidate(&text);
            candidate.checked().settings().slos_file.clone().map(|path| path.display().to_string())
        };
        let slo = "slos: { up: { host: a, objective: 99% } }";
        assert_eq!(kept(slo).as_deref(), Some("data/slos.json"));
        assert_eq!(kept(&format!("store: {{ path: kept }}\n{slo}")).as_deref(), Some("kept/slos.json"));
        assert_eq!(kept("store: {}"), None);
    }
}

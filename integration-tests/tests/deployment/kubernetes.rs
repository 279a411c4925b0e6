//! `deploy/kubernetes`: by the schemas of Kubernetes, by each other, and by the gateway that they run.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::{Running, document, documents, everywhere, port, root, seconds, tool};
use portcullis_integration_tests::{Client, Origin, address, until};

/// The version whose schemas count; the validator has them.
const VERSION: &str = "1.37";

fn files() -> Vec<String> {
    let folder = fs::read_dir(root().join("deploy/kubernetes")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path().display().to_string());
    let mut yaml: Vec<String> = paths.filter(|path| path.ends_with(".yaml")).collect();
    yaml.sort();
    yaml
}

fn objects() -> Vec<Value> {
    files().iter().flat_map(|path| documents(&fs::read_to_string(path).unwrap())).collect()
}

fn of_kind(kind: &str) -> Vec<Value> {
    objects().into_iter().filter(|object| object["kind"] == kind).collect()
}

fn named(kind: &str, name: &str) -> Value {
    let found = of_kind(kind).into_iter().find(|object| object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn tracks() -> [Value; 2] {
    [named("Deployment", "portcullis"), named("Deployment", "portcullis-canary")]
}

fn container(deployment: &Value) -> &Value {
    let all = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(all.len(), 1);
    &all[0]
}

fn config_text() -> String {
    named("ConfigMap", "portcullis")["data"]["gateway.yaml"].as_str().unwrap().to_owned()
}

#[test]
fn kubernetes_own_schemas_know_every_field() {
    let files = files();
    let mut args = vec!["--strict", "--quiet", "--kubernetes-version", VERSION];
    args.extend(files.iter().map(String::as_str));
    tool("kubernetes-validate", &args);
}

#[test]
fn everything_is_in_the_one_namespace_and_stands_once() {
    let mut seen = BTreeSet::new();
    for object in objects() {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        assert!(seen.insert(format!("{kind} {name}")), "{kind} {name} stands twice");
        if kind != "Namespace" {
            assert_eq!(object["metadata"]["namespace"], "portcullis", "{kind} {name}");
        }
    }
}

/// Whether labels are selected.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    assert!(!wanted.is_empty());
    wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn selectors_find_the_pods_they_are_for() {
    let tracks = tracks();
    let labels = [0, 1].map(|at: usize| &tracks[at]["spec"]["template"]["metadata"]["labels"]);
    for (at, deployment) in tracks.iter().enumerate() {
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        assert!(selects(selector, labels[at]) && !selects(selector, labels[1 - at]), "{selector}");
        for spread in everywhere(&deployment["spec"], "labelSelector") {
            assert!(selects(&spread["matchLabels"], labels[at]), "{spread}");
        }
    }
    let both: Vec<Value> = of_kind("Service")
        .iter()
        .map(|service| service["spec"]["selector"].clone())
        .chain(of_kind("PodDisruptionBudget").iter().map(|budget| budget["spec"]["selector"]["matchLabels"].clone()))
        .chain(of_kind("NetworkPolicy").iter().map(|policy| policy["spec"]["podSelector"]["matchLabels"].clone()))
        .collect();
    assert!(both.len() >= 4);
    for selector in &both {
        assert!(labels.iter().all(|labels| selects(selector, labels)), "{selector}");
    }
    let scaled = &named("HorizontalPodAutoscaler", "portcullis")["spec"]["scaleTargetRef"];
    let found = tracks.iter().find(|one| one["metadata"]["name"] == scaled["name"] && one["kind"] == scaled["kind"]);
    let found = found.unwrap_or_else(|| panic!("{scaled}"));
    // Where a number stands, every `kubectl apply` would undo what the autoscaler said.
    assert!(found["spec"].get("replicas").is_none());
    let requests = &container(found)["resources"]["requests"];
    assert!(requests["cpu"].is_string(), "a share of CPU is one of what is asked for");
}

#[test]
fn ports_lead_to_the_listeners_of_the_config() {
    let config = document(&config_text());
    let expected = [("edge", port(&config["listeners"]["edge"]["bind"])), ("admin", port(&config["admin"]["bind"]))];
    for deployment in tracks() {
        let ports = container(&deployment)["ports"].as_array().unwrap();
        let got: Vec<(&str, u64)> = ports
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        assert_eq!(got, expected);
    }
    let services = of_kind("Service");
    let policies = of_kind("NetworkPolicy");
    let targets = services.iter().flat_map(|service| everywhere(service, "targetPort"));
    let ingress = policies.iter().flat_map(|policy| everywhere(&policy["spec"]["ingress"], "port"));
    let named: Vec<&Value> = targets.chain(ingress).collect();
    assert!(named.len() >= 4);
    for name in named {
        assert!(expected.iter().any(|(known, _)| name == known), "{name}");
    }
}

#[test]
fn what_the_config_reads_and_writes_is_mounted() {
    let config = document(&config_text());
    for deployment in tracks() {
        let pod = &deployment["spec"]["template"]["spec"];
        let mounts = container(&deployment)["volumeMounts"].as_array().unwrap();
        let mount =
            |path: &str| mounts.iter().find(|mount| mount["mountPath"] == path).unwrap_or_else(|| panic!("{path}"));
        let volume = |name: &Value| {
            pod["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|volume| volume["name"] == *name)
                .unwrap_or_else(|| panic!("{name}"))
        };
        let args: Vec<&str> =
            container(&deployment)["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        assert_eq!(args, ["run", "-c", "/etc/portcullis/gateway.yaml"]);
        let sources = volume(&mount("/etc/portcullis")["name"])["projected"]["sources"].clone();
        assert_eq!(sources[0]["configMap"]["name"], "portcullis");
        let items: BTreeSet<String> =
            everywhere(&sources[1], "path").iter().map(|path| format!("file:{}", path.as_str().unwrap())).collect();
        let read: BTreeSet<String> =
            everywhere(&config["admin"], "token").iter().map(|token| token.as_str().unwrap().to_owned()).collect();
        assert_eq!(items, read, "the files of the Secret are those that the config reads");
        let store = mount(config["store"]["path"].as_str().unwrap());
        assert!(store.get("readOnly").is_none() && volume(&store["name"])["emptyDir"].is_object(), "{store}");
    }
}

#[test]
fn a_pod_has_nothing_that_it_does_not_need() {
    for deployment in tracks() {
        let pod = &deployment["spec"]["template"]["spec"];
        let all = &pod["securityContext"];
        assert_eq!((&all["runAsNonRoot"], &all["seccompProfile"]["type"]), (&true.into(), &"RuntimeDefault".into()));
        assert!(all["runAsUser"].as_u64().unwrap() > 0);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let own = &container(&deployment)["securityContext"];
        assert_eq!((&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"]), (&false.into(), &true.into()));
        assert_eq!(own["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert!(container(&deployment)["resources"]["limits"]["memory"].is_string());
    }
}

#[test]
fn the_canary_is_the_baseline_with_another_image() {
    let [baseline, mut canary] = tracks();
    assert_ne!(container(&baseline)["image"], container(&canary)["image"]);
    canary["metadata"] = baseline["metadata"].clone();
    canary["spec"].as_object_mut().unwrap().remove("replicas");
    canary["spec"]["selector"] = baseline["spec"]["selector"].clone();
    canary["spec"]["template"]["metadata"] = baseline["spec"]["template"]["metadata"].clone();
    let image = container(&baseline)["image"].clone();
    canary["spec"]["template"]["spec"]["containers"][0]["image"] = image;
    assert_eq!(canary, baseline);
}

#[test]
fn a_pod_has_the_time_that_it_needs_to_leave() {
    let drain = document(&config_text())["drain"].clone();
    let delay = drain.get("delay").map_or(0, seconds);
    for deployment in tracks() {
        let hook = &container(&deployment)["lifecycle"]["preStop"];
        let waits = hook.get("sleep").map_or(0, |sleep| sleep["seconds"].as_u64().unwrap());
        assert!(waits + delay >= 5, "no time for the Service to take the pod out: {hook} {drain}");
        let given = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(given >= waits + delay + seconds(&drain["timeout"]) + 5, "{given} for {waits}, {delay} and {drain}");
    }
}

/// Puts a text in place as the kubelet does: a new folder, and a link that is turned to it in one step.
fn publish(volume: &Path, version: &str, config: &str) {
    let data = volume.join(format!("..{version}"));
    fs::create_dir_all(data.join("secrets")).unwrap();
    for secret in ["operator", "prometheus"] {
        fs::write(data.join("secrets").join(secret), format!("the token of {secret}\n")).unwrap();
    }
    fs::write(data.join("gateway.yaml"), config).unwrap();
    let next = volume.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &next).unwrap();
    fs::rename(next, volume.join("..data")).unwrap();
    for name in ["gateway.yaml", "secrets"] {
        // There from the first time on.
        drop(std::os::unix::fs::symlink(format!("..data/{name}"), volume.join(name)));
    }
}

#[test]
fn the_config_serves_what_probes_ask_and_follows_the_config_map() {
    let origin = Origin::says("from the application");
    let dir = tempfile::tempdir().unwrap();
    let (edge, admin) = (address(), address());
    let here = |text: &str, from: &str, to: SocketAddr| {
        assert!(text.contains(from), "{from}");
        text.replace(from, &to.to_string())
    };
    let config = here(&config_text(), "0.0.0.0:8080", edge);
    let config = here(&config, "0.0.0.0:9901", admin);
    let config = here(&config, "app.default.svc.cluster.local:8080", origin.address());
    let config = config.replace("/var/lib/portcullis", &dir.path().join("store").display().to_string());
    let volume = dir.path().join("volume");
    fs::create_dir(&volume).unwrap();
    publish(&volume, "first", &config);
    let _gateway = Running::start(&volume.join("gateway.yaml"), &[], admin);

    for deployment in tracks() {
        let container = container(&deployment);
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let get = &container[probe]["httpGet"];
            assert_eq!(get["port"], "admin", "{probe}");
            let answer = Client::connect(admin).get(get["path"].as_str().unwrap());
            assert_eq!(answer.status, 200, "{probe}: {answer:?}");
        }
    }
    assert_eq!(Client::connect(edge).get("/").text(), "from the application");

    publish(&volume, "second", &config.replace("to: app }", "respond: { body: from the gateway } }"));
    until("the new config", || (Client::connect(edge).get("/").text() == "from the gateway").then_some(()));
}

//! `deploy/cloudformation`: by the linter of CloudFormation, by the config that belongs to it, and by what the gateway
//! really writes for CloudWatch.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Running, document, everywhere, port, said, seconds, text, tool};
use portcullis_integration_tests::{Client, Origin, address, origin, until};
use portcullis_types::Reason;

const TEMPLATE: &str = "deploy/cloudformation/template.yaml";
const CONFIG: &str = "deploy/cloudformation/gateway.yaml";
const TRACKS: [(&str, &str); 2] = [("Baseline", "baseline"), ("Canary", "canary")];

fn resources() -> Value {
    document(&text(TEMPLATE))["Resources"].clone()
}

fn of_type(kind: &str) -> Vec<(String, Value)> {
    let all = resources();
    let found = all.as_object().unwrap().iter().filter(|(_, one)| one["Type"] == kind);
    found.map(|(name, one)| (name.clone(), one["Properties"].clone())).collect()
}

/// What an instance runs first, with the template's words filled in.
fn user_data(track: usize) -> String {
    let (name, track) = TRACKS[track];
    let template = &resources()[format!("{name}LaunchTemplate")]["Properties"]["LaunchTemplateData"];
    let sub = &template["UserData"]["Fn::Base64"]["!Sub"];
    let mut script = sub[0].as_str().unwrap().to_owned();
    assert_eq!(sub[1]["Track"], track);
    let group = sub[1]["Group"].as_str().unwrap();
    assert!(resources().get(group).is_some(), "{group}");
    let own = [("Track", track), ("Group", group), ("Archive", "archive.tar.gz"), ("Digest", "0a")];
    let others = [
        ("AWS::StackName", "edge"),
        ("AWS::Region", "eu-central-1"),
        ("ArtifactBucket", "artifacts"),
        ("ConfigKey", "gateway.yaml"),
        ("LogGroup", "edge-log"),
    ];
    for (word, value) in own.into_iter().chain(others) {
        script = script.replace(&format!("${{{word}}}"), value);
    }
    script.replace("${!", "${")
}

/// What stands between a line that ends in `<<'WORD'` and the line `WORD`.
fn heredoc(script: &str, word: &str) -> String {
    let (_, rest) = script.split_once(&format!("<<'{word}'\n")).unwrap_or_else(|| panic!("no {word}"));
    rest.split_once(&format!("\n{word}\n")).unwrap().0.to_owned() + "\n"
}

#[test]
fn the_linter_is_content_with_the_template() {
    tool("cfn-lint", &["--non-zero-exit-code", "informational", "--include-checks", "I", "--", TEMPLATE]);
}

#[test]
fn the_template_counts_on_what_the_config_says() {
    let config = document(&text(CONFIG));
    let (edge, admin) = (port(&config["listeners"]["edge"]["bind"]), port(&config["admin"]["bind"]));
    for (name, target) in of_type("AWS::ElasticLoadBalancingV2::TargetGroup") {
        assert_eq!(
            (target["Port"].as_u64(), target["HealthCheckPort"].as_str()),
            (Some(edge), Some(&*admin.to_string())),
            "{name}"
        );
    }
    let inside = of_type("AWS::EC2::SecurityGroupIngress");
    let open: BTreeSet<u64> = inside.iter().map(|(_, rule)| rule["FromPort"].as_u64().unwrap()).collect();
    assert_eq!(open, BTreeSet::from([edge, admin]));
    assert!(inside.iter().all(|(_, rule)| rule["SourceSecurityGroupId"]["!Ref"] == "LoadBalancerSecurityGroup"));
    let drain: u64 = ["delay", "timeout"].iter().map(|step| seconds(&config["drain"][*step])).sum();
    for (at, (name, _)) in TRACKS.iter().enumerate() {
        let script = user_data(at);
        assert!(script.contains(&format!("ListenStream=0.0.0.0:{edge}\\n")), "{script}");
        let file = config["logs"]["metrics"]["emf"]["to"].as_str().unwrap().strip_prefix("file:").unwrap();
        let agent: Value = serde_json::from_str(&heredoc(&script, "AGENT")).unwrap();
        assert_eq!(everywhere(&agent, "file_path"), [file]);
        let settle: u64 = script.split_once("${SETTLE:-").unwrap().1.split_once('}').unwrap().0.parse().unwrap();
        let stop: u64 = script.split_once("TimeoutStopSec=").unwrap().1.split_once('s').unwrap().0.parse().unwrap();
        let group = &resources()[format!("{name}Group")]["Properties"];
        let hook = &group["LifecycleHookSpecificationList"][0];
        assert!(stop > drain && hook["HeartbeatTimeout"].as_u64().unwrap() >= settle + stop, "{settle} {stop} {hook}");
        assert!(script.contains(&format!("--lifecycle-hook-name {} ", hook["LifecycleHookName"].as_str().unwrap())));
    }
}

#[test]
fn the_listener_shares_its_connections_by_the_weights_of_the_parameters() {
    let listener = of_type("AWS::ElasticLoadBalancingV2::Listener").remove(0).1;
    let shares = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"].as_array().unwrap();
    for (share, (name, _)) in shares.iter().zip(TRACKS) {
        assert_eq!(share["TargetGroupArn"]["!Ref"], format!("{name}TargetGroup"));
        assert_eq!(share["Weight"]["!Ref"], format!("{name}Weight"));
        let group = &resources()[format!("{name}Group")]["Properties"];
        assert_eq!(group["TargetGroupARNs"][0]["!Ref"], format!("{name}TargetGroup"));
    }
}

#[test]
fn instances_may_do_what_they_are_for_and_nothing_else() {
    for (name, role) in of_type("AWS::IAM::Role") {
        assert!(role.get("ManagedPolicyArns").is_none(), "{name}");
        for statement in
            everywhere(&role["Policies"], "Statement").into_iter().flat_map(|list| list.as_array().unwrap())
        {
            let whole = [everywhere(statement, "Action"), everywhere(statement, "Resource")].concat();
            assert!(
                whole.iter().all(|one| !one.to_string().contains("\"*\"") && !one.to_string().contains(":*\"")),
                "{statement}"
            );
        }
    }
    for (name, template) in of_type("AWS::EC2::LaunchTemplate") {
        let metadata = &template["LaunchTemplateData"]["MetadataOptions"];
        assert_eq!(
            (&metadata["HttpTokens"], &metadata["HttpPutResponseHopLimit"]),
            (&"required".into(), &1.into()),
            "{name}"
        );
        assert!(template["LaunchTemplateData"].get("KeyName").is_none());
    }
}

#[test]
fn both_tracks_run_the_same_script() {
    let [baseline, canary] = [0, 1].map(user_data);
    assert_eq!(baseline.replace("BaselineGroup", "CanaryGroup").replace("baseline", "canary"), canary);
    let parsed = Command::new("bash").args(["-n", "-c", &baseline]).output().unwrap();
    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{}", said(&parsed));
    assert!(!baseline.contains("${AWS") && baseline.starts_with("#!/bin/bash\n"), "{baseline}");
    assert!(baseline.len() < 12 * 1024, "EC2 takes 16 KiB, in base64 too");
}

/// A metric of an alarm: namespace, name, names and values of its dimensions.
type Alarmed = (String, String, Vec<(String, String)>);

fn alarmed() -> Vec<Alarmed> {
    let mut found = Vec::new();
    for (_, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let own = alarm.get("MetricName").map(|_| &alarm);
        for metric in own.into_iter().chain(everywhere(&alarm["Metrics"], "Metric")) {
            let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
            let dimensions = metric["Dimensions"].as_array().cloned().unwrap_or_default();
            let dimensions = dimensions.iter().map(|one| (word(one, "Name"), word(one, "Value"))).collect();
            found.push((word(metric, "Namespace"), word(metric, "MetricName"), dimensions));
        }
    }
    found
}

/// What the gateway writes on the template's config: pairs of a set of dimensions and a metric, and values of `fault`.
fn written(namespace: &str) -> (BTreeSet<(Vec<String>, String)>, BTreeSet<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (edge, admin) = (address(), address());
    let application = Origin::says("from the application");
    let log = dir.path().join("metrics.json");
    let mut config = text(CONFIG);
    for (from, to) in [
        ("0.0.0.0:8080", edge.to_string()),
        ("0.0.0.0:9901", admin.to_string()),
        (
            "[\"app.internal:8080\"]\n    health_check: { http: { path: /health }, interval: 2s, timeout: 1s }",
            format!("[\"{}\"]", application.address()),
        ),
        ("/var/log/portcullis/metrics.json", log.display().to_string()),
        ("/var/lib/portcullis", dir.path().join("store").display().to_string()),
        // One that fails by an upstream's fault.
        (
            "      - { name: app, to: app }",
            "      - { name: app, to: app }\n      - { name: gone, match: { path: /gone }, to: gone }".to_owned(),
        ),
        ("clusters:\n", format!("clusters:\n  gone: {{ endpoints: [\"{}\"] }}\n", origin::refused())),
    ] {
        assert!(config.contains(from), "{from} is not in {CONFIG}");
        config = config.replace(from, &to);
    }
    fs::write(dir.path().join("gateway.yaml"), config).unwrap();
    fs::write(dir.path().join("admin.token"), "made on each instance\n").unwrap();
    let _gateway = Running::start(&dir.path().join("gateway.yaml"), &[("PORTCULLIS_NAMESPACE", namespace)], admin);
    assert_eq!(Client::connect(edge).get("/").status, 200);
    assert_eq!(Client::connect(edge).get("/gone").status, 502);
    let lines = until("two records", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<String> =
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect();
        (lines.len() >= 2).then_some(lines)
    });
    let (mut metrics, mut faults) = (BTreeSet::new(), BTreeSet::new());
    for object in lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        for directive in object["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], namespace);
            for set in directive["Dimensions"].as_array().unwrap() {
                let set: Vec<String> =
                    set.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
                for metric in directive["Metrics"].as_array().unwrap() {
                    metrics.insert((set.clone(), metric["Name"].as_str().unwrap().to_owned()));
                }
            }
        }
        faults.insert(object["fault"].as_str().unwrap_or_default().to_owned());
    }
    (metrics, faults)
}

#[test]
fn alarms_watch_metrics_that_the_gateway_writes() {
    let (metrics, faults) = written("Portcullis/canary");
    assert_eq!(faults, BTreeSet::from(["none".to_owned(), "upstream".to_owned()]));
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.fault().as_str()).collect();
    let mut watched = BTreeSet::new();
    for (namespace, name, dimensions) in alarmed() {
        let Some(track) = namespace.strip_prefix("Portcullis/") else {
            assert_eq!(namespace, "AWS/NetworkELB");
            continue;
        };
        assert!(TRACKS.iter().any(|(_, known)| *known == track), "{namespace}");
        let set: Vec<String> = dimensions.iter().map(|(name, _)| name.clone()).collect();
        assert!(metrics.contains(&(set.clone(), name.clone())), "nobody writes {name} by {set:?}: {metrics:?}");
        for (dimension, value) in &dimensions {
            assert!(dimension == "fault" && known.contains(&**value), "{dimension} is never {value}");
        }
        watched.insert((track.to_owned(), name));
    }
    for (_, track) in TRACKS {
        for name in ["requests", "errors", "total_ms"] {
            assert!(watched.contains(&(track.to_owned(), name.to_owned())), "no alarm on {name} of the {track}");
        }
    }
    for at in [0, 1] {
        let set = format!("Environment=PORTCULLIS_NAMESPACE=Portcullis/{}\\n", TRACKS[at].1);
        assert!(user_data(at).contains(&set), "{set}");
    }
}

/// The metadata of an instance: it stays in service for some questions, and is then to end.
fn metadata(questions: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let has = |field: &str| head.iter().any(|line| line.eq_ignore_ascii_case(field));
            let line = head.first().cloned().unwrap_or_default();
            let known = has("X-aws-ec2-metadata-token: a-token");
            let (status, body) = match line.split(' ').nth(1).unwrap_or_default() {
                "/latest/api/token" if line.starts_with("PUT ") => ("200 OK", "a-token"),
                "/latest/meta-data/autoscaling/target-lifecycle-state" if known => {
                    match count.fetch_add(1, Ordering::Relaxed) {
                        // Not there before the group has taken the instance.
                        0 => ("404 Not Found", ""),
                        n if n < questions => ("200 OK", "InService"),
                        _ => ("200 OK", "Terminated"),
                    }
                }
                "/latest/meta-data/instance-id" if known => ("200 OK", "i-0a1b"),
                _ => ("401 Unauthorized", ""),
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            // Who asked may be gone.
            drop((&stream).write_all(answer.as_bytes()));
        }
    });
    (at, asked)
}

fn stand_in(folder: &Path, name: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>\"$TOLD\"\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_instance_that_is_to_end_drains_and_then_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (at, asked) = metadata(3);
    for name in ["systemctl", "aws"] {
        stand_in(dir.path(), name);
    }
    let told = dir.path().join("told");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", &heredoc(&user_data(1), "LEAVE")]).env("PATH", path).env("TOLD", &told);
    let output = command.env("METADATA", at).env("EVERY", "0").env("SETTLE", "0").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    let told = fs::read_to_string(told).unwrap();
    let expected = "systemctl stop portcullis.socket portcullis.service\naws autoscaling complete-lifecycle-action --region eu-central-1 \
                    --auto-scaling-group-name edge-canary --lifecycle-hook-name drain --lifecycle-action-result CONTINUE \
                    --instance-id i-0a1b\n";
    assert_eq!(told, expected);
    let name = &resources()["CanaryGroup"]["Properties"]["AutoScalingGroupName"]["!Sub"];
    assert_eq!(name, "${AWS::StackName}-canary");
}

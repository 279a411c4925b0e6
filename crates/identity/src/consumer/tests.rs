//! Consumers from text, and what they allow.

use super::*;
use crate::time::Timestamp;

fn hash(digit: char) -> String {
    format!("b3:{}", digit.to_string().repeat(64))
}

fn build(spec: ConsumerSpec) -> Result<Consumer, FieldError> {
    Consumer::build(spec, &mut Plans::default())
}

fn spec() -> ConsumerSpec {
    ConsumerSpec { id: "a".to_owned(), plan: "free".to_owned(), ..ConsumerSpec::default() }
}

#[test]
fn a_line_of_json_and_an_item_of_yaml_say_the_same() {
    let json = format!(
        r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}","not_after":"2027-01-31T12:00:00Z","label":"old"}},{{"hash":"{}"}}],
        "origins":["https://*.acme.example"],"networks":["203.0.113.0/24","2001:db8::1"],"hosts":["rpc.example.com"],
        "methods":["get*","POST"],"jwt":[{{"issuer":"https://id.example","subject":"u1"}},{{"subject":"u2"}}],
        "certificates":["CN=acme,O=Acme"],"disabled":true,"caps":{{"rate":"10/s","methods":{{"get*":{{"credits":2}}}}}}}}"#,
        hash('1'),
        hash('2')
    )
    .replace('\n', "");
    let yaml = format!(
        "- id: acme\n  plan: pro\n  keys:\n  - {{ hash: '{}', not_after: 2027-01-31T12:00:00Z, label: old }}\n  - hash: '{}'\n  \
         origins: ['https://*.acme.example']\n  networks: [203.0.113.0/24, '2001:db8::1']\n  hosts: [rpc.example.com]\n  \
         methods: ['get*', POST]\n  jwt: [{{ issuer: 'https://id.example', subject: u1 }}, {{ subject: u2 }}]\n  \
         certificates: ['CN=acme,O=Acme']\n  disabled: true\n  caps: {{ rate: 10/s, methods: {{ 'get*': {{ credits: 2 }} }} }}\n",
        hash('1'),
        hash('2')
    );
    let parsed = [parse(Format::Ndjson, json.as_bytes()), parse(Format::Yaml, yaml.as_bytes())];
    let [json, yaml] = parsed.map(|spec| build(spec.expect("right")).expect("right"));
    assert_eq!(json, yaml);
    assert_eq!((json.id(), json.plan().name(), json.is_disabled()), ("acme", "pro", true));
    let hashes = [hash('1'), hash('2')].map(|text| text.parse::<KeyHash>().expect("a hash"));
    assert_eq!(json.keys().iter().map(|key| key.hash).collect::<Vec<_>>(), hashes);
    assert_eq!(json.keys()[0].not_after.time(), Some(Timestamp::from_seconds(1_801_396_800)));
    assert_eq!(json.keys()[1].not_after, Expiry::NEVER);
    assert_eq!((json.label(&hashes[0]), json.label(&hashes[1])), (Some("old"), None));
    assert_eq!((json.token_subjects().len(), json.certificate_subjects().len()), (2, 1));
    assert_eq!(json.caps(), Some(r#"{"methods":{"get*":{"credits":2}},"rate":"10/s"}"#));
}

#[test]
fn caps_of_its_own_cost_nobody_else_memory() {
    // A word more in either would be a word for each of millions.
    assert_eq!((size_of::<Consumer>(), size_of::<Details>()), (144, 40));
    let caps = |text: &str| serde_json::from_str(text).expect("an object");
    let without = build(spec()).expect("right");
    assert_eq!((without.caps(), without.details.is_none()), (None, true));
    let with = build(ConsumerSpec { caps: Some(caps(r#"{"rate":"10/s"}"#)), ..spec() }).expect("right");
    let more = size_of::<Details>() + size_of::<Rare>() + r#"{"rate":"10/s"}"#.len();
    assert_eq!(with.heap_bytes(), without.heap_bytes() + more);
    let long = format!(r#"{{"rate":"{}"}}"#, "1".repeat(limits::CAPS));
    let error = build(ConsumerSpec { caps: Some(caps(&long)), ..spec() }).expect_err("too long");
    assert_eq!(error.to_string(), "`caps`: expected at most 16384 bytes");
}

#[test]
fn an_error_names_the_key_and_what_would_be_right() {
    for (text, key, problem) in [
        ("", None, "no JSON: EOF while parsing a value at column 0"),
        (r#"{"id":"a","plan":"p"} x"#, None, "no JSON: trailing characters at column 23"),
        (r#"{"id":"a","plan":"p""#, None, "no JSON: EOF while parsing an object at column 20"),
        (r#"{"plan":"p"}"#, None, "`id` is missing"),
        (r#"{"id":"a","id":"b","plan":"p"}"#, None, "`id` stands twice"),
        (r#"{"id":"a","plan":5}"#, Some("plan"), "expected a string, found integer"),
        (r#"{"id":"a","plan":"p","disabled":"yes"}"#, Some("disabled"), "expected a boolean, found string"),
        (
            r#"{"id":"a","plan":"p","keys":[{"hash":"x","until":1}]}"#,
            Some("keys[0].until"),
            "unknown key `until`, expected one of `hash`, `not_after`, `label`",
        ),
        (
            r#"{"id":"a","plan":"p","keys":[{"hash":"x","not_after":"2027"}]}"#,
            Some("keys[0].not_after"),
            "expected a time such as `2027-01-31T12:00:00Z`",
        ),
        (
            r#"{"id":"a","plan":"p","keys":[{"hash":"x","not_after":true}]}"#,
            Some("keys[0].not_after"),
            "expected a time such as `2027-01-31T12:00:00Z` or seconds since 1970, found boolean",
        ),
    ] {
        let error = parse(Format::Ndjson, text.as_bytes()).expect_err(text);
        assert_eq!((error.key.as_deref(), &*error.problem), (key, problem), "{text}");
    }
}

#[test]
fn a_yaml_error_names_its_line_and_key() {
    for (text, line, key, problem) in [
        (
            "- id: a\n  plan: p\n  keys:\n  - hash: x\n    until: 3\n",
            4,
            Some("keys[0].until"),
            "unknown key `until`, expected one of `hash`, `not_after`, `label`",
        ),
        ("- id: a\n  plan: [p]\n", 1, Some("plan"), "expected a string, found sequence"),
        ("- id: a\n", 0, None, "`plan` is missing"),
        ("- id: *b\n", 0, Some("id"), "unknown anchor"),
    ] {
        let error = parse(Format::Yaml, text.as_bytes()).expect_err(text);
        assert_eq!((error.lines_on, error.key.as_deref(), &*error.problem), (line, key, problem), "{text}");
    }
}

#[test]
fn no_error_repeats_a_key_that_stands_in_the_wrong_place() {
    let key = "pk_SECRETSECRETSECRETSECRET";
    for text in [
        format!(r#"{{"id":"a","plan":"p","keys":"{key}"}}"#),
        format!(r#"{{"id":"a","plan":"p","keys":["{key}"]}}"#),
        format!(r#"{{"id":"a","plan":"p","{key}":1}}"#),
        format!(r#"{{"id":"a","plan":"p","disabled":"{key}"}}"#),
        format!(r#"{{"id":"a","plan":"p","keys":[{{"hash":"x","not_after":"{key}, expected {key}"}}]}}"#),
        format!(r#"{{"id":"a","plan":"p","disabled":"x, expected {key}"}}"#),
    ] {
        for format in [Format::Ndjson, Format::Yaml] {
            let text = if format == Format::Yaml { format!("- {text}\n") } else { text.clone() };
            let error = parse(format, text.as_bytes()).expect_err(&text);
            assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        }
    }
    let spec = ConsumerSpec { keys: vec![KeySpec { hash: key.to_owned(), ..KeySpec::default() }], ..spec() };
    assert!(!build(spec).expect_err("no hash").to_string().contains("SECRET"));
}

#[test]
fn every_value_is_checked() {
    let long = "x".repeat(600);
    let texts = |n: usize| (0..n).map(|n| format!("m{n}")).collect::<Vec<_>>();
    let keys = |hashes: &[&str]| {
        hashes.iter().map(|hash| KeySpec { hash: (*hash).to_owned(), ..KeySpec::default() }).collect()
    };
    let token =
        |issuer: Option<&str>, subject: &str| TokenSubject { issuer: issuer.map(Into::into), subject: subject.into() };
    let (one, late) = (hash('1'), Timestamp::from_seconds(u64::from(u32::MAX)));
    for (wrong, key) in [
        (ConsumerSpec { id: String::new(), ..spec() }, "id"),
        (ConsumerSpec { id: "a b".to_owned(), ..spec() }, "id"),
        (ConsumerSpec { id: "é".to_owned(), ..spec() }, "id"),
        (ConsumerSpec { id: long.clone(), ..spec() }, "id"),
        (ConsumerSpec { plan: String::new(), ..spec() }, "plan"),
        (ConsumerSpec { keys: keys(&["b3:00"]), ..spec() }, "keys[0].hash"),
        (ConsumerSpec { keys: keys(&[&one, &one]), ..spec() }, "keys[1]"),
        (ConsumerSpec { keys: keys(&[one.as_str(); 33]), ..spec() }, "keys"),
        (
            ConsumerSpec { keys: vec![KeySpec { hash: one.clone(), not_after: Some(late), label: None }], ..spec() },
            "keys[0].not_after",
        ),
        (
            ConsumerSpec {
                keys: vec![KeySpec { hash: one, not_after: None, label: Some("a\nb".to_owned()) }],
                ..spec()
            },
            "keys[0].label",
        ),
        (ConsumerSpec { origins: vec!["app.example.com".to_owned()], ..spec() }, "origins[0]"),
        (ConsumerSpec { networks: vec!["10.0.0.0/8".to_owned(), "10.0.0.1/8".to_owned()], ..spec() }, "networks[1]"),
        (ConsumerSpec { networks: vec!["10.0.0.0/33".to_owned()], ..spec() }, "networks[0]"),
        (ConsumerSpec { hosts: vec!["a.*.com".to_owned()], ..spec() }, "hosts[0]"),
        (ConsumerSpec { methods: vec!["g*t".to_owned()], ..spec() }, "methods[0]"),
        (ConsumerSpec { methods: texts(257), ..spec() }, "methods"),
        (ConsumerSpec { jwt: vec![token(None, "")], ..spec() }, "jwt[0].subject"),
        (ConsumerSpec { jwt: vec![token(Some(&long), "a")], ..spec() }, "jwt[0].issuer"),
        (ConsumerSpec { jwt: vec![token(None, "a"), token(None, "a")], ..spec() }, "jwt[1]"),
        (ConsumerSpec { certificates: vec!["CN=a".to_owned(), "CN=a".to_owned()], ..spec() }, "certificates[1]"),
        (ConsumerSpec { certificates: texts(33), ..spec() }, "certificates"),
    ] {
        let error = build(wrong.clone()).expect_err(key);
        assert_eq!(error.key, key, "{error}");
    }
    let full = ConsumerSpec { methods: texts(256), certificates: texts(32), ..spec() };
    assert!(build(full).is_ok());
}

#[test]
fn says_how_a_network_with_bits_too_many_is_written() {
    let error = build(ConsumerSpec { networks: vec!["10.0.0.1/8".to_owned()], ..spec() }).expect_err("bits");
    assert_eq!(error.to_string(), "`networks[0]`: write `10.0.0.0/8`");
}

#[test]
fn a_consumer_without_restrictions_holds_no_memory_for_them() {
    let plain = build(spec()).expect("right");
    assert_eq!((plain.restrictions(), plain.details.is_none()), (None, true));
    // The id is one byte, behind the two counts of an `Arc`.
    assert_eq!(plain.heap_bytes(), size_of::<Consumer>() + 1 + 2 * size_of::<usize>());
    let open = build(ConsumerSpec { methods: vec!["*".to_owned()], ..spec() }).expect("right");
    assert_eq!(open.restrictions(), None);
}

#[test]
fn plans_are_held_once_and_keep_their_index() {
    let mut plans = Plans::default();
    let indexes = ["free", "pro", "free"].map(|name| plans.plan(name, 2).expect("room").index());
    assert_eq!(indexes, [0, 1, 0]);
    assert!(plans.plan("third", 2).is_none());
    assert_eq!(plans.all().iter().map(|plan| plan.to_string()).collect::<Vec<_>>(), ["free", "pro"]);
}

#[test]
fn hosts_are_exact_or_below_a_suffix() {
    for (pattern, host, expected) in [
        ("rpc.example.com", "rpc.example.com", true),
        ("RPC.example.com", "rpc.example.com", true),
        ("rpc.example.com", "a.rpc.example.com", false),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "badexample.com", false),
        ("[2001:db8::1]", "[2001:db8::1]", true),
    ] {
        assert_eq!(pattern.parse::<HostPattern>().expect("a pattern").matches(host), expected, "{pattern} {host}");
    }
    for text in ["", "*", "*.", "a:80", "a..b", "*.10.0.0.1", "a b", "[::1", "https://a"] {
        assert_eq!(text.parse::<HostPattern>(), Err(PatternError::Host), "{text}");
    }
}

#[test]
fn origins_are_exact_or_all_subdomains() {
    for (pattern, origin, expected) in [
        ("https://app.example.com", "https://app.example.com", true),
        ("https://app.example.com:443", "https://APP.example.com", true),
        ("https://app.example.com", "http://app.example.com", false),
        ("https://app.example.com", "https://app.example.com:8443", false),
        ("https://app.example.com", "https://app.example.com.evil.test", false),
        ("http://localhost:3000", "http://localhost:3000", true),
        ("https://*.example.com", "https://a.example.com", true),
        ("https://*.example.com", "https://a.b.example.com", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://.example.com", false),
        ("https://*.example.com", "https://evil.test/.example.com", false),
        ("https://*.example.com", "https://evil.test#.example.com", false),
        ("https://*.example.com", "https://a@b.example.com", false),
        ("https://*.example.com", "http://a.example.com", false),
        ("https://*.example.com", "https://a.example.com:8443", false),
        ("https://*.example.com:8443", "https://a.example.com:8443", true),
        ("https://*.example.com", "é.example.com", false),
        ("https://*.example.com", "null", false),
        ("https://[::1]:3000", "https://[::1]:3000", true),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh", true),
    ] {
        assert_eq!(
            pattern.parse::<OriginPattern>().expect("a pattern").matches(origin),
            expected,
            "{pattern} {origin}"
        );
    }
    for text in
        ["", "app.example.com", "https://", "https://a/", "https://a:b", "https://a:+1", "https://*", "://a", "null"]
    {
        assert_eq!(text.parse::<OriginPattern>(), Err(PatternError::Origin), "{text}");
    }
}

#[test]
fn capitals_are_http_methods_and_all_else_is_rpc() {
    let allows = |methods: &[&str], http: &str, rpc: &str| {
        let methods = methods.iter().map(|&one| one.to_owned()).collect();
        let consumer = build(ConsumerSpec { methods, ..spec() }).expect("right");
        consumer.restrictions().is_none_or(|one| one.allows_http_method(http) && one.allows_rpc_method(rpc))
    };
    for (methods, http, rpc, expected) in [
        (&[][..], "PATCH", "getBlock", true),
        (&["*"], "PATCH", "getBlock", true),
        (&["GET"], "GET", "getBlock", true),
        (&["GET"], "POST", "getBlock", false),
        (&["P*"], "POST", "x", true),
        (&["getBlock"], "POST", "getBlock", true),
        (&["getBlock"], "POST", "getblock", false),
        (&["getBlock"], "POST", "getBlocks", false),
        (&["get*", "eth_call"], "POST", "getBlocks", true),
        (&["get*", "eth_call"], "POST", "eth_call", true),
        (&["get*", "GET"], "POST", "getBlocks", false),
        (&["get*", "*"], "POST", "sendTransaction", true),
    ] {
        assert_eq!(allows(methods, http, rpc), expected, "{methods:?} {http} {rpc}");
    }
}

#[test]
fn networks_take_mapped_addresses_as_ipv4() {
    let networks = ["203.0.113.0/24", "2001:db8::/48", "192.0.2.1"].map(ToOwned::to_owned).to_vec();
    let consumer = build(ConsumerSpec { networks, ..spec() }).expect("right");
    let restrictions = consumer.restrictions().expect("some");
    for (client, expected) in [
        ("203.0.113.7", true),
        ("::ffff:203.0.113.7", true),
        ("203.0.114.7", false),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("2001:db8:0:1::1", true),
        ("2001:db9::1", false),
    ] {
        assert_eq!(restrictions.allows_network(client.parse().expect("an address")), expected, "{client}");
    }
}

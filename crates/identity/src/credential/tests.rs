//! Credentials found, refused, and taken out.

use super::*;
use proptest::prelude::*;

const KEY: &str = "pk_0123456789abcdef";
const OTHER: &str = "pk_fedcba9876543210";

/// All places open.
fn places() -> Places {
    Places { path: "/v1/{key}".parse().ok(), basic: Some(BasicPart::User), ..Places::default() }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

fn basic(text: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

type Found = Result<Option<(Kind, String)>, ExtractError>;

fn extract(places: &Places, target: &str, fields: &[(&'static str, &str)]) -> Found {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = headers(fields);
    let found = places.extract(Parts { path, query, headers: &headers })?;
    Ok(found.map(|one| (one.kind, String::from_utf8(one.text.as_bytes().to_vec()).expect("ASCII"))))
}

fn some(kind: Kind) -> Found {
    Ok(Some((kind, KEY.to_owned())))
}

#[test]
fn finds_the_credential_in_each_place() {
    let token = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
    for (target, fields, expected) in [
        ("/?api-key=pk_0123456789abcdef", &[][..], some(Kind::Query)),
        ("/?a=1&API-KEY=pk_0123456789abcdef&b", &[], some(Kind::Query)),
        ("/?api%2dkey=pk_0123456789abcde%66", &[], some(Kind::Query)),
        ("/?a=1;api-key=pk_0123456789abcdef", &[], some(Kind::Query)),
        ("/v1/pk_0123456789abcdef", &[], some(Kind::Path)),
        ("/v1/pk_0123456789abcde%66/blocks", &[], some(Kind::Path)),
        ("/", &[("x-api-key", KEY)], some(Kind::Header)),
        ("/", &[("authorization", "Bearer pk_0123456789abcdef")], some(Kind::Bearer)),
        ("/", &[("authorization", "bEARER   pk_0123456789abcdef ")], some(Kind::Bearer)),
        ("/", &[("authorization", &basic("pk_0123456789abcdef:"))], some(Kind::Basic)),
        ("/", &[("authorization", &basic("pk_0123456789abcdef:what:ever"))], some(Kind::Basic)),
        ("/", &[("authorization", &format!("Bearer {token}"))], Ok(Some((Kind::Token, token.to_owned())))),
        // Nothing there.
        ("/", &[], Ok(None)),
        ("/v1", &[], Ok(None)),
        ("/v1/", &[], Ok(None)),
        ("/v2/pk_0123456789abcdef", &[], Ok(None)),
        ("/?api-key=", &[("x-api-key", "")], Ok(None)),
        ("/?api-key", &[], Ok(None)),
        ("/?api_key=pk_0123456789abcdef&key=pk_0123456789abcdef", &[], Ok(None)),
        ("/", &[("x_api_key", KEY)], Ok(None)),
        ("/", &[("authorization", "Digest username=\"a\"")], Ok(None)),
        ("/", &[("authorization", KEY)], Ok(None)),
    ] {
        assert_eq!(extract(&places(), target, fields), expected, "{target} {fields:?}");
    }
}

#[test]
fn each_place_is_switched_by_itself() {
    let closed = Places { query: None, path: None, header: None, bearer: false, basic: None, ..Places::default() };
    let (basic_user, basic_password) = (basic("pk_0123456789abcdef:secret"), basic("user:pk_0123456789abcdef"));
    let opened = [
        (Places { query: Some("token".into()), ..closed.clone() }, "/?token=pk_0123456789abcdef", None, Kind::Query),
        (Places { path: "/*/{key}".parse().ok(), ..closed.clone() }, "/x/pk_0123456789abcdef", None, Kind::Path),
        (
            Places { header: Some(HeaderName::from_static("apikey")), ..closed.clone() },
            "/",
            Some(("apikey", KEY)),
            Kind::Header,
        ),
        (
            Places { bearer: true, ..closed.clone() },
            "/",
            Some(("authorization", "Bearer pk_0123456789abcdef")),
            Kind::Bearer,
        ),
        (
            Places { basic: Some(BasicPart::User), ..closed.clone() },
            "/",
            Some(("authorization", &*basic_user)),
            Kind::Basic,
        ),
        (
            Places { basic: Some(BasicPart::Password), ..closed.clone() },
            "/",
            Some(("authorization", &*basic_password)),
            Kind::Basic,
        ),
    ];
    for (places, target, field, kind) in opened {
        let fields: Vec<_> = field.into_iter().collect();
        assert_eq!(extract(&places, target, &fields), some(kind), "{kind:?}");
        assert_eq!(extract(&closed, target, &fields), Ok(None), "{kind:?}");
    }
}

#[test]
fn several_that_differ_are_refused_and_equal_ones_are_fine() {
    let bearer = |key: &str| format!("Bearer {key}");
    for (target, fields, expected) in [
        ("/?api-key=pk_0123456789abcdef&api-key=pk_0123456789abcdef", &[][..], some(Kind::Query)),
        ("/?api-key=pk_0123456789abcdef&api%2Dkey=pk_fedcba9876543210", &[], Err(ExtractError::Ambiguous)),
        ("/?api-key=pk_0123456789abcdef", &[("x-api-key", KEY)], some(Kind::Query)),
        ("/?api-key=pk_0123456789abcdef", &[("x-api-key", OTHER)], Err(ExtractError::Ambiguous)),
        ("/v1/pk_0123456789abcdef", &[("authorization", &bearer(OTHER))], Err(ExtractError::Ambiguous)),
        ("/", &[("x-api-key", KEY), ("x-api-key", OTHER)], Err(ExtractError::Ambiguous)),
        (
            "/",
            &[("authorization", &bearer(KEY)), ("authorization", &basic("pk_fedcba9876543210:"))],
            Err(ExtractError::Ambiguous),
        ),
        (
            "/",
            &[("authorization", &bearer(KEY)), ("authorization", &basic("pk_0123456789abcdef:"))],
            some(Kind::Bearer),
        ),
        (
            "/",
            &[("x-api-key", KEY), ("authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA")],
            Err(ExtractError::Ambiguous),
        ),
    ] {
        assert_eq!(extract(&places(), target, fields), expected, "{target} {fields:?}");
    }
}

#[test]
fn what_no_key_can_be_is_refused_before_it_is_hashed() {
    let long = "k".repeat(129);
    let huge = "k".repeat(100_000);
    for (target, fields, kind) in [
        ("/?api-key=short", &[][..], Kind::Query),
        (&*format!("/?api-key={long}"), &[], Kind::Query),
        (&format!("/?api-key={}", "%61".repeat(300)), &[], Kind::Query),
        ("/?api-key=pk_0123456789%zzabcdef", &[], Kind::Query),
        ("/?api-key=pk_0123456789+abcdef", &[], Kind::Query),
        ("/?api-key=pk_0123456789%00abcdef", &[], Kind::Query),
        ("/v1/short", &[], Kind::Path),
        ("/", &[("x-api-key", "pk_0123456789 abcdef")], Kind::Header),
        ("/", &[("x-api-key", &huge)], Kind::Header),
        ("/", &[("authorization", "Bearer pk_0123456789\"abcdef")], Kind::Bearer),
        ("/", &[("authorization", "Basic pk_0123456789abcdef")], Kind::Basic),
        ("/", &[("authorization", &format!("Basic {huge}"))], Kind::Basic),
        ("/", &[("authorization", &basic("no colon at all here"))], Kind::Basic),
        ("/", &[("authorization", &format!("Bearer eyJ.{huge}.a"))], Kind::Token),
        ("/", &[("authorization", "Bearer eyJ.a+b.c")], Kind::Token),
    ] {
        assert_eq!(extract(&places(), target, fields), Err(ExtractError::Malformed(kind)), "{target:.40}");
    }
}

#[test]
fn extraction_and_an_idle_strip_allocate_nothing() {
    let fields = headers(&[("x-api-key", KEY), ("authorization", &basic("pk_0123456789abcdef:")), ("accept", "*/*")]);
    let parts = Parts { path: "/a/b", query: Some("a=1&api%2dkey=pk_0123456789abcde%66"), headers: &fields };
    let (places, plain) = (places(), HeaderMap::new());
    let info = allocation_counter::measure(|| {
        assert!(places.extract(parts).is_ok_and(|one| one.is_some()));
        let idle = Parts { path: "/a/b", query: Some("a=1&b=%20"), headers: &plain };
        let stripped = places.strip(idle, Some(b"another"));
        assert_eq!((&*stripped.path, stripped.query.as_deref()), ("/a/b", Some("a=1&b=%20")));
    });
    assert_eq!(info.count_total, 0);
}

fn strip(target: &str, fields: &[(&'static str, &str)], presented: Option<&str>) -> (String, Vec<String>) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = headers(fields);
    let stripped = places().strip(Parts { path, query, headers: &headers }, presented.map(str::as_bytes));
    let query = stripped.query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut names: Vec<String> = stripped.headers.iter().map(ToString::to_string).collect();
    names.sort();
    (format!("{}{query}", stripped.path), names)
}

#[test]
fn strips_every_copy_from_the_query() {
    for (target, expected) in [
        ("/?api-key=pk_0123456789abcdef", "/"),
        ("/?a=1&api-key=x&b=2", "/?a=1&b=2"),
        ("/?api-key=x&api-key=y&a", "/?a"),
        ("/?API-Key=x&api%2dkey=y&%61pi-key=z&a=1", "/?a=1"),
        ("/?a=1;api-key=x;b=2&c", "/?a=1;b=2&c"),
        ("/?api-key&a=1", "/?a=1"),
        ("/?&a=1&api-key=x", "/?&a=1"),
        ("/?&&a=1&api-key=x&&b", "/?&&a=1&&b"),
        ("/?&api-key=x&a", "/?a"),
        ("/?api-key2=x&xapi-key=y", "/?api-key2=x&xapi-key=y"),
        ("/?token=pk_0123456789abcdef&a=1", "/?a=1"),
        ("/?next=%2F%3Fapi-key%3Dpk_0123456789abcde%66&a=1", "/?a=1"),
        ("/?x=%zz%70k_0123456789abcdef", "/"),
        ("/?x=%pk_0123456789abcde%66", "/"),
        ("/?a=%zz&b=", "/?a=%zz&b="),
        ("/?", "/?"),
    ] {
        assert_eq!(strip(target, &[], Some(KEY)).0, expected, "{target}");
    }
    assert_eq!(strip("/?api-key=&token=pk_0123456789abcdef", &[], None).0, "/?token=pk_0123456789abcdef");
}

#[test]
fn strips_the_segment_of_the_path() {
    for (target, expected) in [
        ("/v1/pk_0123456789abcdef", "/v1"),
        ("/v1/pk_0123456789abcdef/", "/v1/"),
        ("/v1/pk_0123456789abcdef/blocks", "/v1/blocks"),
        ("/v1/pk_0123456789abcdef/pk_0123456789abcdef/x", "/v1/x"),
        ("/v1/anything/x", "/v1/x"),
        ("/v2/pk_0123456789abcdef/x", "/v2/x"),
        ("/v2/pk_0123456789abcde%66/x", "/v2/x"),
        ("/pk_0123456789abcdef", "/"),
        ("/v2/x", "/v2/x"),
        ("*", "*"),
    ] {
        assert_eq!(strip(target, &[], Some(KEY)).0, expected, "{target}");
    }
}

#[test]
fn strips_header_fields_whatever_their_case_or_underscores() {
    for (fields, expected) in [
        (&[("x-api-key", KEY), ("accept", "*/*")][..], &["x-api-key"][..]),
        (&[("x_api_key", KEY), ("x-api_key", KEY)], &["x-api_key", "x_api_key"]),
        (&[("authorization", "Bearer x")], &["authorization"]),
        (&[("authorization", "Digest x"), ("authorization", "basic x")], &["authorization"]),
        (&[("authorization", "Digest x")], &[]),
        (&[("authorization", "Bearer")], &["authorization"]),
        (&[("referer", "https://a.example/?api-key=pk_0123456789abcdef")], &["referer"]),
        (&[("referer", "https://a.example/?k=pk_0123456789abcde%66")], &["referer"]),
        (&[("referer", "https://a.example/")], &[]),
    ] {
        assert_eq!(strip("/", fields, Some(KEY)).1, expected, "{fields:?}");
    }
    // A name in capitals is the same name: this is what the HTTP types do, and what the stripping rests on.
    let name: HeaderName = "X-API-KEY".parse().expect("a name");
    assert_eq!(name, HeaderName::from_static("x-api-key"));
}

#[test]
fn templates_are_paths_that_end_with_the_key() {
    for (template, path, expected) in [
        ("/{key}", "/k/x", Some("k")),
        ("/v1/{key}", "/v1/k", Some("k")),
        ("/v1/{key}", "/v10/k", None),
        ("/*/rpc/{key}", "/eu/rpc/k/x", Some("k")),
        ("/*/rpc/{key}", "/eu/rpc", None),
    ] {
        assert_eq!(template.parse::<PathTemplate>().expect("a template").key(path), expected, "{template} {path}");
    }
    for text in ["", "/", "/v1", "v1/{key}", "/{key}/x", "//{key}", "/a*/{key}", "/{key}/{key}"] {
        assert_eq!(text.parse::<PathTemplate>(), Err(TemplateError), "{text}");
    }
}

#[test]
fn no_debug_shows_a_credential() {
    let fields = headers(&[("x-api-key", KEY)]);
    let found = places().extract(Parts { path: "/", query: None, headers: &fields });
    assert!(!format!("{found:?}").contains("0123"), "{found:?}");
    assert!(!format!("{:?}", Text::Borrowed(KEY.as_bytes())).contains("0123"));
}

/// A text with some of its letters percent-encoded.
fn encoded(text: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<bool>(), text.len()).prop_map(move |choices| {
        let letter = |(byte, escape): (u8, bool)| {
            if escape { format!("%{byte:02x}") } else { char::from(byte).to_string() }
        };
        text.bytes().zip(choices).map(letter).collect()
    })
}

proptest! {
    #[test]
    fn whatever_is_extracted_is_gone_after_stripping(
        name in encoded("api-key"),
        value in encoded(KEY),
        before in "[a-z=&;%+]{0,12}",
        after in "([&;][a-z0-9=%]{0,12})?",
        segment in prop::option::of(encoded(KEY)),
    ) {
        let separator = if before.is_empty() { "" } else { "&" };
        let query = format!("{before}{separator}{name}={value}{after}");
        let path = segment.map_or("/v2/x".to_owned(), |segment| format!("/v1/{segment}/x"));
        let headers = HeaderMap::new();
        let parts = Parts { path: &path, query: Some(&query), headers: &headers };
        let found = places().extract(parts);
        prop_assert!(matches!(&found, Ok(Some(one)) if one.text.as_bytes() == KEY.as_bytes()), "{:?}", found);
        let stripped = places().strip(parts, Some(KEY.as_bytes()));
        let left = Parts { path: &stripped.path, query: stripped.query.as_deref(), headers: &headers };
        prop_assert!(!left.path.contains(KEY) && !left.query.is_some_and(|query| query.contains(KEY)));
        prop_assert_eq!(Places { path: None, ..places() }.extract(left), Ok(None));
    }

    #[test]
    fn nothing_a_request_can_say_panics(path in ".{0,40}", query in ".{0,60}", field in "[ -~]{0,40}") {
        let headers = headers(&[("authorization", &field), ("x-api-key", &field), ("referer", &field)]);
        let parts = Parts { path: &path, query: Some(&query), headers: &headers };
        let found = places().extract(parts);
        let presented = found.ok().flatten().map(|one| one.text.as_bytes().to_vec());
        let stripped = places().strip(parts, presented.as_deref());
        prop_assert!(stripped.path.len() <= path.len().max(1));
    }
}

#[test]
fn names_every_stretch_of_a_target_that_holds_a_credential() {
    let places = Places { path: Some("/v1/{key}".parse().expect("a template")), ..Places::default() };
    let key = "abcdefgh-0123456789";
    let check = |path: &str, query: Option<&str>, header: &str, expected: &[&str]| {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert("x-api-key", header.parse().expect("a value"));
        }
        let mut found = std::collections::BTreeSet::new();
        places.secrets(Parts { path, query, headers: &headers }, &mut |text| found.extend([text.to_owned()]));
        let expected: std::collections::BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(found, expected, "{path} {query:?}");
    };
    check("/v1/abcdefgh-0123456789/x", None, "", &[key]);
    check("/v1/no!key", Some("a=1&API%2Dkey=bad!&b=2"), "", &["no!key", "bad!"]);
    check(
        "/a/abcdefgh%2D0123456789",
        Some("k=abcdefgh-0123456789&b=1"),
        key,
        &["abcdefgh%2D0123456789", "k=abcdefgh-0123456789", key],
    );
    check("/v2/free", Some("a=1"), "", &[]);
}

#[test]
fn a_key_of_ours_is_a_secret_wherever_it_stands_in_a_target() {
    let (ours, other) = (crate::ApiKey::from_entropy([1; 32]), crate::ApiKey::from_entropy([2; 32]));
    let (ours, other) = (ours.as_str(), other.as_str());
    let places = Places { path: Some("/v1/{key}".parse().expect("a template")), ..Places::default() };
    let headers = HeaderMap::new();
    for (path, query) in [
        (format!("/V1/{ours}/x"), None),
        (format!("http://a.test/v1/{ours}/x"), None),
        (format!("/v1%2f{ours}"), None),
        ("/x".to_owned(), Some(format!("q=a-{ours}-b&api-key={other}"))),
    ] {
        let (mut path, mut query) = (path, query.unwrap_or_default());
        let (before, asked) = (path.clone(), query.clone());
        places.secrets(Parts { path: &before, query: Some(&asked), headers: &headers }, &mut |text| {
            (path, query) = (path.replace(text, "***"), query.replace(text, "***"));
        });
        assert!(!path.contains("pk_") && !query.contains("pk_"), "{path} {query}");
    }
    assert_eq!(crate::key::within("/pk_short/PK_x/pk_").count(), 0);
}

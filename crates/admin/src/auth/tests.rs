//! Who is let in: tokens, certificates, the socket, browsers.

use super::*;

use portcullis_snapshot::settings::AdminSocket;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn token(name: &str, secret: &str, role: Role) -> AdminToken {
    AdminToken { name: name.into(), secret: secret.to_owned(), role }
}

fn admin(tokens: Vec<AdminToken>) -> Admin {
    Admin { bind: "127.0.0.1:9901".parse().ok(), tls: None, tokens, clients: Vec::new(), socket: None, audit: None }
}

fn with_tokens() -> Admin {
    admin(vec![
        token("token", "s3cret", Role::Admin),
        token("grafana", "looks", Role::Read),
        token("ci", "s3cret-of-ci", Role::Operate),
    ])
}

fn peer() -> Peer {
    Peer::Tcp { address: "127.0.0.1:5000".parse().unwrap(), tls: None }
}

/// Who is let through to what needs a role.
fn asked(
    admin: &Admin,
    peer: &Peer,
    (method, needs): (Method, Role),
    fields: &[(&'static str, &'static str)],
) -> Result<(String, Role), Kind> {
    let fields = headers(fields);
    let question = Question { peer, method: &method, headers: &fields, needs };
    let judged = judge(Some(admin), &Failures::default(), question);
    judged.map(|actor| (actor.name.to_string(), actor.role)).map_err(|refusal| refusal.kind)
}

#[test]
fn a_token_is_wanted_where_there_is_one() {
    let check = |given: Option<&'static str>, expected: Result<(&str, Role), Kind>| {
        let fields: Vec<_> = given.map(|value| ("authorization", value)).into_iter().collect();
        let got = asked(&with_tokens(), &peer(), (Method::GET, Role::Read), &fields);
        assert_eq!(got, expected.map(|(name, role)| (name.to_owned(), role)), "{given:?}");
    };
    check(Some("Bearer s3cret"), Ok(("token", Role::Admin)));
    check(Some("bearer  looks"), Ok(("grafana", Role::Read)));
    check(Some("Bearer s3cret-of-ci"), Ok(("ci", Role::Operate)));
    check(Some("Bearer s3cre"), Err(Kind::Unauthorized));
    check(Some("Bearer s3cretx"), Err(Kind::Unauthorized));
    check(Some("Basic s3cret"), Err(Kind::Unauthorized));
    check(Some("Bearer"), Err(Kind::Unauthorized));
    check(Some("Bearer "), Err(Kind::Unauthorized));
    check(None, Err(Kind::Unauthorized));
}

#[test]
fn a_role_has_those_below_it() {
    let roles = [("looks", Role::Read), ("s3cret-of-ci", Role::Operate), ("s3cret", Role::Admin)];
    for (at, (secret, has)) in roles.iter().enumerate() {
        for (below, (_, needs)) in roles.iter().enumerate() {
            let value: &'static str = format!("Bearer {secret}").leak();
            let got = asked(&with_tokens(), &peer(), (Method::POST, *needs), &[("authorization", value)]);
            let expected = if below <= at { Ok(*has) } else { Err(Kind::RoleMissing) };
            assert_eq!(got.map(|(_, role)| role), expected, "{has:?} for {needs:?}");
        }
    }
    let (fields, method) = (headers(&[("authorization", "Bearer looks")]), Method::POST);
    let question = Question { peer: &peer(), method: &method, headers: &fields, needs: Role::Admin };
    let refusal = judge(Some(&with_tokens()), &Failures::default(), question).unwrap_err();
    let told = format!("{:?}", refusal.problem());
    assert!(told.contains("this needs the role `admin`; grafana has the role `read`"), "{told}");
}

#[test]
fn without_a_token_the_host_must_be_loopback() {
    let check = |host: &'static str, ok: bool| {
        let got = asked(&admin(Vec::new()), &peer(), (Method::GET, Role::Admin), &[("host", host)]);
        assert_eq!(got.is_ok(), ok, "{host}");
    };
    check("127.0.0.1:9901", true);
    check("127.0.0.1", true);
    check("[::1]:9901", true);
    check("localhost:9901", true);
    check("LOCALHOST", true);
    check("evil.example.com:9901", false);
    check("localhost.evil.example.com", false);
    check("10.0.0.1:9901", false);
    check("", false);
    assert_eq!(asked(&admin(Vec::new()), &peer(), (Method::GET, Role::Read), &[]), Err(Kind::HostNotLoopback));
}

#[test]
fn a_page_of_another_site_or_origin_is_refused_with_and_without_token() {
    let own = ("host", "127.0.0.1:9901");
    let json = ("content-type", "application/json");
    let body = ("content-length", "2");
    let check = |method: Method, fields: &[(&'static str, &'static str)], expected: Option<Kind>| {
        let all: Vec<_> = fields.iter().copied().chain([own]).collect();
        let got = asked(&admin(Vec::new()), &peer(), (method.clone(), Role::Read), &all);
        assert_eq!(got.err(), expected, "{method} {fields:?}");
    };
    let foreign = Some(Kind::CrossSite);
    check(Method::GET, &[("sec-fetch-site", "same-origin")], None);
    check(Method::GET, &[("sec-fetch-site", "none")], None);
    check(Method::GET, &[("sec-fetch-site", "cross-site")], foreign);
    check(Method::GET, &[("sec-fetch-site", "same-site")], foreign);
    check(Method::POST, &[], None);
    check(Method::POST, &[("origin", "http://127.0.0.1:9901")], None);
    check(Method::POST, &[("origin", "https://127.0.0.1:9901")], foreign);
    check(Method::POST, &[("origin", "http://127.0.0.1:9902")], foreign);
    check(Method::POST, &[("origin", "null")], foreign);
    check(Method::POST, &[("origin", "http://evil.example.com")], foreign);
    check(Method::POST, &[body, json], None);
    check(Method::POST, &[body], Some(Kind::ContentType));
    check(Method::POST, &[("transfer-encoding", "chunked")], Some(Kind::ContentType));
    check(Method::POST, &[body, ("content-type", "text/plain; charset=utf-8")], Some(Kind::ContentType));
    check(Method::DELETE, &[body, ("content-type", "Multipart/Form-Data; boundary=x")], Some(Kind::ContentType));
    check(Method::POST, &[body, json, ("content-type", "text/plain")], Some(Kind::ContentType));
    let authorized = [("authorization", "Bearer s3cret"), own, body];
    assert!(asked(&with_tokens(), &peer(), (Method::POST, Role::Admin), &authorized).is_ok());
    for foreign in [("origin", "http://evil.example.com"), ("sec-fetch-site", "cross-site")] {
        let fields: Vec<_> = authorized.into_iter().chain([foreign]).collect();
        let got = asked(&with_tokens(), &peer(), (Method::POST, Role::Admin), &fields);
        assert_eq!(got, Err(Kind::CrossSite), "{foreign:?}");
    }
}

#[test]
fn the_socket_knows_users_by_their_ids() {
    let check = |role: Option<Role>, trusted: bool, expected: Result<Role, Kind>| {
        let socket = AdminSocket { path: "x".into(), mode: Default::default(), role };
        let admin = Admin { socket: Some(socket), ..with_tokens() };
        let got = asked(&admin, &Peer::Socket { uid: 1000, trusted }, (Method::GET, Role::Read), &[]);
        assert_eq!(got, expected.map(|role| ("uid:1000".to_owned(), role)));
    };
    check(None, true, Ok(Role::Admin));
    check(None, false, Err(Kind::RoleMissing));
    check(Some(Role::Operate), false, Ok(Role::Operate));
}

#[test]
fn a_flood_of_wrong_tokens_is_not_looked_at() {
    let (admin, failures, fields) = (with_tokens(), Failures::default(), headers(&[("authorization", "Bearer no")]));
    let (peer, method) = (peer(), Method::GET);
    let question = Question { peer: &peer, method: &method, headers: &fields, needs: Role::Read };
    let kinds: Vec<Kind> =
        (0..30).filter_map(|_| judge(Some(&admin), &failures, question).err()).map(|one| one.kind).collect();
    assert_eq!(kinds.len(), 30);
    assert!(kinds.iter().take(10).all(|kind| *kind == Kind::Unauthorized), "{kinds:?}");
    assert!(kinds.iter().skip(11).any(|kind| *kind == Kind::TooManyFailures), "{kinds:?}");
    let right = headers(&[("authorization", "Bearer s3cret")]);
    let other = Peer::Tcp { address: "127.0.0.2:5000".parse().unwrap(), tls: None };
    let question = Question { peer: &other, method: &method, headers: &right, needs: Role::Admin };
    assert!(judge(Some(&admin), &failures, question).is_ok(), "another network is not slowed");
}

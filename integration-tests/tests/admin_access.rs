//! Who may use the admin API, over real sockets: tokens, TLS and client certificates, the Unix socket; and what a web
//! page cannot do.

use portcullis_integration_tests::cli::{Ended, run};
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::place::own_ip;
use portcullis_integration_tests::{Client, Gateway, Origin, Response, Setup, until};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

const SOCKET: &str = "admin: { bind: \"@admin\", token: of-the-test, socket: { path: admin.sock } }";

fn command(gateway: &Gateway, args: &[&str]) -> Ended {
    run(gateway.dir(), &[args, &["-c", "gateway.yaml"]].concat())
}

/// The status of an answer to a request on the socket.
fn on_socket(path: &Path, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn with_token(client: &mut Client, method: &str, path: &str, token: &str, body: &str) -> Response {
    client.ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: x.test\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn the_socket_is_for_its_owner_and_the_command_line_finds_it() {
    let mut gateway = Setup::to(&Origin::says("fine")).top(SOCKET).start();
    let path = gateway.dir().join("admin.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // No token: the user is known by the system.
    let (status, told) = on_socket(&path, &get("/api/audit"));
    assert_eq!(status, 200, "{told}");
    let banned = command(&gateway, &["bans", "add", "203.0.113.0/24", "--for", "1h", "--reason", "abuse"]);
    assert_eq!(banned.code, 0, "{banned:?}");
    let (_, told) = on_socket(&path, &get("/api/audit"));
    assert!(told.contains("\"via\": \"socket\"") && told.contains("\"reason\": \"abuse\""), "{told}");
    let elsewhere = run(gateway.dir(), &["status", "--admin", &format!("unix:{}", path.display())]);
    assert_eq!(elsewhere.code, 0, "{elsewhere:?}");
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_living_one_is_not() {
    let mut gateway = Setup::to(&Origin::says("fine")).top(SOCKET).start();
    let path = gateway.dir().join("admin.sock");
    let other = format!("admin: {{ bind: \"@admin\", token: x, socket: {{ path: {} }} }}", path.display());
    let mut second = Gateway::spawn(&Setup::to(&Origin::says("fine")).top(&other).yaml());
    assert_eq!(second.wait().code(), Some(1));
    until("the reason", || second.stderr().contains("another process accepts there").then_some(()));
    assert_eq!(on_socket(&path, &get("/healthz")).0, 200, "the first one's is still there");
    gateway.signal("KILL");
    gateway.wait();
    assert!(path.exists());
    gateway.start_again();
    assert_eq!(on_socket(&path, &get("/api/status")).0, 200);
}

#[test]
fn the_socket_is_there_and_served_while_the_binary_is_replaced() {
    let mut gateway = Setup::to(&Origin::says("fine")).top(SOCKET).start();
    let path = gateway.dir().join("admin.sock");
    let post = "POST /api/upgrade HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (status, told) = on_socket(&path, post);
    assert_eq!(status, 200, "{told}\n{}", gateway.stderr());
    let pid = told.split("\"pid\": ").nth(1).unwrap().split(',').next().unwrap();
    gateway.end_with_test(pid.parse().unwrap());
    assert!(gateway.wait().success(), "{}", gateway.stderr());
    let (status, told) = on_socket(&path, &get("/api/status"));
    assert!(status == 200 && told.contains("\"trigger\": \"upgrade\""), "{told}");
    let left = std::fs::read_dir(gateway.dir()).unwrap().flatten();
    let waiting = left.filter(|file| file.file_name().to_string_lossy().starts_with('.')).count();
    assert_eq!(waiting, 0, "the name under which it waited is gone");
}

#[test]
fn a_socket_where_everybody_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let admin = format!("admin: {{ socket: {{ path: \"{}/admin.sock\" }} }}", dir.path().display());
    let mut gateway = Gateway::spawn(&Setup::to(&Origin::says("fine")).top(&admin).yaml());
    assert_eq!(gateway.wait().code(), Some(1));
    until("the reason", || gateway.stderr().contains("everybody may write there").then_some(()));
}

#[test]
fn a_reload_moves_the_socket_and_changes_its_mode() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top(SOCKET).start();
    let first = gateway.dir().join("admin.sock");
    gateway.write(&Setup::to(&origin).top(&SOCKET.replace("admin.sock", "admin.sock, mode: \"0660\"")).yaml());
    let mode = || std::fs::metadata(&first).unwrap().permissions().mode() & 0o777;
    until("the other mode", || (mode() == 0o660).then_some(()));
    gateway.write(&Setup::to(&origin).top(&SOCKET.replace("admin.sock", "other.sock")).yaml());
    until("the socket to move", || (!first.exists()).then_some(()));
    assert_eq!(on_socket(&gateway.dir().join("other.sock"), &get("/api/status")).0, 200);
}

#[test]
fn tokens_have_roles_and_a_reload_takes_them_away_on_open_connections() {
    let origin = Origin::says("fine");
    let admin = "admin: { bind: \"@admin\", token: all, tokens: { grafana: { token: looks, role: read }, \
                 ci: { token: operates, role: operate } } }";
    let gateway = Setup::to(&origin).top(admin).start();
    let mut client = Client::connect(gateway.address("admin"));
    let mut status = |method: &str, path: &str, token: &str| with_token(&mut client, method, path, token, "").status;
    assert_eq!(status("GET", "/api/status", "looks"), 200);
    assert_eq!(status("POST", "/api/reload", "looks"), 403);
    assert_eq!(status("POST", "/api/reload", "operates"), 200);
    assert_eq!(status("GET", "/api/audit", "operates"), 403);
    assert_eq!(status("GET", "/api/audit", "all"), 200);
    let refused = with_token(&mut client, "POST", "/api/config", "operates", "version: 1");
    assert_eq!((refused.status, refused.reason()), (403, "role_missing".to_owned()));
    let told = refused.json();
    assert_eq!((&told["needs"], &told["has"]), (&"admin".into(), &"operate".into()));
    gateway.write(&Setup::to(&origin).top("admin: { bind: \"@admin\", token: all }").yaml());
    until("the token to be taken away", || {
        let mut client = Client::connect(gateway.address("admin"));
        (with_token(&mut client, "GET", "/api/status", "looks", "").status == 401).then_some(())
    });
    assert_eq!(with_token(&mut client, "GET", "/api/status", "operates", "").status, 401, "on the open one too");
}

#[test]
fn a_client_certificate_has_the_role_of_its_subject() {
    let (origin, pki, clients) = (Origin::says("fine"), Pki::new(), Pki::new());
    let here = own_ip().to_string();
    let (edge, ops, stranger) = (pki.issue(&here), clients.issue("ops"), clients.issue("stranger"));
    let admin = format!(
        "admin:\n  bind: \"@admin\"\n  token: of-the-test\n  tls: {{ certificates: [{}], client_ca: \"{}\" }}\n  \
         clients: {{ \"CN=ops\": operate }}\n  socket: {{ path: admin.sock }}",
        edge.yaml(),
        clients.ca().display()
    );
    let gateway = Gateway::spawn(&Setup::to(&origin).top(&admin).yaml());
    let path = gateway.dir().join("admin.sock");
    until("the gateway to be ready", || {
        let is_ready = || on_socket(&path, &get("/readyz")).0 == 200;
        (path.exists() && UnixStream::connect(&path).is_ok() && is_ready()).then_some(())
    });
    let connect = |config| Client::connect(gateway.address("admin")).with_tls(&config, &here);
    let ask = |client: &mut Client, method: &str, path: &str| {
        client.ask(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"))
    };
    let mut known = connect(pki.client_with(&ops, &[]));
    assert_eq!(ask(&mut known, "POST", "/api/reload").status, 200);
    let refused = ask(&mut known, "POST", "/api/config");
    assert_eq!((refused.status, refused.json()["has"].clone()), (403, "operate".into()));
    let mut unknown = connect(pki.client_with(&stranger, &[]));
    assert_eq!(ask(&mut unknown, "GET", "/api/status").reason(), "role_missing");
    let mut nobody = connect(pki.client(&[]));
    assert_eq!(ask(&mut nobody, "GET", "/api/status").status, 401);
    assert_eq!(ask(&mut nobody, "GET", "/healthz").status, 200);
    assert_eq!(with_token(&mut nobody, "GET", "/api/audit", "of-the-test", "").status, 200);
    // One of another authority does not get through the handshake.
    let mut forged = connect(pki.client_with(&pki.issue("ops"), &[]));
    drop(forged.try_send(get("/api/status")));
    assert!(forged.try_response().is_err());
    // The command line, with certificates.
    let text = |path: &Path| path.display().to_string();
    let (ca, cert, key) = (text(&pki.ca()), text(&ops.cert), text(&ops.key));
    let place = format!("https://{}", gateway.address("admin"));
    let ask = |command: &str, more: &[&str]| run(gateway.dir(), &[&[command, "--admin", &place], more].concat());
    let own = ["--admin-ca", &ca, "--admin-cert", &cert, "--admin-key", &key];
    let reloaded = ask("reload", &own);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    let unnamed = ask("status", &own[..2]);
    assert!(unnamed.code == 1 && unnamed.stderr.contains("this needs the role `read`"), "{unnamed:?}");
    let untrusted = ask("status", &["--admin-ca", &text(&clients.ca())]);
    assert!(untrusted.code == 1 && untrusted.stderr.contains("TLS"), "{untrusted:?}");
}

#[test]
fn whoever_guesses_is_slowed_and_others_are_not() {
    let gateway = Setup::to(&Origin::says("fine")).top(SOCKET).start();
    let mut client = Client::connect(gateway.address("admin"));
    let statuses: Vec<u16> =
        (0..40).map(|n| with_token(&mut client, "GET", "/api/status", &format!("guess-{n}"), "").status).collect();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(statuses[..10].iter().all(|status| *status == 401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(on_socket(&gateway.dir().join("admin.sock"), &get("/api/status")).0, 200);
    let mut other = Client::connect_from("127.99.0.1", gateway.address("admin"));
    assert_eq!(with_token(&mut other, "GET", "/api/status", "of-the-test", "").status, 200, "another network");
}

#[test]
fn a_web_page_cannot_have_a_browser_change_anything() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let ask = |fields: &str, body: &str| {
        let mut client = Client::connect(gateway.address("admin"));
        let head = format!("POST /api/reload HTTP/1.1\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        client.ask(format!("{head}{body}"))
    };
    let (own, json) = (format!("Host: {}\r\n", gateway.address("admin")), "Content-Type: application/json\r\n");
    for (fields, body, status) in [
        (own.clone(), "", 200),
        (format!("{own}Origin: http://{}\r\n", gateway.address("admin")), "", 200),
        (format!("{own}{json}"), "{}", 200),
        (own.clone(), "{}", 415),
        (format!("{own}Content-Type: text/plain\r\n"), "{}", 415),
        (format!("{own}Origin: http://evil.test\r\n"), "", 403),
        (format!("{own}Origin: null\r\n"), "", 403),
        (format!("{own}Sec-Fetch-Site: same-site\r\n"), "", 403),
        ("Host: rebound.evil.test\r\n".to_owned(), "", 403),
    ] {
        let answer = ask(&fields, body);
        assert_eq!(answer.status, status, "{fields:?} {body:?}: {}", answer.text());
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
    assert_eq!(gateway.admin().json("/api/status")["generation"], 4, "three reloads, and no more");
}

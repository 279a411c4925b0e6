//! The access log when its disk is full, and in its text form.

use portcullis_integration_tests::{Origin, Setup, until};

#[test]
fn serves_on_when_the_disk_of_the_log_is_full_and_counts_what_it_drops() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top("access_log: { path: /dev/full }").start();
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/a").status, 200);
    }
    let dropped = || gateway.admin().metric("portcullis_records_dropped_total", "");
    until("the drops to be counted", || (dropped() >= 50.0).then_some(()));
    let status = gateway.admin().json("/api/status");
    assert!(status["logs"].to_string().contains("write_failed"), "{}", status["logs"]);
    let recent = gateway.admin().json("/api/requests?limit=100");
    assert_eq!(recent.as_array().unwrap().len(), 50, "the last requests are known all the same");
}

#[test]
fn refuses_to_start_on_a_log_that_cannot_be_opened() {
    let setup = Setup::to(&Origin::says("fine")).top("access_log: { path: /nowhere/at/all/access.log }");
    let mut gateway = portcullis_integration_tests::Gateway::spawn(&setup.yaml());
    assert_eq!(gateway.wait().code(), Some(1));
    until("the reason", || gateway.stderr().contains("/nowhere/at/all/access.log").then_some(()));
}

#[test]
fn writes_lines_of_text_where_the_config_says_so() {
    let gateway = Setup::to(&Origin::says("fine")).top("access_log: { path: text.log, format: text }").start();
    let answer = gateway.client().ask("GET /a?secret=1 HTTP/1.1\r\nHost: app.test\r\nUser-Agent: test/1\r\n\r\n");
    assert_eq!(answer.status, 200);
    let read = || std::fs::read_to_string(gateway.dir().join("text.log")).ok().filter(|text| text.ends_with('\n'));
    let text = until("the line", read);
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.contains("GET") && text.contains("/a") && text.contains("200") && text.contains(&answer.id()),
        "{text}"
    );
}

#[test]
fn opens_its_log_anew_on_sighup_so_that_it_can_be_rotated() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let before = gateway.record_of(&gateway.get("/before"));
    std::fs::rename(gateway.dir().join("access.log"), gateway.dir().join("access.log.1")).unwrap();
    gateway.signal("HUP");
    until("the new file", || gateway.dir().join("access.log").exists().then_some(()));
    assert_eq!(gateway.record_of(&gateway.get("/after"))["path"], "/after");
    let rotated = std::fs::read_to_string(gateway.dir().join("access.log.1")).unwrap();
    assert!(rotated.contains(before["id"].as_str().unwrap()) && !rotated.contains("/after"));
}

#[test]
fn redacts_secrets_in_queries() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let answer = gateway.get("/a?api_key=s3cret&page=2");
    let record = gateway.record_of(&answer);
    let query = record["query"].as_str().unwrap_or_default();
    assert!(query.contains("page=2") && !query.contains("s3cret"), "{record}");
}

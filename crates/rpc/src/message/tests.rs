//! What a node says, read leniently.

use super::*;

fn part(text: &str, span: Option<Span>) -> Option<&str> {
    span.map(|span| span.str_of(text.as_bytes()))
}

#[test]
fn an_answer_says_which_call_it_answers_and_how() {
    let text = r#" {"jsonrpc":"2.0","result":{"context":{"slot":7},"value":null},"id":"a\"b"} "#;
    let message = Message::read(text.as_bytes()).expect("an answer");
    assert_eq!(part(text, message.id), Some(r#""a\"b""#));
    assert_eq!(part(text, message.result), Some(r#"{"context":{"slot":7},"value":null}"#));
    assert_eq!((message.error, message.method), (None, None));
    assert_eq!(message.whole.str_of(text.as_bytes()), text.trim());
}

#[test]
fn a_notification_has_a_method_and_params() {
    let text = r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":1},"subscription":0}}"#;
    let message = Message::read(text.as_bytes()).expect("a notification");
    assert_eq!(part(text, message.method), Some("slotNotification"));
    assert_eq!(part(text, message.params), Some(r#"{"result":{"slot":1},"subscription":0}"#));
    assert_eq!((message.id, message.result), (None, None));
}

#[test]
fn an_error_of_null_is_none_and_a_result_of_null_is_one() {
    let text = r#"{"result":null,"error":null,"id":null}"#;
    let message = Message::read(text.as_bytes()).expect("an answer");
    assert_eq!((part(text, message.result), part(text, message.id)), (Some("null"), Some("null")));
    assert_eq!(message.error, None);
}

#[test]
fn a_list_is_read_up_to_its_bound_and_one_alone_as_a_list_of_one() {
    let text = br#"[{"id":1,"result":1},{"id":2,"error":{"code":-32602}}]"#;
    let ids = |text: &[u8]| {
        Message::read_all(text, 2)
            .map(|all| all.iter().map(|one| one.id.map(|id| id.of(text).to_vec())).collect::<Vec<_>>())
    };
    assert_eq!(ids(text), Ok(vec![Some(b"1".to_vec()), Some(b"2".to_vec())]));
    assert_eq!(ids(br#"{"id":1}"#), Ok(vec![Some(b"1".to_vec())]));
    assert_eq!(ids(b"[]"), Ok(vec![]));
    assert_eq!(ids(b"[{},{},{}]").map_err(|error| error.at), Err(7));
}

#[test]
fn what_is_no_message_is_refused() {
    for text in ["", "1", "[1]", "{", "{} {}", "<html>", "\u{feff}{}"] {
        assert!(Message::read(text.as_bytes()).is_err(), "{text}");
        assert!(Message::read_all(text.as_bytes(), 9).is_err(), "{text}");
    }
}

//! The queue, and the subscriptions of a client.

use bytes::Bytes;

use super::*;
use crate::ws::message::Incoming;

fn notification(text: &str) -> Arc<Notification> {
    let text = format!(r#"{{"method":"x","params":{{"result":"{text}","subscription":1}}}}"#);
    match Incoming::read(Bytes::from(text)) {
        Ok(Incoming::Notification(_, notification)) => Arc::new(notification),
        other => panic!("{other:?}"),
    }
}

fn frame(length: usize) -> Box<[u8]> {
    vec![0; length].into()
}

#[test]
fn what_is_larger_than_the_bound_goes_alone_and_one_more_is_too_much() {
    let client = Client::new(100, Arc::default());
    client.push(frame(500));
    assert_eq!(client.load(), Load { bytes: 500, pending: 0, closing: None });
    client.push(frame(1));
    assert_eq!(client.load(), Load { bytes: 0, pending: 0, closing: Some(Close::SLOW) });
    client.push(frame(1));
    assert_eq!(client.load().bytes, 0, "nothing is queued behind a close");
}

#[test]
fn nothing_comes_of_a_subscription_before_its_grant_or_behind_its_end() {
    let client = Client::new(10_000, Arc::default());
    client.hold(5, 0, None);
    assert!(client.unsubscribe(5).is_none(), "it does not know the number yet");
    assert!(client.granted(5, frame(3)));
    assert!(client.notify(5, &notification("a")));
    assert!(client.unsubscribe(5).is_some());
    assert!(!client.notify(5, &notification("b")));
    let mut items = 0;
    client.take_while(|_| true, |_| items += 1);
    assert_eq!((items, client.subscriptions(), client.load()), (2, 0, Load { bytes: 0, pending: 0, closing: None }));
    assert!(!client.granted(6, frame(1)), "one that is gone is not granted");
}

#[test]
fn an_empty_queue_gives_its_memory_back() {
    let client = Client::new(1 << 20, Arc::default());
    for _ in 0..1000 {
        client.push(frame(1));
    }
    client.take_while(|_| true, drop);
    assert_eq!(client.state.lock().queue.capacity(), 0);
}

//! What is held back, when it leaves, and that nothing is lost on the way.

use super::*;
use std::collections::VecDeque;
use std::task::Waker;
use tokio::io::AsyncWriteExt;

/// A socket: what each write to it took, and what there is to read. A write takes what it is told to; it blocks when it
/// is told nothing.
#[derive(Default)]
struct Wire {
    writes: Vec<Vec<u8>>,
    takes: VecDeque<usize>,
    arrived: VecDeque<u8>,
    shut: bool,
}

impl Wire {
    fn taking(takes: impl IntoIterator<Item = usize>) -> Corked<Self> {
        Corked::new(Self { takes: takes.into_iter().collect(), ..Self::default() })
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.arrived.is_empty() {
            return Poll::Pending;
        }
        let count = buf.remaining().min(self.arrived.len());
        self.arrived.drain(..count).for_each(|byte| buf.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.shut, "written to after its end");
        let Some(most) = self.takes.pop_front() else { return Poll::Pending };
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        all.truncate(most);
        let count = all.len();
        self.writes.push(all);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> Option<io::Result<T>> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// One write, if it does not block: how much was taken.
fn write(corked: &mut Corked<Wire>, bytes: &[u8]) -> Option<usize> {
    now(|cx| Pin::new(corked).poll_write(cx, bytes)).map(|done| done.expect("no error"))
}

fn flush(corked: &mut Corked<Wire>) -> bool {
    now(|cx| Pin::new(corked).poll_flush(cx)).map(|done| done.expect("no error")).is_some()
}

fn read(corked: &mut Corked<Wire>) -> Option<Vec<u8>> {
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    now(|cx| Pin::new(corked).poll_read(cx, &mut buf))?.expect("no error");
    Some(buf.filled().to_vec())
}

#[test]
fn what_was_held_leaves_with_what_is_written_next() {
    let mut corked = Wire::taking([99, 99]);
    corked.cork();
    assert_eq!((write(&mut corked, b"ti"), write(&mut corked, b"cket"), flush(&mut corked)), (Some(2), Some(4), true));
    assert!(corked.is_holding() && corked.get_ref().writes.is_empty());
    corked.uncork();
    assert_eq!((read(&mut corked), write(&mut corked, b"answer")), (None, Some(6)));
    assert_eq!(corked.get_ref().writes, [b"ticketanswer"]);
    assert_eq!((corked.held.capacity(), write(&mut corked, b"more")), (0, Some(4)));
    assert_eq!(corked.get_ref().writes, [&b"ticketanswer"[..], b"more"]);
}

#[test]
fn a_corked_stream_lets_go_when_it_waits_for_the_other_side() {
    let mut corked = Wire::taking([3, 99]);
    corked.inner.arrived.extend(b"hello");
    corked.cork();
    write(&mut corked, b"flight");
    assert_eq!(read(&mut corked).as_deref(), Some(&b"hello"[..]), "nothing to wait for");
    assert!(corked.is_holding());
    assert_eq!(read(&mut corked), None);
    assert_eq!(corked.get_ref().writes, [b"fli", b"ght"]);
}

#[test]
fn a_flush_and_an_end_leave_nothing_behind() {
    let mut corked = Wire::taking([99]);
    corked.cork();
    write(&mut corked, b"ticket");
    corked.uncork();
    assert!(flush(&mut corked));
    assert_eq!(corked.get_ref().writes, [b"ticket"]);

    let mut corked = Wire::taking([99]);
    corked.cork();
    write(&mut corked, b"last words, ");
    write(&mut corked, b"notice");
    now(|cx| Pin::new(&mut corked).poll_shutdown(cx)).expect("ready").expect("no error");
    assert_eq!(
        (corked.get_ref().writes.as_slice(), corked.get_ref().shut),
        (&[b"last words, notice".to_vec()][..], true)
    );
}

/// However little the socket takes at a time, and wherever it blocks.
#[tokio::test]
async fn bytes_leave_whole_and_in_order() {
    for step in 1..=9 {
        for blocks_after in 0..12 {
            let mut corked = Wire::taking(std::iter::repeat_n(step, blocks_after));
            corked.cork();
            write(&mut corked, b"ticket ");
            corked.uncork();
            let mut rest = &b"and answer"[..];
            while let Some(taken) = write(&mut corked, rest) {
                rest = &rest[taken..];
                if rest.is_empty() {
                    break;
                }
            }
            let left: Vec<u8> = corked.get_ref().writes.concat();
            assert!(b"ticket and answer".starts_with(&left), "{step} {blocks_after}");
            corked.inner.takes.extend(std::iter::repeat_n(step, 99));
            corked.write_all(rest).await.expect("no error");
            corked.flush().await.expect("no error");
            assert_eq!(corked.get_ref().writes.concat(), b"ticket and answer", "{step} {blocks_after}");
        }
    }
}

#[test]
fn more_pieces_than_fit_are_taken_in_parts() {
    let mut corked = Wire::taking([999, 999]);
    corked.cork();
    write(&mut corked, b"t");
    corked.uncork();
    let pieces = [IoSlice::new(b"ab"); 40];
    let taken = now(|cx| Pin::new(&mut corked).poll_write_vectored(cx, &pieces)).expect("ready").expect("no error");
    assert_eq!((taken, corked.get_ref().writes.concat().len()), (30, 31));
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    let mut corked = Wire::taking([0]);
    corked.cork();
    write(&mut corked, b"ticket");
    corked.uncork();
    let failed = now(|cx| Pin::new(&mut corked).poll_write(cx, b"answer")).expect("ready");
    assert_eq!(failed.expect_err("nothing was taken").kind(), io::ErrorKind::WriteZero);
}

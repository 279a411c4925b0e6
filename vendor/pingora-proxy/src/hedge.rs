// Added by Portcullis, see vendor/README.md.
// Licensed under the Apache License, Version 2.0, as the rest of the crate.

//! A second attempt beside the first.
//!
//! The first has been sent whole and waited for as long as [`ProxyHttp::hedge_after()`] said. The exchange with it is
//! left, which loses nothing: the head of a response is read by futures that can be dropped and made again. Another
//! endpoint is sent the same request, and whoever answers first is who the exchange goes on with.
//!
//! Invariants: no phase of a response runs before the race is decided; the phases of a request run again for the second
//! attempt, as for a retry; of the attempt that lost nothing is used, its stream is reset and its connection closed.

use super::*;
use http::StatusCode;
use pingora_core::protocols::http::v2::client::Http2Session;
use std::future::Future;

/// Who won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// The attempt that was made first.
    First,
    /// The one that was made when the first had been waited for.
    Second,
}

/// What became of the attempt whose answer is not used.
#[derive(Debug)]
pub enum Lost<'e> {
    /// It was still waited for.
    Cancelled,
    /// It ended without an answer.
    Failed(&'e Error),
    /// Its answer was one to try again after, and the other's was not, or came later.
    Answered(StatusCode),
}

/// What the halves of an exchange are told of hedging, and what they tell.
#[derive(Default)]
pub(crate) struct Hedging {
    /// How long to wait for a head before the exchange is left.
    pub(crate) after: Option<Duration>,
    /// Whether it was left for that.
    pub(crate) due: AtomicBool,
    /// Whether this is the exchange after that, so that the request is sent already.
    pub(crate) resumed: bool,
    /// How much of the wait for the head is over.
    pub(crate) waited: Duration,
}

impl Hedging {
    pub(crate) fn is_due(&self) -> bool {
        self.due.load(Ordering::Relaxed)
    }

    /// The error that leaves the exchange.
    pub(crate) fn leave(&self) -> Box<Error> {
        self.due.store(true, Ordering::Relaxed);
        Error::explain(InternalError, "the exchange is left for a second attempt")
    }

    /// The exchange that goes on after this one was left. Without a head, the wait for it goes on too.
    pub(crate) fn resumed(&self, head: bool) -> Self {
        let waited = if head { Duration::ZERO } else { self.after.unwrap_or_default() };
        Hedging { after: None, due: AtomicBool::new(false), resumed: true, waited }
    }
}

/// An attempt over HTTP/1.
pub(crate) struct H1Attempt {
    pub(crate) session: HttpSessionV1,
    pub(crate) peer: Box<HttpPeer>,
    pub(crate) reused: bool,
    /// The head that was read while the exchange was left.
    pub(crate) head: Option<HttpTask>,
}

/// An attempt over HTTP/2.
pub(crate) struct H2Attempt {
    pub(crate) session: Http2Session,
    pub(crate) peer: Box<HttpPeer>,
    pub(crate) reused: bool,
    /// The sending half of its stream, once the head of the request was sent.
    pub(crate) body: Option<h2::SendStream<Bytes>>,
}

/// An attempt that can be raced.
pub(crate) trait Contender<SV, C>: Sized + Send
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    /// Connects and sends the whole request.
    fn begin(
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        peer: Box<HttpPeer>,
        ctx: &mut SV::CTX,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// Reads the head of the response, and keeps it. May be dropped and called again, until it has answered.
    fn head(&mut self) -> impl Future<Output = Result<StatusCode>> + Send;

    /// How long it may take to its head.
    fn patience(&self) -> Option<Duration>;

    /// Ends it.
    fn let_go(self, proxy: &HttpProxy<SV, C>) -> impl Future<Output = ()> + Send;
}

impl<SV, C> Contender<SV, C> for H1Attempt
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    async fn begin(
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        peer: Box<HttpPeer>,
        ctx: &mut SV::CTX,
    ) -> Result<Self> {
        let (client, reused) = proxy.connect_beside(&peer).await?;
        let client = match client {
            ClientSession::H1(client) => client,
            other => return proxy.another_protocol(other, &peer).await,
        };
        let mut attempt = H1Attempt { session: client, peer, reused, head: None };
        proxy.h1_connected(session, &attempt, ctx).await?;
        attempt.session.read_timeout = None; // the race has a clock of its own
        proxy.h1_send_header(session, &mut attempt, ctx).await.map_err(|(_, e)| e)?;
        let body = session.as_ref().get_retry_buffer();
        if let (Some(task), _) = proxy.request_body_task(session, body, true, ctx).await? {
            proxy_h1::send_body_to1(&mut attempt.session, Some(task)).await?;
        }
        Ok(attempt)
    }

    async fn head(&mut self) -> Result<StatusCode> {
        match self.session.read_response_task().await.map_err(|e| e.into_up())? {
            HttpTask::Header(header, end) => {
                let status = header.status;
                self.head = Some(HttpTask::Header(header, end));
                Ok(status)
            }
            task => Error::e_explain(InternalError, format!("{} before a header", task.type_str())),
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.peer.options.read_timeout
    }

    // Closing is all that HTTP/1 has for it.
    async fn let_go(self, _proxy: &HttpProxy<SV, C>) {}
}

impl<SV, C> Contender<SV, C> for H2Attempt
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    async fn begin(
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        peer: Box<HttpPeer>,
        ctx: &mut SV::CTX,
    ) -> Result<Self> {
        let (client, reused) = proxy.connect_beside(&peer).await?;
        let client = match client {
            ClientSession::H2(client) => client,
            other => return proxy.another_protocol(other, &peer).await,
        };
        let mut attempt = H2Attempt { session: client, peer, reused, body: None };
        match proxy.h2_send_whole(session, &mut attempt, ctx).await {
            Ok(()) => Ok(attempt),
            Err(e) => {
                Contender::<SV, C>::let_go(attempt, proxy).await;
                Err(e)
            }
        }
    }

    async fn head(&mut self) -> Result<StatusCode> {
        self.session.read_timeout = None; // the race has a clock of its own
        let read = self.session.read_response_header().await;
        self.session.read_timeout = self.peer.options.read_timeout;
        read.map_err(|e| e.into_up())?;
        match self.session.response_header() {
            Some(header) => Ok(header.status),
            None => Error::e_explain(InternalError, "no header after it was read"),
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.peer.options.read_timeout
    }

    async fn let_go(mut self, proxy: &HttpProxy<SV, C>) {
        if let Some(mut body) = self.body.take() {
            body.send_reset(h2::Reason::CANCEL);
        }
        let idle = self.peer.idle_timeout();
        proxy.client_upstream.release_http_session(ClientSession::H2(self.session), &*self.peer, idle).await;
    }
}

/// How an attempt ended.
enum Ended {
    Head(StatusCode),
    Failed(Box<Error>),
}

impl Ended {
    fn of(head: Result<StatusCode>) -> Self {
        head.map_or_else(Ended::Failed, Ended::Head)
    }

    /// Whether its answer is taken while another may come.
    fn wins(&self) -> bool {
        matches!(self, Ended::Head(status) if !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS)
    }

    fn lost(&self) -> Lost<'_> {
        match self {
            Ended::Head(status) => Lost::Answered(*status),
            Ended::Failed(e) => Lost::Failed(e),
        }
    }

    /// Whether there is a head to go on with.
    fn settle(self) -> Result<bool> {
        match self {
            Ended::Head(_) => Ok(true),
            Ended::Failed(e) => Err(e),
        }
    }
}

/// Of two that ended and did not win: an answer before a failure, the later one else.
fn better(first: &Ended, second: &Ended, later: Contestant) -> Contestant {
    match (first, second) {
        (Ended::Head(_), Ended::Failed(_)) => Contestant::First,
        (Ended::Failed(_), Ended::Head(_)) => Contestant::Second,
        _ => later,
    }
}

impl<SV, C> HttpProxy<SV, C>
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    async fn connect_beside(&self, peer: &HttpPeer) -> Result<(ClientSession<C::Session>, bool)> {
        self.client_upstream.get_http_session(peer).await.map_err(|e| e.into_up())
    }

    async fn another_protocol<A>(&self, session: ClientSession<C::Session>, peer: &HttpPeer) -> Result<A> {
        self.client_upstream.release_http_session(session, peer, peer.idle_timeout()).await;
        Error::e_explain(InternalError, "the second attempt would speak another protocol than the first").map_err(|e: Box<Error>| e.into_in())
    }

    /// Makes the second attempt, and waits for one of the two. Answers whether `first`, which is the winner then, has
    /// the head of a response; not if there is no second attempt, or it came to nothing: the first is to be waited for
    /// as before. On the error of the last that was left, `first` is that one.
    pub(crate) async fn hedge<A: Contender<SV, C>>(
        &self,
        session: &mut Session,
        first: &mut A,
        ctx: &mut SV::CTX,
    ) -> Result<bool> {
        let Some(peer) = self.inner.hedge_peer(session, ctx).await else {
            return Ok(false);
        };
        let mut of_first = None;
        let begun = {
            let begin = A::begin(self, session, peer, ctx);
            tokio::pin!(begin);
            loop {
                tokio::select! {
                    biased;
                    head = first.head(), if of_first.is_none() => {
                        let ended = Ended::of(head);
                        if ended.wins() {
                            break None;
                        }
                        of_first = Some(ended);
                    }
                    begun = &mut begin => break Some(begun),
                }
            }
        };
        let mut second = match begun {
            None => {
                self.inner.hedge_settled(session, ctx, Contestant::First, Lost::Cancelled);
                return Ok(true);
            }
            Some(Err(e)) => {
                self.inner.hedge_settled(session, ctx, Contestant::First, Lost::Failed(&e));
                return of_first.map_or(Ok(false), Ended::settle);
            }
            Some(Ok(second)) => second,
        };
        let raced = self.race(session, (first, &mut second), of_first, ctx).await;
        let (winner, ended) = match raced {
            Ok(raced) => raced,
            Err(gone) => {
                self.inner.hedge_settled(session, ctx, Contestant::First, Lost::Cancelled);
                second.let_go(self).await;
                return Err(gone);
            }
        };
        if winner == Contestant::Second {
            std::mem::swap(first, &mut second);
        }
        second.let_go(self).await;
        ended.settle()
    }

    /// Waits until it is decided. The error is that the client left.
    async fn race<A: Contender<SV, C>>(
        &self,
        session: &mut Session,
        (first, second): (&mut A, &mut A),
        mut of_first: Option<Ended>,
        ctx: &mut SV::CTX,
    ) -> Result<(Contestant, Ended)> {
        let mut of_second: Option<Ended> = None;
        let deadline = self.inner.response_header_deadline(session, ctx);
        let patience = second.patience().map(|wait| std::time::Instant::now() + wait);
        let until = deadline.into_iter().chain(patience).min();
        let late = time::sleep_until(until.unwrap_or_else(std::time::Instant::now).into());
        tokio::pin!(late);
        let mut later = Contestant::First;
        while of_first.is_none() || of_second.is_none() {
            tokio::select! {
                biased;
                head = first.head(), if of_first.is_none() => {
                    later = Contestant::First;
                    let ended = of_first.insert(Ended::of(head));
                    if ended.wins() {
                        break;
                    }
                }
                head = second.head(), if of_second.is_none() => {
                    later = Contestant::Second;
                    let ended = of_second.insert(Ended::of(head));
                    if ended.wins() {
                        break;
                    }
                }
                _ = &mut late, if until.is_some() => {
                    later = Contestant::Second;
                    let timeout = || {
                        let e = Error::explain(ReadTimedout, "while waiting for the response header of two attempts");
                        Ended::Failed(e.into_up())
                    };
                    of_first.get_or_insert_with(timeout);
                    of_second.get_or_insert_with(timeout);
                }
                idle = session.as_mut().read_body_or_idle(true) => {
                    idle.map_err(|e| e.into_down())?;
                }
            }
        }
        let (winner, ended, loser) = match (of_first, of_second) {
            (Some(first), Some(second)) => match (first.wins(), second.wins()) {
                (true, _) => (Contestant::First, first, Some(second)),
                (_, true) => (Contestant::Second, second, Some(first)),
                _ => match better(&first, &second, later) {
                    Contestant::First => (Contestant::First, first, Some(second)),
                    Contestant::Second => (Contestant::Second, second, Some(first)),
                },
            },
            (Some(first), None) => (Contestant::First, first, None),
            (None, Some(second)) => (Contestant::Second, second, None),
            (None, None) => return Error::e_explain(InternalError, "a race without a winner"),
        };
        self.inner.hedge_settled(session, ctx, winner, loser.as_ref().map_or(Lost::Cancelled, Ended::lost));
        Ok((winner, ended))
    }
}

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
    /// It was still waited for, or still being made.
    Cancelled,
    /// It ended without an answer.
    Failed(&'e Error),
    /// Its answer was one to try again after, and the other's was not, or came later.
    Answered(StatusCode),
    /// So was the winner: the client left, and nobody won.
    Gone,
}

/// How a race ended.
#[derive(Debug)]
pub struct Settled<'e> {
    /// Which attempt the request goes on with.
    pub winner: Contestant,
    /// Whether that one has answered. If not, it is waited for as before, or its failure is the request's.
    pub answered: bool,
    /// The other.
    pub lost: Lost<'e>,
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

    /// The exchange that goes on after this one was left, so long ago. Without a head, the wait for it goes on too.
    pub(crate) fn resumed(&self, head: bool, left: Duration) -> Self {
        let waited = if head { Duration::ZERO } else { self.after.unwrap_or_default() + left };
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

/// The head of a response, as far as it decides a race.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    status: StatusCode,
    /// Whether it is taken while another may come: no failure that one would try again after, of HTTP or of gRPC
    /// (RESOURCE_EXHAUSTED, UNAVAILABLE).
    usable: bool,
}

impl Head {
    fn of(header: &ResponseHeader) -> Self {
        let status = header.status;
        let grpc = header.headers.get("grpc-status").map(|status| status.as_bytes());
        let busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Head { status, usable: !busy && !matches!(grpc, Some(b"8" | b"14")) }
    }
}

/// An attempt that can be raced.
pub(crate) trait Contender<SV, C>: Sized + Send
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    /// An attempt over a connection; the connection if it speaks another protocol.
    fn over(
        client: ClientSession<C::Session>,
        peer: Box<HttpPeer>,
        reused: bool,
    ) -> std::result::Result<Self, ClientSession<C::Session>>;

    /// Sends the whole request.
    fn send(
        &mut self,
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        ctx: &mut SV::CTX,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Reads the head of the final response, and keeps it. May be dropped and called again, until it has answered.
    fn head(&mut self) -> impl Future<Output = Result<Head>> + Send;

    /// How long it may take to its head.
    fn patience(&self) -> Option<Duration>;

    /// Ends it. One that hung leaves no connection to others.
    fn let_go(self, proxy: &HttpProxy<SV, C>, hung: bool) -> impl Future<Output = ()> + Send;
}

impl<SV, C> Contender<SV, C> for H1Attempt
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    fn over(
        client: ClientSession<C::Session>,
        peer: Box<HttpPeer>,
        reused: bool,
    ) -> std::result::Result<Self, ClientSession<C::Session>> {
        match client {
            ClientSession::H1(session) => Ok(H1Attempt { session, peer, reused, head: None }),
            other => Err(other),
        }
    }

    async fn send(
        &mut self,
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        ctx: &mut SV::CTX,
    ) -> Result<()> {
        proxy.h1_connected(session, self, ctx).await?;
        self.session.read_timeout = None; // the race has a clock of its own
        proxy.h1_send_header(session, self, ctx).await.map_err(|(_, e)| e)?;
        let body = session.as_ref().get_retry_buffer();
        if let (Some(task), _) = proxy.request_body_task(session, body, true, ctx).await? {
            proxy_h1::send_body_to1(&mut self.session, Some(task)).await?;
        }
        self.session.send_request_header().await.map_err(|e| e.into_up())
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            match self.session.read_response_task().await.map_err(|e| e.into_up())? {
                HttpTask::Header(header, end) => {
                    // Of an interim response nothing follows, and its client may do without.
                    let interim = header.status.is_informational();
                    if interim && header.status != StatusCode::SWITCHING_PROTOCOLS {
                        continue;
                    }
                    let head = Head::of(&header);
                    self.head = Some(HttpTask::Header(header, end));
                    return Ok(head);
                }
                task => return Error::e_explain(InternalError, format!("{} before a header", task.type_str())),
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.peer.options.read_timeout
    }

    // Closing is all that HTTP/1 has for it.
    async fn let_go(self, _proxy: &HttpProxy<SV, C>, _hung: bool) {}
}

impl<SV, C> Contender<SV, C> for H2Attempt
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    fn over(
        client: ClientSession<C::Session>,
        peer: Box<HttpPeer>,
        reused: bool,
    ) -> std::result::Result<Self, ClientSession<C::Session>> {
        match client {
            ClientSession::H2(session) => Ok(H2Attempt { session, peer, reused, body: None }),
            other => Err(other),
        }
    }

    async fn send(
        &mut self,
        proxy: &HttpProxy<SV, C>,
        session: &mut Session,
        ctx: &mut SV::CTX,
    ) -> Result<()> {
        proxy.h2_send_whole(session, self, ctx).await
    }

    async fn head(&mut self) -> Result<Head> {
        self.session.read_timeout = None; // the race has a clock of its own
        let read = self.session.read_response_header().await;
        self.session.read_timeout = self.peer.options.read_timeout;
        read.map_err(|e| e.into_up())?;
        match self.session.response_header() {
            Some(header) => Ok(Head::of(header)),
            None => Error::e_explain(InternalError, "no header after it was read"),
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.peer.options.read_timeout
    }

    async fn let_go(mut self, proxy: &HttpProxy<SV, C>, hung: bool) {
        if let Some(mut body) = self.body.take() {
            body.send_reset(h2::Reason::CANCEL);
        }
        if hung {
            self.session.conn.mark_shutdown();
        }
        let idle = self.peer.idle_timeout();
        proxy
            .client_upstream
            .release_http_session(ClientSession::H2(self.session), &*self.peer, idle)
            .await;
    }
}

/// How an attempt ended.
enum Ended {
    Head(Head),
    Failed(Box<Error>),
}

impl Ended {
    fn of(head: Result<Head>) -> Self {
        head.map_or_else(Ended::Failed, Ended::Head)
    }

    fn late() -> Self {
        let e = Error::explain(ReadTimedout, "while waiting for the response header of two attempts");
        Ended::Failed(e.into_up())
    }

    /// Whether its answer is taken while another may come.
    fn wins(&self) -> bool {
        matches!(self, Ended::Head(head) if head.usable)
    }

    fn hung(&self) -> bool {
        matches!(self, Ended::Failed(e) if e.etype == ReadTimedout)
    }

    fn lost(&self) -> Lost<'_> {
        match self {
            Ended::Head(head) => Lost::Answered(head.status),
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

/// How the making of a second attempt ended.
enum Begun<A> {
    /// It is made.
    Second(A),
    /// The first has answered before.
    Decided,
    /// It came to nothing.
    Failed(Box<Error>),
    /// The first was not waited for any longer.
    Late,
    /// The client left.
    Gone(Box<Error>),
}

/// Two attempts on their way, and how the one that was made first has ended, if it has.
struct Race<'a, A> {
    first: &'a mut A,
    of_first: Option<Ended>,
}

impl<A> Race<'_, A> {
    /// Waits for the first attempt. Answers whether it wins; it is not to be waited for again.
    async fn first<SV, C>(&mut self) -> bool
    where
        A: Contender<SV, C>,
        SV: ProxyHttp + Send + Sync,
        SV::CTX: Send + Sync,
        C: custom::Connector,
    {
        let head = self.first.head().await;
        self.of_first.insert(Ended::of(head)).wins()
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

/// Resolves at a moment; never without one.
async fn at(moment: Option<std::time::Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

impl<SV, C> HttpProxy<SV, C>
where
    SV: ProxyHttp + Send + Sync,
    SV::CTX: Send + Sync,
    C: custom::Connector,
{
    /// When the attempt of the context is not waited for any longer.
    fn patience_of(
        &self,
        session: &Session,
        ctx: &SV::CTX,
        patience: Option<Duration>,
    ) -> Option<std::time::Instant> {
        let deadline = self.inner.response_header_deadline(session, ctx);
        let patience = patience.map(|wait| std::time::Instant::now() + wait);
        deadline.into_iter().chain(patience).min()
    }

    /// Makes the second attempt, and waits for one of the two. Answers whether `first`, which is the winner then, has
    /// the head of a response; not if there is no second attempt, or it came to nothing: the first, which was `waited`
    /// for, is to be waited for as before. On the error of the last that was left, `first` is that one.
    pub(crate) async fn hedge<A: Contender<SV, C>>(
        &self,
        session: &mut Session,
        first: &mut A,
        waited: Duration,
        ctx: &mut SV::CTX,
    ) -> Result<bool> {
        if !session.as_mut().is_body_done() {
            return Ok(false);
        }
        let left = first.patience().map(|wait| wait.saturating_sub(waited));
        let until = self.patience_of(session, ctx, left);
        let Some(peer) = self.inner.hedge_peer(session, ctx).await else {
            return Ok(false);
        };
        let mut race = Race { first, of_first: None };
        let begun = self.begin_beside(session, &mut race, peer, until, ctx).await;
        let mut settle = |answered, lost| {
            let settled = Settled { winner: Contestant::First, answered, lost };
            self.inner.hedge_settled(session, ctx, settled);
        };
        let of_first = race.of_first.take();
        let second = match begun {
            Begun::Second(second) => second,
            Begun::Decided => {
                settle(true, Lost::Cancelled);
                return Ok(true);
            }
            Begun::Failed(e) => {
                settle(matches!(of_first, Some(Ended::Head(_))), Lost::Failed(&e));
                return of_first.map_or(Ok(false), Ended::settle);
            }
            Begun::Late => {
                // Of the second nothing is known but that it was not fast enough for the first's time.
                let e = Error::explain(ReadTimedout, "while a second attempt was made");
                settle(matches!(of_first, Some(Ended::Head(_))), Lost::Failed(&e));
                return of_first.unwrap_or_else(Ended::late).settle();
            }
            Begun::Gone(e) => {
                settle(false, Lost::Gone);
                return Err(e);
            }
        };
        race.of_first = of_first;
        self.race(session, race, second, ctx).await
    }

    /// Connects and sends the request, while the first attempt is waited for.
    async fn begin_beside<A: Contender<SV, C>>(
        &self,
        session: &mut Session,
        race: &mut Race<'_, A>,
        peer: Box<HttpPeer>,
        until: Option<std::time::Instant>,
        ctx: &mut SV::CTX,
    ) -> Begun<A> {
        let late = at(until);
        tokio::pin!(late);
        let connected = {
            let connecting = self.client_upstream.get_http_session(&*peer);
            tokio::pin!(connecting);
            loop {
                tokio::select! {
                    biased;
                    wins = race.first::<SV, C>(), if race.of_first.is_none() => if wins {
                        return Begun::Decided;
                    },
                    connected = &mut connecting => break connected,
                    _ = &mut late => return Begun::Late,
                    idle = session.as_mut().read_body_or_idle(true) => if let Err(e) = idle {
                        return Begun::Gone(e.into_down());
                    },
                }
            }
        };
        let (client, reused) = match connected {
            Ok(connected) => connected,
            Err(e) => return Begun::Failed(e.into_up()),
        };
        let idle = peer.idle_timeout();
        let mut second = match A::over(client, peer.clone(), reused) {
            Ok(second) => second,
            Err(other) => {
                self.client_upstream.release_http_session(other, &*peer, idle).await;
                return Begun::Failed(Error::explain(InternalError, "another protocol than the first attempt's"));
            }
        };
        let ended = {
            let sending = second.send(self, session, ctx);
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    biased;
                    wins = race.first::<SV, C>(), if race.of_first.is_none() => if wins {
                        break Some(Begun::Decided);
                    },
                    sent = &mut sending => break sent.err().map(Begun::Failed),
                    _ = &mut late => break Some(Begun::Late),
                }
            }
        };
        match ended {
            None => Begun::Second(second),
            Some(ended) => {
                second.let_go(self, false).await;
                ended
            }
        }
    }

    /// Waits until it is decided, and lets go of the one that lost.
    async fn race<A: Contender<SV, C>>(
        &self,
        session: &mut Session,
        mut race: Race<'_, A>,
        mut second: A,
        ctx: &mut SV::CTX,
    ) -> Result<bool> {
        let mut of_second: Option<Ended> = None;
        let late = at(self.patience_of(session, ctx, second.patience()));
        tokio::pin!(late);
        let mut later = Contestant::First;
        while race.of_first.is_none() || of_second.is_none() {
            tokio::select! {
                biased;
                wins = race.first::<SV, C>(), if race.of_first.is_none() => {
                    later = Contestant::First;
                    if wins {
                        break;
                    }
                }
                head = second.head(), if of_second.is_none() => {
                    later = Contestant::Second;
                    if of_second.insert(Ended::of(head)).wins() {
                        break;
                    }
                }
                _ = &mut late => {
                    later = Contestant::Second;
                    race.of_first.get_or_insert_with(Ended::late);
                    of_second.get_or_insert_with(Ended::late);
                }
                idle = session.as_mut().read_body_or_idle(true) => if let Err(e) = idle {
                    let settled = Settled { winner: Contestant::First, answered: false, lost: Lost::Gone };
                    self.inner.hedge_settled(session, ctx, settled);
                    second.let_go(self, false).await;
                    return Err(e.into_down());
                },
            }
        }
        let winner = match (&race.of_first, &of_second) {
            (Some(first), Some(second)) if !first.wins() && !second.wins() => better(first, second, later),
            (Some(first), _) if first.wins() => Contestant::First,
            _ => Contestant::Second,
        };
        let (ended, other) = match winner {
            Contestant::First => (race.of_first.take(), of_second),
            Contestant::Second => (of_second, race.of_first.take()),
        };
        let Some(ended) = ended else {
            return Error::e_explain(InternalError, "a race without a winner");
        };
        let settled = Settled {
            winner,
            answered: matches!(ended, Ended::Head(_)),
            lost: other.as_ref().map_or(Lost::Cancelled, Ended::lost),
        };
        self.inner.hedge_settled(session, ctx, settled);
        if winner == Contestant::Second {
            std::mem::swap(race.first, &mut second);
        }
        second.let_go(self, other.is_some_and(|other| other.hung())).await;
        ended.settle()
    }
}

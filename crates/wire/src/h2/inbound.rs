//! What the client sends.

use std::time::Instant;

use super::limits::{H2Abuse, H2Counts, H2Limits};
use super::outbound::H2Event;
use super::{ACK, Collect, END_HEADERS, END_STREAM, Frame, HEADER, PREFACE, kind, skip};

/// Most WINDOW_UPDATEs a client can have earned and not used.
const MOST_EARNED: u64 = 1 << 20;

#[derive(Debug, Clone)]
enum State {
    /// Bytes of the preface seen.
    Preface(usize),
    Header,
    Payload(u32),
    Failed(H2Abuse),
}

/// Counts in the current window.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    resets: u32,
    provoked_resets: u32,
    settings: u32,
    pings: u32,
    priorities: u32,
    window_updates: u32,
    empty_frames: u32,
    other_frames: u32,
}

/// The header block that is being sent: HEADERS without END_HEADERS, then CONTINUATIONs.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    bytes: u32,
    continuations: u32,
    sent: Sent,
}

/// How much of a header block is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sent {
    /// All of it: no block is open.
    #[default]
    Whole,
    /// The header of its last frame.
    Last,
    /// Less.
    Part,
}

/// The judge of one client's HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct H2Watch {
    limits: H2Limits,
    state: State,
    header: Collect<HEADER>,
    since: Option<Instant>,
    window: Window,
    block: Block,
    earned: u64,
    counts: H2Counts,
}

impl H2Watch {
    /// A judge for a connection from its first byte, the preface.
    #[must_use]
    pub fn new(limits: H2Limits) -> Self {
        Self {
            limits,
            state: State::Preface(0),
            header: Collect::new(),
            since: None,
            window: Window::default(),
            block: Block::default(),
            earned: 0,
            counts: H2Counts::default(),
        }
    }

    /// A judge for a connection whose preface has been read already.
    #[must_use]
    pub fn after_preface(limits: H2Limits) -> Self {
        Self { state: State::Header, ..Self::new(limits) }
    }

    /// Frames seen so far.
    #[must_use]
    pub const fn counts(&self) -> &H2Counts {
        &self.counts
    }

    /// The number of the header block that has begun and is not whole, counted from 1; `None` between blocks. A client
    /// that stops there holds the connection: nothing else may be sent on it (RFC 9113 section 6.10).
    #[must_use]
    pub const fn open_block(&self) -> Option<u64> {
        match self.block.sent {
            Sent::Whole => None,
            Sent::Last | Sent::Part => Some(self.counts.headers),
        }
    }

    /// Judges the next bytes from the client, read at `now`.
    ///
    /// # Errors
    /// The first bound passed. It is sticky: the connection is to be closed.
    pub fn feed(&mut self, now: Instant, bytes: &[u8]) -> Result<(), H2Abuse> {
        self.roll(now);
        let mut rest = bytes;
        loop {
            match self.state {
                State::Failed(abuse) => return Err(abuse),
                State::Payload(left) => match skip(left, &mut rest) {
                    0 => {
                        self.state = State::Header;
                        if self.block.sent == Sent::Last {
                            self.block = Block::default();
                        }
                    }
                    left => {
                        self.state = State::Payload(left);
                        return Ok(());
                    }
                },
                State::Header => {
                    let Some(header) = self.header.take(&mut rest) else { return Ok(()) };
                    let frame = Frame::parse(header);
                    self.state = match self.judge(frame) {
                        Ok(()) => State::Payload(frame.length),
                        Err(abuse) => State::Failed(abuse),
                    };
                }
                State::Preface(seen) => {
                    self.state = preface(seen, &mut rest);
                    if matches!(self.state, State::Preface(_)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes note of what our side sent at `now`: data earns the client its WINDOW_UPDATEs, and a stream reset for
    /// a fault of the client counts against it.
    ///
    /// # Errors
    /// As [`H2Watch::feed`].
    pub fn observe(&mut self, now: Instant, event: H2Event) -> Result<(), H2Abuse> {
        if let State::Failed(abuse) = self.state {
            return Err(abuse);
        }
        match event {
            H2Event::Data { .. } => {
                let earned = self.earned.saturating_add(u64::from(self.limits.window_updates_per_data));
                self.earned = earned.min(MOST_EARNED);
                Ok(())
            }
            H2Event::Reset { code, .. } if code.is_fault_of_the_other_side() => {
                self.roll(now);
                let verdict =
                    count(&mut self.window.provoked_resets, self.limits.provoked_resets, H2Abuse::ProvokedResets);
                if let Err(abuse) = verdict {
                    self.state = State::Failed(abuse);
                }
                verdict
            }
            H2Event::Reset { .. } | H2Event::GoAway { .. } => Ok(()),
        }
    }

    /// Begins a new window when the current one is over.
    #[inline]
    fn roll(&mut self, now: Instant) {
        let over = self.since.is_none_or(|since| now.saturating_duration_since(since) >= self.limits.window);
        if over {
            self.since = Some(now);
            self.window = Window::default();
        }
    }

    #[inline]
    fn judge(&mut self, frame: Frame) -> Result<(), H2Abuse> {
        let limits = &self.limits;
        let window = &mut self.window;
        match frame.kind {
            kind::DATA => {
                self.counts.data += 1;
                self.judge_empty(frame, END_STREAM)
            }
            kind::HEADERS => {
                self.counts.headers += 1;
                self.block = Block::default();
                self.judge_empty(frame, END_STREAM | END_HEADERS)?;
                self.judge_block(frame)
            }
            kind::CONTINUATION => {
                self.counts.continuations += 1;
                self.block.continuations += 1;
                if self.block.continuations > limits.continuations {
                    return Err(H2Abuse::ContinuationFlood);
                }
                self.judge_empty(frame, END_HEADERS)?;
                self.judge_block(frame)
            }
            kind::PRIORITY | kind::PRIORITY_UPDATE => {
                self.counts.priorities += 1;
                count(&mut window.priorities, limits.priorities, H2Abuse::PriorityFlood)
            }
            kind::RST_STREAM => {
                self.counts.resets += 1;
                count(&mut window.resets, limits.resets, H2Abuse::RapidReset)
            }
            kind::SETTINGS if !frame.has(ACK) => {
                self.counts.settings += 1;
                count(&mut window.settings, limits.settings, H2Abuse::SettingsFlood)
            }
            kind::PING if !frame.has(ACK) => {
                self.counts.pings += 1;
                count(&mut window.pings, limits.pings, H2Abuse::PingFlood)
            }
            kind::WINDOW_UPDATE => self.judge_window_update(),
            // PUSH_PROMISE and GOAWAY among them: nothing a client sends more than once.
            _ => {
                self.counts.other += 1;
                count(&mut window.other_frames, limits.other_frames, H2Abuse::UnknownFrameFlood)
            }
        }
    }

    /// A frame without payload that carries none of the flags in `ends` does nothing but cost.
    #[inline]
    fn judge_empty(&mut self, frame: Frame, ends: u8) -> Result<(), H2Abuse> {
        if frame.length > 0 || frame.has(ends) {
            return Ok(());
        }
        count(&mut self.window.empty_frames, self.limits.empty_frames, H2Abuse::EmptyFrameFlood)
    }

    #[inline]
    fn judge_block(&mut self, frame: Frame) -> Result<(), H2Abuse> {
        self.block.bytes = self.block.bytes.saturating_add(frame.length);
        if self.block.bytes > self.limits.header_block {
            return Err(H2Abuse::HeaderBlockTooLarge);
        }
        self.block.sent = if frame.has(END_HEADERS) { Sent::Last } else { Sent::Part };
        Ok(())
    }

    #[inline]
    fn judge_window_update(&mut self) -> Result<(), H2Abuse> {
        self.counts.window_updates += 1;
        if let Some(left) = self.earned.checked_sub(1) {
            self.earned = left;
            return Ok(());
        }
        count(&mut self.window.window_updates, self.limits.window_updates, H2Abuse::WindowUpdateFlood)
    }
}

/// Compares `rest` with what is left of the preface.
fn preface(seen: usize, rest: &mut &[u8]) -> State {
    let wanted = PREFACE.get(seen..).unwrap_or_default();
    let here = wanted.len().min(rest.len());
    let (found, tail) = rest.split_at_checked(here).unwrap_or_default();
    if !wanted.starts_with(found) {
        return State::Failed(H2Abuse::PrefaceInvalid);
    }
    *rest = tail;
    if here == wanted.len() { State::Header } else { State::Preface(seen + here) }
}

#[inline]
fn count(counter: &mut u32, limit: u32, abuse: H2Abuse) -> Result<(), H2Abuse> {
    *counter = counter.saturating_add(1);
    if *counter > limit { Err(abuse) } else { Ok(()) }
}

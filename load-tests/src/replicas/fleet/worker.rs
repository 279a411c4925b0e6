//! The fleet's thread: a loop over sockets, ends of work and the script.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Failure;
use crate::event::{Interest, Poll};
use crate::replicas::plan::{Mode, Plan};
use crate::replicas::station::Station;
use crate::slots::Slots;

use super::connection::{Asked, Connection};
use super::{Observed, Signals};

/// How often the thread looks whether it should begin or stop.
const LOOK: Duration = Duration::from_millis(10);

/// Connections that a replica has not accepted yet.
const BACKLOG: i32 = 1024;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
const ERROR: &[u8] = b"HTTP/1.1 500 Broken\r\nContent-Length: 7\r\n\r\nbroken\n";

/// One replica at work.
struct Live {
    address: SocketAddr,
    /// Holds the port while nobody listens, or the kernel gives it to somebody else's connection.
    _port: Socket,
    listener: Option<(u64, TcpListener)>,
    mode: Mode,
    station: Station<u64>,
    /// Grows when it is killed: work of an earlier life never ends.
    life: u32,
}

/// What a token stands for.
enum Thing {
    Listener(usize),
    Connection(Connection),
}

/// An end of work: when, of whom, in which life, for which connection.
type End = Reverse<(Instant, usize, u32, u64)>;

pub(super) struct Worker {
    plan: Plan,
    signals: Arc<Signals>,
    poll: Poll,
    replicas: Vec<Live>,
    things: Slots<Thing>,
    ends: BinaryHeap<End>,
    /// What the script still has, the next at the end.
    script: Vec<(Duration, usize, Mode)>,
    pub(super) observed: Observed,
}

impl Worker {
    pub(super) fn new(plan: Plan, signals: Arc<Signals>) -> Result<Self, Failure> {
        let count = plan.replicas.len();
        let mut script = plan.script();
        script.reverse();
        let mut worker = Self {
            signals,
            poll: Poll::new()?,
            replicas: Vec::with_capacity(count),
            things: Slots::default(),
            ends: BinaryHeap::new(),
            script,
            observed: Observed::new(count),
            plan,
        };
        for index in 0..count {
            let port = bound((Ipv4Addr::LOCALHOST, 0).into())?;
            let address = port.local_addr()?.as_socket().ok_or("no address")?;
            let station = Station::new(worker.plan.limit);
            let mode = Mode::Serving;
            worker.replicas.push(Live { address, _port: port, listener: None, mode, station, life: 0 });
            worker.listen(index)?;
        }
        Ok(worker)
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.address).collect()
    }

    fn listen(&mut self, index: usize) -> Result<(), Failure> {
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        let socket = bound(replica.address)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener: TcpListener = socket.into();
        let token = self.things.insert(Thing::Listener(index));
        self.poll.add(&listener, token, Interest::Read)?;
        replica.listener = Some((token, listener));
        Ok(())
    }

    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let mut ready = Vec::new();
        while !self.signals.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.follow_script(now)?;
            self.finish_work(now);
            let end = self.ends.peek().map(|Reverse((at, ..))| *at);
            let until = [end, self.next_change()].into_iter().flatten().min().unwrap_or(now + LOOK).min(now + LOOK);
            self.poll.wait(until, &mut ready)?;
            for token in ready.drain(..) {
                match self.things.get_mut(token) {
                    Some(Thing::Listener(index)) => {
                        let index = *index;
                        self.accept(index)?;
                    }
                    Some(Thing::Connection(_)) => self.read(token),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn next_change(&self) -> Option<Instant> {
        let begin = self.signals.begin.get()?;
        self.script.last().map(|(moment, ..)| *begin + *moment)
    }

    fn follow_script(&mut self, now: Instant) -> Result<(), Failure> {
        while self.next_change().is_some_and(|at| at <= now) {
            if let Some((_, index, mode)) = self.script.pop() {
                self.change(index, mode)?;
            }
        }
        Ok(())
    }

    fn change(&mut self, index: usize, mode: Mode) -> Result<(), Failure> {
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        replica.mode = mode;
        replica.station.set_open(mode != Mode::Hanging);
        match mode {
            Mode::Serving | Mode::Failing | Mode::Hanging => {}
            Mode::Resetting => {
                self.accept(index)?;
                self.cut(index);
            }
            Mode::Down => {
                self.accept(index)?;
                self.close(index);
                self.cut(index);
                return Ok(());
            }
        }
        if self.replicas.get(index).is_some_and(|replica| replica.listener.is_none()) {
            self.listen(index)?;
        }
        self.start_work(index);
        Ok(())
    }

    fn close(&mut self, index: usize) {
        let listener = self.replicas.get_mut(index).and_then(|replica| replica.listener.take());
        if let Some((token, _)) = listener {
            self.things.remove(token);
        }
    }

    /// Resets all connections of a replica and notes what it held.
    fn cut(&mut self, index: usize) {
        let own = |thing: &Thing| matches!(thing, Thing::Connection(connection) if connection.replica == index);
        for token in self.things.tokens(own) {
            let Some(Thing::Connection(mut connection)) = self.things.remove(token) else { continue };
            // What has arrived unread is held as well.
            if let Asked::Request(_) = connection.read() {
                self.count(index);
            }
            self.observed.held.extend(connection.serves);
            connection.reset();
        }
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.life += 1;
            replica.station = Station::new(self.plan.limit);
        }
    }

    fn accept(&mut self, index: usize) -> Result<(), Failure> {
        let Some(Live { listener: Some((_, listener)), .. }) = self.replicas.get(index) else { return Ok(()) };
        // Any error but "nobody waits" is of one connection, and the next call says the next one.
        while let Ok((stream, _)) = listener.accept() {
            let Ok(connection) = Connection::new(stream, index) else { continue };
            let token = self.things.insert(Thing::Connection(connection));
            if let Some(Thing::Connection(connection)) = self.things.get_mut(token) {
                self.poll.add(&*connection, token, Interest::Read)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, token: u64) {
        let Some(Thing::Connection(connection)) = self.things.get_mut(token) else { return };
        let (asked, index) = (connection.read(), connection.replica);
        let Some(mode) = self.replicas.get(index).map(|replica| replica.mode) else { return };
        let answer = match (asked, mode) {
            (Asked::Part, _) | (Asked::Other, Mode::Hanging) => return,
            (Asked::Gone, _) => {
                self.things.remove(token);
                return;
            }
            (Asked::Other, Mode::Serving | Mode::Failing) => OK,
            (Asked::Other | Asked::Request(_), Mode::Resetting | Mode::Down) => {
                if let Asked::Request(_) = asked {
                    self.count(index);
                }
                if let Some(Thing::Connection(connection)) = self.things.remove(token) {
                    connection.reset();
                }
                return;
            }
            (Asked::Request(_), Mode::Failing) => {
                self.count(index);
                ERROR
            }
            (Asked::Request(_), Mode::Serving | Mode::Hanging) => {
                self.count(index);
                if let Some(replica) = self.replicas.get_mut(index) {
                    replica.station.arrive(token);
                }
                self.start_work(index);
                return;
            }
        };
        self.answer(token, answer);
    }

    fn count(&mut self, index: usize) {
        if let Some(begin) = self.signals.begin.get() {
            self.observed.count(index, begin.elapsed());
        }
    }

    fn start_work(&mut self, index: usize) {
        let Some(replica) = self.replicas.get_mut(index) else { return };
        while let Some(token) = replica.station.start() {
            // Whoever has gone away meanwhile is not worked for.
            let Some(Thing::Connection(Connection { serves: Some(id), .. })) = self.things.get_mut(token) else {
                replica.station.done();
                continue;
            };
            let end = Instant::now() + self.plan.work(index, *id);
            self.ends.push(Reverse((end, index, replica.life, token)));
        }
    }

    fn finish_work(&mut self, now: Instant) {
        while let Some(Reverse((at, index, life, token))) = self.ends.peek().copied() {
            if at > now {
                break;
            }
            self.ends.pop();
            let Some(replica) = self.replicas.get_mut(index) else { continue };
            if replica.life == life {
                replica.station.done();
                // Work goes on to its end when the asker has gone away; then nobody takes the answer.
                self.answer(token, OK);
                self.start_work(index);
            }
        }
    }

    fn answer(&mut self, token: u64, bytes: &[u8]) {
        if let Some(Thing::Connection(connection)) = self.things.get_mut(token)
            && !connection.answer(bytes)
        {
            self.things.remove(token);
        }
    }
}

fn bound(address: SocketAddr) -> Result<Socket, Failure> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

//! Connections that stay, each with one message on its way, from one thread.

use super::{Result, Traffic};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many connections are made at the same time. The accept queue of any server has room for so many.
pub(super) const TOGETHER: usize = 64;

/// How long nothing may be answered at all.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How often a load that sends at given times looks whether it is time.
const TICK: Duration = Duration::from_millis(1);

/// The size of a message.
const SIZE: usize = 64;

/// One connection.
pub(super) struct Conn {
    stream: TcpStream,
    /// What it sends: its own number, so that an answer to another is found out.
    message: [u8; SIZE],
    /// How much of the answer has come.
    got: usize,
    /// Since when it waits for the answer.
    asked: Instant,
    /// Whether it waits for one.
    waits: bool,
    /// Whether it is connected.
    is_open: bool,
}

impl Conn {
    /// The connection number `number` of a poll, which is not open yet.
    pub(super) fn new(mut stream: TcpStream, poll: &Poll, number: usize) -> Result<Conn> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(number), interest).map_err(|error| error.to_string())?;
        let mut message = [0x5a; SIZE];
        message[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Ok(Conn { stream, message, got: 0, asked: Instant::now(), waits: false, is_open: false })
    }

    /// It can be written to for the first time: asks, if it is connected.
    pub(super) fn opened(&mut self) -> Result<()> {
        if self.is_open {
            return Ok(());
        }
        if let Some(error) = self.stream.take_error().map_err(|error| error.to_string())? {
            return Err(format!("connect: {error}"));
        }
        self.stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
        self.is_open = true;
        self.ask(Instant::now())
    }

    /// Sends its message, of which the time counts from `asked`.
    fn ask(&mut self, asked: Instant) -> Result<()> {
        self.asked = asked;
        self.waits = true;
        match self.stream.write(&self.message) {
            Ok(SIZE) => Ok(()),
            Ok(_) => Err("there is no room for a message".to_owned()),
            Err(error) => Err(format!("write: {error}")),
        }
    }

    /// Reads what has come. Whether that is the whole answer. Nothing can come after it, so the next event is a new one.
    pub(super) fn answered(&mut self) -> Result<bool> {
        let mut buffer = [0; 4 * SIZE];
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the server has closed a connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("read: {error}")),
            };
            if self.message.get(self.got..self.got + count) != Some(&buffer[..count]) || !self.waits {
                return Err("an answer is not what was sent".to_owned());
            }
            self.got += count;
            if self.got == SIZE {
                self.got = 0;
                self.waits = false;
                return Ok(true);
            }
        }
    }

    /// Since when it waits for an answer.
    pub(super) fn asked(&self) -> Instant {
        self.asked
    }
}

/// All connections.
pub(super) struct Load {
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
}

impl Load {
    /// Opens so many connections, on each of which one message has come back.
    pub(super) fn open(address: SocketAddr, count: usize) -> Result<Load> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let mut load = Load { poll, events: Events::with_capacity(256), conns: Vec::with_capacity(count) };
        let mut done = 0;
        while done < count {
            while load.conns.len() < count && load.conns.len() - done < TOGETHER {
                let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
                load.conns.push(Conn::new(stream, &load.poll, load.conns.len())?);
            }
            wait(&mut load.poll, &mut load.events)?;
            for event in &load.events {
                let conn = &mut load.conns[event.token().0];
                if event.is_writable() {
                    conn.opened()?;
                }
                if event.is_readable() && conn.answered()? {
                    done += 1;
                }
            }
        }
        Ok(load)
    }

    /// Each connection sends again as soon as it has its answer, for `warm_up` and then for `time`, which is counted.
    pub(super) fn busy(
        &mut self,
        warm_up: Duration,
        time: Duration,
        server_cpu: impl Fn() -> Result<Duration>,
    ) -> Result<Traffic> {
        let mut traffic = Traffic::new()?;
        let warm = Instant::now() + warm_up;
        for conn in &mut self.conns {
            conn.ask(Instant::now())?;
        }
        let mut began = None;
        loop {
            wait(&mut self.poll, &mut self.events)?;
            let mut now = Instant::now();
            for event in self.events.iter().filter(|event| event.is_readable()) {
                let conn = &mut self.conns[event.token().0];
                if conn.answered()? {
                    now = Instant::now();
                    if began.is_some() {
                        traffic.add(now - conn.asked);
                    }
                    conn.ask(now)?;
                }
            }
            match began {
                None if now >= warm => began = Some((Instant::now(), server_cpu()?)),
                Some((start, cpu)) if now - start >= time => {
                    traffic.cost.wall = now - start;
                    traffic.cost.cpu = server_cpu()?.saturating_sub(cpu);
                    return Ok(traffic);
                }
                _ => {}
            }
        }
    }

    /// Each connection sends a message `every` so often, all of them evenly spread, for `time`. One that has no answer yet
    /// when it is to send sends later, and the time counts from when it was to; so who stalls a connection is not spared
    /// its next messages. What has no answer at the end counts as it is then.
    pub(super) fn paced(&mut self, every: Duration, time: Duration) -> Result<Traffic> {
        let mut traffic = Traffic::new()?;
        let count = self.conns.len();
        let step = every / count as u32;
        let start = Instant::now();
        let due = |conn: usize, turn: usize| start + step * (turn * count + conn) as u32;
        // How many messages each was to send until now, and how many it has sent.
        let mut turns = vec![(0_usize, 0_usize); count];
        let mut next = 0;
        loop {
            let now = Instant::now();
            if now >= start + time {
                break;
            }
            while due(0, 0) + step * next as u32 <= now {
                let (conn, (owed, sent)) = (&mut self.conns[next % count], &mut turns[next % count]);
                *owed += 1;
                // Late is only the server, not who sends.
                if !conn.waits {
                    *sent += 1;
                    conn.ask(Instant::now())?;
                }
                next += 1;
            }
            self.poll.poll(&mut self.events, Some(TICK)).or_else(interrupted)?;
            for event in self.events.iter().filter(|event| event.is_readable()) {
                let number = event.token().0;
                let (conn, (owed, sent)) = (&mut self.conns[number], &mut turns[number]);
                if conn.answered()? {
                    traffic.add(conn.asked.elapsed());
                    if sent < owed {
                        *sent += 1;
                        conn.ask(due(number, *sent - 1))?;
                    }
                }
            }
        }
        let end = Instant::now();
        for (number, (conn, (owed, sent))) in self.conns.iter().zip(turns).enumerate() {
            if conn.waits {
                traffic.add(end - conn.asked);
            }
            (sent..owed).for_each(|turn| traffic.add(end - due(number, turn)));
        }
        self.drain()?;
        Ok(traffic)
    }

    /// Takes the answers that are still to come.
    fn drain(&mut self) -> Result<()> {
        let mut left = self.conns.iter().filter(|conn| conn.waits).count();
        while left > 0 {
            wait(&mut self.poll, &mut self.events)?;
            for event in self.events.iter().filter(|event| event.is_readable()) {
                left -= usize::from(self.conns[event.token().0].answered()?);
            }
        }
        Ok(())
    }
}

/// Waits until something comes.
pub(super) fn wait(poll: &mut Poll, events: &mut Events) -> Result<()> {
    loop {
        match poll.poll(events, Some(SILENCE_MAX)) {
            Ok(()) if events.is_empty() => {
                return Err(format!("nothing is answered for {} s", SILENCE_MAX.as_secs()));
            }
            // It was stopped and continued: that is not silence.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer.or_else(interrupted),
        }
    }
}

/// A signal is no error.
fn interrupted(error: std::io::Error) -> Result<()> {
    if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(format!("poll: {error}")) }
}

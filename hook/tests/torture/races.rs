//! Readers of one descriptor that take each other's bytes: Gs that park, threads that do not, and other processes. What an
//! event has promised is often gone when a G comes. Each token that was thrown is caught by one of them.

use crate::common::Rng;
use crate::world::{World, check};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A read of a socket does not wait for longer.
const PATIENCE: Duration = Duration::from_millis(3);
/// A token has so many bytes.
const BYTES: usize = 8;

/// Where all throw tokens, and catch them.
pub(crate) struct Races {
    /// A message is a token.
    datagrams: (UnixDatagram, UnixDatagram),
    /// These carry eight bytes for each.
    stream: (UnixStream, UnixStream),
    pipe: (PipeReader, PipeWriter),
    /// The sums.
    thrown: AtomicU64,
    caught: AtomicU64,
    /// How many processes have begun to catch, and of how many it is known what they have caught. Of one whose G was
    /// cancelled it is not; std's `output` panics then.
    begun: AtomicU64,
    known: AtomicU64,
    /// How often a thread that does not wait was faster than those that do.
    pub(crate) stolen: AtomicU64,
}

impl Races {
    pub(crate) fn new() -> io::Result<Races> {
        let (datagrams, stream, pipe) = (UnixDatagram::pair()?, UnixStream::pair()?, io::pipe()?);
        datagrams.1.set_read_timeout(Some(PATIENCE))?;
        stream.1.set_read_timeout(Some(PATIENCE))?;
        // Who throws does not wait, as nobody may be left to catch. Those that catch from the pipe do.
        for fd in [datagrams.0.as_raw_fd(), stream.0.as_raw_fd(), pipe.1.as_raw_fd()] {
            // SAFETY: it changes flags of a descriptor of ours.
            check(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } == 0, "a flag cannot be set");
        }
        Ok(Races {
            datagrams,
            stream,
            pipe,
            thrown: AtomicU64::new(0),
            caught: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            known: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
        })
    }

    /// Throws one to each. What does not fit is not thrown.
    fn throw(&self, rng: &mut Rng) {
        let value = rng.below(1_000) as u64;
        let token = value.to_ne_bytes();
        let thrown = [self.datagrams.0.send(&token), (&self.stream.0).write(&token), (&self.pipe.1).write(&token)];
        for thrown in thrown {
            match thrown {
                Ok(bytes) => {
                    check(bytes == BYTES, "half a token was thrown");
                    self.thrown.fetch_add(value, Ordering::Relaxed);
                }
                Err(error) => check(error.kind() == ErrorKind::WouldBlock, &format!("{error:?} when throwing")),
            }
        }
    }

    /// What a read has caught.
    fn catch(&self, read: io::Result<usize>, token: [u8; BYTES]) -> io::Result<()> {
        match read {
            Ok(bytes) => {
                check(bytes == BYTES, "half a token was caught");
                self.caught.fetch_add(u64::from_ne_bytes(token), Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes from the sockets without waiting.
    fn steal(&self) {
        for fd in [self.datagrams.1.as_raw_fd(), self.stream.1.as_raw_fd()] {
            let mut token = [0; BYTES];
            // SAFETY: there is room for so many.
            let bytes = unsafe { libc::recv(fd, token.as_mut_ptr().cast(), BYTES, libc::MSG_DONTWAIT) };
            if let Ok(bytes) = usize::try_from(bytes) {
                self.stolen.fetch_add(1, Ordering::Relaxed);
                check(self.catch(Ok(bytes), token).is_ok(), "it was caught");
            }
        }
    }

    /// After all have ended.
    pub(crate) fn nothing_is_lost(&self) {
        // SAFETY: it changes a flag of a descriptor of ours.
        let set = unsafe { libc::fcntl(self.pipe.0.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        check(set == 0, "a flag cannot be set");
        let mut left = 0;
        let mut token = [0; BYTES];
        while let Ok(BYTES) = (&self.pipe.0).read(&mut token) {
            left += u64::from_ne_bytes(token);
        }
        while let Ok(BYTES) = self.datagrams.1.recv(&mut token) {
            left += u64::from_ne_bytes(token);
        }
        while let Ok(BYTES) = (&self.stream.1).read(&mut token) {
            left += u64::from_ne_bytes(token);
        }
        if self.begun.load(Ordering::Relaxed) == self.known.load(Ordering::Relaxed) {
            let (caught, thrown) = (self.caught.load(Ordering::Relaxed) + left, self.thrown.load(Ordering::Relaxed));
            check(caught == thrown, &format!("of tokens worth {thrown} those of {caught} were caught"));
        }
    }
}

/// A thread that throws as long as anybody may wait for a token.
pub(crate) fn throw_all_the_time(world: &World, mut rng: Rng) {
    while !world.ended.load(Ordering::Relaxed) {
        for _ in 0..rng.below(4) {
            world.races.throw(&mut rng);
        }
        thread::sleep(Duration::from_micros(rng.below(500) as u64));
    }
}

/// A thread that catches without waiting.
pub(crate) fn steal_all_the_time(world: &World, mut rng: Rng) {
    while !world.ended.load(Ordering::Relaxed) {
        world.races.steal();
        if rng.below(3) == 0 {
            thread::sleep(Duration::from_micros(rng.below(100) as u64));
        }
    }
}

pub(crate) fn catch(world: &World, rng: &mut Rng) -> io::Result<()> {
    let races = &world.races;
    let mut token = [0; BYTES];
    let read = match rng.below(3) {
        0 => races.datagrams.1.recv(&mut token),
        1 => (&races.stream.1).read(&mut token),
        // Another may be faster: then it blocks its thread until the next token comes.
        _ => (&races.pipe.0).read(&mut token),
    };
    races.catch(read, token)
}

/// Another process catches some. Seldom, as it takes long.
pub(crate) fn catch_in_a_child(world: &World, rng: &mut Rng) -> io::Result<()> {
    if rng.below(30) != 0 {
        return Ok(());
    }
    let races = &world.races;
    let mut command = Command::new("dd");
    command.args(["bs=8", "count=3", "status=none"]).stderr(Stdio::null());
    command.stdin(OwnedFd::from(races.stream.1.try_clone()?));
    races.begun.fetch_add(1, Ordering::Relaxed);
    let caught = command.output()?.stdout;
    races.known.fetch_add(1, Ordering::Relaxed);
    let (tokens, rest) = caught.as_chunks::<BYTES>();
    check(rest.is_empty(), "half a token came out of a process");
    tokens.iter().try_for_each(|token| races.catch(Ok(BYTES), *token))
}

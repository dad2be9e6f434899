//! Go's `golang.org/x/net/nettest`, its eleven sub-tests rewritten: what a connection does with deadlines and when it is
//! closed. Over TCP, Unix and pipes; with Gs on one P and on more, and with threads.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::Kind;
use crew::common::{Rng, eventually, runtime};
use pirn_net::io::{PipeReader, PipeWriter, pipe};
use pirn_net::os::unix::net::UnixStream;
use pirn_net::{TcpListener, TcpStream};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The ends of two pipes.
type Ends = Arc<(PipeReader, PipeWriter)>;

/// One end of a connection.
#[derive(Clone)]
enum Conn {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
    /// Until it is closed.
    Pipes(Arc<Mutex<Option<Ends>>>),
}

/// The same of each kind, if it is not closed.
macro_rules! both {
    ($conn:expr, $reader:ident, $writer:ident => $do:expr) => {
        match $conn {
            Conn::Tcp(stream) => {
                let ($reader, $writer) = (&**stream, &**stream);
                $do
            }
            Conn::Unix(stream) => {
                let ($reader, $writer) = (&**stream, &**stream);
                $do
            }
            Conn::Pipes(pipes) => {
                let pipes = pipes.lock().unwrap().clone().ok_or(ErrorKind::NotConnected)?;
                let ($reader, $writer) = (&pipes.0, &pipes.1);
                $do
            }
        }
    };
}

impl Conn {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        both!(self, reader, _writer => { let mut reader = reader; reader.read(buf) })
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        both!(self, _reader, writer => { let mut writer = writer; writer.write(buf) })
    }

    /// As Go's `Write`, all or an error.
    fn write_all(&self, buf: &[u8]) -> io::Result<()> {
        let mut rest = buf;
        while !rest.is_empty() {
            rest = &rest[self.write(rest)?..];
        }
        Ok(())
    }

    fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => filled += length,
            }
        }
        Ok(())
    }

    fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        both!(self, reader, _writer => reader.set_read_deadline(deadline));
        Ok(())
    }

    fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        both!(self, _reader, writer => writer.set_write_deadline(deadline));
        Ok(())
    }

    fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.set_read_deadline(deadline)?;
        self.set_write_deadline(deadline)
    }

    /// Those that wait return.
    fn close(&self) {
        match self {
            Conn::Tcp(stream) => _ = stream.shutdown(Shutdown::Both),
            Conn::Unix(stream) => _ = stream.shutdown(Shutdown::Both),
            Conn::Pipes(pipes) => {
                if let Some(pipes) = pipes.lock().unwrap().take() {
                    pipes.0.set_read_deadline(long_ago());
                    pipes.1.set_write_deadline(long_ago());
                }
            }
        }
    }

    fn addresses(&self) {
        match self {
            Conn::Tcp(stream) => _ = (stream.local_addr(), stream.peer_addr()),
            Conn::Unix(stream) => _ = (stream.local_addr(), stream.peer_addr()),
            Conn::Pipes(_) => {}
        }
    }
}

fn tcp() -> (Conn, Conn) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Conn::Tcp(Arc::new(client)), Conn::Tcp(Arc::new(listener.accept().unwrap().0)))
}

fn unix() -> (Conn, Conn) {
    let (a, b) = UnixStream::pair().unwrap();
    (Conn::Unix(Arc::new(a)), Conn::Unix(Arc::new(b)))
}

fn pipes() -> (Conn, Conn) {
    let (a_reader, b_writer) = pipe().unwrap();
    let (b_reader, a_writer) = pipe().unwrap();
    let conn = |ends| Conn::Pipes(Arc::new(Mutex::new(Some(Arc::new(ends)))));
    (conn((a_reader, a_writer)), conn((b_reader, b_writer)))
}

/// It has passed when anybody looks.
fn long_ago() -> Option<Instant> {
    Some(Instant::now())
}

fn soon(ms: u64) -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(ms))
}

#[track_caller]
fn expect_timeout<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
}

/// Runs a sub-test over all kinds of connections, by Gs and by threads.
fn everywhere(test: fn(Kind, Conn, Conn)) {
    for make in [tcp, unix, pipes] {
        let run = |kind| {
            let (a, b) = make();
            test(kind, a.clone(), b.clone());
            // Whoever copies ends.
            a.close();
            b.close();
        };
        for procs in [1, 2] {
            let house = runtime(procs);
            house.run(|| run(Kind::G));
            eventually("all Gs have ended", || house.goroutines().is_empty());
            house.close();
        }
        run(Kind::Thread);
    }
}

/// Sends what it reads back, until either fails.
fn echo(kind: Kind, conn: &Conn) {
    let conn = conn.clone();
    drop(kind.go(move || {
        let mut buf = [0; 1024];
        loop {
            match conn.read(&mut buf) {
                Ok(0) | Err(_) => return,
                Ok(length) if conn.write_all(&buf[..length]).is_err() => return,
                Ok(_) => {}
            }
        }
    }));
}

/// Reads until it fails.
fn discard(kind: Kind, conn: &Conn) {
    let conn = conn.clone();
    drop(kind.go(move || {
        let mut buf = [0; 1024];
        while conn.read(&mut buf).is_ok_and(|length| length > 0) {}
    }));
}

/// Writes until it fails.
fn gush(kind: Kind, conn: &Conn) {
    let conn = conn.clone();
    drop(kind.go(move || {
        let mut rng = Rng::new(0);
        let mut buf = [0; 1024];
        loop {
            buf.fill_with(|| rng.next() as u8);
            if conn.write_all(&buf).is_err() {
                return;
            }
        }
    }));
}

/// Writes something to what echoes, and reads it back.
#[track_caller]
fn roundtrip(conn: &Conn) {
    conn.set_deadline(None).unwrap();
    let text = b"Hello, world!";
    conn.write_all(text).unwrap();
    let mut buf = [0; 13];
    conn.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, text);
}

/// Reads what is still on its way from what echoes.
fn resync(kind: Kind, conn: &Conn) {
    conn.set_deadline(None).unwrap();
    let writer = conn.clone();
    let writer = kind.go(move || writer.write_all(&[0xff]));
    let mut buf = [0; 1024];
    loop {
        let length = conn.read(&mut buf).unwrap();
        assert_ne!(length, 0);
        if buf[..length].iter().position(|byte| *byte == 0xff) == Some(length - 1) {
            break;
        }
    }
    writer.join().unwrap();
}

#[test]
fn basic_io() {
    everywhere(|kind, a, b| {
        let mut rng = Rng::new(0);
        let want: Arc<Vec<u8>> = Arc::new((0..1 << 20).map(|_| rng.next() as u8).collect());
        let sent = want.clone();
        let sender = kind.go(move || {
            sent.chunks(1024).for_each(|chunk| a.write_all(chunk).unwrap());
            match &a {
                // All of it arrives also when this end is closed at once.
                Conn::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
                Conn::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
                Conn::Pipes(_) => a.close(),
            }
        });
        let receiver = kind.go(move || {
            let (mut got, mut buf) = (Vec::new(), [0; 1024]);
            loop {
                match b.read(&mut buf).unwrap() {
                    0 => break got,
                    length => got.extend_from_slice(&buf[..length]),
                }
            }
        });
        sender.join();
        assert!(receiver.join() == *want, "transmitted data differs");
    });
}

#[test]
fn ping_pong() {
    everywhere(|kind, a, b| {
        let ping_ponger = |conn: Conn| {
            kind.go(move || {
                let mut buf = [0; 8];
                let mut before = 0;
                loop {
                    match conn.read_exact(&mut buf) {
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                        read => read.unwrap(),
                    }
                    let value = u64::from_le_bytes(buf);
                    assert!(before == 0 || before + 2 == value, "got {value}, want {}", before + 2);
                    before = value;
                    if value == 1000 {
                        break;
                    }
                    conn.write_all(&(value + 1).to_le_bytes()).unwrap();
                }
                conn.close();
            })
        };
        let players = [ping_ponger(a.clone()), ping_ponger(b)];
        a.write_all(&[0; 8]).unwrap();
        players.into_iter().for_each(|player| player.join());
    });
}

/// The buffer of a read or write that has timed out is the caller's again at once, and several may wait.
fn racy(kind: Kind, conn: &Conn, operation: fn(&Conn, &mut [u8]) -> io::Result<usize>, set: fn(&Conn)) {
    set(conn);
    let racers: Vec<_> = (0..10)
        .map(|_| {
            let conn = conn.clone();
            kind.go(move || {
                let mut buf = [0; 1024];
                for _ in 0..100 {
                    let result = operation(&conn, &mut buf);
                    buf.fill(0);
                    if result.is_err() {
                        expect_timeout(result);
                        set(&conn);
                    }
                }
            })
        })
        .collect();
    racers.into_iter().for_each(|racer| racer.join());
}

#[test]
fn racy_read() {
    everywhere(|kind, a, b| {
        gush(kind, &b);
        racy(kind, &a, |conn, buf| conn.read(buf), |conn| conn.set_read_deadline(soon(1)).unwrap());
    });
}

#[test]
fn racy_write() {
    everywhere(|kind, a, b| {
        discard(kind, &b);
        racy(kind, &a, |conn, buf| conn.write(buf), |conn| conn.set_write_deadline(soon(1)).unwrap());
    });
}

#[test]
fn read_timeout() {
    everywhere(|kind, a, b| {
        discard(kind, &b);
        a.set_read_deadline(long_ago()).unwrap();
        expect_timeout(a.read(&mut [0; 1024]));
        a.write_all(&[0; 1024]).unwrap();
    });
}

#[test]
fn write_timeout() {
    everywhere(|kind, a, b| {
        gush(kind, &b);
        a.set_write_deadline(long_ago()).unwrap();
        expect_timeout(a.write(&[0; 1024]));
        a.read(&mut [0; 1024]).unwrap();
    });
}

#[test]
fn past_timeout() {
    everywhere(|kind, a, b| {
        echo(kind, &b);
        roundtrip(&a);
        a.set_deadline(long_ago()).unwrap();
        expect_timeout(a.write(&[0; 1024]));
        expect_timeout(a.read(&mut [0; 1024]));
        roundtrip(&a);
    });
}

#[test]
fn present_timeout() {
    everywhere(|kind, a, _b| {
        let is_set = Arc::new(AtomicBool::new(false));
        let setter = {
            let (a, is_set) = (a.clone(), is_set.clone());
            kind.go(move || {
                pirn_runtime::sleep(Duration::from_millis(100));
                is_set.store(true, Ordering::Release);
                a.set_read_deadline(long_ago()).unwrap();
                a.set_write_deadline(long_ago()).unwrap();
            })
        };
        let reader = {
            let (a, is_set) = (a.clone(), is_set.clone());
            kind.go(move || {
                expect_timeout(a.read(&mut [0; 1024]));
                assert!(is_set.load(Ordering::Acquire), "it timed out before the deadline was set");
            })
        };
        let writer = kind.go(move || {
            expect_timeout(loop {
                let result = a.write(&[0; 1024]);
                if result.is_err() {
                    break result;
                }
            });
            assert!(is_set.load(Ordering::Acquire), "it timed out before the deadline was set");
        });
        [setter, reader, writer].into_iter().for_each(|worker| worker.join());
    });
}

#[test]
fn future_timeout() {
    everywhere(|kind, a, b| {
        a.set_deadline(soon(100)).unwrap();
        let reader = a.clone();
        let reader = kind.go(move || expect_timeout(reader.read(&mut [0; 1024])));
        let writer = a.clone();
        let writer = kind.go(move || {
            expect_timeout(loop {
                let result = writer.write(&[0; 1024]);
                if result.is_err() {
                    break result;
                }
            });
        });
        [reader, writer].into_iter().for_each(|worker| worker.join());
        echo(kind, &b);
        resync(kind, &a);
        roundtrip(&a);
    });
}

#[test]
fn close_timeout() {
    everywhere(|kind, a, b| {
        echo(kind, &b);
        a.set_deadline(None).unwrap();
        let closer = a.clone();
        let closer = kind.go(move || {
            pirn_runtime::sleep(Duration::from_millis(100));
            closer.close();
        });
        let reader = a.clone();
        let reader = kind.go(move || {
            let mut buf = [0; 1024];
            while reader.read(&mut buf).is_ok_and(|length| length > 0) {}
        });
        let writer = kind.go(move || while a.write(&[0; 1024]).is_ok() {});
        [closer, reader, writer].into_iter().for_each(|worker| worker.join());
    });
}

#[test]
fn concurrent_methods() {
    everywhere(|kind, a, b| {
        echo(kind, &b);
        let methods: [fn(&Conn); 6] = [
            |a| _ = a.read(&mut [0; 1024]),
            |a| _ = a.write(&[0; 1024]),
            |a| a.set_deadline(soon(10)).unwrap(),
            |a| a.set_read_deadline(long_ago()).unwrap(),
            |a| a.set_write_deadline(long_ago()).unwrap(),
            Conn::addresses,
        ];
        let workers: Vec<_> = (0..100)
            .flat_map(|_| methods)
            .map(|method| {
                let a = a.clone();
                kind.go(move || method(&a))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join());
        resync(kind, &a);
        roundtrip(&a);
    });
}

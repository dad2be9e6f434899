//! Connections that come and go at random, by Gs, threads and tasks: each byte that is sent comes back, in its order, and
//! nobody hangs. `PIRN_STRESS_SECS` is the time box.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{Rng, builder, house, seed, stress_secs};
use crew::{Kind, Worker};
use pirn_net::os::unix::net::UnixStream;
use pirn_net::{Async, TcpListener, TcpStream};
use pirn_runtime::{block_on, go, sleep};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So many connections at a time.
const CLIENTS: usize = 12;
/// A message is not longer: more than the buffers on the way hold.
const LENGTH_MAX: usize = 400_000;

#[derive(Clone)]
enum Conn {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

macro_rules! each {
    ($conn:expr, $stream:ident => $do:expr) => {
        match $conn {
            Conn::Tcp($stream) => $do,
            Conn::Unix($stream) => $do,
        }
    };
}

impl Conn {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => (&**stream).read(buf))
    }

    /// As an async task, on a G.
    fn read_async(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => block_on(Async::new(&**stream).read_with(|mut inner| inner.read(buf))))
    }

    fn write_all(&self, buf: &[u8]) -> io::Result<()> {
        each!(self, stream => (&**stream).write_all(buf))
    }

    fn end_writes(&self) -> io::Result<()> {
        each!(self, stream => stream.shutdown(Shutdown::Write))
    }

    fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable())
    }

    fn set_read_deadline(&self, deadline: Option<Instant>) {
        each!(self, stream => stream.set_read_deadline(deadline));
    }
}

/// A G or a thread; Gs are more often.
fn any_kind(rng: &mut Rng) -> Kind {
    if rng.below(3) == 0 { Kind::Thread } else { Kind::G }
}

/// Sends back what it reads, up to the end.
fn echo(conn: &Conn) {
    let mut buf = vec![0; 10_000];
    while let Ok(length @ 1..) = conn.read(&mut buf) {
        if conn.write_all(&buf[..length]).is_err() {
            return;
        }
    }
}

/// The byte at this place of a conversation.
fn byte(place: usize) -> u8 {
    (place * 31 % 251) as u8
}

/// Reads so many bytes in one of several ways, and looks at each.
fn read_back(conn: &Conn, rng: &mut Rng, on_g: bool, mut place: usize, end: usize) {
    let mut buf = vec![0; 1 + rng.below(20_000)];
    while place < end {
        if rng.below(4) == 0 {
            conn.set_read_deadline(Some(Instant::now() + Duration::from_micros(rng.below(300) as u64)));
        }
        if rng.below(4) == 0 {
            // It may time out; then so does the read.
            _ = conn.readable();
        }
        let want = buf.len().min(end - place);
        let read = if on_g && rng.below(3) == 0 { Conn::read_async } else { Conn::read };
        match read(conn, &mut buf[..want]) {
            Ok(0) => panic!("the end, after {place} of {end} bytes"),
            Ok(length) => {
                assert!(buf[..length].iter().enumerate().all(|(nth, got)| *got == byte(place + nth)), "at {place}");
                place += length;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
        conn.set_read_deadline(None);
    }
}

/// A conversation: messages go, and come back; then it ends in order, or it just ends.
fn client(conn: &Conn, rng: &mut Rng, on_g: bool) -> usize {
    let mut place = 0;
    for _ in 0..1 + rng.below(5) {
        let length = if rng.below(3) == 0 { 1 + rng.below(LENGTH_MAX) } else { 1 + rng.below(100) };
        let bytes: Vec<u8> = (place..place + length).map(byte).collect();
        let writer = conn.clone();
        let from = if on_g { Kind::G } else { Kind::Thread };
        let writer = start(any_kind(rng), from, move || writer.write_all(&bytes).expect("the echo reads"));
        read_back(conn, rng, on_g, place, place + length);
        join(writer, on_g);
        place += length;
    }
    if rng.below(2) == 0 {
        conn.end_writes().expect("it is connected");
        assert_eq!(conn.read(&mut [0]).expect("the echo ends"), 0);
    }
    place
}

/// From a G or from a thread.
fn join<T>(worker: Worker<T>, on_g: bool) -> T {
    match worker {
        Worker::Thread(thread) if !on_g => thread.join().expect("it does not panic"),
        worker => worker.join(),
    }
}

#[test]
fn stress() {
    let mut rng = Rng::new(seed("stress"));
    let end = Instant::now() + Duration::from_secs(stress_secs());
    let bytes = Arc::new(AtomicUsize::new(0));
    while Instant::now() < end {
        let procs = builder().procs(1 + rng.below(4));
        let house = house(if rng.below(2) == 0 { procs.debug("width=1") } else { procs });
        let total = bytes.clone();
        let seed = rng.next();
        house.run(move || round(&mut Rng::new(seed), &total));
        house.close();
    }
    eprintln!("{} bytes", bytes.load(Ordering::Relaxed));
    assert!(bytes.load(Ordering::Relaxed) > 0);
}

/// Only what comes from descriptors is for one P: Gs that want to run at the same time do so, and timers are on time.
#[test]
fn a_width_of_one_limits_nothing_else() {
    let house = house(builder().procs(2).debug("width=1"));
    house.run(|| {
        let (mut a, mut b) = UnixStream::pair().expect("two descriptors");
        let echo = go(move || {
            let mut buf = [0];
            while b.read_exact(&mut buf).is_ok() {
                b.write_all(&buf).expect("it is read");
            }
        });
        let ends = Arc::new(AtomicUsize::new(0));
        let talk = {
            let ends = ends.clone();
            go(move || {
                while ends.load(Ordering::Relaxed) < 3 {
                    a.write_all(b"x").expect("it is read");
                    a.read_exact(&mut [0]).expect("an echo");
                }
            })
        };
        let turn = Arc::new(AtomicUsize::new(0));
        let spinners: Vec<_> = (0..2)
            .map(|me| {
                let (turn, ends) = (turn.clone(), ends.clone());
                go(move || {
                    for _ in 0..50 {
                        // Neither calls the runtime before the other has had its turn.
                        while turn.load(Ordering::Relaxed) % 2 != me {
                            std::hint::spin_loop();
                        }
                        turn.fetch_add(1, Ordering::Relaxed);
                    }
                    ends.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        for _ in 0..50 {
            sleep(Duration::from_millis(1));
        }
        ends.fetch_add(1, Ordering::Relaxed);
        spinners.into_iter().for_each(|spinner| spinner.join().expect("it does not panic"));
        talk.join().expect("it does not panic");
        echo.join().expect("it ends with its peer");
    });
    house.close();
}

/// Some connections at once, on one runtime.
fn round(rng: &mut Rng, bytes: &Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let listener = Arc::new(listener);
    let server = {
        let listener = listener.clone();
        go(move || {
            for stream in listener.incoming() {
                let conn = Conn::Tcp(Arc::new(stream.expect("a connection")));
                go(move || echo(&conn));
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (seed, bytes, kind, is_tcp) = (rng.next(), bytes.clone(), any_kind(rng), rng.below(2) == 0);
            let peers = any_kind(rng);
            kind.go(move || {
                let mut rng = Rng::new(seed);
                let (conn, peer) = match is_tcp {
                    true => (Conn::Tcp(Arc::new(TcpStream::connect(address).expect("it listens"))), None),
                    false => {
                        let (a, b) = UnixStream::pair().expect("two descriptors");
                        let conn = Conn::Unix(Arc::new(b));
                        (Conn::Unix(Arc::new(a)), Some(start(peers, kind, move || echo(&conn))))
                    }
                };
                bytes.fetch_add(client(&conn, &mut rng, kind == Kind::G), Ordering::Relaxed);
                drop(conn);
                if let Some(peer) = peer {
                    join(peer, kind == Kind::G);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join());
    listener.close();
    server.join().expect("it ends with its listener");
}

/// A thread can start no G without a handle.
fn start(kind: Kind, from: Kind, f: impl FnOnce() + Send + 'static) -> Worker<()> {
    if from == Kind::G { kind.go(f) } else { Kind::Thread.go(f) }
}

//! Waiting for descriptors: on Gs, on threads and in async code, with deadlines, across runtimes and at their ends.

mod common;

use common::{
    House, Rng, child_case, eventually, house, limit_descriptors, runtime, scale, seed, stress_secs, subprocess,
    threads_of, wait_until_asleep,
};
use pirn_runtime::internal::{Direction, Place, Source};
use pirn_runtime::{
    GoBuilder, ShutDown, State, WaitsOn, block_on, blocking, go, lock_os_thread, scope, sleep, yield_now,
};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);
/// So long that only a fault waits for it.
const LONG: Duration = Duration::from_secs(60);

/// A descriptor that does not block, with its source.
struct Io<T> {
    file: T,
    source: Source,
}

impl<T: AsFd> Io<T>
where
    for<'a> &'a T: Read + Write,
{
    fn new(file: T) -> Io<T> {
        Io { file, source: Source::new("unix") }
    }

    /// What a socket does.
    fn retry<R>(
        &self,
        direction: Direction,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let seen = self.source.begin(direction)?;
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.source.wait(self.file.as_fd(), seen, deadline)?;
                }
                done => return done,
            }
        }
    }

    fn read_byte(&self, timeout: Option<Duration>) -> io::Result<u8> {
        let mut byte = [0];
        let n = self.retry(Direction::Read, timeout, || (&self.file).read(&mut byte))?;
        if n == 1 { Ok(byte[0]) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_byte(&self, byte: u8) -> io::Result<()> {
        self.retry(Direction::Write, None, || (&self.file).write(&[byte])).map(drop)
    }

    async fn read_byte_async(&self, place: &mut Place) -> io::Result<u8> {
        loop {
            let seen = self.source.begin(Direction::Read)?;
            let mut byte = [0];
            match (&self.file).read(&mut byte) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll_fn(|cx| self.source.poll_wait(self.file.as_fd(), seen, place, cx)).await?;
                }
                done => return done.map(|_| byte[0]),
            }
        }
    }
}

fn pair() -> (Io<UnixStream>, Io<UnixStream>) {
    let (a, b) = UnixStream::pair().expect("two sockets");
    for end in [&a, &b] {
        end.set_nonblocking(true).expect("they can be");
    }
    (Io::new(a), Io::new(b))
}

fn arc_pair() -> (Arc<Io<UnixStream>>, Arc<Io<UnixStream>>) {
    let (a, b) = pair();
    (Arc::new(a), Arc::new(b))
}

/// Fills the buffer of the kernel.
fn fill(io: &Io<UnixStream>) -> usize {
    let mut written = 0;
    while let Ok(n) = (&io.file).write(&[1; 4096]) {
        written += n;
    }
    written
}

/// Waits until so many wait at that runtime's epoll, or in the kernel.
fn wait_for_waiters(rt: &House, count: usize) {
    eventually("they wait", || rt.metrics().io_waiters == count);
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

// ---------------------------------------------------------------------------------------------------- readiness

#[test]
fn what_does_not_wait_is_not_registered() {
    let rt = runtime(1);
    let (a, b) = pair();
    rt.run(|| {
        b.write_byte(7).expect("there is room");
        assert_eq!(a.read_byte(None).expect("it is there"), 7);
    });
    let metrics = rt.metrics();
    assert_eq!((metrics.descriptors, metrics.polls, metrics.poll_events), (0, 0, 0));
}

/// The event comes when the attempt has failed and the wait has not begun.
#[test]
fn an_event_before_the_wait_ends_it() {
    let rt = runtime(1);
    let attempt = || {
        let (a, b) = pair();
        // Once with a source that is new, once with one that is registered.
        for byte in [1, 2] {
            let seen = a.source.begin(Direction::Read).expect("it is open");
            assert_eq!(kind((&a.file).read(&mut [0])), Some(ErrorKind::WouldBlock));
            b.write_byte(byte).expect("there is room");
            a.source.wait(a.file.as_fd(), seen, Some(Instant::now() + LONG)).expect("there is an event");
            assert_eq!(a.read_byte(None).expect("it is there"), byte);
        }
    };
    rt.run(attempt);
    attempt();
}

#[test]
fn gs_and_threads_talk() {
    let rt = runtime(2);
    let rounds = scale(2_000, 20_000);
    let play = |me: &Io<UnixStream>| {
        for round in 0..rounds {
            me.write_byte(round as u8).expect("there is room");
            assert_eq!(me.read_byte(Some(LONG)).expect("the other answers"), round as u8);
        }
    };
    let answer = |me: &Io<UnixStream>| {
        for _ in 0..rounds {
            let byte = me.read_byte(Some(LONG)).expect("the other asks");
            me.write_byte(byte).expect("there is room");
        }
    };
    // Two Gs.
    let (a, b) = pair();
    rt.run(|| {
        scope(|s| {
            s.go(|| play(&a));
            s.go(|| answer(&b));
        });
    });
    // A G and a thread.
    let (a, b) = pair();
    thread::scope(|s| {
        s.spawn(|| answer(&b));
        rt.run(|| play(&a));
    });
    // Two threads.
    let (a, b) = pair();
    thread::scope(|s| {
        s.spawn(|| answer(&b));
        play(&a);
    });
}

#[test]
fn both_directions_wait_at_a_time() {
    let rt = runtime(2);
    let (a, b) = arc_pair();
    let written = fill(&a);
    let (reader, writer) = (a.clone(), a.clone());
    let gs = (rt.go(move || reader.read_byte(None)), rt.go(move || writer.write_byte(9)));
    wait_for_waiters(&rt, 2);
    b.write_byte(3).expect("there is room");
    assert_eq!(gs.0.join().expect("no panic").expect("it was written"), 3);
    // The writer has looked in vain, if at all.
    wait_for_waiters(&rt, 1);
    let mut sink = vec![0; written];
    (&b.file).read_exact(&mut sink).expect("it was written");
    gs.1.join().expect("no panic").expect("there is room now");
}

#[test]
fn all_that_wait_in_one_direction_are_served() {
    const READERS: usize = 8;
    let rt = runtime(2);
    let (a, b) = arc_pair();
    let gs: Vec<_> = (0..READERS)
        .map(|_| {
            let a = a.clone();
            rt.go(move || a.read_byte(None).expect("a byte for each"))
        })
        .collect();
    let thread = thread::spawn({
        let a = a.clone();
        move || a.read_byte(None).expect("a byte for each")
    });
    wait_for_waiters(&rt, READERS + 1);
    for byte in 0..=READERS {
        b.write_byte(byte as u8).expect("there is room");
    }
    let mut read: Vec<_> = gs.into_iter().map(|g| g.join().expect("no panic")).collect();
    read.push(thread.join().expect("no panic"));
    read.sort_unstable();
    assert_eq!(read, (0..=READERS as u8).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_goes_ends_the_wait() {
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let g = rt.go(move || kind(a.read_byte(None)));
    wait_for_waiters(&rt, 1);
    drop(b);
    assert_eq!(g.join().expect("no panic"), Some(ErrorKind::UnexpectedEof));
}

// ---------------------------------------------------------------------------------------------------- short reads

fn tcp_pair() -> (Io<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (stream, _) = listener.accept().expect("it was connected");
    stream.set_nonblocking(true).expect("it can be");
    (Io { file: stream, source: Source::new("tcp") }, peer)
}

impl Io<TcpStream> {
    /// As a socket does that tries only if there may be something. Counts the attempts that would have blocked.
    fn read_sparingly(&self, buffer: &mut [u8], blocked: &mut usize) -> io::Result<usize> {
        loop {
            let seen = self.source.begin(Direction::Read)?;
            if !seen.is_drained() {
                match (&self.file).read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => *blocked += 1,
                    done => {
                        if done.as_ref().is_ok_and(|n| *n > 0 && *n < buffer.len()) {
                            self.source.drained(seen);
                        }
                        return done;
                    }
                }
            }
            self.source.wait(self.file.as_fd(), seen, Some(Instant::now() + LONG))?;
        }
    }
}

/// On a G and on a thread: the bytes and the end come in all orders, with the reader before and after them.
#[test]
fn a_short_read_saves_an_attempt_and_misses_nothing() {
    let rt = runtime(2);
    let rounds = scale(300, 3_000);
    let read_all = |stream: &Io<TcpStream>| {
        let (mut read, mut blocked, mut buffer) = (0, 0, [0; 64]);
        loop {
            match stream.read_sparingly(&mut buffer, &mut blocked).expect("it is open") {
                0 => return (read, blocked),
                n => read += n,
            }
        }
    };
    let write_all = |mut peer: TcpStream, seed: u64| {
        let mut rng = Rng::new(seed);
        let mut written = 0;
        for _ in 0..rng.below(6) {
            let bytes = 1 + rng.below(150);
            peer.write_all(&vec![1; bytes]).expect("it is open");
            written += bytes;
            if rng.below(2) == 0 {
                thread::sleep(Duration::from_micros(rng.below(200) as u64));
            }
        }
        written
    };
    for round in 0..rounds as u64 {
        let (stream, peer) = tcp_pair();
        let writer = thread::spawn(move || write_all(peer, round));
        let (read, _) = if round % 4 == 3 { read_all(&stream) } else { rt.run(|| read_all(&stream)) };
        assert_eq!(read, writer.join().expect("no panic"), "round {round}");
    }
    // In turns: after the first wait no attempt blocks.
    let (stream, mut peer) = tcp_pair();
    let blocked = rt.run(|| {
        let (mut blocked, mut buffer) = (0, [0; 64]);
        let answers = go(move || {
            for _ in 0..100 {
                peer.write_all(b"ask").expect("it is open");
                sleep(Duration::from_micros(200));
            }
        });
        for _ in 0..100 {
            stream.read_sparingly(&mut buffer, &mut blocked).expect("it was written");
        }
        answers.join().expect("no panic");
        blocked
    });
    assert!(blocked < 50, "{blocked} attempts in vain");
}

/// Urgent data ends a read early, though there is more behind it.
#[test]
fn urgent_data_does_not_hide_what_comes_after_it() {
    let rt = runtime(1);
    let (stream, mut peer) = tcp_pair();
    let stream = Arc::new(stream);
    let reader = stream.clone();
    let g = rt.go(move || {
        let (mut read, mut blocked, mut buffer) = (0, 0, [0; 64]);
        while read < 6 {
            read += reader.read_sparingly(&mut buffer, &mut blocked).expect("it is open");
        }
        read
    });
    wait_for_waiters(&rt, 1);
    peer.write_all(b"abc").expect("it is open");
    // SAFETY: one byte is there.
    let sent = unsafe { libc::send(peer.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1);
    peer.write_all(b"def").expect("it is open");
    assert_eq!(g.join().expect("no panic"), 6);
}

// ---------------------------------------------------------------------------------------------------- old descriptors

#[test]
fn an_event_for_an_old_owner_of_the_record_does_nothing() {
    let rt = runtime(1);
    let (a, b) = pair();
    // It is registered, and the source goes without having taken it out.
    assert_eq!(rt.run(|| kind(a.read_byte(Some(Duration::ZERO)))), Some(ErrorKind::TimedOut));
    rt.run(|| a.read_byte(Some(SHORT)).expect_err("nobody writes"));
    let Io { file, source } = a;
    drop(source);
    assert_eq!(rt.metrics().descriptors, 0);
    let (c, d) = arc_pair();
    let reader = c.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 1);
    let events = rt.metrics().poll_events;
    b.write_byte(1).expect("there is room");
    eventually("the old event has come", || rt.metrics().poll_events > events);
    assert_eq!(rt.metrics().io_waiters, 1);
    d.write_byte(2).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 2);
    // The epoll has the old one still: a new source takes it over.
    let again = Io::new(file);
    assert_eq!(rt.run(|| again.read_byte(None)).expect("it is there"), 1);
    let again = Arc::new(again);
    let reader = again.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 1);
    b.write_byte(3).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 3);
}

#[test]
fn two_sources_of_one_descriptor_are_refused_until_one_forgets_it() {
    let rt = runtime(1);
    let (a, _b) = pair();
    let other = Source::new("unix");
    rt.run(|| {
        let wait = |source: &Source| {
            let seen = source.begin(Direction::Read).expect("it is open");
            source.wait(a.file.as_fd(), seen, Some(Instant::now() + SHORT)).expect_err("nobody writes")
        };
        assert_eq!(wait(&a.source).kind(), ErrorKind::TimedOut);
        let refused = wait(&other);
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
        a.source.forget(a.file.as_fd());
        assert_eq!(wait(&other).kind(), ErrorKind::TimedOut);
        assert_eq!(wait(&a.source).kind(), ErrorKind::AlreadyExists);
    });
    assert_eq!(rt.metrics().descriptors, 1);
}

#[test]
fn descriptors_come_and_go_without_growth() {
    let rt = runtime(2);
    let rounds = scale(500, 5_000);
    rt.run(|| {
        for _ in 0..rounds {
            let (a, b) = arc_pair();
            let g = go(move || a.read_byte(Some(LONG)));
            yield_now();
            b.write_byte(1).expect("there is room");
            assert_eq!(g.join().expect("no panic").expect("it was written"), 1);
        }
    });
    let metrics = rt.metrics();
    assert_eq!((metrics.descriptors, metrics.io_waiters, metrics.timers), (0, 0, 0));
}

/// Each takes a record, and the slower one gives its own back: otherwise the one that shuts would not find the one that waits.
#[test]
fn those_that_are_first_at_the_same_time_share_a_record() {
    for _ in 0..scale(500, 5_000) {
        let (a, _b) = arc_pair();
        let both_are_there = Barrier::new(2);
        thread::scope(|s| {
            let reader = s.spawn(|| {
                both_are_there.wait();
                a.read_byte(Some(LONG))
            });
            both_are_there.wait();
            a.source.shut();
            assert_eq!(kind(reader.join().expect("no panic")), Some(ErrorKind::NotConnected));
        });
    }
}

// ---------------------------------------------------------------------------------------------------- deadlines

/// On a G and on a thread.
fn on_both(rt: &House, f: impl Fn() + Sync) {
    rt.run(&f);
    f();
}

#[test]
fn a_deadline_ends_the_wait() {
    let rt = runtime(1);
    on_both(&rt, || {
        let (a, b) = pair();
        let began = Instant::now();
        assert_eq!(kind(a.read_byte(Some(SHORT))), Some(ErrorKind::TimedOut));
        assert!(began.elapsed() >= SHORT);
        // One that has passed lets what is there be read, and does not wait.
        assert_eq!(kind(a.read_byte(Some(Duration::ZERO))), Some(ErrorKind::TimedOut));
        b.write_byte(1).expect("there is room");
        assert_eq!(a.read_byte(Some(Duration::ZERO)).expect("it is there"), 1);
    });
}

#[test]
fn a_sticky_deadline_is_for_all_operations_of_its_direction() {
    let rt = runtime(1);
    on_both(&rt, || {
        let (a, b) = pair();
        a.source.set_deadline(Direction::Read, Some(Instant::now()));
        assert_eq!(kind(a.source.begin(Direction::Read)), Some(ErrorKind::TimedOut));
        a.source.begin(Direction::Write).expect("it has none");
        a.source.set_deadline(Direction::Read, None);
        b.write_byte(1).expect("there is room");
        assert_eq!(a.read_byte(None).expect("it is there"), 1);
        let began = Instant::now();
        a.source.set_deadline(Direction::Read, Some(Instant::now() + SHORT));
        // The earlier of both.
        assert_eq!(kind(a.read_byte(Some(LONG))), Some(ErrorKind::TimedOut));
        assert!(began.elapsed() >= SHORT && began.elapsed() < LONG);
        assert_eq!(kind(a.read_byte(None)), Some(ErrorKind::TimedOut));
        a.source.set_deadline(Direction::Read, Some(Instant::now() + LONG));
        assert_eq!(kind(a.read_byte(Some(SHORT))), Some(ErrorKind::TimedOut));
    });
}

#[test]
fn a_deadline_that_changes_while_something_waits() {
    let rt = runtime(2);
    let wait = |io: Arc<Io<UnixStream>>, on_g: bool| -> Box<dyn FnOnce() -> io::Result<u8>> {
        if on_g {
            let g = rt.go(move || io.read_byte(None));
            Box::new(|| g.join().expect("no panic"))
        } else {
            let thread = thread::spawn(move || io.read_byte(None));
            Box::new(|| thread.join().expect("no panic"))
        }
    };
    for on_g in [true, false] {
        let wait_for_it = || {
            // A thread alone is at no epoll.
            if on_g {
                wait_for_waiters(&rt, 1);
            } else {
                // Nobody announces that it waits, and the test holds in either case.
                thread::sleep(Duration::from_millis(2));
            }
        };
        // Shorter.
        let (a, b) = arc_pair();
        a.source.set_deadline(Direction::Read, Some(Instant::now() + LONG));
        let ended = wait(a.clone(), on_g);
        wait_for_it();
        a.source.set_deadline(Direction::Read, Some(Instant::now() + SHORT));
        assert_eq!(kind(ended()), Some(ErrorKind::TimedOut));
        // Longer, and then none: what was armed does nothing.
        a.source.set_deadline(Direction::Read, Some(Instant::now() + SHORT * 2));
        let ended = wait(a.clone(), on_g);
        wait_for_it();
        a.source.set_deadline(Direction::Read, Some(Instant::now() + LONG));
        a.source.set_deadline(Direction::Read, None);
        thread::sleep(SHORT * 3);
        b.write_byte(5).expect("there is room");
        assert_eq!(ended().expect("it has no deadline any more"), 5);
    }
}

#[test]
fn many_operations_with_a_timeout_cost_one_timer() {
    let rt = runtime(1);
    let (a, b) = pair();
    let most = rt.run(|| {
        let mut most = 0;
        let handle = &rt;
        scope(|s| {
            s.go(|| {
                for i in 0..200 {
                    let _ = a.read_byte(Some(LONG - Duration::from_millis(i)));
                }
            });
            for _ in 0..200 {
                yield_now();
                b.write_byte(1).expect("there is room");
                most = most.max(handle.metrics().timers);
            }
        });
        most
    });
    assert!(most <= 1, "{most} timers");
    assert!(rt.metrics().timers <= 1);
    drop(a);
    assert_eq!(rt.metrics().timers, 0);
}

#[test]
fn each_of_several_waiters_has_its_own_deadline() {
    let rt = runtime(2);
    let (a, b) = arc_pair();
    let wait = |timeout: Option<Duration>| {
        let a = a.clone();
        rt.go(move || (a.read_byte(timeout), Instant::now()))
    };
    let began = Instant::now();
    let gs = [Some(SHORT * 3), None, Some(SHORT), Some(LONG)].map(wait);
    wait_for_waiters(&rt, 4);
    let [third, none, first, long] = gs;
    let (ended, at) = first.join().expect("no panic");
    assert!(kind(ended) == Some(ErrorKind::TimedOut) && at - began >= SHORT);
    let (ended, at) = third.join().expect("no panic");
    assert!(kind(ended) == Some(ErrorKind::TimedOut) && at - began >= SHORT * 3 && at - began < LONG);
    b.write_byte(1).expect("there is room");
    b.write_byte(2).expect("there is room");
    let sum = [none, long].map(|g| g.join().expect("no panic").0.expect("a byte for each")).iter().sum::<u8>();
    assert_eq!(sum, 3);
}

// ---------------------------------------------------------------------------------------------------- shut

#[test]
fn shut_wakes_all_and_is_for_good() {
    let rt = runtime(2);
    let (a, _b) = arc_pair();
    fill(&a);
    let (readers, writers) = (a.clone(), a.clone());
    let gs = [rt.go(move || kind(readers.read_byte(None))), rt.go(move || kind(writers.write_byte(1)))];
    let readers = a.clone();
    let thread = thread::spawn(move || kind(readers.read_byte(Some(LONG))));
    wait_for_waiters(&rt, 3);
    assert!(!a.source.is_shut());
    a.source.shut();
    for g in gs {
        assert_eq!(g.join().expect("no panic"), Some(ErrorKind::NotConnected));
    }
    assert_eq!(thread.join().expect("no panic"), Some(ErrorKind::NotConnected));
    assert!(a.source.is_shut());
    on_both(&rt, || assert_eq!(kind(a.read_byte(None)), Some(ErrorKind::NotConnected)));
    // One that nothing has waited for; and the next owner of a record is open.
    let (c, d) = pair();
    c.source.shut();
    assert_eq!(kind(c.source.begin(Direction::Write)), Some(ErrorKind::NotConnected));
    drop(c);
    drop(d);
    let (e, f) = pair();
    e.source.set_deadline(Direction::Write, Some(Instant::now() + LONG));
    f.write_byte(1).expect("there is room");
    assert_eq!(e.read_byte(None).expect("it is open"), 1);
}

// ---------------------------------------------------------------------------------------------------- who polls

/// All Ms sleep, and the keeper waits for events.
#[test]
fn an_event_while_everything_is_idle_wakes_the_keeper() {
    let rt = runtime(2);
    let (a, b) = arc_pair();
    let g = rt.go(move || (0..3).map(|_| a.read_byte(None).expect("it was written")).sum::<u8>());
    for byte in [1, 2, 3] {
        wait_for_waiters(&rt, 1);
        wait_until_asleep(|| threads_of(&rt.thread_prefix()), 20);
        b.write_byte(byte).expect("there is room");
        eventually("it is taken", || rt.metrics().poll_events >= u64::from(byte));
    }
    assert_eq!(g.join().expect("no panic"), 6);
}

/// The keeper sleeps in the epoll; timers and wakes for work reach it there.
#[test]
fn timers_and_work_reach_a_keeper_that_polls() {
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let reader = a.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 1);
    for _ in 0..20 {
        wait_until_asleep(|| threads_of(&rt.thread_prefix()), 2);
        assert_eq!(rt.run(|| 5), 5);
    }
    let began = Instant::now();
    rt.run(|| sleep(SHORT));
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG);
    b.write_byte(1).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 1);
    // Without descriptors it sleeps as before.
    drop(a);
    assert_eq!(rt.metrics().descriptors, 0);
    wait_until_asleep(|| threads_of(&rt.thread_prefix()), 20);
    assert_eq!(rt.run(|| 6), 6);
}

/// All Ps run short slices.
#[test]
fn an_event_while_all_ps_are_busy_is_seen_at_a_pick() {
    let rt = runtime(2);
    let over = Arc::new(AtomicBool::new(false));
    let yields = Arc::new(AtomicUsize::new(0));
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let (over, yields) = (over.clone(), yields.clone());
            rt.go(move || {
                while !over.load(Ordering::Relaxed) {
                    yields.fetch_add(1, Ordering::Relaxed);
                    yield_now();
                }
            })
        })
        .collect();
    let (a, b) = arc_pair();
    let g = rt.go(move || (0..50).map(|_| u64::from(a.read_byte(None).expect("it was written"))).sum::<u64>());
    for _ in 0..50 {
        wait_for_waiters(&rt, 1);
        let events = rt.metrics().poll_events;
        b.write_byte(2).expect("there is room");
        eventually("it is taken", || rt.metrics().poll_events > events);
    }
    assert_eq!(g.join().expect("no panic"), 100);
    over.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// While slices are long, 61 of them would be a long time: also for what sysmon has seen, which is in the global queue.
#[test]
fn an_event_while_slices_are_long_is_seen_soon() {
    const SLICE: Duration = Duration::from_micros(200);
    let rt = runtime(1);
    let (over, slices) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let (over, slices) = (over.clone(), slices.clone());
            rt.go(move || {
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    while began.elapsed() < SLICE {
                        std::hint::spin_loop();
                    }
                    slices.fetch_add(1, Ordering::Relaxed);
                    yield_now();
                }
            })
        })
        .collect();
    eventually("the P has judged its slices", || slices.load(Ordering::Relaxed) > 200);
    // How many slices each of some bytes waits.
    let waits = || -> Vec<usize> {
        let (a, b) = arc_pair();
        let seen = slices.clone();
        let g = rt.go(move || {
            let read = || (a.read_byte(None).expect("it was written"), seen.load(Ordering::Relaxed)).1;
            (0..20).map(|_| read()).collect::<Vec<_>>()
        });
        let write = || {
            wait_for_waiters(&rt, 1);
            let now = slices.load(Ordering::Relaxed);
            b.write_byte(1).expect("there is room");
            eventually("it is read", || slices.load(Ordering::Relaxed) > now + 70);
            now
        };
        let written: Vec<_> = (0..20).map(|_| write()).collect();
        g.join().expect("no panic").iter().zip(written).map(|(read, wrote)| read - wrote).collect()
    };
    let is_soon = |waits: Vec<usize>| waits.iter().filter(|slices| **slices < 15).count() > 10;
    assert!((0..5).any(|_| is_soon(waits())));
    over.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// One M takes them all, and no other is woken for so few. If it does not pick, sysmon sees to the others.
#[test]
fn what_arrives_with_a_g_that_computes_runs_elsewhere() {
    let rt = runtime(2);
    for round in 0..50 {
        let read = Arc::new(AtomicUsize::new(0));
        let (ends, readers): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let ((a, b), read) = (arc_pair(), read.clone());
                let reader = rt.go(move || {
                    a.read_byte(None).expect("it was written");
                    read.fetch_add(1, Ordering::Relaxed);
                    let began = Instant::now();
                    while read.load(Ordering::Relaxed) < 2 && began.elapsed() < LONG {
                        std::hint::spin_loop();
                    }
                    read.load(Ordering::Relaxed)
                });
                (b, reader)
            })
            .unzip();
        wait_for_waiters(&rt, 2);
        ends.iter().for_each(|end| end.write_byte(1).expect("there is room"));
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), 2, "round {round}");
        }
    }
}

/// The only P is held by a G that computes.
#[test]
fn an_event_while_a_g_computes_is_seen_by_sysmon() {
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let g = rt.go(move || a.read_byte(None).map(|_| Instant::now()));
    wait_for_waiters(&rt, 1);
    let (over, began) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (until, begins) = (over.clone(), began.clone());
    let hog = rt.go(move || {
        begins.store(true, Ordering::Release);
        while !until.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    eventually("it computes", || began.load(Ordering::Acquire));
    let written = Instant::now();
    b.write_byte(1).expect("there is room");
    let read = g.join().expect("no panic").expect("it was written");
    // A slice, and the load of the machine.
    assert!(read - written < LONG, "{:?}", read - written);
    over.store(true, Ordering::Relaxed);
    hog.join().expect("no panic");
}

/// The only M waits for its locked G, or blocks in one: there is no keeper, unless one is made.
#[test]
fn there_is_a_keeper_though_the_only_m_is_taken() {
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let reader = a.clone();
    let locked = rt.go(move || {
        let _mine = lock_os_thread();
        (0..3).map(|_| reader.read_byte(None).expect("it was written")).sum::<u8>()
    });
    for byte in [1, 2, 3] {
        wait_for_waiters(&rt, 1);
        b.write_byte(byte).expect("there is room");
        eventually("it is taken", || rt.metrics().poll_events >= u64::from(byte));
    }
    assert_eq!(locked.join().expect("no panic"), 6);
    let reader = a.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 1);
    let gate = common::ThreadGate::default();
    let blocks = [0, 1].map(|says| {
        let gate = gate.clone();
        rt.go(move || if says == 0 { gate.wait() } else { blocking(|| gate.wait()) })
    });
    eventually("they block", || gate.waiting() == 2);
    b.write_byte(9).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 9);
    gate.open();
    blocks.into_iter().for_each(|g| g.join().expect("no panic"));
}

// ---------------------------------------------------------------------------------------------------- runtimes

#[test]
fn a_g_of_another_runtime_waits_where_the_descriptor_is() {
    let (one, other) = (runtime(1), runtime(1));
    let (a, b) = arc_pair();
    let readers = [&one, &other].map(|rt| {
        let a = a.clone();
        let g = rt.go(move || a.read_byte(None).expect("a byte for each"));
        eventually("it waits", || one.metrics().io_waiters + other.metrics().io_waiters > 0);
        g
    });
    wait_for_waiters(&one, 2);
    assert_eq!((one.metrics().descriptors, other.metrics().descriptors), (1, 0));
    b.write_byte(1).expect("there is room");
    b.write_byte(2).expect("there is room");
    let sum: u8 = readers.into_iter().map(|g| g.join().expect("no panic")).sum();
    assert_eq!(sum, 3);
}

#[test]
fn a_runtime_ends_while_others_wait_at_its_descriptors() {
    let (one, other) = (runtime(1), runtime(1));
    let (a, b) = arc_pair();
    // It is registered there first.
    let reader = a.clone();
    let own = one.go(move || kind(reader.read_byte(None)));
    wait_for_waiters(&one, 1);
    let reader = a.clone();
    let g = other.go(move || reader.read_byte(None).expect("a byte for each"));
    let reader = a.clone();
    let with_timeout = other.go(move || reader.read_byte(Some(LONG)).expect("a byte for each"));
    let reader = a.clone();
    let timed_out = other.go(move || kind(reader.read_byte(Some(SHORT * 5))));
    let reader = a.clone();
    let thread = thread::spawn(move || reader.read_byte(None).expect("a byte for each"));
    wait_for_waiters(&one, 5);
    one.close();
    let ended = own.join().expect_err("it was unwound");
    assert!(ended.is::<ShutDown>());
    assert_eq!(timed_out.join().expect("no panic"), Some(ErrorKind::TimedOut));
    wait_for_waiters(&other, 3);
    for byte in [1, 2, 3] {
        b.write_byte(byte).expect("there is room");
    }
    let sum = g.join().expect("no panic") + with_timeout.join().expect("no panic") + thread.join().expect("no panic");
    assert_eq!(sum, 6);
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Alone in its process: others open descriptors meanwhile.
#[test]
fn a_shutdown_with_ten_thousand_waiters_unwinds_each_and_leaves_no_descriptor() {
    const TEST: &str = "a_shutdown_with_ten_thousand_waiters_unwinds_each_and_leaves_no_descriptor";
    const WAITERS: usize = 10_000;
    if child_case(TEST).is_none() {
        let ended = subprocess(TEST, "it", &[]);
        assert!(ended.status.success(), "{ended:#?}");
        return;
    }
    let before = open_descriptors();
    {
        let rt = runtime(2);
        let (unwound, census) = (Arc::new(AtomicUsize::new(0)), common::Census::default());
        let pairs = scale(200, 2_000);
        let ios: Vec<_> = (0..pairs).map(|_| arc_pair()).collect();
        for nth in 0..WAITERS {
            let (unwound, counted, io) = (unwound.clone(), census.count(), ios[nth % pairs].0.clone());
            rt.go(move || {
                let _counted = counted;
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| io.read_byte(None)));
                unwound.fetch_add(usize::from(ended.is_err()), Ordering::Relaxed);
                std::panic::resume_unwind(ended.expect_err("nobody writes"));
            });
        }
        wait_for_waiters(&rt, WAITERS);
        assert_eq!(rt.metrics().descriptors, pairs);
        rt.close();
        assert_eq!((unwound.load(Ordering::Relaxed), census.living()), (WAITERS, 0));
    }
    assert_eq!(open_descriptors(), before);
}

/// A destructor that waits is not unwound: the runtime still asks for events as it closes.
#[test]
fn a_destructor_waits_for_its_descriptor_while_the_runtime_closes() {
    struct Farewell(Arc<Io<UnixStream>>, Arc<AtomicUsize>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            let byte = self.0.read_byte(None).expect("it was written");
            self.1.store(byte.into(), Ordering::Release);
        }
    }
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let read = Arc::new(AtomicUsize::new(0));
    let farewell = Farewell(a, read.clone());
    let g = rt.go(move || {
        let _farewell = farewell;
        loop {
            pirn_runtime::park();
        }
    });
    eventually("it is parked", || rt.goroutines().iter().any(|seen| seen.id == g.id() && seen.state == State::Waiting));
    let writer = thread::spawn(move || {
        thread::sleep(SHORT);
        b.write_byte(8).expect("there is room");
    });
    rt.close();
    assert_eq!(read.load(Ordering::Acquire), 8);
    writer.join().expect("no panic");
}

// ---------------------------------------------------------------------------------------------------- async code

#[test]
fn tasks_wait_on_gs() {
    let rt = runtime(2);
    let (a, b) = arc_pair();
    let g = rt.go(move || block_on(async { a.read_byte_async(&mut Place::default()).await }));
    wait_for_waiters(&rt, 1);
    b.write_byte(4).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 4);
    let (a, b) = arc_pair();
    a.source.set_deadline(Direction::Read, Some(Instant::now() + SHORT));
    let late = rt.run(|| kind(block_on(async { a.read_byte_async(&mut Place::default()).await })));
    assert_eq!(late, Some(ErrorKind::TimedOut));
    a.source.set_deadline(Direction::Read, None);
    let reader = a.clone();
    let g = rt.go(move || kind(block_on(async { reader.read_byte_async(&mut Place::default()).await })));
    wait_for_waiters(&rt, 1);
    a.source.shut();
    assert_eq!(g.join().expect("no panic"), Some(ErrorKind::NotConnected));
    drop(b);
}

#[test]
fn a_task_without_a_runtime_is_told_so_unless_the_descriptor_has_one() {
    let (a, b) = arc_pair();
    let read = || block_on(async { a.read_byte_async(&mut Place::default()).await });
    let refused = read().expect_err("there is no runtime");
    assert!(refused.kind() == ErrorKind::Unsupported && refused.to_string().contains("block_on"), "{refused}");
    let rt = runtime(1);
    rt.run(|| a.read_byte(Some(SHORT)).expect_err("nobody writes"));
    thread::scope(|s| {
        let task = s.spawn(read);
        wait_for_waiters(&rt, 1);
        b.write_byte(6).expect("there is room");
        assert_eq!(task.join().expect("no panic").expect("it was written"), 6);
    });
}

#[test]
fn a_task_that_is_dropped_waits_no_more_and_its_wakers_panic_harms_nobody() {
    struct Bad(AtomicUsize);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a waker of a test");
        }
    }
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let bad = Arc::new(Bad(AtomicUsize::new(0)));
    let waker = Waker::from(bad.clone());
    let mut places: Vec<Place> = (0..3).map(|_| Place::default()).collect();
    rt.run(|| {
        for place in &mut places {
            // Again and again: it stays one waiter.
            for _ in 0..10 {
                let seen = a.source.begin(Direction::Read).expect("it is open");
                let mut cx = Context::from_waker(&waker);
                assert!(matches!(a.source.poll_wait(a.file.as_fd(), seen, place, &mut cx), Poll::Pending));
            }
        }
    });
    wait_for_waiters(&rt, 3);
    places.pop();
    wait_for_waiters(&rt, 2);
    let reader = a.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 3);
    b.write_byte(2).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 2);
    eventually("the tasks are woken", || bad.0.load(Ordering::Relaxed) == 2);
    // They outlive the source.
    drop(a);
    drop(places);
}

// ---------------------------------------------------------------------------------------------------- what fails

#[test]
fn a_regular_file_is_refused_with_a_reason() {
    let rt = runtime(1);
    let file = std::fs::File::open("/proc/self/exe").expect("a file");
    let refused = rt.run(|| {
        let source = Source::new("file");
        let seen = source.begin(Direction::Read).expect("it is open");
        source.wait(file.as_fd(), seen, None).expect_err("it cannot be watched")
    });
    assert!(refused.kind() == ErrorKind::Unsupported && refused.to_string().contains("regular file"), "{refused}");
    assert_eq!(rt.metrics().descriptors, 0);
}

#[test]
fn without_a_descriptor_for_an_epoll_the_wait_says_so() {
    const TEST: &str = "without_a_descriptor_for_an_epoll_the_wait_says_so";
    if child_case(TEST).is_none() {
        let ended = subprocess(TEST, "it", &[]);
        assert!(ended.status.success(), "{ended:#?}");
        return;
    }
    let rt = runtime(1);
    let (a, b) = arc_pair();
    limit_descriptors(3);
    let refused = rt.run(|| a.read_byte(None)).expect_err("there is no epoll");
    assert!(refused.to_string().contains("the runtime gets no epoll: Too many open files"), "{refused}");
    // A thread waits without a bell, and notices what it would have heard.
    let reader = a.clone();
    let thread = thread::spawn(move || kind(reader.read_byte(None)));
    thread::sleep(SHORT);
    a.source.shut();
    assert_eq!(thread.join().expect("no panic"), Some(ErrorKind::NotConnected));
    limit_descriptors(1_000);
    drop((a, b));
    let (a, b) = arc_pair();
    let g = rt.go(move || a.read_byte(None));
    wait_for_waiters(&rt, 1);
    b.write_byte(1).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 1);
}

/// The keeper asked again and again, without a pause.
#[test]
fn a_program_that_closes_the_epoll_of_the_runtime_is_told_so() {
    const TEST: &str = "a_program_that_closes_the_epoll_of_the_runtime_is_told_so";
    if child_case(TEST).is_none() {
        let ended = subprocess(TEST, "it", &[]);
        assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
        ended.expect_says("fatal error: the runtime cannot ask its epoll for events any more");
        return;
    }
    let rt = runtime(1);
    let (a, _b) = arc_pair();
    let _g = rt.go(move || a.read_byte(None));
    wait_for_waiters(&rt, 1);
    let is_epoll = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|what| what.to_string_lossy().contains("eventpoll"))
    };
    let entries = std::fs::read_dir("/proc/self/fd").expect("it is there").flatten();
    let numbers: Vec<RawFd> = entries.filter(is_epoll).filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for number in numbers {
        // SAFETY: this is what is tested; nothing else of this process uses an epoll.
        unsafe { libc::close(number) };
    }
    // The keeper wakes, and waits anew.
    loop {
        rt.run(yield_now);
    }
}

#[test]
fn the_child_of_a_fork_leaves_the_epoll_alone() {
    let rt = runtime(1);
    let (a, b) = arc_pair();
    let reader = a.clone();
    let g = rt.go(move || reader.read_byte(None));
    wait_for_waiters(&rt, 1);
    let (c, _d) = pair();
    let code = rt.run(|| {
        // SAFETY: the child does what is tested, and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // Its own wait is one of the kernel's; all else does nothing.
            let waited = kind(c.read_byte(Some(SHORT))) == Some(ErrorKind::TimedOut);
            a.source.forget(a.file.as_fd());
            a.source.shut();
            a.source.set_deadline(Direction::Read, Some(Instant::now()));
            drop(c);
            // SAFETY: no preconditions.
            unsafe { libc::_exit(if waited { 42 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the status is valid to be written.
        while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
        libc::WEXITSTATUS(status)
    });
    assert_eq!(code, 42);
    assert_eq!(rt.metrics().io_waiters, 1);
    b.write_byte(1).expect("there is room");
    assert_eq!(g.join().expect("no panic").expect("it was written"), 1);
}

// ---------------------------------------------------------------------------------------------------- reports

#[test]
fn dumps_say_what_is_waited_for() {
    let rt = runtime(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    client.set_nonblocking(true).expect("it can be");
    let fd = client.as_raw_fd();
    let client = Arc::new(Io { file: client, source: Source::new("tcp") });
    let reader = client.clone();
    let g = rt.handle().try_go_with(GoBuilder::new().name("client"), move || kind(reader.read_byte(None)));
    let g = g.expect("a G");
    wait_for_waiters(&rt, 1);
    eventually("it is parked", || rt.goroutines().iter().any(|seen| seen.state == State::Waiting));
    let seen = rt.goroutines();
    assert_eq!(seen[0].wait_reason, Some("IO wait"));
    assert_eq!(seen[0].waits_on, Some(WaitsOn::Descriptor { fd, kind: "tcp", address: Some(address) }));
    let dump = rt.dump();
    assert!(dump.contains(&format!("[IO wait, \"client\", fd {fd}, tcp {address}, for ")), "{dump}");
    assert_eq!(rt.metrics().descriptors, 1);
    client.source.shut();
    assert_eq!(g.join().expect("no panic"), Some(ErrorKind::NotConnected));
}

#[test]
fn a_stall_report_names_descriptors() {
    const TEST: &str = "a_stall_report_names_descriptors";
    if child_case(TEST).is_some() {
        let rt = common::builder().procs(1).stall_report(Duration::from_millis(200)).build().expect("a runtime");
        let (a, b) = arc_pair();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(900));
            b.write_byte(1).expect("there is room");
        });
        rt.run(|| a.read_byte(None).expect("it was written"));
        return;
    }
    let ended = subprocess(TEST, "it", &[]);
    assert!(ended.status.success(), "{ended:#?}");
    let what = "and 1 goroutine waits for something other than the clock";
    let also = "pirn: no timer is pending; 1 goroutine waits for a descriptor; threads of others: ";
    assert!(ended.stderr.contains(also), "{ended:#?}");
    assert!(ended.stderr.contains(what) && ended.stderr.contains("[IO wait, \"main\", fd "), "{ended:#?}");
}

#[test]
fn scheddetail_shows_who_polls() {
    const TEST: &str = "scheddetail_shows_who_polls";
    if child_case(TEST).is_some() {
        let rt: House = house(common::builder().procs(1));
        let (a, b) = arc_pair();
        let g = rt.go(move || a.read_byte(None));
        wait_for_waiters(&rt, 1);
        thread::sleep(Duration::from_millis(300));
        b.write_byte(1).expect("there is room");
        g.join().expect("no panic").expect("it was written");
        return;
    }
    let ended = subprocess(TEST, "it", &[("PIRN_DEBUG", "schedtrace=50,scheddetail=1")]);
    assert!(ended.status.success(), "{ended:#?}");
    let polls: Vec<_> = ended.stderr.lines().filter(|line| line.ends_with(" polls=true")).collect();
    assert!(!polls.is_empty() && polls.iter().all(|line| line.contains("blocked=true")), "{ended:#?}");
    assert!(ended.stderr.contains("status=4(IO wait)"), "{ended:#?}");
}

// ---------------------------------------------------------------------------------------------------- stress

/// One end of a pair in the stress.
#[derive(Clone)]
struct Player {
    io: Arc<Io<UnixStream>>,
    rng: Rng,
    /// How many bytes have still to be read from that pair.
    left: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl Player {
    /// Reads with timeouts until all bytes of the pair have been read.
    fn read(mut self) {
        let mut place = Place::default();
        let is_task = self.rng.below(3) == 0 && pirn_runtime::current().is_some();
        while self.left.load(Ordering::Acquire) != 0 {
            let timeout = Duration::from_micros(50 + self.rng.below(2_000) as u64);
            let read = if is_task {
                self.io.source.set_deadline(Direction::Read, Some(Instant::now() + timeout));
                block_on(self.io.read_byte_async(&mut place))
            } else {
                self.io.read_byte(Some(timeout))
            };
            match read {
                Ok(_) => _ = self.left.fetch_sub(1, Ordering::AcqRel),
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    fn write(mut self, bytes: usize) {
        for _ in 0..bytes {
            self.io.write_byte(1).expect("there is room, or it waits");
            match self.rng.below(8) {
                0 => sleep(Duration::from_micros(self.rng.below(300) as u64)),
                1 => yield_now(),
                _ => {}
            }
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }
}

/// Gs of two runtimes, threads and tasks send bytes through pairs, with timeouts, and all bytes arrive.
#[test]
fn stress() {
    const PAIRS: usize = 10;
    let mut rng = Rng::new(seed("stress"));
    let (one, other) = (runtime(2), runtime(2));
    let end = Instant::now() + Duration::from_secs(stress_secs());
    while Instant::now() < end {
        let done = Arc::new(AtomicUsize::new(0));
        let (mut gs, mut threads) = (Vec::new(), Vec::new());
        let mut start = |rng: &mut Rng, play: Box<dyn FnOnce() + Send>| match rng.below(4) {
            0 => threads.push(thread::spawn(play)),
            1 => gs.push(other.go(play)),
            _ => gs.push(one.go(play)),
        };
        // No end is closed before all is read.
        let pairs: Vec<_> = (0..PAIRS).map(|_| arc_pair()).collect();
        for (a, b) in &pairs {
            let bytes = 200 + rng.below(400);
            let left = Arc::new(AtomicUsize::new(bytes));
            let player = |io: &Arc<Io<UnixStream>>, rng: &mut Rng| {
                let rng = Rng::new(rng.below(1 << 30) as u64);
                Player { io: io.clone(), rng, left: left.clone(), done: done.clone() }
            };
            for _ in 0..2 {
                let reader = player(a, &mut rng);
                start(&mut rng, Box::new(|| reader.read()));
            }
            let writer = player(b, &mut rng);
            start(&mut rng, Box::new(move || writer.write(bytes)));
        }
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(done.load(Ordering::Acquire), 3 * PAIRS);
        drop(pairs);
    }
    for rt in [&one, &other] {
        let metrics = rt.metrics();
        assert_eq!((metrics.io_waiters, metrics.descriptors), (0, 0));
    }
}

/// Each G that does anything loses its P.
#[test]
fn gs_wait_while_sysmon_takes_ps() {
    const BYTES: usize = 200;
    let rt = runtime(2);
    let (a, b) = pair();
    rt.run(|| {
        scope(|s| {
            s.go(|| {
                for _ in 0..BYTES {
                    a.read_byte(Some(LONG)).expect("it was written");
                }
            });
            s.go(|| {
                for _ in 0..BYTES {
                    b.write_byte(1).expect("there is room");
                    // It blocks its thread.
                    thread::sleep(Duration::from_micros(200));
                }
            });
        });
    });
}

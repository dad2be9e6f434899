//! Models of one direction: a wait against events, deadlines and `shut`. A wait that never ends is a deadlock, which
//! loom reports.

use super::*;
use crate::loom::parking::{Unparker, park_on};
use crate::loom::{Arc, AtomicUsize, thread};
use crate::reason::{Kind, Reason};

/// Tries all orders with up to three preemptions: with more it takes minutes.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

static WAIT: Reason = Reason::new("a wait of the model", Kind::Event);

/// A descriptor, and a clock.
struct House {
    side: Side<Unparker, ()>,
    /// What the kernel has for readers.
    bytes: AtomicUsize,
    now_ns: AtomicU64,
    /// The timer that is armed in the heap: number and moment.
    timer: Mutex<Option<(u64, u64)>>,
}

fn house() -> Arc<House> {
    let (bytes, now_ns) = (AtomicUsize::new(0), AtomicU64::new(0));
    Arc::new(House { side: Side::new(), bytes, now_ns, timer: Mutex::new(None) })
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Read,
    Shut,
    TimedOut,
}

impl House {
    /// The kernel gives a byte, or would block.
    fn try_read(&self) -> bool {
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| bytes.checked_sub(1)).is_ok()
    }

    /// As `Source::begin` and `wait_on_g`.
    fn read(&self, deadline_ns: u64) -> Ended {
        loop {
            let seen = self.side.look();
            if seen.is_shut() {
                return Ended::Shut;
            }
            if self.try_read() {
                return Ended::Read;
            }
            match self.wait(seen, deadline_ns) {
                Some(Found::Event) => {}
                Some(Found::Shut) => return Ended::Shut,
                None => return Ended::TimedOut,
            }
        }
    }

    /// None: the deadline has passed.
    fn wait(&self, seen: Look, deadline_ns: u64) -> Option<Found> {
        loop {
            let mut locked = self.side.lock();
            if let Some(found) = locked.differs(seen) {
                return Some(found);
            }
            let until_ns = deadline_ns.min(self.side.sticky_ns());
            if until_ns != NEVER && until_ns <= self.now_ns.load(Ordering::Relaxed) {
                return None;
            }
            let number = locked.push(Unparker::current(), until_ns);
            self.arm(&mut locked, until_ns);
            drop(locked);
            park_on(&WAIT, 0);
            if let Some(found) = self.side.differs(seen) {
                return Some(found);
            }
            drop(self.side.lock().remove(number));
        }
    }

    fn arm(&self, locked: &mut Locked<'_, Unparker, ()>, until_ns: u64) {
        if let Some(number) = locked.must_arm(until_ns) {
            *self.timer.lock().unwrap() = Some((number, until_ns));
            let _ = locked.arm(number, until_ns, ());
        }
    }

    /// An edge, and the poll that takes it.
    fn write(&self) {
        self.bytes.fetch_add(1, Ordering::Relaxed);
        self.side.event().for_each(wake);
    }

    /// The clock moves, and what is due fires: as `Deadline::fire`.
    fn advance(&self, now_ns: u64) {
        self.now_ns.store(now_ns, Ordering::Relaxed);
        let timer = self.timer.lock().unwrap().take_if(|(_, when_ns)| *when_ns <= now_ns);
        let Some((number, _)) = timer else { return };
        let mut locked = self.side.lock();
        if !locked.disarm(number) {
            return;
        }
        let (due, next_ns) = locked.take_due(now_ns);
        self.arm(&mut locked, next_ns);
        drop(locked);
        due.for_each(wake);
    }
}

fn wake(who: Unparker) {
    who.unpark();
}

#[test]
fn no_readiness_is_lost() {
    model(|| {
        let h = house();
        let other = h.clone();
        let poll = thread::spawn(move || other.write());
        assert_eq!(h.read(NEVER), Ended::Read);
        poll.join().unwrap();
    });
}

/// Events are not counted before something has waited. The kernel's own lock orders an attempt and what ends its wait.
#[test]
fn the_first_to_wait_misses_nothing_that_was_not_counted() {
    model(|| {
        let (h, counted, room) = (house(), Arc::new(Counted::not_yet()), Arc::new(Mutex::new(0)));
        let write = |h: &House, counted: &Counted, room: &Mutex<u32>| loop {
            let seen = h.side.look();
            let mut room = room.lock().unwrap();
            if let Some(left) = room.checked_sub(1) {
                *room = left;
                return;
            }
            drop(room);
            if counted.begin() {
                h.side.event().for_each(wake);
            } else {
                let _ = h.wait(seen, NEVER);
            }
        };
        let (other, others_counted, others_room) = (h.clone(), counted.clone(), room.clone());
        let writer = thread::spawn(move || write(&other, &others_counted, &others_room));
        let (other, others_counted, others_room) = (h.clone(), counted.clone(), room.clone());
        let poll = thread::spawn(move || {
            *others_room.lock().unwrap() += 2;
            if others_counted.is_on() {
                other.side.event().for_each(wake);
            }
        });
        write(&h, &counted, &room);
        writer.join().unwrap();
        poll.join().unwrap();
    });
}

/// The second edge may come when the one reader has not tried yet and the other waits.
#[test]
fn two_readers_get_a_byte_each() {
    model(|| {
        let h = house();
        let other = h.clone();
        let reader = thread::spawn(move || other.read(NEVER));
        let other = h.clone();
        let poll = thread::spawn(move || {
            other.write();
            other.write();
        });
        assert_eq!(h.read(NEVER), Ended::Read);
        assert_eq!(reader.join().unwrap(), Ended::Read);
        poll.join().unwrap();
        assert_eq!(h.bytes.load(Ordering::Relaxed), 0);
    });
}

/// What the kernel has of a stream. The edge stays until a poll takes it, with what is there by then.
#[derive(Default)]
struct Stream {
    bytes: u32,
    has_ended: bool,
    has_edge: bool,
}

/// A poll that does not wait.
fn poll(h: &House, stream: &Mutex<Stream>) {
    let mut stream = stream.lock().unwrap();
    let (has_edge, has_ended) = (std::mem::take(&mut stream.has_edge), stream.has_ended);
    drop(stream);
    if has_edge {
        h.side.event_with(has_ended).for_each(wake);
    }
}

#[test]
fn a_short_read_misses_neither_bytes_nor_the_end() {
    model(|| {
        let h = house();
        let stream = Arc::new(Mutex::new(Stream::default()));
        let theirs = stream.clone();
        let peer = thread::spawn(move || {
            let mut stream = theirs.lock().unwrap();
            (stream.bytes, stream.has_edge) = (1, true);
            drop(stream);
            let mut stream = theirs.lock().unwrap();
            (stream.has_ended, stream.has_edge) = (true, true);
        });
        let (other, theirs) = (h.clone(), stream.clone());
        let poller = thread::spawn(move || {
            poll(&other, &theirs);
            // When all is there, the last edge.
            peer.join().unwrap();
            poll(&other, &theirs);
        });
        let mut read = 0;
        loop {
            let seen = h.side.look();
            if !h.side.is_drained(seen) {
                let mut stream = stream.lock().unwrap();
                match std::mem::take(&mut stream.bytes) {
                    0 if stream.has_ended => break,
                    0 => {}
                    bytes => {
                        // It asks for more than there can be.
                        read += bytes;
                        h.side.drain(seen);
                        continue;
                    }
                }
            }
            assert_eq!(h.wait(seen, NEVER), Some(Found::Event));
        }
        assert_eq!(read, 1);
        poller.join().unwrap();
    });
}

#[test]
fn shut_ends_a_wait_and_what_comes_later() {
    model(|| {
        let h = house();
        let other = h.clone();
        let closer = thread::spawn(move || other.side.shut().for_each(wake));
        let other = h.clone();
        let poll = thread::spawn(move || other.write());
        let ended = h.read(NEVER);
        assert_ne!(ended, Ended::TimedOut);
        closer.join().unwrap();
        poll.join().unwrap();
        assert_eq!(h.read(NEVER), Ended::Shut);
    });
}

/// If the deadline has passed before the waiter came, it sees that by the clock; here it comes first.
#[test]
fn a_deadline_ends_a_wait_whatever_else_happens() {
    model(|| {
        let h = house();
        let mut locked = h.side.lock();
        let number = locked.push(Unparker::current(), 10);
        h.arm(&mut locked, 10);
        drop(locked);
        let other = h.clone();
        let clock = thread::spawn(move || other.advance(10));
        let other = h.clone();
        // An event takes all, and the timer stays.
        let poll = thread::spawn(move || other.side.event().for_each(wake));
        park_on(&WAIT, 0);
        drop(h.side.lock().remove(number));
        clock.join().unwrap();
        poll.join().unwrap();
        assert_eq!(h.read(10), Ended::TimedOut);
    });
}

#[test]
fn the_timer_of_an_earlier_waiter_serves_a_later_one() {
    model(|| {
        let h = house();
        let mut locked = h.side.lock();
        let earlier = locked.push(Unparker::current(), 10);
        h.arm(&mut locked, 10);
        // Its operation has ended in time.
        drop(locked.remove(earlier));
        drop(locked);
        let other = h.clone();
        let clock = thread::spawn(move || {
            other.advance(10);
            other.now_ns.store(20, Ordering::Relaxed);
            // The later one has come before or after the first firing. In both cases there is a timer for it, or it
            // sees the clock: the lock orders that.
            drop(other.side.lock());
            other.advance(20);
        });
        assert_eq!(h.read(20), Ended::TimedOut);
        clock.join().unwrap();
    });
}

#[test]
fn a_deadline_that_is_set_meanwhile_ends_a_wait() {
    model(|| {
        let h = house();
        h.now_ns.store(5, Ordering::Relaxed);
        let other = h.clone();
        let setter = thread::spawn(move || other.side.set_sticky_ns(5).for_each(wake));
        assert_eq!(h.read(NEVER), Ended::TimedOut);
        setter.join().unwrap();
    });
}

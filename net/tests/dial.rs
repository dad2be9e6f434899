//! Connecting to one of several addresses, some of which do not answer: happy eyeballs, and timeouts for all.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, descriptors, house, runtime};
use crew::everywhere;
use pirn_net::{ConnectOptions, ListenOptions, TcpListener, TcpStream};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const V4: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const V6: (Ipv6Addr, u16) = (Ipv6Addr::LOCALHOST, 0);
/// A delay that is seen, and longer than anything takes that does not wait.
const DELAY: Duration = Duration::from_millis(150);

/// An address that does not answer: the queue of its listener is full, so the system drops who knocks.
struct Silent {
    address: SocketAddr,
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl Silent {
    fn at(address: impl Into<SocketAddr>) -> Silent {
        let listener = ListenOptions::new().backlog(0).bind(address.into()).expect("a port");
        let address = listener.local_addr().expect("it has one");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(stream);
            assert!(waiting.len() < 10, "the queue has no end");
        }
        Silent { address, listener, waiting }
    }
}

/// An address at which nobody listens, and at which no other test will.
fn refusing(address: impl Into<SocketAddr>) -> SocketAddr {
    SocketAddr::new(address.into().ip(), 1)
}

fn listening(address: impl Into<SocketAddr>) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address.into()).expect("a port");
    let address = listener.local_addr().expect("it has one");
    (listener, address)
}

/// How long it took, and to whom it led.
fn timed(options: &ConnectOptions, addresses: &[SocketAddr]) -> (Duration, io::Result<SocketAddr>) {
    let began = Instant::now();
    let connected = options.connect(addresses).and_then(|stream| stream.peer_addr());
    (began.elapsed(), connected)
}

fn options() -> ConnectOptions {
    ConnectOptions::new().fallback_delay(Some(DELAY))
}

#[test]
fn the_second_family_joins_in_after_the_delay() {
    everywhere(|_| {
        let silent = Silent::at(V4);
        let (_listener, good) = listening(V6);
        let (took, peer) = timed(&options(), &[silent.address, good]);
        assert_eq!(peer.unwrap(), good);
        assert!(took >= DELAY, "{took:?}");
        // And the other way round.
        let silent = Silent::at(V6);
        let (_listener, good) = listening(V4);
        let (took, peer) = timed(&options(), &[silent.address, good]);
        assert_eq!(peer.unwrap(), good);
        assert!(took >= DELAY, "{took:?}");
    });
}

#[test]
fn the_delay_is_that_of_go_at_first() {
    let silent = Silent::at(V6);
    let (_listener, good) = listening(V4);
    runtime(2).run(|| {
        let began = Instant::now();
        let stream = TcpStream::connect(&[silent.address, good][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    });
}

#[test]
fn a_first_family_that_answers_wins() {
    everywhere(|_| {
        let (_one, first) = listening(V6);
        let (second, other) = listening(V4);
        assert_eq!(timed(&options(), &[other, first]).1.unwrap(), other);
        second.accept().unwrap();
        assert_eq!(timed(&options(), &[first, other]).1.unwrap(), first);
        // Nobody has knocked at the other one.
        second.set_deadline(Some(Instant::now()));
        assert_eq!(second.accept().unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_first_family_that_fails_is_not_waited_for() {
    everywhere(|_| {
        let (_listener, good) = listening(V4);
        let options = ConnectOptions::new().fallback_delay(Some(Duration::from_secs(1_000)));
        let (_, peer) = timed(&options, &[refusing(V6), refusing(V6), good]);
        assert_eq!(peer.unwrap(), good);
        // For ever, as long as the first goes on.
        let options = ConnectOptions::new().fallback_delay(Some(Duration::MAX));
        let (_, peer) = timed(&options, &[refusing(V6), good]);
        assert_eq!(peer.unwrap(), good);
    });
}

#[test]
fn a_second_family_that_fails_leaves_the_first() {
    everywhere(|_| {
        let silent = Silent::at(V4);
        let options = options().timeout(DELAY * 3);
        let (took, peer) = timed(&options, &[silent.address, refusing(V6), refusing(V6)]);
        assert_eq!(peer.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(took >= DELAY * 3, "{took:?}");
    });
}

#[test]
fn the_first_one_answers_after_the_second_has_joined_in() {
    everywhere(|_| {
        let (one, other) = (Silent::at(V4), Silent::at(V6));
        let address = one.address;
        let connecting = std::thread::spawn(move || {
            // The system knocks again after one, three, seven seconds.
            timed(&options().timeout(Duration::from_secs(30)), &[address, other.address]).1.unwrap()
        });
        std::thread::sleep(DELAY * 2);
        // Now there is room.
        one.waiting.iter().for_each(|_| drop(one.listener.accept().unwrap()));
        // A thread of std's: nothing of ours may keep the P from it.
        let connected = pirn_runtime::blocking(|| connecting.join().unwrap());
        assert_eq!(connected, address);
    });
}

#[test]
fn without_a_delay_there_is_one_line() {
    everywhere(|_| {
        let silent = Silent::at(V4);
        let (_listener, good) = listening(V6);
        let one_line = ConnectOptions::new().fallback_delay(None);
        assert_eq!(timed(&one_line, &[refusing(V4), good]).1.unwrap(), good);
        // Two seconds are the least for one that others follow.
        let options = one_line.timeout(Duration::from_millis(2_200));
        let (took, peer) = timed(&options, &[silent.address, good]);
        assert_eq!(peer.unwrap(), good);
        assert!(took >= Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn the_time_is_shared_out_to_addresses() {
    // As Go's `partialDeadline`: half of five seconds, and then the other one.
    let (silent, (_listener, good)) = (Silent::at(V4), listening(V4));
    runtime(2).run(|| {
        let options = ConnectOptions::new().timeout(Duration::from_secs(5));
        let (took, peer) = timed(&options, &[silent.address, good]);
        assert_eq!(peer.unwrap(), good);
        assert!((2_500..4_500).contains(&took.as_millis()), "{took:?}");
        // Not less than two seconds, and then the time is over for both.
        let options = ConnectOptions::new().timeout(Duration::from_secs(2));
        let (took, peer) = timed(&options, &[silent.address, good]);
        assert_eq!(peer.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(took >= Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn errors_are_those_of_the_last_attempt() {
    everywhere(|_| {
        let none: &[SocketAddr] = &[];
        assert_eq!(timed(&options(), none).1.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (_, error) = timed(&options(), &[refusing(V4), refusing(V6)]);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // No time at all.
        let (_listener, good) = listening(V4);
        let (_, error) = timed(&options().timeout(Duration::ZERO), &[good]);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_race_leaves_no_descriptor() {
    const TEST: &str = "a_race_leaves_no_descriptor";
    if crew::common::child_case(TEST).is_none() {
        crew::common::subprocess(TEST, "run", &[]).expect_success();
        return;
    }
    let (silent_v4, silent_v6) = (Silent::at(V4), Silent::at(V6));
    let (_listener, good) = listening(V6);
    let addresses = [silent_v4.address, silent_v6.address];
    let before = descriptors();
    let house = house(builder().procs(2));
    house.run(move || {
        let fast = ConnectOptions::new().fallback_delay(Some(Duration::from_millis(1)));
        for _ in 0..20 {
            assert_eq!(timed(&fast, &[addresses[0], good]).1.unwrap(), good);
        }
        let options = fast.clone().timeout(Duration::from_millis(20));
        for _ in 0..20 {
            assert_eq!(timed(&options, &addresses).1.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        // And one that is unwound, when the runtime ends.
        let is_unwound = Arc::new(AtomicBool::new(false));
        pirn_runtime::go(move || {
            let connecting = std::panic::AssertUnwindSafe(|| timed(&fast, &addresses));
            let payload = std::panic::catch_unwind(connecting).unwrap_err();
            assert!(payload.is::<pirn_runtime::ShutDown>());
            is_unwound.store(true, Ordering::Relaxed);
        });
        pirn_runtime::sleep(Duration::from_millis(50));
    });
    house.close();
    assert_eq!(descriptors(), before);
}

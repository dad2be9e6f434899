//! Looking up names: one flight for each name, and a few at once.
//!
//! Who comes first for a name takes it to the system; who comes while that goes on waits for the same answer. An answer is
//! not kept: the next lookup asks again. The flight is on the caller, or, if the caller may wait only for some time, on a
//! G or a thread of its own, as nobody can take back a question to the system.

use pirn_sync::{Event, Mutex, OnceLock, Semaphore};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// As many threads may be blocked by lookups at most.
const AT_ONCE: usize = 32;

static PERMITS: Semaphore = Semaphore::new(AT_ONCE);
static FLIGHTS: Mutex<BTreeMap<String, Arc<Flight>>> = Mutex::new(BTreeMap::new());

/// What the system said. An `io::Error` cannot be cloned.
type Answer = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// How the system is asked.
type Ask = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// A lookup of a name that goes on.
#[derive(Default)]
struct Flight {
    /// Not set if it ended without one: its G was unwound.
    answer: OnceLock<Answer>,
    has_ended: Event,
}

/// The addresses of a name, with port 0. Waits until a moment at most.
pub(crate) fn lookup(name: &str, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    lookup_by(ask_system, name, until)
}

fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    pirn_runtime::blocking(|| Ok((name, 0).to_socket_addrs()?.collect()))
}

fn lookup_by(ask: Ask, name: &str, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    loop {
        let (flight, is_first) = join(name);
        if is_first {
            let landing = Landing { name: name.to_owned(), flight: flight.clone() };
            match until {
                None => landing.fly(ask),
                Some(_) => elsewhere(move || landing.fly(ask))?,
            }
        }
        match until {
            None => flight.has_ended.wait(),
            Some(until) => {
                let left = until.saturating_duration_since(pirn_runtime::internal::now());
                if !flight.has_ended.wait_timeout(left) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer for a name in time"));
                }
            }
        }
        match flight.answer.get() {
            Some(Ok(addresses)) => return Ok(addresses.clone()),
            Some(Err((kind, text))) => return Err(io::Error::new(*kind, text.clone())),
            // Who flew was unwound.
            None => {}
        }
    }
}

/// The flight of a name, and whether the caller has begun it.
fn join(name: &str) -> (Arc<Flight>, bool) {
    let mut flights = FLIGHTS.lock();
    match flights.get(name) {
        Some(flight) => (flight.clone(), false),
        None => {
            let flight = Arc::new(Flight::default());
            flights.insert(name.to_owned(), flight.clone());
            (flight, true)
        }
    }
}

/// The end of a flight, however it ends.
struct Landing {
    name: String,
    flight: Arc<Flight>,
}

impl Landing {
    fn fly(self, ask: Ask) {
        let _permit = PERMITS.acquire(1).expect("it is never closed");
        let answer = ask(&self.name).map_err(|error| (error.kind(), error.to_string()));
        _ = self.flight.answer.set(answer);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        FLIGHTS.lock().remove(&self.name);
        self.flight.has_ended.set();
    }
}

/// Runs `f` on a G if there is a runtime here, or else on a thread.
fn elsewhere(f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if pirn_runtime::current_gid().is_some() {
        return match pirn_runtime::try_go(f) {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        };
    }
    thread::Builder::new().name("pirn-lookup".to_owned()).spawn(f).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{FLIGHTS, lookup_by};
    use std::io;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    const HOME: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn lookups_of_one_name_are_one() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn ask(_: &str) -> io::Result<Vec<SocketAddr>> {
            ASKED.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(200));
            Ok(vec![HOME])
        }
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(lookup_by(ask, "one.test", None).unwrap(), [HOME]));
            }
        });
        // One that came late has asked again.
        assert!(ASKED.load(Ordering::SeqCst) < 5);
        assert!(!FLIGHTS.lock().contains_key("one.test"));
    }

    #[test]
    fn an_error_is_everybodys() {
        fn ask(_: &str) -> io::Result<Vec<SocketAddr>> {
            thread::sleep(Duration::from_millis(50));
            Err(io::Error::other("no such name"))
        }
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let error = lookup_by(ask, "error.test", None).unwrap_err();
                    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::Other, "no such name"));
                });
            }
        });
    }

    #[test]
    fn a_slow_answer_is_not_waited_for_longer_than_asked() {
        static MAY_ANSWER: AtomicBool = AtomicBool::new(false);
        fn ask(_: &str) -> io::Result<Vec<SocketAddr>> {
            while !MAY_ANSWER.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(vec![HOME])
        }
        let until = Instant::now() + Duration::from_millis(20);
        let error = lookup_by(ask, "slow.test", Some(until)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        MAY_ANSWER.store(true, Ordering::SeqCst);
        // The flight goes on, and who comes later has its answer.
        assert_eq!(lookup_by(ask, "slow.test", None).unwrap(), [HOME]);
    }

    #[test]
    fn a_flight_that_panics_is_flown_again() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn ask(_: &str) -> io::Result<Vec<SocketAddr>> {
            thread::sleep(Duration::from_millis(100));
            assert!(ASKED.fetch_add(1, Ordering::SeqCst) > 0, "the first panics");
            Ok(vec![HOME])
        }
        let first = thread::spawn(|| lookup_by(ask, "panic.test", None));
        while !FLIGHTS.lock().contains_key("panic.test") {
            thread::yield_now();
        }
        assert_eq!(lookup_by(ask, "panic.test", None).unwrap(), [HOME]);
        first.join().unwrap_err();
    }
}

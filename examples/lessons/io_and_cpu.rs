//! Waiting and computing on one runtime: requests to a slow server and prime numbers, one by one and together.
//!
//! Python: `asyncio` for the requests, and a pool of processes for the numbers, since one interpreter computes one
//! thing at a time. Async Rust: `spawn_blocking`, or the numbers stop the requests. Different here: both are goroutines
//! and nothing is marked. One that computes for long loses its P after 10 ms, so the answers are read in time; one that
//! waits has no P. The second line is shorter even on one P.

use pirn::net::{TcpListener, TcpStream};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const REQUESTS: u32 = 20;
const ANSWERS_AFTER: Duration = Duration::from_millis(10);
const COMPUTATIONS: u32 = 4;
const PRIMES_BELOW: u32 = 20_000;

pub(crate) fn program() {
    let server = start_server();

    let start = Instant::now();
    let waited: u32 = (0..REQUESTS).map(|n| ask(server, n)).sum();
    let computed: u32 = (0..COMPUTATIONS).map(|_| primes_below(PRIMES_BELOW)).sum();
    let one_by_one = start.elapsed();
    println!("one after the other: answers {waited}, primes {computed}, {} ms", one_by_one.as_millis());

    let start = Instant::now();
    let (waited, computed) = pirn::scope(|s| {
        let computations: Vec<_> = (0..COMPUTATIONS).map(|_| s.go(|| primes_below(PRIMES_BELOW))).collect();
        let requests: Vec<_> = (0..REQUESTS).map(|n| s.go(move || ask(server, n))).collect();
        let waited: u32 = requests.into_iter().map(|request| request.join().expect("it is answered")).sum();
        let computed: u32 = computations.into_iter().map(|primes| primes.join().expect("it only counts")).sum();
        (waited, computed)
    });
    let together = start.elapsed();
    println!("together: answers {waited}, primes {computed}, {} ms", together.as_millis());
    println!("{:.1} times as fast on {} Ps", one_by_one.as_secs_f64() / together.as_secs_f64(), pirn::maxprocs());
}

/// A server that takes its time. The end of the runtime ends it.
fn start_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one");
    pirn::go(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            pirn::go(move || {
                let mut number = [0; 4];
                stream.read_exact(&mut number)?;
                pirn::sleep(ANSWERS_AFTER);
                stream.write_all(&number)
            });
        }
    });
    address
}

/// Sends a number, and returns the one that comes back.
fn ask(server: SocketAddr, number: u32) -> u32 {
    let mut stream = TcpStream::connect(server).expect("it listens");
    let mut answer = [0; 4];
    stream.write_all(&number.to_be_bytes()).expect("it reads");
    stream.read_exact(&mut answer).expect("it answers");
    u32::from_be_bytes(answer)
}

fn primes_below(end: u32) -> u32 {
    let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..end).filter(is_prime).count() as u32
}

//! A rate limit that several processes share, in Redis: an atomic script does the step, by Redis' own clock.
//!
//! Two limiters with a connection each stand for two processes; their callers together get ten permits, and no more. Then
//! it says what one call costs: asking a store takes a round trip, where a limiter of this process takes some
//! nanoseconds. Without an address the store is in memory.
//!
//! ```text
//! cargo run --release --example shared_limit -- 127.0.0.1:6379
//! ```

use pirn::net::TcpStream;
use pirn::os::unix::net::UnixStream;
use pirn::patterns::rate::{MemoryStore, Quota, Rate, RateLimiter, Refused, SharedLimiter, Store};
use pirn::sync::Mutex;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `Quota::step` as a script. It counts in microseconds, which a number of Lua holds exactly.
const STEP: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local n, wait_max = tonumber(ARGV[3]), tonumber(ARGV[4])
if n > burst then return {2, 0} end
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + n * interval
local wait = math.max(full - now - burst * interval, 0)
if wait > wait_max then return {1, math.ceil(wait - wait_max)} end
if full > now then
    redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil((full - now) / 1000))
end
return {0, math.ceil(wait)}
";

/// Longer than anybody waits, in microseconds.
const AGES_US: u128 = 1_000_000_000_000_000;

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection to Redis. One request at a time; a goroutine that waits for its turn, or for the answer, holds no thread.
struct Redis {
    address: String,
    /// None: there is none yet, or it was lost in the middle of a request.
    connection: Mutex<Option<BufReader<Box<dyn Stream>>>>,
}

impl Redis {
    fn new(address: &str) -> Redis {
        Redis { address: address.to_owned(), connection: Mutex::new(None) }
    }

    fn connect(&self) -> io::Result<BufReader<Box<dyn Stream>>> {
        let stream: Box<dyn Stream> = if self.address.contains('/') {
            Box::new(UnixStream::connect(&self.address)?)
        } else {
            let stream = TcpStream::connect(&*self.address)?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        };
        Ok(BufReader::new(stream))
    }

    /// Runs the script, and returns the two numbers that it answers.
    fn eval(&self, key: &str, numbers: [String; 4]) -> io::Result<[u64; 2]> {
        let mut request = format!("*8\r\n$4\r\nEVAL\r\n${}\r\n{STEP}\r\n$1\r\n1\r\n", STEP.len());
        for word in [key, &numbers[0], &numbers[1], &numbers[2], &numbers[3]] {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let mut place = self.connection.lock();
        // It comes back only with its answer: what is left of a request that failed would be taken for the next answer.
        let mut connection = place.take().map_or_else(|| self.connect(), Ok)?;
        connection.get_mut().write_all(request.as_bytes())?;
        if number(&mut connection, '*')? != 2 {
            return Err(io::Error::other("Redis answers something else"));
        }
        let answer = [number(&mut connection, ':')?, number(&mut connection, ':')?];
        *place = Some(connection);
        Ok(answer)
    }
}

/// Reads a line that is a number after that sign.
fn number(connection: &mut impl BufRead, sign: char) -> io::Result<u64> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let number = line.trim_end().strip_prefix(sign).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("Redis says {line:?}")))
}

impl Store for Redis {
    type Error = io::Error;

    fn step(&self, key: &str, quota: Quota, n: u64, wait_max: Duration) -> io::Result<Result<Duration, Refused>> {
        let interval_us = quota.interval_ns as f64 / 1000.0;
        let wait_max_us = wait_max.as_micros().min(AGES_US);
        let numbers = [interval_us.to_string(), quota.burst.to_string(), n.to_string(), wait_max_us.to_string()];
        let [outcome, us] = self.eval(key, numbers)?;
        let time = Duration::from_micros(us);
        Ok(match outcome {
            0 => Ok(time),
            1 => Err(Refused::NotYet(time)),
            _ => Err(Refused::Never),
        })
    }
}

/// How many permits the callers of two processes get, of ten in an hour.
fn permits<S>(stores: [S; 2], key: &str) -> usize
where
    S: Store<Error: std::fmt::Debug> + 'static,
{
    let quota = Quota::every(Duration::from_secs(360), 10);
    let key = Arc::new(key.to_owned());
    let limits = stores.map(|store| Arc::new(SharedLimiter::new(store, quota)));
    let callers: Vec<_> = (0..8)
        .map(|nth| {
            let (limit, key) = (limits[nth % 2].clone(), key.clone());
            pirn::go(move || (0..25).filter(|_| limit.allow_n(&key, 1).expect("the store answers")).count())
        })
        .collect();
    callers.into_iter().map(|caller| caller.join().expect("it does not panic")).sum()
}

/// How long one call takes.
fn time_of(calls: u32, mut call: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..calls).for_each(|_| call());
    began.elapsed() / calls
}

fn main() {
    let address = std::env::args().nth(1);
    pirn::run(|| {
        // A key that nobody else uses, in a Redis that others may use too.
        let key = format!("pirn-shared-limit-{}", std::process::id());
        let quota = Quota::every(Duration::from_micros(1), 1_000_000);
        let (permits, shared) = match &address {
            Some(address) => {
                let permits = permits([Redis::new(address), Redis::new(address)], &key);
                let limit = SharedLimiter::new(Redis::new(address), quota);
                (permits, time_of(1000, || assert!(limit.allow_n("pirn-time", 1).expect("the store answers"))))
            }
            None => {
                static STORE: std::sync::LazyLock<MemoryStore> = std::sync::LazyLock::new(MemoryStore::new);
                let permits = permits([&*STORE, &*STORE], &key);
                let limit = SharedLimiter::new(&*STORE, quota);
                (permits, time_of(1000, || assert!(limit.allow_n("pirn-time", 1).expect("it is in memory"))))
            }
        };
        println!("200 calls of two processes got {permits} permits");
        let local = RateLimiter::new(Rate::per_sec(1e6), 1_000_000);
        let local = time_of(1000, || assert!(local.allow()));
        println!("a call takes {shared:?} with the store, {local:?} without one");
    });
}

//! What Gs and threads do at random.

use crate::common::Rng;
use crate::copies::{files, pipes, polls};
use crate::races::{catch, catch_in_a_child};
use crate::world::{QUEUE, World, check, lock};
use pirn::go;
use pirn_runtime::internal::Hooked;
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// A step may fail when its runtime shuts down, and only then.
type Step = fn(&World, &mut Rng) -> io::Result<()>;

/// What a thread does too.
const LOCKS: &[Step] = &[pair, read_many, write_many, push, pop, send, receive, short_sleep, park];
const CALLS: &[Step] =
    &[talk, time_out, pipe, unix, child, yields, spin, block, catch, catch, catch_in_a_child, files, pipes, polls];

thread_local! {
    /// Which G it is.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

fn thread_number() -> i32 {
    // SAFETY: it has no preconditions.
    unsafe { libc::gettid() }
}

pub(crate) fn of_a_g(world: &World, mut rng: Rng) {
    let number = rng.next();
    NUMBER.set(number);
    let mut on = thread_number();
    while !world.over.load(Ordering::Relaxed) {
        let steps = if rng.below(2) == 0 { LOCKS } else { CALLS };
        let nth = rng.below(steps.len());
        let done = steps[nth](world, &mut rng);
        check(NUMBER.get() == number, "the thread-local of another");
        check(Hooked::current().is_some(), &format!("after step {nth} of {} a G's code is not hooked", steps.len()));
        let now = thread_number();
        world.migrations.fetch_add(u64::from(now != on), Ordering::Relaxed);
        world.steps.fetch_add(1, Ordering::Relaxed);
        on = now;
        if let Err(error) = done {
            check(world.is_cancelled(), &format!("step {nth} of {} has failed: {error:?}", steps.len()));
            return;
        }
    }
}

/// It goes on until all Gs have ended, so that none of them waits for another that has been cancelled.
pub(crate) fn of_a_thread(world: &World, mut rng: Rng) {
    while !world.ended.load(Ordering::Relaxed) {
        // No `send`: nobody may be left to receive.
        let steps = [pair, read_many, write_many, receive, pop, short_sleep, push];
        let done = steps[rng.below(steps.len())](world, &mut rng);
        check(done.is_ok(), "a thread is not cancelled");
        world.queue.changed.notify_all();
    }
}

pub(crate) fn short(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.below(800) as u64)
}

fn short_sleep(_: &World, rng: &mut Rng) -> io::Result<()> {
    let (began, time) = (Instant::now(), short(rng));
    sleep(time);
    check(began.elapsed() >= time, "a sleep was too short");
    Ok(())
}

fn park(_: &World, rng: &mut Rng) -> io::Result<()> {
    let me = thread::current();
    if rng.below(2) == 0 {
        me.unpark();
    }
    thread::park_timeout(short(rng));
    Ok(())
}

fn yields(_: &World, _: &mut Rng) -> io::Result<()> {
    thread::yield_now();
    pirn::yield_now();
    Ok(())
}

/// Sometimes so long that sysmon gives its P to others.
fn spin(_: &World, rng: &mut Rng) -> io::Result<()> {
    let (began, time) = (Instant::now(), short(rng) * 2);
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Blocks its thread in a call that is not hooked, so that sysmon gives its P to others.
fn block(_: &World, rng: &mut Rng) -> io::Result<()> {
    let time = libc::timespec { tv_sec: 0, tv_nsec: short(rng).as_nanos() as i64 };
    // SAFETY: a time.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, std::ptr::null::<libc::timespec>()) };
    Ok(())
}

fn pair(world: &World, rng: &mut Rng) -> io::Result<()> {
    let pair = &world.pairs[rng.below(world.pairs.len())];
    let mut pair = pair.lock().unwrap_or_else(|poisoned| {
        check(world.is_cancelled(), "a holder has panicked");
        let mut pair = poisoned.into_inner();
        pair.1 = pair.0;
        pair
    });
    check(pair.0 == pair.1 || world.is_cancelled(), "two have had a lock");
    pair.0 += 1;
    if rng.below(4) == 0 {
        sleep(short(rng) / 8);
    }
    pair.1 = pair.0;
    Ok(())
}

fn read_many(world: &World, rng: &mut Rng) -> io::Result<()> {
    let many = world.many.read().unwrap_or_else(PoisonError::into_inner);
    let first = many[0];
    if rng.below(4) == 0 {
        sleep(short(rng) / 8);
    }
    check(many.iter().all(|number| *number == first), "a reader beside a writer");
    Ok(())
}

fn write_many(world: &World, rng: &mut Rng) -> io::Result<()> {
    let mut many = world.many.write().unwrap_or_else(PoisonError::into_inner);
    let number = rng.next();
    many.iter_mut().for_each(|place| *place = number);
    Ok(())
}

fn push(world: &World, rng: &mut Rng) -> io::Result<()> {
    let queue = &world.queue;
    let value = rng.below(1_000) as u64;
    let is_full = |values: &mut std::collections::VecDeque<u64>| values.len() >= QUEUE;
    let waited = queue.changed.wait_timeout_while(lock(&queue.values), short(rng) * 4, is_full);
    let (mut values, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    if !timeout.timed_out() {
        values.push_back(value);
        queue.pushed.fetch_add(value, Ordering::Relaxed);
        if rng.below(2) == 0 { queue.changed.notify_one() } else { queue.changed.notify_all() }
    }
    Ok(())
}

fn pop(world: &World, rng: &mut Rng) -> io::Result<()> {
    let queue = &world.queue;
    let waited = queue.changed.wait_timeout_while(lock(&queue.values), short(rng) * 4, |values| values.is_empty());
    let (mut values, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = values.pop_front() {
        queue.popped.fetch_add(value, Ordering::Relaxed);
        queue.changed.notify_one();
    }
    Ok(())
}

fn send(world: &World, rng: &mut Rng) -> io::Result<()> {
    let channel = &world.channels[rng.below(world.channels.len())];
    let value = rng.below(1_000) as u64;
    // A futex is waited for, also when the runtime shuts down.
    channel.sender.send(value).expect("the receiver lives");
    channel.sent.fetch_add(value, Ordering::Relaxed);
    Ok(())
}

fn receive(world: &World, rng: &mut Rng) -> io::Result<()> {
    let channel = &world.channels[rng.below(world.channels.len())];
    let receiver = lock(&channel.receiver);
    if let Ok(value) = receiver.recv_timeout(short(rng)) {
        channel.received.fetch_add(value, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends back what comes, for each connection on a G.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        drop(go(move || {
            let mut bytes = [0; 4096];
            loop {
                match stream.read(&mut bytes)? {
                    0 => return io::Result::Ok(()),
                    length => stream.write_all(&bytes[..length])?,
                }
            }
        }));
    }
}

pub(crate) fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let (first, length) = (rng.next(), 1 + rng.below(most));
    (0..length as u64).map(|n| (first.wrapping_add(n) % 251) as u8).collect()
}

fn talk(world: &World, rng: &mut Rng) -> io::Result<()> {
    let stream = TcpStream::connect(world.address)?;
    for _ in 0..1 + rng.below(4) {
        let sent = bytes(rng, 300_000);
        let mut answer = vec![0; sent.len()];
        // More than the buffers hold needs one that writes and one that reads.
        let (mut writer, expected) = (stream.try_clone()?, sent.clone());
        let writing = go(move || writer.write_all(&sent));
        (&stream).read_exact(&mut answer)?;
        check(answer == expected, "other bytes come back");
        writing.join().map_err(|_| io::Error::from(ErrorKind::Other))??;
    }
    Ok(())
}

/// Nothing comes: the timeout that the socket has is kept.
fn time_out(world: &World, rng: &mut Rng) -> io::Result<()> {
    let mut stream = TcpStream::connect(world.address)?;
    let time = short(rng) + Duration::from_millis(1);
    stream.set_read_timeout(Some(time))?;
    let began = Instant::now();
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            // The kernel counts in ticks of its own.
            check(began.elapsed() + Duration::from_millis(1) >= time, "a timeout was too short");
            Ok(())
        }
        Err(error) => Err(error),
        // When the runtime shuts down the server ends first.
        Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn pipe(_: &World, rng: &mut Rng) -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    let sent = bytes(rng, 200_000);
    let expected = sent.clone();
    let writing = go(move || writer.write_all(&sent));
    let mut came = Vec::new();
    reader.read_to_end(&mut came)?;
    writing.join().map_err(|_| io::Error::from(ErrorKind::Other))??;
    check(came == expected, "other bytes come through a pipe");
    Ok(())
}

fn unix(_: &World, rng: &mut Rng) -> io::Result<()> {
    let (mut here, mut there) = UnixStream::pair()?;
    let sent = bytes(rng, 300_000);
    let expected = sent.clone();
    let writing = go(move || there.write_all(&sent));
    let mut came = Vec::new();
    here.read_to_end(&mut came)?;
    writing.join().map_err(|_| io::Error::from(ErrorKind::Other))??;
    check(came == expected, "other bytes come through a socket");
    Ok(())
}

/// Seldom, as it takes long.
fn child(world: &World, rng: &mut Rng) -> io::Result<()> {
    if rng.below(20) != 0 {
        return Ok(());
    }
    let code = rng.below(100) as i32;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cat; exit {code}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    if rng.below(2) == 0 {
        // Then std forks, where it would have spawned otherwise.
        let in_child = || {
            thread::sleep(Duration::from_micros(100));
            Ok(())
        };
        // SAFETY: it calls what is signal-safe.
        unsafe { command.pre_exec(in_child) };
    }
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or(ErrorKind::Other)?;
    let sent = bytes(rng, 100_000);
    let expected = sent.clone();
    let writing = go(move || stdin.write_all(&sent));
    let output = child.wait_with_output()?;
    let written = writing.join().map_err(|_| io::Error::from(ErrorKind::Other))?;
    // A writer that was cancelled has closed the pipe in the middle.
    check(output.stdout == expected || world.is_cancelled(), "other bytes come from a child");
    check(output.status.code() == Some(code), "a child has ended otherwise");
    written
}

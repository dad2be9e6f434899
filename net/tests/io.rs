//! Pipes, copying between descriptors, and standard input.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, child_case, child_command, house};
use crew::everywhere;
use pirn_net::io::{PipeReader, PipeWriter, copy, pipe, stdin};
use pirn_net::os::unix::net::UnixStream;
use pirn_net::{TcpListener, TcpStream};
use std::io::{ErrorKind, Read, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

/// More than all buffers on the way hold.
const LENGTH: usize = 10_000_000;

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    (listener.accept().expect("the client's").0, client)
}

fn unix() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("two descriptors")
}

fn pipes() -> (PipeReader, PipeWriter) {
    pipe().expect("two descriptors")
}

/// Writes through one connection, copies from it into another, and reads there.
fn copies<R, W>(kind: crew::Kind, from: (R, impl Write + Send + 'static), to: (impl Read + Send + 'static, W))
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let ((mut reader, mut first), (mut last, mut writer)) = (from, to);
    let bytes: Arc<Vec<u8>> = Arc::new((0..LENGTH).map(|n| (n % 251) as u8).collect());
    let sent = bytes.clone();
    let sender = kind.go(move || {
        first.write_all(&sent[..LENGTH / 2]).unwrap();
        pirn_runtime::sleep(SOON);
        first.write_all(&sent[LENGTH / 2..]).unwrap();
    });
    let copier = kind.go(move || copy(&mut reader, &mut writer).unwrap());
    let receiver = kind.go(move || {
        pirn_runtime::sleep(SOON);
        let mut all = Vec::new();
        last.read_to_end(&mut all).unwrap();
        all
    });
    sender.join();
    assert_eq!(copier.join(), LENGTH as u64);
    assert!(receiver.join() == *bytes);
}

#[test]
fn everything_is_copied_between_sockets() {
    everywhere(|kind| {
        copies(kind, tcp(), tcp());
        copies(kind, unix(), tcp());
    });
}

#[test]
fn everything_is_copied_between_sockets_and_pipes() {
    everywhere(|kind| {
        copies(kind, pipes(), tcp());
        copies(kind, tcp(), pipes());
    });
}

#[test]
fn everything_is_copied_between_pipes() {
    everywhere(|kind| copies(kind, pipes(), pipes()));
}

#[test]
fn others_are_copied_too() {
    everywhere(|kind| {
        let (mut reader, mut writer) = pipes();
        let sender = kind.go(move || copy(&mut &b"hello"[..], &mut writer).unwrap());
        let mut text = Vec::new();
        assert_eq!(copy(&mut reader, &mut text).unwrap(), 5);
        assert_eq!((text.as_slice(), sender.join()), (&b"hello"[..], 5));
    });
}

#[test]
fn a_copy_ends_by_a_deadline() {
    everywhere(|_| {
        let ((a, mut first), (mut last, b)) = (unix(), tcp());
        first.write_all(b"hello").unwrap();
        a.set_read_deadline(Some(Instant::now() + SOON));
        assert_eq!(copy(&mut &a, &mut &b).unwrap_err().kind(), ErrorKind::TimedOut);
        // What came before the deadline has arrived.
        let mut text = [0; 5];
        last.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    });
}

#[test]
fn a_pipe_ends() {
    everywhere(|kind| {
        let (mut reader, writer) = pipes();
        let clone = writer.try_clone().unwrap();
        let ending = kind.go(move || {
            drop(writer);
            pirn_runtime::sleep(SOON);
            drop(clone);
        });
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        ending.join();
        let (reader, mut writer) = pipes();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (reader, writer) = pipes();
        let (mut reader, mut writer) = (reader.into_std(), writer.into_std());
        writer.write_all(b"x").unwrap();
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 1);
    });
}

#[test]
fn standard_input_is_read_while_others_run() {
    if child_case("standard_input_is_read_while_others_run").is_some() {
        return house(builder().procs(1)).run(echo_lines);
    }
    let mut command = child_command("standard_input_is_read_while_others_run", "run", &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in ["one\n", "two\nthr", "ee\n", "four"] {
        input.write_all(line.as_bytes()).unwrap();
        std::thread::sleep(SOON);
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("[\"one\", \"two\", \"three\", \"four\"]"), "{text}");
}

/// What cannot be watched by epoll is read at once.
#[test]
fn standard_input_is_a_file() {
    if child_case("standard_input_is_a_file").is_some() {
        return house(builder().procs(1)).run(|| {
            let mut text = String::new();
            stdin().read_to_string(&mut text).unwrap();
            println!("{:?}", text.lines().next());
        });
    }
    for (path, first) in [("/dev/null", "None"), ("Cargo.toml", "Some(\"[package]\")")] {
        let mut command = child_command("standard_input_is_a_file", "run", &[]);
        let output = command.stdin(std::fs::File::open(path).unwrap()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(first), "{text}");
    }
}

/// Reads lines while another G counts.
fn echo_lines() {
    let (has_ended, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let ticker = {
        let (has_ended, ticks) = (has_ended.clone(), ticks.clone());
        pirn_runtime::go(move || {
            while !has_ended.load(Ordering::Relaxed) {
                pirn_runtime::sleep(Duration::from_millis(1));
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let mut first = String::new();
    stdin().read_line(&mut first).unwrap();
    let mut lines = vec![first.trim_end().to_owned()];
    lines.extend(stdin().lines().map(|line| line.unwrap()));
    println!("{lines:?}");
    has_ended.store(true, Ordering::Relaxed);
    ticker.join().unwrap();
    assert!(ticks.load(Ordering::Relaxed) > 10);
}

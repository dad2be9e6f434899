//! What tokio's tests of named and unnamed pipes, and of any descriptor, hold to be true, written anew for [`Poll`] and our
//! pipes. Read at tokio's commit b53b2001 (MIT), `tokio/tests/`. `tokio_semantics.rs` has those of sockets.
//!
//! | tokio's file | its tests | stand here | do not apply |
//! | --- | --- | --- | --- |
//! | `net_unix_pipe` | 19 | 14 | 5: `open_detects_not_a_fifo`, `from_file_detects_not_a_fifo`, `from_file_detects_wrong_access_mode`, `try_io_writable`, `try_io_readable` |
//! | `io_async_fd` | 27 | 17 | 10: `try_io_readable`, `try_io_writable`, `driver_shutdown_then_clear_readiness`, `clear_ready_matching_clears_ready`, `clear_ready_matching_clears_ready_mut`, `await_error_readiness_timestamping`, `register_error`, `register_with_interest_error`, `try_new`, `try_with_interest` |
//! | all | 46 | 31 | 15 |
//!
//! What does not apply, and why:
//! - What a file is (`detects_not_a_fifo`, `wrong_access_mode`): a named pipe is a file in a [`Poll`], which takes any
//!   descriptor; std's types for the ends of a pipe do not look either. The system answers to a wrong operation.
//! - Flags of readiness (`try_io`, `clear_ready`): there are none. An operation that would block says so itself, and
//!   `readable` and `writable` ask the system (`an_operation_that_would_block_is_tried_again_after_an_event`).
//! - A wait for errors alone (`await_error_readiness_timestamping`): an error ends the waits of both directions.
//! - What is no descriptor (`register_error`, `try_new` and those with an interest): `AsFd` makes it impossible.
//!
//! Each test says which ones of tokio's it stands for.
#![expect(clippy::unwrap_used, reason = "all functions are parts of tests")]

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod pairs;

use crew::common::{House, eventually, runtime};
use crew::{Kind, SHORT, everywhere, on_gs, poll_once};
use pairs::{Dir, fill, is_ready, tcp_pair};
use pirn_net::io::{PipeReader, PipeWriter, pipe};
use pirn_net::process::CommandExt;
use pirn_net::{Async, Poll, UdpSocket};
use pirn_runtime::{block_on, sleep};
use socket2::SockRef;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{self, Context, Wake, Waker};

const DATA: &[u8] = b"this is some data to write to the pipe";

// --------------------------------------------------------------------------------------------------- named pipes

/// A named pipe, which goes with the directory.
fn fifo(dir: &Dir) -> PathBuf {
    let path = dir.path("fifo");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: it is a string, which is there for the whole call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

/// What a named pipe is opened for.
#[derive(Clone, Copy, PartialEq)]
enum For {
    Reading,
    Writing,
    Both,
}

/// Opens a named pipe without waiting for the other side.
fn file(path: &Path, what: For) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(what != For::Writing).write(what != For::Reading).custom_flags(libc::O_NONBLOCK).open(path)
}

fn open(path: &Path, what: For) -> Poll<File> {
    Poll::new(file(path, what).unwrap()).unwrap()
}

/// Reads so many bytes, or up to the end.
fn read(reader: &Poll<File>, length: usize) -> Vec<u8> {
    let (mut bytes, mut count) = (vec![0; length], 0);
    while count < length {
        match reader.read_with(|mut file| file.read(&mut bytes[count..])).unwrap() {
            0 => break,
            more => count += more,
        }
    }
    bytes.truncate(count);
    bytes
}

fn write(writer: &Poll<File>, bytes: &[u8]) {
    // So little is written at once.
    assert_eq!(writer.write_with(|mut file| file.write(bytes)).unwrap(), bytes.len());
}

fn write_and_close(path: &Path) {
    write(&open(path, For::Writing), DATA);
}

/// `net_unix_pipe`: `fifo_simple_send`, `from_file`.
#[test]
fn a_named_pipe_is_waited_for() {
    everywhere(|kind| {
        let dir = Dir::new();
        let path = fifo(&dir);
        let reader = open(&path, For::Reading);
        // A reader without a writer finds the end, so there has to be one.
        let writer = open(&path, For::Writing);
        let reading = kind.go_and_wait(move || read(&reader, DATA.len()));
        write(&writer, DATA);
        assert_eq!(reading.join(), DATA);
    });
    on_gs(|| {
        let dir = Dir::new();
        let path = fifo(&dir);
        let (reader, writer) = (Async::new(open(&path, For::Reading)), open(&path, For::Writing));
        let mut bytes = [0; DATA.len()];
        let mut reading = Box::pin(reader.read_with(|mut file| file.read(&mut bytes)));
        assert!(poll_once(&mut reading).is_pending());
        write(&writer, DATA);
        assert_eq!(block_on(reading).unwrap(), DATA.len());
        assert_eq!(bytes, DATA);
    });
}

/// `net_unix_pipe`: `fifo_simple_send_sender_first`.
#[test]
fn a_named_pipe_is_written_to_before_it_is_read() {
    everywhere(|_| {
        let dir = Dir::new();
        let path = fifo(&dir);
        assert_eq!(file(&path, For::Writing).unwrap_err().raw_os_error(), Some(libc::ENXIO));
        write(&open(&path, For::Both), DATA);
        // What was written goes with the last that has it open.
        let writer = open(&path, For::Both);
        write(&writer, DATA);
        assert_eq!(read(&open(&path, For::Reading), DATA.len()), DATA);
    });
}

/// `net_unix_pipe`: `fifo_multiple_writes`. After each writer there is an end, and after that more.
#[test]
fn a_named_pipe_has_several_ends() {
    everywhere(|_| {
        let dir = Dir::new();
        let path = fifo(&dir);
        let reader = open(&path, For::Reading);
        for _ in 0..3 {
            write_and_close(&path);
            reader.readable().unwrap();
            assert_eq!(read(&reader, DATA.len()), DATA);
            reader.readable().unwrap();
            assert_eq!(read(&reader, 1), b"");
        }
    });
}

/// `net_unix_pipe`: `fifo_resilient_reader`. What has it open for writing too finds no end.
#[test]
fn a_named_pipe_without_an_end_waits_for_the_next_writer() {
    everywhere(|kind| {
        let dir = Dir::new();
        let path = fifo(&dir);
        let reader = Arc::new(open(&path, For::Both));
        for _ in 0..3 {
            let reading = {
                let reader = reader.clone();
                kind.go_and_wait(move || read(&reader, DATA.len()))
            };
            write_and_close(&path);
            assert_eq!(reading.join(), DATA);
        }
    });
}

// ------------------------------------------------------------------------------------------------- unnamed pipes

fn is_nonblocking(fd: &impl AsFd) -> bool {
    SockRef::from(fd).nonblocking().unwrap()
}

/// `net_unix_pipe`: `from_file_sets_nonblock`, `anon_pipe_into_nonblocking_fd`, `anon_pipe_into_blocking_fd`. What came
/// non-blocking goes so, and what came blocking blocks again.
#[test]
fn ends_are_non_blocking_and_go_as_they_came() {
    everywhere(|_| {
        let dir = Dir::new();
        let path = fifo(&dir);
        let _open = open(&path, For::Both);
        for blocks in [true, false] {
            let end = |what| {
                let file = file(&path, what).unwrap();
                SockRef::from(&file).set_nonblocking(!blocks).unwrap();
                OwnedFd::from(file)
            };
            let (reader, writer) = (PipeReader::from(end(For::Reading)), PipeWriter::from(end(For::Writing)));
            assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
            assert_eq!(is_nonblocking(&OwnedFd::from(reader)), !blocks);
            assert_eq!(is_nonblocking(&OwnedFd::from(writer)), !blocks);
        }
        let (reader, writer) = pipe().unwrap();
        assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
        assert!(!is_nonblocking(&reader.into_std()) && !is_nonblocking(&writer.into_std()));
    });
}

/// `net_unix_pipe`: `try_read_write`, `try_read_write_vectored`, `try_read_buf`.
#[test]
fn a_pipe_is_filled_and_emptied_without_waiting() {
    on_gs(|| {
        let dir = Dir::new();
        let path = fifo(&dir);
        // As they come non-blocking, they say so when they would block.
        let mut reader = PipeReader::from(OwnedFd::from(file(&path, For::Reading).unwrap()));
        let mut writer = PipeWriter::from(OwnedFd::from(file(&path, For::Writing).unwrap()));
        for is_vectored in [false, true] {
            assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(is_ready(Async::new(&writer).writable()));
            let written = fill(&mut writer, is_vectored);
            assert!(!is_ready(Async::new(&writer).writable()));
            let (mut got, mut length) = (vec![0; written.len()], 0);
            while length < got.len() {
                block_on(Async::new(&reader).readable()).unwrap();
                let mut bufs: Vec<_> = got[length..].chunks_mut(1000).map(IoSliceMut::new).collect();
                length += match is_vectored {
                    true => reader.read_vectored(&mut bufs),
                    false => reader.read(&mut bufs[0]),
                }
                .unwrap();
            }
            assert!(got == written);
            block_on(Async::new(&writer).writable()).unwrap();
        }
        drop(writer);
        block_on(Async::new(&reader).readable()).unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}

/// `net_unix_pipe`: `anon_pipe_simple_send`, `anon_pipe_from_owned_fd`.
#[test]
fn a_pipe_is_waited_for() {
    everywhere(|kind| {
        let (reader, writer) = io::pipe().unwrap();
        let of_descriptors = (PipeReader::from(OwnedFd::from(reader)), PipeWriter::from(OwnedFd::from(writer)));
        for (mut reader, mut writer) in [pipe().unwrap(), of_descriptors] {
            let reading = kind.go_and_wait(move || {
                let mut bytes = [0; DATA.len()];
                reader.read_exact(&mut bytes).unwrap();
                bytes
            });
            writer.write_all(DATA).unwrap();
            assert_eq!(reading.join(), DATA);
        }
    });
}

/// `net_unix_pipe`: `anon_pipe_spawn_echo`.
#[test]
fn a_child_writes_to_a_pipe() {
    everywhere(|_| {
        let (mut reader, writer) = pipe().unwrap();
        let mut command = Command::new("printf");
        command.arg(str::from_utf8(DATA).unwrap()).stdout(OwnedFd::from(writer));
        let mut child = command.spawn_g().unwrap();
        let mut bytes = [0; DATA.len()];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, DATA);
        assert!(child.wait().unwrap().success());
        // It has the other end too.
        drop(command);
        assert_eq!(reader.read(&mut bytes).unwrap(), 0);
    });
}

// ------------------------------------------------------------------------------------------------ any descriptor

type Any = Poll<UnixStream>;

/// A descriptor in our care, and its peer, which blocks.
fn pair() -> (Any, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Poll::new(a).unwrap(), b)
}

/// Writes until it would block. How much that was.
fn fill_up(a: &Any) -> usize {
    let mut written = 0;
    while let Ok(length) = a.get_ref().write(&[0; 512]) {
        written += length;
    }
    written
}

/// `io_async_fd`: `initially_writable`.
#[test]
fn a_descriptor_is_writable_at_first_and_not_readable() {
    on_gs(|| {
        let (a, b) = pair();
        let (a, b) = (Async::new(a), Async::new(Poll::new(b).unwrap()));
        let (mut of_a, mut of_b) = (pin!(a.readable()), pin!(b.readable()));
        for _ in 0..2 {
            assert!(is_ready(a.writable()) && is_ready(b.writable()));
            assert!(poll_once(&mut of_a).is_pending() && poll_once(&mut of_b).is_pending());
            sleep(SHORT);
        }
    });
}

/// `io_async_fd`: `reset_readable`.
#[test]
fn what_was_read_is_not_readable_any_more() {
    on_gs(|| {
        let (a, mut b) = pair();
        let a = Async::new(a);
        for _ in 0..3 {
            let mut readable = pin!(a.readable());
            assert!(poll_once(&mut readable).is_pending());
            sleep(SHORT);
            assert!(poll_once(&mut readable).is_pending());
            b.write_all(b"0").unwrap();
            block_on(readable).unwrap();
            // As long as nobody reads it.
            assert!(is_ready(a.readable()));
            assert_eq!(block_on(a.read_with(|mut inner| inner.read(&mut [0; 10]))).unwrap(), 1);
        }
    });
}

/// `io_async_fd`: `reset_writable`.
#[test]
fn what_is_full_is_writable_when_it_was_read_from() {
    on_gs(|| {
        let (a, mut b) = pair();
        let a = Async::new(a);
        for _ in 0..3 {
            let mut all = vec![0; fill_up(a.get_ref())];
            let mut writable = pin!(a.writable());
            assert!(poll_once(&mut writable).is_pending());
            sleep(SHORT);
            assert!(poll_once(&mut writable).is_pending());
            b.read_exact(&mut all).unwrap();
            block_on(writable).unwrap();
        }
    });
}

/// `io_async_fd`: `drop_closes`.
#[test]
fn a_descriptor_is_closed_by_its_owner() {
    everywhere(|_| {
        let is_open = |b: &mut UnixStream| {
            b.set_nonblocking(true).unwrap();
            match b.read(&mut [0]) {
                Ok(0) => false,
                Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                other => panic!("{other:?}"),
            }
        };
        // The child that another test is just starting has it for a moment, too.
        let is_closed = |b: &mut UnixStream| eventually("it is closed", || !is_open(b));
        let (a, mut b) = pair();
        assert!(is_open(&mut b));
        drop(a);
        is_closed(&mut b);
        let (a, mut b) = pair();
        let inner = a.into_inner();
        assert!(is_open(&mut b));
        let shared = Arc::new(inner);
        drop(Poll::new(shared.clone()).unwrap());
        assert!(is_open(&mut b));
        drop(shared);
        is_closed(&mut b);
    });
}

/// Reads a byte, which is not there yet: it is written when the read waits.
fn read_late(kind: Kind, a: Any, mut b: &UnixStream) -> Any {
    let reading = kind.go_and_wait(move || {
        assert_eq!(a.read_with(|mut inner| inner.read(&mut [0; 10])).unwrap(), 1);
        a
    });
    b.write_all(b"0").unwrap();
    reading.join()
}

/// `io_async_fd`: `reregister`.
#[test]
fn a_descriptor_may_be_given_back_and_come_again() {
    everywhere(|kind| {
        let (mut a, b) = pair();
        for _ in 0..3 {
            a = Poll::new(read_late(kind, a, &b).into_inner()).unwrap();
        }
    });
}

/// `io_async_fd`: `drop_after_closing_raw_fd_with_live_duplicate`. The system still has the first one at the epoll, as a
/// duplicate of it lives.
#[test]
fn a_duplicate_lives_on() {
    everywhere(|kind| {
        let (a, b) = pair();
        let duplicate = a.get_ref().try_clone().unwrap();
        drop(read_late(kind, a, &b));
        (&b).write_all(b"0").unwrap();
        assert_eq!((&duplicate).read(&mut [0; 10]).unwrap(), 1);
        // One that takes the number of the first is not taken for it.
        let (c, d) = pair();
        let duplicate = Poll::new(duplicate).unwrap();
        drop(read_late(kind, c, &d));
        drop(read_late(kind, duplicate, &b));
    });
}

/// `io_async_fd`: `guard_try_io`. On a G: a thread asks the kernel how it is, and would be told again and again.
#[test]
fn an_operation_that_would_block_is_tried_again_after_an_event() {
    on_gs(|| {
        let (a, mut b) = pair();
        let (attempts, may_succeed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        // It says so, though it is not true.
        b.write_all(b"0").unwrap();
        let reading = {
            let (attempts, may_succeed) = (attempts.clone(), may_succeed.clone());
            Kind::G.go_and_wait(move || {
                a.read_with(|mut inner| {
                    attempts.fetch_add(1, Ordering::SeqCst);
                    if may_succeed.load(Ordering::SeqCst) {
                        return inner.read(&mut [0; 10]);
                    }
                    Err(ErrorKind::WouldBlock.into())
                })
                .unwrap()
            })
        };
        // Once, and perhaps once more, as it is an event of its own that there is something when the wait begins.
        sleep(SHORT);
        assert!((1..=2).contains(&attempts.load(Ordering::SeqCst)), "{attempts:?} attempts");
        may_succeed.store(true, Ordering::SeqCst);
        b.write_all(b"1").unwrap();
        assert_eq!(reading.join(), 2);
    });
}

/// `io_async_fd`: `multiple_waiters`.
#[test]
fn all_that_wait_for_a_descriptor_are_woken() {
    on_gs(|| {
        let (a, mut b) = pair();
        let a = Arc::new(a);
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let a = a.clone();
                Kind::G.go_and_wait(move || block_on(Async::new(&*a).readable()).unwrap())
            })
            .collect();
        b.write_all(b"0").unwrap();
        tasks.into_iter().for_each(|task| task.join());
    });
}

/// A waker of the test.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Woken {
    fn poll<F: Future>(self: &Arc<Woken>, future: &mut Pin<&mut F>) -> task::Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// `io_async_fd`: `poll_fns`. Unlike with tokio, each that polls keeps its waker.
#[test]
fn an_event_wakes_its_own_direction() {
    on_gs(|| {
        let (a, mut b) = pair();
        let a = Arc::new(a);
        let written = fill_up(&a);
        let reader = {
            let a = a.clone();
            Kind::G.go_and_wait(move || block_on(Async::new(&*a).readable()).unwrap())
        };
        let of_a = Async::new(&*a);
        let (mut readable, mut writable) = (pin!(of_a.readable()), pin!(of_a.writable()));
        let (reads, writes) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        assert!(reads.poll(&mut readable).is_pending() && writes.poll(&mut writable).is_pending());
        b.write_all(b"0").unwrap();
        reader.join();
        while !reads.is_woken() {
            sleep(SHORT);
        }
        assert!(matches!(reads.poll(&mut readable), task::Poll::Ready(Ok(()))));
        // An event says how it is in both directions, so the other may be woken in vain, but it goes on waiting.
        sleep(SHORT);
        assert!(writes.poll(&mut writable).is_pending());
        b.read_exact(&mut vec![0; written]).unwrap();
        block_on(writable).unwrap();
    });
}

// ------------------------------------------------------------------------------------------- the end of a runtime

/// A descriptor that is at the epoll of a runtime, for tasks, and can be neither read nor written to.
fn blocked() -> (House, Async<Any>, UnixStream) {
    let rt = runtime(1);
    let (a, b) = pair();
    fill_up(&a);
    let a = Async::new(a);
    rt.run(|| assert!(poll_once(&mut pin!(a.readable())).is_pending()));
    (rt, a, b)
}

#[track_caller]
fn refused(result: io::Result<()>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// `io_async_fd`: `driver_shutdown_wakes_currently_pending`, `driver_shutdown_wakes_currently_pending_polls`. Tasks of no
/// runtime wait where the descriptor is.
#[test]
fn the_end_of_the_runtime_wakes_tasks_of_others() {
    let (rt, a, _b) = blocked();
    let (mut readable, mut writable) = (pin!(a.readable()), pin!(a.writable()));
    let (reads, writes) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    assert!(reads.poll(&mut readable).is_pending());
    assert!(writes.poll(&mut writable).is_pending());
    rt.close();
    eventually("both are woken", || reads.is_woken() && writes.is_woken());
    let task::Poll::Ready(result) = reads.poll(&mut readable) else { panic!("it has no runtime any more") };
    refused(result);
    let task::Poll::Ready(result) = writes.poll(&mut writable) else { panic!("it has no runtime any more") };
    refused(result);
    // And so do later ones.
    refused(block_on(a.readable()));
    refused(block_on(a.writable()));
}

/// `io_async_fd`: `driver_shutdown_wakes_future_pending`, `driver_shutdown_wakes_poll`.
#[test]
fn after_the_end_of_the_runtime_tasks_need_another() {
    let (rt, a, mut b) = blocked();
    rt.close();
    refused(block_on(a.readable()));
    refused(block_on(a.writable()));
    // What need not wait goes ahead, and another runtime does as well.
    b.write_all(b"0").unwrap();
    block_on(a.readable()).unwrap();
    assert_eq!(block_on(a.read_with(|mut inner| inner.read(&mut [0; 10]))).unwrap(), 1);
    let rt = runtime(1);
    rt.run(|| {
        let mut readable = pin!(a.readable());
        assert!(poll_once(&mut readable).is_pending());
        b.write_all(b"0").unwrap();
        block_on(readable).unwrap();
    });
}

/// `io_async_fd`: `driver_shutdown_wakes_pending_race`, `driver_shutdown_wakes_poll_race`.
#[test]
fn the_end_of_the_runtime_comes_at_any_moment() {
    for _ in 0..100 {
        let (rt, a, _b) = blocked();
        std::thread::scope(|s| {
            s.spawn(|| rt.close());
            refused(block_on(a.readable()));
            refused(block_on(a.writable()));
        });
        refused(block_on(a.readable()));
    }
}

// ----------------------------------------------------------------------------------------- more than bytes to read

/// `io_async_fd`: `priority_event_on_oob_data`. Urgent data is an event for what reads, whatever it reads. On a
/// G: a thread that waits for bytes is not told of it, as it would be told again and again until somebody takes it.
#[test]
fn urgent_data_is_waited_for() {
    on_gs(|| {
        let (client, server) = tcp_pair();
        let client = Poll::new(TcpStream::from(client)).unwrap();
        let reading = Kind::G.go_and_wait(move || {
            client.read_with(|inner| {
                SockRef::from(inner).recv_out_of_band(&mut [MaybeUninit::uninit()]).map_err(|error| {
                    match error.kind() {
                        // There is none.
                        ErrorKind::InvalidInput => ErrorKind::WouldBlock.into(),
                        _ => error,
                    }
                })
            })
        });
        SockRef::from(&server).send_out_of_band(b"!").unwrap();
        assert_eq!(reading.join().unwrap(), 1);
    });
}

/// `io_async_fd`: `await_error_readiness_invalid_address`.
#[test]
fn an_error_ends_a_wait() {
    everywhere(|kind| {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(nobody.local_addr().unwrap()).unwrap();
        drop(nobody);
        let reading = {
            let socket = socket.clone();
            kind.go_and_wait(move || socket.recv(&mut [0; 10]))
        };
        socket.send(DATA).unwrap();
        assert_eq!(reading.join().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

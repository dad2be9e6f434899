//! Calls at their edges do on a G what libc's do on a thread: nothing to move, the wrong direction, the end in the middle.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated, shown_waiting};
use pirn_hook as _;
use pirn_runtime::{JoinHandle, Runtime, Unparker, go};
use std::io::{self, Read, Write};
use std::mem::zeroed;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More than a socket takes.
const MUCH: usize = 32 << 20;

/// For what is there already, unless it was lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a call has returned, or why it has failed.
fn said(returned: impl TryInto<i64>) -> Result<i64, i32> {
    match returned.try_into() {
        Ok(returned @ 0..) => Ok(returned),
        _ => Err(io::Error::last_os_error().raw_os_error().expect("it has failed")),
    }
}

/// The same on a thread and on a G: what it says on both.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug + Send + 'static>(call: impl Fn() -> T + Clone + Send + 'static) -> T {
    let on_thread = call();
    let on_g = isolated(1).run(|| {
        // One that parks instead of failing would do so for ever.
        let g = go(call);
        eventually("it returns", || g.is_finished());
        g.join().expect("no panic")
    });
    assert_eq!(on_g, on_thread);
    on_g
}

fn read(fd: RawFd, len: usize) -> Result<i64, i32> {
    let mut buf = [0_u8; 64];
    // SAFETY: there is room for so many bytes.
    said(unsafe { libc::read(fd, buf.as_mut_ptr().cast(), len.min(64)) })
}

fn write(fd: RawFd, len: usize) -> Result<i64, i32> {
    let buf = vec![7_u8; len];
    // SAFETY: so many bytes are there.
    said(unsafe { libc::write(fd, buf.as_ptr().cast(), len) })
}

fn waits_in(rt: &Runtime, call: &str) -> u64 {
    rt.metrics().hooked_waits.into_iter().find(|(name, _)| *name == call).expect("it is hooked").1
}

fn owned(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: it is new, and no other code has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn tcp_pair() -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (client.into(), listener.accept().expect("it is connected").0.into())
}

fn unix_pair() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().expect("two sockets");
    (a.into(), b.into())
}

/// Each end of a pipe is for one direction, and says nothing of the other.
#[test]
fn the_wrong_end_of_a_pipe_is_an_error() {
    let (reader, writer) = io::pipe().unwrap();
    let (reader, writer) = (reader.as_raw_fd(), writer.as_raw_fd());
    assert_eq!(same(move || read(writer, 1)), Err(libc::EBADF));
    assert_eq!(same(move || write(reader, 1)), Err(libc::EBADF));
    assert_eq!(same(move || write(reader, 100_000)), Err(libc::EBADF));
}

#[test]
fn an_eventfd_takes_no_small_buffer() {
    // SAFETY: it has no preconditions.
    let event = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) });
    let fd = event.as_raw_fd();
    assert_eq!(same(move || read(fd, 4)), Err(libc::EINVAL));
    isolated(1).run(|| {
        let g = go(move || read(fd, 8));
        assert_eq!(write(fd, 8), Ok(8));
        assert_eq!(g.join().unwrap(), Ok(8));
    });
}

/// Of a datagram socket: a message without bytes is one.
#[test]
fn buffers_without_bytes_move_nothing() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    a.set_read_timeout(Some(PATIENCE)).unwrap();
    b.send(b"abc").unwrap();
    let fd = a.as_raw_fd();
    let empty = || [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; 2];
    // SAFETY: two parts without bytes.
    assert_eq!(same(move || said(unsafe { libc::readv(fd, empty().as_ptr(), 2) })), Ok(0));
    // SAFETY: as above.
    assert_eq!(same(move || said(unsafe { libc::writev(fd, empty().as_ptr(), 2) })), Ok(0));
    assert_eq!(a.recv(&mut [0; 8]).unwrap(), 3);
    b.set_nonblocking(true).unwrap();
    assert_eq!(b.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn too_many_buffers_are_an_error() {
    let (a, _b) = UnixStream::pair().unwrap();
    let fd = a.as_raw_fd();
    for count in [1_025, -1] {
        let all = || vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; 1_025];
        // SAFETY: so many parts without bytes.
        assert_eq!(same(move || said(unsafe { libc::readv(fd, all().as_ptr(), count) })), Err(libc::EINVAL));
        // SAFETY: as above.
        assert_eq!(same(move || said(unsafe { libc::writev(fd, all().as_ptr(), count) })), Err(libc::EINVAL));
    }
}

static SIGPIPES: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_sigpipe(_: libc::c_int) {
    SIGPIPES.fetch_add(1, Ordering::Relaxed);
}

/// What was sent before counts, so the signal comes with the next call.
#[test]
fn a_write_that_has_sent_a_part_raises_no_sigpipe() {
    // SAFETY: plain numbers, for which all zeros are values.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = count_sigpipe as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler does what is signal-safe.
    assert_eq!(unsafe { libc::sigaction(libc::SIGPIPE, &raw const action, ptr::null_mut()) }, 0);
    let calls: [fn(RawFd, &[u8]) -> isize; 4] = [
        // SAFETY: so many bytes are there.
        |fd, text| unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) },
        // SAFETY: as above.
        |fd, text| unsafe { libc::send(fd, text.as_ptr().cast(), text.len(), 0) },
        // SAFETY: as above.
        |fd, text| unsafe { libc::sendto(fd, text.as_ptr().cast(), text.len(), 0, ptr::null(), 0) },
        |fd, text| {
            let part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
            // SAFETY: one part.
            unsafe { libc::writev(fd, &raw const part, 1) }
        },
    ];
    for call in calls {
        for pair in [tcp_pair, unix_pair] {
            let rt = isolated(2);
            let handle = rt.handle();
            rt.run(move || {
                let (ours, theirs) = pair();
                let before = SIGPIPES.load(Ordering::Relaxed);
                let fd = ours.as_raw_fd();
                let writes = go(move || said(call(fd, &vec![1; MUCH])));
                eventually("it waits", || {
                    handle.goroutines().iter().any(|g| matches!(g.wait_reason, Some("write" | "send")))
                });
                // An epoll does not hear of that, if it is a socket of Unix. By another number, as `try_clone` makes one.
                let clone = ours.try_clone().unwrap();
                // SAFETY: it has no preconditions.
                assert_eq!(unsafe { libc::shutdown(clone.as_raw_fd(), libc::SHUT_WR) }, 0);
                eventually("the write has ended", || writes.is_finished());
                let sent = writes.join().unwrap().expect("a part was sent");
                assert!(0 < sent && sent < MUCH as i64);
                assert_eq!(SIGPIPES.load(Ordering::Relaxed), before);
                // SAFETY: one byte.
                assert_eq!(said(unsafe { libc::send(fd, [1_u8].as_ptr().cast(), 1, 0) }), Err(libc::EPIPE));
                assert_eq!(SIGPIPES.load(Ordering::Relaxed), before + 1);
                drop((ours, theirs));
            });
        }
    }
}

/// An epoll does not hear of that either.
#[test]
fn a_peer_that_reads_no_more_ends_a_write() {
    let rt = isolated(2);
    let handle = rt.handle();
    rt.run(move || {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        // It is sent with MSG_NOSIGNAL.
        let writes = go(move || ours.write_all(&vec![1; MUCH]).map_err(|e| e.kind()));
        eventually("it waits", || handle.goroutines().iter().any(|g| matches!(g.wait_reason, Some("write" | "send"))));
        theirs.shutdown(std::net::Shutdown::Read).unwrap();
        eventually("the write has ended", || writes.is_finished());
        assert_eq!(writes.join().unwrap(), Err(std::io::ErrorKind::BrokenPipe));
    });
}

/// It has got one of two when the other one is refused.
#[test]
fn an_error_between_two_messages_is_for_the_next_call() {
    let rt = isolated(2);
    let handle = rt.handle();
    rt.run(move || {
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
        ours.connect(theirs.local_addr().unwrap()).unwrap();
        theirs.send_to(b"abc", ours.local_addr().unwrap()).unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let fd = ours.as_raw_fd();
        let receives = go(move || {
            let mut bufs = [[0_u8; 8]; 2];
            let mut parts = bufs.each_mut().map(|buf| libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: 8 });
            let mut all = parts.each_mut().map(|part| {
                // SAFETY: numbers and pointers, for which all zeros are values.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            });
            // SAFETY: two messages are there.
            said(unsafe { libc::recvmmsg(fd, all.as_mut_ptr(), 2, 0, ptr::null_mut()) })
        });
        shown_waiting(&handle, "recv");
        drop(theirs);
        // Nobody is there any more, which the kernel says to the sender.
        ours.send(b"x").unwrap();
        assert_eq!(receives.join().unwrap(), Ok(1));
        assert_eq!(ours.recv(&mut [0; 8]).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn a_descriptor_of_a_process_may_be_non_blocking() {
    let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    // `PIDFD_NONBLOCK` is `O_NONBLOCK`.
    // SAFETY: it has no preconditions.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), libc::O_NONBLOCK) };
    let process = owned(fd as RawFd);
    let id = process.as_raw_fd().unsigned_abs();
    let wait = move || {
        // SAFETY: plain numbers, for which all zeros are values.
        let mut about: libc::siginfo_t = unsafe { zeroed() };
        // SAFETY: there is room.
        said(unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut about, libc::WEXITED | libc::WNOWAIT) })
    };
    assert_eq!(same(wait), Err(libc::EAGAIN));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_futex_that_waits_for_so_long_knows_no_real_time() {
    let word = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let wait = move || {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000 };
        let what = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
        // SAFETY: a word and a time that are there.
        said(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), what, 0, &raw const time, ptr::null::<u32>(), 0) })
    };
    assert_eq!(same(wait), Err(libc::ENOSYS));
}

/// The kernel reads and writes as many words of a set as the count says. What lies behind them may change meanwhile.
#[test]
fn a_select_leaves_what_lies_behind_its_sets() {
    const BITS: usize = 64;
    let rt = isolated(2);
    let handle = rt.handle();
    rt.run(move || {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let fd = ours.as_raw_fd() as usize;
        let words = fd / BITS + 1;
        let set: Arc<Vec<AtomicU64>> = Arc::new((0..=words).map(|_| AtomicU64::new(0)).collect());
        set[fd / BITS].store(1 << (fd % BITS), Ordering::Relaxed);
        let selects = go({
            let set = set.clone();
            move || {
                let place = set[0].as_ptr().cast();
                // SAFETY: a set that has as many words as the count says.
                said(unsafe { libc::select(fd as i32 + 1, place, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) })
            }
        });
        shown_waiting(&handle, "select of descriptors");
        set[words].store(5, Ordering::Relaxed);
        theirs.write_all(b"x").unwrap();
        assert_eq!(selects.join().unwrap(), Ok(1));
        assert_eq!(set[words].load(Ordering::Relaxed), 5);
        assert_eq!(set[fd / BITS].load(Ordering::Relaxed), 1 << (fd % BITS));
    });
}

/// A look that has no time says that a signal has come, if it finds nothing. On a G it does not.
#[test]
fn a_look_without_time_is_not_ended_by_a_signal() {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handle(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: plain numbers, for which all zeros are values.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler calls nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
    isolated(1).run(|| {
        let _locked = pirn_runtime::lock_os_thread();
        // SAFETY: it has no preconditions.
        let (here, over) = (unsafe { libc::gettid() }, Arc::new(AtomicBool::new(false)));
        let signals = std::thread::spawn({
            let over = over.clone();
            move || {
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: that thread is there until this one has ended.
                    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), here, libc::SIGUSR1) };
                }
            }
        });
        let (pipe, _writer) = io::pipe().unwrap();
        // SAFETY: a number goes in, and one comes out.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
        let fd = pipe.as_raw_fd();
        while HANDLED.load(Ordering::Relaxed) < 5_000 {
            let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one record.
            assert_eq!(said(unsafe { libc::poll(&raw mut asked, 1, 0) }), Ok(0));
            let time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: one record, and a time.
            assert_eq!(said(unsafe { libc::ppoll(&raw mut asked, 1, &raw const time, ptr::null()) }), Ok(0));
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: room for one.
            assert_eq!(said(unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, 0) }), Ok(0));
            let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let none = ptr::null_mut();
            // SAFETY: no set, and a time.
            assert_eq!(said(unsafe { libc::select(0, none, none, none, &raw mut time) }), Ok(0));
        }
        over.store(true, Ordering::Relaxed);
        signals.join().unwrap();
    });
}

/// A call that need not wait is none that a shutdown ends.
#[test]
fn what_has_no_time_to_wait_is_not_cancelled() {
    let rt = isolated(1);
    let (pipe, _writer) = io::pipe().unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let other = answers.clone();
    rt.run(|| {
        go(move || {
            // It ends as the runtime closes.
            assert_eq!(read(pipe.as_raw_fd(), 1), Err(libc::ECANCELED));
            let mut asked = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: one record, and a time.
            let polled = said(unsafe { libc::ppoll(&raw mut asked, 1, &raw const time, ptr::null()) });
            let (none, mut time) = (ptr::null_mut(), libc::timeval { tv_sec: 0, tv_usec: 0 });
            // SAFETY: a time.
            let selected = said(unsafe { libc::select(0, none, none, none, &raw mut time) });
            other.lock().unwrap().extend([polled, selected]);
        });
    });
    eventually("it reads", || rt.handle().goroutines().iter().any(|g| g.wait_reason == Some("read")));
    rt.close();
    assert_eq!(*answers.lock().unwrap(), [Ok(0), Ok(0)]);
}

/// The kernel makes one that was refused unconnected only in a call that blocks.
#[test]
fn a_connect_to_a_virtual_machine_is_libcs() {
    // SAFETY: it has no preconditions.
    let fd = unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        eprintln!(
            "a_connect_to_a_virtual_machine_is_libcs: left out, there is no AF_VSOCK: {}",
            io::Error::last_os_error()
        );
        return;
    }
    let socket = owned(fd);
    // Nobody answers there, or it is not reached at all; the kernel waits for so long.
    let time = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    const SO_VM_SOCKETS_CONNECT_TIMEOUT: i32 = 6;
    let (place, bytes) = ((&raw const time).cast(), size_of_val(&time) as u32);
    // SAFETY: a time that is there.
    unsafe { libc::setsockopt(fd, libc::AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, place, bytes) };
    let connect = move || {
        // SAFETY: plain numbers, for which all zeros are values.
        let mut to: libc::sockaddr_vm = unsafe { zeroed() };
        (to.svm_family, to.svm_cid, to.svm_port) = (libc::AF_VSOCK as u16, libc::VMADDR_CID_LOCAL, 59_999);
        // SAFETY: an address that is there.
        said(unsafe { libc::connect(fd, (&raw const to).cast(), size_of_val(&to) as u32) })
    };
    let rt = isolated(1);
    let on_thread = connect();
    assert!(on_thread.is_err());
    assert_eq!(rt.run(|| go(connect).join().unwrap()), on_thread);
    assert_eq!(waits_in(&rt, "connect"), 0);
    drop(socket);
}

/// A lock may be an allocator's, and its wait in the midst of another one: what was meant for that one comes after it.
#[test]
fn a_wait_for_a_lock_passes_on_the_wake_of_another() {
    let rt = isolated(2);
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let unparker = Arc::new(Mutex::new(None));
    let is_set = Arc::new(AtomicBool::new(false));
    let g: JoinHandle<()> = rt.go({
        let (lock, unparker, is_set) = (lock.clone(), unparker.clone(), is_set.clone());
        move || {
            *unparker.lock().unwrap() = Some(Unparker::current());
            // In the place of `while !is_set { park() }` with an allocation between the question and the park.
            let was_set = is_set.load(Ordering::Acquire);
            drop(lock.lock().unwrap());
            if !was_set {
                pirn_runtime::park();
            }
        }
    });
    shown_waiting(&rt.handle(), "futex");
    let waits = waits_in(&rt, "futex");
    is_set.store(true, Ordering::Release);
    unparker.lock().unwrap().take().expect("it waits for the lock").unpark();
    eventually("it has been woken, and waits again", || waits_in(&rt, "futex") > waits);
    drop(held);
    eventually("it has ended", || g.is_finished());
    g.join().unwrap();
}

/// It is cut off where libc cuts it off.
#[test]
fn a_pipe_that_its_reader_leaves_says_how_much_it_took() {
    isolated(2).run(|| {
        let (mut reader, writer) = io::pipe().unwrap();
        let fd = writer.as_raw_fd();
        let writes = go(move || write(fd, 1 << 20));
        let mut buf = vec![0; 100_000];
        reader.read_exact(&mut buf).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        drop(reader);
        let sent = writes.join().unwrap().expect("a part was taken");
        assert!((100_000..1 << 20).contains(&sent), "{sent}");
        drop(writer);
    });
}

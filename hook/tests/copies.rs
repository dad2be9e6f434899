//! What the kernel copies between descriptors, and reads and writes at an offset, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated};
use pirn_hook as _;
use pirn_runtime::{Runtime, go};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

const REASON: &str = "copy between descriptors";

fn file_of(bytes: &[u8]) -> File {
    // SAFETY: a name that ends with a zero.
    let fd = unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: it is new, and no other code has it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes).expect("memory");
    file.rewind().expect("a file");
    file
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|nth| (nth % 251) as u8).collect()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (client, listener.accept().expect("it is connected").0)
}

/// The kernel holds few of its bytes until somebody reads, where it would take some million otherwise.
fn with_small_buffers((ours, theirs): (TcpStream, TcpStream)) -> (TcpStream, TcpStream) {
    for (fd, name) in [(ours.as_raw_fd(), libc::SO_SNDBUF), (theirs.as_raw_fd(), libc::SO_RCVBUF)] {
        let bytes = 100_000;
        let place = ptr::from_ref(&bytes).cast();
        // SAFETY: it is a number.
        assert_eq!(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, name, place, size_of::<i32>() as u32) }, 0);
    }
    (ours, theirs)
}

fn waits_for(rt: &Runtime, call: &str) -> u64 {
    rt.metrics().hooked_waits.into_iter().find(|(name, _)| *name == call).expect("it is hooked").1
}

fn splice(from: RawFd, to: RawFd, count: usize, flags: u32) -> io::Result<usize> {
    // SAFETY: two descriptors, without offsets.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), count, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

fn nonblocking(fd: RawFd) {
    // SAFETY: it changes flags of a descriptor of ours.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
}

/// More than the buffers hold, so each waits until somebody reads. One P: what blocks it would keep the reader from it.
#[test]
fn a_file_is_sent_to_sockets() {
    let rt = isolated(1);
    let handle = rt.handle();
    rt.run(|| {
        let text = bytes(2_000_000);
        let count = text.len();
        let send = |to: OwnedFd| {
            let file = file_of(&text);
            // SAFETY: two descriptors, without an offset.
            go(move || unsafe { libc::sendfile(to.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), 2 * count) })
        };
        let (tcp, unix) = (with_small_buffers(tcp_pair()), UnixStream::pair().unwrap());
        let sends = [send(tcp.0.into()), send(unix.0.into())];
        let all_wait = || handle.goroutines().iter().filter(|g| g.wait_reason == Some(REASON)).count() == 2;
        eventually("both wait", all_wait);
        let readers: [Box<dyn Read + Send>; 2] = [Box::new(tcp.1), Box::new(unix.1)];
        let reads = readers.map(|mut reader| {
            go(move || {
                let mut came = Vec::new();
                reader.read_to_end(&mut came).unwrap();
                came
            })
        });
        // To the end of the file.
        assert!(sends.into_iter().all(|g| g.join().unwrap() == count as isize));
        assert!(reads.into_iter().all(|g| g.join().unwrap() == text));
    });
}

#[test]
fn an_offset_is_kept_and_moved() {
    isolated(1).run(|| {
        let (file, (mut ours, theirs)) = (file_of(b"0123456789"), tcp_pair());
        let mut offset = 3;
        // SAFETY: two descriptors, and an offset.
        let sent = unsafe { libc::sendfile(theirs.as_raw_fd(), file.as_raw_fd(), &raw mut offset, 100) };
        assert_eq!((sent, offset), (7, 10));
        let mut got = [0; 7];
        ours.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"3456789");
        assert_eq!((&file).stream_position().unwrap(), 0);
        // SAFETY: as above. A socket is no file.
        assert_eq!(unsafe { libc::sendfile64(file.as_raw_fd(), theirs.as_raw_fd(), ptr::null_mut(), 1) }, -1);
    });
}

#[test]
fn one_that_is_nonblocking_takes_what_it_has_room_for() {
    isolated(1).run(|| {
        let (file, (ours, theirs)) = (file_of(&bytes(8_000_000)), UnixStream::pair().unwrap());
        nonblocking(ours.as_raw_fd());
        let mut sent = 0;
        let error = loop {
            // SAFETY: two descriptors, without an offset.
            let more = unsafe { libc::sendfile64(ours.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), 8_000_000) };
            match usize::try_from(more) {
                Ok(more) => sent += more,
                Err(_) => break io::Error::last_os_error(),
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(sent > 0 && sent < 8_000_000);
        drop(theirs);
    });
}

#[test]
fn a_socket_is_spliced_through_a_pipe() {
    let rt = isolated(1);
    let text = bytes(2_000_000);
    rt.run(|| {
        let (mut first, mut second) = tcp_pair();
        let (mut reader, mut writer) = io::pipe().unwrap();
        let (mut third, mut last) = UnixStream::pair().unwrap();
        // `io::copy` calls `splice` from a socket, and from a pipe.
        let into_pipe = go(move || io::copy(&mut second, &mut writer).unwrap());
        let out_of_it = go(move || io::copy(&mut reader, &mut third).unwrap());
        let sent = text.clone();
        let write = go(move || first.write_all(&sent).unwrap());
        let mut came = Vec::new();
        last.read_to_end(&mut came).unwrap();
        assert!(came == text);
        write.join().unwrap();
        assert_eq!([into_pipe, out_of_it].map(|g| g.join().unwrap()), [text.len() as u64; 2]);
    });
    assert!(waits_for(&rt, REASON) > 0);
}

#[test]
fn a_splice_that_must_not_wait_does_not() {
    isolated(1).run(|| {
        let (reader, writer) = io::pipe().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (from, to) = (reader.as_raw_fd(), ours.as_raw_fd());
        let kind = |flags| splice(from, to, 10, flags).map_err(|error| error.kind());
        assert_eq!(kind(libc::SPLICE_F_NONBLOCK), Err(ErrorKind::WouldBlock));
        nonblocking(from);
        assert_eq!(kind(0), Err(ErrorKind::WouldBlock));
        drop(writer);
        assert_eq!(kind(0), Ok(0));
    });
}

#[test]
fn a_read_at_an_offset_is_of_what_does_not_block() {
    let (socket, (pipe, _writer)) = (UnixStream::pair().unwrap(), io::pipe().unwrap());
    // SAFETY: it has no preconditions.
    let event = unsafe { libc::eventfd(0, 0) };
    // SAFETY: as above.
    let terminal = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY) };
    // SAFETY: each is new, and no other code has it.
    let [event, terminal] = [event, terminal].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    for fd in [socket.0.as_raw_fd(), pipe.as_raw_fd(), event.as_raw_fd(), terminal.as_raw_fd()] {
        let mut buf = [0_u8; 8];
        // SAFETY: there is room.
        assert_eq!(unsafe { libc::pread(fd, buf.as_mut_ptr().cast(), 8, 0) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ESPIPE));
        // SAFETY: as above.
        assert_eq!(unsafe { libc::pwrite(fd, buf.as_ptr().cast(), 8, 0) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ESPIPE));
    }
}

#[test]
fn without_an_offset_it_is_a_read_or_a_write() {
    let rt = isolated(1);
    rt.run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let write = go(move || {
            let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
            // SAFETY: an `IoSlice` is an iovec.
            let sent = unsafe { libc::pwritev2(theirs.as_raw_fd(), parts.as_ptr().cast(), 2, -1, 0) };
            assert_eq!(sent, 3);
            theirs
        });
        let (mut first, mut second) = ([0; 1], [0; 9]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        // SAFETY: as above.
        let got = unsafe { libc::preadv2(ours.as_raw_fd(), parts.as_mut_ptr().cast(), 2, -1, 0) };
        assert_eq!((got, first[0], &second[..2]), (3, b'a', b"bc".as_slice()));
        drop(write.join().unwrap());
        let mut file = file_of(b"xyz");
        let mut part = [IoSliceMut::new(&mut first)];
        // SAFETY: as above.
        let got = unsafe { libc::preadv2(file.as_raw_fd(), part.as_mut_ptr().cast(), 1, 2, 0) };
        assert_eq!((got, first[0], file.stream_position().unwrap()), (1, b'z', 0));
    });
    assert!(waits_for(&rt, "read") > 0);
}

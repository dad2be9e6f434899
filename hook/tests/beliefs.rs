//! What is believed of a descriptor, on Gs: a busy one is not asked for at each wait, and whoever changes it is heard, or
//! at worst makes a call late. One test at a time, as what one sets is asked anew for all.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, isolated, seed, stress_secs};
use pirn_hook as _;
use pirn_runtime::internal::{Direction, Hooked};
use pirn_runtime::{JoinHandle, go, yield_now};
use std::ffi::c_long;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than a call waits by what is believed.
const LONG: Duration = Duration::from_millis(500);

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (client, listener.accept().expect("it is connected").0)
}

fn join_all<T>(gs: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    gs.into_iter().map(|g| g.join().expect("it has not panicked")).collect()
}

/// Whether the calling G may wait to read without asking the kernel.
fn is_believed(fd: RawFd) -> bool {
    Hooked::current().expect("a G calls").glance(fd, Direction::Read).is_believed()
}

/// A connection of which it is believed that the first end may be waited for. On a G.
fn busy_pair() -> (TcpStream, TcpStream) {
    let (ours, mut theirs) = tcp_pair();
    // On a busy machine even the last wait may be long.
    while !is_believed(ours.as_raw_fd()) {
        theirs = talk(&ours, theirs);
    }
    (ours, theirs)
}

/// A byte goes to and fro some times.
fn talk(ours: &TcpStream, mut theirs: TcpStream) -> TcpStream {
    let echo = go(move || {
        let mut byte = [1];
        while byte != [0] {
            theirs.read_exact(&mut byte).expect("it is connected");
            theirs.write_all(&byte).expect("it is connected");
        }
        theirs
    });
    let mut ours = ours;
    for byte in (0..5).rev() {
        ours.write_all(&[byte]).expect("it is connected");
        assert_eq!(read_one(ours).expect("it is connected"), byte);
    }
    echo.join().expect("it has not panicked")
}

/// Something comes when the other end is surely waited for, or has been for long.
fn write_later(mut to: TcpStream, byte: u8) -> JoinHandle<TcpStream> {
    go(move || {
        sleep(LONG);
        to.write_all(&[byte]).expect("it is connected");
        to
    })
}

fn read_one(from: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    let mut from = from;
    from.read_exact(&mut byte).map(|()| byte[0])
}

/// A system call of the user's own, of which nobody hears.
fn raw(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_long {
    // SAFETY: the callers' arguments are valid.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

fn raw_set_nonblocking(fd: RawFd) {
    assert_eq!(raw(libc::SYS_fcntl, [fd.into(), libc::F_SETFL.into(), libc::O_NONBLOCK.into(), 0, 0]), 0);
}

#[test]
fn a_busy_connection_is_read_to_its_end() {
    let _alone = alone();
    isolated(2).run(|| {
        let (ours, theirs) = busy_pair();
        // More than was asked for, and exactly so much.
        let mut writer = &theirs;
        writer.write_all(b"abcdef").unwrap();
        let mut got = [0; 3];
        for expected in [b"abc", b"def"] {
            (&ours).read_exact(&mut got).unwrap();
            assert_eq!(&got, expected);
        }
        let theirs = write_later(theirs, 5);
        assert_eq!(read_one(&ours).unwrap(), 5);
        // The last byte and the end come together, and then nothing.
        let theirs = theirs.join().unwrap();
        (&theirs).write_all(&[6]).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        sleep(Duration::from_millis(5));
        let mut more = [0; 9];
        assert_eq!((&ours).read(&mut more).unwrap(), 1);
        assert_eq!((&ours).read(&mut more).unwrap(), 0);
        drop(theirs);
        // An error, as the peer has gone with something unread.
        let (ours, theirs) = busy_pair();
        (&ours).write_all(&[1]).unwrap();
        let closes = go(move || {
            sleep(Duration::from_millis(5));
            drop(theirs);
        });
        assert_eq!((&ours).read(&mut more).unwrap_err().kind(), ErrorKind::ConnectionReset);
        closes.join().unwrap();
    });
}

#[test]
fn a_number_that_others_give_up_is_not_believed() {
    let _alone = alone();
    isolated(2).run(|| {
        type GiveUp = fn(RawFd, RawFd);
        /// Another descriptor gets the number of the first, in each way that libc has.
        const WAYS: [GiveUp; 4] = [
            // SAFETY: the number is the test's.
            |old, new| assert_eq!(unsafe { libc::dup2(new, old) }, old),
            // SAFETY: as above.
            |old, new| assert_eq!(unsafe { libc::dup3(new, old, libc::O_CLOEXEC) }, old),
            |old, new| {
                // SAFETY: as above.
                assert_eq!(unsafe { libc::close(old) }, 0);
                assert_eq!(raw(libc::SYS_dup3, [new.into(), old.into(), 0, 0, 0]), c_long::from(old));
            },
            |old, new| {
                // SAFETY: as above.
                assert_eq!(unsafe { libc::close_range(old as u32, old as u32, 0) }, 0);
                assert_eq!(raw(libc::SYS_dup3, [new.into(), old.into(), 0, 0, 0]), c_long::from(old));
            },
        ];
        for give_up in WAYS {
            let (ours, _theirs) = busy_pair();
            let (new, theirs) = tcp_pair();
            give_up(ours.as_raw_fd(), new.as_raw_fd());
            assert!(!is_believed(ours.as_raw_fd()));
            let theirs = write_later(theirs, 7);
            assert_eq!(read_one(&ours).unwrap(), 7);
            theirs.join().unwrap();
        }
    });
}

/// Nobody hears of it. Without a limit these reads would wait for ever.
#[test]
fn a_number_that_is_given_up_by_a_system_call_is_found_out() {
    let _alone = alone();
    isolated(2).run(|| {
        for is_there_before in [false, true] {
            let (ours, _theirs) = busy_pair();
            let (new, theirs) = tcp_pair();
            let fd = ours.as_raw_fd();
            // The number is closed, and another's at once.
            assert_eq!(raw(libc::SYS_dup3, [new.as_raw_fd().into(), fd.into(), 0, 0, 0]), c_long::from(fd));
            assert!(is_believed(fd));
            let theirs = if is_there_before {
                (&theirs).write_all(&[8]).unwrap();
                go(move || theirs)
            } else {
                write_later(theirs, 8)
            };
            assert_eq!(read_one(&ours).unwrap(), 8);
            // From then on it is as any other.
            let theirs = write_later(theirs.join().unwrap(), 9);
            assert_eq!(read_one(&ours).unwrap(), 9);
            theirs.join().unwrap();
        }
        // It is another kind of thing, or none.
        let (ours, _theirs) = busy_pair();
        let fd = ours.as_raw_fd();
        let (pipe, mut writer) = io::pipe().unwrap();
        assert_eq!(raw(libc::SYS_dup3, [pipe.as_raw_fd().into(), fd.into(), 0, 0, 0]), c_long::from(fd));
        let write = go(move || {
            sleep(LONG);
            writer.write_all(&[3]).unwrap();
        });
        let mut byte = [0_u8];
        // SAFETY: there is room for a byte.
        assert_eq!(unsafe { libc::read(fd, byte.as_mut_ptr().cast(), 1) }, 1);
        assert_eq!(byte, [3]);
        write.join().unwrap();
        let (ours, _theirs) = busy_pair();
        let fd = OwnedFd::from(ours);
        assert_eq!(raw(libc::SYS_close, [fd.as_raw_fd().into(), 0, 0, 0, 0]), 0);
        // SAFETY: there is room for a byte.
        assert_eq!(unsafe { libc::read(fd.as_raw_fd(), byte.as_mut_ptr().cast(), 1) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
        std::mem::forget(fd);
    });
}

#[test]
fn what_is_set_by_another_number_is_asked_for() {
    let _alone = alone();
    isolated(2).run(|| {
        const SETS: [fn(&TcpStream); 4] = [
            |clone| clone.set_nonblocking(true).unwrap(),
            // SAFETY: it changes a flag.
            |clone| assert_eq!(unsafe { libc::fcntl(clone.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0),
            |clone| clone.set_read_timeout(Some(Duration::from_millis(5))).unwrap(),
            |clone| {
                let time: [i64; 2] = [0, 5_000];
                // SAFETY: a value that is there: SO_RCVTIMEO_NEW.
                let status =
                    unsafe { libc::setsockopt(clone.as_raw_fd(), libc::SOL_SOCKET, 66, (&raw const time).cast(), 16) };
                assert_eq!(status, 0);
            },
        ];
        for set in SETS {
            let (ours, theirs) = busy_pair();
            let clone = ours.try_clone().unwrap();
            set(&clone);
            assert!(!is_believed(ours.as_raw_fd()));
            assert_eq!(read_one(&ours).unwrap_err().kind(), ErrorKind::WouldBlock);
            drop(theirs);
        }
        // What takes a limit away is not asked for.
        let (ours, _theirs) = busy_pair();
        ours.set_nonblocking(false).unwrap();
        ours.set_read_timeout(None).unwrap();
        // SAFETY: it changes a flag.
        assert_eq!(unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, 0) }, 0);
        assert!(is_believed(ours.as_raw_fd()));
    });
}

/// By a system call, and in another process. Without a limit these reads would wait for ever.
/// No more than the kernel reads of it is read.
#[test]
fn what_is_set_is_read_as_the_kernel_reads_it() {
    let _alone = alone();
    isolated(1).run(|| {
        let (ours, _theirs) = tcp_pair();
        let fd = ours.as_raw_fd();
        // A time of 16 bytes at the end of a page, and a page that nobody may read behind it.
        const PAGE: usize = 4096;
        let (private, any) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, std::ptr::null_mut());
        // SAFETY: a new mapping, which stays.
        let pages = unsafe { libc::mmap(any, 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE, private, -1, 0) };
        assert_ne!(pages, libc::MAP_FAILED);
        let at = |offset| pages.cast::<u8>().wrapping_add(offset).cast::<libc::c_void>();
        // SAFETY: the second page of it.
        assert_eq!(unsafe { libc::mprotect(at(PAGE), PAGE, libc::PROT_NONE) }, 0);
        // SAFETY: the kernel reads 16 bytes of it, as long as it may be.
        let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, at(PAGE - 16), 128) };
        assert_eq!(set, 0);
        // A number at an odd address.
        // SAFETY: four bytes that are there.
        assert_eq!(unsafe { libc::ioctl(fd, libc::FIONBIO, at(PAGE - 15)) }, 0);
    });
}

#[test]
fn what_is_set_by_a_system_call_is_found_out() {
    let _alone = alone();
    isolated(2).run(|| {
        const SETS: [fn(RawFd); 3] = [
            raw_set_nonblocking,
            |fd| {
                let time: [c_long; 2] = [0, 5_000];
                let (level, name) = (libc::SOL_SOCKET.into(), libc::SO_RCVTIMEO.into());
                let time = (&raw const time).expose_provenance() as c_long;
                assert_eq!(raw(libc::SYS_setsockopt, [fd.into(), level, name, time, 16]), 0);
            },
            |fd| {
                // SAFETY: the child makes system calls alone.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    raw_set_nonblocking(fd);
                    // That is the child's number.
                    raw(libc::SYS_close, [fd.into(), 0, 0, 0, 0]);
                    // SAFETY: it ends the child.
                    unsafe { libc::_exit(0) };
                }
                let mut status = 1;
                // SAFETY: there is room.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            },
        ];
        for set in SETS {
            let (ours, theirs) = busy_pair();
            set(ours.as_raw_fd());
            assert!(is_believed(ours.as_raw_fd()));
            for _ in 0..2 {
                assert_eq!(read_one(&ours).unwrap_err().kind(), ErrorKind::WouldBlock);
            }
            drop(theirs);
        }
    });
}

/// A child of fork has the epoll too, and its numbers.
#[test]
fn a_child_of_fork_takes_nothing_away() {
    let _alone = alone();
    isolated(2).run(|| {
        let (ours, theirs) = busy_pair();
        // SAFETY: the child closes its numbers, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above.
            unsafe { libc::close(ours.as_raw_fd()) };
            // SAFETY: as above.
            unsafe { libc::close_range(3, u32::MAX, 0) };
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        let mut status = 1;
        // SAFETY: there is room.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        let mut theirs = write_later(theirs, 1);
        for byte in 1..4 {
            assert_eq!(read_one(&ours).unwrap(), byte);
            theirs = write_later(theirs.join().unwrap(), byte + 1);
        }
        theirs.join().unwrap();
    });
}

/// The epoll keeps what a `dup` holds, and speaks of it under the old number.
#[test]
fn a_number_comes_back_while_a_dup_of_the_old_one_is_busy() {
    let _alone = alone();
    isolated(2).run(|| {
        let (old, mut old_theirs) = busy_pair();
        let fd = old.as_raw_fd();
        let mut clone = old.try_clone().unwrap();
        let (new, mut new_theirs) = tcp_pair();
        // SAFETY: the number is the test's. It is given up, and is another's at once.
        assert_eq!(unsafe { libc::dup2(new.as_raw_fd(), fd) }, fd);
        let mut new = old;
        let half = |mut reader: TcpStream, seed: u8| {
            go(move || {
                for nth in 0..200_u8 {
                    assert_eq!(read_one(&reader).unwrap(), nth.wrapping_add(seed));
                    reader.write_all(&[nth]).unwrap();
                }
            })
        };
        let readers = [half(clone.try_clone().unwrap(), 3), half(new.try_clone().unwrap(), 9)];
        let writer = |to: &mut TcpStream, nth: u8, seed: u8| {
            to.write_all(&[nth.wrapping_add(seed)]).unwrap();
            assert_eq!(read_one(to).unwrap(), nth);
        };
        for nth in 0..200 {
            writer(&mut old_theirs, nth, 3);
            writer(&mut new_theirs, nth, 9);
        }
        join_all(readers);
        for (ours, theirs) in [(&mut clone, old_theirs), (&mut new, new_theirs)] {
            let theirs = write_later(theirs, 4);
            assert_eq!(read_one(ours).unwrap(), 4);
            theirs.join().unwrap();
        }
    });
}

#[test]
fn the_number_of_a_busy_connection_moves_to_pirn_and_to_another_runtime() {
    let _alone = alone();
    let (a, b) = (isolated(1), isolated(1));
    let (ours, theirs) = a.run(|| {
        let (ours, theirs) = busy_pair();
        let mut pirn = pirn_net::TcpStream::from(ours.try_clone().unwrap());
        // That number is another one, and the next is taken over.
        drop(pirn.write(&[1]));
        assert_eq!(read_one(&theirs).unwrap(), 1);
        drop(pirn);
        ours.set_nonblocking(false).unwrap();
        let mut pirn = pirn_net::TcpStream::from(ours);
        let theirs = write_later(theirs, 2);
        pirn.read_exact(&mut [0]).unwrap();
        let ours = TcpStream::from(OwnedFd::from(pirn));
        assert!(!is_believed(ours.as_raw_fd()));
        ours.set_nonblocking(false).unwrap();
        let theirs = write_later(theirs.join().unwrap(), 3);
        assert_eq!(read_one(&ours).unwrap(), 3);
        (ours, theirs.join().unwrap())
    });
    b.run(|| {
        assert!(!is_believed(ours.as_raw_fd()));
        let theirs = write_later(theirs, 4);
        assert_eq!(read_one(&ours).unwrap(), 4);
        theirs.join().unwrap();
    });
    // The runtime where it is ends.
    let (ours, theirs) = b.run(busy_pair);
    b.close();
    a.run(move || {
        assert!(!is_believed(ours.as_raw_fd()));
        let theirs = write_later(theirs, 5);
        assert_eq!(read_one(&ours).unwrap(), 5);
        theirs.join().unwrap();
    });
}

#[test]
fn several_read_from_one_busy_connection() {
    let _alone = alone();
    isolated(2).run(|| {
        let (ours, mut theirs) = busy_pair();
        let ours = Arc::new(ours);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let ours = ours.clone();
                go(move || {
                    let mut sum = 0;
                    while let byte @ 1.. = read_one(&ours).unwrap() {
                        sum += u64::from(byte);
                    }
                    sum
                })
            })
            .collect();
        let mut sum = 0;
        for nth in 0..2_000_u64 {
            let byte = (nth % 255) as u8 + 1;
            sum += u64::from(byte);
            theirs.write_all(&[byte]).unwrap();
            if nth % 3 == 0 {
                yield_now();
            }
        }
        theirs.write_all(&[0; 4]).unwrap();
        assert_eq!(join_all(readers).into_iter().sum::<u64>(), sum);
    });
}

/// Bytes in parts of all sizes, with pauses of all lengths, while others set, close and duplicate. Nothing is lost.
#[test]
fn stress() {
    let _alone = alone();
    let over = Instant::now() + Duration::from_secs(stress_secs());
    let mut rng = Rng::new(seed("stress"));
    let mut rounds = 0;
    let rt = isolated(2);
    while rounds < 3 || Instant::now() < over {
        rounds += 1;
        let rngs: Vec<_> = (0..16).map(|_| rng.fork()).collect();
        rt.run(|| drop(join_all(rngs.into_iter().map(|rng| go(move || transfer(rng))).collect::<Vec<_>>())));
    }
}

/// One connection.
fn transfer(mut rng: Rng) {
    let (ours, mut theirs) = tcp_pair();
    let bytes = 1 + rng.below(20_000);
    let mut of_writer = rng.fork();
    let write = go(move || {
        let mut nth = 0;
        while nth < bytes {
            let part: Vec<u8> = (nth..bytes.min(nth + 1 + of_writer.below(300))).map(|nth| (nth % 251) as u8).collect();
            theirs.write_all(&part).expect("it is connected");
            nth += part.len();
            match of_writer.below(40) {
                0 => sleep(Duration::from_micros(of_writer.below(2_000) as u64)),
                1 if of_writer.below(30) == 0 => sleep(LONG / 2),
                2..20 => yield_now(),
                _ => {}
            }
        }
        theirs
    });
    // The number may be given to the next one in any way, and what reads changes its number.
    let mut ours = ours;
    let mut nth = 0;
    while nth < bytes {
        let mut buf = vec![0; 1 + rng.below(200)];
        let got = ours.read(&mut buf).expect("it is connected");
        assert!(got > 0 && buf[..got].iter().enumerate().all(|(at, byte)| *byte == ((nth + at) % 251) as u8));
        nth += got;
        match rng.below(100) {
            0 => ours = ours.try_clone().expect("a number"),
            1 => {
                let clone = ours.try_clone().expect("a number");
                let fd = ours.as_raw_fd();
                std::mem::forget(ours);
                raw(libc::SYS_close, [fd.into(), 0, 0, 0, 0]);
                ours = clone;
            }
            2 => {
                ours.set_read_timeout(Some(Duration::from_secs(100))).expect("it is connected");
                ours.set_read_timeout(None).expect("it is connected");
            }
            _ => {}
        }
    }
    let theirs = write.join().expect("it has not panicked");
    drop(theirs);
    assert_eq!(ours.read(&mut [0]).expect("it is connected"), 0);
}

/// A Unix socket that is full does not say when it is shut. So who waits for room looks each 50 ms, and not by belief, which
/// lasts longer.
#[test]
fn room_in_a_unix_socket_is_asked_for() {
    let _alone = alone();
    isolated(1).run(|| {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let reader = go(move || io::copy(&mut theirs, &mut io::sink()).unwrap());
        let sent = vec![0; 4 << 20];
        for _ in 0..8 {
            ours.write_all(&sent).unwrap();
            let g = Hooked::current().expect("a G calls");
            assert!(!g.glance(ours.as_raw_fd(), Direction::Write).is_believed());
        }
        drop(ours);
        assert_eq!(reader.join().unwrap(), 8 * sent.len() as u64);
    });
}

/// What a `TcpListener` of std has is waited for as well.
#[test]
fn a_busy_listener_is_believed() {
    let _alone = alone();
    isolated(2).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = go(move || {
            for nth in 0..50 {
                if nth % 25 == 0 {
                    sleep(LONG);
                }
                drop(TcpStream::connect(address).unwrap());
            }
        });
        (0..50).for_each(|_| drop(listener.accept().unwrap()));
        connect.join().unwrap();
        // Another listener, by the same number.
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        // SAFETY: the number is the test's.
        assert!(unsafe { libc::dup2(other.as_raw_fd(), listener.as_raw_fd()) } >= 0);
        let connect = go(move || {
            sleep(LONG);
            drop(TcpStream::connect(address).unwrap());
        });
        drop(listener.accept().unwrap());
        connect.join().unwrap();
    });
}

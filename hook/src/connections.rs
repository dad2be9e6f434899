//! `accept`, `accept4`, `connect`: nothing says of one call that it must not block.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, deadline_of, is_nonblocking, is_ready, until_done, wait};
use crate::calls::{ACCEPT, CONNECT, CONNECT_AGAIN};
use crate::errno::{checked, errno, set_errno};
use crate::next;
use crate::vectors::is_datagram;
use libc::{c_int, sockaddr, socklen_t};
use pirn_runtime::internal::{Direction, Hooked, give_way, has_come, now};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_millis(1);

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn accept(fd: c_int, peer: *mut sockaddr, peer_len: *mut socklen_t) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::accept(fd, peer, peer_len) };
    match Hooked::current() {
        Some(g) => answer(accept_on(g, fd, plainly), plainly),
        None => plainly(),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn accept4(fd: c_int, peer: *mut sockaddr, peer_len: *mut socklen_t, flags: c_int) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::accept4(fd, peer, peer_len, flags) };
    match Hooked::current() {
        Some(g) => answer(accept_on(g, fd, plainly), plainly),
        None => plainly(),
    }
}

/// The listener is asked first whether there is a connection. Another G must not take it in between, as the thread of this
/// one would wait then.
fn accept_on(g: Hooked, fd: c_int, plainly: impl Fn() -> c_int) -> Result<c_int, Not> {
    until_done(g, &Waits::new(fd, Direction::Read, &ACCEPT), || {
        let mut rounds = 0;
        let _turn = loop {
            let turn = Turn::take(fd);
            if turn.is_some() {
                break turn;
            }
            if !is_ready(fd, Direction::Read) {
                return Err(libc::EAGAIN);
            }
            rounds += 1;
            if rounds == ROUNDS {
                // A thread or another process has been faster than the one that has the turn, which waits.
                break None;
            }
            give_way();
        };
        if is_ready(fd, Direction::Read) { checked(plainly()) } else { Err(libc::EAGAIN) }
    })
}

/// The right to ask a listener and to take what it has. It is held for two system calls that seldom wait.
struct Turn(&'static AtomicBool);

const TURNS: usize = 64;
static TURN_OF: [AtomicBool; TURNS] = [const { AtomicBool::new(false) }; TURNS];

/// How often a G looks whether it has the turn, though there is a connection.
const ROUNDS: u32 = 1_000;

impl Turn {
    fn take(fd: c_int) -> Option<Turn> {
        let is_taken = &TURN_OF[fd.unsigned_abs() as usize % TURNS];
        // Acquire: the calls of the one before come first (partner: `drop`).
        if is_taken.swap(true, Ordering::Acquire) { None } else { Some(Turn(is_taken)) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn connect(fd: c_int, to: *const sockaddr, to_len: socklen_t) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::connect(fd, to, to_len) };
    match Hooked::current() {
        // Datagrams are sent to an address at once, and others may read from that socket meanwhile.
        Some(g) if g.may_park() && !is_nonblocking(fd) && !is_datagram(fd) => {
            // SAFETY: it is valid, or null.
            let family = unsafe { to.as_ref() }.map_or(libc::AF_UNSPEC, |to| to.sa_family.into());
            match family {
                // One of a virtual machine that was refused while nobody waited counts as connecting for ever: the kernel
                // makes it unconnected only in a call that blocks (`vsock_connect`).
                libc::AF_VSOCK => plainly(),
                _ => answer(connect_on(g, fd, family, plainly), plainly),
            }
        }
        _ => plainly(),
    }
}

/// The descriptor is non-blocking for the time of one call. Until it is connected nobody else has something to do with it.
fn connect_on(g: Hooked, fd: c_int, family: c_int, attempt: impl Fn() -> c_int) -> Result<c_int, Not> {
    g.checkpoint();
    let (before, mut has_waited) = (errno(), false);
    let deadline = deadline_of(fd, Direction::Write);
    let done = loop {
        match without_blocking(fd, &attempt)? {
            Ok(done) => break done,
            Err(libc::EISCONN) if has_waited => break 0,
            Err(libc::EINPROGRESS | libc::EALREADY) => until_connected(g, fd, deadline)?,
            Err(libc::EAGAIN) => {
                connect_later(g, deadline)?;
                continue;
            }
            Err(why) => return Err(Not::Failed(why)),
        }
        has_waited = true;
        // A socket of the internet has to be told again: then it says what has come of it, and is connected for the next
        // calls too, or as before. Others would begin anew.
        if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
            match error_of(fd) {
                0 => break 0,
                why => return Err(Not::Failed(why)),
            }
        }
    };
    set_errno(before);
    Ok(done)
}

/// Parks until it is known what has come of a connect.
fn until_connected(g: Hooked, fd: c_int, deadline: Option<Instant>) -> Result<(), Not> {
    let waits = Waits::new(fd, Direction::Write, &CONNECT);
    while !is_ready(fd, Direction::Write) {
        wait(g, &waits, deadline).map_err(|not| match not {
            // So it is said that a connect goes on when its time is over.
            Not::Failed(libc::EAGAIN) => Not::Failed(libc::EINPROGRESS),
            not => not,
        })?;
    }
    Ok(())
}

/// Makes an attempt that cannot block.
fn without_blocking(fd: c_int, attempt: impl Fn() -> c_int) -> Result<Result<c_int, c_int>, Not> {
    // SAFETY: a question, whatever the number is.
    let flags = unsafe { next::fcntl(fd, libc::F_GETFL, 0) };
    if flags < 0 {
        return Err(Not::Waited);
    }
    // It is for so short, and before anybody waits for it, that nothing need be asked anew.
    // SAFETY: it changes this flag alone.
    unsafe { next::fcntl(fd, libc::F_SETFL, (flags | libc::O_NONBLOCK).into()) };
    let tried = checked(attempt());
    // SAFETY: as it was.
    unsafe { next::fcntl(fd, libc::F_SETFL, flags.into()) };
    Ok(tried)
}

fn connect_later(g: Hooked, deadline: Option<Instant>) -> Result<(), Not> {
    if g.is_cancelled() {
        return Err(Not::Failed(libc::ECANCELED));
    }
    if deadline.is_some_and(has_come) {
        return Err(Not::Failed(libc::EAGAIN));
    }
    g.park(&CONNECT_AGAIN, 0, Some(now() + AGAIN));
    Ok(())
}

/// What has come of a connect.
fn error_of(fd: c_int) -> c_int {
    let mut error: c_int = 0;
    let mut bytes = size_of::<c_int>() as socklen_t;
    let place = (&raw mut error).cast();
    // SAFETY: there is room for so many bytes.
    match checked(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, place, &raw mut bytes) }) {
        Ok(_) => error,
        Err(why) => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pirn_runtime::{Builder, go};
    use std::io::{Write, pipe};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::ptr;
    use std::sync::Arc;
    use std::thread::sleep;

    fn eventually(what: &str, is_true: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_true() {
            assert!(began.elapsed() < Duration::from_secs(30), "not true: {what}");
            sleep(Duration::from_millis(1));
        }
    }

    /// The same listener by another number, which has the same turn.
    fn with_the_same_turn(listener: &TcpListener) -> TcpListener {
        let fd = listener.as_raw_fd();
        for nth in 1.. {
            // SAFETY: a command without a pointer.
            let other = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, fd + nth * TURNS as c_int) };
            assert!(other >= 0, "no descriptor is left");
            // SAFETY: it is new, and no other code has it.
            let other = unsafe { OwnedFd::from_raw_fd(other) };
            if (other.as_raw_fd() - fd) % TURNS as c_int == 0 {
                return TcpListener::from(other);
            }
        }
        unreachable!("there is an end of descriptors");
    }

    #[test]
    fn who_asks_for_a_turn_that_another_has_leaves_it_to_that() {
        // Nobody else has such a number here.
        let fd = TURNS as c_int - 1;
        let turn = Turn::take(fd);
        assert!(turn.is_some());
        for _ in 0..2 {
            assert!(Turn::take(fd).is_none());
        }
        drop(turn);
        assert!(Turn::take(fd).is_some());
    }

    #[test]
    fn who_waits_in_the_kernel_with_the_turn_does_not_keep_others_from_theirs() {
        let runtime = Builder::new().procs(2).build().expect("a runtime");
        let watched = runtime.handle();
        runtime.run(move || {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let there = listener.local_addr().unwrap();
            let (reader, mut writer) = pipe().unwrap();
            let is_blocked = Arc::new(AtomicBool::new(false));
            let first = TcpStream::connect(there).unwrap();
            // Somebody takes the connection when it has found that there is one. So its thread waits for the next.
            let blocks = go({
                let (listener, is_blocked) = (listener.clone(), is_blocked.clone());
                move || {
                    let g = Hooked::current().expect("it is a G");
                    let accepted = accept_on(g, listener.as_raw_fd(), || {
                        // SAFETY: it asks for no address.
                        let taken = unsafe { next::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut()) };
                        is_blocked.store(true, Ordering::Relaxed);
                        // SAFETY: a buffer of one byte.
                        unsafe { next::read(reader.as_raw_fd(), [0_u8].as_mut_ptr().cast(), 1) };
                        taken
                    });
                    // SAFETY: it is new, and no other code has it.
                    accepted.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).is_ok()
                }
            });
            eventually("one is blocked", || is_blocked.load(Ordering::Relaxed));
            let other = with_the_same_turn(&listener);
            let accepts = [
                go({
                    let listener = listener.clone();
                    move || drop(listener.accept().unwrap())
                }),
                go(move || drop(other.accept().unwrap())),
            ];
            let accept = |g: &pirn_runtime::Goroutine| g.wait_reason == Some("accept");
            eventually("others park", || watched.goroutines().iter().filter(|g| accept(g)).count() == 2);
            // And they get what comes.
            let streams = [(); 2].map(|()| TcpStream::connect(there).unwrap());
            accepts.into_iter().for_each(|accept| accept.join().unwrap());
            assert!(is_blocked.load(Ordering::Relaxed));
            writer.write_all(b"x").unwrap();
            assert!(blocks.join().unwrap());
            drop((first, streams));
        });
    }
}

//! An operation on a descriptor: it is tried so that it cannot block, and while it would have, the G parks.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "questions about a descriptor")]

use crate::errno::{checked, errno, fail, set_errno};
use crate::next;
use crate::vectors::is_unix;
use libc::{c_int, c_short, ssize_t};
use pirn_runtime::internal::{Began, Call, Direction, Glance, Hooked, has_come, now};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How long a G sleeps between two looks.
const PAUSE_MIN: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// What is waited for, and in which call.
pub(crate) struct Waits {
    pub(crate) fd: c_int,
    pub(crate) direction: Direction,
    pub(crate) call: &'static Call,
    /// What observers are told of, if it is not the descriptor.
    pub(crate) what: Option<usize>,
}

impl Waits {
    /// For a descriptor.
    pub(crate) fn new(fd: c_int, direction: Direction, call: &'static Call) -> Waits {
        Waits { fd, direction, call, what: None }
    }
}

/// Why an operation has no result.
pub(crate) enum Not {
    /// It fails.
    Failed(c_int),
    /// It cannot be waited for without the thread: libc's function has to.
    Waited,
}

/// So often who waits for room in a Unix socket looks whether it has been shut.
const SHUT_LOOK: Duration = Duration::from_millis(50);

/// Ends a call: what it returns. `plainly` calls libc's function, which may block the thread.
pub(crate) fn answer<N: From<i8>>(result: Result<N, Not>, plainly: impl FnOnce() -> N) -> N {
    match result {
        Ok(result) => result,
        Err(Not::Failed(why)) => fail(why),
        Err(Not::Waited) => plainly(),
    }
}

/// Tries until the attempt says something else than that it would block (`EAGAIN`), and parks in between. What the user has
/// said about this descriptor is kept: one that is non-blocking fails instead, and so does one whose timeout is over.
pub(crate) fn until_done<N>(g: Hooked, waits: &Waits, mut attempt: impl FnMut() -> Result<N, c_int>) -> Result<N, Not> {
    until_read(g, waits, |_| attempt())
}

/// The same for what a read may have got all of. Each attempt is given the glance before it. It is left out if a read has got
/// all that there was, as it would block: also one of no bytes does.
pub(crate) fn until_read<N>(
    g: Hooked,
    waits: &Waits,
    mut attempt: impl FnMut(&Glance) -> Result<N, c_int>,
) -> Result<N, Not> {
    g.checkpoint();
    let before = errno();
    // When this call began to wait without having asked the kernel.
    let mut began = None;
    let mut asked = None;
    loop {
        let glance = g.glance(waits.fd, waits.direction);
        if !glance.is_drained() {
            match attempt(&glance) {
                Err(libc::EAGAIN) => {}
                Err(libc::EINTR) => continue,
                Err(why) => return Err(Not::Failed(why)),
                Ok(done) => {
                    set_errno(before);
                    return Ok(done);
                }
            }
        }
        if glance.is_believed() && asked.as_ref().is_none_or(Asked::has_no_deadline) && g.may_park() {
            may_begin(g, None)?;
            let since = *began.get_or_insert_with(Began::now);
            if since.is_long_ago() {
                glance.forget();
                asked = None;
            } else {
                g.wait_believing(&glance, waits.call, waits.what, since);
            }
            continue;
        }
        if asked.is_none() {
            if is_nonblocking(waits.fd) {
                return Err(Not::Failed(libc::EAGAIN));
            }
            if !g.may_park() {
                return Err(Not::Waited);
            }
        }
        let asked = asked.get_or_insert_with(|| Asked::of(waits, glance, began.take()));
        wait_asked(g, waits, asked)?;
    }
}

/// What the kernel has said of a descriptor whose operation would block.
struct Asked {
    is_socket: bool,
    deadline: Option<Instant>,
    /// An epoll does not hear that a Unix socket that is full is shut, by this end or by the other one.
    may_be_shut: bool,
    /// From before that.
    glance: Glance,
}

impl Asked {
    /// Asks. The wait began now, or then.
    fn of(waits: &Waits, glance: Glance, began: Option<Began>) -> Asked {
        let timeout = timeout_of(waits.fd, waits.direction);
        let passed = began.map_or(Duration::ZERO, Began::elapsed);
        // What has passed is no more than a belief lasts.
        let deadline = deadline_in(timeout).and_then(|deadline| deadline.checked_sub(passed));
        let may_be_shut = waits.direction == Direction::Write && is_unix(waits.fd);
        Asked { is_socket: timeout.is_some(), deadline, may_be_shut, glance }
    }

    fn has_no_deadline(&self) -> bool {
        self.deadline.is_none()
    }
}

/// Parks once, as the kernel has said. If that was short, it is believed for the next times.
fn wait_asked(g: Hooked, waits: &Waits, asked: &Asked) -> Result<(), Not> {
    if !asked.is_socket {
        return wait(g, waits, asked.deadline);
    }
    may_begin(g, asked.deadline)?;
    let began = Began::now();
    let look = if asked.may_be_shut { now().checked_add(SHUT_LOOK) } else { None };
    let until = asked.deadline.into_iter().chain(look).min();
    let evidence = g.wait_kept(&asked.glance, waits.call, waits.what, until).map_err(|_| Not::Waited)?;
    // By belief it would wait for longer than until it looks.
    if let Some(evidence) = evidence
        && until.is_none()
        && !began.is_long_ago()
    {
        evidence.believe(waits.direction == Direction::Read && is_plain_tcp(waits.fd));
    }
    Ok(())
}

/// Whether a wait may begin.
fn may_begin(g: Hooked, deadline: Option<Instant>) -> Result<(), Not> {
    if g.is_cancelled() {
        return Err(Not::Failed(libc::ECANCELED));
    }
    if deadline.is_some_and(has_come) {
        return Err(Not::Failed(libc::EAGAIN));
    }
    Ok(())
}

/// Parks once, until another attempt should be made.
pub(crate) fn wait(g: Hooked, waits: &Waits, deadline: Option<Instant>) -> Result<(), Not> {
    may_begin(g, deadline)?;
    g.wait_for(&[(waits.fd, waits.direction)], waits.call, waits.what, deadline).map_err(|_| Not::Waited)
}

/// Whether a call has no time, or one that is valid. What is not is the kernel's to say.
pub(crate) fn is_valid(time: Option<Option<Duration>>) -> bool {
    time.is_none_or(|time| time.is_some())
}

/// Looks until there is something (more than 0), or the time is over (0), and parks in between until one of those that are
/// `wanted` is ready. None: there is no limit, or what is wanted cannot be waited for. A look says that a signal has come, also
/// one that has no time, if there is nothing: then another look is made.
pub(crate) fn look_until(
    g: Hooked,
    call: &'static Call,
    timeout: Option<Duration>,
    wanted: impl FnOnce() -> Option<Vec<(c_int, Direction)>>,
    look: impl Fn() -> c_int,
) -> Result<c_int, Not> {
    g.checkpoint();
    let before = errno();
    let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
    let mut wanted = Some(wanted);
    let mut waits = Vec::new();
    loop {
        match checked(look()) {
            // One that has no time does not fail when the runtime closes.
            Ok(0) if timeout != Some(Duration::ZERO) => {}
            Err(libc::EINTR) => continue,
            Err(why) => return Err(Not::Failed(why)),
            Ok(found) => {
                set_errno(before);
                return Ok(found);
            }
        }
        if let Some(wanted) = wanted.take() {
            waits = wanted().filter(|_| g.may_park()).ok_or(Not::Waited)?;
        }
        if g.is_cancelled() {
            return Err(Not::Failed(libc::ECANCELED));
        }
        if deadline.is_some_and(has_come) {
            set_errno(before);
            return Ok(0);
        }
        g.wait_for(&waits, call, None, deadline).map_err(|_| Not::Waited)?;
    }
}

/// Looks until there is something, and sleeps in between, for longer each time: for what nothing says when it comes.
pub(crate) fn look_now_and_then<N>(
    g: Hooked,
    call: &'static Call,
    look: impl Fn() -> Result<Option<N>, c_int>,
) -> Result<N, Not> {
    g.checkpoint();
    let before = errno();
    let mut pause = PAUSE_MIN;
    loop {
        match look() {
            Ok(None) => {}
            Err(libc::EINTR) => continue,
            Err(why) => return Err(Not::Failed(why)),
            Ok(Some(found)) => {
                set_errno(before);
                return Ok(found);
            }
        }
        if !g.may_park() {
            return Err(Not::Waited);
        }
        if g.is_cancelled() {
            return Err(Not::Failed(libc::ECANCELED));
        }
        g.park(call, 0, Some(now() + pause));
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether the user wants no operation on it to block.
pub(crate) fn is_nonblocking(fd: c_int) -> bool {
    // SAFETY: a question, whatever the number is.
    let flags = unsafe { next::fcntl(fd, libc::F_GETFL, 0) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Until when an operation may wait that begins now: by `SO_RCVTIMEO` and `SO_SNDTIMEO`.
pub(crate) fn deadline_of(fd: c_int, direction: Direction) -> Option<Instant> {
    deadline_in(timeout_of(fd, direction))
}

/// After that timeout from now on, if there is a limit.
fn deadline_in(timeout: Option<Duration>) -> Option<Instant> {
    timeout.filter(|timeout| !timeout.is_zero()).and_then(|timeout| now().checked_add(timeout))
}

/// How long an operation may wait; zero is without a limit. None: it is no socket.
fn timeout_of(fd: c_int, direction: Direction) -> Option<Duration> {
    let name = if direction == Direction::Read { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
    let mut time = MaybeUninit::<libc::timeval>::zeroed();
    let mut bytes = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: there is room for so many bytes.
    let status = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, time.as_mut_ptr().cast(), &raw mut bytes) };
    // SAFETY: of zeros or written, it is a time.
    let time = unsafe { time.assume_init() };
    let time = Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_usec).ok()?.checked_mul(1_000)?);
    (status == 0).then_some(time)
}

/// Whether it is a TCP stream, of which the kernel gives all that there is. What comes between (TLS in the kernel, several
/// paths) may keep some back.
fn is_plain_tcp(fd: c_int) -> bool {
    let mut name = [0_u8; 16];
    let mut bytes = name.len() as libc::socklen_t;
    let place = name.as_mut_ptr().cast();
    // SAFETY: there is room for so many bytes.
    let status = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_ULP, place, &raw mut bytes) };
    // Others have no such option. It has no name if nothing comes between.
    status == 0 && bytes == 0
}

/// Whether an operation in this direction would not block now, or it is not known.
pub(crate) fn is_ready(fd: c_int, direction: Direction) -> bool {
    let events = if direction == Direction::Read { libc::POLLIN } else { libc::POLLOUT };
    found_of(fd, events) != Some(0)
}

/// What has come of an attempt with `RWF_NOWAIT`. If the kernel cannot make one on this file, it would block.
pub(crate) fn unless_it_cannot(tried: Result<ssize_t, c_int>) -> Result<ssize_t, c_int> {
    tried.map_err(|why| if why == libc::EOPNOTSUPP { libc::EAGAIN } else { why })
}

/// Whether it has an error that its next operation will say, and only that one.
pub(crate) fn has_error(fd: c_int) -> bool {
    found_of(fd, 0).is_some_and(|found| found & libc::POLLERR != 0)
}

/// What a poll finds of these events now. None: it fails.
fn found_of(fd: c_int, events: c_short) -> Option<c_short> {
    let mut asked = libc::pollfd { fd, events, revents: 0 };
    loop {
        // SAFETY: one record, which is there.
        match checked(unsafe { next::poll(&raw mut asked, 1, 0) }) {
            // Though it does not wait, it says so if there is nothing and a signal has come.
            Err(libc::EINTR) => {}
            Err(_) => return None,
            Ok(_) => return Some(asked.revents),
        }
    }
}

/// Whether it is a pipe or a terminal, which take a part at a time. Other devices may take what is written as one message.
pub(crate) fn takes_parts(fd: c_int) -> bool {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: there is room.
    let status = unsafe { libc::fstat(fd, about.as_mut_ptr()) };
    // SAFETY: of zeros or written, it is one.
    let about = unsafe { about.assume_init() };
    status == 0
        && match about.st_mode & libc::S_IFMT {
            libc::S_IFIFO => true,
            // SAFETY: a question, whatever the number is.
            libc::S_IFCHR => unsafe { libc::isatty(fd) == 1 },
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::{ptr, thread};

    /// Then a call would block its thread.
    #[test]
    fn what_is_not_ready_does_not_become_so_by_a_signal() {
        static HANDLED: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn handle(_: c_int) {
            HANDLED.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: plain numbers, for which all zeros are values.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handle as *const () as usize;
        // SAFETY: the handler calls nothing.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) }, 0);
        let over = AtomicBool::new(false);
        // SAFETY: it has no preconditions.
        let here = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: that thread waits for this one.
                    unsafe { libc::pthread_kill(here, libc::SIGUSR1) };
                    thread::sleep(Duration::from_micros(100));
                }
            });
            let (reader, _writer) = std::io::pipe().expect("a pipe");
            let (mut looks, mut found) = (0, 0);
            while HANDLED.load(Ordering::Relaxed) < 1_000 {
                found += usize::from(is_ready(reader.as_raw_fd(), Direction::Read));
                looks += 1;
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(found, 0, "of {looks} looks, with {} signals", HANDLED.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn pipes_and_terminals_take_parts_and_other_devices_do_not() {
        let open = |path| File::options().read(true).write(true).open(path).expect("it is there");
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        assert!(takes_parts(writer.as_raw_fd()));
        assert!(takes_parts(open("/dev/ptmx").as_raw_fd()));
        assert!(!takes_parts(open("/dev/null").as_raw_fd()));
        assert!(!takes_parts(-1));
    }

    #[test]
    fn plain_tcp_is_told_from_others() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let tcp = std::net::TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        assert!(is_plain_tcp(tcp.as_raw_fd()));
        // SAFETY: a name that ends with a zero; without the module of the kernel it is an error.
        let status =
            unsafe { libc::setsockopt(tcp.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_ULP, c"tls".as_ptr().cast(), 3) };
        assert_eq!(is_plain_tcp(tcp.as_raw_fd()), status != 0);
        assert!(!is_plain_tcp(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").as_raw_fd()));
        assert!(!is_plain_tcp(std::os::unix::net::UnixStream::pair().expect("two").0.as_raw_fd()));
        assert!(!is_plain_tcp(std::io::pipe().expect("a pipe").0.as_raw_fd()));
    }
}

//! Readiness of descriptors: epoll, eventfd, ppoll; and who is at the other end of a socket.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many events are taken at a time. With 1,000 connections on two Ps 128 took 3 % more CPU time: what an event and its
/// prefetches bring into the cache was gone again when the turn of the last one came.
const EVENTS_AT_ONCE: usize = 32;

/// The kernel has no `epoll_pwait2` (before 5.11), or a filter refuses it.
static LACKS_PWAIT2: AtomicBool = AtomicBool::new(false);

/// A set of descriptors that are watched.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// What has happened to one descriptor of the set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollEvent {
    /// What it was added with.
    pub(crate) token: u64,
    /// A read may succeed or fail now, but would not block.
    pub(crate) reads: bool,
    /// The same for a write.
    pub(crate) writes: bool,
    /// There is more than bytes to read: the end, an error, or urgent data.
    pub(crate) is_special: bool,
}

/// Room for the events of one wait.
pub(crate) struct PollEvents {
    events: [MaybeUninit<libc::epoll_event>; EVENTS_AT_ONCE],
    len: usize,
}

impl PollEvents {
    /// None yet.
    pub(crate) fn new() -> PollEvents {
        PollEvents { events: [const { MaybeUninit::uninit() }; EVENTS_AT_ONCE], len: 0 }
    }

    /// Those of the last wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PollEvent> {
        self.events[..self.len].iter().map(|event| {
            // SAFETY: the kernel has written the first `len`.
            let libc::epoll_event { events, u64: token } = unsafe { event.assume_init() };
            let any = |bits: libc::c_int| events & bits as u32 != 0;
            // An error or a hangup is for both: the operation says what it is.
            let both = libc::EPOLLERR | libc::EPOLLHUP;
            let special = libc::EPOLLRDHUP | libc::EPOLLPRI | both;
            PollEvent {
                token,
                reads: any(libc::EPOLLIN | special),
                writes: any(libc::EPOLLOUT | both),
                is_special: any(special),
            }
        })
    }
}

impl std::fmt::Debug for PollEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// The process or the system has no descriptor or no memory left; or a filter refuses to make a set, or to wait for one.
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: it has no preconditions.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: it is new, and no other code has it.
        let epoll = Epoll(unsafe { OwnedFd::from_raw_fd(fd) });
        // Here it can be said that there is none. Later, one that waits in vain could only try again for ever.
        match epoll.try_wait(&mut PollEvents::new(), Some(0)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(epoll),
        }
    }

    /// Adds a descriptor, edge-triggered, in both directions. If something is ready already, that is an event.
    ///
    /// # Errors
    /// `PermissionDenied` (EPERM) for what cannot be watched, as a regular file; `AlreadyExists`; no memory, or no more
    /// watches.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), BOTH_EDGES, token)
    }

    /// Changes the token of a descriptor that was added. If something is ready, that is an event.
    ///
    /// # Errors
    /// It was not added.
    pub(crate) fn change(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), BOTH_EDGES, token)
    }

    /// Watches a descriptor of others, which they may have closed, and opened again under the same number, as often as they
    /// like. What is ready already is an event.
    ///
    /// # Errors
    /// As [`add`](Self::add); it is closed; `NotFound`: it should be there, and another descriptor has the number;
    /// `AlreadyExists`: it should not be there.
    pub(crate) fn watch(&self, fd: RawFd, watch: Watch, token: u64, is_there: bool) -> io::Result<()> {
        let what = if is_there { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        self.control(what, fd, watch.events(), token)
    }

    /// Takes a descriptor out. It may be gone already.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        self.remove_number(fd.as_raw_fd());
    }

    /// The same with a number, which may be that of no descriptor any more.
    pub(crate) fn remove_number(&self, fd: RawFd) {
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// Adds a bell: there are events as long as it rings.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn add_bell(&self, bell: &EventFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, bell.0.as_raw_fd(), libc::EPOLLIN, token)
    }

    fn control(&self, what: libc::c_int, fd: RawFd, events: libc::c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` is valid; the kernel keeps no pointer to it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd, &raw mut event) }).map(drop)
    }

    /// Waits for events, `timeout_ns` at most, or without a limit. There may be none, for no reason.
    ///
    /// # Errors
    /// The descriptor is no epoll any more, because something has closed it; or a filter refuses to wait.
    pub(crate) fn wait(&self, into: &mut PollEvents, timeout_ns: Option<u64>) -> io::Result<()> {
        into.len = 0;
        match self.try_wait(into, timeout_ns) {
            Ok(count) => into.len = usize::try_from(count).unwrap_or(0),
            // A signal: the caller looks again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn try_wait(&self, into: &mut PollEvents, timeout_ns: Option<u64>) -> io::Result<libc::c_int> {
        let (epoll, most) = (self.0.as_raw_fd(), EVENTS_AT_ONCE as libc::c_int);
        let events = into.events.as_mut_ptr().cast::<libc::epoll_event>();
        let in_ms = |ms| {
            // SAFETY: there is room for so many.
            check(unsafe { libc::epoll_wait(epoll, events, most, ms) })
        };
        let Some(ns) = timeout_ns else { return in_ms(-1) };
        if ns == 0 {
            return in_ms(0);
        }
        if !LACKS_PWAIT2.load(Ordering::Relaxed) {
            let timeout = timespec(ns);
            let no_mask = ptr::null::<libc::sigset_t>();
            // SAFETY: there is room for so many; the time is valid; there is no mask.
            let waited = check(unsafe {
                libc::syscall(libc::SYS_epoll_pwait2, epoll, events, most, &raw const timeout, no_mask, 0_usize)
            });
            match waited {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    LACKS_PWAIT2.store(true, Ordering::Relaxed);
                }
                waited => return waited.map(|count| count as libc::c_int),
            }
        }
        in_ms(libc::c_int::try_from(ns.div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX))
    }
}

const READS: libc::c_int = libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP;
const BOTH_EDGES: libc::c_int = READS | libc::EPOLLOUT | libc::EPOLLET;

/// How a descriptor of others is watched: to read, to write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Watch {
    /// One event is said.
    Once([bool; 2]),
    /// Each edge is.
    Always([bool; 2]),
}

impl Watch {
    fn events(self) -> libc::c_int {
        let (read, [reads, writes], how) = match self {
            Watch::Once(directions) => (libc::EPOLLIN, directions, libc::EPOLLONESHOT),
            Watch::Always(directions) => (READS, directions, libc::EPOLLET),
        };
        how | if reads { read } else { 0 } | if writes { libc::EPOLLOUT } else { 0 }
    }
}

/// Something that rings until it is silenced, for one who waits for descriptors.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// A silent one.
    ///
    /// # Errors
    /// As [`Epoll::new`].
    pub(crate) fn new() -> io::Result<EventFd> {
        // SAFETY: it has no preconditions.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: it is new, and no other code has it.
        Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Rings.
    pub(crate) fn ring(&self) {
        let one = 1_u64;
        // It could only fail because it has rung 2^64 - 2 times.
        // SAFETY: eight bytes are there.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Is silent again.
    pub(crate) fn silence(&self) {
        let mut count = 0_u64;
        // It fails if it does not ring.
        // SAFETY: there is room for eight bytes.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

/// What [`poll_one`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolledOne {
    /// The operation would not block any more.
    pub(crate) is_ready: bool,
    /// The bell rings.
    pub(crate) rings: bool,
}

/// The calling thread waits until `fd` may be read, or written, or the bell rings, or so long. It may return for no
/// reason.
pub(crate) fn poll_one(fd: BorrowedFd<'_>, writes: bool, bell: Option<&EventFd>, timeout_ns: Option<u64>) -> PolledOne {
    let events = if writes { libc::POLLOUT } else { libc::POLLIN | libc::POLLRDHUP };
    let bell = bell.map_or(-1, |bell| bell.0.as_raw_fd());
    // A negative number is left out.
    let mut asked = [
        libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 },
        libc::pollfd { fd: bell, events: libc::POLLIN, revents: 0 },
    ];
    let timeout = timeout_ns.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the two descriptors and the time are valid; there is no mask.
    let status = unsafe { libc::ppoll(asked.as_mut_ptr(), 2, timeout, ptr::null()) };
    let [fd, bell] = asked;
    PolledOne { is_ready: status > 0 && fd.revents != 0, rings: status > 0 && bell.revents != 0 }
}

/// The address of the peer of a socket, or if it has none, its own. None: `fd` has no address of the internet.
pub(crate) fn address_of(fd: RawFd) -> Option<SocketAddr> {
    address_by(fd, libc::getpeername).or_else(|| address_by(fd, libc::getsockname))
}

type NameOf = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn address_by(fd: RawFd, name_of: NameOf) -> Option<SocketAddr> {
    // SAFETY: it is plain numbers, for which all zeros are values.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut bytes = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let place = (&raw mut address).cast::<libc::sockaddr>();
    // SAFETY: there is room for so many bytes.
    check(unsafe { name_of(fd, place, &raw mut bytes) }).ok()?;
    match libc::c_int::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one, and there is room for it.
            let v4 = unsafe { place.cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { place.cast::<libc::sockaddr_in6>().read() };
            Some(SocketAddr::from((Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port))))
        }
        _ => None,
    }
}

/// What kind of thing a descriptor is, for people.
pub(crate) fn kind_of(fd: RawFd) -> &'static str {
    match (option(fd, libc::SO_DOMAIN), option(fd, libc::SO_TYPE)) {
        (Some(libc::AF_INET | libc::AF_INET6), Some(libc::SOCK_STREAM)) => "tcp",
        (Some(libc::AF_INET | libc::AF_INET6), Some(libc::SOCK_DGRAM)) => "udp",
        (Some(libc::AF_UNIX), _) => "unix",
        (Some(_), _) => "socket",
        (None, _) => "file",
    }
}

/// An option of a socket. None: it is no socket.
fn option(fd: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut bytes = size_of_val(&value) as libc::socklen_t;
    // SAFETY: there is room for so many bytes.
    let status = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut bytes) };
    (status == 0).then_some(value)
}

fn timespec(ns: u64) -> libc::timespec {
    // Even the largest is far from what a signed number of seconds holds.
    libc::timespec { tv_sec: (ns / 1_000_000_000) as libc::time_t, tv_nsec: (ns % 1_000_000_000) as libc::c_long }
}

/// What a system call returned, or its error.
fn check<N: Copy + PartialOrd + From<i8>>(status: N) -> io::Result<N> {
    if status < N::from(0) { Err(io::Error::last_os_error()) } else { Ok(status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_ready_when_it_is_added_is_an_event() {
        let epoll = Epoll::new().expect("a set");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("there is room");
        epoll.add(reader.as_fd(), 7).expect("a pipe can be watched");
        let mut events = PollEvents::new();
        epoll.wait(&mut events, Some(0)).expect("it is a set");
        let event = events.iter().next().expect("it is ready");
        assert!(event.token == 7 && event.reads && !event.writes, "{events:?}");
        // Only the edge is an event.
        epoll.wait(&mut events, Some(0)).expect("it is a set");
        assert_eq!(events.iter().count(), 0);
        assert_eq!(epoll.add(reader.as_fd(), 8).expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        epoll.change(reader.as_fd(), 8).expect("it is there");
        epoll.wait(&mut events, None).expect("it is a set");
        assert_eq!(events.iter().next().map(|event| event.token), Some(8));
        drop(writer);
        epoll.remove(reader.as_fd());
        epoll.wait(&mut events, Some(0)).expect("it is a set");
        assert_eq!(events.iter().count(), 0);
    }

    #[test]
    fn what_is_watched_is_said_once_or_at_each_edge() {
        let epoll = Epoll::new().expect("a set");
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        let watch = |watch, is_there| epoll.watch(ours.as_raw_fd(), watch, 7, is_there);
        assert_eq!(watch(Watch::Once([true, false]), true).expect_err("it is new").kind(), io::ErrorKind::NotFound);
        watch(Watch::Once([false; 2]), false).expect("it can be watched");
        let again = watch(Watch::Once([true, false]), false).expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let said = |reads_writes| {
            watch(Watch::Once(reads_writes), true).expect("it can be watched");
            let mut events = PollEvents::new();
            let mut ask = || {
                epoll.wait(&mut events, Some(0)).expect("it is a set");
                events.iter().next().map(|event| (event.reads, event.writes))
            };
            (ask(), ask())
        };
        assert_eq!(said([true, false]), (None, None));
        assert_eq!(said([true, true]), (Some((false, true)), None));
        theirs.write_all(b"x").expect("there is room");
        // It was not armed again.
        let mut events = PollEvents::new();
        epoll.wait(&mut events, Some(0)).expect("it is a set");
        assert_eq!(events.iter().count(), 0);
        assert_eq!(said([true, false]), (Some((true, false)), None));
        assert_eq!(said([false, false]), (None, None));
        // What is there already is an edge, and so is what comes.
        watch(Watch::Always([true, false]), true).expect("it can be watched");
        for _ in 0..2 {
            for expected in [Some((true, false)), None] {
                epoll.wait(&mut events, Some(0)).expect("it is a set");
                assert_eq!(events.iter().next().map(|event| (event.reads, event.writes)), expected);
            }
            theirs.write_all(b"x").expect("there is room");
        }
        let closed = ours.as_raw_fd();
        drop(ours);
        let refused =
            |fd| epoll.watch(fd, Watch::Once([true, false]), 7, false).expect_err("it cannot be").raw_os_error();
        assert_eq!(refused(closed), Some(libc::EBADF));
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        assert_eq!(refused(file.as_raw_fd()), Some(libc::EPERM));
    }

    #[test]
    fn a_descriptor_has_a_kind() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        assert_eq!(kind_of(listener.as_raw_fd()), "tcp");
        assert_eq!(kind_of(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").as_raw_fd()), "udp");
        assert_eq!(kind_of(std::os::unix::net::UnixDatagram::unbound().expect("a socket").as_raw_fd()), "unix");
        assert_eq!(kind_of(io::pipe().expect("a pipe").0.as_raw_fd()), "file");
    }

    #[test]
    fn a_set_that_something_has_closed_is_an_error() {
        let epoll = std::mem::ManuallyDrop::new(Epoll::new().expect("a set"));
        // Another file takes the number, as it may in a program, so that no other test gets it meanwhile.
        let file = std::fs::File::open("/dev/null").expect("it is there");
        // SAFETY: both are open; the set is used by this test alone, and for what is tested.
        let number = unsafe { libc::dup2(file.as_raw_fd(), epoll.0.as_raw_fd()) };
        assert!(epoll.wait(&mut PollEvents::new(), Some(0)).is_err());
        // SAFETY: the number is this test's, and nothing else closes it.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }

    #[test]
    fn a_bell_rings_until_it_is_silenced() {
        let (epoll, bell) = (Epoll::new().expect("a set"), EventFd::new().expect("a bell"));
        epoll.add_bell(&bell, 1).expect("it can be watched");
        let mut events = PollEvents::new();
        bell.ring();
        for _ in 0..2 {
            epoll.wait(&mut events, None).expect("it is a set");
            assert_eq!(events.iter().count(), 1);
        }
        bell.silence();
        bell.silence();
        epoll.wait(&mut events, Some(0)).expect("it is a set");
        assert_eq!(events.iter().count(), 0);
    }

    #[test]
    fn a_wait_ends_in_time_with_and_without_nanoseconds() {
        let epoll = Epoll::new().expect("a set");
        for lacks in [false, true] {
            LACKS_PWAIT2.store(lacks, Ordering::Relaxed);
            let began = Instant::now();
            epoll.wait(&mut PollEvents::new(), Some(1_500_000)).expect("it is a set");
            // A signal could end it sooner.
            assert!(began.elapsed() >= Duration::from_micros(1_500), "{:?}", began.elapsed());
        }
        LACKS_PWAIT2.store(false, Ordering::Relaxed);
    }

    #[test]
    fn a_regular_file_cannot_be_watched() {
        let file = std::fs::File::open("/proc/self/exe").expect("a file");
        let refused = Epoll::new().expect("a set").add(file.as_fd(), 0).expect_err("it is a regular file");
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn one_descriptor_or_the_bell_or_the_time() {
        let ((reader, mut writer), bell) = (io::pipe().expect("a pipe"), EventFd::new().expect("a bell"));
        let look = |bell| poll_one(reader.as_fd(), false, bell, Some(1_000_000));
        assert_eq!(look(Some(&bell)), PolledOne { is_ready: false, rings: false });
        bell.ring();
        assert_eq!(look(Some(&bell)), PolledOne { is_ready: false, rings: true });
        writer.write_all(b"x").expect("there is room");
        assert_eq!(look(None), PolledOne { is_ready: true, rings: false });
        assert!(poll_one(writer.as_fd(), true, None, None).is_ready);
    }

    #[test]
    fn sockets_have_addresses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(address_of(listener.as_raw_fd()), Some(address));
        let stream = std::net::TcpStream::connect(address).expect("it listens");
        assert_eq!(address_of(stream.as_raw_fd()), Some(stream.peer_addr().expect("it is connected")));
        let (reader, _writer) = io::pipe().expect("a pipe");
        assert_eq!(address_of(reader.as_raw_fd()), None);
    }
}

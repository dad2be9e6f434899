//! The blocking calls that std and other libraries make park the goroutine instead of its thread. Code that knows nothing
//! of pirn, as `std::thread::sleep`, runs by the ten thousand goroutines on a few threads.
//!
//! This is the feature `hook` of `pirn`. It needs no call: it is enough that the program has the feature.
//!
//! ```
//! # use pirn_hook as _;
//! use std::time::{Duration, Instant};
//!
//! pirn::run(|| {
//!     let began = Instant::now();
//!     let sleepers: Vec<_> = (0..1_000).map(|_| pirn::go(|| std::thread::sleep(Duration::from_millis(20)))).collect();
//!     sleepers.into_iter().for_each(|g| g.join().unwrap());
//!     assert!(began.elapsed() < Duration::from_secs(10));
//! });
//! ```
//!
//! # What is hooked
//! | call | on a goroutine |
//! | --- | --- |
//! | `sleep`, `usleep`, `nanosleep`, `clock_nanosleep` | parks until the time has passed. `EINTR` never. Of the clocks `CLOCK_REALTIME`, `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`; others block the thread. When the real-time clock is set, a sleep until a moment of it learns of that within a second |
//! | `sched_yield` | lets the other goroutines of its P run. With it spin std's `thread::yield_now` and many locks and channels |
//! | `read`, `readv`, `recv`, `recvfrom`, `recvmsg`, `recvmmsg`, `preadv2` without offset and flags | tries without blocking, and parks until there is something. `EINTR` never. With `MSG_OOB`, `MSG_ERRQUEUE`, or with `MSG_WAITALL` in others than `recv` or beside `MSG_PEEK`, it is libc's call; so is `recvmmsg` with a time limit |
//! | `write`, `writev`, `send`, `sendto`, `sendmsg`, `sendmmsg`, `pwritev2` without offset and flags | the same, until all is sent. To a pipe or a terminal it goes in parts of `PIPE_BUF` bytes. With an address of a Unix socket, or `MSG_FASTOPEN`, it is libc's call |
//! | `sendfile`, `splice` | parks until there is something and the other descriptor takes it. A socket gets a file in parts, until all is sent. `splice` with `SPLICE_F_NONBLOCK` is libc's call; if another takes from its pipe at the same time, or fills it, it may block the thread. std's `io::copy` calls it |
//! | `accept`, `accept4` | parks until there is a connection. If a plain thread or another process accepts from the same listener, it may take the connection first; then the call blocks the thread |
//! | `connect` | parks until it is connected. A datagram socket's is libc's call, as it does not wait, and so is one of `AF_VSOCK`. The descriptor is non-blocking for the time of one system call. A Unix listener whose queue is full is tried again every millisecond |
//! | `poll`, `ppoll` | parks until one is ready, or the time is over. `EINTR` never, also without time. With a signal mask, or for other events than these it is libc's call: `POLLIN`, `POLLOUT`, `POLLRDNORM`, `POLLWRNORM`, and `POLLRDHUP` with one of the first |
//! | `select`, `pselect`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2` | the same. With a signal mask, or with a third set, it is libc's call. `select` leaves its time as it is |
//! | `__read_chk`, `__recv_chk`, `__recvfrom_chk`, `__poll_chk`, `__ppoll_chk` | what C that is compiled with `_FORTIFY_SOURCE` calls instead: the same as without |
//! | `wait`, `wait3`, `wait4`, `waitpid`, `waitid` | parks until that child has ended. For any child, for a group, or for one that stops it looks now and then: it learns of it within 16 ms |
//! | `flock` | looks now and then until the lock is free, so it learns of that within 16 ms, and may come after others |
//! | `getaddrinfo` | blocks its thread, as libc has no other way. 32 at a time do so; the others park |
//! | `posix_spawn`, `posix_spawnp` | blocks its thread until the child has called `exec`. One at a time does so, and one more whenever nobody could begin for 50 ms; the others park. If other signals are blocked than when the thread began, it is libc's call. With it std's `Command` starts most children. A `Command` with `pre_exec` and the like calls `fork`, and reads from a pipe until the child has called `exec`, which parks |
//! | `syscall` with a private futex: `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`, `FUTEX_WAKE`, `FUTEX_WAKE_BITSET` | parks until it is woken, or the time is over. With it wait std's `Mutex`, `RwLock`, `Condvar`, `Once`, `Barrier`, `mpsc`, `thread::park`, and those of other libraries. Goroutines and threads may wait for one word: a wake is then for as many of each. Other futexes, and other system calls, go to the kernel; but `FUTEX_REQUEUE`, `FUTEX_CMP_REQUEUE` and `FUTEX_WAKE_OP` wake all goroutines that wait for their words. What glibc itself waits for (`pthread_mutex_lock`) blocks the thread |
//! | `close`, `close_range`, `dup2`, `dup3`, `fcntl`, `fcntl64`, `ioctl`, `setsockopt` | it is libc's call. What was believed of the descriptor is taken away, if it is not so any more (rule 8) |
//!
//! What the user has said about a descriptor is kept: `O_NONBLOCK`, `SO_RCVTIMEO`, `SO_SNDTIMEO`. A call that waits already
//! may learn of it too. Regular files, and what else an epoll cannot watch, block the thread, and so does a descriptor for
//! which pirn's own sockets wait just now. A descriptor that is no socket is asked before it is read; if two read from one
//! pipe at the same time, one of them may find that the other was faster, and blocks its thread.
//!
//! An epoll does not hear of some things of which a thread would that waits in the kernel:
//! - The last number of a descriptor is closed while a goroutine waits for it. It waits on until its time is over, as no
//!   more comes; to end a wait, call `shutdown`. (A thread keeps the socket open, and hears when the peer closes it.)
//! - A Unix socket that is full is shut, for writing or by its peer for reading. Who waits for room tries each 50 ms.
//! - A FIFO that was opened with `O_NONBLOCK`, and has had no writer since, has ended. Who reads from it waits for one.
//!
//! # What is not hooked
//! All other calls block the thread, as without this feature: another thread takes over the other goroutines.
//!
//! | call | why |
//! | --- | --- |
//! | `pread`, `pwrite`, `preadv`, `pwritev` | what an epoll can watch has no offsets: for sockets, pipes, terminals and the like they fail (`ESPIPE`) |
//! | `dup`, a `close` that waits (`SO_LINGER`) | a new number has been forgotten when it was given up; such a `close` blocks the thread |
//! | `ppoll`, `pselect`, `epoll_pwait`, `epoll_pwait2` with a signal mask | the mask is for the thread that waits: a signal has to find a thread that waits with this mask |
//! | `fcntl` with `F_SETLKW` or `F_OFD_SETLKW`, `lockf` | who looks now and then waits for no lock in the kernel, so the kernel could not say that two processes wait for each other (`EDEADLK`). SQLite asks without waiting, and sleeps |
//! | `pthread_mutex_lock`, `pthread_cond_wait`, `pthread_join`, `sem_wait`, `mtx_lock`, `thrd_sleep` | glibc waits in itself, and what its words mean is its own. std's `JoinHandle::join` of a thread is `pthread_join` |
//! | `pidfd_spawn`, `pidfd_spawnp` | not every glibc has them, and std calls them on demand alone |
//! | `fgets`, `fread`, `system`, `popen`, `pclose`, `gethostbyname`, `getnameinfo` | glibc makes the system call itself |
//! | `__poll`, `__read`, `__nanosleep`, other second names | hardly any library calls them |
//! | `mq_receive`, `mq_send`, `msgrcv`, `semop`, `sigwait`, `pause`, `tee`, `vmsplice`, `open` of a FIFO | few call them on many goroutines at a time |
//! | system calls that a library makes by hand, as `rustix` does on Linux; `io_uring_enter` | there is no function to stand in the place of. Of what they change about a descriptor rule 8 speaks |
//!
//! # How
//! The crate defines functions with the names of libc's. A definition in the executable comes before that of a shared
//! library, for the executable and for all libraries that it loads. Each of them asks first whether a goroutine's own code
//! calls it. If not, it goes on to libc's function, or to that of another library that stands before it, as of a
//! sanitizer. That costs one read of a thread-local and one jump.
//!
//! # The rules
//! 1. *Inside the runtime nothing is hooked.* A call of the runtime's own code blocks the thread: on an M's own stack, in a
//!    section, under a lock of the runtime, on its other threads. So does what an allocator of the user's calls
//!    there: it may take a lock, but must not wait for something else while it holds it. Where the allocator's caller is
//!    the goroutine, the wait for that lock parks it, perhaps in the midst of another wait that has not parked yet. So a
//!    wait for a futex that was woken by another than who wakes that futex leaves a token for the next park. What the
//!    runtime calls on a goroutine's stack outside of its section, and what would block, it calls without libc
//!    (`os/linux/unhooked.rs` of the runtime).
//! 2. *Only goroutines with thread-locals of their own.* What other code keeps in thread-locals over such a call is the
//!    goroutine's then. With shared thread-locals nothing is hooked, and `build` says so, once. `Builder::hook(false)` and
//!    `PIRN_DEBUG=hook=0` leave a runtime without.
//! 3. *Nothing unwinds through a frame of C's.* When the runtime closes, a call that waits, or would have to, fails with
//!    `ECANCELED`. std's `thread::sleep` panics then, which unwinds the goroutine. The panics of a goroutine to which that
//!    has happened are not printed. A goroutine in a destructor waits on, as everywhere in pirn.
//!    A goroutine that waits for a futex is waited for, as for a lock.
//! 4. *A signal handler* on a stack of its own (`SA_ONSTACK`) blocks its thread. One on the goroutine's stack is the
//!    goroutine's code: what it waits for parks the goroutine. The signals that are blocked meanwhile stay blocked on the
//!    thread; and if it has interrupted malloc, others that need that lock wait with their Ps. So a handler that may wait
//!    should have a stack of its own. A call that need not wait lets no others run in a handler, unless that was installed
//!    with `SA_NODEFER`: then nothing says that it is one. libc's own functions are all found when the program is loaded,
//!    so that the first call may be made in a handler.
//! 5. *A wake is for all that wait.* Goroutines wait in a table (`futex_table.rs` has the argument). Who wakes them may be
//!    anybody: also code of the user's that the runtime calls in the middle of its work, under its own locks. Such a wake is
//!    left to sysmon, or comes when those locks are free. It also wakes a thread that waits for the same word in the kernel, as
//!    that may be the runtime, without which no goroutine runs. The runtime's own locks wait without libc, so no goroutine waits for
//!    one of them in the table.
//! 6. *The child of a fork* runs no goroutine, so all calls go to libc. A child of `vfork` may call `_exit` and `exec` alone,
//!    as always.
//! 7. *`errno`* is changed only by a call that fails. It is the goroutine's own.
//! 8. *What is believed of the number of a descriptor is short-lived.* Others close it as they like, and it comes back. So a
//!    call that has to wait asks the kernel whether it may, how long, and for an event. After a short wait for a socket that
//!    is believed for the next ones, which need not ask. Who changes it by libc's functions takes that away: a number that is
//!    given up, `O_NONBLOCK`, `FIONBIO`, `SO_RCVTIMEO`, `SO_SNDTIMEO`, for whichever number they are set. Who does so by a
//!    system call made by hand (glibc itself in `fclose`), or in another process, is not heard: the first call that waits
//!    after that may come back 200 ms late. No call waits for longer without having asked (`netpoll/belief.rs` of the runtime
//!    has the argument). A socket that is given to another process, and closed here, goes on to wake this one in vain.
//! 9. *Destructors* are code of the goroutine that runs them: of its values, also in a panic, of its thread-locals, and what
//!    `exit` runs, if a goroutine calls it. After `main` they run on a thread, whose calls go to libc.
//! 10. *A goroutine that is locked to its thread* parks too, and its thread waits with it.
//!
//! # Linking
//! | how | what happens |
//! | --- | --- |
//! | debug, release, `lto = "fat"`, `-C prefer-dynamic` | it works |
//! | `-C target-feature=+crt-static` | it does not compile, and the error says why: it needs glibc as a shared library |
//! | a library that contains pirn (`cdylib`), loaded by a program | pirn works, but nothing is hooked, as libc's definitions come first: such calls block their threads |
//!
//! `ci/hook-linkage` tests each.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

mod begin; // what runs when the program is loaded
mod names; // `getaddrinfo`
mod spawns; // `posix_spawn`, `posix_spawnp`
mod blocking_call; // what blocks its thread: few at a time
mod files; // `flock`
mod children; // `wait`, `wait3`, `wait4`, `waitpid`, `waitid`
mod fortified; // `__read_chk`, and others that are told how large a buffer is
mod sets; // `select`, `pselect`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2`
mod polls; // `poll`, `ppoll`
mod changes; // `close`, `dup2`, `dup3`, `close_range`, `fcntl`, `ioctl`, `setsockopt`
mod connections; // `accept`, `accept4`, `connect`
mod copies; // `sendfile`, `splice`
mod writes; // `write`, `writev`, `pwritev2`, `send`, `sendto`, `sendmsg`, `sendmmsg`
mod reads; // `read`, `readv`, `preadv2`, `recv`, `recvfrom`, `recvmsg`, `recvmmsg`
mod attempts; // trying, and parking while it would block
mod vectors; // several buffers
mod permits; // of which there are few
mod futexes; // `syscall`, for futexes
mod futex_places; // the Gs and the threads that wait for them
mod futex_table; // the Gs
mod late_wakes; // wakes that sysmon makes
mod sleeps; // `sleep`, `usleep`, `nanosleep`, `clock_nanosleep`, `sched_yield`
mod calls; // what dumps and `Metrics` call them
mod clocks; // times as libc has them
mod errno; // how a call of libc's fails
mod next; // libc's own functions

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

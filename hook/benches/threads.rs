//! What a hooked call costs a thread that runs no G: libc's own function, found by its name, beside the one that a program
//! calls. Each is the least of many rounds that take turns, as everything that disturbs makes a call longer.
//!
//! ```text
//! cargo bench -p pirn-hook
//! valgrind --tool=callgrind target/release/deps/threads-* ROW libc|hooked 10000     for the instructions of one row
//! ```

use libc::{c_int, c_long, c_void};
use pirn_hook as _;
use std::ffi::CStr;
use std::hint::black_box;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const ROUNDS: usize = 1_000;
/// A yield takes long where others want the CPU.
const ROW: Duration = Duration::from_secs(5);
const CALLS: u32 = 200;

type Receive = unsafe extern "C" fn(c_int, *mut c_void, usize, c_int) -> isize;
type Take = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
type Yield = unsafe extern "C" fn() -> c_int;
type SystemCall = unsafe extern "C" fn(c_long, ...) -> c_long;

/// libc's own functions.
struct Own {
    recv: Receive,
    read: Take,
    sched_yield: Yield,
    syscall: SystemCall,
}

/// # Safety
/// libc's function of that name has that type.
unsafe fn own_function<F: Copy>(name: &CStr) -> F {
    // SAFETY: a name that ends with a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!found.is_null(), "{name:?}");
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: as the caller promises.
    unsafe { std::mem::transmute_copy(&found) }
}

fn own() -> &'static Own {
    static OWN: OnceLock<Own> = OnceLock::new();
    OWN.get_or_init(|| Own {
        // SAFETY: it has that type.
        recv: unsafe { own_function(c"recv") },
        // SAFETY: as above.
        read: unsafe { own_function(c"read") },
        // SAFETY: as above.
        sched_yield: unsafe { own_function(c"sched_yield") },
        // SAFETY: as above.
        syscall: unsafe { own_function(c"syscall") },
    })
}

/// A socket that does not block, and to which nothing was sent.
fn silent() -> &'static (TcpStream, TcpStream) {
    static SILENT: OnceLock<(TcpStream, TcpStream)> = OnceLock::new();
    SILENT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        ours.set_nonblocking(true).expect("a flag");
        (ours, listener.accept().expect("it is connected").0)
    })
}

/// The calls by libc's functions, and by those that a program calls.
struct Row {
    name: &'static str,
    own: fn(u32),
    hooked: fn(u32),
}

const ROWS: [Row; 5] = [
    Row { name: "recv", own: |calls| receive(own().recv, calls), hooked: |calls| receive(libc::recv, calls) },
    Row { name: "read", own: |calls| take(own().read, calls), hooked: |calls| take(libc::read, calls) },
    Row {
        name: "sched_yield",
        own: |calls| give_way(own().sched_yield, calls),
        hooked: |calls| give_way(libc::sched_yield, calls),
    },
    Row { name: "futex_wake", own: |calls| wake(own().syscall, calls), hooked: |calls| wake(libc::syscall, calls) },
    Row { name: "std_net_read", own: read_by_hand, hooked: read_by_std },
];

fn receive(recv: Receive, calls: u32) {
    let (fd, mut buf) = (silent().0.as_raw_fd(), [0_u8; 64]);
    for _ in 0..calls {
        // SAFETY: there is room.
        assert_eq!(unsafe { black_box(recv)(fd, buf.as_mut_ptr().cast(), 64, 0) }, -1);
    }
}

fn take(read: Take, calls: u32) {
    let (fd, mut buf) = (silent().0.as_raw_fd(), [0_u8; 64]);
    for _ in 0..calls {
        // SAFETY: there is room.
        assert_eq!(unsafe { black_box(read)(fd, buf.as_mut_ptr().cast(), 64) }, -1);
    }
}

fn give_way(sched_yield: Yield, calls: u32) {
    for _ in 0..calls {
        // SAFETY: it has no preconditions.
        assert_eq!(unsafe { black_box(sched_yield)() }, 0);
    }
}

/// As an unlock of std's `Mutex`, when it has seen that one waits.
fn wake(syscall: SystemCall, calls: u32) {
    static WORD: u32 = 0;
    for _ in 0..calls {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: nobody waits there.
        assert_eq!(unsafe { black_box(syscall)(libc::SYS_futex, &raw const WORD, operation, 1) }, 0);
    }
}

fn read_by_std(calls: u32) {
    let (mut stream, mut buf) = (&silent().0, [0_u8; 64]);
    for _ in 0..calls {
        assert_eq!(black_box(&mut stream).read(&mut buf).expect_err("nothing comes").kind(), ErrorKind::WouldBlock);
    }
}

/// As std does.
fn read_by_hand(calls: u32) {
    let (fd, mut buf, recv) = (silent().0.as_raw_fd(), [0_u8; 64], own().recv);
    for _ in 0..calls {
        // SAFETY: there is room.
        let got = unsafe { black_box(recv)(fd, buf.as_mut_ptr().cast(), 64, 0) };
        let got = if got == -1 { Err(io::Error::last_os_error()) } else { Ok(got) };
        assert_eq!(got.expect_err("nothing comes").kind(), ErrorKind::WouldBlock);
    }
}

fn time_of(calls: fn(u32)) -> Duration {
    let began = Instant::now();
    calls(CALLS);
    began.elapsed()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, name, which, calls] = arguments.as_slice() {
        let row = ROWS.iter().find(|row| row.name == name).expect("a row");
        let run = if which == "libc" { row.own } else { row.hooked };
        return run(calls.parse().expect("a number"));
    }
    println!("a call by a thread, ns    libc's   hooked   more");
    for row in ROWS {
        let (mut least, began) = ([Duration::MAX; 2], Instant::now());
        for _ in (0..ROUNDS).take_while(|_| began.elapsed() < ROW) {
            for (least, calls) in least.iter_mut().zip([row.own, row.hooked]) {
                *least = time_of(calls).min(*least);
            }
        }
        let [own, hooked] = least.map(|time| time.as_nanos() as f64 / f64::from(CALLS));
        println!("{:<24} {own:>7.1} {hooked:>8.1} {:>6.1}", row.name, hooked - own);
    }
}

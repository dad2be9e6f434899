//! The wrappers by themselves.

use super::*;
use std::ptr;

/// A reservation that opens, discards, guards and counts as the kernel promises.
#[test]
fn pages_come_and_go() {
    let page = page_bytes();
    let start = reserve(64 * page, 1 << 21).expect("reserve");
    let address = start.as_ptr().expose_provenance();
    assert_eq!(address % (1 << 21), 0);
    let all = Span { start: address, bytes: 64 * page };
    // SAFETY: the reservation is this test's.
    unsafe { advise(all, Advice::NoHugepage) }.expect("advise");
    // SAFETY: as above.
    unsafe { open(all) }.expect("open");
    let residency = Residency::open();
    assert_eq!(residency.bytes(all), 0);
    for index in [3, 4, 60] {
        // SAFETY: the page is open.
        unsafe { start.as_ptr().wrapping_add(index * page).write(7) };
    }
    assert_eq!(residency.bytes(all), 3 * page);
    // SAFETY: the pages are not needed.
    unsafe {
        discard(&[Span { start: address + 3 * page, bytes: page }, Span { start: address + 60 * page, bytes: page }])
    }
    .expect("discard");
    assert_eq!(residency.bytes(all), page);
    if guard_backend() == Guard::Install {
        // SAFETY: the pages are open.
        unsafe {
            populate(&[Span { start: address, bytes: page }, Span { start: address + 4 * page, bytes: 2 * page }]);
        }
        assert_eq!(residency.bytes(all), 3 * page);
    }
    // SAFETY: the page is open; it was discarded, so it reads as zero.
    assert_eq!(unsafe { start.as_ptr().wrapping_add(3 * page).read() }, 0);
    // SAFETY: the reservation is this test's and not used after this.
    unsafe { release(start, 64 * page) };
}

/// Reserving more than there is answers an error.
#[test]
fn absurd_reservations_fail() {
    assert!(reserve(1 << 60, 1 << 21).is_err());
    assert!(reserve(usize::MAX - 4095, 1 << 21).is_err());
}

/// The clock goes forward, and the fences and hints do not fault.
#[test]
fn clock_fences_and_hints() {
    let before_ns = monotonic_ns();
    set_timer_slack_ns(1);
    light_fence();
    if register_membarrier() {
        assert!(heavy_fence());
    }
    prefetch_lines(ptr::without_provenance::<u8>(1), 2);
    prefetch_lines_to_l2(ptr::without_provenance::<u8>(1), 2);
    assert!(monotonic_ns() >= before_ns);
    assert!(max_map_count() > 1000);
}

/// An alternate stack is in force while it lives, and the one before comes back.
#[test]
fn alternate_stack_is_restored() {
    let current = || {
        let mut current = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        // SAFETY: only writes to `current`.
        unsafe { libc::sigaltstack(ptr::null(), &raw mut current) };
        (current.ss_sp.addr(), current.ss_size)
    };
    std::thread::spawn(move || {
        let before = current();
        let alt_stack = AltStack::install().expect("alternate stack");
        assert_eq!(current().1, 64 * 1024);
        drop(alt_stack);
        assert_eq!(current(), before);
    })
    .join()
    .expect("thread");
}

/// A fault that the handler lets pass reaches the handler that was there before, with all three arguments.
#[test]
#[allow(clippy::disallowed_methods, reason = "the test talks to its own child process")]
fn faults_reach_the_earlier_handler() {
    extern "C" fn earlier(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's siginfo, handed on.
        let details = unsafe { &*info };
        // SAFETY: a SIGSEGV has an address.
        let address = unsafe { details.si_addr() }.addr();
        let as_expected = signal == libc::SIGSEGV && address == 8 && !context.is_null();
        // SAFETY: _exit may be called in a signal handler.
        unsafe { libc::_exit(if as_expected { 42 } else { 43 }) };
    }
    const CHILD: &str = "PIRN_OS_TEST_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let name = concat!(module_path!(), "::faults_reach_the_earlier_handler");
        let name = name.split_once("::").map_or(name, |(_, inside)| inside);
        let exe = std::env::current_exe().expect("own path");
        let status = std::process::Command::new(exe).args(["--exact", name]).env(CHILD, "1").status().expect("child");
        assert_eq!(status.code(), Some(42));
        return;
    }
    // SAFETY: all zeros is a valid sigaction.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = earlier as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler does signal-safe things only.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
    install_fault_handler(|fault| assert!(fault.stack_pointer != 0)).expect("handler");
    // SAFETY: it is not sound at all; it must fault, in a process made for that.
    unsafe { ptr::without_provenance_mut::<u64>(8).write_volatile(1) };
}

/// The file stays open, and says each time how it is now.
#[test]
fn running_threads_are_counted_anew() {
    let mut running = RunningThreads::default();
    assert!(running.count().is_some_and(|count| count >= 1));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let seen = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            running.count().is_some_and(|count| count >= 8)
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(seen, "8 threads compute");
    });
}

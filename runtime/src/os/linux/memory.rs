//! Address space: reserving, opening, guarding, giving pages back, counting those that are there.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// `madvise` advice of Linux 6.13 that makes pages fault without splitting the mapping (not yet in `libc`).
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// Stands for the calling process where a pidfd is expected, from Linux 6.14 on; older kernels answer
/// `EBADF`.
const PIDFD_SELF: libc::c_int = -10_000;
/// Ranges per `process_madvise`. The gain levels off at 32; 64 `iovec`s are 1 KiB of stack.
const BATCH_SPANS: usize = 64;

/// A range of addresses, `start..start + bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The lowest address.
    pub(crate) start: usize,
    /// The length.
    pub(crate) bytes: usize,
}

/// What to tell the kernel about a whole reservation, before its first page is touched: later the mapping would be
/// split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Leave the range out of core dumps: walking a reservation costs 41 ms per GiB.
    DontDump,
    /// Never use huge pages here.
    NoHugepage,
    /// Use huge pages here where the kernel can.
    Hugepage,
}

/// How this machine can make a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// [`install_guards`] works: guards cost no mapping, so there may be millions.
    Install,
    /// Only [`close`] works: a guard costs two mappings, and `vm.max_map_count` limits them.
    Mprotect,
}

/// The size of a page.
pub(crate) fn page_bytes() -> usize {
    static CACHED_BYTES: AtomicUsize = AtomicUsize::new(0);
    let cached_bytes = CACHED_BYTES.load(Ordering::Relaxed);
    if cached_bytes != 0 {
        return cached_bytes;
    }
    // SAFETY: sysconf only reads its argument.
    let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let bytes = usize::try_from(answer).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4096);
    CACHED_BYTES.store(bytes, Ordering::Relaxed);
    bytes
}

/// Reserves `len_bytes` of inaccessible address space whose start is a multiple of `align_bytes` (a power of
/// two). It costs no memory and is not charged, whatever the overcommit policy.
///
/// # Errors
///
/// What `mmap` answers, in most cases `ENOMEM` because of a limit on address space.
pub(crate) fn reserve(len_bytes: usize, align_bytes: usize) -> io::Result<NonNull<u8>> {
    debug_assert!(align_bytes.is_power_of_two());
    // mmap aligns to a page by itself; for more, reserve more and cut both ends off.
    let slack_bytes = if align_bytes <= page_bytes() { 0 } else { align_bytes };
    let mapped_bytes = len_bytes.checked_add(slack_bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh private mapping at an address of the kernel's choice replaces nothing.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), mapped_bytes, libc::PROT_NONE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let mapped = mapped.cast::<u8>();
    if slack_bytes == 0 {
        return Ok(NonNull::new(mapped).expect("os: mmap never answers the null page unasked"));
    }
    let head_bytes = mapped.addr().next_multiple_of(align_bytes) - mapped.addr();
    let start = mapped.wrapping_add(head_bytes);
    unmap(mapped, head_bytes);
    unmap(start.wrapping_add(len_bytes), slack_bytes - head_bytes);
    Ok(NonNull::new(start).expect("os: an aligned address inside a mapping is not null"))
}

/// Unmaps part of a mapping that no other code has seen yet. A failure only leaves some address space reserved.
fn unmap(start: *mut u8, len_bytes: usize) {
    if len_bytes != 0 {
        // SAFETY: `reserve` cuts a mapping it has just made and not handed out (I1).
        let _ = unsafe { libc::munmap(start.cast(), len_bytes) };
    }
}

/// Gives a whole reservation back.
///
/// # Safety
///
/// `start` and `len_bytes` come from one [`reserve`], and nothing uses the memory any more.
pub(crate) unsafe fn release(start: NonNull<u8>, len_bytes: usize) {
    // SAFETY: promised by the caller.
    let status = unsafe { libc::munmap(start.as_ptr().cast(), len_bytes) };
    debug_assert_eq!(status, 0, "os: munmap of our own reservation");
}

/// Makes part of a reservation readable and writable. It reads as zeros.
///
/// # Errors
///
/// What `mprotect` answers: `ENOMEM` at the limits on mappings and on committed memory.
///
/// # Safety
///
/// The page-aligned range lies in a reservation of the caller's.
pub(crate) unsafe fn open(span: Span) -> io::Result<()> {
    // SAFETY: promised by the caller.
    unsafe { protect(span, libc::PROT_READ | libc::PROT_WRITE) }
}

/// Makes part of a reservation inaccessible again. It keeps its contents.
///
/// # Errors
///
/// What `mprotect` answers: `ENOMEM` at the limit on mappings.
///
/// # Safety
///
/// The page-aligned range lies in a reservation of the caller's, and nothing uses that part.
pub(crate) unsafe fn close(span: Span) -> io::Result<()> {
    // SAFETY: promised by the caller.
    unsafe { protect(span, libc::PROT_NONE) }
}

/// Sets the protection of `span`.
///
/// # Safety
///
/// As for [`open`] and [`close`].
unsafe fn protect(span: Span, protection: libc::c_int) -> io::Result<()> {
    // SAFETY: promised by the caller.
    let status = unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(span.start), span.bytes, protection) };
    checked(status)
}

/// Passes `advice` on for `span`.
///
/// # Errors
///
/// `EINVAL` where the kernel was built without the feature. That is no reason to stop.
///
/// # Safety
///
/// The page-aligned range lies in a reservation of the caller's.
pub(crate) unsafe fn advise(span: Span, advice: Advice) -> io::Result<()> {
    let advice = match advice {
        Advice::DontDump => libc::MADV_DONTDUMP,
        Advice::NoHugepage => libc::MADV_NOHUGEPAGE,
        Advice::Hugepage => libc::MADV_HUGEPAGE,
    };
    // SAFETY: promised by the caller; these three change no contents.
    unsafe { advise_one(span, advice) }
}

/// The cached answer of [`guard_backend`]: 0 not asked yet, 1 [`Guard::Install`], 2 [`Guard::Mprotect`].
static GUARD_BACKEND: AtomicU8 = AtomicU8::new(0);

/// Says how guards are made here. The first call tries it on a page of its own.
pub(crate) fn guard_backend() -> Guard {
    match GUARD_BACKEND.load(Ordering::Relaxed) {
        1 => Guard::Install,
        2 => Guard::Mprotect,
        _ => {
            let guard = probe_guard();
            GUARD_BACKEND.store(if guard == Guard::Install { 1 } else { 2 }, Ordering::Relaxed);
            guard
        }
    }
}

/// Makes this process behave as if the kernel had only the given kind of guard.
#[cfg(test)]
pub(crate) fn set_guard_backend(guard: Guard) {
    GUARD_BACKEND.store(if guard == Guard::Install { 1 } else { 2 }, Ordering::Relaxed);
}

/// Tries to guard a page. This fails before Linux 6.13, in sandboxes that do not know the advice, and under
/// `mlockall`.
fn probe_guard() -> Guard {
    let Ok(start) = reserve(page_bytes(), page_bytes()) else {
        return Guard::Mprotect;
    };
    let span = Span { start: start.as_ptr().expose_provenance(), bytes: page_bytes() };
    // SAFETY: the page was reserved above, and no other code knows it (I1).
    let works = unsafe { advise_one(span, MADV_GUARD_INSTALL) }.is_ok();
    // SAFETY: as above, and it is not used after this.
    unsafe { release(start, page_bytes()) };
    if works { Guard::Install } else { Guard::Mprotect }
}

/// Makes the pages of every span fault, and drops what they held. Several spans go in one system call.
///
/// # Errors
///
/// The first refusal. Some spans may have been guarded by then.
///
/// # Safety
///
/// The page-aligned spans lie in a reservation of the caller's, and nothing uses those parts.
pub(crate) unsafe fn install_guards(spans: &[Span]) -> io::Result<()> {
    // SAFETY: promised by the caller.
    unsafe { advise_all(spans, MADV_GUARD_INSTALL) }
}

/// Gives the pages of every span back. They read as zeros afterwards; guards stay. Several spans go in one
/// system call, because each call interrupts the other processors once (13 us alone, 1 us per span in a
/// batch).
///
/// # Errors
///
/// The first refusal, as under `mlockall`. The memory stays usable.
///
/// # Safety
///
/// The page-aligned spans lie in a reservation of the caller, and their contents are not needed.
pub(crate) unsafe fn discard(spans: &[Span]) -> io::Result<()> {
    // SAFETY: promised by the caller.
    unsafe { advise_all(spans, libc::MADV_DONTNEED) }
}

/// Has the pages of all spans there before they are touched, if the kernel can do that for many spans in one system call:
/// then it takes three quarters of the time that page faults take. It is no error if it cannot.
///
/// # Safety
///
/// The page-aligned spans are open parts of a reservation of the caller's.
pub(crate) unsafe fn populate(spans: &[Span]) {
    for batch in spans.chunks(BATCH_SPANS) {
        // SAFETY: promised by the caller.
        let _ = unsafe { advise_batch(batch, libc::MADV_POPULATE_WRITE) };
    }
}

/// Gives `advice` for all spans, batched where the kernel can do that.
///
/// # Safety
///
/// The caller promises what `advice` needs of the spans. Repeating it does no harm (I2).
unsafe fn advise_all(spans: &[Span], advice: libc::c_int) -> io::Result<()> {
    static BATCHES_REFUSED: AtomicBool = AtomicBool::new(false);
    for batch in spans.chunks(BATCH_SPANS) {
        if batch.len() > 1 && !BATCHES_REFUSED.load(Ordering::Relaxed) {
            // SAFETY: promised by the caller.
            if unsafe { advise_batch(batch, advice) } {
                continue;
            }
        }
        for &span in batch {
            // SAFETY: promised by the caller.
            unsafe { advise_one(span, advice) }?;
        }
        if batch.len() > 1 {
            // The kernel takes single spans and refuses batches: do not try again.
            BATCHES_REFUSED.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Gives `advice` for up to [`BATCH_SPANS`] spans in one call. Returns whether all of it was accepted.
///
/// # Safety
///
/// As for [`advise_all`].
unsafe fn advise_batch(batch: &[Span], advice: libc::c_int) -> bool {
    let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_SPANS];
    let mut asked_bytes = 0;
    for (vector, span) in vectors.iter_mut().zip(batch) {
        *vector = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(span.start), iov_len: span.bytes };
        asked_bytes += span.bytes;
    }
    let number = libc::SYS_process_madvise;
    // SAFETY: `vectors` holds at least `batch.len()` entries and outlives the call; the spans are the
    // caller's promise.
    let done_bytes = unsafe { libc::syscall(number, PIDFD_SELF, vectors.as_ptr(), batch.len(), advice, 0_u32) };
    usize::try_from(done_bytes) == Ok(asked_bytes)
}

/// Gives `advice` for one span.
///
/// # Safety
///
/// As for [`advise_all`].
unsafe fn advise_one(span: Span, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: promised by the caller.
    let status = unsafe { libc::madvise(ptr::with_exposed_provenance_mut(span.start), span.bytes, advice) };
    checked(status)
}

/// How many mappings a process may have (`vm.max_map_count`), or the kernel's default if that cannot be read.
pub(crate) fn max_map_count() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(65_530)
}

/// Counts resident pages. Opened for a pass over many ranges and then dropped, so that no descriptor stays.
#[derive(Debug)]
pub(crate) struct Residency {
    /// `/proc/self/pagemap`, if it can be opened.
    pagemap: Option<File>,
}

impl Residency {
    /// Opens what is needed for counting.
    pub(crate) fn open() -> Residency {
        Residency { pagemap: File::open("/proc/self/pagemap").ok() }
    }

    /// How many bytes of `span` (page-aligned and mapped) are in memory.
    pub(crate) fn bytes(&self, span: Span) -> usize {
        self.pagemap.as_ref().and_then(|pagemap| scanned_bytes(pagemap, span)).unwrap_or_else(|| mincore_bytes(span))
    }
}

/// The argument of the `PAGEMAP_SCAN` ioctl (`struct pm_scan_arg`, Linux 6.7).
#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// One run of pages found by `PAGEMAP_SCAN` (`struct page_region`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ScanRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
const PAGE_IS_PRESENT: u64 = 1 << 3;
/// The shared page of zeros that a read of untouched memory maps. It costs nothing, so it is not counted.
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// Counts with `PAGEMAP_SCAN`, 33 to 95 ns per stack; `None` where the kernel does not have it.
fn scanned_bytes(pagemap: &File, span: Span) -> Option<usize> {
    let mut regions = [ScanRegion::default(); 64];
    let end = (span.start + span.bytes) as u64;
    let mut start = span.start as u64;
    let mut found_bytes = 0;
    while start < end {
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            start,
            end,
            vec: regions.as_mut_ptr().expose_provenance() as u64,
            vec_len: regions.len() as u64,
            category_inverted: PAGE_IS_PFNZERO,
            category_mask: PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
            return_mask: PAGE_IS_PRESENT,
            ..ScanArg::default()
        };
        // SAFETY: `arg` names `regions` with its true length; both outlive the call. It changes nothing else.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
        let found = usize::try_from(found).ok()?;
        found_bytes += regions[..found].iter().map(|region| (region.end - region.start) as usize).sum::<usize>();
        if arg.walk_end <= start {
            return None;
        }
        start = arg.walk_end;
    }
    Some(found_bytes)
}

/// Counts with `mincore`, 0.7 to 1.3 us per stack.
fn mincore_bytes(span: Span) -> usize {
    let mut flags = [0_u8; 1024];
    let window_bytes = flags.len() * page_bytes();
    let mut found_pages = 0;
    for start in (span.start..span.start + span.bytes).step_by(window_bytes) {
        let len_bytes = window_bytes.min(span.start + span.bytes - start);
        // SAFETY: `flags` has a byte for every page of the window; mincore writes only there.
        let status = unsafe { libc::mincore(ptr::with_exposed_provenance_mut(start), len_bytes, flags.as_mut_ptr()) };
        if status == 0 {
            found_pages += flags[..len_bytes / page_bytes()].iter().filter(|&&flag| flag & 1 != 0).count();
        }
    }
    found_pages * page_bytes()
}

/// Turns the 0 or -1 of a system call into a result.
fn checked(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

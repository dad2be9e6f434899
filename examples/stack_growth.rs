//! How the stack of a goroutine gets its memory: a page when it is touched, not before.
//!
//! ```text
//! cargo run --release --example stack_growth
//! ```
//!
//! Look at: the stack pointer going down by about 10 KiB from line to line, and the committed memory following it in
//! whole pages (`<- grew`), far below the limit. The addresses never move: frames are not copied. Then a G with a
//! limit of 64 MiB has an array of ten million entries on its stack, and pays for that much.

use std::hint::black_box;

const FRAMES: usize = 200;
const PRINT_EVERY: usize = 10;
/// With what a frame holds besides, about 1 KiB in a release build.
const ARRAY_BYTES: usize = 864;
const SIEVE: usize = 10_000_000;

fn main() {
    pirn::run(|| {
        let limit = stack().limit_bytes / 1024;
        println!("{FRAMES} frames of about 1 KiB, limit {limit} KiB:");
        println!("depth  stack pointer   committed");
        recurse(1, 0);
        println!("    0  the frames are gone, the memory stays: {} KiB", stack().committed_bytes / 1024);

        let sieve = pirn::GoBuilder::new().name("sieve").stack_size(64 << 20).go(count_primes);
        let (primes, committed_bytes) = sieve.join().expect("the sieve does not panic");
        println!();
        println!("a sieve of {SIEVE} entries in an array on the stack:");
        println!("{primes} primes, {} MiB committed", committed_bytes >> 20);
    });
}

fn stack() -> pirn::StackUse {
    pirn::stack_use().expect("it is called on a G")
}

/// One frame of about 1 KiB after the other. `committed` is what the last printed line said.
#[inline(never)]
fn recurse(depth: usize, mut committed: usize) {
    // `black_box` before and after keeps the frame in memory and the call from becoming a loop.
    let frame = [depth as u8; ARRAY_BYTES];
    black_box(&frame);
    if depth.is_multiple_of(PRINT_EVERY) {
        let now = stack();
        let grew = if now.committed_bytes > committed { "  <- grew" } else { "" };
        println!("{depth:5}  {:#x}  {:5} KiB{grew}", now.pointer, now.committed_bytes / 1024);
        committed = now.committed_bytes;
    }
    if depth < FRAMES {
        recurse(depth + 1, committed);
    }
    black_box(&frame);
}

/// The number of primes below ten million, and how many bytes of stack there were at the end.
#[inline(never)]
fn count_primes() -> (usize, usize) {
    // An array, not a `Vec`: it lies in this frame.
    let mut is_prime = [true; SIEVE];
    is_prime[..2].fill(false);
    let mut n = 2;
    while n * n < SIEVE {
        if is_prime[n] {
            for multiple in (n * n..SIEVE).step_by(n) {
                is_prime[multiple] = false;
            }
        }
        n += 1;
    }
    let primes = black_box(&is_prime).iter().filter(|is| **is).count();
    (primes, stack().committed_bytes)
}

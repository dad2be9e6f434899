//! The prime sieve: a chain of goroutines, one for each prime, and each hands on what its prime does not divide.
//!
//! Go: the sieve of `doc/play/sieve.go`. What to look at is the end: nobody tells the Gs to stop. The one that takes
//! primes off the chain drops the last receiver, the filter before it finds that nobody listens and returns, and so on
//! up to the generator.
//!
//! ```text
//! cargo run --release --example prime_sieve [COUNT]
//! ```

use pirn::channel::{Receiver, Sender, bounded};

fn main() {
    let count = std::env::args().nth(1).map_or(10, |n| n.parse().expect("a number of primes"));
    let primes = pirn::run(move || primes(count));
    let words: Vec<String> = primes.iter().map(u64::to_string).collect();
    println!("{}", words.join(" "));
}

/// The first primes, taken off the end of a chain that grows by a filter with each.
fn primes(count: usize) -> Vec<u64> {
    let (numbers_in, mut numbers) = bounded(0);
    pirn::go(move || generate(&numbers_in));
    let mut primes = Vec::with_capacity(count);
    while primes.len() < count {
        let prime = numbers.recv().expect("there are always more numbers");
        primes.push(prime);
        let (rest_in, rest) = bounded(0);
        let all = std::mem::replace(&mut numbers, rest);
        pirn::go(move || filter(&all, &rest_in, prime));
    }
    primes
}

/// 2, 3, 4 and so on, as long as somebody listens.
fn generate(numbers: &Sender<u64>) {
    (2..).try_for_each(|n| numbers.send(n)).ok();
}

/// Hands on what `prime` does not divide.
fn filter(numbers: &Receiver<u64>, rest: &Sender<u64>, prime: u64) {
    numbers.iter().filter(|n| n % prime != 0).try_for_each(|n| rest.send(n)).ok();
}

//! Tries many ports of a host at once, and says which are open.
//!
//! Each port has a goroutine, a semaphore lets a hundred of them connect at a time, and each gives up after half a second:
//! a host that does not answer is done in as many half seconds as it has hundreds of ports.
//!
//! ```text
//! cargo run --example port_scan 127.0.0.1 1 65535
//! ```

use pirn::net::{TcpStream, lookup_host};
use pirn::sync::Semaphore;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const AT_ONCE: usize = 100;
const TIMEOUT: Duration = Duration::from_millis(500);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let host = args.first().map_or("127.0.0.1", String::as_str);
    let port = |nth: usize, default| args.get(nth).and_then(|port| port.parse().ok()).unwrap_or(default);
    let ports = port(1, 1)..=port(2, 1024);
    pirn::run(|| {
        let address = match lookup_host((host, 0)).map(|mut addresses| addresses.next()) {
            Ok(Some(address)) => address,
            Ok(None) => return println!("{host} has no address"),
            Err(error) => return println!("{host}: {error}"),
        };
        let began = Instant::now();
        let limit = Semaphore::new(AT_ONCE);
        let (open_in, open) = pirn::channel::unbounded();
        let tried = ports.clone().count();
        pirn::scope(|s| {
            for port in ports {
                let (limit, open_in) = (&limit, open_in.clone());
                s.go(move || {
                    let _permit = limit.acquire(1).expect("it is never closed");
                    if TcpStream::connect_timeout(&SocketAddr::new(address.ip(), port), TIMEOUT).is_ok() {
                        open_in.send(port).expect("somebody listens");
                    }
                });
            }
        });
        drop(open_in);
        let mut open: Vec<u16> = open.iter().collect();
        open.sort_unstable();
        open.iter().for_each(|port| println!("{port} is open"));
        println!("{tried} ports in {:.1} s", began.elapsed().as_secs_f64());
    });
}

//! Sends back what it gets. Each connection has a goroutine, and none of them holds a thread while it waits.
//!
//! Go: `net.Listen`, and `go io.Copy(conn, conn)`. Here `copy` leaves the bytes in the kernel.
//!
//! ```text
//! cargo run --example echo_server
//! nc 127.0.0.1 7777
//! ```

use pirn::net::TcpListener;
use std::io;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7777".to_owned());
    pirn::run(|| {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept()?;
            pirn::go(move || match pirn::io::copy(&mut &stream, &mut &stream) {
                Ok(bytes) => println!("{peer}: {bytes} bytes"),
                Err(error) => println!("{peer}: {error}"),
            });
        }
    })
}

//! An echo server of `std::net` alone: each connection has a goroutine, and none of them holds a thread while it waits.
//!
//! Nothing here is pirn's but `run` and `go`. The feature `hook` does the rest.
//!
//! ```text
//! cargo run --example std_echo --features hook
//! nc 127.0.0.1 7777
//! ```

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            len => stream.write_all(&buf[..len])?,
        }
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7777".to_owned());
    pirn::run(|| {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept()?;
            pirn::go(move || match echo(stream) {
                Ok(()) => println!("{peer}: has gone"),
                Err(error) => println!("{peer}: {error}"),
            });
        }
    })
}

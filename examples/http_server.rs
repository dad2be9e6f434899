//! Answers each request with one line: the smallest server that a browser and a load generator talk to.
//!
//! The code is blocking code as of a server with a thread for each connection. As those are goroutines, there may be as
//! many as there is memory for.
//!
//! ```text
//! cargo run --release --example http_server
//! curl http://127.0.0.1:8080/world
//! ```

use pirn::net::{TcpListener, TcpStream};
use std::io::{self, BufRead, BufReader, Write};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    pirn::run(|| {
        let listener = TcpListener::bind(address)?;
        println!("listening on http://{}", listener.local_addr()?);
        for stream in listener.incoming() {
            let stream = stream?;
            pirn::go(move || serve(&stream));
        }
        Ok(())
    })
}

/// Answers the requests of one connection, until the client ends it.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        let path = request.split(' ').nth(1).unwrap_or("/");
        let body = format!("Hello, {}!\n", path.trim_start_matches('/'));
        // Up to the empty line there are headers.
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        // In one piece.
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

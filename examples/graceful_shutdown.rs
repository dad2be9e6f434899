//! A server that ends in good order: it stops to accept, finishes what it has begun, and waits for that no longer than it
//! has said.
//!
//! It ends by Ctrl-C or SIGTERM. Three things happen then: the context ends, so connections that only wait for a request
//! end; the listener is closed, so `incoming` ends; and the others are waited for, five seconds at most. A second Ctrl-C
//! ends it at once. Go: `signal.NotifyContext` and `http.Server.Shutdown`.
//!
//! ```text
//! cargo run --example graceful_shutdown
//! nc 127.0.0.1 7777
//! ```

use pirn::context::Context;
use pirn::net::{TcpListener, TcpStream};
use pirn::signal::{Signal, notify_context};
use pirn::sync::WaitGroup;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long what has begun may take.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7777".to_owned());
    pirn::run(|| {
        let listener = Arc::new(TcpListener::bind(address)?);
        println!("listening on {}", listener.local_addr()?);
        let (context, stop) = notify_context(&Context::background(), &[Signal::INTERRUPT, Signal::TERMINATE])?;
        let connections = Arc::new(WaitGroup::new());
        let server = pirn::go({
            let (listener, connections, context) = (listener.clone(), connections.clone(), context.clone());
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let context = context.clone();
                    connections.go(move || serve(&context, stream));
                }
            }
        });
        context.wait();
        println!("closing: {}", context.cause().expect("it has ended"));
        drop(stop);
        listener.close();
        server.join().expect("it does not panic");
        match connections.wait_timeout(GRACE) {
            true => println!("all requests are answered"),
            false => println!("some requests took too long"),
        }
        Ok(())
    })
}

/// Answers each line after so many milliseconds as it says.
fn serve(context: &Context, stream: TcpStream) {
    let stream = Arc::new(stream);
    // A read that only waits for the next request ends when the server does; an answer does not.
    let _stop = context.after_func({
        let stream = stream.clone();
        move || stream.set_read_deadline(Some(Instant::now()))
    });
    for line in BufReader::new(&*stream).lines().map_while(Result::ok) {
        pirn::sleep(Duration::from_millis(line.trim().parse().unwrap_or(0)));
        if writeln!(&*stream, "after {line} ms").is_err() {
            return;
        }
    }
}

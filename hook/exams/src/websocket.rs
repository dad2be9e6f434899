//! tungstenite over std's `TcpStream`, on both sides.

use crate::{MANY, listener, many};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::Instant;
use tungstenite::{Error, Message, WebSocket};

const MESSAGES: usize = 10;
/// What does not fit into a socket's buffer, for some of them.
const LARGE: usize = 8 << 20;

pub(crate) fn exam() -> String {
    let (listener, address) = listener();
    let server = pirn::go(move || {
        let serve = |_| {
            let (stream, _) = listener.accept().expect("a client");
            pirn::go(move || echo(tungstenite::accept(stream).expect("a handshake")))
        };
        let servers: Vec<_> = (0..MANY).map(serve).collect();
        servers.into_iter().map(|server| server.join().expect("it does not panic")).sum::<usize>()
    });
    let began = Instant::now();
    let all_are_open = Arc::new(Barrier::new(MANY));
    many(MANY, move |nth| {
        let stream = TcpStream::connect(address).expect("it listens");
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("a handshake");
        all_are_open.wait();
        for n in 0..MESSAGES {
            let message = match n % 2 {
                0 => Message::text(format!("{nth}: {}", "ä".repeat(n))),
                _ => Message::binary(vec![nth as u8; n * n]),
            };
            ask(&mut socket, message);
        }
        if nth % 100 == 0 {
            ask(&mut socket, Message::binary(vec![nth as u8; LARGE]));
        }
        socket.close(None).expect("the server reads");
        while socket.read().is_ok() {}
    });
    let took = began.elapsed();
    assert_eq!(server.join().expect("it does not panic"), MANY * MESSAGES + MANY / 100);
    format!("{MANY} connections at once with {MESSAGES} messages each in {took:.1?}")
}

fn ask(socket: &mut WebSocket<TcpStream>, message: Message) {
    socket.send(message.clone()).expect("the server reads");
    assert!(socket.read().expect("an answer") == message);
}

/// Sends back what comes. Returns how many messages that were.
fn echo(mut socket: WebSocket<TcpStream>) -> usize {
    let mut echoed = 0;
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(message).expect("the client reads");
                echoed += 1;
            }
            // tungstenite answers the end.
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return echoed,
            Err(error) => panic!("{error}"),
        }
    }
}

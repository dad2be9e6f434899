//! tungstenite on a `TcpStream`, and the Python package `websockets` on the other side: our server with its clients, and
//! our clients with its server. Both sides echo, and check what comes back.

use crate::programs;
use pirn::net::{TcpListener, TcpStream};
use pirn::sync::Barrier;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Bytes, Error, HandshakeError, Message, WebSocket};

/// So many connections are open at the same time.
const CONNECTIONS: usize = 200;
/// What each client sends, beside one of the large size.
const MESSAGES: usize = 50;
const LARGE: usize = 1 << 20;

/// Our server, and clients of the Python package.
pub(crate) fn server() -> String {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a listener"));
    let address = listener.local_addr().expect("its address");
    let served = {
        let listener = listener.clone();
        pirn::go(move || {
            let connections: Vec<_> = listener
                .incoming()
                .map_while(Result::ok)
                .map(|stream| pirn::go(move || echo(stream).expect("the client ends in order")))
                .collect();
            let echoed = connections.into_iter().map(|connection| connection.join().expect("it does not panic"));
            echoed.sum::<usize>()
        })
    };
    let began = Instant::now();
    let printed = programs::run(&mut python("websocket_client.py", &format!("ws://{address}")));
    let took = began.elapsed();
    listener.close();
    let echoed = served.join().expect("it does not panic");
    assert_eq!(printed.trim(), format!("{echoed} messages came back"));
    format!("{CONNECTIONS} clients of Python at once, {echoed} messages in {took:.1?}")
}

/// Our clients, and a server of the Python package.
pub(crate) fn client() -> String {
    let address = programs::free_address();
    let server = programs::start(&mut python("websocket_server.py", &address.port().to_string()));
    programs::wait_until_listening(address);
    let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|nth| {
            let all_are_open = all_are_open.clone();
            pirn::go(move || {
                let stream = TcpStream::connect(address).expect("it listens");
                let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("a handshake");
                all_are_open.wait();
                ask(&mut socket, nth);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all came back"));
    let took = began.elapsed();
    drop(server);
    format!(
        "{CONNECTIONS} clients of a server of Python at once, {} messages in {took:.1?}",
        CONNECTIONS * (MESSAGES + 1)
    )
}

fn python(script: &str, argument: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(format!("{}/src/{script}", env!("CARGO_MANIFEST_DIR")));
    command.args([argument, &CONNECTIONS.to_string(), &MESSAGES.to_string(), &LARGE.to_string()]);
    command
}

/// Sends back what comes. Returns how many messages that were.
fn echo(stream: TcpStream) -> Result<usize, Error> {
    let config = WebSocketConfig::default().max_message_size(Some(2 * LARGE));
    let mut socket = tungstenite::accept_with_config(stream, Some(config)).map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        HandshakeError::Interrupted(_) => unreachable!("a read waits"),
    })?;
    let mut echoed = 0;
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(message)?;
                echoed += 1;
            }
            // tungstenite answers pings, and the end.
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(echoed),
            Err(error) => return Err(error),
        }
    }
}

fn ask(socket: &mut WebSocket<TcpStream>, nth: usize) {
    for n in 0..MESSAGES {
        let message = match n % 2 {
            0 => Message::text(format!("{nth}: {}", "ä".repeat(n))),
            _ => Message::binary(vec![nth as u8; n * n]),
        };
        socket.send(message.clone()).expect("the server reads");
        assert_eq!(socket.read().expect("an answer"), message);
    }
    let large = Message::binary(vec![nth as u8; LARGE]);
    socket.send(large.clone()).expect("the server reads");
    assert!(socket.read().expect("an answer") == large);
    socket.send(Message::Ping(Bytes::from_static(b"there?"))).expect("the server reads");
    assert_eq!(socket.read().expect("an answer"), Message::Pong(Bytes::from_static(b"there?")));

    let end = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    socket.close(Some(end.clone())).expect("the server reads");
    assert_eq!(socket.read().expect("the server's end"), Message::Close(Some(end)));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}

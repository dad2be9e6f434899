//! Our types in async code.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::{on_gs, poll_once};
use futures_io::{AsyncRead, AsyncWrite};
use pirn_net::io::pipe;
use pirn_net::os::unix::net::{UnixDatagram, UnixStream};
use pirn_net::{Async, Poll, TcpListener, TcpStream};
use pirn_runtime::{block_on, go};
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

/// Reads up to the end.
async fn read_all(mut reader: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), [0; 1000]);
    loop {
        match poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut buf)).await.expect("it is connected") {
            0 => return all,
            length => all.extend_from_slice(&buf[..length]),
        }
    }
}

/// Writes all, and ends.
async fn write_all(mut writer: impl AsyncWrite + Unpin, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let slices = [IoSlice::new(&[]), IoSlice::new(bytes)];
        let length = poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &slices)).await.expect("it is read");
        bytes = &bytes[length..];
    }
    poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx)).await.expect("it does nothing");
    poll_fn(|cx| Pin::new(&mut writer).poll_close(cx)).await.expect("it is connected");
}

#[test]
fn all_streams_are_read_and_written() {
    on_gs(|| {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = block_on(Async::new(listener).accept()).unwrap().0;
        let sent = bytes.clone();
        let writer = go(move || block_on(write_all(Async::new(client), &sent)));
        assert!(block_on(read_all(Async::new(server))) == bytes);
        writer.join().unwrap();
        let (a, b) = UnixStream::pair().unwrap();
        let sent = bytes.clone();
        let writer = go(move || block_on(write_all(Async::new(a), &sent)));
        assert!(block_on(read_all(Async::new(b))) == bytes);
        writer.join().unwrap();
        let (reader, writer) = pipe().unwrap();
        let sent = bytes.clone();
        let writer = go(move || block_on(write_all(Async::new(writer), &sent)));
        assert!(block_on(read_all(Async::new(reader))) == bytes);
        writer.join().unwrap();
    });
}

#[test]
fn all_else_has_futures() {
    on_gs(|| {
        let (a, b) = UnixDatagram::pair().unwrap();
        let a = Async::new(a);
        let receiver = go(move || {
            block_on(async {
                a.readable().await.unwrap();
                a.writable().await.unwrap();
                let mut buf = [0; 10];
                a.read_with(|socket| socket.recv(&mut buf)).await.unwrap()
            })
        });
        pirn_runtime::sleep(SOON);
        b.send(b"hello").unwrap();
        assert_eq!(receiver.join().unwrap(), 5);
        let (reader, writer) = std::io::pipe().unwrap();
        let reader = Async::new(Poll::new(reader).unwrap());
        let waiter = go(move || block_on(reader.read_with(|mut pipe| pipe.read(&mut [0; 10]))).unwrap());
        (&writer).write_all(b"hi").unwrap();
        assert_eq!(waiter.join().unwrap(), 2);
    });
}

#[test]
fn deadlines_count() {
    on_gs(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        a.set_read_deadline(Some(Instant::now() + SOON));
        let a = Async::new(a);
        let late = block_on(a.readable()).unwrap_err().kind();
        assert_eq!(late, ErrorKind::TimedOut);
        a.into_inner().set_read_deadline(None);
    });
}

/// As hyper does it: it ends the writes of a connection that its peer has reset.
#[test]
fn writes_end_after_a_reset() {
    on_gs(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let mut client = Async::new(client);
        block_on(poll_fn(|cx| Pin::new(&mut client).poll_close(cx))).unwrap();
    });
}

#[test]
fn a_read_that_is_dropped_has_taken_nothing() {
    on_gs(|| {
        const BYTES: usize = 20_000;
        let (a, b) = UnixStream::pair().unwrap();
        let writer = go(move || {
            for chunk in (0..BYTES).map(|n| n as u8).collect::<Vec<_>>().chunks(7) {
                (&b).write_all(chunk).unwrap();
                pirn_runtime::yield_now();
            }
        });
        let a = Async::new(a);
        let (mut got, mut dropped) = (0, 0);
        let mut check = |buf: &[u8]| {
            for byte in buf {
                assert_eq!(*byte, got as u8, "at {got}");
                got += 1;
            }
            got
        };
        let mut count = 0;
        while count < BYTES {
            let mut buf = [0; 5];
            let mut read = Box::pin(a.read_with(|mut inner| inner.read(&mut buf)));
            let length = match poll_once(&mut read) {
                std::task::Poll::Ready(length) => length.unwrap(),
                // Some wait, while the writer goes on, and are dropped then; the others come to their end.
                std::task::Poll::Pending if dropped % 2 == 0 => {
                    dropped += 1;
                    pirn_runtime::yield_now();
                    drop(read);
                    continue;
                }
                std::task::Poll::Pending => {
                    dropped += 1;
                    block_on(&mut read).unwrap()
                }
            };
            drop(read);
            count = check(&buf[..length]);
        }
        writer.join().unwrap();
        assert!(dropped > 0);
        // A plain read has what is left: nothing.
        assert_eq!(a.into_inner().read(&mut [0]).unwrap(), 0);
    });
}

//! What the kernel copies between descriptors, and what waits for several of them.

use crate::common::Rng;
use crate::steps::{bytes, short};
use crate::world::{World, check};
use pirn::go;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

/// A file in memory.
fn file_of(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: a name that ends with a zero.
    let fd = unsafe { libc::memfd_create(c"torture".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is new, and no other code has it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// A whole file to a socket.
fn send_file(to: &TcpStream, file: &File, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        // SAFETY: two descriptors, without an offset.
        match unsafe { libc::sendfile64(to.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), bytes) } {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            sent @ 1.. => bytes -= sent.unsigned_abs(),
            _ => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

pub(crate) fn files(world: &World, rng: &mut Rng) -> io::Result<()> {
    let sent = bytes(rng, 600_000);
    let (file, bytes) = (file_of(&sent)?, sent.len());
    let stream = TcpStream::connect(world.address)?;
    let writer = stream.try_clone()?;
    let writing = go(move || {
        send_file(&writer, &file, bytes)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut came = Vec::new();
    (&stream).read_to_end(&mut came)?;
    writing.join().map_err(|_| io::Error::from(ErrorKind::Other))??;
    check(came == sent || world.is_cancelled(), "other bytes come from a file");
    Ok(())
}

/// From a socket through a pipe into a socket, in a G each. `io::copy` calls `splice` for it.
pub(crate) fn pipes(_: &World, rng: &mut Rng) -> io::Result<()> {
    let sent = bytes(rng, 300_000);
    let expected = sent.clone();
    let (mut first, mut second) = UnixStream::pair()?;
    let (mut reader, mut writer) = io::pipe()?;
    let (mut third, mut last) = UnixStream::pair()?;
    let gs = [
        go(move || first.write_all(&sent)),
        go(move || io::copy(&mut second, &mut writer).map(drop)),
        go(move || io::copy(&mut reader, &mut third).map(drop)),
    ];
    let mut came = Vec::new();
    last.read_to_end(&mut came)?;
    for g in gs {
        g.join().map_err(|_| io::Error::from(ErrorKind::Other))??;
    }
    check(came == expected, "other bytes come through a pipe of the kernel's");
    Ok(())
}

/// One of several is written to, or none; the poll says which.
pub(crate) fn polls(world: &World, rng: &mut Rng) -> io::Result<()> {
    let pairs = [UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?];
    let mut asked =
        [0, 1, 2].map(|nth: usize| libc::pollfd { fd: pairs[nth].0.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let written = rng.below(4);
    let mut peer = pairs.get(written).map(|pair| pair.1.try_clone()).transpose()?;
    let (time, pause) = (short(rng) * 4, short(rng));
    let writing = go(move || {
        std::thread::sleep(pause);
        peer.as_mut().map_or(Ok(()), |peer| peer.write_all(b"x"))
    });
    let limit = if written < pairs.len() { -1 } else { time.as_millis() as i32 };
    // SAFETY: there are so many.
    let found = unsafe { libc::poll(asked.as_mut_ptr(), 3, limit) };
    if found < 0 {
        let error = io::Error::last_os_error();
        check(error.kind() != ErrorKind::Interrupted, &format!("a signal has ended a poll of {limit} ms"));
        return Err(error);
    }
    let is_found = |nth: usize| asked[nth].revents == libc::POLLIN;
    check((0..3).all(|nth| is_found(nth) == (nth == written)) || world.is_cancelled(), "a poll says something else");
    check(found == i32::from(written < pairs.len()) || world.is_cancelled(), "a poll counts otherwise");
    writing.join().map_err(|_| io::Error::from(ErrorKind::Other))?
}

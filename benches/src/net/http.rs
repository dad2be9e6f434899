//! HTTP/1.1 of one connection without its socket: every Rust peer answers with this code. Requests have no body, and the
//! answer is always the same.

/// How much a server reads at once.
pub(crate) const BUFFER: usize = 4096;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
const BAD: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// More headers than this are too many.
const HEADERS_MAX: usize = 32;

/// What has come of requests, and what is to be sent.
pub(crate) struct Exchange {
    buffer: [u8; BUFFER],
    filled: usize,
    answers: Vec<u8>,
}

/// What the beginning of the buffer is.
enum Head {
    /// A request of so many bytes, and whether the connection stays open after its answer.
    Whole(usize, bool),
    /// The beginning of one.
    Part,
    /// No request that can be answered.
    Bad,
}

impl Exchange {
    pub(crate) fn new() -> Exchange {
        Exchange { buffer: [0; BUFFER], filled: 0, answers: Vec::with_capacity(OK.len()) }
    }

    /// Where the next bytes are to be read to. There is room.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// So many bytes have come: makes the [`answers`](Self::answers). Whether the connection stays open after them.
    pub(crate) fn received(&mut self, count: usize) -> bool {
        self.filled += count;
        self.answers.clear();
        let mut done = 0;
        loop {
            match head(&self.buffer[done..self.filled]) {
                Head::Whole(size, goes_on) => {
                    done += size;
                    self.answers.extend_from_slice(OK);
                    if !goes_on {
                        return false;
                    }
                }
                Head::Part if done > 0 || self.filled < BUFFER => break,
                Head::Part | Head::Bad => {
                    self.answers.extend_from_slice(BAD);
                    return false;
                }
            }
        }
        self.buffer.copy_within(done..self.filled, 0);
        self.filled -= done;
        true
    }

    /// What is to be sent now.
    pub(crate) fn answers(&self) -> &[u8] {
        &self.answers
    }
}

/// Reads one head.
fn head(bytes: &[u8]) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Head::Part,
        Err(_) => return Head::Bad,
    };
    // HTTP/1.0 closes by default.
    let mut goes_on = request.version == Some(1);
    for header in request.headers {
        if header.name.eq_ignore_ascii_case("connection") {
            goes_on = !header.value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding")
            || (header.name.eq_ignore_ascii_case("content-length") && header.value != b"0")
        {
            return Head::Bad;
        }
    }
    Head::Whole(size, goes_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is answered to `pieces`, and whether it goes on.
    fn answer(pieces: &[&[u8]]) -> (String, bool) {
        let (mut exchange, mut text, mut goes_on) = (Exchange::new(), String::new(), true);
        for piece in pieces {
            assert!(goes_on, "{text}");
            exchange.space()[..piece.len()].copy_from_slice(piece);
            goes_on = exchange.received(piece.len());
            text += std::str::from_utf8(exchange.answers()).unwrap();
        }
        (text, goes_on)
    }

    fn oks(text: &str) -> usize {
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        text.matches("Hello, world!").count()
    }

    #[test]
    fn requests_in_any_pieces() {
        let two = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 1..two.len() {
            let (text, goes_on) = answer(&[&two[..cut], &two[cut..]]);
            assert_eq!((oks(&text), goes_on), (2, true), "{cut}");
        }
    }

    #[test]
    fn who_wants_it_closed_gets_it_closed() {
        let close = b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n";
        assert!(!answer(&[close]).1);
        assert!(!answer(&[b"GET / HTTP/1.0\r\n\r\n"]).1);
        assert!(answer(&[b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"]).1);
        assert_eq!(oks(&answer(&[close]).0), 1);
    }

    #[test]
    fn what_can_not_be_answered_is_told_so() {
        let long = [b'a'; BUFFER];
        let body = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for wrong in [b"\x00\x01\r\n\r\n".as_slice(), &long, body, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            let (text, goes_on) = answer(&[wrong]);
            assert!(text.starts_with("HTTP/1.1 400 ") && !goes_on, "{text}");
        }
        assert_eq!(oks(&answer(&[b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"]).0), 1);
    }
}

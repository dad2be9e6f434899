//! Crates as they are, which know nothing of Gs and keep things per thread, in Gs that change threads in the middle of
//! what the crates do.

mod common;
#[path = "common/spans.rs"]
mod spans;

use common::{Countdown, Crossing, Ferry, Rng, isolated, scale};
use pirn_runtime::{Unparker, go, park, yield_now};
use regex::{Captures, Regex};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, Stream, SupportedProtocolVersion,
};
use scoped_tls::scoped_thread_local;
use spans::Spans;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::SubscriberExt;

/// Runs so many Gs at the same time, each with its number and what moves it; all of them must have been moved.
fn travel<T: Send + 'static>(gs: usize, journey: impl Fn(usize, Crossing) -> T + Send + Sync + 'static) -> Vec<T> {
    let rt = isolated(3);
    let ferry = Ferry::new(&rt);
    let journey = Arc::new(journey);
    let all: Vec<_> = (0..gs)
        .map(|i| {
            let (journey, crossing) = (journey.clone(), ferry.crossing());
            rt.go(move || journey(i, crossing))
        })
        .collect();
    let results = all.into_iter().map(|g| g.join().unwrap_or_else(|failure| std::panic::resume_unwind(failure)));
    let results = results.collect();
    assert!(ferry.moves() >= 5 * gs, "{} moves", ferry.moves());
    results
}

// ---------------------------------------------------------------------------------------------- a pipe between Gs

/// One direction: so many bytes at most are on their way.
struct Pipe(Mutex<Flow>);

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    closed: bool,
    waiting: Vec<Unparker>,
}

const PIPE_BYTES: usize = 3_000;

impl Pipe {
    fn new() -> Arc<Pipe> {
        Arc::new(Pipe(Mutex::default()))
    }

    /// Parks until `f` has something, and tells the others that the flow has changed.
    fn wait_for<T>(&self, mut f: impl FnMut(&mut Flow) -> Option<T>) -> T {
        loop {
            let mut flow = self.0.lock().expect("nobody panics under it");
            if let Some(got) = f(&mut flow) {
                let waiting = std::mem::take(&mut flow.waiting);
                drop(flow);
                waiting.iter().for_each(Unparker::unpark);
                return got;
            }
            flow.waiting.push(Unparker::current());
            drop(flow);
            park();
        }
    }
}

/// One G's end of two pipes. Whoever uses it goes on on another thread.
struct End {
    from: Arc<Pipe>,
    to: Arc<Pipe>,
    crossing: Crossing,
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.crossing.cross();
        self.from.wait_for(|flow| {
            if flow.bytes.is_empty() && !flow.closed {
                return None;
            }
            Some(flow.bytes.read(into))
        })
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crossing.cross();
        Ok(self.to.wait_for(|flow| {
            let n = bytes.len().min(PIPE_BYTES - flow.bytes.len());
            flow.bytes.extend(&bytes[..n]);
            (n > 0 || bytes.is_empty()).then_some(n)
        }))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.to.wait_for(|flow| {
            flow.closed = true;
            Some(())
        });
    }
}

/// The pipes between the Gs 0 and 1, 2 and 3, and so on.
struct Pipes(Vec<[Arc<Pipe>; 2]>);

impl Pipes {
    fn new(pairs: usize) -> Pipes {
        Pipes((0..pairs).map(|_| [Pipe::new(), Pipe::new()]).collect())
    }

    fn end_of(&self, g: usize, crossing: Crossing) -> End {
        let pipes = &self.0[g / 2];
        End { from: pipes[g % 2].clone(), to: pipes[1 - g % 2].clone(), crossing }
    }
}

/// Bytes that compress, and that tell whose they are.
fn bytes_of(owner: usize, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(owner as u64);
    std::iter::repeat_with(|| [owner as u8; 3].into_iter().chain([rng.below(256) as u8])).flatten().take(len).collect()
}

// ---------------------------------------------------------------------------------------------- rustls, rcgen

/// What both sides of a connection are made from.
fn configurations(version: &'static SupportedProtocolVersion) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .expect("the provider knows it")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they belong together");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("the provider knows it")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(client), Arc::new(server))
}

/// Sends what is the G's own, receives what is the other's. The client begins.
fn talk(version: &'static SupportedProtocolVersion) {
    let pairs = 3;
    let pipes = Pipes::new(pairs);
    let len = scale(20_000, 100_000);
    let configurations: Vec<_> = (0..pairs).map(|_| configurations(version)).collect();
    let versions = travel(2 * pairs, move |i, crossing| {
        let mut end = pipes.end_of(i, crossing);
        let (client, server) = &configurations[i / 2];
        let (mine, mut theirs) = (bytes_of(i, len), vec![0; len]);
        let version = if i % 2 == 0 {
            let name = ServerName::try_from("localhost").expect("a name");
            let mut connection = ClientConnection::new(client.clone(), name).expect("a connection");
            let mut stream = Stream::new(&mut connection, &mut end);
            stream.write_all(&mine).expect("a server that reads");
            stream.read_exact(&mut theirs).expect("a server that writes");
            connection.protocol_version()
        } else {
            let mut connection = ServerConnection::new(server.clone()).expect("a connection");
            let mut stream = Stream::new(&mut connection, &mut end);
            stream.read_exact(&mut theirs).expect("a client that writes");
            stream.write_all(&mine).expect("a client that reads");
            connection.protocol_version()
        };
        assert!(theirs == bytes_of(i ^ 1, len), "the bytes that arrive are not those that were sent");
        version
    });
    assert!(versions.iter().all(|seen| *seen == Some(version.version)), "{versions:?}");
}

#[test]
fn rustls_shakes_hands() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        talk(version);
    }
}

// ---------------------------------------------------------------------------------------------- rand

#[test]
fn rand_draws() {
    const DRAWN: usize = 1_000;
    let all = travel(8, |_, crossing| {
        use rand::Rng;
        let mut held = rand::rng();
        let draw = |i| {
            if i % 20 == 0 {
                crossing.cross();
            }
            // In turns from the one that is held and from one that is asked for: the same generator.
            if i % 2 == 0 { held.random() } else { rand::rng().random::<u64>() }
        };
        (0..DRAWN).map(draw).collect::<Vec<_>>()
    });
    let distinct: HashSet<u64> = all.iter().flatten().copied().collect();
    assert_eq!(distinct.len(), all.len() * DRAWN, "a number was drawn twice");
}

// ---------------------------------------------------------------------------------------------- tracing

/// Each G has a subscriber of its own, which `with_default` keeps per thread, and spans inside each other.
#[test]
fn tracing_knows_the_span() {
    const ROUNDS: u64 = 30;
    let counts = travel(8, |i, crossing| {
        let spans = Spans::default();
        let subscriber = tracing_subscriber::registry().with(spans.clone());
        tracing::subscriber::with_default(subscriber, || {
            for round in 0..ROUNDS {
                let number = 1_000 * i as u64 + round;
                let outer = tracing::info_span!("outer", number).entered();
                crossing.cross();
                let inner = tracing::info_span!("inner", number = number + 500);
                inner.in_scope(|| {
                    crossing.cross();
                    tracing::info!(number = number + 500);
                });
                tracing::info!(number);
                drop(outer);
                assert!(tracing::Span::current().is_none());
            }
        });
        spans.counts()
    });
    assert!(counts.iter().all(|count| *count == (2 * ROUNDS as usize, 0)), "{counts:?}");
}

/// A limit: every G that lives and has made a span counts as a thread.
#[test]
#[ignore = "tracing-subscriber's registry (sharded-slab) has room for 4096 threads at a time, and panics beyond"]
fn tracing_has_room_for_many_gs() {
    const GS: usize = 5_000;
    let subscriber = tracing::Dispatch::new(tracing_subscriber::registry());
    let make = |with: &tracing::Dispatch| tracing::dispatcher::with_default(with, || tracing::info_span!("a"));
    let rt = isolated(2);
    let refused = rt.run(move || {
        let made = Countdown::new(GS);
        let all = (0..GS).map(|_| {
            let (made, subscriber) = (made.clone(), subscriber.clone());
            go(move || {
                let span = catch_unwind(AssertUnwindSafe(|| make(&subscriber)));
                made.done();
                // All of them live until each has tried.
                while made.left() > 0 {
                    yield_now();
                }
                usize::from(span.is_err())
            })
        });
        let all: Vec<_> = all.collect();
        all.into_iter().map(|g| g.join().expect("caught")).sum::<usize>()
    });
    assert_eq!(refused, 0, "so many Gs got no span");
}

// ---------------------------------------------------------------------------------------------- scoped-tls

scoped_thread_local!(static OWNER: (usize, usize));

#[test]
fn scoped_tls_ends_where_it_began() {
    fn enter(owner: usize, depth: usize, crossing: &Crossing) {
        let look = || OWNER.with(|here| assert_eq!(*here, (owner, depth)));
        OWNER.set(&(owner, depth), || {
            look();
            crossing.cross();
            look();
            if depth < 10 {
                enter(owner, depth + 1, crossing);
            }
            look();
        });
    }
    travel(8, |i, crossing| {
        assert!(!OWNER.is_set());
        enter(i, 0, &crossing);
        assert!(!OWNER.is_set());
    });
}

// ---------------------------------------------------------------------------------------------- serde_json

type Document = BTreeMap<String, Vec<(f64, Option<String>)>>;

fn document_of(owner: usize) -> Document {
    let mut rng = Rng::new(owner as u64);
    let entry = |n: usize| (n as f64 / 8.0, (!n.is_multiple_of(3)).then(|| format!("\u{e4} \"{n}\"")));
    (0..20).map(|i| (format!("{owner}-{i}"), (0..20).map(|_| entry(rng.below(10_000))).collect())).collect()
}

#[test]
fn serde_json_writes_and_reads() {
    let pipes = Pipes::new(4);
    travel(8, move |i, crossing| {
        let mut end = pipes.end_of(i, crossing);
        if i % 2 == 0 {
            // In pieces of some hundred bytes, as it writes each token alone.
            let writer = io::BufWriter::with_capacity(300, &mut end);
            serde_json::to_writer(writer, &document_of(i)).expect("a reader");
        } else {
            let read: Document = serde_json::from_reader(io::BufReader::with_capacity(200, &mut end)).expect("valid");
            assert_eq!(read, document_of(i - 1));
        }
    });
}

// ---------------------------------------------------------------------------------------------- regex

/// All use one expression, whose caches it gives to threads.
#[test]
fn regex_finds() {
    let expression = Regex::new(r"(?<key>[a-z]+\d*)=(?<value>\d+)(?:;|$)").expect("an expression");
    travel(8, move |i, crossing| {
        let text: String = (0..30).map(|n| format!("key{i}={};", n * i)).collect();
        let found: Vec<_> = expression
            .find_iter(&text)
            .map(|found| {
                crossing.cross();
                found.as_str().to_owned()
            })
            .collect();
        assert_eq!(found, (0..30).map(|n| format!("key{i}={};", n * i)).collect::<Vec<_>>());
        let doubled = expression.replace_all(&text, |found: &Captures<'_>| {
            crossing.cross();
            let value: usize = found["value"].parse().expect("digits");
            // Another search, while the first one has its cache.
            assert!(expression.is_match("a=1;"));
            format!("{}={};", &found["key"], 2 * value)
        });
        assert_eq!(doubled, (0..30).map(|n| format!("key{i}={};", 2 * n * i)).collect::<String>());
    });
}

// ---------------------------------------------------------------------------------------------- flate2

#[test]
fn flate2_packs_and_unpacks() {
    use flate2::Compression;
    use flate2::read::GzDecoder;
    use flate2::write::GzEncoder;
    let pipes = Pipes::new(4);
    let len = scale(50_000, 200_000);
    travel(8, move |i, crossing| {
        let mut end = pipes.end_of(i, crossing);
        if i % 2 == 0 {
            let mut encoder = GzEncoder::new(&mut end, Compression::default());
            bytes_of(i, len).chunks(10_000).for_each(|chunk| encoder.write_all(chunk).expect("a reader"));
            encoder.finish().expect("a reader");
        } else {
            let mut unpacked = Vec::new();
            GzDecoder::new(&mut end).read_to_end(&mut unpacked).expect("valid");
            assert!(unpacked == bytes_of(i - 1, len), "it has changed on the way");
        }
    });
}

//! All operations at once, at random, by Gs, threads and tasks on the same channels: what was accepted is received,
//! once; what was not is given back; nobody hangs.

mod crew;

use crew::common::{Census, Rng, runtime, seed, stress_secs};
use crew::{Item, KINDS, Kind, Worker, item, poll_once};
use pirn_channels::{
    Receiver, RecvError, Sender, TryRecvError, after, bounded, never, select, select_biased, unbounded,
};
use pirn_runtime::{block_on, yield_now};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What one worker has sent or received: how many, and a sum that is the same only for the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Account {
    values: usize,
    sum: u64,
}

impl Account {
    fn add(&mut self, id: usize) {
        self.values += 1;
        self.sum = self.sum.wrapping_add(Rng::new(id as u64).next());
    }

    fn and(mut self, other: Account) -> Account {
        self.values += other.values;
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }
}

fn micros(rng: &mut Rng, below: usize) -> Duration {
    Duration::from_micros(rng.below(below) as u64)
}

/// One value, sent in some way to one of the channels. It is tried once, and comes back if that fails.
fn send(kind: Kind, s: &[Sender<Item>; 3], rng: &mut Rng, message: Item) -> Result<(), Item> {
    let at = &s[rng.below(3)];
    match rng.below(8) {
        0 => at.try_send(message).map_err(|e| e.into_inner()),
        1 => at.send_timeout(message, micros(rng, 200)).map_err(|e| e.into_inner()),
        2 => kind.send(at, message).map_err(|e| e.into_inner()),
        3 => block_on(at.send_async(message)).map_err(|e| e.into_inner()),
        4 => select! {
            send(s[0], message) -> result => result.map_err(|e| e.into_inner()),
            send(s[1], message) -> result => result.map_err(|e| e.into_inner()),
            send(s[2], message) -> result => result.map_err(|e| e.into_inner()),
        },
        5 => select_biased! {
            send(s[2], message) -> result => result.map_err(|e| e.into_inner()),
            send(s[0], message) -> result => result.map_err(|e| e.into_inner()),
            default(micros(rng, 100)) => Err(message),
        },
        6 => select! {
            send(s[1], message) -> result => result.map_err(|e| e.into_inner()),
            send(s[1], message) -> result => result.map_err(|e| e.into_inner()),
            recv(after(micros(rng, 100))) -> _ => Err(message),
        },
        _ => select! {
            send(at, message) -> result => result.map_err(|e| e.into_inner()),
            default => Err(message),
        },
    }
}

fn sender(kind: Kind, s: &[Sender<Item>; 3], mut rng: Rng, until: Instant, census: &Census) -> Account {
    let mut account = Account::default();
    while Instant::now() < until {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        match send(kind, s, &mut rng, item(census, id)) {
            Ok(()) => account.add(id),
            Err(back) => assert_eq!(back.id, id),
        }
        if rng.below(16) == 0 {
            yield_now();
        }
    }
    account
}

/// Receives until all channels have ended. Who is `patient` always waits for all of them: if everybody waited for one,
/// a sender to another one would wait for ever.
fn receiver(kind: Kind, patient: bool, mut r: [Receiver<Item>; 3], mut rng: Rng) -> Account {
    let mut account = Account::default();
    let mut open = 3;
    while open > 0 {
        // Some of what follows never waits.
        if rng.below(16) == 0 {
            yield_now();
        }
        let at = rng.below(3);
        let (at, result) = match if patient { 4 } else { rng.below(7) } {
            0 => (at, r[at].try_recv()),
            1 => (at, r[at].recv_timeout(micros(&mut rng, 200)).map_err(|_| TryRecvError::Empty)),
            2 => (at, async_or_not(&r[at])),
            3 => (
                at,
                select! {
                    recv(r[at]) -> message => message.map_err(|RecvError| TryRecvError::Disconnected),
                    default => Err(TryRecvError::Empty),
                },
            ),
            4 => select! {
                recv(r[0]) -> message => (0, message.map_err(TryRecvError::from)),
                recv(r[1]) -> message => (1, message.map_err(TryRecvError::from)),
                recv(r[2]) -> message => (2, message.map_err(TryRecvError::from)),
            },
            5 => select_biased! {
                recv(r[2]) -> message => (2, message.map_err(TryRecvError::from)),
                recv(r[1]) -> message => (1, message.map_err(TryRecvError::from)),
                default(micros(&mut rng, 100)) => (0, Err(TryRecvError::Empty)),
            },
            // It would wait for ever on one that has been taken out.
            _ if r[at].same_channel(&never()) => continue,
            _ => (at, kind.recv(&r[at]).ok_or(TryRecvError::Disconnected)),
        };
        match result {
            Ok(item) => account.add(item.id),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                r[at] = never();
                open -= 1;
            }
        }
    }
    account
}

/// Polls once and goes away: the message is here, or somebody else's.
fn async_or_not(r: &Receiver<Item>) -> Result<Item, TryRecvError> {
    let mut waiting = Box::pin(r.recv_async());
    match poll_once(&mut waiting) {
        Poll::Ready(message) => message.map_err(TryRecvError::from),
        Poll::Pending => {
            yield_now();
            // It may have come meanwhile; then it is left to others.
            Err(TryRecvError::Empty)
        }
    }
}

/// Sends to and receives from the same channels, but waits for neither.
fn both(s: &[Sender<Item>; 3], r: &[Receiver<Item>; 3], mut rng: Rng, until: Instant, census: &Census) -> [Account; 2] {
    let [mut sent, mut received] = [Account::default(); 2];
    while Instant::now() < until {
        if rng.below(16) == 0 {
            yield_now();
        }
        let (at, other) = (rng.below(3), rng.below(3));
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        select! {
            send(s[at], item(census, id)) -> result => {
                result.expect("it is closed only when all have stopped");
                sent.add(id);
            }
            recv(r[other]) -> message => received.add(message.expect("as above").id),
            default(micros(&mut rng, 300)) => {}
        }
    }
    [sent, received]
}

#[test]
fn nothing_is_lost_and_nothing_is_there_twice() {
    let mut rng = Rng::new(seed("nothing_is_lost_and_nothing_is_there_twice"));
    let over = Instant::now() + Duration::from_secs(stress_secs());
    while Instant::now() < over {
        let until = over.min(Instant::now() + Duration::from_millis(500));
        let house = runtime(1 + rng.below(4));
        let mut round = Rng::new(rng.next());
        house.run(move || one_round(&mut round, until));
        house.close();
    }
}

fn one_round(rng: &mut Rng, until: Instant) {
    let census = Census::default();
    let (s, r): (Vec<_>, Vec<_>) =
        [bounded(0), bounded(1 + rng.below(4)), if rng.below(2) == 0 { unbounded() } else { bounded(0) }]
            .into_iter()
            .unzip();
    let s: [Sender<Item>; 3] = s.try_into().expect("three");
    let r: [Receiver<Item>; 3] = r.try_into().expect("three");
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    let mut boths: Vec<Worker<[Account; 2]>> = Vec::new();
    for kind in [KINDS, [Kind::G; 3]].concat() {
        for _ in 0..=rng.below(3) {
            let (s, rng, census) = (s.clone(), Rng::new(rng.next()), census.clone());
            senders.push(kind.go(move || sender(kind, &s, rng, until, &census)));
        }
        for nth in 0..=rng.below(3) {
            let (r, rng) = (r.clone(), Rng::new(rng.next()));
            receivers.push(kind.go(move || receiver(kind, nth == 0, r, rng)));
        }
        let (s, r, rng, census) = (s.clone(), r.clone(), Rng::new(rng.next()), census.clone());
        boths.push(kind.go(move || both(&s, &r, rng, until, &census)));
    }
    drop(r);
    let mut sent = senders.into_iter().map(Worker::join).fold(Account::default(), Account::and);
    let mut received = Account::default();
    for both in boths {
        let [out, back] = both.join();
        sent = sent.and(out);
        received = received.and(back);
    }
    // By close, or by the last sender's end.
    if rng.below(2) == 0 {
        s.iter().for_each(|s| _ = s.close());
    }
    drop(s);
    received = receivers.into_iter().map(Worker::join).fold(received, Account::and);
    assert_eq!(received, sent);
    assert_eq!(census.living(), 0, "some were dropped twice, or never");
}

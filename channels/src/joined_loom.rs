//! Models of the call at the end of a G: whatever the order, it is made once, with the result.

use super::on_end;
use loom::sync::Mutex;
use loom::thread;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// The join word of a G: its result, and whom to wake.
struct Word(Mutex<(Option<u32>, Option<Waker>)>);

struct Handle(Arc<Word>);

impl Word {
    fn settle(&self, result: u32) {
        let waker = {
            let mut word = self.0.lock().unwrap();
            word.0 = Some(result);
            word.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Handle {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        let mut word = self.0.0.lock().unwrap();
        match word.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                let old = mem::replace(&mut word.1, Some(context.waker().clone()));
                drop(word);
                drop(old);
                Poll::Pending
            }
        }
    }
}

#[test]
fn it_is_made_once() {
    loom::model(|| {
        let word = Arc::new(Word(Mutex::new((None, None))));
        let sum = Arc::new(AtomicUsize::new(0));
        let ends = {
            let word = word.clone();
            thread::spawn(move || word.settle(5))
        };
        let call = {
            let sum = sum.clone();
            move |result: u32| _ = sum.fetch_add(result as usize, Ordering::Relaxed)
        };
        on_end(Handle(word), call);
        ends.join().unwrap();
        assert_eq!(sum.load(Ordering::Relaxed), 5);
    });
}

/// A G that goes without an end drops its waker, and the call with it.
#[test]
fn it_is_dropped_with_the_waker() {
    loom::model(|| {
        let word = Arc::new(Word(Mutex::new((None, None))));
        let called = Arc::new(AtomicUsize::new(0));
        let own = called.clone();
        on_end(Handle(word.clone()), move |_| _ = own.fetch_add(1, Ordering::Relaxed));
        let waker = word.0.lock().unwrap().1.take();
        drop(waker);
        assert_eq!((called.load(Ordering::Relaxed), Arc::strong_count(&called)), (0, 1));
    });
}

//! Kernels of gRPC-Go's bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::select;
use pirn_sync::Mutex;
use pirn_sync::context::{Cancel, Context};

pub(crate) const KERNELS: &[Kernel] = &[
    ("660", grpc660::run),
    ("795", grpc795::run),
    ("862", grpc862::run),
    ("1275", grpc1275::run),
    ("1424", grpc1424::run),
    ("1460", grpc1460::run),
    ("3017", grpc3017::run),
];

/// A loop is stopped, and its last call sends the result to nobody.
mod grpc660 {
    use super::*;

    struct BenchmarkClient {
        stop: Chan,
        /// The call takes longer than the loop.
        loop_ended: Chan,
    }

    impl BenchmarkClient {
        fn do_close_loop_unary(&'static self, fixed: bool) {
            let done = Chan::with_buffer(usize::from(fixed));
            let result = done.clone();
            go("call", move || {
                self.loop_ended.recv();
                //@ call: chan send
                result.send(true);
            });
            select! {
                recv(self.stop.r) -> _ => {}
                recv(done.r) -> _ => {}
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let client = leak(BenchmarkClient { stop: Chan::new(), loop_ended: Chan::new() });
        let loops = go("do_close_loop_unary", move || client.do_close_loop_unary(fixed));
        client.stop.send(());
        loops.join().expect("no panic");
        client.loop_ended.close();
    }
}

/// A server that is stopped twice locks its mutex where it should unlock it.
mod grpc795 {
    use super::*;

    struct Server {
        mu: Mutex<bool>,
    }

    impl Server {
        fn graceful_stop(&self, fixed: bool) {
            let mut drain = self.mu.lock();
            if *drain {
                if !fixed {
                    //@ stop: sync.Mutex.Lock, held by stop
                    std::mem::forget(self.mu.lock());
                }
                return;
            }
            *drain = true;
        }
    }

    pub(super) fn run(fixed: bool) {
        let server = leak(Server { mu: Mutex::new(false) });
        go("stop", move || (0..3).for_each(|_| server.graceful_stop(fixed)));
    }
}

/// A dial that was cancelled returns nothing, and so nobody closes the connection that it has made.
mod grpc862 {
    use super::*;

    struct ClientConn {
        context: Context,
        cancel: Cancel,
    }

    impl ClientConn {
        fn close(&self) {
            self.cancel.cancel();
        }

        fn reset_transport(&self) {
            //@ reset_transport: chan receive
            self.context.done().recv().expect_err("nothing is sent");
        }
    }

    fn dial_context(dial: &Context, fixed: bool) {
        let (context, cancel) = Context::background().with_cancel();
        let made = leak(ClientConn { context, cancel });
        go("reset_transport", || made.reset_transport());
        let returned = fixed.then_some(made);
        if let (Some(conn), Err(_)) = (returned, dial.check()) {
            conn.close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let (context, cancel) = Context::background().with_cancel();
        cancel.cancel();
        go("dial_context", move || dial_context(&context, fixed));
    }
}

/// A stream is closed, and who reads from it is not told.
mod grpc1275 {
    use super::*;

    struct Stream {
        recv: Chan,
    }

    impl Stream {
        fn read(&self) {
            //@ read: chan receive
            self.recv.recv();
        }
    }

    fn close_stream(stream: &Stream, fixed: bool) {
        if fixed {
            stream.recv.close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let stream = leak(Stream { recv: Chan::new() });
        go("read", || stream.read());
        close_stream(stream, fixed);
    }
}

/// The watcher returns without a word to the one that waits until it is ready.
mod grpc1424 {
    use super::*;

    fn lb_watcher(addresses: &Chan<bool>, done: &Chan, fixed: bool) {
        while addresses.recv().is_some() {}
        if fixed {
            done.close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let addresses = leak(Chan::<bool>::new());
        go("dial_context", move || {
            let done = Chan::new();
            let watched = done.clone();
            go("lb_watcher", move || lb_watcher(addresses, &watched, fixed));
            //@ dial_context: chan receive
            done.recv();
        });
        addresses.close();
    }
}

/// `keepalive` waits for a stream with the mutex held that a new stream needs.
mod grpc1460 {
    use super::*;

    struct Http2Client {
        mu: Mutex<u32>,
        awaken_keepalive: Chan,
    }

    impl Http2Client {
        fn keepalive(&self, fixed: bool) {
            let streams = self.mu.lock();
            let _streams = (!fixed).then_some(streams);
            //@ keepalive: chan receive
            self.awaken_keepalive.recv();
        }

        fn new_stream(&self) {
            //@ new_stream: sync.Mutex.Lock, held by keepalive
            let mut streams = self.mu.lock();
            *streams += 1;
            _ = self.awaken_keepalive.s.try_send(());
        }
    }

    pub(super) fn run(fixed: bool) {
        let client = leak(Http2Client { mu: Mutex::new(0), awaken_keepalive: Chan::new() });
        go("keepalive", move || client.keepalive(fixed));
        settle("keepalive");
        go("new_stream", || client.new_stream());
    }
}

/// A timer that was cancelled too late returns with the mutex locked.
mod grpc3017 {
    use super::*;

    struct LbCacheClientConn {
        mu: Mutex<SubConn>,
        timer_has_returned: Chan,
    }

    #[derive(Default)]
    struct SubConn {
        abort_deleting: bool,
    }

    impl LbCacheClientConn {
        /// Takes the entry out of the cache, when its timer runs already and waits for the mutex.
        fn new_sub_conn(&'static self, fixed: bool) {
            let mut sub_conn = self.mu.lock();
            go("timer", move || self.timer(fixed));
            settle("timer");
            sub_conn.abort_deleting = true;
        }

        fn remove_sub_conn(&self) {
            //@ remove_sub_conn: sync.Mutex.Lock, held by (ended)
            drop(self.mu.lock());
        }

        fn timer(&self, fixed: bool) {
            let sub_conn = self.mu.lock();
            if sub_conn.abort_deleting && !fixed {
                std::mem::forget(sub_conn);
            }
            self.timer_has_returned.close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let conn = leak(LbCacheClientConn { mu: Mutex::default(), timer_has_returned: Chan::new() });
        go("remove_sub_conn", move || {
            conn.new_sub_conn(fixed);
            conn.timer_has_returned.recv();
            conn.remove_sub_conn();
        });
    }
}

//! Kernels of Hugo's bugs.

use super::kit::{Chan, Kernel, Once, go, leak, settle};
use pirn_channels::select;
use pirn_sync::context::Context;
use pirn_sync::{Mutex, MutexGuard, RwLock};
use std::time::Duration;

pub(crate) const KERNELS: &[Kernel] = &[("3251", hugo3251::run), ("5379", hugo5379::run)];

/// The lock of an address is waited for with the lock of all addresses held, which who unlocks the first needs.
mod hugo3251 {
    use super::*;

    struct RemoteLock {
        all: RwLock<()>,
        url: Mutex<()>,
    }

    impl RemoteLock {
        fn url_lock(&self, fixed: bool) -> MutexGuard<'_, ()> {
            let all = self.all.write();
            let _all = (!fixed).then_some(all);
            //@ second: sync.Mutex.Lock, held by first
            self.url.lock()
        }

        fn url_unlock(&self, url: MutexGuard<'_, ()>) {
            //@ first: sync.RWMutex.RLock, held by second
            let _all = self.all.read();
            drop(url);
        }

        fn res_get_remote(&self, fixed: bool, before_unlock: impl FnOnce()) {
            let url = self.url_lock(fixed);
            before_unlock();
            self.url_unlock(url);
        }
    }

    pub(super) fn run(fixed: bool) {
        let lock = leak(RemoteLock { all: RwLock::new(()), url: Mutex::new(()) });
        go("first", move || {
            lock.res_get_remote(fixed, || {
                go("second", move || lock.res_get_remote(fixed, || {}));
                settle("second");
            });
        });
    }
}

/// A page is rendered with its mutex held, and what it contains makes the page's text, in a `Once` that locks it.
mod hugo5379 {
    use super::*;

    struct Page {
        content_init: Once,
        content_init_mu: Mutex<()>,
        plain_init: Once,
    }

    impl Page {
        fn word_count(&'static self, fixed: bool) {
            self.init_content(fixed);
            self.init_plain(!fixed);
        }

        /// It does not wait for the shortcodes for long. They wait for this.
        fn init_content(&'static self, fixed: bool) {
            self.content_init.call(|| {
                let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
                let rendered = Chan::with_buffer(1);
                let result = rendered.clone();
                go("shortcodes", move || {
                    let _mu = self.content_init_mu.lock();
                    self.prepare_for_render(fixed);
                    result.send(());
                });
                settle("shortcodes");
                select! {
                    recv(context.done()) -> _ => {}
                    recv(rendered.r) -> _ => {}
                }
            });
        }

        /// Its words are counted in it.
        fn prepare_for_render(&'static self, fixed: bool) {
            self.init_content(fixed);
            // The renderer is the first here.
            settle("renderer");
            self.init_plain(!fixed);
        }

        fn init_plain(&self, locks: bool) {
            //@ shortcodes: sync.Mutex.Lock, held by renderer
            self.plain_init.call(|| {
                if locks {
                    //@ renderer: sync.Mutex.Lock, held by shortcodes
                    drop(self.content_init_mu.lock());
                }
            });
        }
    }

    pub(super) fn run(fixed: bool) {
        let page = leak(Page { content_init: Once::new(), content_init_mu: Mutex::new(()), plain_init: Once::new() });
        go("renderer", move || page.word_count(fixed));
    }
}

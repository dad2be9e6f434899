//! One of each for every key, made when it is needed, and forgotten when nothing would be lost by it.
//!
//! # No use is lost
//! The map has a value by an `Arc`, and so has each that uses it; the count of the `Arc` says how many they are. A value is
//! forgotten under the lock of its entry, and only if the map alone has it: then nobody uses it, and a value that nobody
//! uses does not change but by time, which makes it more as new. Who gets it from the map meanwhile takes the lock before
//! the first use, and so learns whether it was forgotten. If so, it takes the entry out of the map and makes a new one. So
//! there are never two values of one key in use. To give a value back takes no lock.

use pirn_sync::{Map, Mutex};
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// So many keys there are at least before the idle ones are looked for.
const KEYS_MIN: usize = 64;

/// What may be forgotten and made anew when it is as it was when it was made: limiters, breakers, bulkheads. It is
/// asked under a lock, so there are no others.
pub trait AsNew: Sealed {}

/// The verb of those.
#[expect(unnameable_types, reason = "others can not have it")]
pub trait Sealed {
    /// Whether it would do as a new one does. As long as nobody uses it, it stays so once it is so.
    fn is_as_new(&self) -> bool;
}

/// One of each for every key: a limiter for each user, a breaker for each host. What happens with one key changes
/// nothing for the others.
///
/// A value is made when its key comes for the first time. **Idle keys are forgotten**: those that nobody has at hand,
/// and whose value does as a new one would, a full bucket for example. That is done by the call that makes the number
/// of keys twice as large as it was after the last time, so a call costs a constant time on average; or by
/// [`forget_idle`](Self::forget_idle). So there are at most about twice as many keys as are in use, and 64 more. With a
/// value its figures are forgotten.
///
/// ```
/// use pirn::patterns::Keyed;
/// use pirn::patterns::rate::{Rate, RateLimiter};
///
/// let limits = Keyed::new(|_user: &&str| RateLimiter::new(Rate::per_minute(1.0), 1));
/// assert!(limits.get("ann").allow());
/// assert!(!limits.get("ann").allow());
/// assert!(limits.get("bob").allow());
/// ```
pub struct Keyed<K, V> {
    entries: Map<K, Shared<V>>,
    make: Box<dyn Fn(&K) -> V + Send + Sync>,
    /// At so many keys the idle ones are looked for.
    sweep_at: AtomicUsize,
    keys_max: usize,
}

/// The entry of a key. Two are equal if they are the same one.
struct Shared<V>(Arc<Entry<V>>);

struct Entry<V> {
    value: V,
    is_forgotten: Mutex<bool>,
}

impl<V> Clone for Shared<V> {
    fn clone(&self) -> Shared<V> {
        Shared(self.0.clone())
    }
}

impl<V> PartialEq for Shared<V> {
    fn eq(&self, other: &Shared<V>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<V: AsNew> Shared<V> {
    /// What came from the map comes into use.
    ///
    /// # Errors
    /// The entry, if it was forgotten.
    fn hold(self) -> Result<Held<V>, Shared<V>> {
        if self.is_forgotten() { Err(self) } else { Ok(Held(self)) }
    }

    /// Forgets it if nobody has it but the map, to which `self` belongs, and it is as new.
    fn forget_if_idle(&self) -> bool {
        let mut is_forgotten = self.0.is_forgotten.lock();
        let is_alone = Arc::strong_count(&self.0) == 1;
        // What the users have done is seen (partner: the end of an `Arc`, by Release).
        fence(Ordering::Acquire);
        let is_idle = !*is_forgotten && is_alone && self.0.value.is_as_new();
        *is_forgotten |= is_idle;
        is_idle
    }

    fn is_forgotten(&self) -> bool {
        *self.0.is_forgotten.lock()
    }
}

/// The value of a key of a [`Keyed`], which is not forgotten as long as somebody has this.
pub struct Held<V>(Shared<V>);

impl<V> Deref for Held<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0.0.value
    }
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Held<V> {
        Held(self.0.clone())
    }
}

impl<V: fmt::Debug> fmt::Debug for Held<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.value.fmt(f)
    }
}

impl<K: Hash + Eq + Clone, V: AsNew> Keyed<K, V> {
    /// Makes the value of a key by `make`. That may be called more than once for a key that several callers ask for at
    /// the same time; one value is kept.
    pub fn new(make: impl Fn(&K) -> V + Send + Sync + 'static) -> Keyed<K, V> {
        let (entries, make) = (Map::new(), Box::new(make));
        Keyed { entries, make, sweep_at: AtomicUsize::new(KEYS_MIN), keys_max: usize::MAX }
    }

    /// There are at most about so many keys: as long as none of them is idle, [`try_get`](Self::try_get) has nothing
    /// for others. For keys that strangers choose.
    #[must_use]
    pub fn max_keys(mut self, n: usize) -> Keyed<K, V> {
        self.keys_max = n;
        self
    }

    /// The value of a key, made if there is none, even if there are too many.
    pub fn get(&self, key: K) -> Held<V> {
        loop {
            if let Some(held) = self.held(&key).or_else(|| self.make(&key)) {
                return held;
            }
        }
    }

    /// The value of a key, made if there is none and there are fewer keys than [`max_keys`](Self::max_keys). As keys
    /// may be made at the same time there may be some more than that.
    pub fn try_get(&self, key: K) -> Option<Held<V>> {
        self.held(&key).or_else(|| {
            if self.entries.len() >= self.keys_max {
                self.forget_idle();
            }
            (self.entries.len() < self.keys_max).then(|| self.get(key))
        })
    }

    /// Forgets the keys that are idle. Returns how many they were.
    pub fn forget_idle(&self) -> usize {
        let mut forgotten = 0;
        self.entries.retain(|_, entry| {
            forgotten += usize::from(entry.forget_if_idle());
            // The map asks again where another one has changed something meanwhile.
            !entry.is_forgotten()
        });
        // Relaxed: it guards nothing. Two that come at the same time both look, which does no harm.
        self.sweep_at.store(self.entries.len().saturating_mul(2).max(KEYS_MIN), Ordering::Relaxed);
        forgotten
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What there is for a key. One that was forgotten is taken out.
    fn held(&self, key: &K) -> Option<Held<V>> {
        match self.entries.load(key)?.hold() {
            Ok(held) => Some(held),
            Err(forgotten) => {
                self.entries.compare_and_delete(key, &forgotten);
                None
            }
        }
    }

    /// Makes what there is to be for a key, or takes what another one has made. None: that was forgotten already.
    #[cold]
    fn make(&self, key: &K) -> Option<Held<V>> {
        let entry = Shared(Arc::new(Entry { value: (self.make)(key), is_forgotten: Mutex::new(false) }));
        let (entry, _) = self.entries.load_or_store(key.clone(), entry);
        let held = entry.hold().ok();
        if self.entries.len() > self.sweep_at.load(Ordering::Relaxed) {
            self.forget_idle();
        }
        held
    }
}

impl<K, V> fmt::Debug for Keyed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}

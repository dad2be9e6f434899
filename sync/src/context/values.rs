//! The values that contexts carry, by typed keys.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The name of a value that contexts carry. It is a `static`, and its address is what tells it from other keys.
///
/// ```
/// use pirn::context::{Context, Key};
///
/// static USER: Key<String> = Key::new("user");
///
/// let context = Context::background().with_value(&USER, "gopher".to_owned());
/// assert_eq!(context.value(&USER).map(String::as_str), Some("gopher"));
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
    /// A constant with this in it has no `'static` address, so only a `static` can be a key.
    _only_static: AtomicBool,
}

impl<T> Key<T> {
    /// A key of that name, which is for observers: two keys of one name are two keys.
    pub const fn new(name: &'static str) -> Key<T> {
        Key { name, value: PhantomData, _only_static: AtomicBool::new(false) }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// A value, in front of those that the context had before.
pub(super) struct Value {
    /// The address of its key.
    key: usize,
    name: &'static str,
    value: Box<dyn Any + Send + Sync>,
    before: Option<Arc<Value>>,
}

impl Value {
    pub(super) fn new<T: Send + Sync + 'static>(key: &'static Key<T>, value: T, before: Option<Arc<Value>>) -> Value {
        Value { key: ptr::from_ref(key).addr(), name: key.name, value: Box::new(value), before }
    }

    /// The latest value of that key, in it or before it.
    pub(super) fn find<'a, T: 'static>(first: Option<&'a Arc<Value>>, key: &'static Key<T>) -> Option<&'a T> {
        let key = ptr::from_ref(key).addr();
        let found = all(first).find(|value| value.key == key)?;
        found.value.downcast_ref()
    }

    /// The names of the keys, the latest first.
    pub(super) fn names(first: Option<&Arc<Value>>) -> impl Iterator<Item = &'static str> {
        all(first).map(|value| value.name)
    }
}

fn all(first: Option<&Arc<Value>>) -> impl Iterator<Item = &Value> {
    std::iter::successors(first.map(|value| &**value), |value| value.before.as_deref())
}

impl Drop for Value {
    /// One after the other, as a chain may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut value) = next.and_then(Arc::into_inner) {
            next = value.before.take();
        }
    }
}

//! Receivers as iterators.

use crate::channel::Receiver;
use std::fmt;
use std::iter::FusedIterator;

/// Receives until the channel is empty and disconnected, and waits for each value. From [`Receiver::iter`].
pub struct Iter<'a, T>(&'a Receiver<T>);

/// Receives what is there, and never waits. From [`Receiver::try_iter`].
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// As [`Iter`], but owns the receiver.
pub struct IntoIter<T>(Receiver<T>);

impl<T> Receiver<T> {
    /// Receives until the channel is empty and disconnected, and waits for each value: Go's `for v := range ch`.
    ///
    /// ```
    /// let (s, r) = pirn::channel::unbounded();
    /// (0..3).for_each(|i| s.send(i).unwrap());
    /// drop(s);
    /// assert_eq!(r.iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Receives what is there, and never waits.
    ///
    /// ```
    /// let (s, r) = pirn::channel::unbounded();
    /// s.send(1).unwrap();
    /// assert_eq!(r.try_iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoIter { .. }")
    }
}

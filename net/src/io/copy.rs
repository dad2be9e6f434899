//! [`copy`].

#![allow(unsafe_code, reason = "whether a type is one of ours")]

use super::pipe::{PipeReader, PipeWriter};
use super::splice::{Splicable, splice_all};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;
use std::any::TypeId;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::mem;
use std::ptr;

/// Copies from a reader to a writer, up to the end, and says how many bytes those were: [`std::io::copy`].
///
/// Between two streams or pipes of pirn, or references to them, the system moves the bytes (`splice`), and the program does
/// not see them. A proxy is two of these.
///
/// # Errors
/// Those of a read or a write, but [`Interrupted`](io::ErrorKind::Interrupted). It is not known then how much has been
/// copied.
///
/// ```
/// use pirn::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
///
/// pirn::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     let echo = pirn::go(move || {
///         let (stream, _) = listener.accept().unwrap();
///         pirn::io::copy(&mut &stream, &mut &stream).unwrap()
///     });
///     let mut stream = TcpStream::connect(address).unwrap();
///     stream.write_all(b"hello").unwrap();
///     stream.shutdown(Shutdown::Write).unwrap();
///     let mut text = String::new();
///     stream.read_to_string(&mut text).unwrap();
///     assert_eq!((text.as_str(), echo.join().unwrap()), ("hello", 5));
/// });
/// ```
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    if let (Some(from), Some(to)) = (splicable(reader), splicable(writer))
        && let Some(length) = splice_all(from, to)?
    {
        return Ok(length);
    }
    io::copy(reader, writer)
}

/// The value as one that can be spliced, if it is a stream or a pipe, or a reference to one.
fn splicable<T: ?Sized>(value: &T) -> Option<Splicable<'_>> {
    cast::<T, TcpStream>(value)
        .map(|stream| Splicable::Tcp(&stream.0))
        .or_else(|| cast::<T, UnixStream>(value).map(|stream| Splicable::Unix(&stream.0)))
        .or_else(|| cast::<T, PipeReader>(value).map(|pipe| Splicable::Reader(&pipe.0)))
        .or_else(|| cast::<T, PipeWriter>(value).map(|pipe| Splicable::Writer(&pipe.0)))
}

/// The value as an `Ours`, if it is one or a reference to one.
fn cast<T: ?Sized, Ours: 'static>(value: &T) -> Option<&Ours> {
    let id = type_id::<T>();
    if id == TypeId::of::<Ours>() {
        // SAFETY: `T` is `Ours`, which has no lifetime in it.
        return Some(unsafe { &*ptr::from_ref(value).cast::<Ours>() });
    }
    // The lifetime of the reference is longer than that of the reference to it, which is used here.
    if id == TypeId::of::<&'static Ours>() || id == TypeId::of::<&'static mut Ours>() {
        // SAFETY: `T` is a reference to `Ours`, of some lifetime, and both kinds of them are one pointer. It can be read as
        // a shared one for as long as it is borrowed.
        return Some(unsafe { *ptr::from_ref(value).cast::<&Ours>() });
    }
    None
}

/// The id of the type with all its lifetimes forgotten.
fn type_id<T: ?Sized>() -> TypeId {
    trait Named {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T: ?Sized> Named for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let phantom = PhantomData::<T>;
    let named: &dyn Named = &phantom;
    // SAFETY: only the bound on the lifetime is changed, and the method looks at nothing.
    let named = unsafe { mem::transmute::<&dyn Named, &(dyn Named + 'static)>(named) };
    named.id()
}

#[cfg(test)]
mod tests {
    use super::{Splicable, splicable};
    use crate::io::pipe;
    use crate::unix::UnixStream;
    use std::io::{Read, Write};

    fn is_unix<T: ?Sized>(value: &T) -> bool {
        matches!(splicable(value), Some(Splicable::Unix(_)))
    }

    #[test]
    fn our_types_and_references_to_them_are_known() {
        let (mut a, b) = UnixStream::pair().unwrap();
        assert!(is_unix(&a) && is_unix(&&a) && is_unix(&&mut a));
        // The one that is meant, and not another.
        let reference = &b;
        let Some(Splicable::Unix(poll)) = splicable(&reference) else { panic!("it is one") };
        assert!(std::ptr::eq(poll, &b.0));
        let (reader, writer) = pipe().unwrap();
        assert!(matches!(splicable(&reader), Some(Splicable::Reader(_))));
        assert!(matches!(splicable(&&writer), Some(Splicable::Writer(_))));
    }

    #[test]
    fn others_are_not() {
        let (a, b) = UnixStream::pair().unwrap();
        let both = [&a, &b];
        assert!(splicable(&both).is_none() && splicable(&&&a).is_none() && splicable("text").is_none());
        let reader: &dyn Read = &&a;
        assert!(splicable(reader).is_none());
        let writer: Box<dyn Write> = Box::new(a);
        assert!(splicable(&writer).is_none() && splicable(&Box::new(b)).is_none());
    }
}

//! A value on its way to a select, which does not know its type.

#![allow(unsafe_code, reason = "values whose type a select does not know")]

use std::mem::MaybeUninit;

/// Values up to so many words are carried as they are. Others are put into a box.
const WORDS: usize = 3;

type Room = [MaybeUninit<*mut ()>; WORDS];

/// A value whose type only the code that packs and unpacks it knows. A forgotten parcel is leaked.
#[derive(Clone, Copy)]
pub(crate) struct Parcel(Room);

const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<Room>() && align_of::<T>() <= align_of::<Room>()
}

impl Parcel {
    #[inline]
    pub(crate) fn pack<T>(value: T) -> Parcel {
        let mut room = [MaybeUninit::uninit(); WORDS];
        if fits::<T>() {
            // SAFETY: it fits.
            unsafe { room.as_mut_ptr().cast::<T>().write(value) };
        } else {
            room[0].write(Box::into_raw(Box::new(value)).cast());
        }
        Parcel(room)
    }

    /// The value.
    ///
    /// # Safety
    /// A `T` was packed, and of all copies of this parcel one is unpacked, once.
    #[inline]
    pub(crate) unsafe fn unpack<T>(self) -> T {
        if fits::<T>() {
            // SAFETY: as the caller promises.
            return unsafe { self.0.as_ptr().cast::<T>().read() };
        }
        // SAFETY: the first word is the box.
        let boxed = unsafe { self.0[0].assume_init() };
        // SAFETY: it was made when the value was packed.
        *unsafe { Box::from_raw(boxed.cast::<T>()) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::rc::Rc;

    fn there_and_back<T: Clone + PartialEq + Debug>(value: T) {
        // SAFETY: it was packed as what it is.
        assert_eq!(unsafe { Parcel::pack(value.clone()).unpack::<T>() }, value);
    }

    #[test]
    fn whatever_its_size() {
        #[derive(Clone, PartialEq, Debug)]
        #[repr(align(64))]
        struct Aligned(u8);
        there_and_back(());
        there_and_back(7_u8);
        there_and_back(String::from("three words"));
        there_and_back([1_u64, 2, 3]);
        there_and_back([1_u64, 2, 3, 4]);
        there_and_back([7_u8; 4000]);
        there_and_back(1_u128 << 100);
        there_and_back(Aligned(5));
    }

    #[test]
    fn dropped_once() {
        let value = Rc::new(1);
        let parcels = [Parcel::pack(value.clone()), Parcel::pack(value.clone())];
        assert_eq!(Rc::strong_count(&value), 3);
        // SAFETY: each is unpacked once.
        parcels.into_iter().for_each(|parcel| drop(unsafe { parcel.unpack::<Rc<i32>>() }));
        let big = Parcel::pack([value.clone(), value.clone(), value.clone(), value.clone()]);
        // SAFETY: as above.
        drop(unsafe { big.unpack::<[Rc<i32>; 4]>() });
        assert_eq!(Rc::strong_count(&value), 1);
    }
}

//! Plain data: values that are nothing but their bytes.

use std::mem::MaybeUninit;

/// A type whose values may be copied to and from the kernel as bytes.
///
/// # Safety
///
/// The type is `repr(C)` or a primitive, has no padding, holds no pointer or
/// reference, and every pattern of bytes is a valid value of it.
pub unsafe trait Pod: Copy + Send + Sync + 'static {}

// SAFETY: integers have no padding and every pattern of bytes is a value.
unsafe impl Pod for u8 {}
// SAFETY: as above.
unsafe impl Pod for u16 {}
// SAFETY: as above.
unsafe impl Pod for u32 {}
// SAFETY: as above.
unsafe impl Pod for u64 {}
// SAFETY: an array of plain data has no padding between its elements.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}

/// The bytes of a value.
pub fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: `Pod` has no padding, so all of its bytes are initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The bytes of several values in a row.
pub fn slice_bytes<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: as in `bytes_of`; a slice has no gaps.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A value of zero bytes.
#[must_use]
pub fn zeroed<T: Pod>() -> T {
    // SAFETY: every pattern of bytes is a value of a `Pod` type.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The value that the first bytes hold; `None` if there are too few of them.
#[must_use]
pub fn from_bytes<T: Pod>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: enough bytes are there, every pattern is a value, and the read is unaligned.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

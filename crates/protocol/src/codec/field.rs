//! How each type of field is read and written.

use std::borrow::Cow;

use chronik_types::Uuid;

use super::{DecodeError, EncodeError, Reader, Version, Writer};

/// A type that a field of a message can have, read.
pub(crate) trait ReadField<'a>: Sized {
    /// The fewest bytes that a value takes in this version.
    fn min_bytes(v: Version) -> usize;

    /// Reads a value that cannot be null, or whose own type says null.
    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError>;

    /// Reads a value or null. Structs have a byte before them: negative is null.
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        if r.i8()? < 0 { Ok(None) } else { Self::read(r, v).map(Some) }
    }

    /// The fewest bytes that a value or null takes.
    fn min_nullable_bytes(_: Version) -> usize {
        1
    }
}

/// A type that a field of a message can have, written.
pub(crate) trait WriteField {
    /// Writes the value.
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError>;

    /// Writes a value or null.
    fn write_nullable(this: Option<&Self>, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        match this {
            None => w.put(&[0xFF]),
            Some(value) => {
                w.put(&[1]);
                value.write(w, v)?;
            }
        }
        Ok(())
    }

    /// Whether the value stands for null.
    fn is_null(&self) -> bool {
        false
    }
}

/// Whether a field holds something other than its default.
pub(crate) fn differs<T: PartialEq>(field: &T, default: T) -> bool {
    *field != default
}

macro_rules! fixed_width {
    ($($ty:ty, $read:ident, $bytes:literal, |$value:ident| $wire:expr;)+) => {$(
        impl<'a> ReadField<'a> for $ty {
            fn min_bytes(_: Version) -> usize {
                $bytes
            }

            fn read(r: &mut Reader<'a>, _: Version) -> Result<Self, DecodeError> {
                r.$read()
            }
        }

        impl WriteField for $ty {
            fn write(&self, w: &mut Writer, _: Version) -> Result<(), EncodeError> {
                let $value = self;
                w.put(&$wire);
                Ok(())
            }
        }
    )+};
}

fixed_width! {
    bool, bool, 1, |value| [u8::from(*value)];
    i8, i8, 1, |value| value.to_be_bytes();
    i16, i16, 2, |value| value.to_be_bytes();
    u16, u16, 2, |value| value.to_be_bytes();
    i32, i32, 4, |value| value.to_be_bytes();
    i64, i64, 8, |value| value.to_be_bytes();
    f64, f64, 8, |value| value.to_be_bytes();
    Uuid, uuid, 16, |value| value.0;
}

impl<'a> ReadField<'a> for Cow<'a, str> {
    fn min_bytes(v: Version) -> usize {
        if v.flexible { 1 } else { 2 }
    }

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        Self::read_nullable(r, v)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        match r.string_length(v.flexible)? {
            None => Ok(None),
            Some(length) => r.text(length).map(Some),
        }
    }

    fn min_nullable_bytes(v: Version) -> usize {
        Self::min_bytes(v)
    }
}

impl WriteField for Cow<'_, str> {
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        w.string_length(Some(self.len()), v.flexible)?;
        w.put(self.as_bytes());
        Ok(())
    }

    fn write_nullable(this: Option<&Self>, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        match this {
            None => w.string_length(None, v.flexible),
            Some(text) => text.write(w, v),
        }
    }
}

impl<'a> ReadField<'a> for Cow<'a, [u8]> {
    fn min_bytes(v: Version) -> usize {
        if v.flexible { 1 } else { 4 }
    }

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        Self::read_nullable(r, v)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        match r.length(v.flexible)? {
            None => Ok(None),
            Some(length) => r.take(length).map(|bytes| Some(Cow::Borrowed(bytes))),
        }
    }

    fn min_nullable_bytes(v: Version) -> usize {
        Self::min_bytes(v)
    }
}

impl WriteField for Cow<'_, [u8]> {
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        w.length(Some(self.len()), v.flexible)?;
        w.put(self);
        Ok(())
    }

    fn write_nullable(this: Option<&Self>, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        match this {
            None => w.length(None, v.flexible),
            Some(bytes) => bytes.write(w, v),
        }
    }
}

impl<'a, T: ReadField<'a>> ReadField<'a> for Vec<T> {
    fn min_bytes(v: Version) -> usize {
        if v.flexible { 1 } else { 4 }
    }

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        Self::read_nullable(r, v)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        let Some(count) = r.length(v.flexible)? else { return Ok(None) };
        let at_first = r.admit_elements(count, T::min_bytes(v), size_of::<T>())?;
        let mut elements = Self::with_capacity(at_first);
        for _ in 0..count {
            elements.push(T::read(r, v)?);
        }
        Ok(Some(elements))
    }

    fn min_nullable_bytes(v: Version) -> usize {
        Self::min_bytes(v)
    }
}

impl<T: WriteField> WriteField for Vec<T> {
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        w.length(Some(self.len()), v.flexible)?;
        self.iter().try_for_each(|element| element.write(w, v))
    }

    fn write_nullable(this: Option<&Self>, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        match this {
            None => w.length(None, v.flexible),
            Some(elements) => elements.write(w, v),
        }
    }
}

impl<'a, T: ReadField<'a>> ReadField<'a> for Option<T> {
    fn min_bytes(v: Version) -> usize {
        T::min_nullable_bytes(v)
    }

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        T::read_nullable(r, v)
    }
}

impl<T: WriteField> WriteField for Option<T> {
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), w, v)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

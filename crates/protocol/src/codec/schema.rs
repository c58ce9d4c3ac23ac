//! The schema macro: a message is a table of fields, and its codec follows from the table.
//!
//! ```text
//! messages! {
//!     api Fetch: FetchRequest<'a> => FetchResponse<'r>;      // or: record Name<'a>, 0-4, Some(4);
//!
//!     /// What the message is.
//!     struct FetchRequest<'a> {
//!         max_wait_ms: i32;                                  // in every version, default 0
//!         replica_id: i32, 4-14, default -1;                 // only in versions 4 to 14
//!         rack_id: Cow<'a, str>, 11+ ignorable;              // dropped silently before 11
//!         cluster_id: Option<Cow<'a, str>>, 12+ ignorable, tag 0, default None;
//!         topics: Option<Vec<Topic<'a>>>, null 1+;           // null is allowed from version 1 on
//!     }
//! }
//! ```
//!
//! The parts of a field come in this order: versions, `ignorable`, `tag`, `null`, `default`. An
//! `Option` without `null` may be null wherever the field exists. Tagged fields stand in the order
//! of their tags. The versions of a request and its response are those of [`crate::api`]'s table.

/// The messages of one API, or a record, with the structs they are made of.
macro_rules! messages {
    (
        api $api:ident: $request:ident $(<$q:lifetime>)? => $response:ident $(<$s:lifetime>)?;
        $($structs:tt)*
    ) => {
        impl<'a> $crate::codec::Request<'a> for $request $(<$q>)? {
            const KEY: $crate::api::ApiKey = $crate::api::ApiKey::$api;
            type Response<'r> = $response $(<$s>)?;
        }
        $crate::codec::messages! { @whole $request $(<$q>)?, $crate::api::ApiKey::$api.api() }
        $crate::codec::messages! { @whole $response $(<$s>)?, $crate::api::ApiKey::$api.api() }
        $crate::codec::structs! { $($structs)* }
    };
    (
        record $record:ident $(<$l:lifetime>)?, $min:literal - $max:literal, $flexible:expr;
        $($structs:tt)*
    ) => {
        $crate::codec::messages! {
            @whole $record $(<$l>)?,
            $crate::api::Api { min: $min, max: $max, flexible_from: $flexible, advertised_min: $min }
        }
        $crate::codec::structs! { $($structs)* }
    };
    (@whole $name:ident $(<$l:lifetime>)?, $api:expr) => {
        impl $(<$l>)? $crate::codec::Versioned for $name $(<$l>)? {
            const MIN: i16 = $api.min;
            const MAX: i16 = $api.max;
            const FLEXIBLE: Option<i16> = $api.flexible_from;
        }

        impl $(<$l>)? $crate::codec::Encode for $name $(<$l>)? {
            fn encode(
                &self,
                w: &mut $crate::codec::Writer,
                version: i16,
            ) -> Result<(), $crate::codec::EncodeError> {
                let v = $crate::codec::Version::of::<Self>(version)
                    .ok_or($crate::codec::EncodeError::UnsupportedVersion(version))?;
                $crate::codec::WriteField::write(self, w, v)
            }
        }

        $crate::codec::messages! { @decode $name $(<$l>)? }
    };
    (@decode $name:ident) => {
        $crate::codec::messages! { @decode 'a, $name }
    };
    (@decode $name:ident <$l:lifetime>) => {
        $crate::codec::messages! { @decode $l, $name<$l> }
    };
    (@decode $l:lifetime, $of:ty) => {
        impl<$l> $crate::codec::Decode<$l> for $of {
            fn decode(
                r: &mut $crate::codec::Reader<$l>,
                version: i16,
            ) -> Result<Self, $crate::codec::DecodeError> {
                let v = $crate::codec::Version::of::<Self>(version)
                    .ok_or($crate::codec::DecodeError::UnsupportedVersion(version))?;
                $crate::codec::ReadField::read(r, v)
            }
        }
    };
}

/// Structs with their defaults and their codec.
macro_rules! structs {
    ($(
        $(#[$doc:meta])*
        struct $name:ident $(<$l:lifetime>)? {
            $(
                $field:ident: $ty:ty
                $(, $min:literal $(- $max:literal)? $(+)? $($ignorable:ident)?)?
                $(, tag $tag:literal)?
                $(, null $null_min:literal $(- $null_max:literal)? $(+)?)?
                $(, default $default:expr)?;
            )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the fields are those of Kafka's schema, by name")]
        pub struct $name $(<$l>)? {
            $(pub $field: $ty,)*
        }

        impl $(<$l>)? Default for $name $(<$l>)? {
            fn default() -> Self {
                Self { $($field: $crate::codec::default!($($default)?),)* }
            }
        }

        #[allow(unused_variables, unused_mut, reason = "some structs have no fields or no tags")]
        impl<'a> $crate::codec::ReadField<'a> for $name $(<$l>)? {
            fn min_bytes(v: $crate::codec::Version) -> usize {
                let mut bytes = usize::from(v.flexible);
                $($crate::codec::field! {
                    @min_bytes ($ty, bytes, v) [$($tag)?] ($($min $(, $max)?)?)
                })*
                bytes
            }

            fn read(
                r: &mut $crate::codec::Reader<'a>,
                v: $crate::codec::Version,
            ) -> Result<Self, $crate::codec::DecodeError> {
                let mut this = Self::default();
                $($crate::codec::field! {
                    @read (this, $field, r, v, $name) [$($tag)?] ($($min $(, $max)?)?)
                    ($($null_min $(, $null_max)?)?)
                })*
                if v.flexible {
                    r.tagged_fields(&mut |tag, r| {
                        $($crate::codec::field! {
                            @read_tagged (this, $field, r, v, tag) [$($tag)?] ($($min $(, $max)?)?)
                        })*
                        Ok(false)
                    })?;
                }
                Ok(this)
            }
        }

        #[allow(unused_variables, unused_mut, reason = "some structs have no fields or no tags")]
        impl $(<$l>)? $crate::codec::WriteField for $name $(<$l>)? {
            fn write(
                &self,
                w: &mut $crate::codec::Writer,
                v: $crate::codec::Version,
            ) -> Result<(), $crate::codec::EncodeError> {
                let this = self;
                let mut tagged = 0u32;
                $($crate::codec::field! {
                    @write (this, $field, w, v, $name, tagged) [$($tag)?] ($($min $(, $max)?)?)
                    ($($null_min $(, $null_max)?)?) [$($($ignorable)?)?] ($($default)?)
                })*
                if v.flexible {
                    w.unsigned_varint(tagged);
                    $($crate::codec::field! {
                        @write_tagged (this, $field, w, v) [$($tag)?] ($($min $(, $max)?)?)
                        ($($default)?)
                    })*
                }
                Ok(())
            }
        }

        #[cfg(test)]
        #[allow(unused_variables, unused_mut, reason = "some structs have no fields")]
        impl $(<$l>)? $crate::codec::arbitrary::Arbitrary for $name $(<$l>)? {
            fn arbitrary(
                g: &mut $crate::codec::arbitrary::Generator,
                v: $crate::codec::Version,
            ) -> Self {
                let mut this = Self::default();
                $($crate::codec::field! {
                    @arbitrary (this, $field, g, v) ($($min $(, $max)?)?)
                    ($($null_min $(, $null_max)?)?)
                })*
                this
            }
        }
    )*};
}

/// Whether version `v` lies in a field's range.
macro_rules! versions {
    ($v:ident) => {
        true
    };
    ($v:ident $min:literal) => {
        $v.number >= $min
    };
    ($v:ident $min:literal, $max:literal) => {
        ($min..=$max).contains(&$v.number)
    };
}

/// A field's default: the schema's, or zero, false, empty.
macro_rules! default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// What one field adds to each function of its struct. `[tag]` is empty for a field in its place,
/// `(versions)` for one that every version has.
macro_rules! field {
    (@min_bytes ($ty:ty, $bytes:ident, $v:ident) [] ($($in:tt)*)) => {
        if $crate::codec::versions!($v $($in)*) {
            $bytes += <$ty as $crate::codec::ReadField<'_>>::min_bytes($v);
        }
    };
    (@min_bytes ($ty:ty, $bytes:ident, $v:ident) [$tag:literal] ($($in:tt)*)) => {};

    (@read ($this:ident, $field:ident, $r:ident, $v:ident, $name:ident) [] ($($in:tt)*) ()) => {
        if $crate::codec::versions!($v $($in)*) {
            $this.$field = $crate::codec::ReadField::read($r, $v)?;
        }
    };
    (
        @read ($this:ident, $field:ident, $r:ident, $v:ident, $name:ident) [] ($($in:tt)*)
        ($($null:tt)+)
    ) => {
        if $crate::codec::versions!($v $($in)*) {
            $this.$field = $crate::codec::ReadField::read($r, $v)?;
            if $crate::codec::WriteField::is_null(&$this.$field)
                && !($crate::codec::versions!($v $($null)+))
            {
                return Err($crate::codec::DecodeError::NullField {
                    field: concat!(stringify!($name), ".", stringify!($field)),
                    version: $v.number,
                });
            }
        }
    };
    (
        @read ($this:ident, $field:ident, $r:ident, $v:ident, $name:ident) [$tag:literal]
        ($($in:tt)*) ()
    ) => {};

    (
        @read_tagged ($this:ident, $field:ident, $r:ident, $v:ident, $tag_read:ident)
        [] ($($in:tt)*)
    ) => {};
    (
        @read_tagged ($this:ident, $field:ident, $r:ident, $v:ident, $tag_read:ident)
        [$tag:literal] ($($in:tt)*)
    ) => {
        if $tag_read == $tag && $crate::codec::versions!($v $($in)*) {
            $this.$field = $crate::codec::ReadField::read($r, $v)?;
            return Ok(true);
        }
    };

    (
        @write ($this:ident, $field:ident, $w:ident, $v:ident, $name:ident, $tagged:ident)
        [] () () [] ($($default:tt)*)
    ) => {
        $crate::codec::WriteField::write(&$this.$field, $w, $v)?;
    };
    (
        @write ($this:ident, $field:ident, $w:ident, $v:ident, $name:ident, $tagged:ident)
        [] ($($in:tt)*) ($($null:tt)*) [$($ignorable:ident)?] ($($default:tt)*)
    ) => {
        if $crate::codec::versions!($v $($in)*) {
            $crate::codec::field! { @check_null ($this, $field, $v, $name) ($($null)*) }
            $crate::codec::WriteField::write(&$this.$field, $w, $v)?;
        } else {
            $crate::codec::field! {
                @absent ($this, $field, $v, $name) [$($ignorable)?] ($($default)*)
            }
        }
    };
    (
        @write ($this:ident, $field:ident, $w:ident, $v:ident, $name:ident, $tagged:ident)
        [$tag:literal] ($($in:tt)*) () [$($ignorable:ident)?] ($($default:tt)*)
    ) => {
        if $crate::codec::versions!($v $($in)*) {
            let set = $crate::codec::differs(&$this.$field, $crate::codec::default!($($default)*));
            $tagged += u32::from(set);
        } else {
            $crate::codec::field! {
                @absent ($this, $field, $v, $name) [$($ignorable)?] ($($default)*)
            }
        }
    };

    (@check_null ($this:ident, $field:ident, $v:ident, $name:ident) ()) => {};
    (@check_null ($this:ident, $field:ident, $v:ident, $name:ident) ($($null:tt)+)) => {
        if $crate::codec::WriteField::is_null(&$this.$field)
            && !($crate::codec::versions!($v $($null)+))
        {
            return Err($crate::codec::EncodeError::NullField {
                field: concat!(stringify!($name), ".", stringify!($field)),
                version: $v.number,
            });
        }
    };

    (@absent ($this:ident, $field:ident, $v:ident, $name:ident) [ignorable] ($($default:tt)*)) => {};
    (@absent ($this:ident, $field:ident, $v:ident, $name:ident) [] ($($default:tt)*)) => {
        if $crate::codec::differs(&$this.$field, $crate::codec::default!($($default)*)) {
            return Err($crate::codec::EncodeError::FieldNotInVersion {
                field: concat!(stringify!($name), ".", stringify!($field)),
                version: $v.number,
            });
        }
    };

    (
        @write_tagged ($this:ident, $field:ident, $w:ident, $v:ident) [] ($($in:tt)*)
        ($($default:tt)*)
    ) => {};
    (
        @write_tagged ($this:ident, $field:ident, $w:ident, $v:ident) [$tag:literal] ($($in:tt)*)
        ($($default:tt)*)
    ) => {
        if $crate::codec::versions!($v $($in)*)
            && $crate::codec::differs(&$this.$field, $crate::codec::default!($($default)*))
        {
            let mark = $w.begin_tag($tag);
            $crate::codec::WriteField::write(&$this.$field, $w, $v)?;
            $w.end_tag(&mark)?;
        }
    };

    (@arbitrary ($this:ident, $field:ident, $g:ident, $v:ident) ($($in:tt)*) ($($null:tt)*)) => {
        if $crate::codec::versions!($v $($in)*) {
            $this.$field = $crate::codec::arbitrary::Arbitrary::arbitrary($g, $v);
            while $crate::codec::WriteField::is_null(&$this.$field)
                && !($crate::codec::versions!($v $($null)*))
            {
                $this.$field = $crate::codec::arbitrary::Arbitrary::arbitrary($g, $v);
            }
        }
    };
}

pub(crate) use {default, field, messages, structs, versions};

//! Every message, in every version: against the `kafka-protocol` crate, and against bytes that
//! are no message.

mod hostile;
mod oracle;

use std::fmt::Debug;

use proptest::test_runner::{Config, TestRunner};

use crate::codec::arbitrary::{Arbitrary, Generator};
use crate::codec::{Encode, Version, Versioned, Writer};

/// Runs `check` on `cases` seeds, which differ from run to run; a failure names its seed.
pub(super) fn for_seeds(cases: u32, check: impl Fn(u64)) {
    let config =
        Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::num::u64::ANY, |seed| {
            check(seed);
            Ok(())
        })
        .unwrap();
}

/// A message as it can be in `version`.
pub(super) fn message<M: Arbitrary + Versioned>(g: &mut Generator, version: i16) -> M {
    M::arbitrary(g, Version::of::<M>(version).expect("a version of the schema"))
}

/// The bytes of a message that can be written.
pub(super) fn encoded<M: Encode + Debug>(message: &M, version: i16) -> Vec<u8> {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap_or_else(|error| panic!("{error}: {message:?}"));
    w.finish().concat().to_vec()
}

//! Sound inputs of the targets that do not make their own: what is thrown at a decoder comes further
//! when it is nearly right.

use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::compression::{Codec, compress};
use chronik_types::{ProducerEpoch, ProducerId, Timestamp};

const NODE: &[u8] = include_bytes!("../../tests/cluster/node1.properties");
/// Room for a target's own choices, taken from the front of its input.
const CHOICES: usize = 2;

/// Some inputs of the target called `name`; none for a target that changes what is sound itself.
#[must_use]
pub fn samples(name: &str) -> Vec<Vec<u8>> {
    match name {
        "batches" => Codec::ALL.into_iter().map(|codec| prefixed(0, 1, &batch(codec))).collect(),
        "decompression" => {
            let text = b"compressible ".repeat(40);
            let packed = |codec| compress(codec, None, &text).expect("it can be compressed");
            (0..).zip(Codec::ALL).map(|(n, codec)| prefixed(n, CHOICES, &packed(codec))).collect()
        }
        "properties" => vec![NODE.to_vec()],
        _ => Vec::new(),
    }
}

/// Puts them where a run of `fuzz/run` begins, before it does.
pub fn write_samples(name: &str) {
    for (n, sample) in samples(name).iter().enumerate() {
        let path = format!("corpus/{name}/sample-{n}");
        std::fs::write(&path, sample).unwrap_or_else(|error| eprintln!("{path}: {error}"));
    }
}

fn prefixed(choice: u8, choices: usize, bytes: &[u8]) -> Vec<u8> {
    let mut input = vec![choice, 1];
    input.truncate(choices);
    input.extend_from_slice(bytes);
    input
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(1), 3);
    if codec != Codec::None {
        builder = builder.compression(codec, None);
    }
    for value in [&b"one"[..], b"two two two two", b""] {
        builder
            .append(Timestamp(1_700_000_000_000), Some(b"key"), Some(value), &[])
            .expect("it fits");
    }
    builder.build().expect("it fits").to_vec()
}

//! `.txnindex`: the aborted transactions whose marker is in the segment.
//!
//! Entries of 34 bytes, big-endian: version 0 (i16), producer id, first offset, last offset, last
//! stable offset (i64 each). Ordered by last offset.

use chronik_types::{Offset, ProducerId};

use crate::transactions::AbortedTransaction;

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 34;

const VERSION: i16 = 0;

pub(crate) fn encode(transaction: &AbortedTransaction) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    let (version, fields) = bytes.split_at_mut(2);
    version.copy_from_slice(&VERSION.to_be_bytes());
    let values = [
        transaction.producer_id.0,
        transaction.first_offset.0,
        transaction.last_offset.0,
        transaction.last_stable_offset.0,
    ];
    for (field, value) in fields.chunks_exact_mut(8).zip(values) {
        field.copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// The entries at the front of `bytes` whose marker lies in `[base, end)`; what follows was written
/// by a flush that never counted.
pub(crate) fn decode(bytes: &[u8], base: Offset, end: Offset) -> Vec<AbortedTransaction> {
    let mut transactions: Vec<AbortedTransaction> = Vec::new();
    for chunk in bytes.chunks_exact(ENTRY_BYTES) {
        let Some((version, fields)) = chunk.split_first_chunk::<2>() else { break };
        let mut values = fields.as_chunks::<8>().0.iter().map(|field| i64::from_be_bytes(*field));
        let mut next = || values.next().unwrap_or(-1);
        let transaction = AbortedTransaction {
            producer_id: ProducerId(next()),
            first_offset: Offset(next()),
            last_offset: Offset(next()),
            last_stable_offset: Offset(next()),
        };
        let last = transaction.last_offset;
        let ascends = transactions.last().is_none_or(|before| last > before.last_offset);
        // A transaction has a record before its marker; zeros, which a file may show where a write
        // was lost, have none.
        let begins_before = transaction.first_offset < last;
        let is_within = (base..end).contains(&last);
        if i16::from_be_bytes(*version) != VERSION || !ascends || !begins_before || !is_within {
            break;
        }
        transactions.push(transaction);
    }
    transactions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas_bytes() {
        let transaction = AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(2),
            last_offset: Offset(3),
            last_stable_offset: Offset(4),
        };
        let bytes = encode(&transaction);
        let mut golden = vec![0; 2];
        for value in 1..=4 {
            golden.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, value]);
        }
        assert_eq!(bytes.as_slice(), golden);
        assert_eq!(decode(&bytes, Offset(0), Offset(4)), [transaction]);
        assert_eq!(decode(&bytes, Offset(0), Offset(3)), []);
    }

    #[test]
    fn zeros_are_no_transaction() {
        assert_eq!(decode(&[0; 3 * ENTRY_BYTES], Offset(0), Offset(9)), []);
    }
}

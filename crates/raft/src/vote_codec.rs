//! The vote as the journal holds it: term (i32), node (i32), committed (0 or 1), big-endian.

use std::io;

use bytes::Bytes;
use chronik_types::{BrokerId, LeaderEpoch};

use crate::type_config::{Vote, broker_of, epoch_of_term, node_of, term_of};

pub(crate) fn encode(vote: &Vote) -> Bytes {
    let mut bytes = Vec::with_capacity(9);
    bytes.extend_from_slice(&epoch_of_term(vote.leader_id.term).0.to_be_bytes());
    bytes.extend_from_slice(&broker_of(vote.leader_id.voted_for).0.to_be_bytes());
    bytes.push(u8::from(vote.committed));
    bytes.into()
}

pub(crate) fn decode(bytes: &[u8]) -> io::Result<Vote> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the vote on disk has another format");
    let bytes: &[u8; 9] = bytes.try_into().map_err(|_| bad())?;
    let &[a, b, c, d, e, f, g, h, committed] = bytes;
    let term = term_of(LeaderEpoch(i32::from_be_bytes([a, b, c, d])));
    let node = node_of(BrokerId(i32::from_be_bytes([e, f, g, h])));
    match committed {
        0 => Ok(Vote::new(term, node)),
        1 => Ok(Vote::new_committed(term, node)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_comes_back_as_it_was_saved() {
        for vote in [Vote::new(0, 0), Vote::new(7, 3), Vote::new_committed(i32::MAX as u64, 12)] {
            assert_eq!(decode(&encode(&vote)).unwrap(), vote);
        }
        assert!(decode(&[0; 8]).is_err());
        assert!(decode(&[2; 9]).is_err());
    }
}

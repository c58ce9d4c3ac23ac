//! What the clients of the leader see of topics: the committed image, and the topics that were
//! created, grown or deleted by requests already answered on the leader's own sync.
//!
//! **Invariants:** it differs from the committed image only in topics of batches that the leader
//! has synced; with nothing such in flight it is the committed image.
//!
//! Leaders, in-sync sets, epochs and brokers come from the committed image alone: a topic that
//! could still vanish never holds a record.

use chronik_metadata::Image;

use crate::proposals::Proposals;

/// The acknowledged image for this committed one.
pub(crate) fn acknowledged(committed: &Image, proposals: &mut Proposals) -> Image {
    let mut image = committed.clone();
    for batch in proposals.in_flight().take_while(|batch| batch.leader_synced) {
        for record in &batch.fast {
            // One that rests on an uncommitted change of another kind does not replay here, and
            // is seen once it is committed.
            let _ = image.replay(record);
        }
    }
    image
}

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
pub(crate) fn acknowledged(committed: &Image, proposals: &Proposals) -> Image {
    let Some(last) = proposals.leader_synced().last() else { return committed.clone() };
    // Mostly there is nothing else in flight, and it has been replayed already.
    if let Some(after) = &last.after
        && proposals.leader_synced().all(|batch| batch.after.is_some())
    {
        // Comparing hashes takes time in proportion to the image; small ones are compared.
        debug_assert!(
            after.partition_count() > 1_000
                || after.hash() == replayed(committed, proposals).hash(),
            "the image behind a batch is another one than its records make"
        );
        return after.clone();
    }
    replayed(committed, proposals)
}

fn replayed(committed: &Image, proposals: &Proposals) -> Image {
    let mut image = committed.clone();
    for batch in proposals.leader_synced() {
        for record in &batch.fast {
            // One that rests on an uncommitted change of another kind does not replay here, and
            // is seen once it is committed.
            let _ = image.replay(record);
        }
    }
    image
}

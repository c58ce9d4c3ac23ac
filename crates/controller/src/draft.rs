//! The records that a request yields while it is being judged.

use chronik_metadata::record::Change;
use chronik_metadata::{Image, MetadataRecord};

/// The image as it will be, and the records that make it so. A record is replayed as it is added,
/// so the next decision sees it, and one that would not replay never leaves the controller.
#[derive(Debug)]
pub(crate) struct Draft {
    image: Image,
    records: Vec<MetadataRecord>,
}

impl Draft {
    /// Begins with `image`; if nobody else holds it, it changes in place.
    pub(crate) fn new(image: Image) -> Self {
        Self { image, records: Vec::new() }
    }

    /// The image with the records so far.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Adds a change. One that does not fit the image is a mistake of the controller's own, and
    /// is better found here than on every node of the cluster.
    pub(crate) fn push(&mut self, change: Change) {
        let record = MetadataRecord::from(change);
        let replayed = self.image.replay(&record);
        assert!(
            replayed.is_ok(),
            "the controller made a record that does not replay: {replayed:?}"
        );
        self.records.push(record);
    }

    /// Adds the changes there are.
    pub(crate) fn push_all(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.push(change));
    }

    pub(crate) fn into_parts(self) -> (Image, Vec<MetadataRecord>) {
        (self.image, self.records)
    }
}

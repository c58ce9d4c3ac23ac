//! What differs between two images, found without looking at what they share.

use std::sync::Arc;

use chronik_types::{BrokerId, PartitionId};
use imbl::ordmap::DiffItem;

use crate::image::{ConfigResource, Image, Topic};

/// A topic that is in both images and differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicChange {
    /// As it was.
    pub old: Arc<Topic>,
    /// As it is.
    pub new: Arc<Topic>,
    /// The partitions that are new or differ, in order.
    pub partitions: Vec<PartitionId>,
    /// Whether what the topic sets differs.
    pub configs: bool,
}

/// What differs between an older and a newer image. A topic deleted and created again is in
/// `deleted` with its old id and in `created` with its new one: subscribers handle `deleted`
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Topics that are gone, as they were, by id.
    pub deleted: Vec<Arc<Topic>>,
    /// Topics that are new, by id.
    pub created: Vec<Arc<Topic>>,
    /// Topics that differ, by id.
    pub changed: Vec<TopicChange>,
    /// Brokers that are new, gone or different.
    pub brokers: Vec<BrokerId>,
    /// Resources other than topics for which something else is set.
    pub configs: Vec<ConfigResource>,
    /// Whether a feature's level differs.
    pub features: bool,
    /// Whether the cluster's name does.
    pub cluster_id: bool,
}

impl Changes {
    /// Whether the two images are the same to every subscriber.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What differs between `old` and `new`. Takes time in proportion to what differs.
#[must_use]
pub fn delta(old: &Image, new: &Image) -> Changes {
    let mut changes = Changes {
        features: old.features != new.features,
        cluster_id: old.cluster_id != new.cluster_id,
        ..Changes::default()
    };
    for item in old.topics.diff(&new.topics) {
        match item {
            DiffItem::Add(_, topic) => changes.created.push(topic.clone()),
            DiffItem::Remove(_, topic) => changes.deleted.push(topic.clone()),
            DiffItem::Update { old: (_, old), new: (_, new) } => {
                changes.changed.push(TopicChange {
                    old: old.clone(),
                    new: new.clone(),
                    partitions: old.partitions.differences(&new.partitions),
                    configs: old.configs != new.configs,
                });
            }
        }
    }
    changes.brokers = old.brokers.diff(&new.brokers).map(|item| *key(&item)).collect();
    changes.configs = old.configs.diff(&new.configs).map(|item| key(&item).clone()).collect();
    changes
}

fn key<'a, K, V>(item: &DiffItem<'a, 'a, K, V>) -> &'a K {
    match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key,
        DiffItem::Update { new: (key, _), .. } => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Change, Config, FreshPartitions, PartitionChange, RemoveTopic};
    use crate::record::{Topic as TopicRecord, WireUuid};

    fn id(low: u64) -> WireUuid {
        WireUuid { high: 7, low }
    }

    fn replay(image: &Image, changes: impl IntoIterator<Item = Change>) -> Image {
        let mut image = image.clone();
        for change in changes {
            image.replay(&change.into()).unwrap();
        }
        image
    }

    fn topic(low: u64, name: &str, partitions: usize) -> [Change; 2] {
        let topic_id = id(low);
        [
            Change::Topic(TopicRecord { topic_id, name: name.to_owned() }),
            Change::FreshPartitions(FreshPartitions {
                topic_id,
                replication_factor: 1,
                replicas: vec![1; partitions],
                ..Default::default()
            }),
        ]
    }

    #[test]
    fn equal_images_do_not_differ() {
        let image = replay(&Image::default(), topic(1, "a", 3));
        assert!(delta(&image, &image.clone()).is_empty());
    }

    #[test]
    fn a_topic_created_again_is_deleted_and_created() {
        let old = replay(&Image::default(), topic(5, "a", 1));
        let removed = Change::RemoveTopic(RemoveTopic { topic_id: id(5) });
        let new = replay(&old, std::iter::once(removed).chain(topic(4, "a", 2)));
        let changes = delta(&old, &new);
        assert_eq!((changes.deleted.len(), changes.created.len()), (1, 1));
        assert!(changes.changed.is_empty());
    }

    #[test]
    fn only_what_changed_in_a_topic_is_named() {
        let old = (1..50)
            .fold(Image::default(), |image, n| replay(&image, topic(n, &format!("t{n}"), 40)));
        let new = replay(
            &old,
            [
                Change::PartitionChange(PartitionChange {
                    topic_id: id(7),
                    partition: 39,
                    leader: Some(2),
                    ..Default::default()
                }),
                Change::Config(Config {
                    resource_type: 2,
                    resource_name: "t9".to_owned(),
                    name: "retention.ms".to_owned(),
                    value: Some("1".to_owned()),
                }),
            ],
        );
        let changes = delta(&old, &new);
        let seen: Vec<_> =
            changes.changed.iter().map(|c| (&*c.new.name, &c.partitions[..], c.configs)).collect();
        assert_eq!(seen, [("t7", &[39][..], false), ("t9", &[][..], true)]);
    }
}

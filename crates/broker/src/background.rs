//! What runs beside requests: flushing, retention, following the committed image.
//!
//! Each is one task for the whole broker, woken by an event or a timer of its own; none loops over
//! idle partitions.

use std::collections::HashSet;
use std::sync::Arc;

use chronik_log::LogError;
use chronik_metadata::{Changes, Image};
use chronik_types::TopicPartition;
use tokio::sync::watch;

use crate::Broker;
use crate::controller_runtime::heartbeats;
use crate::coordinator_runtime::Groups;

/// Starts the tasks; they end when `stop` turns true.
pub(crate) fn spawn(broker: &Arc<Broker>, stop: &watch::Receiver<bool>) {
    tokio::spawn(until(stop.clone(), flush(Arc::clone(broker))));
    tokio::spawn(until(stop.clone(), retention(Arc::clone(broker))));
    tokio::spawn(until(stop.clone(), follow_image(Arc::clone(broker))));
    let beats = heartbeats(
        broker.controller.clone(),
        broker.options.clone(),
        broker.options.cluster.heartbeat_interval,
    );
    tokio::spawn(until(stop.clone(), beats));
}

async fn until(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}

/// Moves batches from the journal's care to segments whenever the storage asks for it.
async fn flush(broker: Arc<Broker>) {
    loop {
        broker.storage.flush_wanted().await;
        let storage = broker.storage.clone();
        let report = chronik_env::blocking(move || storage.flush_round()).await;
        tracing::debug!(?report, "flushed");
    }
}

/// Drops segments that are past their time or over their size.
async fn retention(broker: Arc<Broker>) {
    let mut every = tokio::time::interval(broker.options.retention_check);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let storage = broker.storage.clone();
        let report = chronik_env::blocking(move || storage.retention_round()).await;
        tracing::debug!(?report, "retention applied");
    }
}

/// Brings the partitions in line with each new committed image.
async fn follow_image(broker: Arc<Broker>) {
    let mut committed = broker.committed.clone();
    let mut seen = committed.borrow_and_update().image.clone();
    remove_logs_of_unknown_topics(&broker, &seen).await;
    while committed.changed().await.is_ok() {
        let image = committed.borrow_and_update().image.clone();
        let changes = chronik_metadata::delta(&seen, &image);
        apply(&broker, &image, &changes).await;
        seen = image;
    }
}

async fn apply(broker: &Arc<Broker>, image: &Image, changes: &Changes) {
    for topic in &changes.deleted {
        for (partition, _) in topic.partitions.iter() {
            delete(broker, TopicPartition { topic_id: topic.id, partition }).await;
        }
        broker.partitions.forget(topic.id);
    }
    if !changes.deleted.is_empty() {
        Groups::topics_deleted(broker, &changes.deleted).await;
    }
    for topic in &changes.changed {
        for &partition in &topic.partitions {
            let tp = TopicPartition { topic_id: topic.new.id, partition };
            broker.partitions.follow_epoch(image, tp);
        }
        if topic.configs {
            broker.partitions.reconfigure(image, topic.new.id);
        }
    }
    if !changes.configs.is_empty() {
        broker.partitions.reconfigure_all(image);
    }
}

/// Ends the service of a partition and removes its log, if it ever had one.
async fn delete(broker: &Arc<Broker>, tp: TopicPartition) {
    broker.partitions.close(tp);
    let storage = broker.storage.clone();
    match chronik_env::blocking(move || storage.delete_log(tp)).await {
        Ok(()) | Err(LogError::Unknown(_)) => {}
        Err(error) => {
            tracing::error!(%tp, %error, "the log of a deleted topic could not be removed");
        }
    }
}

/// Sets aside logs whose topic was deleted while this broker was down. The image is caught up by
/// now, so a topic that it lacks is gone.
async fn remove_logs_of_unknown_topics(broker: &Arc<Broker>, image: &Image) {
    let known: HashSet<_> = broker.storage.known_logs().into_iter().collect();
    for tp in known {
        let metadata = tp == TopicPartition::METADATA;
        let exists =
            image.topic(tp.topic_id).is_some_and(|t| t.partitions.get(tp.partition).is_some());
        if metadata || exists {
            continue;
        }
        let storage = broker.storage.clone();
        match chronik_env::blocking(move || storage.set_stray(tp)).await {
            Ok(()) => tracing::info!(%tp, "the log of a topic that no longer exists was set aside"),
            Err(error) => tracing::error!(%tp, %error, "a stray log could not be set aside"),
        }
    }
}

//! What runs beside requests: flushing, retention, following the committed image.
//!
//! Each is one task for the whole broker, woken by an event or a timer of its own; none loops over
//! idle partitions.

use std::sync::Arc;

use chronik_log::{LogError, Storage};
use chronik_metadata::{Changes, Image};
use chronik_types::TopicPartition;
use tokio::sync::watch;

use crate::Broker;
use crate::coordinator_runtime::{Groups, OFFSETS_TOPIC};
use crate::journal_room::open_holders;
use crate::lifecycle::Lifecycle;
use crate::replication::{Follows, Replication};
use crate::strays::Strays;

/// Starts the tasks; they end when `stop` turns true.
pub(crate) fn spawn(
    broker: &Arc<Broker>,
    lifecycle: &Arc<Lifecycle>,
    stop: &watch::Receiver<bool>,
) {
    serve(broker, stop);
    if broker.options.cluster.roles.broker {
        tokio::spawn(until(stop.clone(), Arc::clone(lifecycle).stay_alive()));
    }
}

/// Starts the task that keeps room in the journal. It comes before everything else that writes: a
/// node that went down with a full journal must write metadata before it is registered, and could
/// not.
pub(crate) fn keep_room(storage: &Storage, stop: &watch::Receiver<bool>) {
    tokio::spawn(until(stop.clone(), flush(storage.clone())));
}

/// Starts the tasks that do not depend on this broker's being registered.
pub(crate) fn serve(broker: &Arc<Broker>, stop: &watch::Receiver<bool>) {
    let strays = Arc::<Strays>::default();
    tokio::spawn(until(stop.clone(), retention(Arc::clone(broker), Arc::clone(&strays))));
    tokio::spawn(until(stop.clone(), follow_image(Arc::clone(broker), strays)));
    tokio::spawn(until(stop.clone(), open_holders(Arc::clone(broker))));
    tokio::spawn(until(stop.clone(), Replication::run(Arc::clone(broker))));
}

async fn until(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}

/// Moves batches from the journal's care to segments whenever the storage asks for it.
async fn flush(storage: Storage) {
    loop {
        storage.flush_wanted().await;
        let storage = storage.clone();
        let report = chronik_env::blocking(move || storage.flush_round()).await;
        tracing::debug!(?report, "flushed");
    }
}

/// Drops segments that are past their time or over their size, and goes on with logs that are
/// nobody's.
async fn retention(broker: Arc<Broker>, strays: Arc<Strays>) {
    let mut every = tokio::time::interval(broker.options.retention_check);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let storage = broker.storage.clone();
        let report = chronik_env::blocking(move || storage.retention_round()).await;
        tracing::debug!(?report, "retention applied");
        strays.try_again(&broker).await;
    }
}

/// Brings the partitions in line with each new committed image.
async fn follow_image(broker: Arc<Broker>, strays: Arc<Strays>) {
    let mut committed = broker.committed.clone();
    let mut seen = committed.borrow_and_update().image.clone();
    strays.set_aside(&broker).await;
    Follows::follow_all(&broker, &seen);
    Replication::image_followed(&broker);
    while committed.changed().await.is_ok() {
        let image = committed.borrow_and_update().image.clone();
        let changes = chronik_metadata::delta(&seen, &image);
        apply(&broker, &image, &changes).await;
        for id in &changes.brokers {
            if image.is_active(*id) && !seen.is_active(*id) {
                Replication::follower_active(&broker, *id);
            }
        }
        seen = image;
    }
}

async fn apply(broker: &Arc<Broker>, image: &Image, changes: &Changes) {
    for topic in &changes.created {
        tracing::debug!("Applied CreateTopic('{}') to state machine", topic.name);
    }
    let me = broker.options.node_id;
    for topic in &changes.deleted {
        for (partition, state) in topic.partitions.iter() {
            let tp = TopicPartition { topic_id: topic.id, partition };
            delete(broker, tp).await;
            Replication::image_changed(broker, tp, Some(state.leader));
        }
        broker.partitions.forget(topic.id);
    }
    if !changes.deleted.is_empty() {
        Groups::topics_deleted(broker, &changes.deleted).await;
    }
    for topic in &changes.created {
        for (partition, _) in topic.partitions.iter() {
            let tp = TopicPartition { topic_id: topic.id, partition };
            Replication::image_changed(broker, tp, None);
        }
    }
    for topic in &changes.changed {
        for &partition in &topic.partitions {
            let tp = TopicPartition { topic_id: topic.new.id, partition };
            let before = topic.old.partitions.get(partition);
            let had_replica = before.is_some_and(|state| state.replicas.contains(&me));
            if !broker.partitions.follow(tp) && had_replica {
                delete(broker, tp).await;
            }
            if &*topic.new.name == OFFSETS_TOPIC {
                Groups::follow(broker, tp);
            }
            let old_leader = before.map(|state| state.leader);
            Replication::image_changed(broker, tp, old_leader);
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
    // Most were never used, and are not worth another thread's time.
    if broker.storage.has_log(tp) {
        let storage = broker.storage.clone();
        match chronik_env::blocking(move || storage.delete_log(tp)).await {
            Ok(()) | Err(LogError::Unknown(_)) => {}
            Err(error) => {
                tracing::error!(%tp, %error, "the log of a replica that is gone could not be removed");
            }
        }
    }
    // Whoever opened it meanwhile, because it came back, has a log that is gone.
    broker.partitions.close(tp);
}

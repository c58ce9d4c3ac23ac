//! Brokers come, go silent, come back, stop and are forgotten.
//!
//! ```text
//!              register                    heartbeat, caught up
//!   (none) ───────────────► fenced ─────────────────────────────► active
//!                             ▲  ▲                                  │ wants to stop
//!                 new         │  └────────── silent ────────────────┤
//!                 incarnation │                                     ▼
//!                             └───────────────────────── in controlled shutdown ──► may stop: fenced
//! ```
//!
//! **Invariants**
//! - A new incarnation has a new epoch, and leads nothing in an epoch that an earlier one led.
//! - A partition with one replica is left alone when its broker is fenced, or restarts with
//!   everything it acknowledged: no other broker can lead it, so there is nothing to tell apart,
//!   and a node of 100,000 such partitions restarts without a record for each.
//! - Membership of an in-sync set means *on disk*; so an *intact* incarnation keeps its place
//!   among the eligible, and the last one of an in-sync set its place there, whatever crashed. A
//!   *lossy* one loses both, as after Kafka's unclean shutdown.

use chronik_metadata::record::{BrokerEvent, Change};
use chronik_metadata::{BrokerRegistration, Image, Partition, StorageHealth};
use chronik_types::{BrokerEpoch, BrokerId, DirectoryId, ErrorCode, Monotonic, Uuid};

use crate::bugs;
use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::partition_change::{PartitionChangeDraft, TopicRules};
use crate::request::{BrokerHeartbeat, BrokerHeartbeatReply, RegisterBroker};
use crate::sessions::Sessions;

/// Refuses a request of an incarnation that is not the registered one.
pub(crate) fn check_epoch(image: &Image, id: BrokerId, epoch: BrokerEpoch) -> Result<(), ApiError> {
    match image.broker(id) {
        None => Err(ApiError::new(
            ErrorCode::StaleBrokerEpoch,
            format!("No broker registration found for broker id {id}"),
        )),
        Some(broker) if broker.epoch != epoch => Err(ApiError::new(
            ErrorCode::StaleBrokerEpoch,
            format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch),
        )),
        Some(_) => Ok(()),
    }
}

/// Registers a broker, or a new incarnation of one.
pub(crate) fn register(
    options: &Options,
    sessions: &mut Sessions,
    draft: &mut Draft,
    now: Monotonic,
    request: RegisterBroker,
) -> Result<BrokerEpoch, ApiError> {
    let id = request.broker_id;
    check_cluster(draft.image(), &request)?;
    check_directories(draft.image(), id, &request.directories)?;
    check_features(draft.image(), &request)?;
    let existing = draft.image().broker(id).cloned();
    let mut registration = BrokerRegistration {
        id,
        epoch: BrokerEpoch(draft.image().next_broker_epoch()),
        incarnation: request.incarnation,
        listeners: request.listeners,
        internal: request.internal,
        rack: request.rack,
        directories: request.directories,
        features: request.features,
        storage: StorageHealth::Lossy,
        fenced: true,
        in_controlled_shutdown: false,
    };
    match existing {
        Some(existing) if existing.incarnation == request.incarnation => {
            registration.epoch = existing.epoch;
            registration.storage = existing.storage;
            registration.fenced = existing.fenced;
            registration.in_controlled_shutdown = existing.in_controlled_shutdown;
        }
        Some(existing) => {
            let same_disk = existing
                .directories
                .iter()
                .all(|directory| registration.directories.contains(directory));
            // The directory's lock tells: who holds the disk is the broker. Anyone else waits for
            // the session to end.
            if !same_disk && sessions.is_valid(id, existing.epoch, now) {
                let message = "Another broker is registered with that broker id. If the broker was \
                               recently restarted this should self-resolve once the heartbeat \
                               manager expires the broker's session.";
                return Err(ApiError::new(ErrorCode::DuplicateBrokerRegistration, message));
            }
            let intact = same_disk
                && request.earlier_incarnations.contains(&existing.incarnation)
                && request.storage == StorageHealth::Intact;
            if intact || bugs::keep_places_without_data() {
                registration.storage = StorageHealth::Intact;
            }
            if !bugs::keep_epochs_over_a_restart() {
                end_earlier_incarnation(options, draft, id, registration.storage);
            }
            sessions.forget(id);
        }
        None => {
            end_earlier_incarnation(options, draft, id, StorageHealth::Lossy);
        }
    }
    let epoch = registration.epoch;
    draft.push(Change::RegisterBroker(registration.to_record()));
    sessions.touch(id, epoch, now);
    Ok(epoch)
}

fn check_cluster(image: &Image, request: &RegisterBroker) -> Result<(), ApiError> {
    match image.cluster_id() {
        Some(cluster_id) if cluster_id != request.cluster_id => Err(ApiError::new(
            ErrorCode::InconsistentClusterId,
            format!("Expected cluster ID {cluster_id}, but got cluster ID {}", request.cluster_id),
        )),
        _ => Ok(()),
    }
}

fn check_directories(
    image: &Image,
    id: BrokerId,
    directories: &[DirectoryId],
) -> Result<(), ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    if directories.is_empty() {
        return refused("No directories specified in request".to_owned());
    }
    // KIP-858 reserves the ids 0 to 100 for directories that are not assigned, lost or migrating.
    let is_reserved = |directory: &DirectoryId| {
        let Uuid(bytes) = directory.0;
        u128::from_be_bytes(bytes) <= 100
    };
    if directories.iter().any(is_reserved) {
        return refused("Reserved directory ID in request".to_owned());
    }
    for (at, directory) in directories.iter().enumerate() {
        if directories.iter().skip(at + 1).any(|other| other == directory) {
            return refused("Duplicate directory ID in request".to_owned());
        }
        let holder = image
            .brokers()
            .find(|broker| broker.id != id && broker.directories.contains(directory));
        if let Some(holder) = holder {
            return refused(format!(
                "Broker {} is already registered with directory {}",
                holder.id, directory.0
            ));
        }
    }
    Ok(())
}

fn check_features(image: &Image, request: &RegisterBroker) -> Result<(), ApiError> {
    for (name, level) in image.features() {
        let supported = request.features.iter().find(|feature| feature.name == name);
        let (min, max) = supported.map_or((0, 0), |feature| (feature.min, feature.max));
        if !(min..=max).contains(&level) {
            return Err(ApiError::new(
                ErrorCode::UnsupportedVersion,
                format!(
                    "Unable to register because the broker does not support finalized version \
                     {level} of {name}. The broker wants a version between {min} and {max}, \
                     inclusive."
                ),
            ));
        }
    }
    Ok(())
}

/// Ends the leaderships of an earlier incarnation, and its places in in-sync sets that have other
/// members.
fn end_earlier_incarnation(
    options: &Options,
    draft: &mut Draft,
    id: BrokerId,
    storage: StorageHealth,
) {
    let lossy = storage == StorageHealth::Lossy;
    let is_concerned = |partition: &Partition| {
        if lossy {
            holds_a_place(partition, id) || partition.elr().contains(&id)
        } else {
            holds_a_place(partition, id) && partition.replicas.len() > 1
        }
    };
    let is_acceptable = |image: &Image, replica| replica != id && image.is_active(replica);
    change_partitions(options, draft, is_concerned, is_acceptable, |change| {
        let change = change.without(id);
        if lossy { change.lost_unclean(id) } else { change }
    });
}

/// Records that a broker is out of touch, and moves away what others can take over.
pub(crate) fn fence(options: &Options, draft: &mut Draft, id: BrokerId) {
    let Some(broker) = draft.image().broker(id) else { return };
    let event = BrokerEvent { broker_id: id.0, broker_epoch: broker.epoch.0 };
    draft.push(Change::FenceBroker(event));
    move_away(options, draft, id);
}

/// Moves leaderships and places in in-sync sets away from a broker that is not active any more.
fn move_away(options: &Options, draft: &mut Draft, id: BrokerId) {
    let is_concerned =
        |partition: &Partition| holds_a_place(partition, id) && partition.replicas.len() > 1;
    change_partitions(options, draft, is_concerned, Image::is_active, |change| change.without(id));
}

/// Makes a fenced broker active, and lets it lead what nobody leads.
fn unfence(options: &Options, draft: &mut Draft, id: BrokerId, epoch: BrokerEpoch) {
    draft.push(Change::UnfenceBroker(BrokerEvent { broker_id: id.0, broker_epoch: epoch.0 }));
    let is_concerned =
        |partition: &Partition| !partition.has_leader() && partition.replicas.contains(&id);
    change_partitions(options, draft, is_concerned, Image::is_active, |change| change);
}

fn holds_a_place(partition: &Partition, id: BrokerId) -> bool {
    partition.leader == id || partition.isr.contains(&id)
}

/// Whether another broker could take over something that this one leads.
fn has_leaderships_to_move(image: &Image, id: BrokerId) -> bool {
    image.partitions().any(|(_, _, partition)| {
        let other = |member: &BrokerId| *member != id && image.is_active(*member);
        partition.leader == id && partition.isr.iter().any(other)
    })
}

/// Looks at every partition that is concerned, and records what changes.
fn change_partitions(
    options: &Options,
    draft: &mut Draft,
    is_concerned: impl Fn(&Partition) -> bool,
    is_acceptable: impl Fn(&Image, BrokerId) -> bool,
    edit: impl for<'p> Fn(PartitionChangeDraft<'p>) -> PartitionChangeDraft<'p>,
) {
    let image = draft.image().clone();
    let is_acceptable = |replica| is_acceptable(&image, replica);
    for topic in image.topics() {
        let mut rules = None;
        for (number, partition) in topic.partitions.iter() {
            if !is_concerned(partition) {
                continue;
            }
            let rules = *rules.get_or_insert_with(|| TopicRules::of(options, &image, topic));
            let change = PartitionChangeDraft::new(partition, rules, &is_acceptable);
            if let Some(change) = edit(change).build(topic, number) {
                draft.push(Change::PartitionChange(change));
            }
        }
    }
}

/// Tracks a broker that is alive, and moves it on through its life.
pub(crate) fn heartbeat(
    options: &Options,
    sessions: &mut Sessions,
    draft: &mut Draft,
    now: Monotonic,
    request: BrokerHeartbeat,
) -> Result<BrokerHeartbeatReply, ApiError> {
    let (id, epoch) = (request.broker_id, request.broker_epoch);
    check_epoch(draft.image(), id, epoch)?;
    sessions.touch(id, epoch, now);
    let Some(broker) = draft.image().broker(id).cloned() else {
        return Err(ApiError::bare(ErrorCode::BrokerIdNotRegistered));
    };
    let stops = request.wants_shutdown || broker.in_controlled_shutdown;
    let mut should_shut_down = false;
    if broker.fenced {
        should_shut_down = stops;
        if !stops && !request.wants_fence && request.is_caught_up {
            unfence(options, draft, id, epoch);
        }
    } else if stops {
        if has_leaderships_to_move(draft.image(), id) {
            // It may stop once this is committed: its next heartbeat finds nothing left to move.
            let event = BrokerEvent { broker_id: id.0, broker_epoch: epoch.0 };
            draft.push(Change::BrokerInControlledShutdown(event));
            move_away(options, draft, id);
        } else {
            // What is left nobody else can lead; it is on disk there, and waits.
            fence(options, draft, id);
            should_shut_down = true;
        }
    } else if request.wants_fence {
        fence(options, draft, id);
    }
    let is_fenced = draft.image().broker(id).is_none_or(|broker| broker.fenced);
    Ok(BrokerHeartbeatReply { is_caught_up: request.is_caught_up, is_fenced, should_shut_down })
}

/// Forgets a broker.
pub(crate) fn unregister(
    options: &Options,
    sessions: &mut Sessions,
    draft: &mut Draft,
    id: BrokerId,
) -> Result<(), ApiError> {
    let Some(broker) = draft.image().broker(id).cloned() else {
        return Err(ApiError::new(
            ErrorCode::BrokerIdNotRegistered,
            format!("Broker ID {id} is not currently registered"),
        ));
    };
    end_earlier_incarnation(options, draft, id, StorageHealth::Lossy);
    let event = BrokerEvent { broker_id: id.0, broker_epoch: broker.epoch.0 };
    draft.push(Change::UnregisterBroker(event));
    sessions.forget(id);
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;

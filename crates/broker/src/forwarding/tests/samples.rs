//! Requests and answers of every kind, drawn from a seed.

use chronik_controller::*;
use chronik_metadata::{
    BrokerList, Feature, InternalEndpoint, Listener, ProducerIdBlock, StorageHealth,
};
use chronik_types::{
    BrokerEpoch, BrokerId, DirectoryId, ErrorCode, LeaderEpoch, ProducerId, TopicId, Uuid,
};

/// Draws values; the fixed one always draws the same small ones.
pub(super) struct Samples {
    state: u64,
    fixed: bool,
}

impl Samples {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed | 1, fixed: false }
    }

    pub(super) fn fixed() -> Self {
        Self { state: 0, fixed: true }
    }

    fn next(&mut self) -> u64 {
        if self.fixed {
            self.state += 1;
            return self.state;
        }
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        self.state >> 20
    }

    fn flag(&mut self) -> bool {
        self.next() % 2 == 1
    }

    fn int(&mut self) -> i32 {
        if self.fixed { self.next() as i32 } else { self.next() as i32 - 5 }
    }

    fn small(&mut self) -> i16 {
        self.int() as i16
    }

    fn text(&mut self) -> String {
        format!("t{}", self.next() % 100)
    }

    fn uuid(&mut self) -> Uuid {
        let n = self.next() as u8;
        Uuid([n; 16])
    }

    fn maybe<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.fixed || self.flag()).then(|| of(self))
    }

    fn list<T>(&mut self, mut of: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let len = if self.fixed { 1 } else { self.next() % 4 };
        (0..len).map(|_| of(self)).collect()
    }

    fn broker(&mut self) -> BrokerId {
        BrokerId(self.int())
    }

    fn epoch(&mut self) -> BrokerEpoch {
        BrokerEpoch(self.int().into())
    }

    fn error(&mut self) -> ApiError {
        let message = self.maybe(Self::text);
        ApiError { code: ErrorCode::InvalidRequest, message }
    }

    /// Both sides appear in the fixed samples, one after the other.
    fn result<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Result<T, ApiError> {
        if self.flag() { Ok(of(self)) } else { Err(self.error()) }
    }

    fn resource(&mut self) -> ResourceName {
        ResourceName { resource_type: self.int() as i8, name: self.text() }
    }
}

pub(super) fn request(kind: usize, g: &mut Samples) -> Request {
    match kind {
        0 => Request::Bootstrap(Bootstrap {
            cluster_id: g.uuid(),
            features: g.list(|g| (g.text(), g.small())),
        }),
        1 => Request::CreateTopics(CreateTopics {
            topics: g.list(|g| CreatableTopic {
                name: g.text(),
                topic_id: TopicId(g.uuid()),
                num_partitions: g.int(),
                replication_factor: g.small(),
                assignments: g.list(|g| ReplicaAssignment {
                    partition: g.int(),
                    brokers: g.list(Samples::broker),
                }),
                configs: g.list(|g| (g.text(), g.maybe(Samples::text))),
            }),
            validate_only: g.flag(),
        }),
        2 => Request::CreatePartitions(CreatePartitions {
            topics: g.list(|g| CreatePartitionsTopic {
                name: g.text(),
                count: g.int(),
                assignments: g.maybe(|g| g.list(|g| g.list(Samples::broker))),
            }),
            validate_only: g.flag(),
        }),
        3 => Request::DeleteTopics(DeleteTopics {
            topics: g.list(|g| TopicReference {
                name: g.maybe(Samples::text),
                topic_id: TopicId(g.uuid()),
            }),
        }),
        4 => Request::AlterConfigs(AlterConfigs {
            resources: g.list(|g| (g.resource(), g.list(|g| (g.text(), g.maybe(Samples::text))))),
            validate_only: g.flag(),
        }),
        5 => Request::IncrementalAlterConfigs(IncrementalAlterConfigs {
            resources: g.list(|g| {
                let changes = g.list(|g| ConfigChange {
                    name: g.text(),
                    operation: g.int() as i8,
                    value: g.maybe(Samples::text),
                });
                (g.resource(), changes)
            }),
            validate_only: g.flag(),
        }),
        6 => Request::RegisterBroker(RegisterBroker {
            broker_id: g.broker(),
            cluster_id: g.text(),
            incarnation: g.uuid(),
            listeners: g.list(|g| Listener {
                name: g.text(),
                host: g.text(),
                port: g.int() as u16,
                security_protocol: g.small(),
            }),
            internal: g.maybe(|g| InternalEndpoint { host: g.text(), port: g.int() as u16 }),
            rack: g.maybe(Samples::text),
            directories: g.list(|g| DirectoryId(g.uuid())),
            features: g.list(|g| Feature { name: g.text(), min: g.small(), max: g.small() }),
            earlier_incarnations: g.list(Samples::uuid),
            storage: if g.flag() { StorageHealth::Intact } else { StorageHealth::Lossy },
        }),
        7 => Request::BrokerHeartbeat(BrokerHeartbeat {
            broker_id: g.broker(),
            broker_epoch: g.epoch(),
            is_caught_up: g.flag(),
            wants_fence: g.flag(),
            wants_shutdown: g.flag(),
        }),
        8 => Request::UnregisterBroker(g.broker()),
        9 => Request::AllocateProducerIds(AllocateProducerIds {
            broker_id: g.broker(),
            broker_epoch: g.epoch(),
        }),
        10 => Request::AlterPartition(AlterPartition {
            broker_id: g.broker(),
            broker_epoch: g.epoch(),
            partitions: g.list(|g| AlterPartitionData {
                topic_id: TopicId(g.uuid()),
                partition: g.int(),
                leader_epoch: LeaderEpoch(g.int()),
                partition_epoch: g.int(),
                new_isr: g.list(|g| (g.broker(), g.epoch())),
                recovering: g.flag(),
            }),
        }),
        11 => Request::ElectLeaders(ElectLeaders {
            election: if g.flag() { ElectionType::Unclean } else { ElectionType::Preferred },
            partitions: g.maybe(|g| g.list(|g| (g.text(), g.list(Samples::int)))),
        }),
        12 => Request::AlterPartitionReassignments(AlterPartitionReassignments {
            partitions: g.list(|g| ReassignPartition {
                topic: g.text(),
                partition: g.int(),
                replicas: g.maybe(|g| g.list(Samples::broker)),
            }),
            allow_replication_factor_change: g.flag(),
        }),
        _ => Request::UpdateFeatures(UpdateFeatures {
            updates: g.list(|g| FeatureUpdate {
                name: g.text(),
                level: g.small(),
                upgrade_type: g.int() as i8,
            }),
            validate_only: g.flag(),
        }),
    }
}

pub(super) fn response(kind: usize, g: &mut Samples) -> Response {
    match kind {
        0 => Response::Bootstrap,
        1 => Response::CreateTopics(g.result(|g| {
            g.list(|g| CreateTopicResult { name: g.text(), result: g.result(created) })
        })),
        2 => Response::CreatePartitions(g.list(|g| (g.text(), g.result(|_| ())))),
        3 => Response::DeleteTopics(g.result(|g| {
            g.list(|g| DeleteTopicResult {
                name: g.maybe(Samples::text),
                topic_id: TopicId(g.uuid()),
                result: g.result(|_| ()),
            })
        })),
        4 => Response::AlterConfigs(config_results(g)),
        5 => Response::IncrementalAlterConfigs(config_results(g)),
        6 => Response::RegisterBroker(g.result(Samples::epoch)),
        7 => Response::BrokerHeartbeat(g.result(|g| BrokerHeartbeatReply {
            is_caught_up: g.flag(),
            is_fenced: g.flag(),
            should_shut_down: g.flag(),
        })),
        8 => Response::UnregisterBroker(g.result(|_| ())),
        9 => Response::AllocateProducerIds(
            g.result(|g| ProducerIdBlock { first: ProducerId(g.int().into()), len: g.int() }),
        ),
        10 => Response::AlterPartition(g.result(|g| {
            g.list(|g| AlterPartitionResult {
                topic_id: TopicId(g.uuid()),
                partition: g.int(),
                result: g.result(|g| PartitionState {
                    leader: g.broker(),
                    leader_epoch: LeaderEpoch(g.int()),
                    isr: g.list(Samples::broker).into_iter().collect::<BrokerList>(),
                    recovering: g.flag(),
                    partition_epoch: g.int(),
                }),
            })
        })),
        11 => Response::ElectLeaders(g.list(|g| ElectLeaderResult {
            topic: g.text(),
            partition: g.int(),
            result: g.result(|_| ()),
        })),
        12 => Response::AlterPartitionReassignments(g.list(|g| ReassignResult {
            topic: g.text(),
            partition: g.int(),
            result: g.result(|_| ()),
        })),
        _ => Response::UpdateFeatures(g.result(|_| ())),
    }
}

fn created(g: &mut Samples) -> CreatedTopic {
    let (topic_id, num_partitions) = (TopicId(g.uuid()), g.int());
    let replication_factor = g.small();
    let configs = g.list(|g| EffectiveConfig {
        name: "retention.ms",
        value: g.maybe(Samples::text).map(Into::into),
        source: g.int() as i8,
        is_sensitive: g.flag(),
    });
    CreatedTopic { topic_id, num_partitions, replication_factor, configs: configs.into() }
}

fn config_results(g: &mut Samples) -> Vec<AlterConfigsResult> {
    g.list(|g| AlterConfigsResult { resource: g.resource(), result: g.result(|_| ()) })
}

use prost::Message as _;

use super::*;
use crate::record::*;

fn id(low: u64) -> WireUuid {
    WireUuid { high: 0x0102_0304_0506_0708, low }
}

/// One record of every kind, each with every field set to something that is encoded.
fn every_kind() -> Vec<Change> {
    let event = BrokerEvent { broker_id: 3, broker_epoch: 300 };
    vec![
        Change::NoOp(NoOp {}),
        Change::ClusterId(ClusterId { cluster_id: "c".to_owned() }),
        Change::FeatureLevel(FeatureLevel { name: "f".to_owned(), level: 25 }),
        Change::RegisterBroker(RegisterBroker {
            broker_id: 3,
            broker_epoch: 300,
            incarnation: id(1),
            listeners: vec![Listener {
                name: "P".to_owned(),
                host: "h".to_owned(),
                port: 9092,
                security_protocol: 1,
            }],
            rack: Some("r".to_owned()),
            directories: vec![id(2)],
            features: vec![SupportedFeature { name: "f".to_owned(), min: 1, max: 2 }],
            storage: StorageHealth::Intact.into(),
            fenced: true,
            in_controlled_shutdown: true,
            internal: Some(InternalEndpoint { host: "i".to_owned(), port: 9093 }),
        }),
        Change::UnregisterBroker(event),
        Change::FenceBroker(event),
        Change::UnfenceBroker(event),
        Change::BrokerInControlledShutdown(event),
        Change::Topic(Topic { topic_id: id(4), name: "t".to_owned() }),
        Change::Partition(Partition {
            topic_id: id(4),
            partition: 1,
            replicas: vec![1, 2],
            isr: vec![1],
            leader: -1,
            leader_epoch: 5,
            partition_epoch: 6,
            recovering: true,
            elr: vec![2],
            last_known_elr: vec![3],
            adding: vec![4],
            removing: vec![5],
            directories: vec![id(6), id(7)],
        }),
        Change::FreshPartitions(FreshPartitions {
            topic_id: id(4),
            first_partition: 2,
            replication_factor: 2,
            replicas: vec![1, 2, 2, 1],
            out_of_sync: vec![2],
        }),
        Change::PartitionChange(PartitionChange {
            topic_id: id(4),
            partition: 1,
            leader: Some(-1),
            isr: Some(BrokerIds { ids: vec![] }),
            replicas: Some(BrokerIds { ids: vec![1] }),
            recovering: Some(false),
            elr: Some(BrokerIds { ids: vec![2] }),
            last_known_elr: Some(BrokerIds { ids: vec![3] }),
            adding: Some(BrokerIds { ids: vec![4] }),
            removing: Some(BrokerIds { ids: vec![5] }),
            directories: Some(DirectoryIds { ids: vec![id(6)] }),
        }),
        Change::RemoveTopic(RemoveTopic { topic_id: id(4) }),
        Change::Config(Config {
            resource_type: 2,
            resource_name: "t".to_owned(),
            name: "k".to_owned(),
            value: Some(String::new()),
        }),
        Change::ProducerIds(ProducerIds {
            broker_id: 3,
            broker_epoch: 300,
            next_producer_id: 2000,
        }),
        Change::Counters(Counters { next_broker_epoch: 8, next_producer_id: 9 }),
    ]
}

/// What is on disks already. A line here never changes; a new kind or field adds to the end.
const GOLDEN: &[&str] = &[
    "0a00",
    "12030a0163",
    "1a050a01661032",
    "2254080310ac021a12090807060504030201110100000000000000220b0a015012016818844720012a017232120908070605040302011102000000000000003a070a0166100218044001480150015a060a0169108547",
    "2a05080310ac02",
    "3205080310ac02",
    "3a05080310ac02",
    "4205080310ac02",
    "4a170a12090807060504030201110400000000000000120174",
    "52590a1209080706050403020111040000000000000010011a02010222010128013005380640014a01025201035a01046201056a120908070605040302011106000000000000006a12090807060504030201110700000000000000",
    "5a210a12090807060504030201110400000000000000100218022204010202012a0102",
    "624b0a120908070605040302011104000000000000001001180122002a030a010130003a030a010242030a01034a030a010452030a01055a140a12090807060504030201110600000000000000",
    "6a140a12090807060504030201110400000000000000",
    "720a08021201741a016b2200",
    "7a08080310ac0218d00f",
    "82010408081009",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_encoding_of_every_record_is_what_it_was() {
    let encoded: Vec<_> = every_kind()
        .into_iter()
        .map(|change| hex(&MetadataRecord::from(change).encode_to_vec()))
        .collect();
    assert_eq!(encoded, GOLDEN);
}

#[test]
fn the_encoding_of_a_batch_is_what_it_was_and_comes_back() {
    let batch = MetadataBatch {
        term: 300,
        sequence: 2,
        follows: 1,
        records: vec![Change::NoOp(NoOp {}).into()],
    };
    let bytes = encode_batch(&batch);
    assert_eq!(hex(&bytes), "0108ac0210021801220 20a00".replace(' ', ""));
    assert_eq!(decode_batch(&bytes), Ok(batch));
}

#[test]
fn every_kind_comes_back() {
    let records = every_kind().into_iter().map(Into::into).collect();
    let batch = MetadataBatch { term: 1, sequence: 1, follows: 0, records };
    assert_eq!(decode_batch(&encode_batch(&batch)), Ok(batch));
}

#[test]
fn a_record_of_an_unknown_kind_is_an_error() {
    // Batch { records: [{}, { 200: {} }] }: the second record is of kind 200.
    let bytes = [FORMAT, 0x22, 0x02, 0x0A, 0x00, 0x22, 0x03, 0xC2, 0x0C, 0x00];
    assert_eq!(decode_batch(&bytes), Err(DecodeBatchError::UnknownRecord(1)));
}

#[test]
fn an_unknown_field_is_an_error_wherever_it_is() {
    // Batch { 99: 1 }; Batch { records: [NoOp { 99: 1 }] }
    for bytes in
        [&[FORMAT, 0x98, 0x06, 0x01][..], &[FORMAT, 0x22, 0x05, 0x0A, 0x03, 0x98, 0x06, 0x01]]
    {
        assert_eq!(decode_batch(bytes), Err(DecodeBatchError::UnknownField));
    }
}

#[test]
fn another_format_is_an_error() {
    assert_eq!(decode_batch(&[2]), Err(DecodeBatchError::Format(2)));
    assert_eq!(decode_batch(&[]), Err(DecodeBatchError::Empty));
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = decode_batch(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_breaks_the_decoder(at in 1usize..400, with: u8) {
        let records = every_kind().into_iter().map(Into::into).collect();
        let batch = MetadataBatch { term: 1, sequence: 1, follows: 0, records };
        let mut bytes = encode_batch(&batch).to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(decoded) = decode_batch(&bytes) {
            let mut image = crate::Image::default();
            let _ = image.apply_batch(&decoded);
        }
    }
}

//! The keys of a broker: what a KRaft `server.properties` holds, and this broker's own.
//!
//! Names, types, bounds and scopes are Kafka 4.1's, so that a file written for Kafka is read, and
//! DescribeConfigs shows tools what they look for. A key whose doc begins with "Accepted for
//! compatibility" is read and checked, and changes nothing.

mod cluster;
mod coordinators;
mod log;
mod network;
mod own;
mod replication;
mod security;
mod tier;

use super::types::ConfigKey;

/// All sections of the table.
pub(super) const SECTIONS: &[&[ConfigKey]] = &[
    cluster::CLUSTER,
    network::NETWORK,
    log::LOG,
    replication::REPLICATION,
    coordinators::COORDINATORS,
    security::SECURITY,
    tier::TIER,
    own::OWN,
];

/// One section: `"name": Type = default, check, scope, "doc";` for each key.
macro_rules! broker_table {
    ($table:ident; $($name:literal: $kind:ident = $default:expr, $check:ident $(($($arg:expr),+))?,
        $scope:ident, $doc:literal;)+) => {
        pub(super) const $table: &[ConfigKey] = &[$(ConfigKey {
            name: $name,
            config_type: $crate::keys::types::ConfigType::$kind,
            default: $default,
            check: $crate::keys::types::Check::$check $(($($arg),+))?,
            scope: $crate::keys::types::DynamicScope::$scope,
            synonyms: &[],
            doc: $doc,
        },)+];
    };
}
use broker_table;

//! ApiVersions: exactly what is served.

use std::borrow::Cow;

use chronik_controller::FEATURES;
use chronik_metadata::Image;
use chronik_net::{ClientSoftware, Reply};
use chronik_protocol::api::{ApiKey, SERVED};
use chronik_protocol::header;
use chronik_protocol::messages::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;

/// Serves one request.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &Context,
    request: ApiVersionsRequest<'_>,
) -> ApiVersionsResponse<'static> {
    if ctx.version >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !is_software_word(name) || !is_software_word(version) {
            let error_code = ErrorCode::InvalidRequest.code();
            return ApiVersionsResponse { error_code, ..Default::default() };
        }
        let software = ClientSoftware { name: name.to_string(), version: version.to_string() };
        ctx.connection.set_software(software);
    }
    let on_controllers = broker.is_controller_listener(&ctx.connection.listener.name);
    let api_keys = SERVED
        .iter()
        .filter(|(key, _)| !on_controllers || key.on_controllers())
        .map(|(key, api)| ApiVersion {
            api_key: *key as i16,
            min_version: api.advertised_min,
            max_version: api.max,
        })
        .collect();
    let committed = broker.committed.borrow();
    ApiVersionsResponse {
        error_code: ErrorCode::None.code(),
        api_keys,
        supported_features: supported(ctx.version),
        finalized_features_epoch: committed.end().0.saturating_sub(1),
        finalized_features: finalized(&committed.image),
        ..Default::default()
    }
}

/// Features whose lowest level is 0 are told of from version 4 on only: older clients take the
/// level for an error (KAFKA-17011).
fn supported(version: i16) -> Vec<SupportedFeatureKey<'static>> {
    let told = FEATURES.iter().filter(|feature| version >= 4 || feature.min > 0);
    told.map(|feature| SupportedFeatureKey {
        name: Cow::Borrowed(feature.name),
        min_version: feature.min,
        max_version: feature.max,
    })
    .collect()
}

fn finalized(image: &Image) -> Vec<FinalizedFeatureKey<'static>> {
    let feature = |(name, level): (&str, i16)| FinalizedFeatureKey {
        name: Cow::Owned(name.to_owned()),
        max_version_level: level,
        min_version_level: level,
    };
    image.features().map(feature).collect()
}

/// Letters and digits, with dashes and dots between them (KIP-511).
fn is_software_word(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(word.chars().next()) && edge(word.chars().next_back()) && word.chars().all(inner)
}

/// Answers a version that is not served, in the form of version 0, which every client reads
/// (KIP-511): the error, and the versions of this API alone.
pub(crate) fn unsupported(ctx: &Context) -> Reply {
    let api = ApiKey::ApiVersions.api();
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![ApiVersion {
            api_key: ApiKey::ApiVersions as i16,
            min_version: api.advertised_min,
            max_version: api.max,
        }],
        ..Default::default()
    };
    header::encode_response(ApiKey::ApiVersions, 0, ctx.correlation_id, &response)
        .map_or(Reply::Close, Reply::Now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_words_follow_the_pattern_of_kip_511() {
        for good in ["a", "librdkafka", "2.10.0", "a-b.c"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-", "a-", ".a", "a b", "a/b", "ä"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }

    #[test]
    fn features_that_may_be_off_are_hidden_from_old_clients() {
        assert_eq!(supported(3).len(), 1);
        assert_eq!(supported(4).len(), FEATURES.len());
    }
}

//! UpdateFeatures: levels of features, all or none.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{FeatureUpdate, Request, Response, UpdateFeatures};
use chronik_protocol::messages::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::controller_runtime::code_of;

/// The last version whose answer names each feature.
const WITH_RESULTS_MAX: i16 = 1;
const SAFE_DOWNGRADE: i8 = 2;
/// Kafka's clients give up after this time (`request.timeout.ms`).
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: UpdateFeaturesRequest<'_>,
) -> UpdateFeaturesResponse<'static> {
    let update = |key: FeatureUpdateKey<'_>| FeatureUpdate {
        name: key.feature.into_owned(),
        level: key.max_version_level,
        upgrade_type: if key.allow_downgrade { SAFE_DOWNGRADE } else { key.upgrade_type },
    };
    let updates: Vec<_> = request.feature_updates.into_iter().map(update).collect();
    let names: Vec<String> = updates.iter().map(|update| update.name.clone()).collect();
    let validate_only = request.validate_only;
    let ask = Request::UpdateFeatures(UpdateFeatures { updates, validate_only });
    // Kafka does not hold the timeout of this request against it.
    let deadline = broker.env.clock.monotonic().after(PATIENCE);
    let (code, message) = match broker.controller.ask(ask, deadline).await {
        Ok(Response::UpdateFeatures(Ok(()))) => (ErrorCode::None, None),
        Ok(Response::UpdateFeatures(Err(error))) => {
            let why = error.message.unwrap_or_default();
            let message = format!(
                "The update failed for all features since the following feature had an error: {why}"
            );
            (error.code, Some(message))
        }
        other => (code_of(&other), None),
    };
    let results = if code == ErrorCode::None && ctx.version <= WITH_RESULTS_MAX {
        let result = |name: String| UpdatableFeatureResult {
            feature: name.into(),
            error_code: ErrorCode::None.code(),
            error_message: Some(ErrorCode::None.name().into()),
        };
        names.into_iter().map(result).collect()
    } else {
        Vec::new()
    };
    UpdateFeaturesResponse {
        error_code: code.code(),
        error_message: message.map(Into::into),
        results,
        ..Default::default()
    }
}

//! The first records of a cluster.

use chronik_metadata::record::{Change, ClusterId, FeatureLevel};

use crate::draft::Draft;
use crate::request::Bootstrap;

/// Names the cluster and sets the features that have no level. Done twice, it changes nothing.
pub(crate) fn bootstrap(draft: &mut Draft, request: &Bootstrap) {
    if draft.image().cluster_id().is_none() {
        let cluster_id = request.cluster_id.to_string();
        draft.push(Change::ClusterId(ClusterId { cluster_id }));
    }
    for (name, level) in &request.features {
        if draft.image().feature(name).is_none() && *level != 0 {
            let level = i32::from(*level);
            draft.push(Change::FeatureLevel(FeatureLevel { name: name.clone(), level }));
        }
    }
}

//! The first records of a cluster.

use chronik_metadata::record::{Change, ClusterId};

use crate::draft::Draft;
use crate::features::set_level;
use crate::options::Options;
use crate::request::Bootstrap;

/// Names the cluster and sets the levels of its features. A cluster that has a name is left as it
/// is: what is off there was switched off, or is not known to every node yet.
pub(crate) fn bootstrap(options: &Options, draft: &mut Draft, request: &Bootstrap) {
    if draft.image().cluster_id().is_some() {
        return;
    }
    let cluster_id = request.cluster_id.to_string();
    draft.push(Change::ClusterId(ClusterId { cluster_id }));
    for (name, level) in request.features.iter().filter(|(_, level)| *level != 0) {
        set_level(options, draft, name, *level);
    }
}

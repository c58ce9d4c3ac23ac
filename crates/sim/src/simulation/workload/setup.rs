//! The topics that are there from the beginning.

use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;

use super::admin::{self, Created};
use super::{Phase, Stage};
use crate::simulation::trace;

/// How long a cluster without faults may take to come about.
const PATIENCE_MILLIS: u64 = 60_000;

pub async fn run(stage: &Rc<Stage>, rng: &Rng) {
    let mut cluster = stage.client(rng, "setup");
    for topic in &stage.plan.topics {
        loop {
            match admin::create(stage, &mut cluster, "setup", topic).await {
                Created::Yes => break,
                Created::No | Created::Unknown => {
                    // It may be there; then the next answer says so.
                    cluster.refresh().await;
                    let found = cluster.topics.iter().find(|(_, view)| view.name == topic.name);
                    if let Some((id, _)) = found {
                        admin::note_created(stage, *id, topic);
                        break;
                    }
                }
            }
            if trace::now() > PATIENCE_MILLIS {
                trace::violation("the topics could not be created without any fault");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stage.phase.set(Phase::Chaos);
}

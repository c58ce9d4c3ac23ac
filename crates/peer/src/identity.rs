//! Who a node says it is, to every other node and in every hello.

use chronik_types::{BrokerId, DirectoryId, Uuid};
use tokio::sync::watch;

/// One run of one node on one directory of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `None`: an empty directory that does not know its cluster yet.
    pub cluster_id: Option<Uuid>,
    /// `node.id`.
    pub node_id: BrokerId,
    /// Drawn when the directory was first used: an emptied disk is another node.
    pub directory_id: DirectoryId,
    /// Drawn at each start of the process.
    pub incarnation: Uuid,
}

/// This node's [`Identity`], shared by everything that speaks for it.
///
/// **Invariant:** only the cluster id ever changes, from unknown to known.
#[derive(Debug)]
pub struct IdentityCell {
    identity: watch::Sender<Identity>,
}

impl IdentityCell {
    /// A cell that holds `identity`.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity: watch::Sender::new(identity) }
    }

    /// The identity as it is now.
    #[must_use]
    pub fn get(&self) -> Identity {
        self.identity.borrow().clone()
    }

    /// Notes the cluster that this node has turned out to belong to; the first word stands.
    /// Connections made without it are replaced, so that no peer goes on taking this node for one
    /// without a cluster.
    pub fn set_cluster_id(&self, cluster_id: Uuid) {
        self.identity.send_if_modified(|identity| {
            let news = identity.cluster_id.is_none();
            identity.cluster_id.get_or_insert(cluster_id);
            news
        });
    }

    /// Done when this node does not call itself `before` any more.
    pub(crate) async fn changed_from(&self, before: &Identity) {
        if before.cluster_id.is_none() {
            let mut identity = self.identity.subscribe();
            if identity.wait_for(|now| now != before).await.is_ok() {
                return;
            }
        }
        // The invariant: nothing changes any more.
        std::future::pending().await
    }
}

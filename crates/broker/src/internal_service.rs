//! What this node does for the others: streams of followers to their leader.

use std::sync::Arc;

use chronik_peer::{
    BoxFuture, Channel, Hello, Identity, Message, PeerService, PeerStream, Refusal,
};

use crate::Broker;
use crate::replication;

/// Serves other nodes.
pub(crate) struct InternalService {
    pub broker: Arc<Broker>,
}

impl PeerService for InternalService {
    fn admit(&self, _hello: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(
        &'s self,
        _from: &'s Identity,
        _channel: Channel,
        _request: Message,
    ) -> BoxFuture<'s, Message> {
        Box::pin(async { Message::default() })
    }

    fn stream<'s>(
        &'s self,
        _channel: Channel,
        first: Message,
        stream: PeerStream,
    ) -> BoxFuture<'s, ()> {
        Box::pin(replication::serve(Arc::clone(&self.broker), first, stream))
    }
}

//! Responses that wait for their turn: they become ready in any order and leave in the order of
//! their requests.
//!
//! **Invariants**
//! - `slots[i]` belongs to the request numbered `first + i`.
//! - A slot is `Waiting` exactly while its future is in `waiting`.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use chronik_protocol::codec::Chunks;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::Later;

/// The responses of one connection that have not left yet.
#[derive(Default)]
pub(crate) struct Responses {
    first: u64,
    slots: VecDeque<Slot>,
    waiting: FuturesUnordered<Numbered>,
}

enum Slot {
    Waiting,
    Ready(Option<Chunks>),
}

struct Numbered {
    number: u64,
    later: Later,
}

impl Future for Numbered {
    type Output = (u64, Option<Chunks>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        self.later.as_mut().poll(cx).map(|response| (number, response))
    }
}

impl Responses {
    /// How many have not left.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Queues a response that is there.
    pub(crate) fn push_ready(&mut self, response: Chunks) {
        self.slots.push_back(Slot::Ready(Some(response)));
    }

    /// Queues a response that is still to come.
    pub(crate) fn push_later(&mut self, later: Later) {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(Slot::Waiting);
        self.waiting.push(Numbered { number, later });
    }

    /// Drives the futures; call until there is nothing to pop, before sleeping.
    pub(crate) fn poll_waiting(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some((number, response))) = self.waiting.poll_next_unpin(cx) {
            let index =
                number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
            let slot = index.and_then(|index| self.slots.get_mut(index));
            assert!(matches!(slot, Some(Slot::Waiting)), "response {number} has no waiting slot");
            if let Some(slot) = slot {
                *slot = Slot::Ready(response);
            }
        }
    }

    /// The next response whose turn it is, if it is ready.
    pub(crate) fn pop(&mut self) -> Option<Chunks> {
        while let Some(Slot::Ready(response)) = self.slots.front_mut() {
            let response = response.take();
            self.slots.pop_front();
            self.first += 1;
            if response.is_some() {
                return response;
            }
        }
        None
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.first += self.slots.len() as u64;
        self.slots.clear();
    }
}

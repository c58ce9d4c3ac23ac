//! What must hold, whatever happens.

use std::collections::BTreeMap;

use chronik_types::{BrokerId, Offset};

use super::broker::{Broker, Role};
use super::controller::Controller;
use crate::{SubscriptionId, ToLeader};

/// What went wrong.
pub type Violation = String;

/// Remembers what anybody could have seen.
#[derive(Debug, Default)]
pub struct Checks {
    /// The value at each offset that was below a high watermark anywhere, once.
    truth: Vec<u64>,
    /// Who led in each epoch, and as which incarnation.
    leaders: BTreeMap<i32, (BrokerId, i64)>,
    /// How far the high watermark was in each leader epoch.
    high_watermarks: BTreeMap<i32, i64>,
    /// What was said to be durable in each subscription.
    stated: BTreeMap<SubscriptionId, Offset>,
    /// Up to where each broker's visible records were compared.
    compared: BTreeMap<BrokerId, i64>,
}

impl Checks {
    /// How many records were visible.
    pub fn visible(&self) -> i64 {
        self.truth.len() as i64
    }

    /// A broker shows its records up to its high watermark.
    pub fn exposed(&mut self, broker: &Broker) -> Result<(), Violation> {
        if let Role::Leading { leader, .. } = &broker.role {
            let epoch = leader.leader_epoch().0;
            let now = leader.high_watermark().0;
            let before = self.high_watermarks.insert(epoch, now).unwrap_or(0);
            if now < before {
                return Err(format!("high watermark of epoch {epoch} went from {before} to {now}"));
            }
            if leader.is_under_min_isr() && now > broker.log.start() {
                return Err(format!("high watermark at {now} with too few in sync"));
            }
        }
        let from = self.compared.get(&broker.id).copied().unwrap_or(0).max(broker.log.start());
        for offset in from..broker.high_watermark {
            let Some(record) = broker.log.record(offset) else {
                return Err(format!(
                    "high watermark {} of {} beyond its end",
                    broker.high_watermark, broker.id
                ));
            };
            match self.truth.get(offset as usize) {
                Some(seen) if *seen != record.value => {
                    return Err(format!("offset {offset} was {seen}, is {}", record.value));
                }
                Some(_) => {}
                None if offset == self.visible() => self.truth.push(record.value),
                None => return Err(format!("offsets up to {offset} were skipped")),
            }
        }
        self.compared.insert(broker.id, broker.high_watermark);
        Ok(())
    }

    /// A follower speaks.
    pub fn said(&mut self, message: &ToLeader) {
        let mut state = |id, durable: Offset| {
            let stated = self.stated.entry(id).or_insert(durable);
            *stated = durable.max(*stated);
        };
        match message {
            ToLeader::Subscribe(all) => {
                all.iter().for_each(|s| state(s.subscription, s.log.durable))
            }
            ToLeader::Acks(all) => all.iter().for_each(|ack| state(ack.subscription, ack.durable)),
            _ => {}
        }
    }

    /// Leaders count what was said in the live subscription, and nothing else.
    pub fn counted(&self, brokers: &[Broker]) -> Result<(), Violation> {
        for broker in brokers {
            let Role::Leading { leader, .. } = &broker.role else { continue };
            for follower in leader.followers() {
                let stated = follower.subscription.and_then(|id| self.stated.get(&id));
                if follower.durable > stated.copied() {
                    return Err(format!("{follower:?} counts, but it said {stated:?}"));
                }
            }
        }
        Ok(())
    }

    /// A broker's log was cut, or lost its end by a crash.
    pub fn cut(&mut self, broker: &Broker) {
        let compared = self.compared.entry(broker.id).or_default();
        *compared = (*compared).min(broker.log.end());
    }

    /// A client was told that this is safe.
    pub fn acknowledged(&self, offset: i64, value: u64) -> Result<(), Violation> {
        match self.truth.get(offset as usize) {
            Some(seen) if *seen == value => Ok(()),
            other => Err(format!("acknowledged {value} at {offset}, where there is {other:?}")),
        }
    }

    /// A broker begins to lead.
    pub fn elected(&mut self, controller: &Controller, broker: &Broker) -> Result<(), Violation> {
        let Role::Leading { leader, .. } = &broker.role else { return Ok(()) };
        let epoch = leader.leader_epoch().0;
        let me = (broker.id, broker.epoch);
        let led = *self.leaders.entry(epoch).or_insert(me);
        if led != me {
            return Err(format!("{led:?} and {me:?} lead in epoch {epoch}"));
        }
        if leader.high_watermark().0 < broker.high_watermark {
            return Err(format!(
                "{} knew the high watermark {} and begins at {}",
                broker.id,
                broker.high_watermark,
                leader.high_watermark()
            ));
        }
        // It may hear of its election late, when others lead and it lacks what they have shown.
        if epoch == controller.view().leader_epoch {
            self.has_everything(broker, broker.log.start())?;
        }
        Ok(())
    }

    fn has_everything(&self, broker: &Broker, from: i64) -> Result<(), Violation> {
        for offset in from.max(broker.log.start())..self.visible() {
            let has = broker.log.record(offset).map(|record| record.value);
            let seen = self.truth.get(offset as usize).copied();
            if has != seen {
                return Err(format!("{} lacks offset {offset}: {has:?}, not {seen:?}", broker.id));
            }
        }
        if broker.log.end() < self.visible() {
            return Err(format!("{} ends before what was visible", broker.id));
        }
        Ok(())
    }

    /// Whoever may be elected has on its disk what anybody has seen.
    pub fn electable(&self, controller: &Controller, brokers: &[Broker]) -> Result<(), Violation> {
        for broker in brokers.iter().filter(|broker| controller.view().isr.contains(&broker.id)) {
            for offset in (self.visible() - 3).max(0)..self.visible() {
                let seen = self.truth.get(offset as usize).copied();
                if !broker.log.is_on_disk(offset, seen) {
                    return Err(format!("in sync, but {} lacks {offset} on disk", broker.id));
                }
            }
        }
        Ok(())
    }

    /// All is quiet and nobody is missing: everybody has the same, and all of it is visible.
    pub fn converged(&self, controller: &Controller, brokers: &[Broker]) -> Result<(), Violation> {
        let view = controller.view();
        if view.isr.len() != view.replicas.len() {
            return Err(format!("only {:?} are in sync", view.isr));
        }
        let Some(leader) = brokers.iter().find(|broker| Some(broker.id) == view.leader) else {
            return Err("nobody leads".to_owned());
        };
        for broker in brokers {
            if broker.high_watermark != leader.log.end() || broker.log.end() != leader.log.end() {
                return Err(format!(
                    "{} ends at {} with the high watermark {}, the leader at {}",
                    broker.id,
                    broker.log.end(),
                    broker.high_watermark,
                    leader.log.end(),
                ));
            }
            self.has_everything(broker, 0)?;
        }
        Ok(())
    }
}

//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// `acks=all` is answered when the leader's own disk has the records.
    acknowledge_before_high_watermark;
    /// The controller acts before the first entry of its own term is applied.
    activate_early;
    /// A broker serves followers of what an earlier incarnation led.
    lead_unregistered;
}

//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// A batch is applied although it does not follow the one applied last.
    apply_gaps;
}

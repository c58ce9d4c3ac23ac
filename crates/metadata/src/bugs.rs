//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// A batch is applied although it does not follow the one applied last.
    apply_gaps;
}

#[cfg(test)]
mod tests {
    use crate::replay::tests::a_batch_applies_only_on_top_of_the_one_it_was_made_on;

    #[test]
    fn each_bug_is_seen_by_a_test() {
        let test = a_batch_applies_only_on_top_of_the_one_it_was_made_on;
        assert_eq!(super::ALL, ["apply_gaps"]);
        assert!(chronik_types::planted::is_seen_by("apply_gaps", test));
    }
}

//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// A restarted leader resumes its term.
    resume_term;
    /// A vote is given before it is on the disk.
    vote_before_disk;
    /// A voter whose disk was replaced votes at once.
    vote_with_a_new_disk;
}

#[cfg(test)]
mod tests {
    use chronik_types::planted::is_seen_by;

    use crate::{bootstrap, tests};

    /// A leader that resumes its term only the simulator sees: it takes a restart in the midst of
    /// its proposals.
    #[test]
    fn each_bug_but_one_is_seen_by_a_test() {
        let seen_by: [(&str, fn()); 2] = [
            ("vote_before_disk", tests::log_model::sixty_seeds),
            (
                "vote_with_a_new_disk",
                bootstrap::tests::an_empty_directory_beside_a_member_is_an_observer,
            ),
        ];
        assert_eq!(super::ALL.len(), seen_by.len() + 1);
        for (bug, test) in seen_by {
            assert!(is_seen_by(bug, test), "{bug} goes unseen");
        }
    }
}

//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// A restarted leader resumes its term.
    resume_term;
    /// A vote is given before it is on the disk.
    vote_before_disk;
    /// A voter whose disk was replaced votes at once.
    vote_with_a_new_disk;
}

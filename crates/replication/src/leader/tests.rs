use super::*;
#[test]
fn p() {
    println!("{} {} {}", size_of::<Leader>(), size_of::<Replica>(), size_of::<crate::Follower>());
}

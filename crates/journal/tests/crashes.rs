//! The long run of the journal against its model. `CHRONIK_SEED` replays one seed.

#[path = "../src/model.rs"]
#[allow(dead_code, reason = "the short run uses the rest")]
mod model;

#[test]
fn hundreds_of_thousands_of_operations_lose_nothing() {
    let seen = model::run_many(1_000_000, 600_000, 4_000);
    let replays_one_seed = seen.operations < 600_000;
    assert!(seen.durable > 200_000 || replays_one_seed, "{seen:?}");
}

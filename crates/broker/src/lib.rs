//! The driver: owns the state machines, runs their effects, answers the APIs.

//! Group coordination as pure state machines: events and time in, records and replies out.

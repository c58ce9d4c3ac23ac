//! openraft on the metadata log: log store, vote, state machine, settings.

//! The controller: a request and the speculative image in, records and a response out; pure.

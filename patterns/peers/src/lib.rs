//! Nothing is here but the benches.

//! Entry point of `ochre-sentinel`.
fn main() {}

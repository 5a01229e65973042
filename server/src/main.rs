//! Entry point of `ochre-server`.
fn main() {}

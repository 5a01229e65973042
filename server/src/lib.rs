//! The Ochre server.

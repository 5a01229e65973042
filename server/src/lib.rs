//! The Ochre server.

pub mod config;

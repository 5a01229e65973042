//! The Ochre server.

pub mod config;
pub mod persistence;

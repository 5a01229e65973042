//! Files that outlive the process.

pub mod rdb;

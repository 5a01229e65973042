//! Machinery that both daemons share.

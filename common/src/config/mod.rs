//! What `redis.conf`, `sentinel.conf`, the command line and `CONFIG SET` have in common.
//!
//! - [`syntax`]: one line into arguments and back, with Redis's quoting.
//! - [`source`]: a whole text into lines, with `include`, wildcards and the line numbers that errors name.
//! - [`value`]: the kinds of values (yes/no, numbers with units and ranges, enumerations) with Redis's error texts.
//!
//! Which directives exist and what they mean is each daemon's own table.

pub mod source;
pub mod syntax;
pub mod value;

pub use source::{FatalError, Line, Source};

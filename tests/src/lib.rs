//! Support for the black-box suite.

//! The system tests: one binary, so that the whole suite is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bad_input;
mod dds;
mod gallery;
mod house;
mod real;
mod replay;
mod support;

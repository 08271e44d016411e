//! The system tests: one binary, so that the whole suite is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bad_input;
mod dds;
#[path = "../../crates/transport/tests/shared/domain.rs"]
mod domain;
mod eval;
mod gallery;
mod house;
mod identity;
mod launch;
mod memory;
mod proposals;
mod real;
mod replay;
mod support;

//! The root of intact: the command line ([`cli`]) and the composition of all nodes in one process ([`cell`]).

pub mod cell;
pub mod cli;

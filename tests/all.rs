//! Tests of the program as a user runs it: against the simulated clouds, and against servers that others wrote.

mod bad_input;
mod corpus;
mod crash;
mod faults;
mod independent;
mod promises;
mod secrets;
mod support;
mod tidy;
mod watch;

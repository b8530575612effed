//! Tests of the program as a user runs it: against the simulated clouds, and against servers that others wrote.

mod bad_input;
mod clouds;
mod commands;
mod corpus;
mod crash;
mod doubt;
mod drift;
mod faults;
mod greedy;
mod halfway;
mod independent;
mod ownership;
mod promises;
mod rivals;
mod secrets;
mod suggestions;
mod support;
mod takedown;
mod tidy;
mod untrusted;
mod variants;
mod watch;
mod weather;

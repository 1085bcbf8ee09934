//! Authenticated replica links over plain, dup-able TCP sockets.

pub mod config;

//! Real processes and peers that speak the wire by hand. Everything has a deadline, and no process
//! outlives its test.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod cluster;
pub mod load;
pub mod peer;
pub mod primary;
pub mod process;
pub mod proxy;
pub mod scrape;

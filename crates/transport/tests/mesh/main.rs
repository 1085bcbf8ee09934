//! The mesh, on virtual time.

mod behaviour;
mod network;
mod one;
mod random;

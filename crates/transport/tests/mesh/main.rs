//! The mesh, on virtual time.

mod behaviour;
mod one;

//! The `replink` command.
fn main() {}

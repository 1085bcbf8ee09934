//! What the types rule out does not compile. `TRYBUILD=overwrite` accepts new messages.

#[test]
fn what_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}

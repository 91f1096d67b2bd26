//! What the compiler says of frequent slips: each listing in `cases` has its message beside it.
//!
//! Compilers word messages differently, so these are of the oldest one that the library supports.
//! After a change, `TRYBUILD=overwrite` keeps the new messages.

#[test]
fn the_compiler_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}

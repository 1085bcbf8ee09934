//! What of a processor decides which code runs.

/// A name for all machines whose counts can be compared: BLAKE3 and libc choose their code at run time.
/// Under valgrind it is what valgrind shows, and that is the same for all processors with AVX2.
pub(crate) fn name() -> String {
    format!("{} {} {}", std::env::consts::ARCH, std::env::consts::OS, features())
}

#[cfg(target_arch = "x86_64")]
fn features() -> &'static str {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
        "avx512"
    } else if is_x86_feature_detected!("avx2") {
        "avx2"
    } else if is_x86_feature_detected!("sse4.1") {
        "sse4.1"
    } else {
        "sse2"
    }
}

/// Nothing is chosen.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> &'static str {
    "all"
}

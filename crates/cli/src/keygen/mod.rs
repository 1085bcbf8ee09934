//! `replink keygen`: a fresh secret, or a cluster's pair secrets.

mod pairwise;

use std::process::ExitCode;

use replink_transport::{EntropyError, secret_bytes};
use zeroize::Zeroizing;

use crate::arguments::KeygenOptions;
use crate::{fail, output};

pub(crate) fn run(options: &KeygenOptions) -> ExitCode {
    if options.pairwise {
        let (Some(config), Some(out)) = (&options.config, &options.out) else {
            return fail("--pairwise needs --config and --out"); // clap sees to it
        };
        return pairwise::run(config, out);
    }
    let secret = match generate() {
        Ok(secret) => secret,
        Err(error) => return fail(error),
    };
    // Not through the buffer of stdout, which nobody wipes.
    let line = Zeroizing::new([secret.as_bytes(), b"\n"].concat());
    match output::print_unbuffered(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("can't write the secret: {error}")),
    }
}

/// 256 bits from the operating system, as 64 hexadecimal digits: the secret is this text, byte for
/// byte (K-1).
pub(crate) fn generate() -> Result<Zeroizing<String>, EntropyError> {
    Ok(Zeroizing::new(crate::hex::encode(&*secret_bytes()?)))
}

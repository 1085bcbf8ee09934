//! `replink keygen`: a fresh secret, or a cluster's pair secrets.

mod pairwise;

use std::io::{self, Write};
use std::process::ExitCode;

use replink_transport::{EntropyError, secret_bytes};
use zeroize::Zeroizing;

use crate::arguments::KeygenOptions;
use crate::fail;

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
    match writeln!(io::stdout(), "{}", *secret) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("can't write the secret: {error}")),
    }
}

/// 256 bits from the operating system, as 64 hexadecimal digits: the secret is this text, byte for
/// byte (K-1).
pub(crate) fn generate() -> Result<Zeroizing<String>, EntropyError> {
    Ok(Zeroizing::new(crate::hex::encode(&*secret_bytes()?)))
}

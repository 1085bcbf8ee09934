//! An endpoint gives what its configuration asks for, or there is none.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{Flags, ReplicaId, Version};
use replink_tests::links::{AUTH, config_with};
use replink_transport::EndpointError;
use replink_transport::config::{Config, Policy};

/// Has a configuration require something.
type Require = fn(&mut Config);

/// The error of a configuration that was changed after it had been read.
fn error_of(change: impl FnOnce(&mut Config)) -> Option<EndpointError> {
    let mut config = config_with(AUTH, "");
    change(&mut config);
    config.endpoint(ReplicaId(0), 1, 1).err()
}

#[test]
fn no_endpoint_without_the_protection_that_is_required() {
    let unavailable = |flags| Some(EndpointError::Unavailable { flags });
    assert_eq!(error_of(|_| ()), None);
    assert_eq!(error_of(|config| config.link.forward_secrecy = Policy::Required), None);
    assert_eq!(error_of(|config| config.link.sealed = Policy::Required), None);
    let error = error_of(|config| config.link.encryption = Policy::Required);
    assert_eq!(error, unavailable(Flags::ENCRYPTED));
    assert_eq!(
        error.unwrap().to_string(),
        "encrypted is required, which no link of version 1 or without authentication can have"
    );
    // H-13, H-12
    let settings: [(Flags, Require); 2] = [
        (Flags::SEALED, |config| config.link.sealed = Policy::Required),
        (Flags::EPHEMERAL, |config| config.link.forward_secrecy = Policy::Required),
    ];
    for (flag, require) in settings {
        let error = error_of(|config| {
            require(config);
            config.auth.version = Version::V1;
        });
        assert_eq!(error, unavailable(flag));
        let error = error_of(|config| {
            require(config);
            config.auth.enabled = false;
        });
        assert_eq!(error, unavailable(flag));
    }
}

#[test]
fn no_endpoint_without_a_key_or_a_place_in_the_cluster() {
    assert_eq!(error_of(|config| config.auth.keys = None), Some(EndpointError::NoKey));
    let error = error_of(|config| drop(config.nodes.remove(0)));
    assert_eq!(error, Some(EndpointError::UnknownReplica(ReplicaId(0))));
}

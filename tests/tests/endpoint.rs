//! An endpoint gives what its configuration asks for, or there is none.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{ReplicaId, Version};
use replink_tests::links::{AUTH, config_with};
use replink_transport::config::{Config, Policy};
use replink_transport::{Endpoint, EndpointError};

/// Has a configuration require something.
type Require = fn(&mut Config);

/// The error of a configuration that was changed after it had been read.
fn error_of(change: impl FnOnce(&mut Config)) -> Option<EndpointError> {
    let mut config = config_with(AUTH, "");
    change(&mut config);
    Endpoint::new(&config, ReplicaId(0), 1, 1).err()
}

#[test]
fn no_endpoint_without_the_protection_that_is_required() {
    let unavailable = |setting| Some(EndpointError::Unavailable { setting });
    assert_eq!(error_of(|_| ()), None);
    assert_eq!(error_of(|config| config.link.forward_secrecy = Policy::Required), None);
    assert_eq!(error_of(|config| config.link.sealed = Policy::Required), None);
    let error = error_of(|config| config.link.encryption = Policy::Required);
    assert_eq!(error, unavailable("cluster.link.encryption"));
    assert_eq!(
        error.unwrap().to_string(),
        "cluster.link.encryption is \"required\", which no link of this configuration can have"
    );
    // H-13, H-12
    let settings: [(&str, Require); 2] = [
        ("cluster.link.sealed", |config| config.link.sealed = Policy::Required),
        ("cluster.link.forward_secrecy", |config| config.link.forward_secrecy = Policy::Required),
    ];
    for (setting, require) in settings {
        let error = error_of(|config| {
            require(config);
            config.auth.version = Version::V1;
        });
        assert_eq!(error, unavailable(setting));
        let error = error_of(|config| {
            require(config);
            config.auth.enabled = false;
        });
        assert_eq!(error, unavailable(setting));
    }
}

#[test]
fn no_endpoint_without_a_key_or_a_place_in_the_cluster() {
    assert_eq!(error_of(|config| config.auth.keys = None), Some(EndpointError::NoKey));
    let error = error_of(|config| drop(config.nodes.remove(0)));
    assert_eq!(error, Some(EndpointError::UnknownReplica(ReplicaId(0))));
}

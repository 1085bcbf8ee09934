//! An endpoint gives what its configuration asks for, or there is none.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{ReplicaId, Version};
use replink_tests::links::{AUTH, config_with};
use replink_transport::EndpointError;
use replink_transport::config::{Config, Policy, UnusableConfig};

/// Has a configuration require something.
type Require = fn(&mut Config);

/// The error of a configuration that was changed after it had been read.
fn error_of(change: impl FnOnce(&mut Config)) -> Option<UnusableConfig> {
    let mut config = config_with(AUTH, "");
    change(&mut config);
    config.endpoint(ReplicaId(0), 1, 1).err()
}

/// The key of the one mistake that a changed configuration has.
#[track_caller]
fn mistake_of(change: impl FnOnce(&mut Config)) -> String {
    let error = error_of(change);
    let Some(UnusableConfig::Invalid(errors)) = error else { panic!("not refused: {error:?}") };
    assert_eq!(errors.iter().count(), 1, "{errors}");
    errors.iter().map(|error| error.key.clone()).collect()
}

#[test]
fn no_endpoint_without_the_protection_that_is_required() {
    assert_eq!(error_of(|_| ()), None);
    assert_eq!(error_of(|config| config.link.forward_secrecy = Policy::Required), None);
    assert_eq!(error_of(|config| config.link.sealed = Policy::Required), None);
    // H-13, H-12
    let settings: [(&str, Require); 2] = [
        ("cluster.link.sealed", |config| config.link.sealed = Policy::Required),
        ("cluster.link.forward_secrecy", |config| config.link.forward_secrecy = Policy::Required),
    ];
    for (key, require) in settings {
        let mistake = mistake_of(|config| {
            require(config);
            config.auth.version = Version::V1;
        });
        assert_eq!(mistake, key);
        let mistake = mistake_of(|config| {
            require(config);
            config.auth.enabled = false;
        });
        assert_eq!(mistake, key);
    }
}

#[test]
fn no_endpoint_without_a_key_or_a_place_in_the_cluster() {
    assert_eq!(mistake_of(|config| config.auth.keys = None), "cluster.auth");
    let error = error_of(|config| drop(config.nodes.remove(0)));
    assert_eq!(error, Some(UnusableConfig::Endpoint(EndpointError::UnknownReplica(ReplicaId(0)))));
}

//! An endpoint gives what its configuration asks for, or there is none.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{Flags, ReplicaId, Version};
use replink_handshake::FlagPolicy;
use replink_tests::links::{AUTH, config_with};
use replink_transport::config::{Config, Policy, UnusableConfig};
use replink_transport::{Endpoint, EndpointError, EndpointSettings};

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

/// H-12: what a configuration is refused with holds for settings that are made in code too.
#[test]
fn no_endpoint_migrates_without_a_key_or_with_something_required() {
    let config = config_with(AUTH, "");
    let endpoint = config.endpoint(ReplicaId(0), 1, 1).unwrap();
    let settings = |keys, required| {
        let mut settings = EndpointSettings::new(endpoint.local().clone(), keys, config.roster());
        settings.migrating = true;
        settings.flags = FlagPolicy::new(Flags::NONE, required);
        settings
    };
    let keys = || config.auth.keys.clone();
    assert!(!endpoint.is_migrating());
    assert!(Endpoint::new(settings(keys(), Flags::NONE)).unwrap().is_migrating());
    let refused = |settings| Endpoint::new(settings).err();
    assert_eq!(refused(settings(None, Flags::NONE)), Some(EndpointError::CannotMigrate));
    assert_eq!(refused(settings(keys(), Flags::SEALED)), Some(EndpointError::CannotMigrate));
    let config = config_with(&format!("{AUTH}\nmigrating = true"), "");
    assert!(config.endpoint(ReplicaId(0), 1, 1).unwrap().is_migrating());
}

/// The configuration says the release, and the embedder may say another.
#[test]
fn an_endpoint_has_the_release_and_the_source_of_its_configuration() {
    let mut config = config_with(AUTH, "");
    (config.release, config.source) = (4, Some("127.0.0.2".parse().unwrap()));
    let endpoint = config.endpoint(ReplicaId(0), None, 1).unwrap();
    assert_eq!((endpoint.local().release, endpoint.source()), (4, config.source));
    assert_eq!(config.endpoint(ReplicaId(0), 7, 1).unwrap().local().release, 7);
}

#[test]
fn no_endpoint_without_a_key_or_a_place_in_the_cluster() {
    assert_eq!(mistake_of(|config| config.auth.keys = None), "cluster.auth");
    let error = error_of(|config| drop(config.nodes.remove(0)));
    assert_eq!(error, Some(UnusableConfig::Endpoint(EndpointError::UnknownReplica(ReplicaId(0)))));
}

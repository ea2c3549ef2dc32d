use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tls::verify_client;
use super::*;

const NOW: i64 = 1_790_000_000_000;

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn store() -> (tempfile::TempDir, KeyStore) {
    let home = tempfile::tempdir().unwrap();
    let store = KeyStore::open(&home.path().join("keys"), "gateway.example", NOW).unwrap();
    (home, store)
}

#[test]
fn the_first_start_makes_an_authority_and_a_listener_certificate() {
    let (home, store) = store();
    let key = store.key(DEFAULT_TLS_KEY).unwrap();
    let certificate = key.certificate.clone().unwrap();
    assert_eq!(authority::host_names(&certificate), ["gateway.example", "localhost", "127.0.0.1", "::1"]);
    assert_eq!(certificate.issuer, store.authority().unwrap().subject);
    assert_eq!(key.chain.len(), 2);
    store.certified(DEFAULT_TLS_KEY).unwrap();
    assert_eq!(store.roots().len(), 1);
    #[cfg(unix)]
    for file in ["ca.key.pem", "default_ssl_key.key.pem"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(home.path().join("keys").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let again = KeyStore::open(&home.path().join("keys"), "gateway.example", NOW).unwrap();
    assert_eq!(again.key(DEFAULT_TLS_KEY).unwrap().chain, key.chain, "a second start changes nothing");
}

#[test]
fn the_listener_certificate_is_renewed_with_the_same_key() {
    let (home, store) = store();
    let old = store.key(DEFAULT_TLS_KEY).unwrap();
    let late = KeyStore::open(&home.path().join("keys"), "gateway.example", NOW + 380 * 86_400_000).unwrap();
    let renewed = late.key(DEFAULT_TLS_KEY).unwrap();
    assert_eq!(renewed.kid, old.kid);
    assert!(renewed.certificate.as_ref().unwrap().not_after > old.certificate.as_ref().unwrap().not_after);
    let moved = KeyStore::open(&home.path().join("keys"), "other.example", NOW).unwrap();
    let names = authority::host_names(moved.key(DEFAULT_TLS_KEY).unwrap().certificate.as_ref().unwrap());
    assert_eq!(names[0], "other.example");
}

/// What is done to a folder that nobody may write to is done to a copy in which only the lock is missing: root may write anywhere.
#[test]
fn a_complete_folder_is_not_touched() {
    let (home, store) = store();
    store.ensure_key("signer", KeyKind::P256, NOW).unwrap();
    store.ensure_secret("one").unwrap();
    let folder = home.path().join("keys");
    let lock = folder.join(".lock");
    std::fs::remove_file(&lock).unwrap();
    let open = || {
        let store = KeyStore::open(&folder, "gateway.example", NOW).unwrap();
        store.ensure_key("signer", KeyKind::P256, NOW).unwrap();
        store.ensure_secret("one").unwrap();
    };
    open();
    assert!(!lock.exists(), "nothing was to be made, so nobody had to be kept out");
    // An operator's own certificate needs no authority of ours; a key that is made later gets one.
    for name in ["ca.pem", "ca.key.pem"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    open();
    assert!(!lock.exists() && !folder.join("ca.pem").exists());
    // A folder that cannot be written to (here: what should be its lock is a folder) and whose certificate nears its end serves on.
    let (home, _store) = self::store();
    let folder = home.path().join("keys");
    std::fs::remove_file(folder.join(".lock")).unwrap();
    std::fs::create_dir(folder.join(".lock")).unwrap();
    KeyStore::open(&folder, "gateway.example", NOW + 380 * 86_400_000).unwrap();
    std::fs::remove_file(folder.join("default_ssl_key.key.pem")).unwrap();
    KeyStore::open(&folder, "gateway.example", NOW).map(|_| ()).unwrap_err();
}

#[test]
fn each_kind_of_key_signs_and_its_jwk_verifies() {
    let (_home, store) = store();
    for (alias, kind, algorithms) in [
        ("rsa", KeyKind::Rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        ("ec", KeyKind::P256, &["ES256"]),
        ("ed", KeyKind::Ed25519, &["EdDSA"]),
    ] {
        let key = store.ensure_key(alias, kind, NOW).unwrap();
        let public = PublicKey::from_jwk(&key.jwk()).unwrap();
        for algorithm in Algorithm::ALL {
            let signed = store.sign(alias, algorithm, b"message");
            if !algorithms.contains(&algorithm.name()) {
                assert!(signed.unwrap_err().to_string().contains(algorithm.name()));
                continue;
            }
            let signature = base64url(&signed.unwrap());
            assert!(public.verify(algorithm, b"message", &signature), "{}", algorithm.name());
            assert!(!public.verify(algorithm, b"massage", &signature));
            assert!(!public.verify(Algorithm::HS256, b"message", &signature));
        }
    }
    assert!(store.sign("nobody", Algorithm::ES256, b"").unwrap_err().to_string().contains("`nobody`"));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let (_home, store) = store();
    let jwk = store.ensure_key("rsa", KeyKind::Rsa, NOW).unwrap().jwk();
    let public = PublicKey::from_jwk(&jwk).unwrap();
    let Material::Rsa(n, _) = public.material() else { panic!() };
    let forged = base64url(&sign_with_secret(Algorithm::HS256, n, b"message").unwrap());
    assert!(!public.verify(Algorithm::HS256, b"message", &forged));
    let secret = PublicKey::secret(b"secret");
    let signature = base64url(&sign_with_secret(Algorithm::HS256, b"secret", b"message").unwrap());
    assert!(secret.verify(Algorithm::HS256, b"message", &signature));
    assert!(!secret.verify(Algorithm::HS384, b"message", &signature));
}

#[test]
fn rotation_keeps_the_old_key_for_verifying() {
    let (_home, store) = store();
    let old = store.ensure_key("signer", KeyKind::P256, NOW).unwrap();
    let new = store.rotate("signer", NOW).unwrap();
    assert_ne!(old.kid, new.kid);
    assert_eq!(store.key("signer").unwrap().kid, new.kid);
    assert_eq!(store.jwks(&["signer"])["keys"].as_array().unwrap().len(), 2);
    assert_eq!(store.by_kid(&old.kid).unwrap().kid, old.kid);
    assert!(store.retire("signer", &new.kid).is_err());
    store.retire("signer", &old.kid).unwrap();
    assert_eq!(store.jwks(&["signer"])["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn secrets_are_made_once() {
    let (home, store) = store();
    let secret = store.ensure_secret("Session.Signing").unwrap();
    assert_eq!(secret.expose().len(), 32);
    assert_eq!(store.ensure_secret("session.signing").unwrap(), secret);
    std::fs::write(home.path().join("keys/secrets/own"), "by hand\n").unwrap();
    store.reload().unwrap();
    assert_eq!(store.secret("OWN").unwrap().expose(), "by hand");
    for name in ["", "../x", "a/b", ".hidden"] {
        assert!(store.ensure_secret(name).is_err(), "{name}");
    }
}

#[test]
fn client_certificates_are_checked_against_the_trusted() {
    let (_home, store) = store();
    let (_other_home, other) = self::store();
    let client = store.ensure_key("client", KeyKind::P256, NOW).unwrap().certificate.clone().unwrap();
    let own = [store.authority().unwrap()];
    let foreign = [other.authority().unwrap()];
    verify_client(&client, &[], &own, NOW).unwrap();
    verify_client(&client, &[], std::slice::from_ref(&client), NOW).unwrap();
    assert!(verify_client(&client, &[], &foreign, NOW).unwrap_err().to_string().contains("not trusted"));
    assert!(verify_client(&client, &[], &[], NOW).is_err());
    assert!(verify_client(&client, &[], &own, NOW + 500 * 86_400_000).unwrap_err().to_string().contains("expired"));
    assert!(verify_client(&client, &[], &own, NOW - 500 * 86_400_000).unwrap_err().to_string().contains("not yet valid"));
}

#[test]
fn a_client_certificate_is_verified_again_when_anything_may_have_changed() {
    let (_home, store) = store();
    let (_other_home, other) = self::store();
    let client = store.ensure_key("client", KeyKind::P256, NOW).unwrap().certificate.clone().unwrap();
    let (own, foreign) = (store.authority().unwrap(), other.authority().unwrap());
    let vouched = Vouched::default();
    let looks = std::cell::Cell::new(0);
    let ask = |version: u64, trusted: &[&Arc<Certificate>], now: i64| {
        let trusted: Vec<_> = trusted.iter().map(|trusted| Arc::clone(trusted)).collect();
        let read = || {
            looks.set(looks.get() + 1);
            trusted
        };
        vouched.verify(&client, version, read, now)
    };
    let rounds = [
        (1, vec![], NOW, false, 1),
        (1, vec![&own], NOW, true, 2),
        (1, vec![&own], NOW + 1000, true, 2),
        // Nobody looks again as long as the version is the same.
        (1, vec![], NOW + 1000, true, 2),
        (2, vec![&foreign], NOW + 1000, false, 3),
        (3, vec![&foreign, &own], NOW + 1000, true, 4),
        // A clock that was set back.
        (3, vec![&own], NOW, true, 5),
        (3, vec![&own], client.not_after, true, 5),
        (3, vec![&own], client.not_after + 1, false, 6),
        (3, vec![&own], client.not_before - 1, false, 7),
        (3, vec![&own], own.not_after + 1, false, 8),
    ];
    for (i, (version, trusted, now, is_trusted, looked)) in rounds.into_iter().enumerate() {
        assert_eq!((ask(version, &trusted, now).is_ok(), looks.get()), (is_trusted, looked), "round {i}");
    }
}

/// RFC 7638, section 3.1.
#[test]
fn the_thumbprint_of_rfc_7638() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
    });
    assert_eq!(PublicKey::from_jwk(&jwk).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn broken_keys_are_named() {
    let (home, store) = store();
    let path = home.path().join("keys/broken.key.pem");
    std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(store.reload().unwrap_err().to_string().contains("`broken`"));
    assert!(store.key(DEFAULT_TLS_KEY).is_some(), "what was read before stays");
    for jwk in [
        json!({}),
        json!({"kty": "RSA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "oct", "k": "*"}),
    ] {
        assert!(PublicKey::from_jwk(&jwk).is_err());
    }
}

#[test]
fn a_public_key_that_everybody_signs_for_is_refused() {
    // The points of order 1, 2, 4 and 8 (RFC 7748, section 6.1, in the coordinates of Ed25519), as numbers that are too great, and with signs.
    let points = [
        "00".repeat(32),
        format!("{}80", "00".repeat(31)),
        format!("01{}", "00".repeat(31)),
        format!("01{}80", "00".repeat(30)),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85".to_owned(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa".to_owned(),
        format!("ec{}7f", "ff".repeat(30)),
        format!("ed{}7f", "ff".repeat(30)),
        format!("ed{}", "ff".repeat(31)),
        format!("ee{}7f", "ff".repeat(30)),
        format!("ee{}", "ff".repeat(31)),
        "11".repeat(31),
        "11".repeat(33),
        String::new(),
    ];
    let jwk = |x: &str| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    for point in points {
        let bytes = hex::decode(&point).unwrap();
        assert!(PublicKey::from_jwk(&jwk(&URL_SAFE_NO_PAD.encode(&bytes))).is_err(), "{point}");
        // SubjectPublicKeyInfo of Ed25519, and of X25519, which signs nothing.
        for kind in [0x70, 0x6e] {
            let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, kind, 0x03, 0x21, 0x00][..], &bytes].concat();
            let pem = format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                base64::engine::general_purpose::STANDARD.encode(der)
            );
            assert!(PublicKey::from_pem(&pem).is_err(), "{point}");
        }
    }
    // RFC 8037, appendix A.2.
    let good = PublicKey::from_jwk(&jwk("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")).unwrap();
    assert!(matches!(good.material(), Material::Ed25519(_)));
}

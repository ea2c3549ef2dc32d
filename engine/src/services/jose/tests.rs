//! The RFCs' own examples.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::content::Encryption;
use super::jwe::{Jwe, Management, Recipient, seal};
use super::jws::{Jws, sign};
use super::*;
use crate::services::keys::{Algorithm, Material, PrivateKey, PublicKey, sign_with_secret};

/// The text that RFC 7520 signs.
const BILBO: &str = "It\u{2019}s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't keep your feet, \
                     there\u{2019}s no knowing where you might be swept off to.";
/// The text that RFC 7520 encrypts.
const SAM: &str = "You can trust us to stick with you through thick and thin\u{2013}to the bitter end. And you can trust us to keep any \
                   secret of yours\u{2013}closer than you keep it yourself. But you cannot trust us to let you face trouble alone, and go \
                   off without a word. We are your friends, Frodo.";

fn verifies(token: &str, jwk: &Json) -> bool {
    let jws = Jws::read(token).unwrap();
    jws.verified_by([PublicKey::from_jwk(jwk).unwrap()].iter())
}

fn with(head: &str, payload: &str, signature: &str) -> String {
    format!("{head}.{}.{signature}", encode(payload))
}

#[test]
fn rfc7515_a1_hmac_sha256() {
    let key = json!({"kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                 dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(verifies(token, &key));
    assert!(!verifies(&token.replace(".eyJpc3MiOiJqb2UiLA0K", ".eyJpc3MiOiJqb2ViLA0K"), &key));
}

#[test]
fn rfc7515_a3_ecdsa_p256() {
    let key = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let token = "eyJhbGciOiJFUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                 DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(verifies(token, &key));
}

#[test]
fn rfc7515_a5_unsecured_is_refused() {
    let token =
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    assert!(Jws::read(token).is_err());
    for word in ["none", "None", "NONE", "hs256", "", "RS1"] {
        let head = encode(json!({ "alg": word }).to_string());
        assert!(Jws::read(&format!("{head}.e30.AA")).is_err(), "{word}");
    }
}

#[test]
fn rfc7515_e_critical_extensions_are_refused() {
    assert!(Jws::read(&with(&encode(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#), "{}", "AA")).is_err());
    assert!(Jws::read(&with(&encode(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#), "{}", "AA")).is_err());
}

const BILBO_RSA: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-\
QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_\
3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

#[test]
fn rfc7520_4_1_rsa_pkcs1() {
    let token = with(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        BILBO,
        "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-\
Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_\
oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
    );
    assert!(verifies(&token, &json!({"kty": "RSA", "n": BILBO_RSA, "e": "AQAB"})));
}

#[test]
fn rfc7520_4_2_rsa_pss() {
    let token = with(
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        BILBO,
        "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-\
UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_\
jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    );
    assert!(verifies(&token, &json!({"kty": "RSA", "n": BILBO_RSA, "e": "AQAB"})));
}

#[test]
fn rfc7520_4_3_ecdsa_p521() {
    let key = json!({"kty": "EC", "crv": "P-521",
        "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
        "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"});
    let token = with(
        "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        BILBO,
        "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_\
sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
    );
    assert!(verifies(&token, &key));
}

#[test]
fn rfc7520_4_4_hmac_is_made_again() {
    let key = json!({"kty": "oct", "alg": "HS256", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"});
    let head = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9";
    let expected = with(head, BILBO, "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0");
    assert!(verifies(&expected, &key));
    let public = PublicKey::from_jwk(&key).unwrap();
    let Material::Secret(secret) = public.material() else { panic!() };
    let header = header(head).unwrap();
    let made = sign(&header, BILBO.as_bytes(), |input| sign_with_secret(Algorithm::HS256, secret, input).ok_or(()));
    assert_eq!(made, Ok(expected));
}

#[test]
fn rfc8037_a4_ed25519() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(verifies(token, &key));
    // RFC 8037, appendix A.3.
    assert_eq!(PublicKey::from_jwk(&key).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn rfc7518_b1_aes_cbc_with_hmac() {
    let key: Vec<u8> = (0..32).collect();
    let content =
        b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without \
                    inconvenience";
    let aad = b"The second principle of Auguste Kerckhoffs";
    let iv = hex::decode("1af38c2dc2b96ffdd86694092341bc04").unwrap();
    let sealed = Encryption::A128CbcHs256.seal_with(&key, iv, aad, content).unwrap();
    assert_eq!(hex::encode(&sealed.ciphertext[..16]), "c80edfa32ddf39d5ef00c0b468834279");
    assert_eq!(hex::encode(&sealed.tag), "652c3fa36b0a7c5b3219fab3a30bc1c4");
    let opened = Encryption::A128CbcHs256.open(&key, &sealed.iv, aad, &sealed.ciphertext, &sealed.tag).unwrap();
    assert_eq!(opened, content);
}

#[test]
fn rfc7518_b3_aes256_cbc_with_hmac_sha512() {
    let key: Vec<u8> = (0..64).collect();
    let content =
        b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without \
                    inconvenience";
    let iv = hex::decode("1af38c2dc2b96ffdd86694092341bc04").unwrap();
    let sealed = Encryption::A256CbcHs512.seal_with(&key, iv, b"The second principle of Auguste Kerckhoffs", content).unwrap();
    assert_eq!(hex::encode(&sealed.tag), "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5");
}

#[test]
fn rfc7520_5_6_direct_encryption() {
    let token = "eyJhbGciOiJkaXIiLCJraWQiOiI3N2M3ZTJiOC02ZTEzLTQ1Y2YtODY3Mi02MTdiNWI0NTI0M2EiLCJlbmMiOiJBMTI4R0NNIn0..refa467QzzKx6QAB.\
JW_i_f52hww_ELQPGaYyeAB6HYGcR559l9TYnSovc23XJoBcW29rHP8yZOZG7YhLpT1bjFuvZPjQS-m0IFtVcXkZXdH_lr_FrdYt9HRUYkshtrMmIUAyGmUnd9zMDB2n0cRDIHAzFVeJUDxkUwVAE7_\
YGRPdcqMyiBoCO-FBdE-Nceb4h3-FtBP-c_BIwCPTjb9o0SbdcdREEMJMyZBH8ySWMVi1gPD9yxi-aQpGbSv_F9N4IZAxscj5g-NJsUPbjk29-s7LJAGb15wEBtXphVCgyy53CoIKLHHeJHXex45Uz9aKZSRSInZI-\
wjsY0yu3cT4_aQ3i1o-tiE-F8Ios61EKgyIQ4CWao8PFMj8TTnp.vbb32Xvllea2OtmHAdccRQ";
    let key = decode("XctOhJAkA-pD9Lh7ZgW_2A").unwrap();
    assert_eq!(Jwe::read(token).unwrap().open_shared(&key).unwrap(), SAM.as_bytes());
    let changed = token.replace(".refa", ".rega");
    assert_eq!(Jwe::read(&changed).unwrap().open_shared(&key), None);
}

#[test]
fn rfc7520_5_2_rsa_oaep() {
    let example: Json = serde_json::from_str(include_str!("rfc7520_5_2.json")).unwrap();
    let member = |name: &str| decode(example[name].as_str().unwrap()).unwrap();
    let pair = KeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: member("n"), e: member("e") },
        d: member("d"),
        p: member("p"),
        q: member("q"),
        dP: member("dp"),
        dQ: member("dq"),
        qInv: member("qi"),
    })
    .unwrap();
    let der = STANDARD.encode(pair.as_der().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = PrivateKey::from_pem("samwise", &pem, None).unwrap();
    let token = example["token"].as_str().unwrap();
    assert_eq!(Jwe::read(token).unwrap().open_with(&key).unwrap(), SAM.as_bytes());
    for management in [Management::RsaOaep, Management::RsaOaep256] {
        for name in Encryption::NAMES {
            let encryption = (Encryption::parse(name).unwrap(), *name);
            let made = seal(Header::new(), b"content", Recipient::Rsa(&key.public), management, encryption).unwrap();
            assert_eq!(Jwe::read(&made).unwrap().open_with(&key).as_deref(), Some(&b"content"[..]), "{name}");
        }
    }
}

#[test]
fn nothing_of_an_encrypted_token_can_be_changed() {
    let key = [7; 32];
    let encryption = (Encryption::A128CbcHs256, "A128CBC-HS256");
    let token = seal(Header::new(), b"content", Recipient::Shared(&key), Management::Direct, encryption).unwrap();
    assert_eq!(Jwe::read(&token).unwrap().open_shared(&key).as_deref(), Some(&b"content"[..]));
    assert_eq!(Jwe::read(&token).unwrap().open_shared(&[8; 32]), None);
    assert_eq!(Jwe::read(&token).unwrap().open_shared(&key[..16]), None);
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(Jwe::read(&changed).map_or(true, |jwe| jwe.open_shared(&key).is_none()), "at {at}");
    }
    assert!(seal(Header::new(), b"", Recipient::Shared(&key), Management::RsaOaep, encryption).is_err());
    assert!(seal(Header::new(), b"", Recipient::Shared(&key[..31]), Management::Direct, encryption).is_err());
}

#[test]
fn what_is_no_token_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "e30.e30.AA",
        "W10.e30.AA",
        "eyJhbGciOiJIUzI1NiJ9.e30.A=",
        "\u{e9}.\u{e9}.\u{e9}",
    ] {
        assert!(Jws::read(text).is_err(), "{text}");
        assert!(Jwe::read(text).is_err(), "{text}");
    }
    let zipped = encode(r#"{"alg":"dir","enc":"A128GCM","zip":"DEF"}"#);
    assert!(Jwe::read(&format!("{zipped}..AA.AA.AA")).is_err());
    assert!(Jws::read(&"a".repeat(MAX_TOKEN + 1)).is_err());
}

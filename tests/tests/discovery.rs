//! The discovery document says nothing that is not so: each claim is tried. A claim without a trial fails.

use std::collections::BTreeSet;

use portcullis_tests::jwt::Key;
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};
use serde_json::Value;

struct Lab {
    process: Process,
    /// Of the client `signs`.
    key: Key,
    _home: tempfile::TempDir,
}

impl Lab {
    fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> (u16, String, String) {
        let target = Target { address: self.process.https, tls: true };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:8443\r\n{fields}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, head, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
        (status, head.to_lowercase(), String::from_utf8_lossy(&body).into_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.send("GET", path, "", "")
    }

    fn authorize(&self, rest: &str) -> (u16, String, String) {
        self.get(&format!("/auth/oauth/v2/authorize?client_id=rp&redirect_uri=https%3A%2F%2Frp.example%2Fcb&{rest}"))
    }

    fn token(&self, fields: &str, body: &str) -> String {
        self.send("POST", "/auth/oauth/v2/token", fields, body).2
    }
}

/// The path of an address of the gateway; it is served.
fn served(lab: &Lab, value: &Value) -> String {
    let address = value.as_str().expect("an address");
    let path = address.strip_prefix("https://localhost:8443").unwrap_or_else(|| panic!("{address} is elsewhere"));
    let status = lab.get(path).0;
    assert_ne!(status, 404, "{address}");
    path.to_owned()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|word| word.as_str().expect("a text")).collect()
}

fn algorithms(lab: &Lab, value: &Value) {
    let set: Value = serde_json::from_str(&lab.get("/openid/connect/jwks.json").2).expect("JSON");
    let kinds: BTreeSet<String> = set["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| format!("{} {}", key["kty"].as_str().unwrap_or(""), key["crv"].as_str().unwrap_or("")).trim().to_owned())
        .collect();
    assert!(words(value).contains(&"RS256"), "every provider signs with RS256");
    for algorithm in words(value) {
        let kind = match algorithm {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => "RSA",
            "ES256" => "EC P-256",
            "ES384" => "EC P-384",
            "ES512" => "EC P-521",
            "EdDSA" => "OKP Ed25519",
            other => panic!("no key is known for {other}"),
        };
        assert!(kinds.contains(kind), "{algorithm}: {kinds:?}");
    }
}

/// The form with which the client `signs` authenticates.
fn assertion(lab: &Lab) -> String {
    let now = portcullis_tests::jwt::now();
    let claims =
        serde_json::json!({"iss": "signs", "sub": "signs", "aud": "https://localhost:8443", "jti": "1", "exp": now + 300});
    let token = portcullis_tests::jwt::signed(&serde_json::json!({"alg": "ES256"}), &claims, &lab.key).expect("a token");
    format!("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={token}")
}

fn tried(lab: &Lab, claim: &str, value: &Value) {
    match claim {
        "issuer" => {
            let (_, head, _) = lab.authorize("response_type=code&scope=openid&prompt=none");
            assert!(head.contains("iss=https%3a%2f%2flocalhost%3a8443"), "{head}");
            assert_eq!(value, "https://localhost:8443");
        }
        "authorization_endpoint" => assert_eq!(served(lab, value), "/auth/oauth/v2/authorize"),
        "token_endpoint" => assert_eq!(served(lab, value), "/auth/oauth/v2/token"),
        "userinfo_endpoint" => assert_eq!(lab.get(&served(lab, value)).0, 401),
        "jwks_uri" | "service_documentation" | "end_session_endpoint" => {
            assert_eq!(lab.get(&served(lab, value)).0, 200, "{value}")
        }
        "revocation_endpoint" => {
            let basic = "Authorization: Basic cnA6cnAtc2VjcmV0\r\n";
            assert_eq!(lab.send("POST", &served(lab, value), basic, "token=x").0, 200);
        }
        "registration_endpoint" => drop(served(lab, value)),
        "response_types_supported" => {
            for kind in words(value) {
                let (status, head, _) =
                    lab.authorize(&format!("response_type={}&scope=openid&nonce=n", kind.replace(' ', "%20")));
                assert_eq!(status, 200, "{kind}: {head}");
            }
            assert_ne!(lab.authorize("response_type=code%20id_token&scope=openid&nonce=n").0, 200, "one that is not listed");
        }
        "response_modes_supported" => {
            for mode in words(value) {
                let kind = if mode == "fragment" { "token" } else { "code" };
                let (status, head, _) = lab.authorize(&format!("response_type={kind}&response_mode={mode}&scope=openid"));
                assert_eq!(status, 200, "{mode}: {head}");
            }
        }
        "grant_types_supported" => {
            for grant in words(value).into_iter().filter(|grant| *grant != "implicit") {
                let answer = lab.token("Authorization: Basic cnA6cnAtc2VjcmV0\r\n", &format!("grant_type={grant}"));
                assert!(!answer.contains("unsupported_grant_type"), "{grant}: {answer}");
            }
        }
        "token_endpoint_auth_methods_supported" => {
            for method in words(value) {
                let grant = "grant_type=client_credentials&scope=email";
                let answer = match method {
                    "client_secret_basic" => lab.token("Authorization: Basic cnA6cnAtc2VjcmV0\r\n", grant),
                    "client_secret_post" => lab.token("", &format!("{grant}&client_id=rp&client_secret=rp-secret")),
                    // Whoever cannot authenticate still needs a code.
                    "none" => {
                        let answer = lab.token("", "grant_type=authorization_code&client_id=mobile&code=x");
                        assert!(answer.contains("invalid_grant"), "{answer}");
                        continue;
                    }
                    // tests/hostile_jwts.rs tries each algorithm.
                    "private_key_jwt" => {
                        let answer = lab.token("", &format!("{grant}&{}", assertion(lab)));
                        assert!(answer.contains("access_token"), "{answer}");
                        continue;
                    }
                    other => panic!("nobody knows how to try {other}"),
                };
                assert!(answer.contains("access_token"), "{method}: {answer}");
            }
        }
        "code_challenge_methods_supported" => {
            let challenge = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
            for method in words(value) {
                let (status, head, _) =
                    lab.authorize(&format!("response_type=code&scope=openid&{challenge}&code_challenge_method={method}"));
                assert_eq!(status, 200, "{method}: {head}");
            }
        }
        "id_token_signing_alg_values_supported" | "userinfo_signing_alg_values_supported" => algorithms(lab, value),
        "scopes_supported" => {
            for scope in words(value) {
                let (status, _, page) = lab.authorize(&format!("response_type=code&scope={scope}"));
                assert_eq!(status, 200, "{scope}: {page}");
            }
        }
        "display_values_supported" => {
            for display in words(value) {
                assert_eq!(lab.authorize(&format!("response_type=code&scope=openid&display={display}")).0, 200);
            }
        }
        "acr_values_supported" => {
            for class in words(value) {
                assert_eq!(lab.authorize(&format!("response_type=code&scope=openid&acr_values={class}")).0, 200);
            }
        }
        "ui_locales_supported" => {
            for locale in words(value) {
                let page = lab.authorize(&format!("response_type=code&scope=openid&ui_locales={locale}")).2;
                assert!(page.contains(&format!("lang=\"{locale}\"")), "{locale}: {page}");
            }
        }
        "claims_parameter_supported" => {
            let status = lab.authorize("response_type=code&scope=openid&claims=%7B%22userinfo%22%3A%7B%22name%22%3Anull%7D%7D").0;
            assert_eq!((value, status), (&Value::Bool(true), 200));
            assert_eq!(lab.authorize("response_type=code&scope=openid&claims=1").0, 302);
        }
        "request_parameter_supported" => {
            // The cases of `openid/request-object` go through signed ones.
            let (_, head, _) = lab.authorize("response_type=code&scope=openid&request=x.y.z");
            assert_eq!((value, head.contains("error=invalid_request_object")), (&Value::Bool(true), true), "{head}");
        }
        "request_uri_parameter_supported" => {
            let (_, head, _) = lab.authorize("response_type=code&scope=openid&request_uri=https%3A%2F%2Frp.example%2Fr");
            // As `require_request_uri_registration` says; the case `openid/request-uri` goes through a registered one.
            assert_eq!((value, head.contains("error=request_uri_not_supported")), (&Value::Bool(true), true), "{head}");
        }
        "authorization_response_iss_parameter_supported" => {
            let (_, head, _) = lab.authorize("response_type=code&scope=openid&prompt=none");
            assert_eq!((value, head.contains("iss=")), (&Value::Bool(true), true), "{head}");
        }
        // The cases of these names go through a whole login: openid/subjects, openid/userinfo, openid/code-flow.
        "subject_types_supported" => assert_eq!(words(value), ["pairwise", "public"]),
        "token_endpoint_auth_signing_alg_values_supported" => {
            assert_eq!(words(value), portcullis_tests::jwt::ALGORITHMS.map(|(name, _)| name));
        }
        // The case `openid/userinfo-encrypted` decrypts.
        "userinfo_encryption_alg_values_supported" => assert_eq!(words(value), ["RSA-OAEP", "RSA-OAEP-256"]),
        "userinfo_encryption_enc_values_supported" => {
            assert_eq!(words(value), ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]);
        }
        "request_object_signing_alg_values_supported" => assert!(words(value).contains(&"RS256")),
        // The cases `openid/back-channel-logout` and `openid/front-channel-logout` have clients that are told.
        "require_request_uri_registration"
        | "backchannel_logout_supported"
        | "backchannel_logout_session_supported"
        | "frontchannel_logout_supported"
        | "frontchannel_logout_session_supported" => {
            assert_eq!(value, &Value::Bool(true));
        }
        "claim_types_supported" => assert_eq!(words(value), ["normal"]),
        "claims_supported" => assert!(words(value).len() > 10),
        other => panic!("nobody tries `{other}`: add a trial"),
    }
}

#[test]
fn each_claim_of_the_discovery_document_is_true() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "{}");
    let key = Key::new("P-256").expect("a key");
    let custom = serde_json::json!({"openid_registration": {"response": {
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.jwk("a")]}
    }}})
    .to_string();
    for client in [
        &["--name", "Signs", "--client_id", "signs", "--client_key_custom", &custom][..],
        &["--name", "RP", "--client_id", "rp", "--client_secret", "rp-secret", "--callback", "https://rp.example/cb"][..],
        &["--name", "Mobile", "--client_id", "mobile", "--callback", "com.example.app:/cb", "--public"],
    ] {
        let fixed =
            ["client", "add", "--org", "Example", "--scope", "openid profile email address phone user_role offline_access"];
        let added = command(home.path(), &[&fixed[..], client].concat()).expect("a command");
        assert!(added.success, "{}", added.stderr);
    }
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let lab = Lab { process, key, _home: home };
    let (status, head, body) = lab.get("/.well-known/openid-configuration");
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(lab.get("/.well-known/oauth-authorization-server").2, body);
    let document: Value = serde_json::from_str(&body).expect("JSON");
    let claims = document.as_object().expect("an object");
    for (claim, value) in claims {
        if claim.ends_with("_endpoint") || claim.ends_with("_uri") {
            assert!(value.as_str().is_some_and(|address| address.starts_with("https://")), "{claim}");
        }
        tried(&lab, claim, value);
    }
    println!("{} claims of the discovery document are true", claims.len());
}

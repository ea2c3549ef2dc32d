//! Hostile tokens as client assertions and in the JWT bearer grant: none is accepted. Prints how many there were. `hostile_id_tokens` does
//! the same for id_tokens that come back.

use portcullis_tests::hostile::{ISSUER, Keys, Kind, Lure, Matrix};
use portcullis_tests::jwt::{ALGORITHMS, mac, now, raw, signed};
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, add_client};
use portcullis_tests::{block_on, put};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-thirty-two-characters";

const SETTINGS: &str = "customize \"OTK Storage Configuration\" {\n    set hash_stored_client_secrets = false\n}\n";

/// A partner whose tokens give tokens: the example of the extension, with all of its keys.
const PARTNER: &str = r#"extension "OTK id_token Validation - CUSTOM ISS" {
    ${payload.iss} == "https://partner.example"
    set partner_keys = text file "partner.jwks"
    DecodeJwt(
        source: ${id_token},
        algorithms: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
        key: ${partner_keys}, prefix: "jwt"
    )
    set sub = ${jwt.payload.sub}
    ${sub} is not empty
    set resource_owner = "partner-${sub}"
    set id_token.valid = true
}
"#;

/// Who takes tokens, and what is honest there.
struct Taker {
    name: &'static str,
    /// The claims of an honest token.
    claims: fn(usize) -> Value,
    kind: Kind,
    /// The form in which a token is sent.
    form: fn(&str) -> String,
}

const TAKERS: [Taker; 2] = [
    Taker {
        name: "client assertion",
        claims: |number| json!({"iss": "signs", "sub": "signs", "aud": ISSUER, "jti": format!("jti-{number}"), "iat": now(), "exp": now() + 300}),
        kind: Kind::Assertion,
        form: |token| {
            format!(
                "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
                 &client_assertion={token}"
            )
        },
    },
    Taker {
        name: "JWT bearer grant",
        claims: |_| json!({"iss": "https://partner.example", "sub": "ann", "aud": "web", "iat": now(), "exp": now() + 300}),
        kind: Kind::Grant,
        form: |token| {
            format!(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&client_id=web&client_secret={SECRET}&assertion={token}"
            )
        },
    },
];

struct Gateway {
    process: Process,
    _home: tempfile::TempDir,
}

impl Gateway {
    fn start(own: &Keys) -> Gateway {
        let home = tempfile::tempdir().expect("a folder");
        put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", SETTINGS);
        put(home.path(), "customizations/id_token/otk-id_token-validation-custom-iss-extension.policy", PARTNER);
        put(home.path(), "customizations/id_token/partner.jwks", &own.set().to_string());
        let process = Process::gateway(home.path(), &Start::default()).expect("a start");
        let metadata = |members: Value| json!({"openid_registration": {"response": members}}).to_string();
        for (id, custom) in [
            ("signs", metadata(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": own.set()}))),
            ("shares", metadata(json!({"token_endpoint_auth_method": "client_secret_jwt"}))),
            ("web", "{}".to_owned()),
        ] {
            let more = ["--client_secret", SECRET, "--scope", "READ", "--client_key_custom", &custom];
            add_client(home.path(), id, &more).expect("a client");
        }
        Gateway { process, _home: home }
    }

    async fn accepts(&self, form: &str) -> bool {
        let request = format!(
            "POST /auth/oauth/v2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        let target = Target { address: self.process.https, tls: true };
        match load::once(target, request.as_bytes()).await {
            Ok((status, _, body)) => {
                assert!(status < 500, "{status}: {}", String::from_utf8_lossy(&body));
                status == 200 && String::from_utf8_lossy(&body).contains("access_token")
            }
            // A body beyond the limit ends the connection.
            Err(_) => false,
        }
    }
}

#[test]
fn no_hostile_token_is_accepted() {
    let own = Keys::generate().expect("keys");
    let gateway = Gateway::start(&own);
    let lure = Lure::start().expect("a port");
    let (mut refused, mut accepted) = (0, 0);
    for taker in TAKERS {
        let mut matrix = Matrix::new(&own, &lure, taker.kind, &taker.claims).expect("tokens");
        let mut wrong = Vec::new();
        block_on(async {
            for (name, token) in &matrix.tokens {
                if gateway.accepts(&(taker.form)(token)).await {
                    wrong.push(name.as_str());
                }
            }
        });
        assert!(wrong.is_empty(), "{}: {} hostile tokens are accepted: {wrong:#?}", taker.name, wrong.len());
        println!("{}: {} hostile tokens, none accepted", taker.name, matrix.count());
        refused += matrix.count();

        // Clocks differ by ten seconds, and audiences have several names.
        let mut honest = matrix.honest().expect("tokens");
        for changed in [
            json!({"exp": now() - 10}),
            json!({"nbf": now() + 10}),
            json!({"iat": now() + 10}),
            json!({"iat": now() - 10}),
            json!({"aud": ["https://elsewhere.example", ISSUER]}),
        ] {
            honest.push(matrix.with(&changed).expect("a token"));
        }
        for token in honest {
            let form = (taker.form)(&token);
            assert!(block_on(gateway.accepts(&form)), "{}: {token} is refused\n{}", taker.name, gateway.process.log());
            accepted += 1;
            if taker.kind == Kind::Assertion {
                assert!(!block_on(gateway.accepts(&form)), "{}: {token} is accepted twice", taker.name);
                refused += 1;
            }
        }
    }
    assert_eq!(lure.came(), 0, "a header led to a call");
    println!("{refused} hostile tokens refused, {accepted} honest ones accepted");
    assert!(refused > 2000, "{refused}");
}

/// A client with a shared secret: its HMAC and nothing else.
#[test]
fn a_shared_secret_signs_for_its_own_client_only() {
    let own = Keys::generate().expect("keys");
    let gateway = Gateway::start(&own);
    let mut number = 0;
    let mut token = |client: &str, algorithm: &str, secret: &[u8]| {
        number += 1;
        let claims = json!({"iss": client, "sub": client, "aud": ISSUER, "jti": format!("s{number}"), "exp": now() + 300});
        let header = json!({"alg": algorithm}).to_string();
        raw(&header, claims.to_string(), |message| Ok(mac(algorithm, secret, message))).expect("a token")
    };
    let form = TAKERS[0].form;
    for algorithm in ["HS256", "HS384", "HS512"] {
        assert!(block_on(gateway.accepts(&form(&token("shares", algorithm, SECRET.as_bytes())))), "{algorithm}");
        for (client, secret) in
            [("shares", &b""[..]), ("shares", b"another-secret"), ("signs", SECRET.as_bytes()), ("web", SECRET.as_bytes())]
        {
            assert!(!block_on(gateway.accepts(&form(&token(client, algorithm, secret)))), "{client} {algorithm}");
        }
    }
    for (algorithm, kind) in ALGORITHMS {
        let claims = json!({"iss": "shares", "sub": "shares", "aud": ISSUER, "jti": algorithm, "exp": now() + 300});
        let token = signed(&json!({"alg": algorithm, "kid": kind}), &claims, own.of(kind)).expect("a token");
        assert!(!block_on(gateway.accepts(&form(&token))), "{algorithm}");
    }
}

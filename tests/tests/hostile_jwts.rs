//! Hostile tokens, generated: every algorithm with every kind of key, no signature, a public key as secret, headers that lead elsewhere,
//! claims that lie, dates that are past, forms that are none. Whoever takes JWTs from strangers must refuse all of them, and accept the
//! honest ones beside them. Prints how many there were.

use std::collections::HashSet;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use portcullis_tests::jwt::{ALGORITHMS, KINDS, Key, b64, mac, now, raw, signed};
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};
use serde_json::{Value, json};

const ISSUER: &str = "https://localhost:8443";
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
    /// Whether `jti` counts, and counts once.
    once: bool,
    /// The form in which a token is sent.
    form: fn(&str) -> String,
}

const TAKERS: [Taker; 2] = [
    Taker {
        name: "client assertion",
        claims: |number| json!({"iss": "signs", "sub": "signs", "aud": ISSUER, "jti": format!("jti-{number}"), "iat": now(), "exp": now() + 300}),
        once: true,
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
        once: false,
        form: |token| {
            format!(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&client_id=web&client_secret={SECRET}&assertion={token}"
            )
        },
    },
];

/// Keys of one party, by kind.
struct Keys(Vec<(&'static str, Key)>);

impl Keys {
    fn new() -> Keys {
        Keys(KINDS.iter().map(|kind| (*kind, Key::new(kind).expect("a key"))).collect())
    }

    fn of(&self, kind: &str) -> &Key {
        self.0.iter().find(|(own, _)| *own == kind).map(|(_, key)| key).expect("a key of that kind")
    }

    fn set(&self) -> Value {
        json!({"keys": self.0.iter().map(|(kind, key)| key.jwk(kind)).collect::<Vec<_>>()})
    }
}

/// The tokens, each with a name that says what is wrong.
struct Matrix<'k> {
    own: &'k Keys,
    foreign: Keys,
    /// A listener that must never be called.
    lure: String,
    claims: fn(usize) -> Value,
    number: usize,
    tokens: Vec<(String, String)>,
}

impl Matrix<'_> {
    fn claims(&mut self) -> Value {
        self.number += 1;
        (self.claims)(self.number)
    }

    fn add(&mut self, name: impl Into<String>, token: Result<String>) {
        self.tokens.push((name.into(), token.expect("a token")));
    }

    /// A token that is honest but for its header.
    fn header(&mut self, name: &str, header: Value) {
        let claims = self.claims();
        self.add(name, signed(&header, &claims, self.own.of("RSA")));
    }

    /// A token that is honest but for a claim.
    fn claim(&mut self, claim: &str, value: Option<Value>) {
        let name = format!("claim {claim}: {}", value.as_ref().map_or("absent".to_owned(), Value::to_string));
        let mut claims = self.claims();
        match value {
            Some(value) => claims[claim] = value,
            None => drop(claims.as_object_mut().expect("an object").remove(claim)),
        }
        self.add(name, signed(&json!({"alg": "RS256", "kid": "RSA"}), &claims, self.own.of("RSA")));
    }

    fn algorithms(&mut self) {
        let names = ALGORITHMS.iter().map(|(name, _)| *name).chain(["HS256", "HS384", "HS512"]);
        let odd = [
            "none",
            "None",
            "NONE",
            "nOnE",
            "",
            "hs256",
            "rs256",
            "RS1",
            "HS1",
            "RSA1_5",
            "RSA-OAEP",
            "dir",
            "A128KW",
            "PBES2-HS256+A128KW",
            "ES256K",
            "RS256 ",
            "unknown",
        ];
        for name in names.chain(odd) {
            for kind in KINDS {
                let fits = ALGORITHMS.contains(&(name, kind));
                let claims = self.claims();
                let (whose, keys) = if fits { ("another's", &self.foreign) } else { ("its own", self.own) };
                let token = signed(&json!({"alg": name, "kid": kind}), &claims, keys.of(kind));
                let unnamed = signed(&json!({"alg": name}), &claims, keys.of(kind));
                self.add(format!("alg `{name}` with {whose} {kind} key"), token);
                self.add(format!("the same without kid: `{name}`, {kind}"), unnamed);
                let elsewhere = signed(&json!({"alg": name, "kid": kind}), &claims, self.foreign.of(kind));
                self.add(format!("alg `{name}` with another's {kind} key"), elsewhere);
            }
        }
        for odd in [json!(null), json!(1), json!(["RS256"]), json!({"alg": "RS256"}), json!(true)] {
            self.header(&format!("alg {odd}"), json!({"alg": odd, "kid": "RSA"}));
        }
        self.header("no alg", json!({"kid": "RSA"}));
    }

    fn unsigned(&mut self) {
        for name in ["none", "None", "NONE", "RS256", "HS256", "ES256", "EdDSA"] {
            for kid in [None, Some("RSA"), Some("")] {
                let claims = self.claims();
                let header = match kid {
                    Some(kid) => json!({"alg": name, "kid": kid}),
                    None => json!({"alg": name}),
                };
                self.add(
                    format!("`{name}` with an empty signature"),
                    raw(&header.to_string(), claims.to_string(), |_| Ok(Vec::new())),
                );
                let bare = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
                self.add(format!("`{name}` of two parts"), Ok(bare));
            }
        }
        for (algorithm, kind, length) in [
            ("ES256", "P-256", 64),
            ("ES384", "P-384", 96),
            ("ES512", "P-521", 132),
            ("EdDSA", "Ed25519", 64),
            ("RS256", "RSA", 256),
        ] {
            for byte in [0, 1, 255] {
                let (claims, header) = (self.claims(), json!({"alg": algorithm, "kid": kind}).to_string());
                self.add(
                    format!("{algorithm}: a signature of {byte}"),
                    raw(&header, claims.to_string(), |_| Ok(vec![byte; length])),
                );
            }
        }
        let claims = self.claims();
        let token =
            raw(r#"{"alg":"ES256","kid":"P-256"}"#, claims.to_string(), |message| self.own.of("P-256").sign_asn1(message));
        self.add("ES256 with a signature in ASN.1", token);
    }

    /// What everybody knows serves as the secret of an HMAC.
    fn public_as_secret(&mut self) {
        let mut secrets: Vec<Vec<u8>> =
            [&b""[..], b"\0", b"RSA", b"signs", b"web", b"null", b"secret", ISSUER.as_bytes()].map(<[u8]>::to_vec).to_vec();
        secrets.push(self.own.set().to_string().into_bytes());
        for (kind, key) in &self.own.0 {
            let (der, pem) = key.spki().expect("a public key");
            secrets.extend([der, pem.clone().into_bytes(), pem.trim_end().as_bytes().to_vec()]);
            let jwk = key.jwk(kind);
            secrets.push(jwk.to_string().into_bytes());
            secrets.extend(["n", "x", "y"].iter().filter_map(|name| Some(jwk[*name].as_str()?.as_bytes().to_vec())));
        }
        for secret in secrets {
            for algorithm in ["HS256", "HS384", "HS512"] {
                for kid in ["RSA", "P-256", ""] {
                    let (claims, header) = (self.claims(), json!({"alg": algorithm, "kid": kid}).to_string());
                    let token = raw(&header, claims.to_string(), |message| Ok(mac(algorithm, &secret, message)));
                    self.add(format!("{algorithm} with a public value of {} bytes, kid `{kid}`", secret.len()), token);
                }
            }
        }
    }

    /// A header must not say where the key is.
    fn elsewhere(&mut self) {
        let jwk = self.foreign.of("RSA").jwk("RSA");
        let lure = self.lure.clone();
        let hints = [
            json!({"jwk": jwk}),
            json!({"jku": format!("{lure}/jwks")}),
            json!({"x5u": format!("{lure}/x5u")}),
            json!({"x5c": ["AAAA"]}),
            json!({"x5t": "AAAA"}),
            json!({"jku": format!("{lure}/jwks"), "jwk": jwk, "x5u": format!("{lure}/x5u")}),
        ];
        let kids = [
            json!("RSA"),
            json!(""),
            json!("../../../../dev/null"),
            json!("/proc/sys/kernel/randomize_va_space"),
            json!("' or '1'='1"),
            json!("x' union select 'AAAA"),
            json!("${iss}"),
            json!("$(id)"),
            json!("a\u{0}b"),
            json!(lure),
            json!(1),
            json!(null),
            json!(["RSA"]),
            json!({"$ne": null}),
            json!("k".repeat(3000)),
            json!("file:///dev/null"),
        ];
        for (index, hint) in hints.iter().enumerate() {
            for kid in &kids {
                let mut header = json!({"alg": "RS256", "kid": kid});
                header.as_object_mut().expect("an object").extend(hint.as_object().expect("an object").clone());
                let claims = self.claims();
                self.add(format!("hint {index}, kid {kid}, another's key"), signed(&header, &claims, self.foreign.of("RSA")));
            }
        }
        for kid in kids {
            for secret in [&b""[..], b"2\n", b"AAAA"] {
                let (claims, header) = (self.claims(), json!({"alg": "HS256", "kid": kid}).to_string());
                self.add(
                    format!("kid {kid}, HMAC"),
                    raw(&header, claims.to_string(), |message| Ok(mac("HS256", secret, message))),
                );
            }
        }
    }

    /// Extensions that must be understood, members that come twice, headers that are none; all with a right signature.
    fn forms(&mut self) {
        for crit in [json!(["exp"]), json!(["unknown"]), json!(["b64"]), json!([]), json!("exp"), json!(null), json!([1])] {
            self.header(
                &format!("crit {crit}"),
                json!({"alg": "RS256", "kid": "RSA", "crit": crit, "unknown": 1, "exp": 1, "b64": true}),
            );
        }
        self.header("b64 false", json!({"alg": "RS256", "kid": "RSA", "crit": ["b64"], "b64": false}));
        let sign = |header: &str, payload: &str, key: &Key| raw(header, payload, |message| key.sign("RS256", message));
        for header in [
            r#"{"alg":"RS256","alg":"none","kid":"RSA"}"#,
            r#"{"alg":"none","alg":"RS256","kid":"RSA"}"#,
            r#"{"alg":"RS256","kid":"x","kid":"RSA"}"#,
            r#"{"alg":"RS256","\u0061lg":"RS256","kid":"RSA"}"#,
            r#"["RS256"]"#,
            r#""RS256""#,
            "",
            "null",
            "{",
            r#"{"alg":"RS256","kid":"RSA"} x"#,
        ] {
            let claims = self.claims().to_string();
            self.add(format!("header {header}"), sign(header, &claims, self.own.of("RSA")));
        }
        let header = r#"{"alg":"RS256","kid":"RSA"}"#;
        for name in ["iss", "sub", "aud", "exp"] {
            for first in [r#""x""#, "1", "null"] {
                let claims = self.claims();
                let inside = claims.to_string();
                let twice = [
                    format!("{{\"{name}\":{first},{}", &inside[1..]),
                    format!("{},\"{name}\":{first}}}", &inside[..inside.len() - 1]),
                ];
                for payload in twice {
                    self.add(format!("{name} twice: {first}"), sign(header, &payload, self.own.of("RSA")));
                }
            }
        }
        let claims = self.claims().to_string();
        for payload in [
            format!("[{claims}]"),
            format!("\"{}\"", b64(&claims)),
            String::new(),
            "null".to_owned(),
            format!("{claims}x"),
            "{".repeat(4000),
        ] {
            self.add(format!("payload {:.20}", payload), sign(header, &payload, self.own.of("RSA")));
        }
        self.add(
            "payload that is no UTF-8",
            raw(header, b"{\"iss\":\"\xff\"}", |message| self.own.of("RSA").sign("RS256", message)),
        );
    }

    /// Texts that only look like tokens.
    fn shapes(&mut self) {
        let claims = self.claims();
        let key = self.own.of("RSA");
        let header = json!({"alg": "RS256", "kid": "RSA"});
        let token = signed(&header, &claims, key).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let (head, body, signature) = (parts[0], parts[1], parts[2]);
        for (name, text) in [
            ("four parts", format!("{token}.{signature}")),
            ("an empty part before", format!(".{token}")),
            ("an empty part after", format!("{token}.")),
            ("no header", format!(".{body}.{signature}")),
            ("no payload", format!("{head}..{signature}")),
            ("padding", format!("{head}.{body}.{signature}%3D%3D")),
            ("a cut signature", format!("{head}.{body}.{}", &signature[..signature.len() - 4])),
            ("a longer signature", format!("{head}.{body}.{signature}AAAA")),
            ("a line break inside", format!("{head}.%0A{body}.{signature}")),
            ("a NUL inside", format!("{head}.{body}%00.{signature}")),
            ("another payload", format!("{head}.{}.{signature}", b64(json!({"iss": "signs", "sub": "signs"}).to_string()))),
            ("another header", format!("{}.{body}.{signature}", b64(r#"{"alg":"RS384","kid":"RSA"}"#))),
            (
                "JSON serialization",
                format!(
                    "%7B%22payload%22%3A%22{body}%22%2C%22protected%22%3A%22{head}%22%2C%22signature%22%3A%22{signature}%22%7D"
                ),
            ),
            ("not a token", "x".to_owned()),
            ("dots", "..".to_owned()),
            ("four dots", "....".to_owned()),
        ] {
            self.tokens.push((name.to_owned(), text));
        }
        for length in [9_000, 60_000, 300_000, 3_000_000] {
            let mut claims = self.claims();
            claims["filler"] = json!("f".repeat(length));
            if self.number > 0 && (length > 8_000) {
                self.add(
                    format!("{length} bytes more"),
                    signed(&json!({"alg": "RS256", "kid": "RSA"}), &claims, self.own.of("RSA")),
                );
            }
        }
        let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
        let claims = self.claims().to_string();
        let payload = format!("{},\"deep\":{deep}}}", &claims[..claims.len() - 1]);
        self.add("deep", raw(&header.to_string(), payload, |message| self.own.of("RSA").sign("RS256", message)));
        // A token in a token: the outer one says nothing.
        self.add(
            "nested",
            raw(r#"{"alg":"RS256","kid":"RSA","cty":"JWT"}"#, &token, |message| self.own.of("RSA").sign("RS256", message)),
        );
        self.add("nested, outer unsigned", raw(r#"{"alg":"none","cty":"JWT"}"#, &token, |_| Ok(Vec::new())));
        for header in [
            json!({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
            json!({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "RSA"}),
            json!({"alg": "dir", "enc": "A128CBC-HS256"}),
            json!({"alg": "dir", "enc": "none"}),
            json!({"alg": "RSA-OAEP", "enc": "A128GCM", "zip": "DEF"}),
            json!({"alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", "p2c": 2_000_000_000, "p2s": "AAAA"}),
            json!({"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 1, "p2s": ""}),
            json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": {}}),
            json!({"alg": "A128KW", "enc": "A128GCM"}),
            json!({"alg": "none", "enc": "none"}),
        ] {
            let text = [b64(header.to_string()), b64([1; 256]), b64([2; 16]), b64(&token), b64([3; 16])].join(".");
            self.tokens.push((format!("encrypted: {header}"), text));
        }
    }

    fn lies(&mut self, once: bool) {
        let absent = [json!(null), json!(""), json!([]), json!({}), json!(1), json!(true), json!("nobody"), json!(["signs"])];
        for value in &absent {
            self.claim("iss", Some(value.clone()));
            // A number counts as its text, and any text is a name, where the issuer decides about names.
            if once || !matches!(value, Value::Number(_)) && *value != json!("nobody") {
                self.claim("sub", Some(value.clone()));
            }
        }
        for value in [
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!(1),
            json!("https://elsewhere.example"),
            json!("https://localhost:8443.evil.example"),
            json!("https://localhost"),
            json!("https://localhost:8443 "),
            json!("https://LOCALHOST:8443"),
            json!(["https://elsewhere.example"]),
            json!([["https://localhost:8443"]]),
            json!({"aud": ISSUER}),
            json!("other"),
            json!("http://localhost:8443"),
            json!("*"),
        ] {
            self.claim("aud", Some(value));
        }
        for claim in ["iss", "sub", "aud", "exp"] {
            self.claim(claim, None);
        }
        for wrong in [
            json!(now() - 60),
            json!(now() - 3600),
            json!(0),
            json!(-1),
            json!("9999999999"),
            json!(null),
            json!([]),
            json!(1e30),
            json!(true),
            json!({}),
        ] {
            self.claim("exp", Some(wrong));
        }
        for wrong in [json!(now() + 60), json!(now() + 3600), json!("0"), json!(1e30), json!([])] {
            self.claim("nbf", Some(wrong));
        }
        if once {
            for wrong in [json!(now() + 60), json!("0"), json!(1e30)] {
                self.claim("iat", Some(wrong));
            }
            self.claim("exp", Some(json!(now() + 10 * 86400)));
            for wrong in [json!(null), json!(""), json!(1), json!([]), json!({}), json!("j".repeat(600))] {
                self.claim("jti", Some(wrong));
            }
            self.claim("jti", None);
            for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "jwe"] {
                self.header(&format!("typ {typ}"), json!({"alg": "RS256", "kid": "RSA", "typ": typ}));
            }
            for typ in [json!(1), json!(["JWT"])] {
                self.header(&format!("typ {typ}"), json!({"alg": "RS256", "kid": "RSA", "typ": typ}));
            }
        }
    }
}

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
            let words = [
                "client",
                "add",
                "--name",
                id,
                "--org",
                "Tests",
                "--client_id",
                id,
                "--client_secret",
                SECRET,
                "--scope",
                "READ",
            ];
            let said = command(home.path(), &[&words[..], &["--client_key_custom", &custom]].concat()).expect("a command");
            assert!(said.success, "{}{}", said.stdout, said.stderr);
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
    let own = Keys::new();
    let gateway = Gateway::start(&own);
    let lure = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", lure.local_addr().expect("an address"));
    let lured = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lured);
    std::thread::spawn(move || {
        for stream in lure.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.map(|mut stream| stream.read(&mut [0; 16]));
        }
    });
    let (mut refused, mut accepted) = (0, 0);
    for taker in TAKERS {
        let mut matrix =
            Matrix { own: &own, foreign: Keys::new(), lure: url.clone(), claims: taker.claims, number: 0, tokens: Vec::new() };
        matrix.algorithms();
        matrix.unsigned();
        matrix.public_as_secret();
        matrix.elsewhere();
        matrix.forms();
        matrix.shapes();
        matrix.lies(taker.once);
        let mut wrong = Vec::new();
        block_on(async {
            for (name, token) in &matrix.tokens {
                if gateway.accepts(&(taker.form)(token)).await {
                    wrong.push(name.as_str());
                }
            }
        });
        assert!(wrong.is_empty(), "{}: {} hostile tokens are accepted: {wrong:#?}", taker.name, wrong.len());
        let different: HashSet<&str> = matrix.tokens.iter().map(|(_, token)| token.as_str()).collect();
        println!("{}: {} hostile tokens, none accepted", taker.name, different.len());
        refused += different.len();

        // The honest ones beside them: every algorithm with its key, and clocks that differ by ten seconds.
        let mut honest = Vec::new();
        let mut number = matrix.number;
        let mut fresh = || {
            number += 1;
            (taker.claims)(number)
        };
        for (algorithm, kind) in ALGORITHMS {
            honest.push((json!({"alg": algorithm, "kid": kind}), fresh(), kind));
            honest.push((json!({"alg": algorithm, "typ": "JWT"}), fresh(), kind));
        }
        for (claim, difference) in [("exp", -10), ("nbf", 10), ("iat", 10), ("iat", -10)] {
            let mut claims = fresh();
            claims[claim] = json!(now() + difference);
            honest.push((json!({"alg": "RS256", "kid": "RSA"}), claims, "RSA"));
        }
        let mut claims = fresh();
        claims["aud"] = json!(["https://elsewhere.example", ISSUER]);
        honest.push((json!({"alg": "RS256", "kid": "RSA"}), claims, "RSA"));
        for (header, claims, kind) in honest {
            let token = signed(&header, &claims, own.of(kind)).expect("a token");
            let form = (taker.form)(&token);
            assert!(block_on(gateway.accepts(&form)), "{}: {header} {claims} is refused\n{}", taker.name, gateway.process.log());
            accepted += 1;
            if taker.once {
                assert!(!block_on(gateway.accepts(&form)), "{}: {header} {claims} is accepted twice", taker.name);
                refused += 1;
            }
        }
    }
    assert_eq!(lured.load(Ordering::SeqCst), 0, "a header led to a call");
    println!("{refused} hostile tokens refused, {accepted} honest ones accepted");
    assert!(refused > 2000, "{refused}");
}

/// A client with a shared secret: its HMAC and nothing else.
#[test]
fn a_shared_secret_signs_for_its_own_client_only() {
    let own = Keys::new();
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

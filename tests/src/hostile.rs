//! Hostile tokens, generated: every algorithm with every kind of key, no signature, a public key as secret, headers that lead elsewhere,
//! claims that lie, dates that are past, forms that are none. Whoever takes JWTs from strangers must refuse all of them, and accept the
//! honest ones beside them.

use std::collections::HashSet;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::jwt::{ALGORITHMS, KINDS, Key, b64, mac, now, raw, signed};

/// The gateway's name in tokens.
pub const ISSUER: &str = "https://localhost:8443";

/// Keys of one party.
pub struct Keys(Vec<Named>);

/// A key of one of the [`KINDS`], and the name that it is published under.
struct Named {
    kind: &'static str,
    kid: String,
    key: Key,
}

impl Keys {
    /// New keys, one of each kind, named by it.
    pub fn generate() -> Result<Keys> {
        let named = |kind: &&'static str| Ok(Named { kind, kid: (*kind).to_owned(), key: Key::new(kind)? });
        KINDS.iter().map(named).collect::<Result<_>>().map(Keys)
    }

    /// The keys with which a gateway signs id_tokens, from its home, named as its key set names them.
    pub fn of_gateway(home: &Path, published: &Value) -> Result<Keys> {
        let files = [
            ("RSA", "id_token_rsa"),
            ("P-256", "id_token_p256"),
            ("P-384", "id_token_p384"),
            ("P-521", "id_token_p521"),
            ("Ed25519", "id_token_ed25519"),
        ];
        let named = |(kind, alias): (&'static str, &str)| {
            let pem = std::fs::read_to_string(home.join(format!("keys/{alias}.key.pem")))?;
            let key = Key::read(kind, &pem)?;
            let own = key.jwk("");
            let keys = published["keys"].as_array().context("no key set")?;
            let same = |other: &&Value| ["n", "x"].iter().all(|part| own[*part] == other[*part]);
            let kid = keys.iter().find(same).and_then(|key| key["kid"].as_str()).with_context(|| format!("no {alias} in it"))?;
            Ok(Named { kind, kid: kid.to_owned(), key })
        };
        files.into_iter().map(named).collect::<Result<_>>().map(Keys)
    }

    fn named(&self, kind: &str) -> &Named {
        self.0.iter().find(|named| named.kind == kind).unwrap_or_else(|| panic!("no key of kind {kind}"))
    }

    /// The key of a kind.
    pub fn of(&self, kind: &str) -> &Key {
        &self.named(kind).key
    }

    /// Its name.
    pub fn kid(&self, kind: &str) -> &str {
        &self.named(kind).kid
    }

    /// The public halves.
    pub fn set(&self) -> Value {
        json!({"keys": self.0.iter().map(|named| named.key.jwk(&named.kid)).collect::<Vec<_>>()})
    }
}

/// Which claims of a token count where it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client assertion: all, and once.
    Assertion,
    /// A grant: the issuer decides about names.
    Grant,
    /// An id_token of the gateway.
    IdToken,
    /// The same, also after it has expired.
    Hint,
}

/// The tokens, each with a name that says what is wrong.
pub struct Matrix<'k> {
    own: &'k Keys,
    foreign: Keys,
    /// A listener that must never be called.
    lure: String,
    claims: &'k dyn Fn(usize) -> Value,
    kind: Kind,
    number: usize,
    /// Name and token.
    pub tokens: Vec<(String, String)>,
}

/// Someone who counts who comes, at an address that a header names.
pub struct Lure {
    /// Its URL.
    pub url: String,
    came: Arc<AtomicUsize>,
}

impl Lure {
    /// Listens.
    pub fn start() -> Result<Lure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("https://{}", listener.local_addr()?);
        let came = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.map(|mut stream| stream.read(&mut [0; 16]));
            }
        });
        Ok(Lure { url, came })
    }

    /// How many came.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

impl<'k> Matrix<'k> {
    /// All of them, for somebody who takes tokens of `own` with such claims.
    pub fn new(own: &'k Keys, lure: &Lure, kind: Kind, claims: &'k dyn Fn(usize) -> Value) -> Result<Matrix<'k>> {
        let foreign = Keys::generate()?;
        let mut matrix = Matrix { own, foreign, lure: lure.url.clone(), claims, kind, number: 0, tokens: Vec::new() };
        matrix.algorithms();
        matrix.unsigned();
        matrix.public_as_secret();
        matrix.elsewhere();
        matrix.forms();
        matrix.shapes();
        matrix.lies();
        Ok(matrix)
    }

    /// How many different ones there are.
    pub fn count(&self) -> usize {
        self.tokens.iter().map(|(_, token)| token.as_str()).collect::<HashSet<_>>().len()
    }

    /// The honest ones beside them: every algorithm with its key, named and not.
    pub fn honest(&mut self) -> Result<Vec<String>> {
        let mut honest = Vec::new();
        for (algorithm, kind) in ALGORITHMS {
            for header in [json!({"alg": algorithm, "kid": self.own.kid(kind)}), json!({"alg": algorithm, "typ": "JWT"})] {
                let claims = self.claims();
                honest.push(signed(&header, &claims, self.own.of(kind))?);
            }
        }
        Ok(honest)
    }

    /// An honest token of a fresh number, but for some claims.
    pub fn with(&mut self, changed: &Value) -> Result<String> {
        let mut claims = self.claims();
        if let (Some(claims), Some(changed)) = (claims.as_object_mut(), changed.as_object()) {
            claims.extend(changed.clone());
        }
        signed(&json!({"alg": "RS256", "kid": self.own.kid("RSA")}), &claims, self.own.of("RSA"))
    }

    fn claims(&mut self) -> Value {
        self.number += 1;
        (self.claims)(self.number)
    }

    fn add(&mut self, name: impl Into<String>, token: Result<String>) {
        self.tokens.push((name.into(), token.unwrap_or_else(|error| panic!("{error}"))));
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
            None => drop(claims.as_object_mut().map(|claims| claims.remove(claim))),
        }
        self.add(name, signed(&json!({"alg": "RS256", "kid": self.own.kid("RSA")}), &claims, self.own.of("RSA")));
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
                let token = signed(&json!({"alg": name, "kid": self.own.kid(kind)}), &claims, keys.of(kind));
                let unnamed = signed(&json!({"alg": name}), &claims, keys.of(kind));
                self.add(format!("alg `{name}` with {whose} {kind} key"), token);
                self.add(format!("the same without kid: `{name}`, {kind}"), unnamed);
                let elsewhere = signed(&json!({"alg": name, "kid": self.own.kid(kind)}), &claims, self.foreign.of(kind));
                self.add(format!("alg `{name}` with another's {kind} key"), elsewhere);
            }
        }
        for odd in [json!(null), json!(1), json!(["RS256"]), json!({"alg": "RS256"}), json!(true)] {
            self.header(&format!("alg {odd}"), json!({"alg": odd, "kid": self.own.kid("RSA")}));
        }
        self.header("no alg", json!({"kid": self.own.kid("RSA")}));
    }

    fn unsigned(&mut self) {
        for name in ["none", "None", "NONE", "RS256", "HS256", "ES256", "EdDSA"] {
            for kid in [None, Some(self.own.kid("RSA")), Some("")] {
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
                let (claims, header) = (self.claims(), json!({"alg": algorithm, "kid": self.own.kid(kind)}).to_string());
                self.add(
                    format!("{algorithm}: a signature of {byte}"),
                    raw(&header, claims.to_string(), |_| Ok(vec![byte; length])),
                );
            }
        }
        let claims = self.claims();
        let token = raw(&json!({"alg": "ES256", "kid": self.own.kid("P-256")}).to_string(), claims.to_string(), |message| {
            self.own.of("P-256").sign_asn1(message)
        });
        self.add("ES256 with a signature in ASN.1", token);
    }

    /// What everybody knows serves as the secret of an HMAC.
    fn public_as_secret(&mut self) {
        let mut secrets: Vec<Vec<u8>> =
            [&b""[..], b"\0", b"RSA", b"signs", b"web", b"null", b"secret", ISSUER.as_bytes()].map(<[u8]>::to_vec).to_vec();
        secrets.push(self.own.set().to_string().into_bytes());
        for Named { kid, key, .. } in &self.own.0 {
            let (der, pem) = key.spki().unwrap_or_else(|error| panic!("{error}"));
            secrets.extend([der, pem.clone().into_bytes(), pem.trim_end().as_bytes().to_vec()]);
            let jwk = key.jwk(kid);
            secrets.push(jwk.to_string().into_bytes());
            secrets.extend(["n", "x", "y"].iter().filter_map(|name| Some(jwk[*name].as_str()?.as_bytes().to_vec())));
        }
        for secret in secrets {
            for algorithm in ["HS256", "HS384", "HS512"] {
                for kid in [self.own.kid("RSA"), self.own.kid("P-256"), ""] {
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
            json!(self.own.kid("RSA")),
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
            json!([self.own.kid("RSA")]),
            json!({"$ne": null}),
            json!("k".repeat(3000)),
            json!("file:///dev/null"),
        ];
        for (index, hint) in hints.iter().enumerate() {
            for kid in &kids {
                let mut header = json!({"alg": "RS256", "kid": kid});
                if let (Some(header), Some(hint)) = (header.as_object_mut(), hint.as_object()) {
                    header.extend(hint.clone());
                }
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
                json!({"alg": "RS256", "kid": self.own.kid("RSA"), "crit": crit, "unknown": 1, "exp": 1, "b64": true}),
            );
        }
        self.header("b64 false", json!({"alg": "RS256", "kid": self.own.kid("RSA"), "crit": ["b64"], "b64": false}));
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
            let header = header.replace("RSA", self.own.kid("RSA"));
            let claims = self.claims().to_string();
            self.add(format!("header {header}"), sign(&header, &claims, self.own.of("RSA")));
        }
        let header = &json!({"alg": "RS256", "kid": self.own.kid("RSA")}).to_string();
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
        let header = json!({"alg": "RS256", "kid": self.own.kid("RSA")});
        let token = signed(&header, &claims, key).unwrap_or_else(|error| panic!("{error}"));
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
            (
                "another header",
                format!("{}.{body}.{signature}", b64(json!({"alg": "RS384", "kid": self.own.kid("RSA")}).to_string())),
            ),
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
                    signed(&json!({"alg": "RS256", "kid": self.own.kid("RSA")}), &claims, self.own.of("RSA")),
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
            raw(&json!({"alg": "RS256", "kid": self.own.kid("RSA"), "cty": "JWT"}).to_string(), &token, |message| {
                self.own.of("RSA").sign("RS256", message)
            }),
        );
        self.add("nested, outer unsigned", raw(r#"{"alg":"none","cty":"JWT"}"#, &token, |_| Ok(Vec::new())));
        for header in [
            json!({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
            json!({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": self.own.kid("RSA")}),
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

    fn lies(&mut self) {
        let absent = [json!(null), json!(""), json!([]), json!({}), json!(1), json!(true), json!("nobody"), json!(["signs"])];
        for value in &absent {
            self.claim("iss", Some(value.clone()));
            // A number counts as its text, and any text is a name, where the issuer decides about names.
            if self.kind == Kind::Assertion || !matches!(value, Value::Number(_)) && *value != json!("nobody") {
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
        let hint = self.kind == Kind::Hint;
        let no_dates = [json!("9999999999"), json!(null), json!([]), json!(1e30), json!(true), json!({})];
        let past = [json!(now() - 60), json!(now() - 3600), json!(0), json!(-1)];
        for wrong in no_dates.iter().chain(past.iter().filter(|_| !hint)) {
            self.claim("exp", Some(wrong.clone()));
        }
        if matches!(self.kind, Kind::Assertion | Kind::Grant) {
            for wrong in [json!(now() + 60), json!(now() + 3600), json!("0"), json!(1e30), json!([])] {
                self.claim("nbf", Some(wrong));
            }
        } else {
            // Tokens of the gateway for something else: a logout token, a signed userinfo answer.
            self.claim("events", Some(json!({"http://schemas.openid.net/event/backchannel-logout": {}})));
            for wrong in no_dates {
                self.claim("iat", Some(wrong));
            }
            self.claim("iat", None);
        }
        if self.kind == Kind::Assertion {
            for wrong in [json!(now() + 60), json!("0"), json!(1e30)] {
                self.claim("iat", Some(wrong));
            }
            self.claim("exp", Some(json!(now() + 10 * 86400)));
            for wrong in [json!(null), json!(""), json!(1), json!([]), json!({}), json!("j".repeat(600))] {
                self.claim("jti", Some(wrong));
            }
            self.claim("jti", None);
        }
        if self.kind != Kind::Grant {
            for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "jwe"] {
                self.header(&format!("typ {typ}"), json!({"alg": "RS256", "kid": self.own.kid("RSA"), "typ": typ}));
            }
            for typ in [json!(1), json!(["JWT"])] {
                self.header(&format!("typ {typ}"), json!({"alg": "RS256", "kid": self.own.kid("RSA"), "typ": typ}));
            }
        }
    }
}

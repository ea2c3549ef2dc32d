//! `EncodeJwt`: signed and encrypted tokens.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use serde_json::Value as Json;

use super::JWT_ALGORITHMS;
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{Fault, HELD, Verdict, falsified};
use crate::services::jose::content::Encryption;
use crate::services::jose::jwe::{Management, Recipient, seal};
use crate::services::jose::select::{Use, keys};
use crate::services::jose::{Header, Refusal, jws};
use crate::services::keys::{Algorithm, Family, Material, PublicKey, sign_with_secret};

static SPEC: Spec = Spec {
    name: "EncodeJwt",
    category: "crypto",
    summary: "Signs a token (JWS) or encrypts one (JWE), in compact form. For a token that is both, sign first, then encrypt \
              the signed token.",
    props: &[
        Prop::required("payload", Kind::Value, "Its content: JSON, or any text, such as a signed token to encrypt."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the token."),
        Prop::required(
            "algorithm",
            Kind::OneOf(JWT_ALGORITHMS),
            "How it is signed (HS, RS, PS, ES, EdDSA), or how the key to its content is found (`dir`, RSA-OAEP).",
        ),
        Prop::optional("encryption", Kind::OneOf(Encryption::NAMES), Literal::Text("A128CBC-HS256"), "How content is encrypted, if it is."),
        Prop::absent("secret", Kind::Text, "Shared secret: for HS algorithms any text, for `dir` one as long as the \
            encryption's key."),
        Prop::absent("alias", Kind::Key, "Key of the gateway's key store, to sign with or to encrypt for; may be an expression."),
        Prop::absent("key", Kind::Value, "JWK, JWK set, certificate or public key to encrypt for; or a JWK of kind `oct` as \
            shared secret."),
        Prop::absent("headers", Kind::Object, "Further header members; they replace the usual `typ` and `kid`. Empty ones are \
                                               left out."),
    ],
    sets: &[sets("{target}", "the token")],
    fails: &[
        "the payload is undefined, or the algorithm unknown",
        "no key was given that fits the algorithm (an unknown alias is a fault of the configuration)",
    ],
    examples: &[
        example(
            "signed with a shared secret",
            r#"EncodeJwt(payload: json { "sub": "ann" }, algorithm: "HS256", secret: "a secret of 32 characters or more", target: "t")"#,
            Expect::Sets(
                "t",
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.0qiDQ1cxIkmI2suR4VqTOEcJ31iAinUQAzCQSGMVISo",
            ),
        ),
        example(
            "signed with a key of the gateway, then encrypted",
            "EncodeJwt(payload: json { \"sub\": \"ann\" }, algorithm: \"ES256\", alias: \"ec\", target: \"token\")\n\
             EncodeJwt(payload: ${token}, algorithm: \"dir\", secret: \"0123456789abcdef0123456789abcdef\", target: \"token\")",
            Expect::Holds,
        ),
        example("no key", r#"EncodeJwt(payload: json {}, algorithm: "HS256", secret: "", target: "token")"#, Expect::Fails),
    ],
    also: &["Encode Json Web Token"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if !p.has("secret") && !p.has("alias") && !p.has("key") {
            return Err(p.refuse("algorithm", "a key must be given: `secret`, `alias` or `key`"));
        }
        Runnable::sync(EncodeJwt {
            payload: p.value("payload"),
            target: p.target("target")?,
            algorithm: p.value("algorithm"),
            encryption: p.value("encryption"),
            secret: p.optional("secret"),
            alias: p.optional("alias"),
            key: p.optional("key"),
            headers: p.optional("headers"),
        })
    },
};

struct EncodeJwt {
    payload: Expr,
    target: Slot,
    algorithm: Expr,
    encryption: Expr,
    secret: Option<Expr>,
    alias: Option<Expr>,
    key: Option<Expr>,
    headers: Option<Expr>,
}

/// Why there is no token: a refusal or a fault.
enum Failed {
    Refused(Refusal),
    Broken(Fault),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

impl Assertion for EncodeJwt {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        match self.encode(ctx) {
            Ok(token) => {
                ctx.set(self.target, token);
                HELD
            }
            Err(Failed::Refused(reason)) => falsified(reason),
            Err(Failed::Broken(fault)) => Err(fault),
        }
    }
}

impl EncodeJwt {
    fn encode(&self, ctx: &Ctx) -> Result<String, Failed> {
        let payload = self.payload.eval(ctx);
        if payload.is_undefined() {
            return Err("the payload is undefined".into());
        }
        let payload = super::bytes(&payload);
        let name = self.algorithm.text(ctx);
        if let Some(algorithm) = Algorithm::parse(&name) {
            return self.sign(ctx, algorithm, &payload);
        }
        match Management::parse(&name) {
            Some(management) => self.encrypt(ctx, management, &payload),
            None => Err("the algorithm is not known".into()),
        }
    }

    fn sign(&self, ctx: &Ctx, algorithm: Algorithm, payload: &[u8]) -> Result<String, Failed> {
        if algorithm.family() == Family::Hmac {
            let secret = self.shared(ctx, &Header::new())?;
            let header = self.header(ctx, &[("alg", algorithm.name())]);
            return jws::sign(&header, payload, |input| {
                sign_with_secret(algorithm, &secret, input).ok_or(Failed::Refused("the secret does not sign"))
            });
        }
        let alias = self.alias(ctx).ok_or("the algorithm needs a key of the gateway, given as `alias`")?;
        let key = ctx.services().keys.key(&alias).ok_or_else(|| unknown(ctx, &alias))?;
        if key.public.family() != algorithm.family() {
            return Err("the key is of another kind than the algorithm's".into());
        }
        let header = self.header(ctx, &[("alg", algorithm.name()), ("kid", &key.kid)]);
        jws::sign(&header, payload, |input| key.sign(algorithm, input).map_err(|error| Failed::Broken(error.into())))
    }

    fn encrypt(&self, ctx: &Ctx, management: Management, payload: &[u8]) -> Result<String, Failed> {
        let name = self.encryption.text(ctx).into_owned();
        let encryption = Encryption::parse(&name).ok_or("the encryption is not known")?;
        // A token in a token must say so (RFC 7519, section 5.2).
        let nested = payload.split(|byte| *byte == b'.').count() == 3 && payload.starts_with(b"eyJ");
        let mut usual = vec![("alg", management.name()), ("enc", name.as_str())];
        if nested {
            usual.push(("cty", "JWT"));
        }
        if management == Management::Direct {
            let secret = self.shared(ctx, &Header::new())?;
            let header = self.header(ctx, &usual);
            return Ok(seal(header, payload, Recipient::Shared(&secret), management, (encryption, &name))?);
        }
        let own = match self.alias(ctx) {
            Some(alias) => Some(ctx.services().keys.key(&alias).ok_or_else(|| unknown(ctx, &alias))?),
            None => None,
        };
        let given = match &self.key {
            Some(key) => {
                let meant = self.header(ctx, &[("alg", management.name())]);
                keys(&key.eval(ctx), &meant, Use::Encrypt)?
            }
            None => Vec::new(),
        };
        let rsa = |key: &&PublicKey| key.family() == Family::Rsa;
        let public = own.as_ref().map(|key| &key.public).into_iter().chain(&given).find(rsa);
        let public = public.ok_or("no RSA key to encrypt for was given")?;
        if let Some(own) = &own {
            usual.push(("kid", &own.kid));
        }
        let header = self.header(ctx, &usual);
        Ok(seal(header, payload, Recipient::Rsa(public), management, (encryption, &name))?)
    }

    fn alias(&self, ctx: &Ctx) -> Option<String> {
        self.alias.as_ref().map(|alias| alias.text(ctx).into_owned()).filter(|alias| !alias.is_empty())
    }

    /// The shared secret: the bytes of a text, or the key in a JWK of kind `oct`.
    fn shared(&self, ctx: &Ctx, header: &Header) -> Result<Vec<u8>, Refusal> {
        if let Some(secret) = &self.secret {
            let secret = secret.text(ctx);
            return if secret.is_empty() { Err("the secret is empty") } else { Ok(secret.as_bytes().to_vec()) };
        }
        let Some(key) = &self.key else { return Err("the algorithm needs a shared secret") };
        let given = keys(&key.eval(ctx), header, Use::Verify)?;
        let secret = given.iter().find_map(|key| match key.material() {
            Material::Secret(secret) if !secret.is_empty() => Some(secret.clone()),
            _ => None,
        });
        secret.ok_or("the algorithm needs a shared secret")
    }

    /// `typ`, then the usual members, then the author's own, which win except for the algorithms.
    fn header(&self, ctx: &Ctx, usual: &[(&str, &str)]) -> Header {
        let mut header = Header::new();
        header.insert("typ".to_owned(), Json::from("JWT"));
        for (name, value) in usual {
            header.insert((*name).to_owned(), Json::from(*value));
        }
        let own = self.headers.as_ref().map(|headers| headers.eval(ctx).to_json());
        for (name, value) in own.iter().filter_map(Json::as_object).flatten() {
            match value {
                _ if name == "alg" || name == "enc" => {}
                Json::Null => drop(header.shift_remove(name)),
                Json::String(text) if text.is_empty() => drop(header.shift_remove(name)),
                value => drop(header.insert(name.clone(), value.clone())),
            }
        }
        header
    }
}

fn unknown(ctx: &Ctx, alias: &str) -> Failed {
    Failed::Broken(ctx.misconfigured(format!("there is no private key `{alias}`")))
}

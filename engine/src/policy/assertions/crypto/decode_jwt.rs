//! `DecodeJwt`: verifies or decrypts tokens and splits them.

use std::borrow::Cow;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, members, sets};
use serde_json::Value as Json;

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::services::jose::jwe::{self, Jwe, Management};
use crate::services::jose::jws::Jws;
use crate::services::jose::select::{Use, keys};
use crate::services::jose::{Header, Refusal, date, text};
use crate::services::keys::{Family, Material, PublicKey};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "DecodeJwt",
    category: "crypto",
    summary: "Verifies a signed token (JWS) or decrypts an encrypted one (JWE), and splits it into its parts. If a token is \
              both, decode its `plaintext` once more: decryption alone does not show who made a token.",
    props: &[
        Prop::required("source", Kind::Value, "The token."),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("jwt"), "Prefix of the variables it sets."),
        Prop::absent(
            "algorithms",
            Kind::Value,
            "List of the accepted algorithms: signing ones and `dir`, `RSA-OAEP`, `RSA-OAEP-256`. Required unless `verify: \
             false`, because a token must not choose how it is checked. `none` is never accepted.",
        ),
        Prop::absent("encryptions", Kind::Value, "List of the accepted content encryptions. Left out: all."),
        Prop::absent("secret", Kind::Text, "Shared secret, for HS algorithms and for `dir`."),
        Prop::absent("alias", Kind::Key, "Key of the gateway's key store, including former ones; may be an expression."),
        Prop::absent("key", Kind::Value, "JWK, JWK set, certificate or public key in PEM form; of several, those that match the header's `kid`."),
        Prop::optional("verify", Kind::Bool, Literal::Bool(true), "`false`: a signed token is only read; nothing in it may be trusted. A literal."),
        Prop::optional(
            "check_times",
            Kind::Bool,
            Literal::Bool(false),
            "Whether `exp` and `nbf` are checked, if present, and whether these, `iat` and `auth_time` must be dates: numbers \
             from 0 to the year 9999. A literal.",
        ),
        Prop::optional("leeway", Kind::Duration, Literal::Seconds(0), "How far clocks may differ."),
    ],
    sets: &[
        sets("{prefix}.valid", "`true` when it was verified or decrypted"),
        sets("{prefix}.header", "its header, as a JSON document"),
        sets("{prefix}.header.names", "names of its header's members"),
        members("{prefix}.header.*", "a member of its header, by its exact name"),
        sets("{prefix}.payload", "its claims as a JSON document; text when they are not JSON"),
        members("{prefix}.payload.*", "a member of its payload, by its exact name: case counts (RFC 7519, section 2)"),
        sets("{prefix}.plaintext", "its content, as text"),
    ],
    fails: &[
        "the source is not a token, or not of an accepted algorithm",
        "no key verifies its signature, or decrypts it",
        "its header or its claims are not JSON, or contain a name twice",
        "with `check_times: true`: it has expired, is not valid yet, or has a date that cannot be read",
    ],
    examples: &[
        example(
            "signed with a shared secret",
            "EncodeJwt(payload: json { \"sub\": \"ann\", \"scope\": [\"a\", \"b\"] }, algorithm: \"HS256\", secret: \"s3cret\", \
                target: \"token\")\n\
             DecodeJwt(source: ${token}, algorithms: [\"HS256\"], secret: \"s3cret\")\n\
             set shown = \"${jwt.valid} ${jwt.header.alg} ${jwt.header.names} ${jwt.payload.sub} ${jwt.payload.scope|+} \
             ${jwt.payload} ${jwt.header} ${jwt.plaintext}\"",
            Expect::Sets(
                "shown",
                "true HS256 typ, alg ann a+b {\"sub\":\"ann\",\"scope\":[\"a\",\"b\"]} {\"typ\":\"JWT\",\"alg\":\"HS256\"} \
                    {\"sub\":\"ann\",\"scope\":[\"a\",\"b\"]}",
            ),
        ),
        example(
            "of the gateway's own key, by its published set",
            "EncodeJwt(payload: json { \"sub\": \"ann\" }, algorithm: \"RS256\", alias: \"rsa\", target: \"token\")\n\
             CreateJwk(aliases: [\"rsa\", \"ec\"], target: \"jwks\")\n\
             DecodeJwt(source: ${token}, algorithms: [\"RS256\", \"ES256\"], key: ${jwks}, prefix: \"got\")",
            Expect::Sets("got.valid", "true"),
        ),
        example(
            "another secret",
            "EncodeJwt(payload: json {}, algorithm: \"HS256\", secret: \"s3cret\", target: \"token\")\n\
             DecodeJwt(source: ${token}, algorithms: [\"HS256\"], secret: \"another\")",
            Expect::Fails,
        ),
    ],
    also: &["Decode Json Web Token"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let verify = p.flag("verify")?;
        if verify && !p.has("algorithms") {
            return Err(p.refuse("algorithms", "it must be given: a token never chooses how it is checked"));
        }
        if verify && !p.has("secret") && !p.has("alias") && !p.has("key") {
            return Err(p.refuse("algorithms", "a key must be given: `secret`, `alias` or `key`"));
        }
        let prefix = p.literal("prefix")?;
        Runnable::sync(DecodeJwt {
            source: p.value("source"),
            algorithms: p.optional("algorithms"),
            encryptions: p.optional("encryptions"),
            secret: p.optional("secret"),
            alias: p.optional("alias"),
            key: p.optional("key"),
            verify,
            check_times: p.flag("check_times")?,
            leeway: p.value("leeway"),
            valid: p.slot(&format!("{prefix}.valid")),
            header: p.slot(&format!("{prefix}.header")),
            payload: p.slot(&format!("{prefix}.payload")),
            plaintext: p.slot(&format!("{prefix}.plaintext")),
            header_names: p.slot(&format!("{prefix}.header.names")),
        })
    },
};

struct DecodeJwt {
    source: Expr,
    algorithms: Option<Expr>,
    encryptions: Option<Expr>,
    secret: Option<Expr>,
    alias: Option<Expr>,
    key: Option<Expr>,
    verify: bool,
    check_times: bool,
    leeway: Expr,
    valid: Option<Slot>,
    header: Option<Slot>,
    payload: Option<Slot>,
    plaintext: Option<Slot>,
    header_names: Option<Slot>,
}

struct Decoded {
    header: Header,
    content: Vec<u8>,
}

impl Assertion for DecodeJwt {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        // Claims of an earlier token must not be mistaken for those of this one.
        for slot in [self.header, self.header_names, self.payload, self.plaintext] {
            ctx.set_if(slot, Value::Undefined);
        }
        ctx.set_if(self.valid, false);
        let decoded = match self.decode(ctx) {
            Ok(decoded) => decoded,
            Err(reason) => return falsified(reason),
        };
        let json: Option<Json> = crate::data::json::read_unique(&decoded.content).ok();
        // What looks like claims must be valid claims: a duplicate name has no meaning (RFC 7519, section 4).
        if json.is_none() && decoded.content.trim_ascii_start().starts_with(b"{") {
            return falsified("the token's claims are not a JSON object, or a name in them comes twice");
        }
        if self.check_times
            && let Err(reason) = self.times(ctx, json.as_ref())
        {
            return falsified(reason);
        }
        self.set(ctx, decoded, json);
        HELD
    }
}

impl DecodeJwt {
    fn decode(&self, ctx: &Ctx) -> Result<Decoded, Refusal> {
        let source = self.source.eval(ctx);
        let token = source.as_text();
        let token = token.trim();
        if jwe::is_encrypted(token) { self.decrypt(ctx, token) } else { self.verify(ctx, token) }
    }

    fn verify(&self, ctx: &Ctx, token: &str) -> Result<Decoded, Refusal> {
        let jws = Jws::read(token)?;
        if self.verify {
            if !listed(&self.algorithms, ctx, jws.algorithm.name()) {
                return Err("the token's algorithm is not accepted");
            }
            let keys = self.keys(ctx, &jws.header)?;
            if !jws.verified_by(keys.iter()) {
                return Err("no key verifies the token's signature");
            }
        }
        Ok(Decoded { header: jws.header, content: jws.payload })
    }

    fn decrypt(&self, ctx: &Ctx, token: &str) -> Result<Decoded, Refusal> {
        let jwe = Jwe::read(token)?;
        if !listed(&self.algorithms, ctx, jwe.management.name()) {
            return Err("the token's key management is not accepted");
        }
        if self.encryptions.is_some() && !listed(&self.encryptions, ctx, text(&jwe.header, "enc").unwrap_or("")) {
            return Err("the token's encryption is not accepted");
        }
        let content = if jwe.management == Management::Direct {
            let shared = self.keys(ctx, &jwe.header)?;
            shared.iter().find_map(|key| match key.material() {
                Material::Secret(secret) => jwe.open_shared(secret),
                _ => None,
            })
        } else {
            let aliases = self.alias(ctx).map_or_else(Vec::new, |alias| ctx.services().keys.all(&alias));
            aliases.iter().filter(|key| key.public.family() == Family::Rsa).find_map(|key| jwe.open_with(key))
        };
        let content = content.ok_or("no key decrypts the token")?;
        Ok(Decoded { header: jwe.header, content })
    }

    /// Every given key that the header does not rule out. The kind of a key is checked where it is used.
    fn keys(&self, ctx: &Ctx, header: &Header) -> Result<Vec<PublicKey>, Refusal> {
        let mut all = Vec::new();
        if let Some(secret) = &self.secret {
            let secret = secret.text(ctx);
            if !secret.is_empty() {
                all.push(PublicKey::secret(secret.as_bytes()));
            }
        }
        if let Some(alias) = self.alias(ctx) {
            let meant = text(header, "kid");
            let own = ctx.services().keys.all(&alias);
            // An unknown `kid` was chosen by whoever made the token; then any of the keys may be meant.
            let known = own.iter().any(|key| Some(key.kid.as_str()) == meant);
            all.extend(own.iter().filter(|key| !known || Some(key.kid.as_str()) == meant).map(|key| key.public.clone()));
        }
        if let Some(key) = &self.key {
            let value = key.eval(ctx);
            if !value.is_empty() {
                all.extend(keys(&value, header, Use::Verify)?);
            }
        }
        Ok(all)
    }

    fn alias(&self, ctx: &Ctx) -> Option<String> {
        self.alias.as_ref().map(|alias| alias.text(ctx).into_owned()).filter(|alias| !alias.is_empty())
    }

    /// `exp` and `nbf` (RFC 7519, sections 4.1.4 and 4.1.5). The other dates only have to be dates.
    fn times(&self, ctx: &Ctx, payload: Option<&Json>) -> Result<(), Refusal> {
        let now = ctx.now_millis() as f64 / 1000.0;
        let leeway = self.leeway.eval(ctx).to_decimal().unwrap_or(0.0).max(0.0);
        let claim = |name: &str, wrong: Refusal| match payload.and_then(|payload| payload.get(name)) {
            None => Ok(None),
            Some(json) => date(json).map(Some).ok_or(wrong),
        };
        claim("iat", "`iat` is not a date")?;
        claim("auth_time", "`auth_time` is not a date")?;
        if claim("exp", "`exp` is not a date")?.is_some_and(|exp| now >= exp + leeway) {
            return Err("the token has expired");
        }
        if claim("nbf", "`nbf` is not a date")?.is_some_and(|nbf| now + leeway < nbf) {
            return Err("the token is not valid yet");
        }
        Ok(())
    }

    fn set(&self, ctx: &mut Ctx, decoded: Decoded, json: Option<Json>) {
        let Decoded { header, content } = decoded;
        let names = header.keys().map(|name| Value::from(name.as_str()));
        ctx.set_if(self.header_names, Value::list(names));
        ctx.set_if(self.header, Value::json(Json::Object(header)));
        let plaintext = match String::from_utf8_lossy(&content) {
            Cow::Borrowed(text) => Value::from(text),
            Cow::Owned(text) => Value::from(text),
        };
        let payload = match json {
            Some(json @ (Json::Object(_) | Json::Array(_))) => Value::json(json),
            _ => plaintext.clone(),
        };
        ctx.set_if(self.plaintext, plaintext);
        ctx.set_if(self.payload, payload);
        ctx.set_if(self.valid, self.verify);
    }
}

fn listed(list: &Option<Expr>, ctx: &Ctx, name: &str) -> bool {
    list.as_ref().is_some_and(|list| list.eval(ctx).values().iter().any(|own| own.as_text() == name))
}

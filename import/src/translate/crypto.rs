//! Encodings, hashes, tokens.

use portcullis_dsl::ast::Type;

use super::build::{arg, boolean, call, function, list, lit, native, or_else, set, var};
use super::{Made, Translator};
use crate::model::Step;

/// Algorithms of shared secrets, and of key pairs.
const SECRET: [&str; 3] = ["HS256", "HS384", "HS512"];
const PAIR: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

impl Translator<'_> {
    /// `EncodeDecode`
    pub fn encode_decode(&mut self, step: &Step) -> Made {
        let (from, to) = (step.text("source").to_owned(), step.text("target").to_owned());
        let transform = step.text("transformType").to_ascii_uppercase();
        let ty = step.text("targetDataType").to_ascii_lowercase();
        let source = self.source(&from);
        if matches!(ty.as_str(), "cert" | "certificate") && transform.starts_with("BASE64") {
            let _ = self.target_name(&to);
            return Made::rewritten(vec![set(&to, Some(Type::Certificate), source)], "a certificate is read from its Base64");
        }
        let operation = match transform.as_str() {
            "URL_ENCODE" => "form-encode",
            "URL_DECODE" => "form-decode",
            "BASE64_ENCODE" => "base64-encode",
            "BASE64_DECODE" => "base64-decode",
            "BASE64URL_ENCODE" | "BASE64_URL_ENCODE" => "base64url-encode",
            "BASE64URL_DECODE" | "BASE64_URL_DECODE" => "base64url-decode",
            "HEX_ENCODE" | "BASE16_ENCODE" => "hex-encode",
            "HEX_DECODE" | "BASE16_DECODE" => "hex-decode",
            other => return Made::missing(format!("the encoding `{other}`")),
        };
        let encode = |own: &mut Self, to: &str, source| {
            let target = own.target_name(to);
            call(native("EncodeDecode", vec![arg("source", source), arg("operation", lit(operation)), arg("target", target)]))
        };
        if ty == "message" {
            let kept = self.fresh("decoded");
            let kind = if step.text("targetContentType").is_empty() {
                "text/xml; charset=utf-8"
            } else {
                step.text("targetContentType")
            }
            .to_owned();
            let _ = self.target_name(&to);
            if matches!(to.to_ascii_lowercase().as_str(), "request" | "response") {
                return Made::missing("another body of the request itself");
            }
            let first = encode(self, &kept, source);
            let message = function("message", vec![var(&kept), self.text(&kind)]);
            return Made::rewritten(vec![first, set(&to, Some(Type::Message), message)], "the result becomes a message");
        }
        Made::exact(encode(self, &to, source))
    }

    /// `GenerateSecurityHash`
    pub fn hash(&mut self, step: &Step) -> Made {
        let source = match step.some("data") {
            Some(_) => self.broken_text(step, "data"),
            None => self.source(step.text("dataToSignText")),
        };
        let target = self.target_name(step.text("target"));
        let algorithm = step.text("algorithm").to_ascii_uppercase();
        let (name, word) = match algorithm.strip_prefix("HMAC-") {
            Some(word) => ("GenerateHmac", word.to_owned()),
            None => ("GenerateHash", algorithm.clone()),
        };
        let word = match word.as_str() {
            "SHA1" | "SHA-1" => "SHA-1",
            "SHA256" | "SHA-256" => "SHA-256",
            "SHA384" | "SHA-384" => "SHA-384",
            "SHA512" | "SHA-512" => "SHA-512",
            "MD5" if name == "GenerateHash" => {
                self.security("MD5 tells nobody whether a text was changed: use it only where an old protocol asks for it");
                "MD5"
            }
            _ => return Made::missing(format!("the algorithm `{algorithm}`")),
        };
        let mut args = vec![arg("source", source)];
        if name == "GenerateHmac" {
            args.push(arg("key", self.text(step.text("key"))));
        }
        args.extend([arg("target", target), arg("algorithm", lit(word))]);
        Made::exact(call(native(name, args)))
    }

    /// `DecodeJsonWebToken`
    pub fn decode_jwt(&mut self, step: &Step) -> Made {
        let prefix = step.text("targetVariablePrefix").to_owned();
        let source = self.value(step.text("sourcePayload"));
        let base = vec![arg("source", source), arg("prefix", self.target_name(&prefix))];
        let read = |base: &[portcullis_dsl::ast::Arg]| {
            let mut args = base.to_vec();
            args.push(arg("verify", boolean(false)));
            call(native("DecodeJwt", args))
        };
        let validation = step.text("validationType").to_ascii_lowercase();
        if matches!(validation.as_str(), "" | "none") {
            self.security("a token is read without verification: nothing in it may be trusted");
            return Made::exact(read(&base));
        }
        let mut args = base.clone();
        let algorithms = |words: &[&str]| arg("algorithms", list(words.iter().map(|word| lit(word)).collect()));
        if validation.contains("secret") {
            if step.is("base64Encoded") {
                return Made::missing("a shared secret that is Base64 of bytes");
            }
            let secret = step.text("signatureSecret").to_owned();
            if !secret.is_empty() && !secret.contains("${") {
                self.security("a shared secret stands in the policy: keep it as a secret and write `${secpass.NAME.plaintext}`");
            }
            args.extend([algorithms(&SECRET), arg("secret", self.text(&secret))]);
        } else if validation.contains("list") {
            let alias = step.some("keyAlias").or(step.some("privateKeyAlias")).unwrap_or("").to_owned();
            let keys = &crate::known::toolkit().keys;
            let alias = match keys.get(&alias.to_ascii_lowercase()) {
                Some(own) => own.clone(),
                None if alias.is_empty() => keys.values().next().cloned().unwrap_or_default(),
                None => {
                    self.trap(23, &format!("the private key `{alias}` must be in `keys/`"));
                    alias
                }
            };
            args.extend([algorithms(&PAIR), arg("alias", lit(&alias))]);
        } else {
            let key = self.value(step.text("privateKeySource"));
            args.extend([algorithms(&PAIR), arg("key", key)]);
        }
        self.trap(12, "the algorithms that a token may have are listed here; there it chose its own");
        let verified = call(native("DecodeJwt", args));
        if step.is("failUnverifiedSignature") {
            return Made::rewritten(vec![verified], "the accepted algorithms are named");
        }
        self.security("a token with a bad signature is read all the same, as there: only `.valid` tells");
        Made::rewritten(vec![or_else(verified, read(&base))], "a bad signature is no failure there")
    }

    /// `EncodeJsonWebToken`
    pub fn encode_jwt(&mut self, step: &Step) -> Made {
        if step.is("encryptPayload") {
            return Made::missing("a token that is encrypted in the same step");
        }
        let source =
            ["sourceVariable", "sourcePayload", "source"].iter().find_map(|name| step.some(name)).unwrap_or("").to_owned();
        let target = ["targetVariable", "target"].iter().find_map(|name| step.some(name)).unwrap_or("").to_owned();
        let algorithm = ["signatureAlgorithm", "algorithm"].iter().find_map(|name| step.some(name)).unwrap_or("HS256").to_owned();
        if !SECRET.iter().chain(&PAIR).any(|known| *known == algorithm) {
            return Made::missing(format!("tokens signed with `{algorithm}`"));
        }
        let payload = match super::text::lone(&source) {
            Some(_) => self.value(&source),
            None => self.source(&source),
        };
        let kept = format!("{target}.compact");
        let mut args = vec![arg("payload", payload), arg("algorithm", lit(&algorithm))];
        if SECRET.contains(&algorithm.as_str()) {
            let secret = ["signatureSecretKey", "signatureSecret", "secret"]
                .iter()
                .find_map(|name| step.some(name))
                .unwrap_or("")
                .to_owned();
            args.push(arg("secret", self.text(&secret)));
        } else {
            let alias = step.some("keyAlias").or(step.some("privateKeyAlias")).unwrap_or("").to_owned();
            let keys = &crate::known::toolkit().keys;
            let own = keys.get(&alias.to_ascii_lowercase()).cloned();
            let alias = match own {
                Some(own) => own,
                None if alias.is_empty() => keys.values().next().cloned().unwrap_or_default(),
                None => {
                    self.trap(23, &format!("the private key `{alias}` must be in `keys/`"));
                    alias
                }
            };
            if keys.values().any(|own| *own == alias) && algorithm.starts_with(['R', 'P']) {
                let why = format!(
                    "`{algorithm}` signs with `{alias}`, which must be an RSA key: put the old gateway's key and certificate into \
                     `keys/` under this name (a new home makes an EC key), or name another alias"
                );
                self.trap(23, &why);
            }
            args.push(arg("alias", lit(&alias)));
        }
        let mut made = Vec::new();
        let own = !step.text("headerAction").to_ascii_lowercase().contains("use generated");
        if let Some(headers) = step.some("sourceHeaders").filter(|_| own).map(str::to_owned) {
            let parsed = self.fresh("headers");
            let source = self.value(&headers);
            made.push(call(native(
                "ParseJson",
                vec![arg("source", source), arg("target", lit(&parsed)), arg("object", boolean(true))],
            )));
            args.push(arg("headers", var(&parsed)));
        }
        args.push(arg("target", self.target_name(&kept)));
        made.push(call(native("EncodeJwt", args)));
        Made::rewritten(made, "a token is a text here; its headers are JSON")
    }
}

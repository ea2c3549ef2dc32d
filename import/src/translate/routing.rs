//! Calls of other servers.

use portcullis_dsl::ast::{Arg, Expr, ExprKind, Json};

use super::build::{self, arg, as_int, boolean, call, function, int, is_variable, lit, native};
use super::{Made, Translator, text};
use crate::model::{Prop, Step};

/// Properties of a route that say something only where they are not this, and have nothing that stands for them here.
const FOREIGN: [(&str, &str, &str); 8] = [
    ("attachSamlSenderVouches", "true", "a SAML statement for the called server"),
    ("krbDelegatedAuthentication", "true", "Kerberos"),
    ("krbUseGatewayKeytab", "true", "Kerberos"),
    ("ntlmHost", "", "NTLM"),
    ("proxyHost", "", "a proxy before the called server"),
    ("customURLs", "", "several URLs for one call"),
    ("customIpAddresses", "", "several addresses for one call"),
    ("usesDynamicPrivateKey", "true", "a private key from a variable"),
];

impl Translator<'_> {
    /// `HttpRoutingAssertion`
    pub fn route(&mut self, step: &Step) -> Made {
        for (name, value, needs) in FOREIGN {
            let has = match step.prop(name) {
                Some(Prop::Text(text)) if value.is_empty() => !text.is_empty(),
                Some(Prop::Text(text)) => text == value,
                Some(Prop::List(list)) => !list.is_empty(),
                Some(Prop::Map(map)) => !map.is_empty(),
                Some(Prop::Null) | None => false,
            };
            if has {
                return Made::missing(needs);
            }
        }
        let url = step.text("protectedServiceUrl").trim().to_owned();
        if url.is_empty() {
            return Made::missing("a URL to call");
        }
        let lower = url.to_ascii_lowercase();
        let args = match self.route_args(step, &url) {
            Ok(args) => args,
            Err(why) => return Made::Missing(why),
        };
        if lower.starts_with("http:") {
            return Made::exact(call(native("RouteHttp", args)));
        }
        let mut args = args;
        args.extend(self.key(step));
        args.extend(self.trust(step));
        if lower.starts_with("https:") {
            return Made::exact(call(native("RouteHttps", args)));
        }
        // Whether it is HTTP or HTTPS is known when it runs.
        args.push(arg("plain_http", boolean(true)));
        self.security("a call's URL may be http:// as well as https://: take `plain_http` out if it never is");
        Made::exact(call(native("Route", args)))
    }

    /// The certificates that alone count for a call, by the names of the files that they become.
    fn trust(&mut self, step: &Step) -> Option<Arg> {
        let listed = |name: &str| -> Vec<String> {
            let values = step.prop(name).map(Prop::list).unwrap_or(&[]);
            values.iter().filter_map(Prop::text).filter(|text| !text.is_empty()).map(str::to_owned).collect()
        };
        let mut names: Vec<String> = Vec::new();
        let empty = |name: &str| step.prop(name).is_some_and(|prop| matches!(prop, Prop::List(list) if list.is_empty()));
        if empty("tlsTrustedCertGoids") || empty("tlsTrustedCertNames") {
            self.need("an empty list of trusted certificates: no server was trusted");
            return None;
        }
        // Both lists say the same. A name is what `keys/trusted/` has, also where the export lacks the certificate.
        let (ids, given) = (listed("tlsTrustedCertGoids"), listed("tlsTrustedCertNames"));
        for at in 0..ids.len().max(given.len()) {
            let (id, given) = (ids.get(at).map_or("", String::as_str), given.get(at).map_or("", String::as_str));
            let known = self.names.certificate(id).or_else(|| self.names.certificate(given));
            let Some(name) = known.or_else(|| (!given.is_empty()).then(|| crate::write::file_name(given))) else {
                self.need(&format!("the trusted certificate `{id}`, which the export lacks"));
                return None;
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let one = match names.as_slice() {
            [] => return None,
            [one] => lit(one),
            _ => build::expr(ExprKind::List(names.iter().map(|name| lit(name)).collect())),
        };
        Some(arg("trust", one))
    }

    fn route_args(&mut self, step: &Step, url: &str) -> Result<Vec<Arg>, String> {
        let mut args = vec![arg("url", self.text(url))];
        let method = match step.text("httpMethod") {
            "" | "OTHER" => step.text("httpMethodAsString"),
            method => method,
        };
        if !method.is_empty() {
            args.push(arg("method", self.text(method)));
        }
        let request = if step.text("requestMsgSrc").is_empty() { "request" } else { step.text("requestMsgSrc") }.to_owned();
        let request = text::lone(&request).unwrap_or(&request).to_owned();
        if !is_variable(&request) {
            return Err(format!("a message named `{request}`"));
        }
        args.push(arg("request", lit(&request)));
        let headers = self.headers(step, &request);
        if let Some(headers) = headers {
            args.push(arg("headers", headers));
        }
        let response = step.text("responseMsgDest").to_owned();
        if !matches!(response.to_ascii_lowercase().as_str(), "" | "response") {
            args.push(arg("response", self.target_name(&response)));
        }
        if let Some(login) = step.some("login") {
            let password = step.text("password").to_owned();
            if !password.contains("${") && !password.is_empty() {
                self.security(
                    "a password of a call stands in the policy: keep it as a secret and write `${secpass.NAME.plaintext}`",
                );
            }
            args.extend([arg("user", self.text(login)), arg("password", self.text(&password))]);
        }
        args.extend(step.is("followRedirects").then(|| arg("follow_redirects", boolean(true))));
        args.extend((!step.is("failOnErrorStatus")).then(|| arg("fail_on_error_status", boolean(false))));
        if let Some(timeout) = step.some("timeout").filter(|timeout| *timeout != "-1" && *timeout != "0") {
            args.push(arg("timeout", self.millis(timeout)));
        }
        if let Some(size) = step.some("responseSize").filter(|size| *size != "-1" && *size != "0") {
            args.push(arg("max_bytes", self.number(size)));
        }
        for ignored in ["connectionTimeout", "maxRetries", "gzipEncodeDownstream", "tlsVersion", "tlsCipherSuites", "httpVersion"]
        {
            if step.gives(ignored) && !matches!(step.text(ignored), "" | "-1" | "false" | "any") {
                self.note(&format!("`{ignored}` of a call is a setting of the whole gateway here"));
            }
        }
        for (name, what) in
            [("requestParamRules", "parameters of the request"), ("responseHeaderRules", "header fields of the answer")]
        {
            let Some(rules) = step.prop(name) else { continue };
            let some = rules.get("rules").is_some_and(|rules| !rules.list().is_empty());
            if some || rules.text_of("forwardAll").is_some_and(|all| all == "false") {
                self.trap(8, &format!("rules say which {what} are passed on; here all of them are"));
            }
        }
        Ok(args)
    }

    /// Header fields beside those of the message: the rules that name a field.
    fn headers(&mut self, step: &Step, request: &str) -> Option<Expr> {
        let rules = step.prop("requestHeaderRules");
        let all = rules.and_then(|rules| rules.text_of("forwardAll")).is_some_and(|all| all == "true");
        let mut members = Vec::new();
        for rule in rules.and_then(|rules| rules.get("rules")).map(Prop::list).unwrap_or(&[]) {
            let (name, value) = (rule.text_of("name").unwrap_or(""), rule.text_of("customizeValue").unwrap_or(""));
            let fixed = rule.text_of("usesCustomizedValue").is_some_and(|fixed| fixed == "true");
            if fixed {
                members.push((self.parts(name), false, Json::Value(self.text(value))));
            } else if !all
                && !request.eq_ignore_ascii_case("request")
                && let Some(value) = self.variable(&format!("request.http.header.{name}"))
            {
                members.push((build::literal_parts(name), true, Json::Value(value)));
            }
        }
        if let Some(token) = step.some("authOauthTokenVar") {
            let value = self.text(&format!("Bearer ${{{token}}}"));
            members.push((build::literal_parts("Authorization"), false, Json::Value(value)));
        }
        if !all && request.eq_ignore_ascii_case("request") {
            self.trap(
                8,
                "header fields of the request were forwarded only where a rule named them; here the message's fields are sent",
            );
        }
        (!members.is_empty()).then(|| build::object(members))
    }

    /// The key whose certificate is shown where the called server asks for one.
    fn key(&mut self, step: &Step) -> Option<Arg> {
        if step.is("usesNoKey") {
            return None;
        }
        let keys = &crate::known::toolkit().keys;
        let alias = step.text("keyAlias").to_owned();
        let own = |alias: &str| keys.get(&alias.to_ascii_lowercase()).cloned();
        let default = keys.values().next().cloned().unwrap_or_default();
        if step.is("usesDefaultKeyStore") || alias.is_empty() {
            return Some(arg("key", lit(&default)));
        }
        match own(&alias) {
            Some(alias) => Some(arg("key", lit(&alias))),
            None => {
                self.trap(23, &format!("the private key `{alias}` must be in `keys/`: an unknown alias is a fault"));
                Some(arg("key", self.text(&alias)))
            }
        }
    }

    /// Milliseconds.
    fn millis(&mut self, source: &str) -> Expr {
        use portcullis_dsl::ast::{ArithmeticOp, DurationLit, DurationUnit, ExprKind};
        match as_int(source).and_then(|count| u64::try_from(count).ok()) {
            Some(count) => build::expr(ExprKind::Duration(DurationLit { count, unit: DurationUnit::Millis })),
            None => {
                let number = function("int", vec![self.text(source)]);
                build::expr(ExprKind::Arithmetic(ArithmeticOp::Div, number, int(1000)))
            }
        }
    }
}

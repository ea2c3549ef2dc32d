//! Who asks, and over which connection.

use portcullis_dsl::ast::{Cond, Predicate, StmtKind};

use super::build::{arg, call, check, compare, is_variable, lit, native, set, stmt, var};
use super::{Made, Translator, message};
use crate::model::{Prop, Step};

/// The realm of a challenge, as clients of the old gateway know it.
const REALM: &str = "L7SSGBasicRealm";

impl Translator<'_> {
    /// `SslAssertion`
    pub fn tls(&mut self, step: &Step) -> Made {
        let certificate = step.is("requireClientAuthentication");
        match step.text("option").to_ascii_uppercase().as_str() {
            "FORBIDDEN" => Made::exact(check(message::equals(var("request.http.secure"), "false"))),
            "OPTIONAL" if certificate => {
                let asked = native("RequireTls", vec![arg("client_certificate", lit("optional"))]);
                let made = super::build::or_else(call(asked), stmt(StmtKind::Continue));
                Made::rewritten(vec![made], "a client's certificate is taken where there is one")
            }
            "OPTIONAL" => Made::exact(stmt(StmtKind::Continue)),
            _ => {
                let args = if certificate { vec![arg("client_certificate", lit("required"))] } else { Vec::new() };
                Made::exact(call(native("RequireTls", args)))
            }
        }
    }

    /// `HttpBasic`
    pub fn basic(&mut self) -> Made {
        Made::exact(call(native("HttpBasic", vec![arg("realm", lit(REALM))])))
    }

    /// `AuthenticationAssertion`
    pub fn authenticate(&mut self, step: &Step) -> Made {
        let id = step.text("identityProviderOid").to_owned();
        let Some(provider) = self.names.provider(&id) else {
            return Made::missing(format!("the identity provider `{id}`, which the export lacks"));
        };
        let mut args = vec![arg("provider", lit(&provider))];
        match self.credentials.take() {
            Some((username, password)) => {
                args.extend([arg("username", username), arg("password", password)]);
                Made::rewritten(vec![call(native("Authenticate", args))], "the credentials are named")
            }
            None => Made::exact(call(native("Authenticate", args))),
        }
    }

    /// `XpathCredentialSource`: mostly variables, which the next authentication takes.
    pub fn xpath_credentials(&mut self, step: &Step) -> Made {
        let mut named = |property: &str| {
            let expression = match step.prop(property) {
                Some(Prop::Text(text)) => text.clone(),
                Some(prop) => prop.text_of("expression").unwrap_or("").to_owned(),
                None => String::new(),
            };
            let name = expression.trim().strip_prefix('$')?.to_owned();
            if is_variable(&name) { self.variable(&name) } else { None }
        };
        match (named("xpathExpression"), named("passwordExpression")) {
            (Some(username), Some(password)) => {
                let known =
                    [&username, &password].map(|value| Cond::Compare(Box::new(compare((*value).clone(), Predicate::NotEmpty))));
                self.credentials = Some((username, password));
                Made::rewritten(vec![check(Cond::And(known.to_vec()))], "the next authentication takes these variables")
            }
            _ => Made::missing("credentials that an XPath finds in a message"),
        }
    }

    /// `CookieCredentialSourceAssertion`
    pub fn cookie_credentials(&mut self, step: &Step) -> Made {
        let (cookie, prefix) = (step.text("cookieName").to_owned(), step.text("variablePrefix").to_owned());
        let read = format!("request.http.cookies.{cookie}");
        let kept = format!("{prefix}.{cookie}");
        if !is_variable(&read) || !is_variable(&kept) {
            return Made::missing(format!("a cookie named `{cookie}`"));
        }
        let found = Cond::Compare(Box::new(compare(var(&read), Predicate::NotEmpty)));
        let made = vec![check(found), set(&kept, None, var(&read))];
        Made::rewritten(made, "a cookie is a variable; it is no credential by itself")
    }

    /// `IdentityAttributesAssertion`
    pub fn identity_attributes(&mut self, step: &Step) -> Made {
        let prefix = step.text("variablePrefix").to_owned();
        let args = vec![arg("prefix", self.target_name(&prefix))];
        if let Some(provider) = step.some("identityProviderOid").and_then(|id| self.names.provider(id)) {
            self.note(&format!("attributes are those of the user authenticated last, at `{provider}`"));
        }
        let mut made = vec![call(native("ExtractAttributes", args))];
        for attribute in step.prop("lookupAttributes").map(Prop::list).unwrap_or(&[]) {
            let text = |names: &[&str]| names.iter().find_map(|name| attribute.text_of(name)).unwrap_or("").to_owned();
            let (theirs, ours) = (text(&["attributeName", "customAttributeName"]), text(&["variableName"]));
            let (from, to) = (format!("{prefix}.{theirs}"), format!("{prefix}.{ours}"));
            if !theirs.is_empty() && !ours.is_empty() && !theirs.eq_ignore_ascii_case(&ours) {
                if !is_variable(&from) || !is_variable(&to) {
                    return Made::missing(format!("an attribute named `{theirs}`"));
                }
                made.push(set(&to, None, var(&from)));
            }
        }
        Made::rewritten(made, "attributes have the names that the provider gives them")
    }

    /// `CertificateAttributesAssertion`
    pub fn certificate_attributes(&mut self, step: &Step) -> Made {
        let prefix = step.text("variablePrefix").to_owned();
        if !is_variable(&prefix) {
            return Made::missing(format!("a variable named `{prefix}`"));
        }
        Made::rewritten(vec![set(&prefix, None, var("request.ssl.clientCertificate"))], "parts of a certificate are read from it")
    }
}

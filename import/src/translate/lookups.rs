//! What is found by an index, by a name or in the gateway's own stores.

use portcullis_dsl::ast::{BinaryOp, Cond, Predicate, Type};

use super::build::{arg, as_int, call, check, compare, function, int, is_variable, lit, native, set, var};
use super::{Made, Translator, text};
use crate::model::Step;

impl Translator<'_> {
    /// `IndexLookupByItem`
    pub fn index_of(&mut self, step: &Step) -> Made {
        if step.is("allowMultipleMatches") {
            return Made::missing("the indexes of all equal values");
        }
        let (list, wanted) =
            (step.text("multivaluedVariableName").to_owned(), step.text("valueToSearchForVariableName").to_owned());
        let wanted = text::lone(&wanted).unwrap_or(&wanted).to_owned();
        let target = step.text("outputVariableName").to_owned();
        let (Some(list), Some(wanted), true) = (self.variable(&list), self.variable(&wanted), is_variable(&target)) else {
            return Made::missing("the names of variables that it searches");
        };
        let found = self.fresh("index");
        let stmts = vec![
            set(&found, Some(Type::Int), function("index_of", vec![list, wanted])),
            check(Cond::Compare(Box::new(compare(var(&found), Predicate::Binary(BinaryOp::Ge, int(0)))))),
            set(&target, None, var(&found)),
        ];
        Made::rewritten(stmts, "of several equal values the first counts; there it failed")
    }

    /// `ItemLookupByIndex`
    pub fn item_at(&mut self, step: &Step) -> Made {
        let (list, target) = (step.text("multivaluedVariableName").to_owned(), step.text("outputVariableName").to_owned());
        let (Some(list), true) = (self.variable(&list), is_variable(&target)) else {
            return Made::missing("the name of a variable that it reads");
        };
        let known = as_int(step.text("indexValue"));
        let index = match known {
            Some(index) => int(index),
            None => function("int", vec![self.text(step.text("indexValue"))]),
        };
        let count = function("count", vec![list.clone()]);
        let above = Cond::Compare(Box::new(compare(count, Predicate::Binary(BinaryOp::Gt, index.clone()))));
        let exists = match known.is_some_and(|index| index >= 0) {
            true => above,
            false => {
                let least = Cond::Compare(Box::new(compare(index.clone(), Predicate::Binary(BinaryOp::Ge, int(0)))));
                Cond::And(vec![least, above])
            }
        };
        let stmts = vec![check(exists), set(&target, None, function("at", vec![list, index]))];
        Made::rewritten(stmts, "a function gives the value at an index")
    }

    /// `LookupDynamicContextVariables`
    pub fn variable_by_name(&mut self, step: &Step) -> Made {
        let (source, target) = (step.text("sourceVariable").trim().to_owned(), step.text("targetOutputVariable").to_owned());
        if !is_variable(&target) {
            return Made::missing(format!("a variable named `{target}`"));
        }
        let gateway = source.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("gateway."));
        let value = match (source.contains("${"), gateway) {
            (false, _) => match self.variable(&source) {
                Some(value) => value,
                None => return Made::missing(format!("a variable named `{source}`")),
            },
            (true, true) => function("property", vec![self.text(source.get(8..).unwrap_or(""))]),
            (true, false) => return Made::missing("a variable whose name is made while the policy runs"),
        };
        let mut stmts = vec![set(&target, None, value)];
        if step.text("failOnNotFound") != "false" {
            stmts.push(check(Cond::Compare(Box::new(compare(var(&target), Predicate::NotEmpty)))));
        }
        Made::rewritten(stmts, "a property of the gateway is read by its name")
    }

    /// `LookupTrustedCertificate`
    pub fn trusted_certificate(&mut self, step: &Step) -> Made {
        let target = step.text("variableName").to_owned();
        if !is_variable(&target) {
            return Made::missing(format!("a variable named `{target}`"));
        }
        let mut by = |name: &str, property: &str| arg(name, self.text(step.text(property)));
        let mut args = match step.text("lookupType") {
            "CERT_ISSUER_SERIAL" => vec![by("issuer", "certIssuerDn"), by("serial", "certSerialNumber")],
            "CERT_SKI" => vec![by("subject_key_identifier", "certSubjectKeyIdentifier")],
            "CERT_SUBJECT_DN" => vec![by("subject", "certSubjectDn")],
            "CERT_THUMBPRINT_SHA1" => vec![by("thumbprint_sha1", "certThumbprintSha1")],
            "" | "TRUSTED_CERT_NAME" => {
                let name = step.text("trustedCertificateName").to_owned();
                match name.contains("${") {
                    true => vec![by("name", "trustedCertificateName")],
                    false => {
                        let file = self.names.certificate(&name).unwrap_or_else(|| crate::write::file_name(&name));
                        vec![arg("name", lit(&file))]
                    }
                }
            }
            other => return Made::missing(format!("a certificate found by `{other}`")),
        };
        let prefix = self.fresh("certificate");
        args.push(arg("prefix", lit(&prefix)));
        let mut stmts = vec![call(native("LookupCertificate", args))];
        if !step.is("allowMultipleCertificates") {
            let count = compare(var(&format!("{prefix}.count")), Predicate::Binary(BinaryOp::Eq, int(1)));
            stmts.push(check(Cond::Compare(Box::new(count))));
        }
        stmts.push(set(&target, None, var(&format!("{prefix}.certificate"))));
        Made::rewritten(stmts, "of several certificates the first counts")
    }
}

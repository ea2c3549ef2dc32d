//! `HttpBasic`: credentials of RFC 7617.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::basic;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::principal::{Credential, Secret};

static SPEC: Spec = Spec {
    name: "HttpBasic",
    category: "access",
    summary: "Reads name and password from the request's `Authorization: Basic`; they become a credential for `Authenticate`. \
              Only their form is checked.",
    props: &[
        Prop::absent("username", Kind::Target(Type::String), "Variable that takes the name."),
        Prop::absent("password", Kind::Target(Type::String), "Variable that takes the password."),
        Prop::absent(
            "realm",
            Kind::Text,
            "After a failure the answer gets a challenge (`WWW-Authenticate`) with this realm. Left out: no challenge.",
        ),
    ],
    sets: &[sets("{username}", "the name"), sets("{password}", "the password")],
    fails: &["there are no such credentials", "they cannot be decoded, or there is more than one `Authorization` header"],
    examples: &[
        example(
            "RFC 7617, section 2",
            r#"AddHeader(target: "request", name: "Authorization", value: "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
HttpBasic(username: "who", password: "word")
set both = "${who}/${word}""#,
            Expect::Sets("both", "Aladdin/open sesame"),
        ),
        example(
            "not base64",
            r#"AddHeader(target: "request", name: "Authorization", value: "Basic ***")
HttpBasic(realm: "example")"#,
            Expect::Fails,
        ),
        example("none at all", "HttpBasic()", Expect::Fails),
    ],
    also: &["Require HTTP Basic Credentials"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        p.reads().basic();
        Runnable::sync(HttpBasic {
            username: p.optional_target("username")?,
            password: p.optional_target("password")?,
            realm: p.optional("realm"),
        })
    },
};

struct HttpBasic {
    username: Option<Slot>,
    password: Option<Slot>,
    realm: Option<Expr>,
}

impl Assertion for HttpBasic {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let found = basic::credentials(&ctx.request.message.headers);
        match found.map_err(basic::Bad::why).and_then(|found| found.ok_or("there are no Basic credentials")) {
            Ok((user, password)) => {
                ctx.set_if(self.username, user.clone());
                ctx.set_if(self.password, password.clone());
                ctx.credentials.push(Credential::Password { user, password: Secret::new(password) });
                HELD
            }
            Err(reason) => {
                if let Some(realm) = &self.realm {
                    let realm = realm.text(ctx).replace('\\', "\\\\").replace('"', "\\\"");
                    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
                    let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"gateway\", charset=\"UTF-8\""));
                    ctx.response_mut().headers.insert(WWW_AUTHENTICATE, challenge);
                }
                falsified(reason)
            }
        }
    }
}

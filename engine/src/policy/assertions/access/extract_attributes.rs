//! `ExtractAttributes`: the attributes of a user as variables.

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "ExtractAttributes",
    category: "access",
    summary: "Sets variables from what an identity provider knows about a user: the one authenticated last, or one named here.",
    props: &[
        Prop::absent(
            "provider",
            Kind::Provider,
            "Identity provider in `gateway.yaml`; may be an expression. Left out: any of those that authenticated a user of this request.",
        ),
        Prop::absent("username", Kind::Text, "Whom to look up, with `provider`. Left out: the user authenticated last."),
        Prop::optional(
            "disabled",
            Kind::Bool,
            Literal::Bool(false),
            "Whether users who may not log in are found, too: for example to keep a name from being given to somebody else.",
        ),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("user"), "Prefix of the variables it sets."),
    ],
    sets: &[
        sets("{prefix}.name", "login name"),
        sets("{prefix}.id", "identifier at the provider"),
        sets("{prefix}.provider", "name of the provider"),
        sets("{prefix}.enabled", "whether the user may log in"),
        sets("{prefix}.attributes", "all attributes as a JSON object, for names that a policy does not know, or that are taken here"),
        sets(
            "{prefix}.*",
            "each attribute under its name, such as `email`, `role`, `groups`, or `password_changed` (seconds since 1970); unset \
             where the user has none",
        ),
    ],
    fails: &["nobody was authenticated, or the provider does not know the user or, without `disabled`, does not allow this user \
              to log in"],
    examples: &[
        example(
            "of the user authenticated last",
            r#"Authenticate(provider: "Example", username: "ann", password: "correct horse")
ExtractAttributes(prefix: "user")
set who = "${user.name} of ${user.provider}: ${user.role} ${user.id|} ${user.enabled}""#,
            Expect::Holds,
        ),
        example(
            "of somebody",
            r#"ExtractAttributes(provider: "Example", username: "ann")
set role = ${user.role}"#,
            Expect::Sets("role", "admin"),
        ),
        example("of nobody", "ExtractAttributes()", Expect::Fails),
    ],
    also: &["Extract Attributes for Authenticated User", "Extract Attributes from User"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if p.has("username") && !p.has("provider") {
            return Err(p.refuse("username", "it goes with `provider`"));
        }
        let prefix = p.literal("prefix")?;
        Runnable::io(ExtractAttributes {
            provider: p.optional("provider"),
            username: p.optional("username"),
            disabled: p.value("disabled"),
            variables: p.with_prefix(&prefix),
        })
    },
};

struct ExtractAttributes {
    provider: Option<Expr>,
    username: Option<Expr>,
    disabled: Expr,
    /// Variables that the policy reads, by the part of their name after the prefix.
    variables: Vec<(String, Slot)>,
}

#[async_trait]
impl AsyncAssertion for ExtractAttributes {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let provider = self.provider.as_ref().map(|provider| provider.to_text(ctx));
        let user = match (&self.username, &provider) {
            (Some(username), Some(provider)) => {
                let provider = ctx.services().identity.get(provider)?;
                let name = username.to_text(ctx);
                provider.user(&name).await?
            }
            _ => ctx.users.iter().rev().find(|user| provider.as_ref().is_none_or(|provider| *provider == user.provider)).cloned(),
        };
        let disabled = self.disabled.eval(ctx).to_bool().unwrap_or(false);
        let user = user.filter(|user| user.enabled || disabled);
        // Values of an earlier user must not be mistaken for this one's.
        for (name, slot) in &self.variables {
            let value = user.as_ref().map_or(Value::Undefined, |user| match name.as_str() {
                "name" => Value::Text(user.name.clone()),
                "id" => Value::Text(user.id.clone()),
                "provider" => Value::Text(user.provider.clone()),
                "enabled" => Value::Bool(user.enabled),
                "attributes" => {
                    let all = user.attributes.iter().map(|(name, value)| (name.clone(), value.to_json()));
                    Value::json(serde_json::Value::Object(all.collect()))
                }
                name => user
                    .attributes
                    .iter()
                    .find(|(attribute, _)| attribute.eq_ignore_ascii_case(name))
                    .map_or(Value::Undefined, |(_, value)| value.clone()),
            });
            ctx.set(*slot, value);
        }
        if user.is_some() { HELD } else { falsified("there is no such user") }
    }
}

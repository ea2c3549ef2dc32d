//! A catalogue to check against: one assertion for each kind of property and each way to set variables.

use portcullis_dsl::ast::{Syntax, Type};
use portcullis_dsl::spec::{Builtin, Catalogue, FunctionSpec, Gives, Kind, Literal, Prop, Sets, Spec, document, members, sets};

const fn spec(name: &'static str, props: &'static [Prop], sets: &'static [Sets]) -> Spec {
    Spec { name, category: "logic", summary: "Does something.", props, sets, ..Spec::PLAIN }
}

static SPECS: &[Spec] = &[
    spec(
        "RateLimit",
        &[
            Prop::required("key", Kind::Text, "Whose requests are counted together."),
            Prop::optional("limit", Kind::Int, Literal::Int(10), "How many."),
            Prop::optional("window", Kind::Duration, Literal::Seconds(1), "In what time."),
            Prop::optional("log", Kind::Bool, Literal::Bool(false), "Whether refusals are logged."),
            Prop::optional("on_limit", Kind::OneOf(&["fail", "delay"]), Literal::Text("fail"), "What happens then."),
        ],
        &[],
    ),
    Spec {
        optional: Some("no row is found"),
        former: &[("fail_if_none", "where no row is fine, write `SqlQuery?(…)`")],
        ..spec(
            "SqlQuery",
            &[
                Prop::required("connection", Kind::Connection, "Which database."),
                Prop::required("query", Kind::Template(Syntax::Sql), "What is asked."),
                Prop::optional("prefix", Kind::Prefix, Literal::Text("query"), "Prefix of the columns."),
            ],
            &[
                sets("{prefix}.*", "the columns"),
                document("{prefix}.rows", "all rows"),
                sets("{prefix}.queryresult.count", "how many rows"),
            ],
        )
    },
    spec(
        "MatchText",
        &[
            Prop::required("text", Kind::Text, "The text."),
            Prop::required("pattern", Kind::Regex, "The pattern."),
            Prop::absent("target", Kind::Target(Type::List), "Variable for the groups."),
        ],
        &[sets("{target}", "the groups")],
    ),
    spec(
        "AddHeader",
        &[
            Prop::optional("message", Kind::MessageName, Literal::Text("response"), "To which message."),
            Prop::required("name", Kind::Text, "Name of the field."),
            Prop::required("value", Kind::Text, "Its value."),
        ],
        &[],
    ),
    spec(
        "Route",
        &[
            Prop::required("url", Kind::Text, "Where to."),
            Prop::optional("response", Kind::Target(Type::Message), Literal::Text("response"), "Where the answer goes."),
            Prop::absent("headers", Kind::Object, "Further header fields."),
        ],
        &[sets("{response}", "the answer"), sets("route.latency", "milliseconds it took")],
    ),
    spec(
        "Respond",
        &[Prop::optional("status", Kind::Int, Literal::Int(200), "Status."), Prop::absent("body", Kind::Value, "Body.")],
        &[],
    ),
    spec(
        "DecodeJwt",
        &[Prop::optional("prefix", Kind::Prefix, Literal::Text("jwt"), "Prefix of what it sets.")],
        &[
            sets("{prefix}.payload", "what it says"),
            members("{prefix}.payload.*", "a member"),
            sets("{prefix}.payload.names", "names"),
        ],
    ),
    Spec { block: true, ..spec("Cached", &[Prop::required("keep", Kind::Variables, "What is kept.")], &[]) },
    Spec { block: true, ..spec("Transaction", &[Prop::required("connection", Kind::Connection, "Which database.")], &[]) },
];

static FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "split", params: &["text", "separator"], required: 2, doc: "Parts of a text.", gives: Gives::Other },
    FunctionSpec {
        name: "substring",
        params: &["text", "from", "length"],
        required: 2,
        doc: "A part of a text.",
        gives: Gives::Other,
    },
    FunctionSpec { name: "lower", params: &["text"], required: 1, doc: "In lower case.", gives: Gives::Other },
    FunctionSpec {
        name: "coalesce",
        params: &["value", "more…"],
        required: 1,
        doc: "The first that is not empty.",
        gives: Gives::Argument,
    },
    FunctionSpec { name: "json_get", params: &["json", "path"], required: 2, doc: "A part.", gives: Gives::Json },
    FunctionSpec { name: "now", params: &[], required: 0, doc: "Seconds.", gives: Gives::Other },
];

static BUILTINS: &[Builtin] = &[
    Builtin { name: "request", ty: Type::Message, writable: false, doc: "The request." },
    Builtin { name: "request.http.method", ty: Type::String, writable: false, doc: "Its method." },
    Builtin { name: "request.http.secure", ty: Type::Boolean, writable: false, doc: "Whether it came over TLS." },
    Builtin { name: "request.http.header.*", ty: Type::String, writable: false, doc: "A header." },
    Builtin { name: "request.http.parameter.*", ty: Type::String, writable: false, doc: "A parameter." },
    Builtin { name: "request.authenticatedUser", ty: Type::String, writable: false, doc: "Who." },
    Builtin { name: "response", ty: Type::Message, writable: false, doc: "The response." },
    Builtin { name: "response.http.status", ty: Type::Int, writable: false, doc: "Its status." },
    Builtin { name: "gateway.*", ty: Type::String, writable: false, doc: "A property." },
];

/// The catalogue of these.
pub fn catalogue() -> Catalogue {
    Catalogue::new(SPECS, FUNCTIONS, BUILTINS)
}

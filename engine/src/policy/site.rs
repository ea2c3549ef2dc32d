//! One generation of policies: the program, its routes, and the run of a request on them.

mod around;
mod routes;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use portcullis_dsl::ast::ItemKind;
use portcullis_dsl::spec::Catalogue;
use portcullis_dsl::{Diagnostic, Library, Severity, Sources};
use smol_str::SmolStr;

use around::Around;
pub use routes::Routed;
use routes::Routes;

use crate::data::path::{self, Form};
use crate::data::value::Value;
use crate::policy::answer::Answering;
use crate::policy::compile::names::UsedName;
use crate::policy::ctx::{Ctx, Environment, Refused};
use crate::policy::exec::Started;
use crate::policy::exec::observer::{Nobody, Observer};
use crate::policy::exec::program::{FrameProgram, Program};
use crate::policy::request::Request;
use crate::policy::{answer, assertions, compile, exec, function, unsupported, vars};
use crate::services::Services;
use crate::services::telemetry::ServiceMetrics;

/// A generation: swapped as a whole on reload.
pub struct Site {
    /// Instructions.
    pub program: Arc<Program>,
    /// What is declared, without the trees of bodies.
    pub library: Library,
    /// What outlives generations.
    pub services: Arc<Services>,
    /// Empty, or `/` and the instance modifier.
    pub instance_modifier: SmolStr,
    routes: Routes,
    /// What runs before and after each service.
    around: Around,
    paths: HashMap<SmolStr, String>,
}

/// A service.
pub struct Route {
    /// Name of the service.
    pub name: SmolStr,
    /// Methods it answers; empty = any.
    pub methods: Vec<Method>,
    /// Its program.
    pub frame: Arc<FrameProgram>,
    /// `paths raw`: whether it accepts paths that servers read in different ways.
    pub raw_paths: bool,
    /// `Allow` of a 405.
    pub allow: String,
    /// Its counters.
    pub metrics: ServiceMetrics,
}

/// A service, what its policy runs in, and whether the body is left out of the answer.
type Begun<'s> = (&'s Arc<Route>, Box<Ctx>, bool);

impl Route {
    /// Runs the service's policy to its answer, or to where it has to wait. Only what is left then is a future.
    fn answer(self: &Arc<Self>, site: &Arc<Site>, mut ctx: Box<Ctx>, head: bool) -> Answering {
        if ctx.refused.is_some() || !site.around.before.is_empty() {
            let (route, site) = (Arc::clone(self), Arc::clone(site));
            return Answering::later(async move { route.answer_around(&site, ctx, head).await });
        }
        match exec::start(&site.program, &self.frame, &mut ctx) {
            Started::Ended(ending) => self.answer_ended(site, ctx, ending, head),
            Started::Waits(rest) => {
                let (route, site) = (Arc::clone(self), Arc::clone(site));
                Answering::later(async move {
                    let ending = exec::go_on(&site.program, &route.frame, &mut ctx, rest).await;
                    route.answer_ended(&site, ctx, ending, head).await
                })
            }
        }
    }

    /// The same where there is more than the service's policy, or less.
    async fn answer_around(self: &Arc<Self>, site: &Arc<Site>, mut ctx: Box<Ctx>, head: bool) -> http::Response<bytes::Bytes> {
        if let Some(refused) = ctx.refused.as_deref() {
            let (service, request, status) = (&self.name, ctx.request.id(), refused.status.as_u16());
            tracing::debug!(%service, %request, status, "refused before the policy: {}", refused.reason);
            return self.refuse(site, ctx, head).await;
        }
        let ending = self.run_behind(site, &mut ctx).await;
        self.answer_ended(site, ctx, ending, head).await
    }

    /// The answer of a policy that has ended.
    fn answer_ended(self: &Arc<Self>, site: &Arc<Site>, mut ctx: Box<Ctx>, ending: exec::Ending, head: bool) -> Answering {
        if let exec::Ending::Broken(fault) = &ending {
            site.services.metrics.fault(fault.blame.word());
            let (service, request, blame) = (&self.name, ctx.request.id(), fault.blame.word());
            tracing::error!(%service, %request, place = fault.place, blame, "fault: {fault}");
        }
        let failed = matches!(ending, exec::Ending::Failed);
        let response = answer::answer(&mut ctx, ending);
        if failed && response.status() == http::StatusCode::INTERNAL_SERVER_ERROR {
            // Nobody's refusal is an internal error: the policy has no answer for it.
            let refusal = ctx.refusal.as_ref().map(|refusal| site.program.told(refusal));
            let (place, reason) = refusal.unzip();
            let (service, request) = (&self.name, ctx.request.id());
            tracing::error!(%service, %request, place, reason, "answered 500: the policy failed and has no other answer for it");
        }
        self.finish(site, ctx, response, head)
    }

    /// What comes after the answer was made.
    fn finish(
        self: &Arc<Self>,
        site: &Arc<Site>,
        mut ctx: Box<Ctx>,
        mut response: http::Response<bytes::Bytes>,
        head: bool,
    ) -> Answering {
        if site.around.after.is_empty() && !ctx.is_telling() {
            self.finished(site, &mut ctx, &mut response, head);
            return Answering::Now(response);
        }
        let (route, site) = (Arc::clone(self), Arc::clone(site));
        Answering::later(async move {
            if !site.around.after.is_empty() {
                route.complete(&site, &mut ctx, &response).await;
            }
            // What the answer says is true on the other gateways too. This costs a round trip to the bus, less than the commit before.
            ctx.others_know().await;
            route.finished(&site, &mut ctx, &mut response, head);
            response
        })
    }

    /// Counts an answer, and says who gave it if that is requested.
    fn finished(&self, site: &Site, ctx: &mut Ctx, response: &mut http::Response<bytes::Bytes>, head: bool) {
        if head {
            answer::without_body(response);
        }
        self.metrics.answered(response.status().as_u16(), ctx.request.started.elapsed());
        if site.services.told {
            let told = answer::Told { service: self.name.clone(), fields: std::mem::take(&mut ctx.told) };
            response.extensions_mut().insert(told);
        }
    }

    /// The answer to a request that the gateway refuses, in the words of the service's error assertion.
    async fn refuse(self: &Arc<Self>, site: &Arc<Site>, mut ctx: Box<Ctx>, head: bool) -> http::Response<bytes::Bytes> {
        let ending = match exec::refuse(&site.program, &self.frame, &mut ctx) {
            Some(run) => run.await,
            None => exec::Ending::Failed,
        };
        if let exec::Ending::Broken(fault) = &ending {
            site.services.metrics.fault(fault.blame.word());
            let (service, request, blame) = (&self.name, ctx.request.id(), fault.blame.word());
            tracing::error!(%service, %request, place = fault.place, blame, "fault in the error assertion: {fault}");
        }
        let Some(refused) = ctx.refused.take() else { return answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "") };
        let response = answer::refused(&mut ctx, ending, *refused);
        self.finish(site, ctx, response, head).await
    }
}

/// The catalogue of everything that policies may call, for the language's checks.
pub fn catalogue() -> Catalogue {
    Catalogue::new(assertions::all().map(|entry| entry.spec), function::all().map(|function| &function.spec), vars::builtins())
}

/// A checked and compiled policy set, independent of a gateway. Several gateways may serve it.
pub struct Compiled {
    /// The checked trees.
    pub library: Arc<Library>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// Names of `gateway.yaml` that the policies will ask for.
    pub names: Vec<UsedName>,
    /// Services that can come to a step without translation.
    pub unsupported: BTreeSet<String>,
    /// Instructions; `None` if there are errors.
    program: Option<Arc<Program>>,
}

impl Compiled {
    /// As [`Compiled::new`]; the first run of a policy waits for its flat form, so that tests run all they run in it.
    pub fn eager(sources: Sources) -> Compiled {
        let mut compiled = Compiled::new(sources);
        if let Some(program) = compiled.program.as_mut().and_then(Arc::get_mut) {
            program.eager = true;
        }
        compiled
    }

    /// Parses, checks and compiles.
    pub fn new(sources: Sources) -> Compiled {
        let (library, mut diagnostics) = portcullis_dsl::load(sources, &catalogue());
        let broken = |found: &[Diagnostic]| found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let (mut program, mut names) = (None, Vec::new());
        if !broken(&diagnostics) {
            let entries = assertions::all().map(|entry| (entry.spec.name, entry)).collect();
            let (made, found, used) = compile::compile(&library, &entries);
            names = used;
            diagnostics.extend(found);
            program = (!broken(&diagnostics)).then(|| Arc::new(made));
        }
        let unsupported = unsupported::services(&library, &diagnostics);
        Compiled { library: Arc::new(library), diagnostics, names, unsupported, program }
    }

    /// The set together with the services that outlive it; `None` if there are errors. `serves` is told a service's name, one of its
    /// paths, and whether it is declared `disabled`.
    pub fn site(
        &self,
        services: Arc<Services>,
        instance_modifier: &str,
        serves: impl Fn(&str, &str, bool) -> bool,
    ) -> Option<Site> {
        let program = Arc::clone(self.program.as_ref()?);
        let modifier = match instance_modifier.trim_matches('/') {
            "" => SmolStr::default(),
            name => SmolStr::from(format!("/{name}")),
        };
        let mut site = Site {
            program,
            library: self.library.without_bodies(),
            services,
            instance_modifier: modifier.clone(),
            routes: Routes::default(),
            around: Around::default(),
            paths: HashMap::new(),
        };
        for policy in self.library.services() {
            let ItemKind::Service(head) = &policy.item.kind else { continue };
            let paths: Vec<&str> = head.paths.iter().map(|path| path.node.as_str()).collect();
            let served = |path: &&str| serves(&policy.name, path, head.disabled);
            let Some(first) = paths.iter().copied().find(served) else { continue };
            let Some(frame) = site.program.frames.get(&policy.id).cloned() else { continue };
            let methods: Vec<Method> = head.methods.iter().filter_map(|method| method.node.parse().ok()).collect();
            let allow = head.methods.iter().map(|method| method.node.as_str()).collect::<Vec<_>>().join(",");
            let metrics = site.services.metrics.service(&policy.name);
            let route =
                Arc::new(Route { name: policy.name.as_str().into(), methods, frame, raw_paths: head.raw_paths, allow, metrics });
            // As in requests: non-ASCII characters are escaped, and escapes are in upper case.
            let full = |path: &str| {
                let path = format!("{modifier}{path}");
                path::upper_escapes(&utf8_percent_encode(&path, CONTROLS).to_string()).into_owned()
            };
            site.paths.insert(route.name.clone(), full(first).trim_end_matches("/*").to_owned());
            for path in paths.into_iter().filter(served) {
                site.routes.add(&full(path), Arc::clone(&route));
            }
        }
        site.routes.settle();
        site.around = Around::new(&site.library, &site.program);
        Some(site)
    }
}

impl Site {
    /// Parses, checks and compiles a policy set. With an error there is no site; with warnings there is one. `enabled` names the
    /// services to serve although they are declared `disabled`. For tests and benchmarks, which run everything in its flat form.
    pub fn build(
        sources: Sources,
        services: Arc<Services>,
        instance_modifier: &str,
        enabled: &[String],
    ) -> (Option<Site>, Arc<Library>, Vec<Diagnostic>) {
        let compiled = Compiled::eager(sources);
        let site = compiled.site(services, instance_modifier, |name, _, off| !off || enabled.iter().any(|own| own == name));
        (site, compiled.library, compiled.diagnostics)
    }

    /// Names of all services that are served, each with its first path.
    pub fn services(&self) -> impl Iterator<Item = (&SmolStr, &str)> {
        self.paths.iter().map(|(name, path)| (name, path.as_str()))
    }

    /// Names, paths and methods of all services that are served: each path of a service by itself.
    pub fn endpoints(&self) -> impl Iterator<Item = (&SmolStr, &str, &[Method])> {
        self.routes.all().map(|(path, route)| (&route.name, path, route.methods.as_slice()))
    }

    /// The service a path leads to.
    pub fn route<'p>(&self, path: &'p str) -> Routed<'_, 'p> {
        self.routes.find(path)
    }

    /// Answers a request, at once unless there is something to wait for. A policy's call to this gateway enters here, too.
    pub fn handle(self: &Arc<Self>, request: impl Into<Box<Request>>) -> Answering {
        match self.begin(request.into(), None) {
            Ok((route, ctx, head)) => route.answer(self, ctx, head),
            Err(response) => Answering::Now(response),
        }
    }

    /// Answers a request that the server refuses, in the words of the service that it is for. `None` if it is for none.
    pub fn refuse(self: &Arc<Self>, request: Box<Request>, refused: Refused) -> Option<Answering> {
        let (route, ctx, head) = self.begin(request, Some(refused)).ok()?;
        Some(route.answer(self, ctx, head))
    }

    /// Finds the service; an answer where there is none, or not for this method. HEAD where only GET is served runs as GET, which policies see,
    /// and the body is left out of the answer, as the last value says (RFC 9110, section 9.3.2).
    fn begin(
        self: &Arc<Self>,
        mut request: Box<Request>,
        refused: Option<Refused>,
    ) -> Result<Begun<'_>, http::Response<bytes::Bytes>> {
        let path = path::upper_escapes(&request.path);
        let (endpoint, rest, form) = match self.route(&path) {
            Routed::To(endpoint, rest, form) => (endpoint, rest.len(), form),
            Routed::Nowhere => return Err(answer::plain(StatusCode::NOT_FOUND, "")),
            Routed::Refused(reason) => {
                self.services.metrics.refused(400);
                tracing::debug!(request = %request.id(), reason, "a path is refused");
                return Err(answer::plain(StatusCode::BAD_REQUEST, reason));
            }
        };
        let mut head = false;
        let mut found = endpoint.route(&request.method);
        if found.is_none() && request.method == Method::HEAD {
            found = endpoint.route(&Method::GET);
            head = found.is_some();
        }
        let Some(route) = found.or_else(|| endpoint.first()) else {
            return Err(answer::plain(StatusCode::NOT_FOUND, ""));
        };
        let mut refused = refused.or_else(|| found.is_none().then(|| answer::method_not_allowed(endpoint.allow())));
        if found.is_none() {
            head = request.method == Method::HEAD;
        } else if head {
            request.method = Method::GET;
        }
        if !route.raw_paths
            && let Form::Unusual(reason) = form
        {
            self.services.metrics.refused(400);
            refused.get_or_insert_with(|| answer::bad_request(reason));
        }
        // INVARIANT: policies see and forward the same bytes that led to the service.
        if let (false, Cow::Owned(path)) = (route.raw_paths, path) {
            request.path = path.into();
        }
        if let (None, Err(unreadable)) = (&refused, route.frame.reads.check(&request)) {
            refused = Some(answer::bad_request(unreadable));
        }
        if refused.is_none()
            && !self.around.is_empty()
            && let Err(unreadable) = self.around.reads.check(&request)
        {
            refused = Some(answer::bad_request(unreadable));
        }
        if rest > 0 {
            request.path_rest = SmolStr::new(&request.path[request.path.len() - rest..]);
        }
        // What is made in a box that is there need not be moved into it.
        let ctx = Box::new_uninit();
        let mut ctx = Box::write(ctx, Ctx::new(Arc::clone(self) as Arc<dyn Environment>, request, route.name.clone()));
        ctx.refused = refused.map(Box::new);
        Ok((route, ctx, head))
    }

    /// Runs a `command` or `task` by name. Returns its outputs in order, and whether it succeeded; `None` if there is none of
    /// that name.
    pub async fn run_named(
        self: &Arc<Self>,
        name: &str,
        inputs: &[(String, Value)],
    ) -> Option<(exec::Ending, Vec<(SmolStr, Value)>)> {
        self.run_named_observed(name, inputs, Nobody).await
    }

    /// The same, with an observer that is told of each step.
    pub async fn run_named_observed(
        self: &Arc<Self>,
        name: &str,
        inputs: &[(String, Value)],
        observer: impl Observer,
    ) -> Option<(exec::Ending, Vec<(SmolStr, Value)>)> {
        let policy = self.library.commands().chain(self.library.tasks()).find(|policy| policy.name == name)?;
        let frame = self.program.frames.get(&policy.id)?.clone();
        let mut ctx = Ctx::new(Arc::clone(self) as Arc<dyn Environment>, Request::new(Method::GET, ""), frame.name.clone());
        ctx.slots.grow_to(frame.slots);
        for (input, slot, ty) in &frame.inputs {
            if let Some((_, value)) = inputs.iter().find(|(name, _)| name.eq_ignore_ascii_case(input)) {
                let value = ty.map_or_else(|| Some(value.clone()), |ty| value.convert(ty))?;
                ctx.set(*slot, value);
            }
        }
        let correlation = ctx.request.correlation().clone();
        let ending = correlation.within(exec::run_observed(&self.program, &frame, &mut ctx, observer)).await;
        Box::pin(ctx.others_know()).await;
        let outputs = frame.outputs.iter().map(|(name, slot)| (name.clone(), ctx.get(*slot).clone())).collect();
        Some((ending, outputs))
    }
}

impl Environment for Site {
    fn services(&self) -> &Services {
        &self.services
    }

    fn served(&self) -> Vec<&SmolStr> {
        self.paths.keys().collect()
    }

    fn service_path(&self, name: &str) -> &str {
        self.paths.get(name).map_or("", String::as_str)
    }

    fn instance_modifier(&self) -> &SmolStr {
        &self.instance_modifier
    }

    fn own_cookies(&self) -> &[SmolStr] {
        &self.program.cookies
    }

    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, http::Response<bytes::Bytes>> {
        match self.handle(request) {
            Answering::Now(response) => std::future::ready(response).boxed(),
            Answering::Later(answer) => answer,
        }
    }
}

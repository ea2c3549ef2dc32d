//! The state of one run of a policy: the request, the answer being built, and variables in numbered slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Response, StatusCode};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::data::fault::Fault;
use crate::data::message::Message;
use crate::data::principal::{Credential, User};
use crate::data::value::Value;
use crate::policy::answer::draft::Draft;
use crate::policy::exec::spare;
use crate::policy::request::Request;
use crate::policy::slots::Slots;
use crate::services::Services;
use crate::services::cache::{Author, Removal};
use crate::services::cluster::Ticket;
use crate::services::turns::KeyedTurn;

/// A variable of the running frame. Slots are numbered within a frame; [`Ctx`] adds the frame's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// A message that an assertion reads or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRef {
    /// The request.
    Request,
    /// The response: what a `Respond` drafted, or else what another server answered; its headers always go out.
    Response,
    /// A message variable.
    Slot(Slot),
}

/// The environment of a run: its policies, and the services that outlive them.
pub trait Environment: Send + Sync {
    /// Clock, connections, caches, keys.
    fn services(&self) -> &Services;

    /// Names of the services that are served.
    fn served(&self) -> Vec<&SmolStr>;

    /// Path of a service, with the instance modifier.
    fn service_path(&self, name: &str) -> &str;

    /// The prefix of all paths: empty, or `/` and a name.
    fn instance_modifier(&self) -> &SmolStr;

    /// Cookies that the policies set: names, or prefixes of names with a `*`.
    fn own_cookies(&self) -> &[SmolStr];

    /// Answers a request of the gateway to itself.
    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response<Bytes>>;
}

/// An error answer whose variables are read when it is sent.
pub trait ErrorAnswer: Send + Sync {
    /// Fills it in; `None` if its status or headers are not valid HTTP.
    fn render(&self, ctx: &Ctx) -> Option<Draft>;
}

/// Where a policy refused, by instructions of its program.
#[derive(Debug)]
pub struct Refusal {
    /// What ended it.
    pub at: u32,
    /// What failed before, and why.
    pub failed: Option<(u32, std::borrow::Cow<'static, str>)>,
}

/// A request that the gateway refuses before or instead of the service's policy. The service's error assertion words the answer.
#[derive(Debug)]
pub struct Refused {
    /// The answer's status.
    pub status: StatusCode,
    /// Why, for the client. Never contains the request's own text.
    pub reason: String,
    /// Fields that the answer has in any case.
    pub headers: HeaderMap,
}

impl Refused {
    /// A database does not answer, or something else that the policy needs.
    pub fn for_now() -> Refused {
        let reason = "the request cannot be answered at the moment; try again later".to_owned();
        Refused { status: StatusCode::SERVICE_UNAVAILABLE, reason, headers: HeaderMap::new() }
    }
}

/// One run of a policy.
pub struct Ctx {
    /// The generation of policies that this run uses.
    pub environment: Arc<dyn Environment>,
    /// The request. It is made where it is kept, because it is passed on several times before it comes here.
    pub request: Box<Request>,
    /// Headers, body and status collected for the answer. The headers survive a failure (`WWW-Authenticate`, CORS).
    /// Most answers are drafted, so it is made where somebody sets something in it.
    pub response: Option<Box<Message>>,
    /// The last `Respond`; wins over `response`'s status and body. Dropped when the policy fails.
    pub draft: Option<Draft>,
    /// The last `CustomizeErrorResponse`.
    pub error_draft: Option<Arc<dyn ErrorAnswer>>,
    /// Where the policy refused, once it has.
    pub refusal: Option<Box<Refusal>>,
    /// The gateway refuses the request: only the error assertion runs.
    pub refused: Option<Box<Refused>>,
    /// Credentials gathered so far.
    pub credentials: SmallVec<[Credential; 1]>,
    /// Users authenticated so far, the latest last.
    pub users: SmallVec<[User; 1]>,
    /// Turns of `TakeTurn`; they end with the run at the latest.
    pub turns: Vec<KeyedTurn>,
    /// Open transactions, the innermost last.
    pub transactions: Vec<OpenTransaction>,
    /// How much was done that cannot be undone: a transaction in which it grows is not tried again.
    pub outside: u32,
    /// Who it is to the caches, and since when it reads.
    pub author: Author,
    /// What it removed from caches while a transaction is open.
    removed: Vec<Removal>,
    /// What it told other gateways last, so that the answer can wait until they were told.
    told_others: Option<Ticket>,
    /// Name of the running service, task or command.
    pub service: SmolStr,
    /// Log fields that the policy sets for the request: names and values.
    pub told: Vec<(SmolStr, SmolStr)>,
    pub(crate) slots: Slots,
    pub(crate) base: usize,
    /// Takes values for nonexistent slots, so that they overwrite nothing else.
    stray: Option<Box<Value>>,
    /// Whether a nonexistent slot was used.
    defect: AtomicBool,
}

/// The value of a nonexistent slot, until the run ends.
static NOWHERE: Value = Value::Undefined;

/// A transaction begun by a `Transaction` block.
pub struct OpenTransaction {
    /// Name of its connection.
    pub connection: SmolStr,
    /// Its handle.
    pub handle: crate::services::store::Transaction,
}

impl Drop for Ctx {
    fn drop(&mut self) {
        spare::give_back(std::mem::take(&mut self.slots));
        spare::give_back_fields(std::mem::take(&mut self.request.message.headers));
    }
}

impl Ctx {
    /// A run over `request`, with no variables yet.
    // Made where it is kept, not moved there.
    #[inline(always)]
    pub fn new(environment: Arc<dyn Environment>, request: impl Into<Box<Request>>, service: SmolStr) -> Self {
        let author = environment.services().caches.author();
        Ctx {
            author,
            removed: Vec::new(),
            told_others: None,
            environment,
            request: request.into(),
            response: None,
            draft: None,
            error_draft: None,
            refusal: None,
            refused: None,
            credentials: SmallVec::new(),
            users: SmallVec::new(),
            turns: Vec::new(),
            transactions: Vec::new(),
            outside: 0,
            service,
            told: Vec::new(),
            slots: Slots::default(),
            base: 0,
            stray: None,
            defect: AtomicBool::new(false),
        }
    }

    /// The services that outlive generations: clock, connections, caches, keys.
    pub fn services(&self) -> &Services {
        self.environment.services()
    }

    /// Forgets all variables, for the run of another policy on the same request.
    pub fn begin_anew(&mut self) {
        self.slots.truncate(0);
        self.base = 0;
    }

    /// The variable in a slot.
    pub fn get(&self, slot: Slot) -> &Value {
        self.slots.get(self.base + slot.0 as usize).unwrap_or_else(|| self.astray())
    }

    /// Assigns a variable.
    pub fn set(&mut self, slot: Slot, value: impl Into<Value>) {
        *self.place(self.base + slot.0 as usize) = value.into();
    }

    /// Takes a variable's value out, leaving it undefined, to change it in place.
    pub fn take(&mut self, slot: Slot) -> Value {
        std::mem::take(self.place(self.base + slot.0 as usize))
    }

    /// A variable by its index among those of all frames. A nonexistent index is a bug that ends the run; nobody reads what is
    /// written there.
    pub(super) fn place(&mut self, index: usize) -> &mut Value {
        match self.slots.get_mut(index) {
            Some(value) => value,
            None => {
                *self.defect.get_mut() = true;
                self.stray.insert(Box::default())
            }
        }
    }

    #[cold]
    fn astray(&self) -> &Value {
        self.defect.store(true, Ordering::Relaxed);
        &NOWHERE
    }

    /// Whether a nonexistent slot was used since the last call.
    #[inline]
    pub(super) fn went_astray(&mut self) -> bool {
        *self.defect.get_mut() && std::mem::take(self.defect.get_mut())
    }

    /// Assigns a variable if anybody reads it.
    pub fn set_if(&mut self, slot: Option<Slot>, value: impl Into<Value>) {
        if let Some(slot) = slot {
            self.set(slot, value);
        }
    }

    /// A message to read; `None` if the variable contains none. Text variables are read as messages with this text.
    pub fn message(&self, message: MessageRef) -> Option<std::borrow::Cow<'_, Message>> {
        use std::borrow::Cow;
        match message {
            MessageRef::Request => Some(Cow::Borrowed(&self.request.message)),
            MessageRef::Response => Some(self.answer()),
            MessageRef::Slot(slot) => match self.get(slot) {
                Value::Undefined => None,
                Value::Message(message) => Some(Cow::Borrowed(message)),
                other => Some(Cow::Owned(Message::from_value(other))),
            },
        }
    }

    /// The answer as it would go out now.
    pub fn answer(&self) -> std::borrow::Cow<'_, Message> {
        use std::borrow::Cow;
        match (&self.draft, self.response.as_deref()) {
            (Some(draft), _) => Cow::Owned(draft.message(self.response_fields())),
            (None, Some(response)) => Cow::Borrowed(response),
            (None, None) => Cow::Owned(Message::default()),
        }
    }

    /// The header fields that are collected for the answer.
    pub fn response_fields(&self) -> HeaderMap {
        self.response.as_ref().map(|response| response.headers.clone()).unwrap_or_default()
    }

    /// What is collected for the answer, to change it.
    pub fn response_mut(&mut self) -> &mut Message {
        self.response.get_or_insert_default()
    }

    /// A message to change; a variable without a message becomes one.
    pub fn message_mut(&mut self, message: MessageRef) -> &mut Message {
        match message {
            MessageRef::Request => &mut self.request.message,
            MessageRef::Response => self.response_mut(),
            MessageRef::Slot(slot) => {
                let value = self.place(self.base + slot.0 as usize);
                let made = match &*value {
                    Value::Message(_) => None,
                    Value::Undefined => Some(Message::default()),
                    other => Some(Message::from_value(other)),
                };
                if let Some(message) = made {
                    *value = Value::Message(Arc::new(message));
                }
                match value {
                    Value::Message(message) => Arc::make_mut(message),
                    _ => unreachable!("made a message above"),
                }
            }
        }
    }

    /// Removes from caches of this gateway, and of all others of the cluster. While a transaction is open others wait for its end,
    /// because until then they would read the old value again; so would this one, and removes it once more.
    pub fn forget(&mut self, removal: Removal) {
        self.author.removes();
        self.services().caches.apply(&removal, self.author);
        if self.transactions.is_empty() {
            self.tell_others(vec![removal]);
        } else {
            self.removed.push(removal);
        }
    }

    /// After a transaction has ended. Whether it was committed does not matter: a removal too many only costs a look-up.
    pub(super) fn transaction_ended(&mut self) {
        if self.transactions.is_empty() && !self.removed.is_empty() {
            let removed = std::mem::take(&mut self.removed);
            removed.iter().for_each(|removal| self.services().caches.apply(removal, self.author));
            self.tell_others(removed);
        }
    }

    /// Tells the other gateways what to remove.
    pub fn tell_others(&mut self, removed: Vec<Removal>) {
        if let Some(ticket) = self.services().cluster.tell(removed) {
            self.told_others = Some(ticket);
        }
    }

    /// Whether other gateways are being told something: then [`Ctx::others_know`] may wait.
    pub fn is_telling(&self) -> bool {
        self.told_others.is_some()
    }

    /// Waits, for a short time, until they were told.
    pub async fn others_know(&mut self) {
        if let Some(ticket) = self.told_others.take() {
            self.services().cluster.told(ticket).await;
        }
    }

    /// The connection's open transaction, if this run has one.
    pub fn transaction(&mut self, connection: &str) -> Option<&mut crate::services::store::Transaction> {
        self.transactions.iter_mut().rev().find(|open| open.connection == connection).map(|open| &mut open.handle)
    }

    /// A connection for a change. A configuration fault if it is an embedded database on which a calling policy has a
    /// transaction: the two would wait for each other until the transaction times out.
    pub fn writable(&self, name: &str) -> Result<&crate::services::store::Connection, Fault> {
        let connection = self.services().connection(name)?;
        if connection.dialect() == crate::services::store::Dialect::Sqlite && self.request.held.iter().any(|held| held == name) {
            return Err(self.misconfigured(format!(
                "this policy was called from inside a `Transaction` on connection `{name}` and would wait for that one, which waits for \
                 it: call it before or after the `Transaction`"
            )));
        }
        Ok(connection)
    }

    /// Milliseconds since the epoch, by the gateway's clock.
    pub fn now_millis(&self) -> i64 {
        self.services().clock.now_millis()
    }

    /// A configuration fault, for what only an operator can fix.
    pub fn misconfigured(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
        Fault::new(crate::data::fault::Blame::Configuration, what)
    }
}

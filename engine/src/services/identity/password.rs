//! Password hashes: argon2id (RFC 9106), computed on blocking threads, only a few at a time, because each one takes memory and a
//! noticeable part of a second of processor time.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::data::fault::{Blame, Fault};
use crate::data::names;
use crate::data::principal::Secret;
use crate::services::turns::Turns;

/// Longer passwords are refused unread, because a client must not be able to cause the work of hashing them.
pub const MAX_PASSWORD: usize = 1024;
/// Most requests waiting for their turn; further ones are refused.
const MAX_WAITING: usize = 1024;
/// Most waiting requests of one network.
const MAX_WAITING_EACH: usize = 64;

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    /// OWASP's recommendation for argon2id with little memory: 19 MiB, two passes.
    fn default() -> Self {
        Cost { memory: 19 * 1024, passes: 2 }
    }
}

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    turns: Arc<Turns>,
    nobody: OnceLock<String>,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords::new(Cost::default())
    }
}

impl Passwords {
    /// With this cost for new hashes; existing ones are verified with their own cost.
    pub fn new(cost: Cost) -> Self {
        // Out-of-range parameters fall back to the crate's own, which are the same.
        let params = Params::new(cost.memory, cost.passes, 1, None).unwrap_or_default();
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Passwords {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            turns: Turns::new("passwords to be checked", threads, MAX_WAITING, MAX_WAITING_EACH),
            nobody: OnceLock::new(),
        }
    }

    /// A new hash, in the form `$argon2id$…`. Runs on the current thread and takes time.
    pub fn hash(&self, password: &Secret) -> Result<String, Fault> {
        let failed = |_| Fault::new(Blame::Internal, "the password could not be hashed");
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Fault::new(Blame::Internal, "the random generator failed"))?;
        let salt = SaltString::encode_b64(&salt).map_err(failed)?;
        let password = names::normal(password.expose());
        let hash = self.argon2.hash_password(password.as_bytes(), &salt).map_err(failed)?;
        Ok(hash.to_string())
    }

    /// Whether the password matches this hash. Without a hash (an unknown name) the answer is no and takes just as long, so that
    /// the time does not reveal names. There is no answer for a caller who already has too many passwords waiting.
    pub async fn verify(self: &Arc<Self>, hash: Option<&str>, password: &Secret, caller: IpAddr) -> Result<Option<bool>, Fault> {
        if password.expose().len() > MAX_PASSWORD {
            return Ok(Some(false));
        }
        let Some(turn) = self.turns.enter(caller).await else { return Ok(None) };
        let (own, hash, password) = (Arc::clone(self), hash.map(str::to_owned), password.clone());
        let check = move || {
            // Held to the end of the work, even if the request is gone by then.
            let _turn = turn;
            own.check(hash.as_deref(), &password)
        };
        let checked = tokio::task::spawn_blocking(check).await;
        checked.map_err(|error| Fault::because(Blame::Internal, "password check", error))?.map(Some)
    }

    fn check(&self, hash: Option<&str>, password: &Secret) -> Result<bool, Fault> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.nobody()?,
        };
        let parsed =
            PasswordHash::new(hash).map_err(|_| Fault::new(Blame::Configuration, "a stored password hash is unreadable"))?;
        let fits = |password: &str| self.argon2.verify_password(password.as_bytes(), &parsed).is_ok();
        let normal = names::normal(password.expose());
        // A hash that was made elsewhere may be of the password as it was typed.
        Ok((fits(&normal) || *normal != *password.expose() && fits(password.expose())) && known)
    }

    fn nobody(&self) -> Result<&str, Fault> {
        if let Some(hash) = self.nobody.get() {
            return Ok(hash);
        }
        let hash = self.hash(&Secret::new("nobody's password"))?;
        Ok(self.nobody.get_or_init(|| hash))
    }
}

//! Connections to one host that are kept apart by the server name that it is asked for (`auto_sni`).

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
};

use crossdock_framework::{
    status::{Cause, Status},
    stream::{Attempt, Failure},
};
use http::request;

use crate::view;

/// Server names of all hosts, of one worker. Callers choose them.
const MOST: usize = 1024;

/// The connections that a call may take.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Tells them from others: the host's own id where no server name is taken from calls.
    pub(crate) key: u64,
    /// The server name.
    pub(crate) name: Option<Rc<str>>,
}

/// The keys of those that have a name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    keys: RefCell<HashMap<(u64, Rc<str>), u64>>,
    next: Cell<u64>,
}

impl Names {
    /// The connections for a request as it leaves. `forget` is asked for keys that nobody uses when
    /// there is no room for another name.
    pub(crate) fn way(
        &self,
        attempt: Attempt<'_>,
        host: u64,
        head: &request::Parts,
        forget: impl Fn(u64) -> bool,
    ) -> Result<Way, Failure> {
        let cluster = attempt.cluster;
        if !cluster.http.auto_sni || cluster.secure.is_none() {
            return Ok(Way {
                key: host,
                name: None,
            });
        }
        let told = cluster.http.sni_header.as_ref();
        let told = told.and_then(|name| head.headers.get(&**name)?.to_str().ok());
        let name = name_of(told.or_else(|| view::authority(head)).unwrap_or_default());
        let mut keys = self.keys.borrow_mut();
        let wanted = (host, Rc::from(name));
        if let Some(key) = keys.get(&wanted) {
            return Ok(Way {
                key: *key,
                name: Some(wanted.1),
            });
        }
        if keys.len() >= MOST {
            keys.retain(|_, key| !forget(*key));
        }
        if keys.len() >= MOST {
            let text = format!("hosts are asked for over {MOST} server names (auto_sni)");
            return Err(Failure::Refused(Status::new(Cause::Overload, text)));
        }
        // Counted down: ids of hosts are counted up.
        let key = u64::MAX - self.next.get();
        self.next.set(self.next.get() + 1);
        let name = Rc::clone(&wanted.1);
        keys.insert(wanted, key);
        Ok(Way {
            key,
            name: Some(name),
        })
    }

    /// Takes away the keys of a host that is gone.
    pub(crate) fn leave(&self, host: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        self.keys.borrow_mut().retain(|(own, _), key| {
            if *own == host {
                gone.push(*key);
            }
            *own != host
        });
        gone
    }
}

/// An authority without its port, in lower case; addresses of IPv6 without brackets.
fn name_of(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = authority.parse::<IpAddr>().is_ok();
    let host = if is_address {
        authority
    } else {
        bare.unwrap_or(host)
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_port() {
        for (authority, name) in [
            ("Example.COM", "example.com"),
            ("example.com:8443", "example.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(name_of(authority), name, "{authority}");
        }
    }
}

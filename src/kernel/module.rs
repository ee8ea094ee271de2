//! What a feature is: a description, and the hooks it registers.

use std::sync::Arc;

use crate::hooks::{
    AccountEvents, After, Announcement, Archive, BeforeLogin, BindInline, Chore, ComponentEvents,
    Copy, Discovery, Guard, GuestDoor, Hooks, IqHandler, IqScope, MediaEvents, Permit, Rewrite,
    Screen, Service, SessionEvents, StreamFeatures, Undelivered,
};

/// How much of a specification is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Complete,
    /// With what is missing.
    Partial(&'static str),
}

/// A specification that a module implements. Service discovery, the table of specifications in
/// the documentation and the DOAP file come from it.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Such as `XEP-0280` or `RFC 6121`.
    pub id: &'static str,
    pub title: &'static str,
    pub version: &'static str,
    pub status: Status,
    /// disco#info features of hosts.
    pub host_features: &'static [&'static str],
    /// disco#info features of accounts.
    pub account_features: &'static [&'static str],
}

/// A feature.
pub trait Module: Send + Sync {
    /// The name used in logs; that of its file or folder.
    fn name(&self) -> &'static str;

    fn specs(&self) -> &'static [Spec];

    /// Subscribes to hooks.
    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>);
}

/// What a module may subscribe to.
pub struct Registrar<'a> {
    hooks: &'a mut Hooks,
}

impl<'a> Registrar<'a> {
    pub(crate) fn new(hooks: &'a mut Hooks) -> Registrar<'a> {
        Registrar { hooks }
    }

    pub fn permit(&mut self, hook: Arc<dyn Permit>) {
        self.hooks.permits.push(hook);
    }

    pub fn guard(&mut self, hook: Arc<dyn Guard>) {
        self.hooks.guards.push(hook);
    }

    pub fn rewrite(&mut self, hook: Arc<dyn Rewrite>) {
        self.hooks.rewrites.push(hook);
    }

    pub fn screen(&mut self, hook: Arc<dyn Screen>) {
        self.hooks.screens.push(hook);
    }

    pub fn copy(&mut self, hook: Arc<dyn Copy>) {
        self.hooks.copies.push(hook);
    }

    pub fn archive(&mut self, hook: Arc<dyn Archive>) {
        self.hooks.archives.push(hook);
    }

    pub fn undelivered(&mut self, hook: Arc<dyn Undelivered>) {
        self.hooks.undelivered.push(hook);
    }

    pub fn after(&mut self, hook: Arc<dyn After>) {
        self.hooks.afters.push(hook);
    }

    pub fn sessions(&mut self, hook: Arc<dyn SessionEvents>) {
        self.hooks.sessions.push(hook);
    }

    pub fn announcement(&mut self, hook: Arc<dyn Announcement>) {
        self.hooks.announcements.push(hook);
    }

    pub fn chore(&mut self, hook: Arc<dyn Chore>) {
        self.hooks.chores.push(hook);
    }

    pub fn media(&mut self, hook: Arc<dyn MediaEvents>) {
        self.hooks.media.push(hook);
    }

    pub fn accounts(&mut self, hook: Arc<dyn AccountEvents>) {
        self.hooks.accounts.push(hook);
    }

    pub fn components(&mut self, hook: Arc<dyn ComponentEvents>) {
        self.hooks.components.push(hook);
    }

    pub fn bind_inline(&mut self, hook: Arc<dyn BindInline>) {
        self.hooks.bind_inline.push(hook);
    }

    /// Takes what clients ask before they have logged in.
    pub fn before_login(&mut self, hook: Arc<dyn BeforeLogin>) {
        self.hooks.before_login = Some(hook);
    }

    pub fn stream_features(&mut self, hook: Arc<dyn StreamFeatures>) {
        self.hooks.stream_features.push(hook);
    }

    pub fn discovery(&mut self, hook: Arc<dyn Discovery>) {
        self.hooks.discovery.push(hook);
    }

    /// Takes people without an account in.
    pub fn guest_door(&mut self, hook: Arc<dyn GuestDoor>) {
        self.hooks.guest_door = Some(hook);
    }

    /// Answers IQ requests whose payload has this namespace. The first module to claim a
    /// namespace keeps it.
    pub fn iq(&mut self, scope: IqScope, ns: &'static str, handler: Arc<dyn IqHandler>) {
        self.hooks.iqs.entry((scope, ns)).or_insert(handler);
    }

    /// Takes all stanzas to `domain` and to the addresses `…@domain`.
    pub fn service(&mut self, domain: String, service: Arc<dyn Service>) {
        self.hooks.services.insert(domain, service);
    }
}

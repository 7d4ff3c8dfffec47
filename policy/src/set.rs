use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use porin_identity::{IdentityId, Label, Selector, Snapshot};
use sha2::{Digest, Sha256};

use crate::compile::{Compiled, closed, compile, fqdns};
use crate::digest::{group_meaning, meaning};
use crate::endpoint::EndpointPolicy;
use crate::explain::Explanation;
use crate::parse::{ParseError, Refused, parse_documents};
use crate::peers::FqdnPeer;
use crate::resolve::Resolver;
use crate::rule::{Document, DocumentName, Location, PolicyKind, PolicyName};
use crate::service::{CidrGroup, Service};
use crate::{LoadError, Options, Query, RefusedDocuments, ResolveError, RuleCookie, RuleRef};

/// All policies in force, as one value that changes as a whole.
///
/// ```
/// use porin_policy::{Options, PolicySet};
/// let mut set = PolicySet::new(Options::new());
/// let report = set.load([("web.yaml", r#"
/// apiVersion: cilium.io/v2
/// kind: CiliumNetworkPolicy
/// metadata: {name: web, namespace: shop}
/// spec:
///   endpointSelector: {matchLabels: {app: web}}
///   ingress:
///   - toPorts: [{ports: [{port: "443", protocol: TCP}]}]
/// "#)])?;
/// assert_eq!(set.documents().count(), 1);
/// assert_eq!(report.revision, set.revision());
/// # Ok::<(), porin_policy::LoadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PolicySet {
    options: Options,
    revision: Revision,
    documents: BTreeMap<PolicyName, Held>,
    /// Refused documents that were turned into denials.
    closed: BTreeMap<PolicyName, Closed>,
    groups: BTreeMap<Arc<str>, CidrGroup>,
    services: Arc<[Service]>,
    cookies: Cookies,
}

/// How often a [`PolicySet`] has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(u64);

/// A digest over the meaning of a whole [`PolicySet`]: documents and options, not their layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetHash([u8; 32]);

/// What a load did.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// The revision that is in force now.
    pub revision: Revision,
    /// The documents that could not be enforced, in order.
    pub refused: Vec<RefusedDocument>,
}

/// A document that could not be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedDocument {
    /// Its name, if that much could be read.
    pub name: Option<DocumentName>,
    /// The place of the fault, and what to do about it.
    pub error: ParseError,
    /// What became of it.
    pub outcome: RefusedOutcome,
}

/// What became of a refused document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedOutcome {
    /// It was left out.
    LeftOut,
    /// What it would have replaced stays in force.
    PredecessorStays,
    /// Whom it meant to guard is closed off until it is mended.
    Closed,
}

#[derive(Debug, Clone)]
struct Held {
    document: Arc<Document>,
    compiled: Arc<Compiled>,
}

#[derive(Debug, Clone)]
struct Closed {
    subjects: Vec<Selector>,
    compiled: Arc<Compiled>,
}

/// The rules by number.
#[derive(Debug, Clone, Default)]
struct Cookies(HashMap<RuleCookie, Arc<RuleRef>>);

impl Cookies {
    /// The number of a rule: the one its place asks for, or the next that is free.
    fn number(&self, rule: &RuleRef) -> RuleCookie {
        let mut cookie = rule.wanted_cookie();
        while self
            .0
            .get(&cookie)
            .is_some_and(|held| !held.same_place(rule))
        {
            let next = RuleCookie::new(cookie.get().wrapping_add(1));
            cookie = next.max(RuleCookie::FIRST_RULE);
        }
        cookie
    }

    fn insert(&mut self, compiled: &Compiled) {
        self.0.extend(compiled.rules.iter().cloned());
    }

    fn remove(&mut self, compiled: &Compiled) {
        for (cookie, _) in &compiled.rules {
            self.0.remove(cookie);
        }
    }
}

impl PolicySet {
    /// A set without any policy: nothing is enforced.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let revision = Revision::default();
        Self {
            options,
            revision,
            documents: BTreeMap::new(),
            closed: BTreeMap::new(),
            groups: BTreeMap::new(),
            services: Arc::default(),
            cookies: Cookies::default(),
        }
    }

    /// Replaces everything by the documents of these files, each a name (for messages) and a text.
    /// Of documents with one name the last stays. It happens as a whole or not at all.
    ///
    /// A document that cannot be enforced never takes the place of its predecessor in force; what
    /// else becomes of it [`Options::refused`] says. A file that cannot even be taken apart counts
    /// as the predecessor of all documents that came from it. CIDR groups are documents in all of
    /// this: a refused one keeps the group of that name that is in force.
    ///
    /// # Errors
    /// With [`RefusedDocuments::Error`], if any document is refused; nothing has changed then.
    pub fn load<F: AsRef<str>, T: AsRef<str>>(
        &mut self,
        files: impl IntoIterator<Item = (F, T)>,
    ) -> Result<LoadReport, LoadError> {
        let mut documents: BTreeMap<PolicyName, Document> = BTreeMap::new();
        let mut refused: Vec<Refused> = Vec::new();
        let mut groups = BTreeMap::new();
        for (file, text) in files {
            let parsed = parse_documents(file.as_ref(), text.as_ref());
            refused.extend(parsed.refused);
            let named = |group: CidrGroup| (Arc::clone(&group.name), group);
            groups.extend(parsed.cidr_groups.into_iter().map(named));
            for document in parsed.documents {
                match self.objection(&document) {
                    Some(objection) => refused.push(objection),
                    None => drop(documents.insert(document.name.clone(), document)),
                }
            }
        }
        let mode = self.options.refused_documents();
        if mode == RefusedDocuments::Error && !refused.is_empty() {
            let left_out = |refused| Self::report(refused, RefusedOutcome::LeftOut);
            return Err(LoadError::Refused {
                documents: refused.into_iter().map(left_out).collect(),
            });
        }
        let mut next = Self {
            revision: self.revision.next(),
            groups,
            services: Arc::clone(&self.services),
            ..Self::new(self.options.clone())
        };
        let mut reports = Vec::new();
        for refused in refused {
            let outcome = next.settle(&refused, self, &mut documents, mode);
            reports.push(Self::report(refused, outcome));
        }
        for document in documents.into_values() {
            next.hold(Arc::new(document.without_text()));
        }
        *self = next;
        Ok(LoadReport {
            revision: self.revision,
            refused: reports,
        })
    }

    /// Adds a document, in place of the one with the same name.
    ///
    /// # Errors
    /// If the document cannot be enforced under the chosen semantics; nothing has changed then.
    pub fn upsert(&mut self, document: Document) -> Result<Revision, LoadError> {
        if let Some(objection) = self.objection(&document) {
            let outcome = match self.documents.contains_key(&document.name) {
                true => RefusedOutcome::PredecessorStays,
                false => RefusedOutcome::LeftOut,
            };
            return Err(LoadError::Refused {
                documents: vec![Self::report(objection, outcome)],
            });
        }
        self.forget(&document.name);
        self.hold(Arc::new(document.without_text()));
        self.revision = self.revision.next();
        Ok(self.revision)
    }

    /// Takes a document away; `None` if there is none of that name.
    pub fn remove(&mut self, name: &PolicyName) -> Option<Arc<Document>> {
        let held = self
            .documents
            .get(name)
            .map(|held| Arc::clone(&held.document));
        if self.forget(name) {
            self.revision = self.revision.next();
        }
        held
    }

    /// Makes the services of the cluster known, in place of those known before: `toServices` means
    /// them.
    pub fn set_services(&mut self, services: impl IntoIterator<Item = Service>) -> Revision {
        self.services = services.into_iter().collect();
        let documents: Vec<_> = self
            .documents
            .values()
            .map(|held| Arc::clone(&held.document))
            .collect();
        for document in documents {
            self.forget(&document.name);
            self.hold(document);
        }
        self.revision = self.revision.next();
        self.revision
    }

    /// Adds a CIDR group, in place of the one with the same name. The labels of its blocks change
    /// ([`PolicySet::block_labels`]), and so may [`PolicySet::prefixes`].
    pub fn upsert_cidr_group(&mut self, group: CidrGroup) -> Revision {
        self.groups.insert(Arc::clone(&group.name), group);
        self.revision = self.revision.next();
        self.revision
    }

    /// Takes a CIDR group away; `None` if there is none of that name. Rules that name it speak of
    /// nobody then.
    pub fn remove_cidr_group(&mut self, name: &str) -> Option<CidrGroup> {
        let group = self.groups.remove(name)?;
        self.revision = self.revision.next();
        Some(group)
    }

    /// The CIDR groups in force, in the order of their names.
    pub fn cidr_groups(&self) -> impl Iterator<Item = &CidrGroup> {
        self.groups.values()
    }

    /// The services that `toServices` can mean.
    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    /// What to do with a refused document, under every mode but that of an error.
    fn settle(
        &mut self,
        refused: &Refused,
        old: &Self,
        new: &mut BTreeMap<PolicyName, Document>,
        mode: RefusedDocuments,
    ) -> RefusedOutcome {
        let stays = match &refused.name {
            Some(DocumentName::Policy(name)) => {
                self.keep_policies(old, new, |known, _| known == name) || new.contains_key(name)
            }
            Some(DocumentName::CidrGroup(name)) => {
                self.keep_groups(old, |group| group.name == *name) || self.groups.contains_key(name)
            }
            None => {
                let file = refused.error.location().file();
                let policies = self.keep_policies(old, new, |_, at| at.file() == file);
                self.keep_groups(old, |group| group.location.file() == file) || policies
            }
        };
        match (stays, mode, &refused.name) {
            (true, _, _) => RefusedOutcome::PredecessorStays,
            (false, RefusedDocuments::Deny, Some(DocumentName::CidrGroup(group))) => {
                self.close_users(group, refused, new);
                RefusedOutcome::Closed
            }
            (false, RefusedDocuments::Deny, name) => {
                let name = name.as_ref().and_then(DocumentName::policy).cloned();
                self.close(name, refused, &refused.subjects);
                RefusedOutcome::Closed
            }
            (false, RefusedDocuments::Skip | RefusedDocuments::Error, _) => RefusedOutcome::LeftOut,
        }
    }

    /// Keeps what was in force, unless something new has its name; whether there was anything.
    fn keep_policies(
        &mut self,
        old: &Self,
        new: &BTreeMap<PolicyName, Document>,
        precedes: impl Fn(&PolicyName, &Location) -> bool,
    ) -> bool {
        let mut any = false;
        for (name, held) in &old.documents {
            if precedes(name, &held.document.location) {
                any = true;
                if !new.contains_key(name) {
                    self.cookies.insert(&held.compiled);
                    self.documents.insert(name.clone(), held.clone());
                }
            }
        }
        any
    }

    /// The same for groups.
    fn keep_groups(&mut self, old: &Self, precedes: impl Fn(&CidrGroup) -> bool) -> bool {
        let mut any = false;
        for group in old.groups.values().filter(|group| precedes(group)) {
            any = true;
            let name = Arc::clone(&group.name);
            self.groups.entry(name).or_insert_with(|| group.clone());
        }
        any
    }

    /// Nobody knows what a rule means that names a group which cannot be read, so whom the policies
    /// with such rules guard is closed off instead.
    fn close_users(
        &mut self,
        group: &str,
        refused: &Refused,
        new: &mut BTreeMap<PolicyName, Document>,
    ) {
        let users: Vec<_> = new
            .extract_if(.., |_, document| document.may_name_group(group))
            .collect();
        for (name, document) in users {
            let subjects = document.specs.iter().map(|spec| spec.subject.clone());
            self.close(Some(name), refused, &subjects.collect::<Vec<_>>());
        }
    }

    fn close(&mut self, name: Option<PolicyName>, refused: &Refused, subjects: &[Selector]) {
        let location = &refused.location;
        let name = name.unwrap_or_else(|| PolicyName {
            kind: PolicyKind::CiliumClusterwideNetworkPolicy,
            namespace: None,
            name: format!("{} document {}", location.file(), refused.index).into(),
        });
        let compiled = closed(&name, subjects, location, &self.options, |rule| {
            self.cookies.number(rule)
        });
        self.cookies.insert(&compiled);
        let (subjects, compiled) = (subjects.to_vec(), Arc::new(compiled));
        self.closed.insert(name, Closed { subjects, compiled });
    }

    fn hold(&mut self, document: Arc<Document>) {
        let compiled = compile(&document, &self.options, &self.services, |rule| {
            self.cookies.number(rule)
        });
        self.cookies.insert(&compiled);
        let held = Held {
            document,
            compiled: Arc::new(compiled),
        };
        self.documents.insert(held.document.name.clone(), held);
    }

    fn forget(&mut self, name: &PolicyName) -> bool {
        let held = self.documents.remove(name).map(|held| held.compiled);
        let closed = self.closed.remove(name).map(|closed| closed.compiled);
        for compiled in held.iter().chain(&closed) {
            self.cookies.remove(compiled);
        }
        held.is_some() || closed.is_some()
    }

    fn objection(&self, document: &Document) -> Option<Refused> {
        let error = document.accept(&self.options).err()?.clone();
        Some(Refused {
            index: 0,
            name: Some(DocumentName::Policy(document.name.clone())),
            subjects: document
                .specs
                .iter()
                .map(|spec| spec.subject.clone())
                .collect(),
            location: document.location.clone(),
            error,
        })
    }

    fn report(refused: Refused, outcome: RefusedOutcome) -> RefusedDocument {
        RefusedDocument {
            name: refused.name,
            error: refused.error,
            outcome,
        }
    }

    /// Which revision is in force.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The settings it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The documents in force, in the order of their names.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().map(|held| &*held.document)
    }

    /// Every block and every exception that a policy or a CIDR group names. Each needs an identity of its own,
    /// or addresses inside would count as those of the block around it. Blocks of length zero are
    /// left out: they name the world, which has its identity.
    #[must_use]
    pub fn prefixes(&self) -> BTreeSet<IpNet> {
        self.compiled()
            .flat_map(|compiled| compiled.prefixes())
            .chain(self.groups.values().flat_map(|group| group.blocks.clone()))
            .filter(|block| block.prefix_len() > 0)
            .collect()
    }

    /// The labels that a block carries because it stands in CIDR groups.
    #[must_use]
    pub fn block_labels(&self, block: &IpNet) -> Vec<Label> {
        let holding = self
            .groups
            .values()
            .filter(|group| group.blocks.contains(block));
        holding.flat_map(CidrGroup::block_labels).collect()
    }

    /// The DNS names that rules speak of, each once, in order. Whoever learns that a name that fits
    /// leads to an address gives that address's identity the label `fqdn:TEXT`
    /// ([`FqdnPeer::text`]).
    #[must_use]
    pub fn fqdns(&self) -> BTreeSet<&FqdnPeer> {
        self.documents().flat_map(fqdns).collect()
    }

    /// The rule with a number, as kernel tables and events carry it.
    #[must_use]
    pub fn rule(&self, cookie: RuleCookie) -> Option<&Arc<RuleRef>> {
        self.cookies.0.get(&cookie)
    }

    /// The digest over what is in force: equal sets have equal hashes, however they came about.
    #[must_use]
    pub fn hash(&self) -> SetHash {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}\n", self.options));
        for compiled in self.compiled() {
            let document = self
                .documents
                .get(&compiled.name)
                .map(|held| &*held.document);
            hash.update(compiled.digest.get_or_init(|| meaning(compiled, document)));
        }
        for group in self.groups.values() {
            hash.update(group_meaning(group));
        }
        SetHash(hash.finalize().into())
    }

    /// Resolves one subject once. [`Resolver`] does it many times and remembers.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve(
        &self,
        subject: IdentityId,
        identities: &Snapshot,
    ) -> Result<EndpointPolicy, ResolveError> {
        Resolver::new(self, identities).resolve(subject)
    }

    /// Explains one answer for one subject once.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn explain(
        &self,
        subject: IdentityId,
        query: &Query,
        identities: &Snapshot,
    ) -> Result<Explanation, ResolveError> {
        let mut resolver = Resolver::new(self, identities);
        let policy = resolver.resolve(subject)?;
        Ok(resolver.explain(&policy, query))
    }

    /// Refused documents that were turned into denials: their names and subjects as written.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&PolicyName, &[Selector])> {
        self.closed
            .iter()
            .map(|(name, closed)| (name, closed.subjects.as_slice()))
    }

    pub(crate) fn compiled(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        self.documents
            .values()
            .map(|held| &held.compiled)
            .chain(self.closed.values().map(|closed| &closed.compiled))
    }
}

impl Revision {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SetHash {
    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for RefusedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            RefusedOutcome::LeftOut => "left out",
            RefusedOutcome::PredecessorStays => "its predecessor stays in force",
            RefusedOutcome::Closed => "whom it guards is closed off",
        };
        match &self.name {
            Some(name) => write!(f, "{name} refused ({outcome}): {}", self.error),
            None => write!(f, "document refused ({outcome}): {}", self.error),
        }
    }
}

//! Whole documents.

use super::json::{Fields, Json, only};
use super::{cilium, cluster, network_policy};
use crate::direction::Direction;
use crate::parse::api_of;
use crate::rule::{Action, Document, PolicyKind, list_field};
use crate::service::CidrGroup;
use crate::staged::{STAGED, StagedRule, Staging};

impl Document {
    /// The document as JSON, in one line and always in the same form. Read again it is the same
    /// document, but for the places of its parts.
    ///
    /// What the language has several forms for comes back in one of them (blocks of
    /// `fromCIDR` as `fromCIDRSet`, names of ICMP types as numbers), and an `endPort` that only
    /// [`Semantics::Cilium`](crate::Semantics::Cilium) takes comes back as it is understood there.
    ///
    /// ```
    /// let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {}, ingress: [{fromCIDR: [10.0.0.0/8]}]}\n";
    /// let parsed = porin_policy::parse_documents("p.yaml", text);
    /// assert_eq!(
    ///     parsed.documents[0].to_json(),
    ///     r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"p","namespace":"default"},"spec":{"endpointSelector":{},"ingress":[{"fromCIDRSet":[{"cidr":"10.0.0.0/8"}]}]}}"#,
    /// );
    /// ```
    pub fn to_json(&self) -> String {
        let kind = self.name.kind;
        let (version, name) = api_of(kind);
        let mut fields = Fields::default();
        fields.put("apiVersion", version);
        fields.put("kind", name);
        fields.put("metadata", metadata(self));
        if kind.is_kubernetes() {
            let spec = self.specs.first().map(|spec| match kind {
                PolicyKind::NetworkPolicy => network_policy::spec(spec),
                _ => cluster::spec(spec, kind),
            });
            fields.some("spec", spec);
        } else {
            specs(self, &mut fields);
        }
        Json::from(fields).to_string()
    }
}

fn metadata(document: &Document) -> Fields {
    let mut fields = Fields::default();
    fields.put("name", &*document.name.name);
    fields.some("namespace", document.name.namespace.as_deref());
    let staged = match &document.staging {
        Staging::Enforced => None,
        Staging::Whole => Some("true".to_owned()),
        Staging::Rules(rules) => {
            let places: Vec<_> = rules.iter().map(place).collect();
            Some(places.join(", "))
        }
    };
    fields.some("annotations", staged.map(|staged| only(STAGED, staged)));
    fields
}

fn place(rule: &StagedRule) -> String {
    let action = match rule.denies {
        true => Action::Deny,
        false => Action::Allow,
    };
    format!("{}[{}]", list_field(rule.direction, action), rule.index)
}

/// `spec` and `specs`.
fn specs(document: &Document, fields: &mut Fields) {
    let mut listed = Vec::new();
    for spec in &document.specs {
        match spec.position {
            None => fields.put("spec", cilium::spec(spec)),
            Some(_) => listed.push(Json::from(cilium::spec(spec))),
        }
    }
    if !listed.is_empty() || document.specs.is_empty() {
        fields.put("specs", listed);
    }
}

impl CidrGroup {
    /// The group as JSON, in one line and always in the same form.
    pub fn to_json(&self) -> String {
        let mut metadata = Fields::default();
        metadata.put("name", &*self.name);
        let mut labels = Fields::default();
        for (key, value) in &self.labels {
            labels.put(key, value);
        }
        metadata.some("labels", (!labels.is_empty()).then_some(labels));
        let blocks = self.blocks.iter().map(|block| block.to_string().into());
        let blocks: Vec<Json> = blocks.collect();
        let mut fields = Fields::default();
        fields.put("apiVersion", "cilium.io/v2");
        fields.put("kind", "CiliumCIDRGroup");
        fields.put("metadata", metadata);
        fields.put("spec", only("externalCIDRs", blocks));
        Json::from(fields).to_string()
    }
}

/// The field of the other side, for the Kubernetes kinds.
pub(super) fn peer_field(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

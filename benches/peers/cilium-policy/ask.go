package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/types"
	pkgtypes "github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// outcome is everything upstream says about a case in one round.
type outcome struct {
	refused  []string
	reasons  []string
	prefixes []string
	failure  error
	ingress  bool
	egress   bool
	answers  []answer
}

// ask has a fresh agent answer a case; rounds differ in the order in which documents come.
func ask(asked *question, round int) (said outcome) {
	known, pods := identity.IdentityMap{}, identity.IdentityMap{}
	var subject *identity.Identity
	for _, each := range asked.Identities {
		id, array := identity.NumericIdentity(each.ID), labelArray(each.Labels)
		known[id] = array
		if slices.ContainsFunc(each.Labels, func(text string) bool { return strings.HasPrefix(text, "k8s:io.kubernetes.pod.namespace=") }) {
			pods[id] = array
		}
		if each.ID == asked.Subject {
			subject = identity.NewIdentityFromLabelArray(id, array)
		}
	}
	repo := newRepository(known)
	repo.SetNamedPortsGetter(clusterPorts(asked.NamedPorts.Cluster, pods))
	documents := said.readAll(asked)
	said.prefixes = prefixes(documents)
	for _, each := range ordered(documents, round) {
		repo.ReplaceByResource(each.entries, each.name)
	}
	repo.UpdateIdentities(identity.IdentityMap{subject.ID: subject.LabelArray}, nil)
	selected, _, err := repo.ComputeSelectorPolicy(subject)
	if err != nil {
		said.failure = err
		return said
	}
	self := owner{host: subject.ID == identity.ReservedIdentityHost, ports: portMap(asked.NamedPorts.Subject)}
	proxies := newProxies(selected, self)
	resolved := selected.DistillPolicy(quiet, self, proxies.ports)
	said.ingress = resolved.SelectorPolicy.IngressPolicyEnabled
	said.egress = resolved.SelectorPolicy.EgressPolicyEnabled
	wanted := newContents(resolved, selected, self, proxies)
	said.answers = make([]answer, len(asked.Flows))
	for i, each := range asked.Flows {
		said.answers[i] = decide(resolved, each, proxies, wanted)
	}
	must(resolved.Ready())
	resolved.Detach(quiet)
	return said
}

// readAll reads the documents; of several with one name the last counts.
func (said *outcome) readAll(asked *question) []document {
	said.refused, said.reasons = []string{}, []string{}
	services := newServiceTables(asked.Services)
	var all []document
	for i, text := range asked.Policies {
		one, err := read(text, asked.Config.policyCluster(), services)
		if err != nil {
			said.refused = append(said.refused, strconv.Itoa(i))
			said.reasons = append(said.reasons, err.Error())
			continue
		}
		all = slices.DeleteFunc(all, func(earlier document) bool { return earlier.name == one.name })
		all = append(all, one)
	}
	return all
}

// ordered turns the documents round, and every second time backward.
func ordered(documents []document, round int) []document {
	all := slices.Clone(documents)
	if len(all) > 0 {
		cut := round / 2 % len(all)
		all = append(all[cut:], all[:cut]...)
	}
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

func prefixes(documents []document) []string {
	var all types.PolicyEntries
	for _, each := range documents {
		all = append(all, each.entries...)
	}
	texts := []string{}
	for _, prefix := range policy.GetCIDRPrefixes(all) {
		texts = append(texts, prefix.Masked().String())
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// protocol knows a name, or a number.
func protocol(text string) u8proto.U8proto {
	if known, err := u8proto.ParseProtocol(text); err == nil {
		return known
	}
	number, err := strconv.ParseUint(text, 10, 8)
	must(err)
	return u8proto.U8proto(number)
}

// decide looks a flow up in the policy map.
func decide(resolved *policy.EndpointPolicy, asked flow, proxies *proxies, wanted *contents) answer {
	key := policy.EgressKey()
	if asked.Direction == "ingress" {
		key = policy.IngressKey()
	}
	other := identity.NumericIdentity(asked.Peer)
	key = key.WithIdentity(other).WithPortProtoPrefix(protocol(asked.Protocol), asked.Port, 16)
	entry, _, _ := resolved.Lookup(key)
	if entry.IsDeny() {
		return answer{denied: true}
	}
	said := answer{}
	switch entry.AuthRequirement.AuthType() {
	case types.AuthTypeSpire:
		said.auth = "required"
	case types.AuthTypeAlwaysFail:
		said.auth = "test-always-fail"
	}
	if entry.ProxyPort == 0 {
		return said
	}
	proxy := proxies.behind[entry.ProxyPort]
	said.redirect = proxy.parsers[0]
	said.content, said.shared = wanted.of(proxy, asked, other)
	return said
}

// portsOfPods gives every pod the same named ports.
type portsOfPods struct{ pkgtypes.NamedPortMultiMap }

func (p portsOfPods) GetNamedPorts() pkgtypes.NamedPortMultiMap { return p.NamedPortMultiMap }

func clusterPorts(ports []namedPort, pods identity.IdentityMap) portsOfPods {
	all := pkgtypes.NewNamedPortMultiMap()
	for _, each := range ports {
		// One map per port: two numbers for one name and protocol must clash, not replace each other.
		one := portMap([]namedPort{each})
		for id := range pods {
			all.Update(id, nil, one)
		}
	}
	return portsOfPods{all}
}

func portMap(ports []namedPort) pkgtypes.NamedPortMap {
	all := pkgtypes.NamedPortMap{}
	for _, each := range ports {
		_ = all.AddPort(each.Name, each.Port, each.Protocol) // what upstream refuses is no port
	}
	return all
}

package main

import (
	"encoding/json"
	"fmt"
	"slices"

	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	"github.com/cilium/cilium/pkg/k8s"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	slim_networkingv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/policy/utils"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"
)

// document is a policy object, read and checked.
type document struct {
	name    ipcachetypes.ResourceID
	entries types.PolicyEntries
}

// read does with a YAML text what the agent's watchers do with an object of its kind.
func read(text string, cluster string, services *serviceTables) (read document, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("upstream panics: %v", cause)
		}
	}()
	// Through plain JSON, so that a number stays one where a text is wanted.
	object, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return document{}, err
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(object, &head); err != nil {
		return document{}, err
	}
	switch head.Kind {
	case "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy":
		return readCilium(object, head.Kind, cluster, services)
	case "NetworkPolicy":
		return readKubernetes(object, cluster)
	case "ClusterNetworkPolicy":
		return readCluster(object, cluster)
	}
	return document{}, fmt.Errorf("unknown kind %q", head.Kind)
}

func readCilium(object []byte, kind, cluster string, services *serviceTables) (document, error) {
	policy := &ciliumv2.CiliumNetworkPolicy{}
	if err := json.Unmarshal(object, policy); err != nil {
		return document{}, err
	}
	resource := ipcachetypes.ResourceKindCNP
	switch {
	case kind == "CiliumClusterwideNetworkPolicy":
		policy.Namespace = ""
		resource = ipcachetypes.ResourceKindCCNP
	case policy.Namespace == "":
		policy.Namespace = "default"
	}
	services.resolve(policy)
	rules, err := policy.Parse(quiet, cluster)
	if err != nil {
		return document{}, err
	}
	name := ipcachetypes.NewResourceID(resource, policy.Namespace, policy.Name)
	return document{name, utils.RulesToPolicyEntries(rules)}, nil
}

func readKubernetes(object []byte, cluster string) (document, error) {
	policy := &slim_networkingv1.NetworkPolicy{}
	if err := json.Unmarshal(object, policy); err != nil {
		return document{}, err
	}
	if policy.Namespace == "" {
		policy.Namespace = "default"
	}
	entries, err := k8s.ParseNetworkPolicy(quiet, cluster, policy)
	name := ipcachetypes.NewResourceID(ipcachetypes.ResourceKindNetpol, policy.Namespace, policy.Name)
	return document{name, entries}, err
}

func readCluster(object []byte, cluster string) (document, error) {
	policy := &policyv1alpha2.ClusterNetworkPolicy{}
	if err := json.Unmarshal(object, policy); err != nil {
		return document{}, err
	}
	entries, err := k8s.ParseClusterNetworkPolicy(quiet, cluster, policy)
	entries = slices.DeleteFunc(entries, isAddedForDNS)
	name := ipcachetypes.NewResourceID(ipcachetypes.ResourceKindKCNP, "", policy.Name)
	return document{name, entries}, err
}

// isAddedForDNS tells the entry that upstream adds to a rule with domainNames: the pods labelled
// k8s-app=kube-dns may be asked for these names, on their ports called dns and dns-tcp. Nobody wrote
// that, and the API wants no such allowance to be implied, so it is left out of the comparison; what
// was written stays as upstream translates it. No protocol of a ClusterNetworkPolicy has content, so
// that an entry with DNS rules is always an added one.
func isAddedForDNS(entry *types.PolicyEntry) bool {
	return slices.ContainsFunc(entry.L4, func(ports api.PortRule) bool { return ports.Rules != nil && ports.Rules.DNS != nil })
}

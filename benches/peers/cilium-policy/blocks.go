package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/cilium/cilium/pkg/identity"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/utils"
)

// The sets of blocks: 1,000 rules for one subject, each allowing one block on one port, and in
// the second set each denying another one too; one identity per block. benches/src/blocks.rs
// builds the same ones; change both or neither.

var (
	masks  = []int{8, 16, 24, 28, 32}
	firsts = []int{10, 192, 244}
)

// blockOf is a block, its mask and octets chosen by remainders.
func blockOf(mask, first, second, third, fourth28, fourth32 int) string {
	octets := [4]int{firsts[first], 0, 0, 0}
	bits := masks[mask]
	if bits >= 16 {
		octets[1] = second
	}
	if bits >= 24 {
		octets[2] = third
	}
	switch bits {
	case 28:
		octets[3] = fourth28
	case 32:
		octets[3] = fourth32
	}
	return fmt.Sprintf("%d.%d.%d.%d/%d", octets[0], octets[1], octets[2], octets[3], bits)
}

func allowed(i int) (block, port string) {
	return blockOf(i%5, i%3, i%17, i%121, i%16*16, i%255), fmt.Sprint(80 + i%97)
}

func denied(i int) (block, port string) {
	k := i + 773
	return blockOf((k+21)%5, k%3, k%23, k%119, k%15*16, k%253), fmt.Sprint(80 + k%131)
}

func onPort(port string) api.PortRules {
	return api.PortRules{{Ports: []api.PortProtocol{{Port: port, Protocol: api.ProtoTCP}}}}
}

// blockRules are the rules of a set, and the blocks they name.
func blockRules(withDeny bool) (rules api.Rules, named map[string]bool) {
	named = map[string]bool{}
	for i := 1; i <= 1000; i++ {
		rule := &api.Rule{EndpointSelector: api.NewESFromLabels(labels.ParseSelectLabel("k8s:foo"))}
		block, port := allowed(i)
		named[block] = true
		rule.Egress = []api.EgressRule{{EgressCommonRule: api.EgressCommonRule{ToCIDR: api.CIDRSlice{api.CIDR(block)}}, ToPorts: onPort(port)}}
		if withDeny {
			block, port := denied(i)
			named[block] = true
			deny := api.PortDenyRules{{Ports: onPort(port)[0].Ports}}
			rule.EgressDeny = []api.EgressDenyRule{{EgressCommonRule: api.EgressCommonRule{ToCIDR: api.CIDRSlice{api.CIDR(block)}}, ToPorts: deny}}
		}
		must(rule.Sanitize())
		rules = append(rules, rule)
	}
	return rules, named
}

// blocks measures making a fresh map from a policy whose rules are already merged.
func blocks(id string, withDeny bool, samples int) {
	rules, named := blockRules(withDeny)
	known := identity.IdentityMap{
		1: labelArray([]string{"reserved:host"}),
		2: labelArray([]string{"reserved:world"}),
	}
	next := identity.NumericIdentity(firstBlock)
	for block := range named {
		prefix := netip.MustParsePrefix(block).Masked()
		known[next] = labelArray([]string{"cidr:" + strings.ReplaceAll(prefix.String(), ":", "-"), "reserved:world"})
		next++
	}
	subject := identity.NewIdentityFromLabelArray(1000, labelArray([]string{"k8s:foo"}))
	known[subject.ID] = subject.LabelArray
	repo := newRepository(known)
	repo.ReplaceByResource(utils.RulesToPolicyEntries(rules), ipcachetypes.NewResourceID(ipcachetypes.ResourceKindCNP, "", "blocks"))
	adopt(repo, subject)
	selected, _, err := repo.ComputeSelectorPolicy(subject)
	must(err)
	var resolved *policy.EndpointPolicy
	emit(id, median(samples, 1, func() { resolved = selected.DistillPolicy(quiet, owner{}, nil) }), "ns")
	fmt.Fprintf(os.Stderr, "entries of %s: %d for %d blocks\n", id, resolved.Len(), len(named))
}

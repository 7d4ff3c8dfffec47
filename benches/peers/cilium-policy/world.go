package main

import (
	"encoding/json"
	"fmt"

	"github.com/cilium/cilium/pkg/identity"
)

// The world: 10,000 pods of 1,000 applications in 20 namespaces, 256 blocks outside, and
// 1,000 policies. benches/src/world.rs builds the same one; change both or neither.
const (
	podCount       = 10000
	policyCount    = 1000
	applications   = 1000
	namespaces     = 20
	applicationOwn = 950 // policies that name an application; the others name a whole namespace
	firstIdentity  = 1000
	firstBlock     = 16777217

	exactPeer = 25 // may reach the measured pod on TCP/80, one exact entry
	rangePeer = 65 // may reach it on TCP/8080-8090, through its env label
)

type object = map[string]any

func podLabels(i int, instance string) []string {
	app := i % applications
	return []string{
		fmt.Sprintf("k8s:app=app-%d", app), fmt.Sprintf("k8s:env=e%d", i%3), fmt.Sprintf("k8s:tier=t%d", i%5),
		"k8s:instance=" + instance,
		fmt.Sprintf("k8s:io.kubernetes.pod.namespace=ns-%d", app%namespaces),
		"k8s:io.cilium.k8s.policy.cluster=default",
	}
}

func pod(i int) *identity.Identity {
	return identity.NewIdentityFromLabelArray(identity.NumericIdentity(firstIdentity+i), labelArray(podLabels(i, fmt.Sprint(i))))
}

func identities() identity.IdentityMap {
	all := make(identity.IdentityMap, podCount+300)
	for id, names := range map[identity.NumericIdentity][]string{
		1: {"reserved:host"}, 2: {"reserved:world"}, 3: {"reserved:unmanaged"}, 4: {"reserved:health"},
		5: {"reserved:init"}, 6: {"reserved:remote-node"},
		7: {"reserved:kube-apiserver", "reserved:remote-node"}, 8: {"reserved:ingress"},
	} {
		all[id] = labelArray(names)
	}
	for i := range podCount {
		each := pod(i)
		all[each.ID] = each.LabelArray
	}
	for n := range 256 {
		all[identity.NumericIdentity(firstBlock+n)] = labelArray([]string{fmt.Sprintf("cidr:10.%d.0.0/16", n), "reserved:world"})
	}
	return all
}

func policyText(j int) []byte {
	var spec object
	if j < applicationOwn {
		spec = applicationSpec(j)
	} else {
		spec = namespaceSpec()
	}
	text, err := json.Marshal(object{
		"apiVersion": "cilium.io/v2",
		"kind":       "CiliumNetworkPolicy",
		"metadata":   object{"name": fmt.Sprintf("p%d", j), "namespace": fmt.Sprintf("ns-%d", j%namespaces)},
		"spec":       spec,
	})
	must(err)
	return text
}

func applicationSpec(j int) object {
	return object{
		"endpointSelector": object{"matchLabels": object{"app": fmt.Sprintf("app-%d", j)}},
		"ingress": []object{
			{"fromEndpoints": peers("app", fmt.Sprintf("app-%d", (j+20)%applications)), "toPorts": port("80", 0, "TCP")},
			{"fromEndpoints": peers("env", fmt.Sprintf("e%d", j%3)), "toPorts": port("8080", 8090, "TCP")},
			{"fromEndpoints": peers("k8s:io.kubernetes.pod.namespace", fmt.Sprintf("ns-%d", (j+1)%namespaces), "tier", fmt.Sprintf("t%d", (j+1)%5)), "toPorts": port("53", 0, "UDP")},
		},
		"ingressDeny": []object{
			{"fromEndpoints": peers("env", fmt.Sprintf("e%d", (j+1)%3)), "toPorts": port("9000", 0, "TCP")},
		},
		"egress": []object{
			{"toEndpoints": peers("app", fmt.Sprintf("app-%d", (j+40)%applications))},
			{"toCIDR": []string{fmt.Sprintf("10.%d.0.0/16", j%256)}, "toPorts": port("443", 0, "TCP")},
		},
	}
}

func namespaceSpec() object {
	return object{
		"endpointSelector": object{},
		"ingress":          []object{{"fromEndpoints": []object{{}}, "toPorts": port("443", 0, "TCP")}},
		"egress":           []object{{"toEntities": []string{"cluster"}, "toPorts": port("53", 0, "UDP")}},
	}
}

func peers(pairs ...string) []object {
	wanted := object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		wanted[pairs[i]] = pairs[i+1]
	}
	return []object{{"matchLabels": wanted}}
}

func port(first string, last int, protocol string) []object {
	one := object{"port": first, "protocol": protocol}
	if last != 0 {
		one["endPort"] = last
	}
	return []object{{"ports": []object{one}}}
}

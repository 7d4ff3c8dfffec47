package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"

	"github.com/cilium/cilium/pkg/identity"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/utils"
	"github.com/cilium/cilium/pkg/u8proto"
)

// figure is one line of output; the ids are those of `cargo xtask report`.
type figure struct {
	ID    string  `json:"id"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func emit(id string, value float64, unit string) {
	must(json.NewEncoder(os.Stdout).Encode(figure{id, value, unit}))
}

// bench measures the world that benches/src/world.rs builds for ours, then the sets of blocks.
func bench(samples int) {
	settings{Enforcement: "default", AllowLocalhost: "always", ClusterName: "default", DefaultLocalCluster: true, NonDefaultDeny: true}.apply()
	texts := make([][]byte, policyCount)
	for j := range texts {
		texts[j] = policyText(j)
	}
	emit("policy.load", median(samples, 1, func() { load(identities(), texts) }), "ns")

	before := heap()
	repo := load(identities(), texts)
	emit("policy.memory_repo", heap()-before, "MiB")
	oneEndpoint(repo, samples)
	manyEndpoints(repo, samples)
	runtime.KeepAlive(repo)
	blocks("policy.cidr", false, samples)
	blocks("policy.cidr_deny", true, samples)
}

// oneEndpoint measures the policy of one pod.
func oneEndpoint(repo *policy.Repository, samples int) {
	subject := pod(5)
	emit("policy.resolve_cold", median(samples, 1, func() {
		// With no policy alive, upstream forgets the peer selectors, so every sample starts cold.
		adopt(repo, subject)
		drop(resolve(repo, subject))
		abandon(repo, subject)
	}), "ns")

	adopt(repo, subject)
	live := resolve(repo, subject)
	emit("policy.resolve_warm", median(samples, 4, func() {
		before := live
		repo.BumpRevision()
		live = resolve(repo, subject)
		drop(before)
	}), "ns")
	fmt.Fprintf(os.Stderr, "entries of the measured endpoint: %d\n", live.Len())
	decisions(live, samples)
	emit("policy.identity_add_1", addIdentity(repo, []*policy.EndpointPolicy{live}, samples*8), "ns")
	drop(live)
	abandon(repo, subject)
}

// decisions: an exact key is fetched, which is the least upstream can do; what has no exact key
// needs its lookup.
func decisions(live *policy.EndpointPolicy, samples int) {
	ask := func(peer int, port uint16) policy.Key {
		return policy.IngressKey().WithIdentity(identity.NumericIdentity(firstIdentity+peer)).WithPortProto(u8proto.TCP, port)
	}
	var found bool
	exact, inRange, miss := ask(exactPeer, 80), ask(rangePeer, 8083), ask(exactPeer, 12345)
	emit("policy.decision_exact", median(samples, 200000, func() { _, found = live.Get(exact) }), "ns")
	emit("policy.decision_range", median(samples, 50000, func() { _, _, found = live.Lookup(inRange) }), "ns")
	emit("policy.decision_miss", median(samples, 50000, func() { _, _, found = live.Lookup(miss) }), "ns")
	runtime.KeepAlive(found)
}

// manyEndpoints measures 100 pods, resolved one after the other from a cold start.
func manyEndpoints(repo *policy.Repository, samples int) {
	subjects := make([]*identity.Identity, 100)
	for i := range subjects {
		subjects[i] = pod(i)
	}
	var all []*policy.EndpointPolicy
	forget := func() {
		for i, each := range all {
			drop(each)
			abandon(repo, subjects[i])
		}
		all = nil
	}
	times := make([]float64, max(samples/2, 1))
	before := heap()
	for i := range times {
		forget()
		for _, each := range subjects {
			adopt(repo, each)
		}
		runtime.GC()
		start := time.Now()
		for _, each := range subjects {
			all = append(all, resolve(repo, each))
		}
		times[i] = float64(time.Since(start).Nanoseconds())
	}
	emit("policy.resolve_100", middle(times), "ns")
	emit("policy.memory_100", heap()-before, "MiB")
	emit("policy.identity_add_100", addIdentity(repo, all, samples*8), "ns")
	forget()
}

// load puts identities and policies, each a JSON text, into an empty repository.
func load(known identity.IdentityMap, texts [][]byte) *policy.Repository {
	repo := newRepository(known)
	for _, text := range texts {
		object := &ciliumv2.CiliumNetworkPolicy{}
		must(json.Unmarshal(text, object))
		rules, err := object.Parse(quiet, "default")
		must(err)
		name := ipcachetypes.NewResourceID(ipcachetypes.ResourceKindCNP, object.Namespace, object.Name)
		repo.ReplaceByResource(utils.RulesToPolicyEntries(rules), name)
	}
	return repo
}

func adopt(repo *policy.Repository, subject *identity.Identity) {
	repo.UpdateIdentities(identity.IdentityMap{subject.ID: subject.LabelArray}, nil)
}

func abandon(repo *policy.Repository, subject *identity.Identity) {
	repo.UpdateIdentities(nil, identity.IdentityMap{subject.ID: subject.LabelArray})
}

func resolve(repo *policy.Repository, subject *identity.Identity) *policy.EndpointPolicy {
	selected, _, err := repo.ComputeSelectorPolicy(subject)
	must(err)
	resolved := selected.DistillPolicy(quiet, owner{}, nil)
	must(resolved.Ready())
	return resolved
}

func drop(resolved *policy.EndpointPolicy) {
	resolved.SelectorPolicy.Supersede()
	resolved.Detach(quiet)
}

// addIdentity times one new identity until every endpoint's map change is in hand; taking it
// away again is not timed.
func addIdentity(repo *policy.Repository, live []*policy.EndpointPolicy, samples int) float64 {
	newcomer := identity.IdentityMap{60000: labelArray(podLabels(exactPeer, "newcomer"))}
	update := func(added, removed identity.IdentityMap) {
		done := &sync.WaitGroup{}
		repo.GetSelectorCache().UpdateIdentities(added, removed, done)
		done.Wait()
		for _, each := range live {
			closer, _ := each.ConsumeMapChanges()
			closer()
		}
	}
	times := make([]float64, samples)
	for i := range times {
		start := time.Now()
		update(newcomer, nil)
		times[i] = float64(time.Since(start).Nanoseconds())
		update(nil, newcomer)
	}
	return middle(times)
}

// median runs `calls` operations per sample and gives nanoseconds per operation.
func median(samples, calls int, operation func()) float64 {
	times := make([]float64, samples)
	for i := range times {
		runtime.GC()
		start := time.Now()
		for range calls {
			operation()
		}
		times[i] = float64(time.Since(start).Nanoseconds()) / float64(calls)
	}
	return middle(times)
}

func middle(times []float64) float64 {
	sort.Float64s(times)
	return times[len(times)/2]
}

// heap is what is alive, in MiB.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc) / (1 << 20)
}

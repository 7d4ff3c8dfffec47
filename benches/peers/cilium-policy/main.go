// Command cilium-policy measures Cilium's own policy engine on the world that
// benches/src/world.rs builds for ours, and prints one JSON object per figure.
//
// Upstream's engine is an ordinary dependency, unmodified. What one figure
// measures is said beside it; the ids are those of `cargo xtask report`.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"

	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/logging"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/policy/utils"
	"github.com/cilium/cilium/pkg/u8proto"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// figure is one line of output; value is in unit per operation.
type figure struct {
	ID    string  `json:"id"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func main() {
	samples := flag.Int("samples", 7, "samples per figure; the median is printed")
	flag.Parse()

	policy.SetPolicyEnabled(option.DefaultEnforcement)
	option.Config.EnablePolicy = option.DefaultEnforcement
	option.Config.UnsafeDaemonConfigOption.AllowLocalhost = option.AllowLocalhostAlways
	option.Config.EnableIPv4 = true
	option.Config.EnableNonDefaultDenyPolicies = true
	option.Config.DryMode = true
	logging.DefaultSlogLogger = quiet
	api.InitEntities("default")

	texts := make([][]byte, policyCount)
	for j := range texts {
		texts[j] = policyText(j)
	}

	known := identities()
	emit("policy.load", median(*samples, 1, func() { load(known, texts) }))

	repo := load(known, texts)
	subject := pod(5)
	emit("policy.resolve_cold", median(*samples, 1, func() {
		// With no policy alive, upstream forgets the peer selectors, so every sample starts cold.
		adopt(repo, subject)
		drop(resolve(repo, subject))
		repo.UpdateIdentities(nil, identity.IdentityMap{subject.ID: subject.LabelArray})
	}))

	adopt(repo, subject)
	live := resolve(repo, subject)
	emit("policy.resolve", median(*samples, 4, func() {
		before := live
		repo.BumpRevision()
		live = resolve(repo, subject)
		drop(before)
	}))
	fmt.Fprintf(os.Stderr, "entries of the measured endpoint: %d\n", live.Len())

	ask := func(peer int, port uint16) policy.Key {
		return policy.IngressKey().WithIdentity(identity.NumericIdentity(firstIdentity+peer)).WithPortProto(u8proto.TCP, port)
	}
	var found bool
	for _, q := range []struct {
		id  string
		key policy.Key
	}{
		{"policy.decision", ask(exactPeer, 80)},
		{"policy.decision_range", ask(rangePeer, 8083)},
		{"policy.decision_miss", ask(exactPeer, 12345)},
	} {
		emit(q.id, median(*samples, 50000, func() { _, _, found = live.Lookup(q.key) }))
	}
	runtime.KeepAlive(found)

	newcomer := identity.IdentityMap{60000: labelArray(podLabels(exactPeer, "newcomer"))}
	emit("policy.identity_add_1", addIdentity(repo, live, newcomer, *samples*8))
}

// load puts identities and policies, each a JSON text, into an empty repository.
func load(known identity.IdentityMap, texts [][]byte) *policy.Repository {
	manager := identitymanager.NewIDManager(quiet)
	repo := policy.NewPolicyRepository(quiet, known, nil, nil, manager, noMetrics{})
	for _, text := range texts {
		document := &ciliumv2.CiliumNetworkPolicy{}
		must(json.Unmarshal(text, document))
		rules, err := document.Parse(quiet, "default")
		must(err)
		var entries types.PolicyEntries
		for _, rule := range rules {
			entries = append(entries, utils.RulesToPolicyEntries(api.Rules{rule})...)
		}
		name := ipcachetypes.NewResourceID(ipcachetypes.ResourceKindCNP, document.Namespace, document.Name)
		repo.ReplaceByResource(entries, name)
	}
	return repo
}

func adopt(repo *policy.Repository, subject *identity.Identity) {
	repo.UpdateIdentities(identity.IdentityMap{subject.ID: subject.LabelArray}, nil)
}

func resolve(repo *policy.Repository, subject *identity.Identity) *policy.EndpointPolicy {
	selectors, _, err := repo.ComputeSelectorPolicy(subject)
	must(err)
	resolved := selectors.DistillPolicy(quiet, owner{}, nil)
	resolved.Ready()
	return resolved
}

func drop(resolved *policy.EndpointPolicy) {
	resolved.SelectorPolicy.Supersede()
	resolved.Detach(quiet)
}

// addIdentity times one new identity until the endpoint's map change is in hand; taking it
// away again is not timed.
func addIdentity(repo *policy.Repository, live *policy.EndpointPolicy, newcomer identity.IdentityMap, samples int) float64 {
	update := func(added, removed identity.IdentityMap) {
		done := &sync.WaitGroup{}
		repo.GetSelectorCache().UpdateIdentities(added, removed, done)
		done.Wait()
		closer, _ := live.ConsumeMapChanges()
		closer()
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

func emit(id string, nanoseconds float64) {
	must(json.NewEncoder(os.Stdout).Encode(figure{ID: id, Value: nanoseconds, Unit: "ns"}))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cilium-policy:", err)
		os.Exit(1)
	}
}

func labelArray(texts []string) labels.LabelArray {
	array := make(labels.LabelArray, 0, len(texts))
	for _, text := range texts {
		array = append(array, labels.ParseLabel(text))
	}
	return array.Sort()
}

type noMetrics struct{}

func (noMetrics) AddRule(types.PolicyEntry) {}
func (noMetrics) DelRule(types.PolicyEntry) {}

// owner stands for the one endpoint whose policy is resolved.
type owner struct{}

func (owner) GetID() uint64                                             { return 1 }
func (owner) GetIngressNamedPort(string, u8proto.U8proto) (port uint16) { return 0 }
func (owner) PolicyDebug(string, ...any)                                {}
func (owner) IsHost() bool                                              { return false }
func (owner) PreviousMapState() *policy.MapState                        { return nil }
func (owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}

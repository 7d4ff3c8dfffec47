package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/logging"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	pkgtypes "github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// settings are the agent's options that answers depend on.
type settings struct {
	Enforcement         string    `json:"enforcement"`
	AllowLocalhost      string    `json:"allow_localhost"`
	DualStack           bool      `json:"dual_stack"`
	HostFirewall        bool      `json:"host_firewall"`
	ClusterName         string    `json:"cluster_name"`
	DefaultLocalCluster bool      `json:"default_local_cluster"`
	NodeSelectorLabels  bool      `json:"node_selector_labels"`
	NonDefaultDeny      bool      `json:"non_default_deny"`
	CidrMatch           cidrMatch `json:"cidr_match"`
	PortlessProtocols   bool      `json:"portless_protocols"`
}

// cidrMatch is whom blocks pick besides the world.
type cidrMatch struct {
	Nodes bool `json:"nodes"`
	Pods  bool `json:"pods"`
}

// mode writes it as the agent's option does.
func (r cidrMatch) mode() (mode []string) {
	if r.Nodes {
		mode = append(mode, "nodes")
	}
	if r.Pods {
		mode = append(mode, "pods")
	}
	return mode
}

// apply sets the options of this process: upstream keeps them in globals, so cases are asked one
// after the other.
func (s settings) apply() {
	logging.DefaultSlogLogger = quiet
	policy.SetPolicyEnabled(s.Enforcement)
	option.Config.EnablePolicy = s.Enforcement
	option.Config.UnsafeDaemonConfigOption.AllowLocalhost = s.AllowLocalhost
	option.Config.EnableIPv4 = true
	option.Config.EnableIPv6 = s.DualStack
	option.Config.EnableHostFirewall = s.HostFirewall
	option.Config.EnableNodeSelectorLabels = s.NodeSelectorLabels
	option.Config.EnableNonDefaultDenyPolicies = s.NonDefaultDeny
	option.Config.PolicyCIDRMatchMode = s.CidrMatch.mode()
	option.Config.EnableExtendedIPProtocols = s.PortlessProtocols
	option.Config.EnableL7Proxy = true
	option.Config.EnableICMPRules = true
	option.Config.DryMode = true
	api.InitEntities(s.ClusterName)
}

// policyCluster is the cluster that peers without one are looked for in; "" is any.
func (s settings) policyCluster() string {
	if s.DefaultLocalCluster {
		return s.ClusterName
	}
	return ""
}

// newRepository is an agent's policy state that knows identities and no policy.
func newRepository(known identity.IdentityMap) *policy.Repository {
	envoy := envoypolicy.NewEnvoyL7RulesTranslator(quiet, certificatemanager.NewMockSecretManagerInline())
	return policy.NewPolicyRepository(quiet, known, anySecret{}, envoy, identitymanager.NewIDManager(quiet), noMetrics{})
}

func labelArray(texts []string) labels.LabelArray {
	array := make(labels.LabelArray, 0, len(texts))
	for _, text := range texts {
		array = append(array, labels.ParseLabel(text))
	}
	return array.Sort()
}

// anySecret holds every TLS secret that somebody asks for.
type anySecret struct{}

func (anySecret) GetTLSContext(context.Context, *api.TLSContext, string) (ca, public, private string, inline bool, err error) {
	return "ca", "public", "private", true, nil
}

type noMetrics struct{}

func (noMetrics) AddRule(types.PolicyEntry) {}
func (noMetrics) DelRule(types.PolicyEntry) {}

// owner is the endpoint whose policy is computed.
type owner struct {
	host  bool
	ports pkgtypes.NamedPortMap
}

func (owner) GetID() uint64                      { return 1 }
func (owner) PolicyDebug(string, ...any)         {}
func (o owner) IsHost() bool                     { return o.host }
func (owner) PreviousMapState() *policy.MapState { return nil }
func (o owner) GetIngressNamedPort(name string, p u8proto.U8proto) (port uint16) {
	port, _ = o.ports.GetNamedPort(name, p)
	return port
}
func (owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}

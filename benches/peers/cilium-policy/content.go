package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/u8proto"
)

// proxy is what listens behind one proxy port.
type proxy struct {
	parsers  []string
	listener string
	filters  []*policy.L4Filter
}

// proxies are the redirects of an endpoint: their ports by upstream's key, and what is behind.
type proxies struct {
	ports  map[string]uint16
	behind map[uint16]*proxy
}

// newProxies gives each redirect a port, by the key that the endpoint manager uses.
func newProxies(selected policy.SelectorPolicy, self owner) *proxies {
	all := &proxies{ports: map[string]uint16{}, behind: map[uint16]*proxy{}}
	snapshot := selected.GetSelectorSnapshot()
	defer snapshot.Invalidate()
	for filter, rule := range selected.RedirectFilters() {
		switch {
		case filter.PortName == "":
			all.add(self, filter, rule.Policy, filter.Port)
		case filter.Ingress:
			if port := self.GetIngressNamedPort(filter.PortName, filter.U8Proto); port != 0 {
				all.add(self, filter, rule.Policy, port)
			}
		default:
			for _, port := range selected.GetEgressNamedPorts(filter.PortName, filter.U8Proto, filter.Identities(snapshot)) {
				all.add(self, filter, rule.Policy, port)
			}
		}
	}
	return all
}

func (p *proxies) add(self owner, filter *policy.L4Filter, rule *policy.PerSelectorPolicy, port uint16) {
	key := policy.ProxyID(uint16(self.GetID()), filter.Ingress, string(filter.Protocol), port, rule.GetListener())
	number, known := p.ports[key]
	if !known {
		number = uint16(10000 + len(p.ports))
		p.ports[key] = number
		p.behind[number] = &proxy{listener: rule.GetListener()}
	}
	one := p.behind[number]
	if parser := strings.ToLower(rule.L7Parser.String()); !slices.Contains(one.parsers, parser) {
		one.parsers = append(one.parsers, parser)
	}
	if !slices.Contains(one.filters, filter) {
		one.filters = append(one.filters, filter)
	}
}

// reach is a filter and the ports it covers.
type reach struct {
	filter   *policy.L4Filter
	from, to uint16
	byPeer   map[identity.NumericIdentity]uint16
}

func (r *reach) covers(protocol u8proto.U8proto, port uint16, other identity.NumericIdentity) bool {
	if r.filter.U8Proto != u8proto.ANY && r.filter.U8Proto != protocol {
		return false
	}
	if r.byPeer != nil {
		own, named := r.byPeer[other]
		return named && own == port
	}
	return r.from <= port && port <= r.to
}

// contents tells what proxies are told.
type contents struct{ ingress, egress []reach }

func newContents(resolved *policy.EndpointPolicy, selected policy.SelectorPolicy, self owner, known *proxies) *contents {
	all := &contents{}
	if len(known.ports) == 0 {
		return all
	}
	snapshot := selected.GetSelectorSnapshot()
	defer snapshot.Invalidate()
	l4 := &resolved.SelectorPolicy.L4Policy
	for filter := range l4.Ingress.PortRules.Filters() {
		if one, ok := reachOf(filter, self, nil); ok {
			all.ingress = append(all.ingress, one)
		}
	}
	for filter := range l4.Egress.PortRules.Filters() {
		ports := map[identity.NumericIdentity]uint16{}
		if filter.PortName != "" {
			for id, port := range selected.GetEgressNamedPorts(filter.PortName, filter.U8Proto, filter.Identities(snapshot)) {
				ports[id] = port
			}
		}
		if one, ok := reachOf(filter, self, ports); ok {
			all.egress = append(all.egress, one)
		}
	}
	return all
}

// reachOf: not every filter reaches the proxy, which is never told of port 0 with an end.
func reachOf(filter *policy.L4Filter, self owner, byPeer map[identity.NumericIdentity]uint16) (reach, bool) {
	switch {
	case filter.PortName != "" && filter.Ingress:
		port := self.GetIngressNamedPort(filter.PortName, filter.U8Proto)
		return reach{filter, port, max(port, filter.EndPort), nil}, port != 0
	case filter.PortName != "":
		return reach{filter, 0, 0, byPeer}, true
	case filter.Port == 0:
		return reach{filter, 0, 65535, nil}, filter.EndPort == 0
	}
	return reach{filter, filter.Port, max(filter.Port, filter.EndPort), nil}, true
}

// of tells the content for one flow, or that it cannot be named.
func (c *contents) of(behind *proxy, asked flow, other identity.NumericIdentity) (*content, bool) {
	if len(behind.parsers) > 1 {
		return nil, true
	}
	if behind.parsers[0] == "dns" {
		if len(behind.filters) > 1 {
			return nil, true
		}
		return dnsContent(behind.filters[0], other), false
	}
	return c.streamContent(behind, asked, other), false
}

// dnsContent: the DNS proxy knows the selectors of its own filter only.
func dnsContent(filter *policy.L4Filter, other identity.NumericIdentity) *content {
	told := &content{}
	for selector, rule := range filter.PerSelectorPolicies {
		if !selector.Selects(other) || rule.IsDeny() || rule.IsPass() {
			continue
		}
		if rule == nil || len(rule.DNS) == 0 {
			told.AllowAll = true
			continue
		}
		for _, each := range rule.DNS {
			told.add(each)
		}
	}
	return told.finish()
}

// streamContent: Envoy knows every filter, and what allows more lifts what allows less.
func (c *contents) streamContent(behind *proxy, asked flow, other identity.NumericIdentity) *content {
	told := &content{Listener: behind.listener}
	parser := behind.parsers[0]
	told.AllowAll = parser != "http"
	anyName := false
	reaches := c.egress
	if asked.Direction == "ingress" {
		reaches = c.ingress
	}
	for i := range reaches {
		if !reaches[i].covers(protocol(asked.Protocol), asked.Port, other) {
			continue
		}
		for selector, rule := range reaches[i].filter.PerSelectorPolicies {
			if !selector.Selects(other) || rule.IsDeny() || rule.IsPass() {
				continue
			}
			if listener := rule.GetListener(); listener != "" && listener != behind.listener {
				continue
			}
			anyName = told.allow(rule) || anyName
		}
	}
	if anyName {
		told.ServerNames = nil
	}
	slices.Sort(told.ServerNames)
	told.ServerNames = slices.Compact(told.ServerNames)
	return told.finish()
}

// allow adds what one rule lets through, and says whether it does so for any server name.
func (c *content) allow(rule *policy.PerSelectorPolicy) (anyName bool) {
	if rule == nil {
		c.AllowAll = true
		return true
	}
	for name := range rule.ServerNames {
		c.ServerNames = append(c.ServerNames, name)
	}
	if len(rule.HTTP) == 0 {
		c.AllowAll = true // DNS rules are not told to Envoy
	}
	for _, each := range rule.HTTP {
		c.add(each)
	}
	if slices.ContainsFunc(c.Rules, func(rule json.RawMessage) bool { return string(rule) == "{}" }) {
		c.AllowAll = true
	}
	return len(rule.ServerNames) == 0
}

func (c *content) add(rule any) {
	text, err := json.Marshal(rule)
	must(err)
	c.Rules = append(c.Rules, text)
}

// finish puts the rules into one order; with everything allowed there are none.
func (c *content) finish() *content {
	if c.AllowAll {
		c.Rules = nil
		return c
	}
	order := func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) }
	slices.SortFunc(c.Rules, order)
	c.Rules = slices.CompactFunc(c.Rules, func(a, b json.RawMessage) bool { return order(a, b) == 0 })
	return c
}

package main

import (
	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/loadbalancer"
	policyk8s "github.com/cilium/cilium/pkg/policy/k8s"
	"github.com/cilium/statedb"
)

// service is what toServices may name: with a pod selector, or with the addresses behind it.
type service struct {
	Name         string            `json:"name"`
	Namespace    string            `json:"namespace"`
	Labels       map[string]string `json:"labels"`
	Selectorless bool              `json:"selectorless"`
	Selector     map[string]string `json:"selector"`
	Endpoints    []string          `json:"endpoints"`
}

// serviceTables are the agent's tables of services and of what is behind them.
type serviceTables struct {
	db       *statedb.DB
	services statedb.RWTable[*loadbalancer.Service]
	backends statedb.RWTable[*loadbalancer.Backend]
}

// newServiceTables fills the tables; nil where there is no service.
func newServiceTables(all []service) *serviceTables {
	if len(all) == 0 {
		return nil
	}
	t := &serviceTables{db: statedb.New()}
	var err error
	t.services, err = loadbalancer.NewServicesTable(loadbalancer.Config{}, t.db)
	must(err)
	t.backends, err = loadbalancer.NewBackendsTable(t.db)
	must(err)
	txn := t.db.WriteTxn(t.services, t.backends)
	defer txn.Commit()
	for _, s := range all {
		if !s.Selectorless && len(s.Selector) == 0 {
			continue // with a selector that nobody told, it means nobody
		}
		name := loadbalancer.NewServiceName(s.Namespace, s.Name)
		row := &loadbalancer.Service{Name: name, Labels: labels.Map2Labels(s.Labels, labels.LabelSourceK8s)}
		if !s.Selectorless {
			row.Selector = s.Selector
		}
		_, _, err := t.services.Insert(txn, row)
		must(err)
		for _, text := range s.Endpoints {
			address, err := cmtypes.ParseAddrCluster(text)
			must(err)
			behind := loadbalancer.NewL3n4Addr(loadbalancer.TCP, address, 80, loadbalancer.ScopeExternal)
			_, _, err = t.backends.Insert(txn, &loadbalancer.Backend{ServiceName: name, Address: behind})
			must(err)
		}
	}
	return t
}

// resolve puts what services stand for into the policy, as the agent does before it reads it.
func (t *serviceTables) resolve(policy *ciliumv2.CiliumNetworkPolicy) {
	if t != nil {
		policyk8s.ResolveToServices(t.db.ReadTxn(), t.services, t.backends, policy)
	}
}
